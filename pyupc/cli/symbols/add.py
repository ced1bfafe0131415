"""`pyupc symbols add`: register symbols."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyupc.cli.common.options import examples
from pyupc.cli.common.output import Output, output_options, print_rows
from pyupc.errors import PyupcError, UsageProblem

if TYPE_CHECKING:
    from pyupc.symbols.add import New

COLUMNS = ("symbol", "step", "pair", "series", "has_views")


@click.command(
    epilog=examples(
        "pyupc symbols add SOL --step 2",
        "pyupc symbols add XRP --step 0.02 --pair XRP/USDT --series KXXRPD --series KXXRP",
        "pyupc symbols add ADA DOT LTC --step 0.05 --json",
        "pyupc symbols add AVAX --step 0.5 --views",
        "pyupc symbols add --file symbols.csv",
    )
)
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option(
    "--step",
    type=float,
    metavar="USD",
    help="Distance between two strikes; of a file, where it has none.",
)
@click.option("--pair", metavar="PAIR", help="Pair at the exchange. Default: NAME/USD.")
@click.option(
    "--series",
    multiple=True,
    metavar="SERIES",
    help="Kalshi series of its events; repeatable; none for a symbol without markets."
    " Default: those that are known of it.",
)
@click.option("--views", is_flag=True, help="With named views in analytics, like BTC and ETH.")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="CSV with the columns symbol,step,pair,series,views; - reads stdin.",
)
@output_options
def add(
    names: tuple[str, ...],
    step: float | None,
    pair: str | None,
    series: tuple[str, ...],
    views: bool,
    path: Path | None,
    output: Output,
) -> None:
    """Register symbols: all of them, or none if one is refused.

    A NAME has 1 to 26 upper-case letters and digits. Several have the step in common; --file
    registers different ones. Its header names the columns, all but symbol are optional, and several
    series are separated by blanks.

    Next: pyupc candles backfill or load, then pyupc fingerprints build. Without --views
    fingerprint('SOL', 7) shows what a named view would; create_named_views('SOL') makes them later.
    """
    new = _wanted(names, step, pair, series, views, path)
    _refuse_repetition([each.symbol for each in new])

    from pyupc.database import schema
    from pyupc.database.connect import connect
    from pyupc.runtime.progress import counting
    from pyupc.symbols.add import add as register

    with connect(application_name="pyupc symbols") as conn:
        schema.check(conn)
        with counting("creating views", "symbols") as show_progress:
            register(conn, new, show_progress)
    rows = [
        {
            "symbol": each.symbol,
            "step": each.step,
            "pair": each.pair or f"{each.symbol}/USD",
            "series": list(each.series),
            "has_views": each.has_views,
        }
        for each in new
    ]
    print_rows(rows, output, human=lambda: _print(new), columns=COLUMNS)


def _wanted(
    names: Sequence[str],
    step: float | None,
    pair: str | None,
    series: tuple[str, ...],
    views: bool,
    path: Path | None,
) -> list[New]:
    from pyupc.symbols.add import New

    if path is not None:
        if names or pair is not None or series:
            raise UsageProblem("--file has the names, pairs and series", "leave the others out")
        return _read(path, step, views)
    if not names:
        raise UsageProblem("no symbol is named", "name one, or a file of them with --file")
    if step is None:
        raise UsageProblem("--step is missing", "the distance between two strikes: --step 2")
    if len(names) > 1 and (pair is not None or series):
        raise UsageProblem(
            "a pair and a series belong to one symbol", "register several with --file"
        )
    return [New(name, step, pair, series, views) for name in names]


def _read(path: Path, step: float | None, views: bool) -> list[New]:
    from pyupc.symbols.sheet import read

    if str(path) == "-":
        found = read(sys.stdin, "stdin", step=step, has_views=views)
    else:
        with path.open(encoding="utf-8", newline="") as file:
            found = read(file, str(path), step=step, has_views=views)
    if not found:
        raise PyupcError(f"{path} has no symbols")
    return found


def _refuse_repetition(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise PyupcError(f"{name} is named twice", "name each symbol once")
        seen.add(name)


def _print(new: Sequence[New]) -> None:
    from pyupc.symbols.names import some

    if len(new) > 1:
        click.echo(f"{len(new):,} symbols registered: {some(each.symbol for each in new)}")
        return
    [one] = new
    pair = one.pair or f"{one.symbol}/USD"
    markets = f", markets of {', '.join(one.series)}" if one.series else ""
    click.echo(f"{one.symbol} registered: step {one.step:.15g}, prices of {pair}{markets}")
    click.echo(f"next: pyupc candles backfill --symbol {one.symbol}, or pyupc candles load")
