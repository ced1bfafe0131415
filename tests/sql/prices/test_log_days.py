"""Partitions of the logs: by days in UTC, made ahead, and never missed by a row."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.support.engine import Connection, instant, open_db, scalar
from tests.support.trading import refused, table

DAY, MICRO = timedelta(days=1), timedelta(microseconds=1)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)

Where = list[tuple[str, datetime]]


@pytest.fixture
def conn(db: Connection) -> Connection:
    return db


def make(conn: Connection, at: datetime = NOON, ahead: int = 2) -> int:
    return int(scalar(conn, "SELECT upc.make_partitions(%s, %s)", ahead, at))


def put(conn: Connection, *times: datetime, symbol: str = "BTC") -> None:
    conn.cursor().executemany(
        "INSERT INTO upc_data.price VALUES (%s, 'x', %s, 1e5, NULL)", [(symbol, at) for at in times]
    )


def where(conn: Connection) -> Where:
    """Partition and time of each price, in order."""
    rows = table(
        conn,
        "SELECT tableoid::regclass::text AS name, received_at FROM upc_data.price"
        " ORDER BY received_at, symbol",
    )
    return [(row["name"].removeprefix("upc_data."), row["received_at"]) for row in rows]


def names(conn: Connection, log: str = "price") -> set[str]:
    rows = table(
        conn,
        "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = %s::regclass",
        (f"upc_data.{log}",),
    )
    return {row["relname"] for row in rows}


@pytest.mark.parametrize(
    "zone", ["UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati"]
)
def test_days_are_those_of_utc(conn: Connection, zone: str) -> None:
    """A leap day and both its midnights, whatever time zone and style of dates the session has."""
    conn.execute("SELECT set_config('timezone', %s, true)", (zone,))
    conn.execute("SET LOCAL datestyle = 'German'")
    leap_day = instant("2028-02-29T00:00")
    assert make(conn, leap_day - MICRO) == 9
    days = {"price_20280228", "price_20280229", "price_20280301"}
    assert names(conn) == {"price_default", *days}
    assert names(conn, "tick") == {day.replace("price", "tick") for day in days} | {"tick_default"}
    conn.execute("SET LOCAL datestyle = 'ISO'")
    conn.execute("SET LOCAL timezone = 'UTC'")
    put(conn, leap_day - MICRO, leap_day, leap_day + DAY - MICRO, leap_day + DAY)
    put(conn, leap_day + 2 * DAY - MICRO, leap_day + 2 * DAY)
    assert [name for name, _ in where(conn)] == [
        *("price_20280228", "price_20280229", "price_20280229"),
        *("price_20280301", "price_20280301", "price_default"),
    ]
    assert make(conn, leap_day - MICRO) == 0
    assert make(conn, leap_day) == 3


@pytest.mark.parametrize("ahead", [0, 1, 30])
def test_as_many_days_ahead(conn: Connection, ahead: int) -> None:
    assert make(conn, ahead=ahead) == 3 * (ahead + 1)
    assert len(names(conn)) == ahead + 2


@pytest.mark.parametrize("ahead", [None, -1, 31])
def test_other_days_are_refused(conn: Connection, ahead: int | None) -> None:
    assert refused(conn, "SELECT upc.make_partitions(%s)", ahead) == "22023"
    assert refused(conn, "SELECT upc.make_partitions(2, 'infinity')") == "22023"
    assert refused(conn, "SELECT upc.make_partitions(2, NULL)") == "22023"


def test_rows_that_came_before_their_day_was_made(conn: Connection) -> None:
    times = [NOON - 300 * DAY, NOON - DAY, NOON, NOON + DAY, NOON + 400 * DAY]
    put(conn, *times)
    put(conn, NOON, symbol="ETH")
    assert {name for name, _ in where(conn)} == {"price_default"}
    make(conn)
    assert where(conn) == [
        ("price_default", times[0]),
        ("price_default", times[1]),
        ("price_20260601", NOON),
        ("price_20260601", NOON),
        ("price_20260602", times[3]),
        ("price_default", times[4]),
    ]


def test_a_clock_that_jumps(conn: Connection) -> None:
    """Ahead by years and back again: the days of both are there, and rows find them."""
    make(conn)
    assert make(conn, NOON + 4000 * DAY) == 9
    assert make(conn, NOON) == 0
    assert make(conn, NOON - 2 * DAY, ahead=1) == 6
    put(conn, NOON - DAY, NOON, NOON + 4000 * DAY)
    assert "price_default" not in {name for name, _ in where(conn)}


def test_a_price_is_logged_whatever_its_time(conn: Connection) -> None:
    make(conn)
    for at in ("1970-01-01T00:00", "2026-06-01T12:00", "9999-12-31T23:59"):
        query = "SELECT upc.record_price('BTC', 'x', 1e5, NULL, %s)"
        assert scalar(conn, query, instant(at))
    assert len(where(conn)) == 3


# Several sessions.


def test_two_at_once(fresh_db: str, own: Connection) -> None:
    with open_db(fresh_db, autocommit=False) as other:
        assert make(other) == 9
        # It waits for a moment, and leaves it to the other.
        assert make(own) == 0
        other.commit()
    assert make(own) == 0
    assert len(names(own)) == 4


def test_a_session_that_keeps_a_lock(fresh_db: str, own: Connection) -> None:
    """Neither prices nor partitions of the other logs wait for it."""
    with open_db(fresh_db, autocommit=False) as reader:
        reader.execute("SELECT FROM upc_data.price")
        put(own, NOON)
        assert make(own) == 6
        assert names(own) == {"price_default"}
        assert len(names(own, "tick")) == 4
        own.execute("SET statement_timeout = '2s'")
        put(own, NOON + MICRO)
        reader.rollback()
    assert make(own) == 3
    assert where(own) == [("price_20260601", NOON), ("price_20260601", NOON + MICRO)]


def test_rows_of_the_day_that_is_made_meanwhile(fresh_db: str, own: Connection) -> None:
    """None of them is refused: they find the default partition or the day's own."""
    is_over = threading.Event()
    problems: list[Exception] = []
    counts = [0] * 3

    def write(k: int) -> None:
        with open_db(fresh_db) as conn:
            while not is_over.is_set():
                counts[k] += 1
                try:
                    put(conn, NOON + k * timedelta(hours=1) + counts[k] * MICRO)
                except Exception as problem:
                    problems.append(problem)
                    return

    writers = [threading.Thread(target=write, args=(k,)) for k in range(3)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(50):
            if "price_20260601" in names(own):
                break
            make(own)
    finally:
        is_over.set()
        for writer in writers:
            writer.join()
    assert problems == []
    assert "price_20260601" in names(own)
    assert len(where(own)) == sum(counts)
    assert {name for name, _ in where(own)} == {"price_20260601"}


def test_an_operator_makes_partitions_and_a_reader_does_not(own: Connection) -> None:
    own.execute("SET ROLE upc_operator")
    assert make(own) == 9
    put(own, NOON)
    assert [name for name, _ in where(own)] == ["price_20260601"]
    own.execute("SET ROLE upc_reader")
    assert [name for name, _ in where(own)] == ["price_20260601"]
    assert refused(own, "SELECT upc.make_partitions()") == "42501"


# A default partition that has grown large.


def fill(conn: Connection, count: int) -> None:
    conn.execute(
        "INSERT INTO upc_data.price SELECT 'BTC', 'x', %s::timestamptz - n * interval '17 s',"
        " 1e5 + n, NULL FROM generate_series(1, %s) AS n",
        (NOON, count),
    )


def summary(conn: Connection) -> tuple[int, float]:
    [row] = conn.execute("SELECT count(*), sum(price) FROM upc_data.price").fetchall()
    return row


def step(conn: Connection, at: datetime = NOON) -> None:
    assert scalar(conn, "SELECT upc._set_aside('price', '-infinity', %s)", at)


def test_a_large_one_is_set_aside(own: Connection) -> None:
    fill(own, 200_000)
    before = summary(own)
    made = [make(own) for _ in range(8)]
    assert made[-1] == 0
    assert "price_to_20260603" in names(own)
    assert summary(own) == before
    put(own, NOON, NOON + 2 * DAY, NOON - 4000 * DAY)
    assert make(own, NOON + DAY) == 3
    assert {name for name, at in where(own) if at == NOON + 2 * DAY} == {"price_20260603"}
    assert scalar(own, "SELECT count(*) FROM ONLY upc_data.price_default") == 0


def test_rows_of_later_days_do_not_go_with_it(own: Connection) -> None:
    times = [NOON - DAY, NOON, NOON + 5 * DAY, NOON + 4000 * DAY]
    put(own, *times)
    for _ in range(3):
        step(own)
    make(own)
    assert [at for _, at in where(own)] == times
    assert [name for name, _ in where(own)] == [
        *("price_to_20260603", "price_to_20260603", "price_default", "price_default")
    ]


@pytest.mark.parametrize("steps", [1, 2])
def test_steps_that_end_halfway(own: Connection, steps: int) -> None:
    """Gone on with on the same day; begun anew on another, before a row would be refused."""
    times = [NOON - DAY, NOON, NOON + 5 * DAY]
    put(own, *times)
    for _ in range(steps):
        step(own)
    put(own, NOON + MICRO)
    at = NOON + DAY
    for _ in range(4):
        step(own, at)
    put(own, NOON + 2 * DAY)
    assert [when for _, when in where(own)] == [
        *times[:2],
        NOON + MICRO,
        NOON + 2 * DAY,
        times[2],
    ]
    assert "price_to_20260604" in names(own)
    assert scalar(own, "SELECT to_regclass('upc_data.price_next')") is None


def test_nobody_waits_while_it_is_proven(fresh_db: str, own: Connection) -> None:
    """A writer in the middle of a transaction holds up a step for a moment, and goes on."""
    put(own, NOON)
    with open_db(fresh_db, autocommit=False) as writer:
        put(writer, NOON + MICRO)
        own.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            step(own)
        put(writer, NOON + 2 * MICRO)
        writer.commit()
    for _ in range(3):
        step(own)
    assert len(where(own)) == 3
