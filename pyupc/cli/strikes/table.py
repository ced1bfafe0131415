"""Table of strikes, in colour on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from pyupc.cli.common.terminal import is_screen
from pyupc.cli.strikes import models
from pyupc.cli.strikes.lookup import COLUMNS, Basis, Row
from pyupc.price_text import grouped_price, price_decimals

_DECIMALS = {
    "move_percent": 3,
    "prob_beyond": 2,
    "prob_within": 2,
    "positive_prob": 2,
    "negative_prob": 2,
    "prob_above": 2,
    "prob_low": 2,
    "prob_high": 2,
    "deviation": 4,
}

_NAMES = (*COLUMNS[:9], "prob_low", "prob_high", "sample_size")

# Columns that fit, by the least width of the terminal.
_COLUMNS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (124, _NAMES),
    (74, ("strike", "move_percent", "prob_within", "prob_above", "prob_low", "prob_high")),
    (50, ("strike", "move_percent", "prob_within", "prob_above")),
    (0, ("strike", "prob_above")),
)


def print_strikes(answers: Sequence[tuple[Basis, list[Row]]]) -> None:
    if is_screen():
        for basis, rows in answers:
            _print_rich(f"{basis.symbol} {grouped_price(basis.price)}", rows)
        return
    for number, (_, rows) in enumerate(answers):
        if number:
            click.echo()
        lines = [list(rows[0]) if rows else [], *(_cells(row) for row in rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
            click.echo("  ".join(cells))


def _print_rich(title: str, rows: list[Row]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    if rows and "prob_low" in rows[0]:
        shown = next(names for width, names in _COLUMNS if console.width >= width)
    else:
        shown = models.COLUMNS
    for name in shown:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        cells = _cells({name: row[name] for name in shown})
        table.add_row(*cells, style="bold" if row["direction"] == "above" else "")
    if rows and "fingerprint" in rows[0]:
        table.caption = rows[0]["fingerprint"]
    console.print(table)


def _cells(row: Row) -> list[str]:
    # A distance between prices has the decimals of a price.
    buffer = {"buffer": price_decimals(row["strike"])}
    return [_cell(value, name, _DECIMALS | buffer) for name, value in row.items()]


def _cell(value: Any, name: str, decimals: Mapping[str, int]) -> str:
    if value is None:
        return "-"
    if name in models.COLUMNS and name not in models.COMMON:
        return f"{value:.2f}"
    if name in decimals:
        return f"{value:.{decimals[name]}f}"
    return f"{value:.10g}" if isinstance(value, float) else str(value)
