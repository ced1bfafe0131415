"""Roles of a candle file's columns, and where a file has them."""

from __future__ import annotations

from dataclasses import dataclass

ROLES = ("timestamp", "open", "high", "low", "close", "volume")
PRICES = ROLES[1:5]

SKIP = "-"

HINT = (
    f"the first line names the columns: {','.join(ROLES)}; or name them with --columns,"
    f" for example --columns time,open,high,low,close,volume,{SKIP}"
)


class Unrecognised(Exception):
    """A column is missing or ambiguous; `message` names it, `line` is the line, from 1."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@dataclass(frozen=True)
class Layout:
    """Positions of the values.

    `skip` lines come before the first candle; `picks` are the columns of ROLES.
    """

    skip: int
    delimiter: str
    is_decimal_comma: bool
    width: int
    picks: tuple[int, ...]
