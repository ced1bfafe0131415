"""Builds beside other builds, beside readers and beside a live feed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from tests.support import brute_force
from tests.support.engine import (
    Connection,
    assert_equal,
    assert_equal_counts,
    build,
    open_db,
    put,
    scalar,
    stored_curves,
    stored_histogram,
    wait_until_blocked,
    walk,
)

HISTORY = walk(30, "2026-03-01T22:00", 240, volatility=1e-4)
OTHER = walk(31, "2026-03-02", 200, volatility=1e-4)


@contextmanager
def transaction(dsn: str) -> Iterator[Connection]:
    """A session that has not committed yet."""
    with open_db(dsn, autocommit=False) as session:
        yield session


@contextmanager
def meanwhile() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool


def test_one_build_of_a_symbol_at_a_time(fresh_db: str, own: Connection) -> None:
    put(own, "BTC", HISTORY)
    with transaction(fresh_db) as first:
        build(first)
        # Refused at once; a build that waited would end with another SQLSTATE.
        own.execute("SET statement_timeout = '5s'")
        with pytest.raises(psycopg.errors.LockNotAvailable) as caught:
            build(own)
        assert caught.value.sqlstate == "55P03"
        assert caught.value.diag.message_detail
        assert caught.value.diag.message_hint
        first.rollback()
    assert build(own) == 2


def test_two_symbols_at_the_same_time(fresh_db: str, own: Connection) -> None:
    put(own, "BTC", HISTORY)
    put(own, "ETH", OTHER)
    with transaction(fresh_db) as btc, open_db(fresh_db) as eth, meanwhile() as pool:
        build(btc)
        future = pool.submit(build, eth, "ETH")
        wait_until_blocked(own, eth, future)
        btc.commit()
        assert future.result(timeout=30) > 0
    histories = {"BTC": HISTORY, "ETH": OTHER}
    for symbol, candles in histories.items():
        expected = brute_force.fingerprints(candles.minutes, candles.closes)
        assert_equal(stored_curves(own, symbol), expected)
    cells = [brute_force.histogram(each.minutes, each.closes) for each in histories.values()]
    assert_equal(stored_curves(own, "*"), brute_force.pooled((each, 2026) for each in cells))


def test_pieces_of_one_year_on_two_connections(fresh_db: str, own: Connection) -> None:
    """They meet in the rows of the year, and one waits for the other."""
    put(own, "BTC", HISTORY)
    days = [day for (day,) in own.execute("SELECT DISTINCT day FROM upc_data.candle_change")]
    count = "SELECT upc.count_days('BTC', ARRAY[%s]::date[])"
    with transaction(fresh_db) as first, open_db(fresh_db) as second, meanwhile() as pool:
        first.execute(count, (days[0],))
        future = pool.submit(second.execute, count, (days[1],))
        wait_until_blocked(own, second, future)
        first.commit()
        future.result(timeout=30)
    expected = brute_force.histogram(HISTORY.minutes, HISTORY.closes)
    assert_equal_counts(stored_histogram(own), expected)


@pytest.mark.parametrize("is_early", [False, True])
def test_a_live_candle_during_a_build_is_counted_by_the_next(
    fresh_db: str, own: Connection, is_early: bool
) -> None:
    """`is_early`: its transaction begins before the build and commits after it."""
    live = HISTORY.minutes == HISTORY.minutes[30]
    put(own, "BTC", HISTORY.where(~live))
    with transaction(fresh_db) as builder, transaction(fresh_db) as feed:
        feed.execute("SET lock_timeout = '1s'")
        if is_early:
            put(feed, "BTC", HISTORY.where(live))
        assert build(builder) == 2
        if not is_early:
            put(feed, "BTC", HISTORY.where(live))
        feed.commit()
        builder.commit()
    known = HISTORY.where(~live)
    assert_equal(stored_curves(own), brute_force.fingerprints(known.minutes, known.closes))
    assert build(own) == 1
    assert_equal(stored_curves(own), brute_force.fingerprints(HISTORY.minutes, HISTORY.closes))
    assert build(own) == 0


def test_readers_do_not_wait(fresh_db: str, own: Connection) -> None:
    """They see the state before a build until it is committed."""
    put(own, "BTC", HISTORY)
    build(own)
    before = stored_curves(own)
    put(own, "BTC", OTHER.where(OTHER.minutes > HISTORY.minutes[-1]))
    question = "SELECT sample_size FROM upc.probability(40000, 40100, ttc_seconds => 3600)"
    sample_size = scalar(own, question)
    with transaction(fresh_db) as builder:
        build(builder)
        own.execute("SET lock_timeout = '100ms'")
        assert_equal(stored_curves(own), before)
        assert scalar(own, question) == sample_size
        builder.commit()
    assert scalar(own, question) > sample_size


def test_a_build_that_fails_leaves_no_trace(fresh_db: str, own: Connection) -> None:
    put(own, "BTC", HISTORY)
    build(own)
    before = stored_histogram(own), stored_curves(own)
    put(own, "BTC", OTHER.where(OTHER.minutes > HISTORY.minutes[-1]))
    with transaction(fresh_db) as builder:
        build(builder)
        builder.rollback()
    assert_equal_counts(stored_histogram(own), before[0])
    assert_equal(stored_curves(own), before[1])
    assert build(own) == 1
