"""`pyupc candles gaps`: the minutes without a candle."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from pyupc.cli.common.columns import print_columns
from pyupc.cli.common.options import examples, symbols
from pyupc.cli.common.output import Output, output_options, print_rows
from pyupc.cli.common.span import bounds, refuse_reversed

if TYPE_CHECKING:
    from pyupc.candles.gaps import Gap

COLUMNS = ("symbol", "from", "until", "minutes", "exchanges")


@click.command(
    epilog=examples(
        "pyupc candles gaps --symbol BTC",
        "pyupc candles gaps --since 2023-03-24 --until 2023-03-25 --json",
        "pyupc candles gaps --csv > gaps.csv",
    )
)
@symbols
@bounds("the symbol's first stored candle", "after its last one")
@output_options
def gaps(
    symbols: tuple[str, ...], since: datetime | None, until: datetime | None, output: Output
) -> None:
    """List gaps: minutes without a candle.

    A gap is open, or a hole: minutes that an exchange was asked for and has no candle of.
    """
    refuse_reversed(since, until)

    from pyupc.candles.gaps import find_gaps
    from pyupc.candles.load import registered_symbols
    from pyupc.database import schema
    from pyupc.database.connect import connect

    with connect() as conn:
        schema.check(conn)
        chosen = symbols or tuple(registered_symbols(conn))
        found = {symbol: find_gaps(conn, symbol, since, until) for symbol in chosen}
    rows = [{"symbol": s, **gap.as_json()} for s, each in found.items() for gap in each]
    print_rows(rows, output, human=lambda: _print_gaps(found), columns=COLUMNS)


def _print_gaps(found: dict[str, list[Gap]]) -> None:
    from pyupc.runtime.text import as_text, count_of

    rows = [
        (
            symbol,
            as_text(gap.opened_from) or "",
            as_text(gap.opened_until) or "",
            f"hole of {', '.join(gap.exchanges)}" if gap.exchanges else "open",
            f"{gap.minutes:,}",
        )
        for symbol, gaps in found.items()
        for gap in gaps
    ]
    if rows:
        print_columns(("symbol", "from", "until", "state", "minutes"), rows, left=4)
        click.echo()
    for symbol, gaps in found.items():
        missing = count_of(sum(gap.minutes for gap in gaps), "minute")
        click.echo(f"{symbol}: {missing} missing")
