"""The command line: `pyupc`."""

from __future__ import annotations

import importlib
import sys
from typing import Any, NoReturn

import click

from pyupc import __version__
from pyupc.cli.logs import log_to_stderr
from pyupc.cli.options import examples
from pyupc.cli.report import exit_code_of

# Each module defines `command` and is imported when it is asked for.
COMMANDS = {
    "candles": "pyupc.cli.candles",
    "market": "pyupc.cli.market",
    "trades": "pyupc.cli.trades",
    "db": "pyupc.cli.db",
    "fingerprints": "pyupc.cli.fingerprints",
    "demo": "pyupc.cli.demo",
    "compare": "pyupc.cli.compare",
    "bench": "pyupc.cli.bench",
    "strikes": "pyupc.cli.strikes",
    "feed": "pyupc.cli.feed",
    "tick": "pyupc.cli.tick",
}


class Main(click.Group):
    """Loads commands late, and ends every run with an exit code instead of a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name]).command
        assert isinstance(command, click.Command)
        return command

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        kwargs["prog_name"] = kwargs.get("prog_name") or "pyupc"
        try:
            code = super().main(*args, **{**kwargs, "standalone_mode": False})
            # Now, while a reader that has gone can still be told from a success.
            sys.stdout.flush()
        except BaseException as error:
            raise SystemExit(exit_code_of(error)) from None
        raise SystemExit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> None:
        """Click has ways of its own with these two, and takes a return value for an exit code."""
        try:
            super().invoke(ctx)
        except (KeyboardInterrupt, OSError) as error:
            raise SystemExit(exit_code_of(error)) from None


@click.group(
    name="pyupc",
    cls=Main,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples("pyupc db upgrade", "pyupc db --help"),
)
@click.version_option(__version__, prog_name="pyupc")
@click.option("-v", "--verbose", count=True, help="Log more to stderr; -vv logs everything.")
@click.option("-q", "--quiet", is_flag=True, help="Log errors only.")
def main(verbose: int, quiet: bool) -> None:
    """Probabilities of short-dated binary event contracts, computed inside PostgreSQL.

    PYUPC_DSN names the server: any libpq connection string or URI. Without it pyupc starts an
    embedded PostgreSQL in PYUPC_HOME.

    \b
    Exit codes:
      0 ok   1 refused   2 usage   3 database unreachable   4 schema out of date
      130 interrupted
    """
    log_to_stderr(verbose, quiet=quiet)
