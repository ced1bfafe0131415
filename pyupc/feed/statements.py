"""Statements of the feed."""

from __future__ import annotations

SYMBOLS = """
    SELECT
        s.symbol,
        s.exchange_pair,
        (
            SELECT array_agg(r.series ORDER BY r.kind, r.series)
            FROM upc_data.series AS r
            WHERE r.symbol = s.symbol AND r.is_followed
        )
    FROM upc_data.symbol AS s
    ORDER BY s.symbol
"""

SIMULATION = "SELECT upc.has_simulated_market()"

LAST_CANDLE = "SELECT max(c.opened_at) FROM upc_data.candle AS c WHERE c.symbol = %s"

PRICE = """
    SELECT upc.record_price(
        symbol => %s::text,
        exchange => %s::text,
        price => %s::double precision,
        exchange_at => %s::timestamptz,
        received_at => %s::timestamptz
    )
"""

PARTITIONS = "SELECT upc.make_partitions()"

CANDLES = """
    SELECT upc.record_candles(
        symbol => %s::text,
        opened_at => %s::timestamptz[],
        open => %s::double precision[],
        high => %s::double precision[],
        low => %s::double precision[],
        close => %s::double precision[],
        volume => %s::double precision[]
    )
"""

MARKET = """
    SELECT m.is_stored, m.event_ticker, m.left_out, m.unknown_status
    FROM upc.load_market(
        document => %s::jsonb, symbol => %s::text, read_at => %s::timestamptz
    ) AS m
"""

EXCHANGE_STATUS = """
    SELECT s.exchange_index, s.description, s.is_paused, s.is_news, s.resumes_at
    FROM upc.load_exchange_status(
        document => %s::jsonb, read_at => %s::timestamptz
    ) AS s
"""

SERIES = "SELECT s.is_changed FROM upc.load_series(document => %s::jsonb) AS s"

HELD = """
    SELECT DISTINCT t.event_ticker
    FROM upc_data.trade AS t
    WHERE t.symbol = %s AND t.ended_at IS NULL
"""

HELD_UNTIL = """
    SELECT t.event_ticker, max(coalesce(e.closes_at, t.closes_at))
    FROM upc_data.trade AS t
    LEFT JOIN upc_data.market_event AS e
        ON e.symbol = t.symbol AND e.event_ticker = t.event_ticker
    WHERE t.symbol = %s AND t.ended_at IS NULL
    GROUP BY t.event_ticker
    ORDER BY 2, 1
"""

RATE = "SELECT upc.kalshi_rate()"

UNSETTLED = """
    SELECT u.event_ticker, u.closes_at
    FROM upc.unsettled_events(symbol => %s::text, at => %s::timestamptz) AS u
"""
