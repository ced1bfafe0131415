"""The build: additive, correctable, and in the end what a build in one go makes."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sql import reference
from tests.sql.support import (
    Candles,
    Connection,
    assert_equal,
    assert_equal_counts,
    build,
    flat,
    minute,
    put,
    scalar,
    stored_curves,
    stored_histogram,
    walk,
)

# Each example builds several times; the fixture is safe to share since every example rolls back.
PROPERTY = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

# Two hours on both sides of a midnight that ends a year, and an hour at the next one.
NIGHTS = walk(20, "2025-12-31T22:00", 240, volatility=1e-4) + walk(
    21, "2026-01-01T23:30", 60, volatility=1e-4
)
SIZE = len(NIGHTS.minutes)
EVERYTHING = (
    "SELECT h::text FROM upc_data.fingerprint_histogram AS h "
    "ORDER BY symbol, year, bucket, minutes",
    "SELECT d::text FROM upc_data.counted_day AS d ORDER BY symbol, day",
    "SELECT c::text FROM upc.fingerprint_curve AS c ORDER BY symbol, bucket, minutes",
    "SELECT g::text FROM upc.fingerprint_grid AS g ORDER BY symbol, bucket",
)

cuts = st.lists(st.integers(1, SIZE - 1), max_size=4, unique=True).map(sorted)


def everything(conn: Connection) -> list[list[tuple[str]]]:
    """All that a build leaves behind."""
    return [conn.execute(query).fetchall() for query in EVERYTHING]


def built_at_once(conn: Connection, candles: Candles) -> list[list[tuple[str]]]:
    """What a build of a whole history leaves behind; nothing of it stays."""
    with conn.transaction(force_rollback=True):
        put(conn, "BTC", candles)
        build(conn)
        return everything(conn)


def assert_up_to_date(conn: Connection, candles: Candles) -> None:
    expected = reference.histogram(candles.minutes, candles.closes)
    assert_equal_counts(stored_histogram(conn), expected)
    if len(candles.minutes):
        newest = int(reference.years_of(candles.minutes).max())
        assert_equal(stored_curves(conn), reference.curves(expected, newest))


def pieces(ends: list[int]) -> list[Candles]:
    places = np.arange(SIZE)
    bounds = zip([0, *ends], [*ends, SIZE], strict=True)
    return [NIGHTS.where((places >= first) & (places < end)) for first, end in bounds]


@PROPERTY
@given(ends=cuts, data=st.data())
def test_in_pieces_in_any_order(conn: Connection, ends: list[int], data: st.DataObject) -> None:
    parts = data.draw(st.permutations(pieces(ends)))
    builds = data.draw(st.lists(st.booleans(), min_size=len(parts), max_size=len(parts)))
    expected = built_at_once(conn, NIGHTS)
    with conn.transaction(force_rollback=True):
        for part, is_built in zip(parts, builds, strict=True):
            put(conn, "BTC", part)
            if is_built:
                build(conn)
        build(conn)
        assert everything(conn) == expected
        assert_up_to_date(conn, NIGHTS)


CHANGES = {
    "delete": "DELETE FROM upc_data.candle WHERE opened_at BETWEEN %(first)s AND %(last)s",
    "correct": """
        UPDATE upc_data.candle SET close = round((close * 1.001)::numeric, 2)
        WHERE opened_at BETWEEN %(first)s AND %(last)s
        """,
    "move": """
        UPDATE upc_data.candle SET opened_at = opened_at + interval '5 days'
        WHERE opened_at BETWEEN %(first)s AND %(last)s
        """,
    "upsert": """
        INSERT INTO upc_data.candle
        SELECT 'BTC', at, 1, 41000, 1, 41000, 0
        FROM generate_series(%(first)s, %(last)s, interval '1 minute') AS at
        ON CONFLICT ON CONSTRAINT candle_symbol_opened_at_pkey DO UPDATE SET close = excluded.close
        """,
}


def change(conn: Connection, kind: str, first: int, length: int) -> None:
    """Do something to the candles from one place of NIGHTS to another."""
    last = min(SIZE - 1, first + length)
    bounds = (datetime.fromtimestamp(60 * int(NIGHTS.minutes[k]), UTC) for k in (first, last))
    conn.execute(CHANGES[kind].encode(), dict(zip(("first", "last"), bounds, strict=True)))


def stored_candles(conn: Connection) -> Candles:
    rows = conn.execute(
        "SELECT extract(epoch FROM opened_at)::bigint / 60, close "
        "FROM upc_data.candle WHERE symbol = 'BTC' ORDER BY opened_at"
    ).fetchall()
    return flat([row[0] for row in rows], [row[1] for row in rows])


@PROPERTY
@given(
    changes=st.lists(
        st.tuples(
            st.sampled_from(sorted(CHANGES)),
            st.integers(0, SIZE - 1),
            st.integers(0, 80),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda one: one[0],
    )
)
def test_after_any_corrections(conn: Connection, changes: list[tuple[str, int, int, bool]]) -> None:
    with conn.transaction(force_rollback=True):
        put(conn, "BTC", NIGHTS)
        build(conn)
        for kind, first, length, is_built in changes:
            change(conn, kind, first, length)
            if is_built:
                build(conn)
        build(conn)
        assert_up_to_date(conn, stored_candles(conn))
        corrected = everything(conn)
        conn.execute("SELECT upc.reset_fingerprints('BTC')")
        build(conn)
        assert everything(conn) == corrected


def test_taken_away_and_brought_back(conn: Connection) -> None:
    expected = built_at_once(conn, NIGHTS)
    put(conn, "BTC", NIGHTS)
    build(conn)
    conn.execute("CREATE TEMPORARY TABLE kept ON COMMIT DROP AS TABLE upc_data.candle")
    conn.execute("DELETE FROM upc_data.candle WHERE extract(minute FROM opened_at) < 20")
    build(conn)
    assert everything(conn) != expected
    conn.execute("INSERT INTO upc_data.candle TABLE kept ON CONFLICT DO NOTHING")
    build(conn)
    assert everything(conn) == expected


def test_returns_the_days_counted_and_then_nothing(conn: Connection) -> None:
    put(conn, "BTC", walk(22, "2026-03-02T12:00", 60))
    assert build(conn) == 1
    before = everything(conn)
    assert build(conn) == 0
    conn.execute("INSERT INTO upc_data.candle TABLE upc_data.candle ON CONFLICT DO NOTHING")
    put(conn, "BTC", flat([], []))
    assert build(conn) == 0
    assert everything(conn) == before


def test_a_correction_counts_its_own_days_only(conn: Connection) -> None:
    put(conn, "BTC", walk(23, "2026-03-02", 4 * 1440))
    assert build(conn) == 6  # the candles reach an hour back and half an hour on
    conn.execute("DELETE FROM upc_data.candle WHERE opened_at = '2026-03-04 12:00+00'")
    assert build(conn) == 1
    conn.execute("DELETE FROM upc_data.candle WHERE opened_at = '2026-03-04 00:10+00'")
    assert build(conn) == 2
    assert_up_to_date(conn, stored_candles(conn))


@pytest.mark.parametrize("emptied_by", ["TRUNCATE upc_data.candle", "DELETE FROM upc_data.candle"])
def test_nothing_is_left_of_nothing(conn: Connection, emptied_by: str) -> None:
    put(conn, "BTC", NIGHTS)
    build(conn)
    put(conn, "ETH", NIGHTS)
    build(conn, "ETH")
    conn.execute(emptied_by.encode())
    # The last day was noted for the sake of the pairs that might begin in it.
    assert build(conn) == scalar(conn, "SELECT count(DISTINCT day) FROM upc_data.candle_change")
    assert stored_histogram(conn) == {}
    assert stored_curves(conn) == {}
    assert scalar(conn, "SELECT count(*) FROM upc_data.counted_day WHERE symbol = 'BTC'") == 0
    expected = reference.fingerprints(NIGHTS.minutes, NIGHTS.closes)
    assert_equal(stored_curves(conn, "ETH"), expected)
    build(conn, "ETH")
    assert [rows for rows in everything(conn) if rows] == []


def test_truncate_with_a_change_of_candles(conn: Connection) -> None:
    """Other candles come after TRUNCATE, before anything has been counted."""
    put(conn, "BTC", NIGHTS)
    build(conn)
    conn.execute("TRUNCATE upc_data.candle")
    other = walk(24, "2026-01-01T20:00", 90)
    put(conn, "BTC", other)
    build(conn)
    assert_up_to_date(conn, other)


def test_reset_hides_the_symbol_until_it_is_built(conn: Connection) -> None:
    put(conn, "BTC", NIGHTS)
    build(conn)
    before = everything(conn)
    conn.execute("SELECT upc.reset_fingerprints('BTC')")
    assert stored_histogram(conn) == {}
    conn.execute("SELECT upc.refresh_fingerprints()")
    assert stored_curves(conn) == {}
    assert build(conn) == 3
    assert everything(conn) == before


def test_an_incomplete_build_is_not_shown(conn: Connection) -> None:
    eth = walk(25, "2026-02-01", 200)
    put(conn, "BTC", NIGHTS)
    build(conn)
    put(conn, "ETH", eth)
    conn.execute("SELECT upc.begin_build('ETH')")
    conn.execute("SELECT upc.count_days('ETH', p.days) FROM upc.build_pieces('ETH') AS p")
    conn.execute("SELECT upc.refresh_fingerprints()")
    btc = (reference.histogram(NIGHTS.minutes, NIGHTS.closes), 2026)
    assert stored_histogram(conn, "ETH") != {}
    assert stored_curves(conn, "ETH") == {}
    assert_equal(stored_curves(conn, "*"), reference.pooled([btc]))

    conn.execute("SELECT upc.complete_build('ETH')")
    conn.execute("SELECT upc.refresh_fingerprints()")
    assert_equal(stored_curves(conn, "ETH"), reference.fingerprints(eth.minutes, eth.closes))
    both = [btc, (reference.histogram(eth.minutes, eth.closes), 2026)]
    assert_equal(stored_curves(conn, "*"), reference.pooled(both))


def test_the_pool_weighs_each_symbol_by_its_own_years(conn: Connection) -> None:
    """A symbol that ends in 2024 counts its last year five times, like one that goes on."""
    histories = {"BTC": NIGHTS, "ETH": walk(26, "2023-12-31T20:00", 600)}
    for symbol, candles in histories.items():
        put(conn, symbol, candles)
        build(conn, symbol)
    expected = reference.pooled(
        (
            reference.histogram(candles.minutes, candles.closes),
            int(reference.years_of(candles.minutes).max()),
        )
        for candles in histories.values()
    )
    assert_equal(stored_curves(conn, "*"), expected)


def test_candles_of_one_symbol_leave_the_other_alone(conn: Connection) -> None:
    put(conn, "BTC", NIGHTS)
    build(conn)
    put(conn, "ETH", walk(27, "2026-01-01", 100))
    assert build(conn) == 0
    build(conn, "ETH")
    assert_up_to_date(conn, NIGHTS)


def test_unknown_symbol(conn: Connection) -> None:
    for statement in ("build_fingerprints", "begin_build", "reset_fingerprints"):
        for symbol in ("XYZ", "btc", None):
            with pytest.raises(psycopg.Error) as caught, conn.transaction():
                conn.execute(f"SELECT upc.{statement}(%s)".encode(), (symbol,))
            assert caught.value.sqlstate == "UP002"


def test_a_piece_never_crosses_a_year(conn: Connection) -> None:
    put(conn, "BTC", flat(range(minute("2024-12-30"), minute("2026-01-03"), 720), [1.0] * 738))
    rows = conn.execute("SELECT days FROM upc.build_pieces('BTC')").fetchall()
    assert [len({day.year for day in days}) for (days,) in rows] == [1] * len(rows)
    days = [day for (days,) in rows for day in days]
    assert len(days) == len(set(days)) == 370
