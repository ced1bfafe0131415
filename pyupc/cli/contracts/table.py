"""Table of contracts, in colour on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click

from pyupc.cli.common.columns import print_columns
from pyupc.cli.common.terminal import is_screen
from pyupc.runtime.printable import printable

Row = dict[str, Any]


def _plain(number: Decimal | None) -> str:
    """All digits of a number, without zeros at the end."""
    if number is None:
        return "-"
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _rounded(number: float | None) -> str:
    return "-" if number is None else f"{number:,.2f}"


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%m-%d %H:%M}Z"


def _text(value: Any) -> str:
    return "-" if value is None else printable(str(value))


# Heading: column of contract_table, and the function that formats it.
_COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "ticker": ("ticker", _text),
    "state": ("state", _text),
    "closes": ("closes_at", _time),
    "lower": ("lower", _plain),
    "upper": ("upper", _plain),
    "prob": ("probability", _rounded),
    "low": ("prob_low", _rounded),
    "high": ("prob_high", _rounded),
    "yes ask": ("yes_ask", _plain),
    "no ask": ("no_ask", _plain),
    "yes edge": ("yes_edge", _rounded),
    "no edge": ("no_edge", _rounded),
    "reason": ("edge_reason", _text),
}
_LEFT = ("ticker", "state", "closes")

# Columns that fit, by the least width of the terminal.
_FITTING: tuple[tuple[int, tuple[str, ...]], ...] = (
    (140, tuple(_COLUMNS)),
    (100, ("ticker", "lower", "upper", "prob", "yes ask", "no ask", "yes edge", "no edge")),
    (0, ("ticker", "prob", "yes edge", "no edge")),
)


def print_contracts(rows: Sequence[Row]) -> None:
    if not rows:
        click.echo("no contracts", err=True)
    elif is_screen():
        _print_rich(rows)
    else:
        cells = [_cells(row, list(_COLUMNS)) for row in rows]
        print_columns(list(_COLUMNS), cells, left=len(_LEFT))


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    return [write(row[column]) for column, write in (_COLUMNS[name] for name in names)]


def _print_rich(rows: Sequence[Row]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown = next(names for width, names in _FITTING if console.width >= width)
    for name in shown:
        table.add_column(name, justify="left" if name in _LEFT else "right", overflow="fold")
    for row in rows:
        cells = [
            Text(cell, _edge_style(row[_COLUMNS[name][0]]) if name.endswith(" edge") else "")
            for name, cell in zip(shown, _cells(row, shown), strict=True)
        ]
        table.add_row(*cells)
    console.print(table)


def _edge_style(edge: float | None) -> str:
    return "green" if edge is not None and edge > 0 else ""
