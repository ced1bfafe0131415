"""Options that several commands have, negative numbers as arguments, examples in the help."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from pyupc.cli.common.logs import set_log_format
from pyupc.errors import UsageProblem
from pyupc.settings.general import LOG_FORMATS
from pyupc.settings.legacy import LEGACY
from pyupc.settings.models import METHODS, MODELS, RETIRED, SETTLEMENTS

_NEGATIVE_NUMBER = re.compile(r"-(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)


def _normalise(
    ctx: click.Context, parameter: click.Parameter, symbols: tuple[str, ...]
) -> tuple[str, ...]:
    """Convert to upper case and remove duplicates; the order stays."""
    names = [symbol.strip().upper() for symbol in symbols]
    if "" in names:
        raise click.BadParameter("the symbol is empty", ctx, parameter)
    return tuple(dict.fromkeys(names))


class _Symbol(click.types.StringParamType):
    """Symbol; a variable may hold several, separated by commas or spaces."""

    def split_envvar_value(self, rv: str) -> list[str]:
        return rv.replace(",", " ").split()


symbols = click.option(
    "--symbol",
    "symbols",
    type=_Symbol(),
    multiple=True,
    metavar="SYMBOL",
    callback=_normalise,
    help="BTC, ETH, …; repeatable. Default: every registered symbol.",
)


def _normalise_one(
    ctx: click.Context, parameter: click.Parameter, symbols: tuple[str, ...]
) -> str | None:
    """Refuse a second symbol, which would silently replace the first."""
    names = _normalise(ctx, parameter, symbols)
    if len(names) > 1:
        raise click.BadParameter("one symbol at a time", ctx, parameter)
    return names[0] if names else None


def one_symbol(help: str) -> Callable[[Any], Any]:
    """Add --symbol to a command that works on one symbol; None if it is left out."""
    return click.option(
        "--symbol",
        "symbol",
        type=_Symbol(),
        multiple=True,
        metavar="SYMBOL",
        callback=_normalise_one,
        help=help,
    )


json_output = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def out_folder(help: str = "Folder of the JSON files; created if missing.") -> Callable[[Any], Any]:
    """Add --out, the folder of the files that ticks write."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path),
        default=Path("live"),
        show_default=True,
        metavar="DIR",
        help=help,
    )


def _set_log_format(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        set_log_format(value)


# Option of the whole program; commands that run for long accept it after their name, too.
log_format = click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    hidden=True,
    is_eager=True,
    expose_value=False,
    callback=_set_log_format,
)


class ModelChoice(click.Choice[str]):
    """A model; of a retired one the error names what to use."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if instead := RETIRED.get(value):
            self.fail(f"the model {value} is retired; use {instead}.", param, ctx)
        return super().convert(value, param, ctx)


method = click.option(
    "--method",
    type=click.Choice(METHODS),
    help="How the grid is read: the nearest cell, or linear interpolation between cells."
    "  [default: linear]",
)
model = click.option(
    "--model",
    type=ModelChoice(MODELS),
    help="Fingerprints used: of the momentum bucket, of all minutes, or of moves in"
    " units of their forecast volatility."
    "  [default: volatility]",
)
settlement = click.option(
    "--settlement",
    type=click.Choice(SETTLEMENTS),
    help="Settle by the last price, or by the average of the last minute."
    "  [default: average for Kalshi's contracts, else close]",
)
legacy = click.option(
    "--legacy",
    is_flag=True,
    help="Answer like the predecessor: model momentum, method nearest, settlement close.",
)


class Kinds(NamedTuple):
    """Model, method and settlement; None leaves the choice to the database."""

    model: str | None = None
    method: str | None = None
    settlement: str | None = None


_DATABASE_CHOOSES = Kinds()


def chosen_kinds(legacy: bool, given: Kinds = _DATABASE_CHOOSES) -> Kinds:
    """Combine --legacy with the other options.

    Where they contradict each other a flag is stronger than a variable, and a variable than the
    file; UsageProblem where both come from the same source.
    """
    if not legacy:
        return given
    ctx = click.get_current_context()
    legacy_rank = _rank(ctx, "legacy")
    kinds: dict[str, str] = {}
    for name, value in given._asdict().items():
        is_other = value not in (None, LEGACY[name])
        if is_other and _rank(ctx, name) == legacy_rank:
            raise UsageProblem(
                f"--legacy means --{name} {LEGACY[name]}", f"leave --legacy or --{name} out"
            )
        kinds[name] = value if is_other and _rank(ctx, name) > legacy_rank else LEGACY[name]
    return Kinds(**kinds)


def _rank(ctx: click.Context, name: str) -> int:
    order = (ParameterSource.DEFAULT_MAP, ParameterSource.ENVIRONMENT, ParameterSource.COMMANDLINE)
    source = ctx.get_parameter_source(name)
    return order.index(source) if source in order else -1


yes = click.option("--yes", is_flag=True, help="Do it even if data is lost.")


class NegativeNumbers(click.Command):
    """A command whose arguments may be negative numbers; a mistyped option is still refused."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Parse strictly first, for the errors; then let negative numbers pass as arguments.
        without = ["0" if _NEGATIVE_NUMBER.fullmatch(arg) else arg for arg in args]
        self.make_parser(ctx).parse_args(without)
        ctx.ignore_unknown_options = True
        return super().parse_args(ctx, [_without_letters(arg) for arg in args])


def _without_letters(arg: str) -> str:
    """Write -1e-5 without exponent: its `e` would be taken for an option."""
    return f"{Decimal(arg):f}" if _NEGATIVE_NUMBER.fullmatch(arg) and "e" in arg.lower() else arg


def examples(*commands: str) -> str:
    """Epilog of a command: a block that Click does not rewrap, each line indented by two spaces.

    A line is a command as typed in a shell, `#` starts a comment; a test runs all of them.
    """
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])
