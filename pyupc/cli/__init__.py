"""The command line: `pyupc`."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pyupc import __version__
from pyupc.cli.common.logs import log_to_stderr
from pyupc.cli.common.options import examples
from pyupc.cli.common.report import exit_code_of
from pyupc.settings import config_path, rules
from pyupc.settings.file import load
from pyupc.settings.general import LOG_FORMATS
from pyupc.settings.options import defaults, name_variables
from pyupc.settings.sources import Sources
from pyupc.settings.temporary_variables import variables

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Module of each command: it defines `command`, and is imported only when that command is run.
COMMANDS = {
    "db": "pyupc.cli.db",
    "symbols": "pyupc.cli.symbols",
    "candles": "pyupc.cli.candles",
    "fingerprints": "pyupc.cli.fingerprints",
    "market": "pyupc.cli.market",
    "feed": "pyupc.cli.feed",
    "tick": "pyupc.cli.tick",
    "serve": "pyupc.cli.serve",
    "strikes": "pyupc.cli.strikes",
    "contracts": "pyupc.cli.contracts",
    "bets": "pyupc.cli.bets",
    "trades": "pyupc.cli.trades",
    "paper": "pyupc.cli.paper",
    "status": "pyupc.cli.status",
    "calibration": "pyupc.cli.calibration",
    "doctor": "pyupc.cli.doctor",
    "notify": "pyupc.cli.notify",
    "config": "pyupc.cli.config",
    "completion": "pyupc.cli.completion",
    "backtest": "pyupc.cli.backtest",
    "compare": "pyupc.cli.compare",
    "bench": "pyupc.cli.bench",
    "demo": "pyupc.cli.demo",
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
        name_variables(command, (cmd_name,))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve as usual; a command's settings in config.toml become its default_map."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and command is not None and isinstance(ctx.obj, Sources):
            settings = defaults(command, (name,), ctx.obj.file)
            ctx.default_map = {**(ctx.default_map or {}), name: settings}
        return name, command, rest

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names without their help, which would load every command."""
        from click.shell_completion import CompletionItem

        names = [CompletionItem(name) for name in COMMANDS if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        kwargs["prog_name"] = kwargs.get("prog_name") or "pyupc"
        # Format until the options are parsed.
        log_to_stderr(log_format=os.environ.get("PYUPC_LOG_FORMAT", ""))
        try:
            code = super().main(*args, **{**kwargs, "standalone_mode": False})
            # Flush here: a closed pipe must be handled below, not by the interpreter at exit.
            sys.stdout.flush()
        except BaseException as error:
            raise SystemExit(exit_code_of(error)) from None
        raise SystemExit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> None:
        """Handle the two errors that Click would turn into exit codes of its own."""
        try:
            super().invoke(ctx)
        except (KeyboardInterrupt, OSError) as error:
            raise SystemExit(exit_code_of(error)) from None


def _read(ctx: click.Context, parameter: click.Parameter, named: str | None) -> None:
    """Read config.toml before all other options, which it may set."""
    if ctx.resilient_parsing:
        return
    if named is None:
        named = os.environ.get(config_path.VARIABLE)
    ctx.obj = Sources(load(named, os.environ, COMMANDS), dict(os.environ))
    ctx.default_map = dict(ctx.obj.file.general)


def _log(ctx: click.Context, parameter: click.Parameter, log_format: str) -> str:
    """Set the format at once: usage errors are logged in it, too."""
    if not ctx.resilient_parsing:
        log_to_stderr(log_format=log_format)
    return log_format


@click.group(
    name="pyupc",
    cls=Main,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples("pyupc db upgrade", "pyupc db --help", "pyupc config show"),
)
@click.version_option(__version__, prog_name="pyupc")
@click.option(
    "--config",
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_read,
    help="Settings file. Default: PYUPC_CONFIG, else the path that `pyupc config path` prints.",
)
@click.option(
    "--dsn",
    envvar="PYUPC_DSN",
    metavar="DSN",
    help="Server. Other users of the machine can read a password here; PYUPC_DSN hides it.",
)
@click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    default="text",
    show_default=True,
    envvar="PYUPC_LOG_FORMAT",
    callback=_log,
    help="Format of stderr: lines of text, or one JSON object per line.",
)
@click.option(
    "-v",
    "--verbose",
    count=True,
    envvar="PYUPC_VERBOSE",
    help="Log more to stderr; -vv logs everything.",
)
@click.option("-q", "--quiet", is_flag=True, envvar="PYUPC_QUIET", help="Log errors only.")
@click.pass_context
def main(ctx: click.Context, dsn: str | None, log_format: str, verbose: int, quiet: bool) -> None:
    """Probabilities of short-dated binary event contracts, computed inside PostgreSQL.

    PYUPC_DSN names the server: any libpq connection string or URI. Without it pyupc starts an
    embedded PostgreSQL in PYUPC_HOME.

    Every option can be set by a flag, else by a variable (PYUPC_TICK_INTERVAL for --interval of
    `pyupc tick`), else in config.toml (`interval` in the table [tick]).

    \b
    Exit codes:
      0 ok   1 refused   2 usage   3 database unreachable   4 schema out of date
      130 interrupted
    """
    log_to_stderr(verbose, quiet=quiet, log_format=log_format)
    file = ctx.ensure_object(Sources).file
    added = {name: text for name, text in file.variables().items() if not os.environ.get(name)}
    added |= {config_path.VARIABLE: str(file.path or ""), "PYUPC_LOG_FORMAT": log_format}
    if dsn is not None:
        added["PYUPC_DSN"] = dsn
    ctx.with_resource(variables(added))
    # Check rules here: an invalid one ends every command, not only those that connect.
    rules.connection_options(os.environ)
