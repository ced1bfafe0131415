"""The events that close next, as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pyupc.kalshi.load import Connection, in_utc
from pyupc.runtime.text import as_text

_CURRENT = """
    SELECT
        s.symbol, e.event_ticker, e.title, e.status,
        CASE WHEN e.event_ticker IS NOT NULL THEN upc.freshness(c.now - e.read_at) END,
        e.closes_at,
        (
            SELECT count(*) FROM upc_data.market_quote AS q
            WHERE q.symbol = s.symbol AND q.event_ticker = e.event_ticker
        ),
        e.step,
        extract(epoch FROM c.now - e.read_at)::double precision
    FROM upc_data.symbol AS s
    CROSS JOIN (SELECT clock_timestamp() AS now) AS c
    CROSS JOIN LATERAL upc.current_event(s.symbol, c.now) AS e
    WHERE s.symbol = ANY (%(symbols)s) OR %(symbols)s = '{}'
    ORDER BY s.symbol
"""


@dataclass(frozen=True)
class Current:
    """The event of a symbol that closes next; `step` in USD, and `age_seconds` of its quotes."""

    symbol: str
    event: str | None
    title: str | None
    status: str | None
    state: str | None
    closes_at: datetime | None
    markets: int
    step: float | None
    age_seconds: float | None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "closes_at": as_text(self.closes_at)}


def current_events(conn: Connection, symbols: Sequence[str]) -> list[Current]:
    """The events of these symbols, or of all; None for the values of a symbol without one."""
    with conn.transaction():
        in_utc(conn)
        for symbol in symbols:
            conn.execute("SELECT upc.require_symbol(symbol => %s::text)", [symbol])
        rows = conn.execute(_CURRENT, {"symbols": list(symbols)}).fetchall()
    return [Current(*row) for row in rows]
