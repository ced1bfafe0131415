"""Logs of prices and ticks as an installation has them, made in bulk."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pyupc.database.connect import connect

# The revision before the logs had partitions.
BEFORE = "0016"

_PRICES = """
    INSERT INTO upc_data.price (symbol, exchange, received_at, price, exchange_at)
    SELECT
        s, 'x', now() - %(ahead)s::interval - n * %(step)s::interval,
        1e5 + n + random(), now()
    FROM unnest('{BTC,ETH}'::text[]) AS s, generate_series(1, %(count)s) AS n
"""

_TICKS = """
    INSERT INTO upc_data.tick (
        symbol, tick_id, ticked_at, feed, state, market_at, price, priced_at, ttc_seconds, method,
        fingerprint, strikes, prob_above, closes_at, done_count, missed_count, answered_count,
        yes_ask, no_ask
    )
    SELECT
        s, m.last + row_number() OVER (PARTITION BY s ORDER BY n DESC), a.at, 'database', 'fresh',
        a.at, 1e5 + random(), a.at, 1, 'nearest', 'f',
        ARRAY(SELECT 1e5 + k * 250 FROM generate_series(1, 21) AS k),
        ARRAY(SELECT random() * 100 FROM generate_series(1, 21) AS k WHERE n > 0),
        date_trunc('hour', a.at) + interval '1 hour', n, 0, n,
        ARRAY(SELECT 0.5 FROM generate_series(1, 21)), ARRAY(SELECT 0.5 FROM generate_series(1, 21))
    FROM unnest('{BTC,ETH}'::text[]) AS s
    CROSS JOIN LATERAL (
        SELECT coalesce(max(t.tick_id), 0) AS last FROM upc_data.tick AS t WHERE t.symbol = s
    ) AS m
    CROSS JOIN generate_series(1, %(count)s) AS n
    CROSS JOIN LATERAL (
        SELECT now() - %(ahead)s::interval - n * %(step)s::interval AS at
    ) AS a
"""


def fill_logs(
    conn: Any, *, prices: int, ticks: int, ahead: timedelta = timedelta(seconds=1)
) -> None:
    """As many of both symbols: prices of 30 days, ticks of 3, the newest so long ago."""
    for query, count, days in ((_PRICES, prices, 30), (_TICKS, ticks, 3)):
        if count:
            step = (timedelta(days=days) - ahead) / count
            conn.execute(query.encode(), {"count": count, "step": step, "ahead": ahead})


def summaries(dsn: str) -> dict[str, tuple[Any, ...]]:
    """Number, sums and ends of the rows of each log."""
    queries = {
        "price": "SELECT count(*), sum(price::numeric), min(received_at), max(received_at)"
        " FROM upc_data.price",
        "tick": "SELECT count(*), sum(price::numeric), sum(tick_id), min(ticked_at),"
        " max(ticked_at), sum(prob_above[3]::numeric), sum(yes_ask[7])"
        " FROM upc_data.tick",
    }
    with connect(dsn) as conn:
        return {
            name: tuple(conn.execute(query.encode()).fetchall()[0])
            for name, query in queries.items()
        }
