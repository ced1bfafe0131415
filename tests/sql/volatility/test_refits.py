"""Refits: another fit is counted in pieces while the fit before goes on answering."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest

from tests.support.candle_changes import write_candles
from tests.support.databases import Databases
from tests.support.engine import Connection, build, instant, minute, open_db, put, scalar
from tests.support.volatile_candles import (
    assert_same_fit,
    everything,
    expected_fit,
    forecast,
    stored_candles,
    stored_fit,
    volatile_candles,
)

# Days around a turn of the year, and around the end of a month two months later.
HISTORY = volatile_candles(211, "2025-12-29T22:00", 3 * 1440) + volatile_candles(
    212, "2026-02-27", 4 * 1440
)
BEFORE = HISTORY.where(HISTORY.minutes < minute("2026-03-01"))
AFTER = HISTORY.where(HISTORY.minutes >= minute("2026-03-01"))
AT = "2026-02-28T23:00"

# The counts and curves that answer.
ANSWERS = (
    "SELECT (h.symbol, h.year, h.bucket, h.minutes, h.pairs, h.positive, h.negative)::text "
    "FROM upc_data.volatility_histogram AS h JOIN upc_data.volatility_fit AS f "
    "ON f.symbol = h.symbol AND f.used_generation = h.generation ORDER BY 1",
    "SELECT c::text FROM upc.volatility_curve AS c ORDER BY 1",
    "SELECT used_factors, used_coefficients FROM upc_data.volatility_fit",
)


def answers(conn: Connection) -> list[list[Any]]:
    conn.execute("SELECT upc.refresh_fingerprints()")
    return [conn.execute(query.encode()).fetchall() for query in ANSWERS]


def pieces(conn: Connection) -> list[Any]:
    return [days for (days,) in conn.execute("SELECT days FROM upc.recount_pieces('BTC')")]


def recount(conn: Connection, days: Any) -> None:
    conn.execute("SELECT upc.recount_volatility_days('BTC', %s)", (days,))


def switch(conn: Connection) -> bool:
    switched = bool(scalar(conn, "SELECT upc.switch_fit('BTC')"))
    conn.execute("SELECT upc.forget_old_fits('BTC')")
    conn.execute("SELECT upc.refresh_fingerprints()")
    return switched


def generations(conn: Connection) -> set[int]:
    query = (
        "SELECT generation FROM upc_data.volatility_day UNION "
        "SELECT generation FROM upc_data.volatility_histogram"
    )
    return {generation for (generation,) in conn.execute(query.encode())}


def assert_like_a_rebuild(conn: Connection) -> None:
    found = everything(conn)
    assert scalar(conn, "SELECT upc.volatility_pending('BTC')") == 0
    assert len(generations(conn)) == 1
    conn.execute("SELECT upc.reset_fingerprints('BTC')")
    build(conn)
    assert everything(conn) == found


@pytest.fixture(scope="module")
def march(module_dsn: str) -> str:
    """A database where March has begun: its first days are counted, and a refit is due."""
    with open_db(module_dsn) as connection:
        put(connection, "BTC", BEFORE)
        build(connection)
        put(connection, "BTC", AFTER)
        assert scalar(connection, "SELECT upc.build_fingerprints('BTC', refits => false)") > 0
        assert scalar(connection, "SELECT upc.refit_pending('BTC')") > 0
    return module_dsn


@pytest.fixture
def due_dsn(databases: Databases, march: str) -> Iterator[str]:
    """A copy of it."""
    with databases.clone_of(march) as dsn:
        yield dsn


@pytest.fixture
def due(due_dsn: str) -> Iterator[Connection]:
    with open_db(due_dsn) as connection:
        yield connection


def test_days_are_counted_before_the_refit(due: Connection) -> None:
    fitted = "SELECT fitted_until < '2026-03-01' FROM upc_data.volatility_fit"
    assert scalar(due, fitted)
    counted = "SELECT count(*) FROM upc_data.volatility_day WHERE day >= '2026-03-01'"
    assert scalar(due, counted) > 0
    assert scalar(due, "SELECT count(*) FROM upc_data.volatility_change") == 0
    assert pieces(due) == []


def test_the_fit_before_answers_until_all_is_counted(due: Connection) -> None:
    before, known = answers(due), forecast(due, instant(AT))
    assert known is not None
    due.execute("SELECT upc.prepare_volatility('BTC')")
    assert_same_fit(stored_fit(due), expected_fit(stored_candles(due), "2026-03-01"))
    todo = pieces(due)
    assert len(todo) == 4
    for days in todo:
        assert not switch(due)
        assert answers(due) == before
        np.testing.assert_array_equal(forecast(due, instant(AT)), known)
        recount(due, days)
    assert answers(due) == before
    assert pieces(due) == []
    assert len(generations(due)) == 2
    assert switch(due)
    assert answers(due) != before
    new = forecast(due, instant(AT))
    assert new is not None
    assert not np.array_equal(new, known)
    assert_like_a_rebuild(due)


def test_days_and_corrections_during_a_recount(due: Connection) -> None:
    due.execute("SELECT upc.prepare_volatility('BTC')")
    first, *rest = pieces(due)
    recount(due, first)
    # A day more, a correction that is not fitted of a day counted twice, and a day that is gone.
    put(due, "BTC", volatile_candles(213, "2026-03-03", 1440))
    write_candles(
        due, "UPDATE upc_data.candle SET close = low WHERE opened_at = '2026-03-01 12:00Z'"
    )
    before = answers(due)
    build_days = "SELECT upc.build_fingerprints('BTC', refits => false)"
    assert scalar(due, build_days) > 0
    assert answers(due) != before
    for days in rest:
        recount(due, days)
    # Counted before it was corrected.
    due.execute("SELECT upc.recount_volatility_days('BTC', '{2026-03-01}')")
    write_candles(
        due, "UPDATE upc_data.candle SET high = 2 * high WHERE opened_at = '2026-03-01 12:00Z'"
    )
    assert scalar(due, build_days) > 0
    assert not switch(due)
    for days in pieces(due):
        recount(due, days)
    assert switch(due)
    assert_like_a_rebuild(due)


def test_a_fitted_candle_is_corrected_during_a_recount(due: Connection) -> None:
    due.execute("SELECT upc.prepare_volatility('BTC')")
    recount(due, pieces(due)[0])
    write_candles(
        due,
        "UPDATE upc_data.candle SET high = 1.05 * high, low = low / 1.05 "
        "WHERE opened_at BETWEEN '2026-02-27 03:00Z' AND '2026-02-27 15:00Z'",
    )
    due.execute("SELECT upc.build_fingerprints('BTC', refits => false)")
    before = answers(due)
    due.execute("SELECT upc.prepare_volatility('BTC')")
    assert len(generations(due)) == 1
    assert answers(due) == before
    for days in pieces(due):
        recount(due, days)
    assert switch(due)
    assert_like_a_rebuild(due)


def test_the_old_fit_comes_back(due: Connection) -> None:
    """A refit that ends in the fit in use leaves nothing of the one that was being counted."""
    before = answers(due)
    due.execute("SELECT upc.prepare_volatility('BTC')")
    recount(due, pieces(due)[0])
    write_candles(due, "DELETE FROM upc_data.candle WHERE opened_at >= '2026-03-01Z'")
    write_candles(due, "DELETE FROM upc_data.candle WHERE opened_at >= '2026-02-28 23:30Z'")
    put(due, "BTC", BEFORE.where(BEFORE.minutes >= minute("2026-02-28T23:30")))
    due.execute("SELECT upc.build_fingerprints('BTC', refits => false)")
    due.execute("SELECT upc.prepare_volatility('BTC')")
    assert pieces(due) == []
    assert not switch(due)
    assert answers(due)[2] == before[2]
    assert_like_a_rebuild(due)


def test_one_call_does_all(due: Connection) -> None:
    build(due)
    assert_like_a_rebuild(due)


def test_a_build_takes_a_recount_up(due: Connection) -> None:
    due.execute("SELECT upc.prepare_volatility('BTC')")
    recount(due, pieces(due)[0])
    build(due)
    assert_like_a_rebuild(due)


def test_a_refit_waits_for_days_that_are_being_counted(due_dsn: str, due: Connection) -> None:
    """Days counted for the fit before while it is replaced would be lost."""
    due.execute("SELECT upc.prepare_volatility('BTC')")
    for days in pieces(due):
        recount(due, days)
    put(due, "BTC", volatile_candles(213, "2026-03-03", 1440))
    with open_db(due_dsn, autocommit=False) as builder:
        builder.execute("SELECT upc.build_fingerprints('BTC', refits => false)")
        due.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            due.execute("SELECT upc.switch_fit('BTC')")
        builder.commit()
    due.execute("SET lock_timeout = 0")
    assert not switch(due)
    for days in pieces(due):
        recount(due, days)
    assert switch(due)
    assert_like_a_rebuild(due)
