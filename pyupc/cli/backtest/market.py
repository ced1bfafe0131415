"""Options and runs of `pyupc backtest --against market`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from pyupc.cli.backtest.options import OF_A_RUN, SPANS
from pyupc.runtime.printable import printable

# Names of their arguments.
OF_THE_MARKET = ("against", "quotes", "prices")

_OPTIONS = (
    click.option(
        "--against",
        type=click.Choice(["market"]),
        help="Test against the market: about contracts that quotes were recorded of.",
    ),
    click.option(
        "--quotes",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FILE",
        help="CSV file of recorded quotes, or of their contracts, settlements or prices;"
        " repeatable. Default: the quotes that are stored.",
    ),
    click.option(
        "--prices",
        type=click.Choice(["recorded", "basis", "candles"]),
        default="recorded",
        show_default=True,
        help="Prices to ask about: recorded beside the quotes, where they are; those of candles"
        " less the basis of the last 12 settlements; those of candles as they are.",
    ),
)


def market_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, each as an argument."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def refuse_market_mixtures(ctx: click.Context, against: str | None) -> None:
    """Refuse options that go without --against market, or not with it."""
    refused = OF_THE_MARKET[1:] if against is None else set(OF_A_RUN) - set(SPANS)
    for parameter in ctx.command.params:
        name = parameter.name or ""
        if name in refused and ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            how = "goes with" if against is None else "does not go with"
            raise click.UsageError(f"{parameter.opts[0]} {how} --against market", ctx)


def run_market(
    dsn: str,
    symbols: Sequence[str],
    quotes: Sequence[Path],
    prices: str,
    given: Mapping[str, Any],
) -> list[tuple[str, int]]:
    """Symbol and number of each new backtest; what was left out is reported on stderr."""
    from pyupc.analysis.market.run import Found, MarketSettings, run
    from pyupc.runtime.progress import progress

    def report(found: Found) -> None:
        stored = found.stored
        if stored.repeated:
            click.echo(f"{found.symbol}: {stored.repeated:,} quotes were there twice", err=True)
        for reason, (count, example) in sorted(stored.left_out.items()):
            text = f"{found.symbol}: left out {count:,} quotes, {reason}: {example}"
            click.echo(printable(text), err=True)
        unscored = found.answered - found.scored
        click.echo(
            f"{found.symbol}: {found.scored:,} quotes with bid and ask are scored, {unscored:,}"
            " more have one of them: of a contract one a minute, up to a minute before the close",
            err=True,
        )

    settings = MarketSettings(**{name: given[name] for name in SPANS}, prices=prices)
    try:
        with progress("reading quotes", "days", has_end=True) as shown:
            found = run(dsn, symbols, quotes, settings, shown)
    except KeyboardInterrupt:
        click.echo("unfinished backtests are deleted", err=True)
        raise
    for each in found:
        report(each)
    return [(each.symbol, each.backtest_id) for each in found]
