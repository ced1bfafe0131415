"""Rows as columns of text."""

from __future__ import annotations

from collections.abc import Sequence

import click


def print_columns(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> None:
    """Print columns as wide as their longest entry, the first `left` of them flush left."""
    for line in aligned([head, *rows], [place < left for place in range(len(head))]):
        click.echo(line)


def aligned(rows: Sequence[Sequence[str]], is_left: Sequence[bool]) -> list[str]:
    """One line per row, its columns as wide as their longest entry, flush left or right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(row, widths, is_left, strict=True)
        ).rstrip()
        for row in rows
    ]
