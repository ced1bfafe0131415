"""The state after a build, after half a build, and after the candles have gone."""

from __future__ import annotations

import psycopg
import pytest

from tests.support import brute_force
from tests.support.candle_changes import write_candles
from tests.support.engine import (
    NIGHTS,
    Connection,
    assert_equal,
    assert_up_to_date,
    build,
    everything,
    flat,
    minute,
    put,
    scalar,
    stored_curves,
    stored_histogram,
    walk,
)


@pytest.mark.parametrize("emptied_by", ["TRUNCATE upc_data.candle", "DELETE FROM upc_data.candle"])
def test_nothing_is_left_of_nothing(conn: Connection, emptied_by: str) -> None:
    put(conn, "BTC", NIGHTS)
    build(conn)
    put(conn, "ETH", NIGHTS)
    build(conn, "ETH")
    write_candles(conn, emptied_by)
    # The last day was noted for the sake of the pairs that might begin in it.
    assert build(conn) == scalar(conn, "SELECT count(DISTINCT day) FROM upc_data.candle_change")
    assert stored_histogram(conn) == {}
    assert stored_curves(conn) == {}
    assert scalar(conn, "SELECT count(*) FROM upc_data.counted_day WHERE symbol = 'BTC'") == 0
    expected = brute_force.fingerprints(NIGHTS.minutes, NIGHTS.closes)
    assert_equal(stored_curves(conn, "ETH"), expected)
    build(conn, "ETH")
    assert [rows for rows in everything(conn) if rows] == []


def test_truncate_with_a_change_of_candles(conn: Connection) -> None:
    """Other candles come after TRUNCATE, before anything has been counted."""
    put(conn, "BTC", NIGHTS)
    build(conn)
    write_candles(conn, "TRUNCATE upc_data.candle")
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
    btc = (brute_force.histogram(NIGHTS.minutes, NIGHTS.closes), 2026)
    assert stored_histogram(conn, "ETH") != {}
    assert stored_curves(conn, "ETH") == {}
    assert_equal(stored_curves(conn, "*"), brute_force.pooled([btc]))

    conn.execute("SELECT upc.complete_build('ETH')")
    conn.execute("SELECT upc.refresh_fingerprints()")
    assert_equal(stored_curves(conn, "ETH"), brute_force.fingerprints(eth.minutes, eth.closes))
    both = [btc, (brute_force.histogram(eth.minutes, eth.closes), 2026)]
    assert_equal(stored_curves(conn, "*"), brute_force.pooled(both))


def test_the_pool_weighs_each_symbol_by_its_own_years(conn: Connection) -> None:
    """A symbol that ends in 2024 counts its last year five times, like one that goes on."""
    histories = {"BTC": NIGHTS, "ETH": walk(26, "2023-12-31T20:00", 600)}
    for symbol, candles in histories.items():
        put(conn, symbol, candles)
        build(conn, symbol)
    expected = brute_force.pooled(
        (
            brute_force.histogram(candles.minutes, candles.closes),
            int(brute_force.years_of(candles.minutes).max()),
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
