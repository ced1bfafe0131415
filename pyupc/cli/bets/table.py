"""Table of bets."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import click

from pyupc.cli.bets.lookup import Bets
from pyupc.cli.common.columns import print_columns
from pyupc.cli.common.terminal import is_screen
from pyupc.runtime.printable import printable

Row = dict[str, Any]

_HEAD = (
    *("symbol", "buy", "ask", "edge", "low", "high", "offered", "count", "traded", "closes in"),
    "news",
)


def _number(value: Decimal | float | None, decimals: int = 0) -> str:
    return "-" if value is None else f"{value:,.{decimals}f}"


def _ask(dollars: Decimal) -> str:
    """Cents, with what is below them only where there is any."""
    return f"{(100 * dollars).normalize():f}¢"


def _span(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _cells(symbol: str, row: Row) -> list[str]:
    return [
        symbol,
        f"{row['side'].capitalize()} {printable(row['contract'])}",
        _ask(row["ask"]),
        f"{row['edge']:+.2f}",
        f"{row['edge_low']:+.2f}",
        f"{row['edge_high']:+.2f}",
        _number(row["offered"]),
        # The size is what keeps it from being larger, where something does.
        _number(row["count"]) + (f" ({row['limited_by']})" if row["limited_by"] else ""),
        _number(row["volume"]),
        _span(row["ttc_seconds"]),
        printable(row["news"] or ""),
    ]


def print_bets(found: Sequence[Bets]) -> None:
    cells = [_cells(each.symbol, row) for each in found for row in each.rows]
    if cells:
        print_columns(list(_HEAD), cells, left=2)
    if is_screen():
        for each in found:
            for row in each.rows:
                if row["command"]:
                    click.echo(click.style(row["command"], dim=True))
    for each in found:
        if not each.rows:
            click.echo(f"{each.symbol}: {_nothing(each.document)}", err=True)


def _nothing(document: Row) -> str:
    """The reason why there is no bet."""
    if not document["suggest_bets"]:
        return "bets are silenced: pyupc config set suggest_bets on"
    if document["state"] in ("stale", "halted"):
        return f"no bets: the last tick is {document['state']}"
    rest = document["best_of_rest"]
    if rest is None:
        return "no contract with an edge"
    side, contract = rest["side"].capitalize(), printable(rest["contract"])
    return (
        f"nothing worth buying; best is {side} {contract} at {_ask(Decimal(str(rest['ask'])))},"
        f" edge {rest['edge']:+.2f} ({rest['edge_low']:+.2f} to {rest['edge_high']:+.2f})"
    )
