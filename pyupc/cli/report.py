"""The one place that turns an error into a line on stderr, a hint and an exit code."""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback

import click
import psycopg

from pyupc.database.errors import translate
from pyupc.errors import PyupcError, UsageProblem

INTERRUPTED = 130

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def exit_code_of(error: BaseException) -> int:
    """Print the error, unless there is nothing to say, and return the exit code.

    With PYUPC_DEBUG=1 the traceback is printed first.
    """
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        _discard_stdout()
        return 0
    if os.environ.get("PYUPC_DEBUG", "0") not in ("", "0"):
        traceback.print_exception(error)
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        click.echo("pyupc: interrupted", err=True)
        return INTERRUPTED
    if isinstance(error, click.UsageError) and _is_help(error):
        error.show()
        return error.exit_code
    problem = _problem(error)
    show(problem)
    return problem.exit_code


def show(problem: PyupcError) -> None:
    """`pyupc: message` and `hint: …`, each on one line."""
    click.echo(f"pyupc: {printable(' '.join(problem.message.split()))}", err=True)
    if problem.hint:
        click.echo(f"hint: {printable(' '.join(problem.hint.split()))}", err=True)


def printable(text: str) -> str:
    """What stands in a file, or in its name, must not steer the terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _problem(error: BaseException) -> PyupcError:
    match error:
        case PyupcError():
            return error
        case psycopg.Error():
            return translate(error)
        case click.UsageError():
            path = error.ctx.command_path if error.ctx else "pyupc"
            return UsageProblem(error.format_message(), f"see: {path} --help")
        case click.ClickException():
            return PyupcError(error.format_message())
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return PyupcError(f"{where}{error.strerror or error}")
        case _:
            return PyupcError(
                f"internal error: {type(error).__name__}: {error}",
                "run it again with PYUPC_DEBUG=1 and report what it prints",
            )


def _is_help(error: click.UsageError) -> bool:
    """A group without a subcommand: the exception, which older Clicks lack, is the help text."""
    return type(error).__name__ == "NoArgsIsHelpError"


def _discard_stdout() -> None:
    """Whoever read our output has gone; without this Python complains about it at exit."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):
        pass
