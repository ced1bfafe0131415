"""Errors as a line on stderr, a hint and an exit code; every command ends here."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import Any

import click

from pyupc.cli.common.logs import logs_are_json
from pyupc.errors import PyupcError, UsageProblem
from pyupc.json_log import json_line
from pyupc.runtime.printable import printable
from pyupc.settings.options import origin

INTERRUPTED = 130


class _Interrupted(PyupcError):
    exit_code = INTERRUPTED


def exit_code_of(error: BaseException) -> int:
    """Print the error, if it is one, and return the exit code.

    With PYUPC_DEBUG=1 the traceback is printed first.
    """
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        _discard_stdout()
        return 0
    if isinstance(error, click.UsageError) and _is_help(error):
        error.show()
        return error.exit_code
    problem = _problem(error)
    show(problem, error if os.environ.get("PYUPC_DEBUG", "0") not in ("", "0") else None)
    return problem.exit_code


def show(problem: PyupcError, cause: BaseException | None = None) -> None:
    """Print `pyupc: message` and `hint: …` on one line each, or one JSON object with both.

    `cause` adds its traceback.
    """
    message = " ".join(problem.message.split())
    hint = " ".join((problem.hint or "").split())
    if logs_are_json():
        more: dict[str, Any] = {"hint": hint} if hint else {}
        if cause is not None:
            more["exc_info"] = (type(cause), cause, cause.__traceback__)
        line = json_line("ERROR", "pyupc", message, exit_code=problem.exit_code, **more)
        click.echo(line, err=True)
        return
    if cause is not None:
        traceback.print_exception(cause)
    click.echo(f"pyupc: {printable(message)}", err=True)
    if hint:
        click.echo(f"hint: {printable(hint)}", err=True)


def _problem(error: BaseException) -> PyupcError:
    if _is_interruption(error):
        return _Interrupted("interrupted")
    if (translated := _of_database(error)) is not None:
        return translated
    match error:
        case PyupcError():
            return error
        case click.UsageError():
            path = error.ctx.command_path if error.ctx else "pyupc"
            place = origin(error.ctx, getattr(error, "param", None))
            where = f"{place}: " if place else ""
            return UsageProblem(f"{where}{error.format_message()}", f"see: {path} --help")
        case click.ClickException():
            return PyupcError(error.format_message())
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return PyupcError(f"{where}{error.strerror or error}")
        case _:
            return PyupcError(
                f"internal error: {type(error).__name__}: {error}",
                "run it again with PYUPC_DEBUG=1 and report the output",
            )


def _is_interruption(error: BaseException) -> bool:
    """True also for what cleaning up after an interruption has met, such as a rollback's error."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt | click.Abort):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _of_database(error: BaseException) -> PyupcError | None:
    # Without the driver loaded, as when a shell completes a word, the error is not its own.
    if "psycopg" not in sys.modules:
        return None
    import psycopg

    from pyupc.sql_errors import translate

    return translate(error) if isinstance(error, psycopg.Error) else None


def _is_help(error: click.UsageError) -> bool:
    """True for a group without a subcommand: its error, which older Clicks lack, is the help."""
    return type(error).__name__ == "NoArgsIsHelpError"


def _discard_stdout() -> None:
    """Redirect stdout to nowhere: its reader is gone, and Python would complain at exit."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):
        pass
