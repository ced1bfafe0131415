"""Symbols from a CSV file, so that many different ones are registered at once."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping

from pyupc.errors import PyupcError
from pyupc.symbols.add import New

REQUIRED = "symbol"
COLUMNS = ("symbol", "step", "pair", "series", "views")

_YES = {"yes", "true", "1"}
_NO = {"no", "false", "0", ""}


def read(lines: Iterable[str], name: str, *, step: float | None, has_views: bool) -> list[New]:
    """Symbols of a CSV text with a header: symbol, and perhaps step, pair, series and views.

    Series are separated by blanks; none is a symbol without markets. `step` and `has_views` hold
    where a cell is empty or there is no such column. PyupcError names the line that cannot be read.
    """
    try:
        rows = csv.DictReader(lines, skipinitialspace=True, strict=True)
        header = [column.strip().lstrip("\ufeff").lower() for column in rows.fieldnames or ()]
        _refuse_header(header, name)
        rows.fieldnames = header
        return [
            _new(row, f"{name}, line {rows.line_num}", step, has_views)
            for row in rows
            if any(row.values())
        ]
    except UnicodeDecodeError as problem:
        raise PyupcError(f"{name} is not UTF-8 text", "save it as CSV in UTF-8") from problem
    except csv.Error as problem:
        raise PyupcError(f"{name} is no CSV: {problem}") from problem


def _refuse_header(header: list[str], name: str) -> None:
    unknown = [column for column in header if column not in COLUMNS]
    if REQUIRED not in header or unknown or len(set(header)) < len(header):
        found = ", ".join(header) or "nothing"
        raise PyupcError(
            f"{name}: the header has {found}",
            f"begin with a line of the columns {','.join(COLUMNS)}; all but symbol are optional",
        )


def _new(row: Mapping[str, str | None], where: str, step: float | None, has_views: bool) -> New:
    if None in row or None in row.values():
        raise PyupcError(f"{where}: not as many cells as columns")
    cells = {column: (text or "").strip() for column, text in row.items()}
    own_step = _number(cells["step"], where) if cells.get("step") else step
    if own_step is None:
        raise PyupcError(f"{where}: no step", "give it in the column step, or with --step")
    return New(
        cells["symbol"],
        own_step,
        cells.get("pair") or None,
        tuple(cells.get("series", "").split()),
        _flag(cells.get("views", ""), where, has_views),
    )


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise PyupcError(f"{where}: {text!r} is no number") from None


def _flag(text: str, where: str, default: bool) -> bool:
    if text == "":
        return default
    if (word := text.lower()) not in _YES | _NO:
        raise PyupcError(f"{where}: {text!r} in the column views", "write yes or no")
    return word in _YES
