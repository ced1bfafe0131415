"""Tables of paper trades."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import click

from pyupc.cli.common.columns import print_columns
from pyupc.runtime.printable import printable

Row = dict[str, Any]

_HEAD = ("PAPER", "bought (UTC)", "buy", "count", "ask", "said", "edge", "result", "profit")


def print_trades(rows: Sequence[Row]) -> None:
    """Print a line a trade."""
    if not rows:
        click.echo("no paper trades: pyupc paper run buys what is suggested")
        return
    print_columns(_HEAD, [_cells(row) for row in rows], left=3)


def _cells(row: Row) -> list[str]:
    return [
        row["symbol"],
        f"{row['bought_at']:%Y-%m-%d %H:%M:%S}",
        f"{row['side'].capitalize()} {printable(row['contract'])}",
        f"{row['count']:,f}",
        f"{(100 * row['ask']).normalize():f}¢",
        f"{row['probability']:.1f}",
        f"{row['edge']:+.1f}",
        _result(row),
        "-" if row["profit"] is None else f"{row['profit']:+,.2f}",
    ]


def _result(row: Row) -> str:
    if row["result"] is None:
        return "open"
    return str(row["result"]) if row["is_final"] else f"{row['result']}?"


def print_report(rows: Sequence[Row], head: Sequence[str]) -> None:
    """Print a line a row: numbers with two decimals, - where one is not known."""
    if not rows:
        click.echo("no paper trades: pyupc paper run buys what is suggested")
        return
    names = ("PAPER", *(name.replace("_", " ") for name in head[1:]))
    cells = [[row["symbol"], *(_number(row[name]) for name in head[1:])] for row in rows]
    print_columns(names, cells, left=1)


def _number(value: int | float | Decimal | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
