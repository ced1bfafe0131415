"""The layout of a candle file from its first lines: `recognise` decides, or refuses."""

from __future__ import annotations

from collections.abc import Sequence

from pyupc.candles.columns import numbers
from pyupc.candles.columns.header import (
    TURNOVER_NAMES,
    columns_by_name,
    missing_role,
    plain,
    time_columns,
)
from pyupc.candles.columns.layout import ROLES, Layout, Unrecognised
from pyupc.candles.columns.sample import Doubt, Sample
from pyupc.candles.columns.table import Table
from pyupc.candles.columns.values import is_nothing
from pyupc.candles.columns.volume import is_turnover

# Lines that are looked at before any is taken.
SAMPLE_LINES = 4000


def recognise(lines: Sequence[str], symbol: str, columns: tuple[str, ...] | None = None) -> Layout:
    """The layout of a file from its first lines, at most SAMPLE_LINES; `columns` are the user's.

    Raises Unrecognised.
    """
    table = Table.cut(lines, symbol, columns)
    if columns is not None:
        if len(columns) > len(table.first):
            raise Unrecognised(
                f"--columns names {len(columns)} columns, and the line has {len(table.first)}",
                table.line,
            )
        return table.layout([columns.index(role) for role in ROLES])
    if not table.has_header:
        every = list(range(len(table.first)))
        return _by_numbers(table, dict.fromkeys(ROLES, every), "no line names the columns")
    found = columns_by_name(table.first, symbol)
    found["timestamp"] = time_columns(found["timestamp"], table.rows, table.first, table.line)
    if all(len(each) == 1 for each in found.values()):
        picks = [found[role][0] for role in ROLES]
        _refuse_contradiction(table, picks)
        return table.layout(picks)
    problem = missing_role(found)
    if not all(found.values()):
        raise Unrecognised(problem, table.line)
    return _by_numbers(table, found, problem)


def _by_numbers(table: Table, candidates: dict[str, list[int]], problem: str) -> Layout:
    """The layout by the numbers of the first lines; `problem` is why the names do not decide."""
    rows = [row for row in table.rows if len(row) - sum(map(is_nothing, row)) >= len(ROLES)]
    try:
        return table.layout(numbers.read(Sample(rows, len(table.first)), candidates))
    except Doubt as doubt:
        raise Unrecognised(f"{problem}, and {doubt}", table.line) from None


def _refuse_contradiction(table: Table, picks: Sequence[int]) -> None:
    """Believe the names of columns, unless the numbers prove that two of them are exchanged."""
    kept = [row for row in table.rows if not any(is_nothing(row[pick]) for pick in picks)]
    sample = Sample(kept, len(table.first))
    if numbers.order(sample, picks[0], picks[1], picks[4]) < 0:
        raise Unrecognised(
            "the numbers contradict the header: closes follow the opens of the minute before, as"
            " if open and close were exchanged",
            table.line,
        )
    volume = picks[5]
    for column, name in enumerate(map(plain, table.first)):
        if column == volume or name not in TURNOVER_NAMES:
            continue
        if is_turnover(sample, picks, column, volume) and not is_turnover(
            sample, picks, volume, column
        ):
            raise Unrecognised(
                f"the numbers contradict the header: {table.first[volume].strip()} is"
                f" {table.first[column].strip()} times the price, as if they were exchanged",
                table.line,
            )
