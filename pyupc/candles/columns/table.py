"""The first lines of a candle file, cut into fields."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pyupc.candles.columns.header import columns_by_name
from pyupc.candles.columns.layout import ROLES, SKIP, Layout, Unrecognised
from pyupc.candles.columns.numbers import step_of
from pyupc.candles.columns.values import minute_of, split

# A comma may be part of a number, the others are not.
DELIMITERS = ("\t", ";", "|", ",")

_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+([Ee][+-]?[0-9]+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+")


@dataclass(frozen=True)
class Table:
    """The first lines, cut into fields; `first` is the header or, without one, the first row."""

    skip: int
    delimiter: str
    is_decimal_comma: bool
    has_header: bool
    first: list[str]
    rows: list[list[str]]

    @property
    def line(self) -> int:
        return self.skip + (not self.has_header)

    @classmethod
    def cut(cls, lines: Sequence[str], symbol: str, columns: tuple[str, ...] | None) -> Table:
        start = _preamble(lines)
        if start == len(lines):
            raise Unrecognised("there is nothing but a title")
        delimiter = _delimiter(lines[start : start + 20])
        first = split(lines[start], delimiter)
        if first is None:
            raise Unrecognised("a quote in the header is not closed", start + 1)
        has_header = not _is_data(first)
        skip = start + has_header
        rows = [
            [field.strip() for field in fields]
            for line in lines[skip:]
            if line.strip() and (fields := split(line, delimiter)) and len(fields) == len(first)
        ]
        relevant = list(range(len(first)))
        if columns is not None:
            relevant = [c for c, role in enumerate(columns) if role != SKIP and c < len(first)]
        elif has_header:
            relevant = [c for found in columns_by_name(first, symbol).values() for c in found]
        is_decimal_comma = _is_decimal_comma(rows, relevant, skip)
        if is_decimal_comma:
            rows = [[_with_point(field) for field in row] for row in rows]
        return cls(skip, delimiter, is_decimal_comma, has_header, first, rows)

    def layout(self, picks: Sequence[int]) -> Layout:
        """Raises Unrecognised if these are candles of more than a minute."""
        step = step_of(minute_of(row[picks[0]]) for row in self.rows)
        if step is not None:
            raise Unrecognised(
                f"the candles are of {step:,} minutes, and those of one minute are needed",
                self.skip + 1,
            )
        return Layout(
            self.skip, self.delimiter, self.is_decimal_comma, len(self.first), tuple(picks)
        )


def _preamble(lines: Sequence[str]) -> int:
    """The number of lines before the header: an address, a comment, Excel's sep=, blank lines.

    A first line is the header even if it is blank.
    """
    for number, line in enumerate(lines[:20]):
        text = line.strip().strip('"').lower()
        if not text.startswith(("http://", "https://", "#", "sep=", "www.")) and (
            text or number == 0
        ):
            return number
    return min(len(lines), 20)


def _delimiter(lines: Sequence[str]) -> str:
    """The delimiter in the first line that cuts all lines into equally many fields."""
    found = [d for d in DELIMITERS if d in lines[0]]
    for delimiter in found:
        widths = [
            len(fields) if (fields := split(line, delimiter)) else 0
            for line in lines
            if line.strip()
        ]
        if widths[0] >= len(ROLES) and widths.count(widths[0]) == len(widths):
            return delimiter
    return max(found, key=lines[0].count, default=",")


def _is_data(fields: Sequence[str]) -> bool:
    """True if a line is no header: none of its fields but a few could be a name."""
    values = [field.strip() for field in fields]
    numbers = sum(bool(re.fullmatch(r"[+-]?[0-9.,]+([Ee][+-]?[0-9]+)?", v)) for v in values)
    return numbers >= 2 or any(minute_of(value) is not None for value in values)


def _is_decimal_comma(rows: Sequence[Sequence[str]], columns: Sequence[int], skip: int) -> bool:
    """True if commas are decimal points: some number has one that cannot set thousands apart."""
    values = (row[column] for row in rows for column in columns)
    commas = [value for value in values if "," in value and _DECIMAL_COMMA.fullmatch(value)]
    if not commas:
        return False
    if all(_THOUSANDS.fullmatch(value) for value in commas):
        raise Unrecognised(
            f"'{commas[0][:40]}' may have a decimal comma, or one between thousands", skip + 1
        )
    return True


def _with_point(value: str) -> str:
    return value.replace(",", ".") if _DECIMAL_COMMA.fullmatch(value) else value
