"""Upgrades to and downgrades from ids that are counted per symbol."""

from __future__ import annotations

from pyupc.database.migrate import downgrade, upgrade
from tests.support.engine import Connection, build, open_db, put, scalar, walk


def tick(conn: Connection, symbol: str) -> int:
    return int(scalar(conn, "SELECT tick_id FROM upc.tick(%s, 'simulated')", symbol))


def announce(conn: Connection, symbol: str) -> int:
    query = "SELECT upc._announce(%s, 'stop', 'trade', 'm', '{}', now())"
    return int(scalar(conn, query, symbol)["announcement_id"])


def ids(conn: Connection, table: str, column: str) -> list[tuple[str, int]]:
    query = f"SELECT symbol, {column} FROM upc_data.{table} ORDER BY 1, 2"
    return conn.execute(query.encode()).fetchall()


# A row as the revision before numbered them, over all symbols.
OLD_TICK = """
    INSERT INTO upc_data.tick (
        symbol, ticked_at, feed, state, market_at, price, priced_at, ttc_seconds, method,
        fingerprint, strikes, prob_above
    )
    VALUES (%s, now(), 'simulated', 'fresh', now(), 1, now(), 60, 'nearest', 'f', '{1}', '{1}')
    RETURNING tick_id
"""

OLD_ANNOUNCEMENT = """
    INSERT INTO upc_data.announcement (symbol, announced_at, kind, subject, message, document)
    VALUES (%s, now(), 'stop', 'trade', 'm', '{}')
    RETURNING announcement_id
"""


def test_ids_stay_and_are_counted_on(fresh_db: str) -> None:
    with open_db(fresh_db) as conn:
        for symbol in ("BTC", "ETH"):
            put(conn, symbol, walk(130, "2026-03-02", 200))
        build(conn)
        for symbol in ("BTC", "BTC", "ETH"):
            tick(conn, symbol)
            announce(conn, symbol)
    downgrade(fresh_db, "0012")
    with open_db(fresh_db) as conn:
        # They are unique over all symbols again.
        assert [scalar(conn, OLD_TICK, symbol) for symbol in ("ETH", "BTC", "ETH")] == [3, 4, 5]
        assert [scalar(conn, OLD_ANNOUNCEMENT, symbol) for symbol in ("BTC", "ETH")] == [3, 4]
        old = ids(conn, "tick", "tick_id"), ids(conn, "announcement", "announcement_id")
    upgrade(fresh_db)
    with open_db(fresh_db) as conn:
        new = ids(conn, "tick", "tick_id"), ids(conn, "announcement", "announcement_id")
        assert new == old
        assert [tick(conn, symbol) for symbol in ("BTC", "ETH", "BTC")] == [5, 6, 6]
        assert [announce(conn, symbol) for symbol in ("BTC", "ETH", "BTC")] == [4, 5, 5]
