"""Kalshi's events of every kind as JSON, and what is stored of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from tests.support.engine import Connection, instant

Row = dict[str, Any]

CLOSE = instant("2026-06-01T15:00")
NOW = instant("2026-06-01T14:40")


def rows(conn: Connection, query: str, *parameters: Any) -> list[Row]:
    found = conn.execute(query.encode(), parameters or None)
    names = [column.name for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found]


def market(name: str, event: str = "E", **fields: Any) -> Row:
    """A market that is traded; its ticker is that of the event and the name."""
    return {
        "ticker": f"{event}-{name}",
        "close_time": CLOSE.isoformat(),
        "status": "active",
        **fields,
    }


def markets_of(series: str, *markets: Row, event: str = "E") -> Row:
    """An answer of GET /events/{ticker}."""
    its = {"event_ticker": event, "series_ticker": series, "title": "Price?"}
    return {"event": {**its, "markets": list(markets)}}


def load_all(conn: Connection, document: Any, read_at: datetime | None = NOW) -> list[Row]:
    query = "SELECT * FROM upc.load_market(%s, read_at => %s)"
    return rows(conn, query, Jsonb(document), read_at)


def load(conn: Connection, document: Any, read_at: datetime | None = NOW) -> Row:
    [row] = load_all(conn, document, read_at)
    return row


def stored(conn: Connection, event: str = "E") -> list[Row]:
    query = "SELECT * FROM upc_data.market_quote WHERE event_ticker = %s ORDER BY ticker"
    return rows(conn, query, event)
