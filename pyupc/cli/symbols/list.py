"""`pyupc symbols list`: the symbols, and what each has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from pyupc.cli.common.columns import print_columns
from pyupc.cli.common.options import examples, symbols
from pyupc.cli.common.output import Output, output_options, print_rows
from pyupc.runtime.printable import printable

if TYPE_CHECKING:
    from pyupc.symbols.listing import Symbol


@click.command(
    name="list",
    epilog=examples("pyupc symbols list", "pyupc symbols list --symbol BTC --json"),
)
@symbols
@output_options
def list_(symbols: tuple[str, ...], output: Output) -> None:
    """List the symbols, with what is stored of each and who works for it.

    Fed shows the exchange of the feed that runs, ticked the process that ticks it.
    """
    from pyupc.database import schema
    from pyupc.database.connect import connect
    from pyupc.symbols.listing import Symbol
    from pyupc.symbols.listing import symbols as listed

    with connect(application_name="pyupc symbols") as conn:
        schema.check(conn)
        found = listed(conn, symbols)
    columns = [field.name for field in fields(Symbol)]
    print_rows(
        [asdict(each) for each in found], output, human=lambda: _print(found), columns=columns
    )


def _print(found: Sequence[Symbol]) -> None:
    head = (
        *("symbol", "pair", "series", "candles", "fingerprints", "views", "fed", "ticked"),
        "step",
    )
    print_columns(head, [_cells(each) for each in found], left=len(head) - 1)


def _cells(each: Symbol) -> tuple[str, ...]:
    return (
        each.symbol,
        "being retired" if each.is_retiring else printable(each.pair or ""),
        printable(" ".join(each.series)),
        _span(each.first_candle, each.last_candle),
        "yes" if each.has_fingerprints else "",
        "yes" if each.has_views else "",
        printable(each.fed_from or ""),
        printable(each.ticked_by or ""),
        "" if each.step is None else f"{each.step:.15g}",
    )


def _span(first: datetime | None, last: datetime | None) -> str:
    if first is None or last is None:
        return ""
    return f"{first.astimezone(UTC):%Y-%m-%d} to {last.astimezone(UTC):%Y-%m-%d}"
