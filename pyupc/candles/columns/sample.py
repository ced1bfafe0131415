"""Rows of a candle file as numbers, a column at a time."""

from __future__ import annotations

from collections.abc import Sequence

from pyupc.candles.columns.values import minute_of, number_of


class Doubt(Exception):
    """There is no reading of the columns, or more than one; the message is the reason."""


class Sample:
    """Rows of a file as numbers, a column at a time."""

    def __init__(self, rows: Sequence[Sequence[str]], width: int) -> None:
        self.count = len(rows)
        self.width = width
        self._rows = rows
        self._numbers: dict[int, list[float] | None] = {}
        self._minutes: dict[int, list[int] | None] = {}

    def numbers(self, column: int) -> list[float] | None:
        """The column as numbers; None if any value is none."""
        if column not in self._numbers:
            found = [number_of(row[column]) for row in self._rows]
            whole = [value for value in found if value is not None]
            self._numbers[column] = whole if len(whole) == len(found) else None
        return self._numbers[column]

    def minutes(self, column: int) -> list[int] | None:
        """The column as minutes; None if any value names none, or if two are the same."""
        if column not in self._minutes:
            found = [minute_of(row[column]) for row in self._rows]
            whole = [value for value in found if value is not None]
            is_time = len(set(whole)) == len(found)
            self._minutes[column] = whole if is_time else None
        return self._minutes[column]
