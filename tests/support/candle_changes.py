"""Candles written with SQL of a test's own, and the notes that belong to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeVar

import numpy as np
import psycopg
from numpy.typing import NDArray

HALF_HOUR = 30

_CANDLES = "SELECT c.symbol, c.opened_at, c::text FROM upc_data.candle AS c"

_T = TypeVar("_T", bound=tuple[Any, ...])


def write_candles(
    conn: psycopg.Connection[_T], statement: str, parameters: Any = None
) -> psycopg.Cursor[_T]:
    """Run a statement that writes candles, and note what it has changed."""
    before = _stored(conn)
    done = conn.execute(statement.encode(), parameters)
    after = _stored(conn)
    note(conn, (key for key in before.keys() | after.keys() if before.get(key) != after.get(key)))
    return done


def note(conn: psycopg.Connection[Any], candles: Iterable[tuple[str, datetime]]) -> None:
    """Note changed candles, by symbol and opening."""
    by_symbol: dict[str, list[int]] = {}
    for symbol, at in candles:
        by_symbol.setdefault(symbol, []).append(int(at.timestamp()) // 60)
    for symbol, minutes in by_symbol.items():
        note_minutes(conn, symbol, np.array(sorted(minutes)))


def note_minutes(conn: psycopg.Connection[Any], symbol: str, minutes: NDArray[np.int64]) -> None:
    """The same by minutes since 1970, ascending: each run of half hours by a call."""
    for first, last in _runs(minutes):
        conn.execute(
            "SELECT upc.note_candle_changes(%s, to_timestamp(%s), to_timestamp(%s))",
            (symbol, 60 * first, 60 * (last + 1)),
        )


def _stored(conn: psycopg.Connection[Any]) -> dict[tuple[str, datetime], str]:
    with conn.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        return {(symbol, at): text for symbol, at, text in cursor.execute(_CANDLES)}


def _runs(minutes: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """First and last minute of each run that no half hour interrupts."""
    if len(minutes) == 0:
        return
    ends = np.flatnonzero(np.diff(minutes // HALF_HOUR) > 1)
    firsts = [minutes[0], *minutes[ends + 1]]
    lasts = [*minutes[ends], minutes[-1]]
    for first, last in zip(firsts, lasts, strict=True):
        yield int(first), int(last)


def minutes_of(since: datetime, until: datetime) -> NDArray[np.int64]:
    """Minutes since 1970 from one instant to before another."""
    length = (until - since) // timedelta(minutes=1)
    return int(since.timestamp()) // 60 + np.arange(length)
