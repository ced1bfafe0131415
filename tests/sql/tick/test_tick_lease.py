"""The right to tick, and the notification of every tick."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.support.engine import Connection, build, open_db, put, scalar, wait_until_blocked, walk

TICK = "SELECT tick_id FROM upc.tick('BTC', 'simulated', holder => %s, lease => %s)"
LONG = timedelta(minutes=5)


BUILT = {"BTC": walk(120, "2026-03-02", 200)}


def tick(conn: Connection, holder: str | None, lease: timedelta = LONG) -> int:
    return int(scalar(conn, TICK, holder, lease))


def assert_refused(conn: Connection, holder: str | None) -> None:
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        tick(conn, holder)
    assert caught.value.sqlstate == "UP009"
    assert caught.value.diag.message_detail
    assert caught.value.diag.message_hint


def test_one_holder_at_a_time(conn: Connection) -> None:
    tick(conn, "one")
    assert_refused(conn, "two")
    assert_refused(conn, None)
    assert scalar(conn, "SELECT count(*) FROM upc_data.tick") == 1
    assert scalar(conn, "SELECT holder FROM upc_data.tick_lease") == "one"


def test_the_holder_renews(conn: Connection) -> None:
    tick(conn, "one", timedelta(seconds=1))
    [(taken_at, expires_at)] = conn.execute(
        "SELECT taken_at, expires_at FROM upc_data.tick_lease"
    ).fetchall()
    tick(conn, "one")
    [(taken_again_at, expires_later_at)] = conn.execute(
        "SELECT taken_at, expires_at FROM upc_data.tick_lease"
    ).fetchall()
    assert taken_again_at == taken_at
    assert expires_later_at > expires_at
    assert timedelta(seconds=0) < expires_later_at - taken_at - LONG < timedelta(seconds=30)


def test_a_lease_ends(conn: Connection) -> None:
    tick(conn, "one")
    conn.execute("UPDATE upc_data.tick_lease SET expires_at = clock_timestamp()")
    tick(conn, "two")
    assert scalar(conn, "SELECT holder FROM upc_data.tick_lease") == "two"
    assert scalar(
        conn, "SELECT taken_at < expires_at - interval '4 minutes' FROM upc_data.tick_lease"
    )
    assert_refused(conn, "one")


def test_without_a_holder_nothing_is_taken(conn: Connection) -> None:
    tick(conn, None)
    assert scalar(conn, "SELECT count(*) FROM upc_data.tick_lease") == 0
    tick(conn, "one", timedelta(0))
    tick(conn, None)
    assert scalar(conn, "SELECT holder FROM upc_data.tick_lease") == "one"


def test_release(conn: Connection) -> None:
    tick(conn, "one")
    conn.execute("SELECT upc.release_lease('BTC', 'two')")
    conn.execute("SELECT upc.release_lease('ETH', 'one')")
    assert_refused(conn, "two")
    conn.execute("SELECT upc.release_lease('BTC', 'one')")
    tick(conn, "two")


def test_symbols_have_leases_of_their_own(conn: Connection) -> None:
    tick(conn, "one")
    conn.execute("SELECT upc.tick('ETH', 'simulated', holder => 'two')")
    holders = conn.execute("SELECT symbol, holder FROM upc_data.tick_lease ORDER BY symbol")
    assert holders.fetchall() == [("BTC", "one"), ("ETH", "two")]


def test_two_sessions(fresh_db: str, own: Connection) -> None:
    """The second waits for the first one's transaction, and then knows who holds the lease."""
    put(own, "BTC", walk(121, "2026-03-02", 200))
    build(own)
    with open_db(fresh_db, autocommit=False) as other:
        tick(other, "one")
        own.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            tick(own, "two")
        other.commit()
    assert_refused(own, "two")


def test_notification(fresh_db: str, own: Connection) -> None:
    put(own, "BTC", walk(122, "2026-03-02", 200))
    build(own)
    with open_db(fresh_db) as listener:
        listener.execute("LISTEN upc_tick")
        tick_ids = [tick(own, None), tick(own, None)]
        with open_db(fresh_db, autocommit=False) as undone:
            tick(undone, None)
            undone.rollback()
        tick_ids.append(tick(own, None))
        received = list(listener.notifies(timeout=10, stop_after=3))
    assert [each.channel for each in received] == ["upc_tick"] * 3
    payloads = [json.loads(each.payload) for each in received]
    assert payloads == [{"symbol": "BTC", "tick_id": tick_id} for tick_id in tick_ids]


# The lease as seen by a standby and the status


def lease(conn: Connection) -> tuple[Any, ...]:
    query = "SELECT holder, expires_at FROM upc_data.tick_lease WHERE symbol = 'BTC'"
    [row] = conn.execute(query).fetchall()
    return row


BREAK = "SELECT upc.break_lease(%s, %s, %s)"


def test_a_lease_that_stays_as_it_was_can_be_broken(conn: Connection) -> None:
    """It has hours to go, by a clock that was put back."""
    tick(conn, "one")
    holder, expires_at = lease(conn)
    assert scalar(conn, BREAK, "BTC", holder, expires_at) is True
    assert scalar(conn, BREAK, "BTC", holder, expires_at) is False
    tick(conn, "two")
    assert_refused(conn, "one")


def test_a_lease_that_was_renewed_cannot(conn: Connection) -> None:
    tick(conn, "one")
    holder, expires_at = lease(conn)
    tick(conn, "one")
    for symbol, whose, when in (
        ("BTC", holder, expires_at),
        ("BTC", "two", lease(conn)[1]),
        ("ETH", holder, lease(conn)[1]),
        ("BTC", holder, lease(conn)[1] + timedelta(microseconds=1)),
        ("BTC", None, lease(conn)[1]),
        ("BTC", holder, None),
        (None, holder, lease(conn)[1]),
    ):
        assert scalar(conn, BREAK, symbol, whose, when) is False
    assert_refused(conn, "two")


def test_of_two_who_break_one_does(fresh_db: str, own: Connection) -> None:
    """A holder that comes back meanwhile has lost the lease."""
    put(own, "BTC", walk(121, "2026-03-02", 200))
    build(own)
    tick(own, "one")
    seen = lease(own)
    with (
        open_db(fresh_db, autocommit=False) as first,
        open_db(fresh_db) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        assert scalar(first, BREAK, "BTC", *seen) is True
        future = pool.submit(scalar, second, BREAK, "BTC", *seen)
        wait_until_blocked(own, second, future)
        tick(first, "two")
        first.commit()
        assert future.result(timeout=20) is False
    assert_refused(own, "one")


def kept(conn: Connection, column: str) -> Any:
    return scalar(conn, f"SELECT {column} FROM upc_data.tick_lease WHERE symbol = 'BTC'")


REPORT = "SELECT upc.report_problem(%s, %s, %s)"


def test_a_problem_of_the_holder(conn: Connection) -> None:
    """It stays until the holder takes it back, and goes with the holder."""
    tick(conn, "one")
    conn.execute(REPORT, ("BTC", "one", "the disk is full"))
    tick(conn, "one", timedelta(0))
    assert kept(conn, "problem") == "the disk is full"
    for symbol, holder in (("BTC", "two"), ("ETH", "one"), ("BTC", None)):
        conn.execute(REPORT, (symbol, holder, None))
        conn.execute(REPORT, (symbol, holder, "another"))
    assert kept(conn, "problem") == "the disk is full"
    tick(conn, "two")
    assert kept(conn, "problem") is None
    conn.execute(REPORT, ("BTC", "two", "the disk is full"))
    conn.execute(REPORT, ("BTC", "two", None))
    assert kept(conn, "problem") is None


def test_the_same_problem_again_writes_nothing(conn: Connection) -> None:
    tick(conn, "one")
    for problem in ("full", None):
        conn.execute(REPORT, ("BTC", "one", problem))
        before = kept(conn, "ctid::text")
        conn.execute(REPORT, ("BTC", "one", problem))
        assert kept(conn, "ctid::text") == before


def test_feed_and_interval_are_those_of_the_last_tick(conn: Connection) -> None:
    every = timedelta(seconds=2)
    query = "SELECT upc.tick('BTC', %s, holder => %s, lease => '0', every => %s)"
    for feed, holder in (("simulated", "one"), ("replay", "one"), ("simulated", "two")):
        conn.execute(query, (feed, holder, every))
        assert (kept(conn, "feed"), kept(conn, "every")) == (feed, every)
        every *= 2


def test_refused_ticks_leave_everything_as_it_was(conn: Connection) -> None:
    tick(conn, "one")
    before = conn.execute("SELECT * FROM upc_data.tick_lease").fetchall()
    assert_refused(conn, "two")
    assert conn.execute("SELECT * FROM upc_data.tick_lease").fetchall() == before
