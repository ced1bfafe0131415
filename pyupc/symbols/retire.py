"""Retiring a symbol: all of its rows are removed, in batches that are committed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg

from pyupc.errors import Busy

Connection = psycopg.Connection[tuple[Any, ...]]

BATCH = 20_000

# Those who have seen the symbol are ticks and feeds, whose transactions are over in a moment, or
# somebody who loads candles or has a session open.
PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.05


def rows(conn: Connection, symbol: str) -> dict[str, int]:
    """Rows of a symbol by table; psycopg's error UP002 for one that there is not."""
    found = conn.execute("SELECT r.name, r.rows FROM upc.symbol_rows(%s::text) AS r", (symbol,))
    return dict(found.fetchall())


def retire(
    conn: Connection,
    symbol: str,
    *,
    batch: int = BATCH,
    on_batch: Callable[[int], None] = lambda removed: None,
    patience: float = PATIENCE_SECONDS,
    wait: Callable[[float], object] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> dict[str, int]:
    """Remove everything of a symbol; returns the number of rows by table.

    `on_batch` gets the number of rows of each batch. It may be interrupted at any time and
    called again: the rows of both are in the result. Raises psycopg's errors with the SQLSTATEs
    of upc.begin_retirement, and Busy if a transaction that has seen the symbol does not end.
    """
    conn.execute("SELECT upc.begin_retirement(%s::text)", (symbol,))
    give_up_at = now() + patience
    while True:
        while removed := _batch(conn, symbol, batch):
            on_batch(removed)
            give_up_at = now() + patience
        row = conn.execute("SELECT upc.end_retirement(%s::text)", (symbol,)).fetchone()
        if row is not None and row[0] is not None:
            return dict(sorted(row[0].items()))
        if now() >= give_up_at:
            raise _late(conn, symbol)
        wait(PAUSE_SECONDS)


def _batch(conn: Connection, symbol: str, batch: int) -> int:
    query = "SELECT b.removed FROM upc.retire_batch(%s::text, %s::integer) AS b"
    row = conn.execute(query, (symbol, batch)).fetchone()
    return row[0] if row is not None else 0


def _late(conn: Connection, symbol: str) -> Busy:
    found = conn.execute(
        "SELECT b.pid, b.application FROM upc.retirement_blockers(%s::text) AS b ORDER BY 1",
        (symbol,),
    ).fetchall()
    sessions = ", ".join(f"process {pid} ({name or 'unnamed'})" for pid, name in found)
    return Busy(
        f"transactions that have seen {symbol} are still open: {sessions or 'unknown ones'}",
        f"end them, then repeat: pyupc symbols retire {symbol} --yes",
    )
