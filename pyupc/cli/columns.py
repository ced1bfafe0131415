"""Rows as columns of text."""

from __future__ import annotations

from collections.abc import Sequence

import click


def print_columns(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> None:
    """Columns as wide as their longest entry, the first `left` of them flush left."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())
