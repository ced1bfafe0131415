"""A healthy symbol, and its status."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from tests.support.engine import Connection, build, put, scalar, walk
from tests.support.trading import (
    CLOSE,
    FINE,
    Row,
    load_event,
    put_price,
    read_quotes,
    seconds,
    table,
    tick,
)

NOW = CLOSE - timedelta(minutes=20)
HISTORY = walk(700, "2026-06-01T12:00", 160, price=100_000)  # to 20 minutes before the close
LEASE = timedelta(days=3650)


def prepare(conn: Connection) -> None:
    """Insert all that BTC depends on, but for current prices, quotes and ticks."""
    put(conn, "BTC", HISTORY)
    build(conn)
    load_event(conn)
    for lag in (1, 2, 3, 4, 15, 30):
        put_price(conn, FINE, NOW - timedelta(minutes=lag))


def make_healthy(conn: Connection) -> Connection:
    """Make the symbol healthy, with a tick at NOW."""
    put_price(conn, FINE + 1, NOW)
    read_quotes(conn, NOW)
    tick(conn, NOW, holder="one", lease=LEASE)
    # The lease goes by the server's clock.
    conn.execute("UPDATE upc_data.tick_lease SET expires_at = %s", (NOW + seconds(1.75),))
    return conn


def status(conn: Connection, at: Any = NOW, symbol: str = "BTC") -> Row:
    [row] = table(conn, "SELECT * FROM upc.status(%s, %s)", (symbol, at))
    return row


def document(conn: Connection, *symbols: str, at: Any = NOW) -> Row:
    query = "SELECT upc.status_document(%s::text[], %s)"
    found: Row = json.loads(scalar(conn, query, list(symbols) or None, at))
    return found
