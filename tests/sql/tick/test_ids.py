"""Ids of ticks and announcements: counted per symbol, in the order of commits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.support.engine import Connection, build, open_db, put, scalar, wait_until_blocked, walk

BUILT = {"BTC": walk(120, "2026-03-02", 200), "ETH": walk(121, "2026-03-02", 200)}

NOW = datetime(2026, 6, 1, 14, 40, tzinfo=UTC)


def tick(conn: Connection, symbol: str, feed: str = "simulated", holder: str | None = None) -> int:
    query = "SELECT tick_id FROM upc.tick(%s, %s, holder => %s)"
    return int(scalar(conn, query, symbol, feed, holder))


def announce(conn: Connection, symbol: str, at: datetime = NOW, message: str = "m") -> int:
    query = "SELECT upc._announce(%s, 'stop', 'trade', %s, '{}', %s)"
    return int(scalar(conn, query, symbol, message, at)["announcement_id"])


def test_each_symbol_counts_its_own_ticks(conn: Connection) -> None:
    order = ["BTC", "ETH", "BTC", "BTC", "ETH"]
    assert [tick(conn, symbol) for symbol in order] == [1, 1, 2, 3, 2]


@pytest.mark.parametrize("feed", ["replay", "simulated"])
def test_neither_release_nor_retention_lets_an_id_come_twice(conn: Connection, feed: str) -> None:
    assert tick(conn, "BTC", feed, "one") == 1
    conn.execute("SELECT upc.release_lease('BTC', 'one')")
    assert tick(conn, "BTC", feed) == 2
    conn.execute("SELECT upc.delete_expired(at => clock_timestamp() + interval '1000 days')")
    assert scalar(conn, "SELECT count(*) FROM upc_data.tick") == 0
    assert tick(conn, "BTC", feed) == 3


def test_documents_and_log_have_the_same_id(conn: Connection) -> None:
    tick(conn, "ETH")
    for _ in range(3):
        tick(conn, "BTC")
    query = (
        "SELECT d.symbol, d.tick_id, (d.live_probabilities ->> 'tick_id')::int,"
        " (d.strike_table ->> 'tick_id')::int, (d.watchlist ->> 'tick_id')::int,"
        " (d.active_trades ->> 'tick_id')::int, max(t.tick_id)"
        " FROM upc_data.document AS d JOIN upc_data.tick AS t USING (symbol)"
        " GROUP BY d.symbol ORDER BY d.symbol"
    )
    rows = conn.execute(query).fetchall()
    assert rows == [("BTC", 3, 3, 3, 3, 3, 3), ("ETH", 1, 1, 1, 1, 1, 1)]


@pytest.mark.parametrize("is_undone", [False, True])
@pytest.mark.parametrize("has_ticked", [False, True])
def test_two_sessions_get_ids_in_the_order_of_their_commits(
    fresh_db: str, own: Connection, has_ticked: bool, is_undone: bool
) -> None:
    put(own, "BTC", BUILT["BTC"])
    build(own)
    before = tick(own, "BTC") if has_ticked else 0
    with open_db(fresh_db, autocommit=False) as first, ThreadPoolExecutor(1) as pool:
        assert tick(first, "BTC") == before + 1
        second = pool.submit(tick, own, "BTC")
        wait_until_blocked(first, own, second)
        if is_undone:
            first.rollback()
        else:
            first.commit()
        # The second tick is visible after the first one, so its id is higher; one that was undone
        # was never seen.
        assert second.result() == before + (1 if is_undone else 2)


def test_one_symbol_does_not_wait_for_another(fresh_db: str, own: Connection) -> None:
    for symbol, series in BUILT.items():
        put(own, symbol, series)
    build(own)
    with open_db(fresh_db, autocommit=False) as other:
        tick(other, "ETH")
        announce(other, "ETH")
        own.execute("SET lock_timeout = '1s'")
        assert (tick(own, "BTC"), announce(own, "BTC")) == (1, 1)


def test_announcements_wait_for_one_another_and_not_for_ticks(
    fresh_db: str, own: Connection
) -> None:
    put(own, "BTC", BUILT["BTC"])
    build(own)
    with open_db(fresh_db, autocommit=False) as other:
        assert announce(other, "BTC") == 1
        own.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            announce(own, "BTC")
        assert tick(own, "BTC") == 1
        other.commit()
    assert announce(own, "BTC") == 2


def test_a_first_id_is_behind_all_that_there_are(conn: Connection) -> None:
    """Rows from before ids were counted, of ticks that have been deleted since, too."""
    tick(conn, "BTC")
    announce(conn, "BTC")
    conn.execute("UPDATE upc_data.tick SET tick_id = 41")
    conn.execute("UPDATE upc_data.announcement SET announcement_id = 7")
    conn.execute("DELETE FROM upc_data.id_counter")
    assert (tick(conn, "BTC"), announce(conn, "BTC")) == (42, 8)

    conn.execute("DELETE FROM upc_data.id_counter")
    conn.execute("DELETE FROM upc_data.tick")
    conn.execute("DELETE FROM upc_data.announcement")
    conn.execute("INSERT INTO upc_data.announcement_cursor VALUES ('BTC', 'mail', 12, now())")
    assert (tick(conn, "BTC"), announce(conn, "BTC")) == (43, 13)


def test_announcements_come_oldest_first_whatever_their_ids(conn: Connection) -> None:
    conn.execute("SELECT upc.subscribe('mail')")
    for second, symbol in enumerate(["ETH", "ETH", "BTC", "ETH", "BTC"]):
        announce(conn, symbol, NOW + timedelta(seconds=second), str(second))
    query = "SELECT message FROM upc.next_announcements('mail', '{stop}')"
    assert [row[0] for row in conn.execute(query)] == ["0", "1", "2", "3", "4"]


def test_a_clock_that_was_put_back_loses_no_announcement(conn: Connection) -> None:
    """A cursor moves over ids: the lower one has to come first, whatever its instant."""
    conn.execute("SELECT upc.subscribe('mail')")
    announce(conn, "BTC", NOW, "early")
    announce(conn, "ETH", NOW - timedelta(minutes=30), "of the other")
    announce(conn, "BTC", NOW - timedelta(hours=1), "after the clock was put back")
    found = []
    while True:
        query = "SELECT symbol, announcement_id, message FROM upc.next_announcements('mail', %s, 1)"
        rows = conn.execute(query, (["stop"],)).fetchall()
        if not rows:
            break
        [(symbol, number, message)] = rows
        found.append(message)
        conn.execute("SELECT upc.acknowledge('mail', %s, %s)", (symbol, number))
    assert found == ["of the other", "early", "after the clock was put back"]
