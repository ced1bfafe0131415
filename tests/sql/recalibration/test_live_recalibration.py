"""The live model's weekly correction: what it is fitted on, what it does to answers, and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest

from pyupc.health.doctor import lease
from tests.support.engine import Connection, build, instant, minute, open_db, put, scalar
from tests.support.readings import column, strikes, table
from tests.support.recalibration import Floats, corrected, fitted
from tests.support.volatile_candles import volatile_candles

# 61 days of the year before, and of this one two whole weeks and a bit.
SINCE, DAYS = "2025-11-01", 61 + 20
CANDLES = volatile_candles(11, SINCE, DAYS * 1440)
MONDAY = date(2026, 1, 19)
LATE = minute("2026-01-20")
NUMBERS = np.array([[0.05, -0.02, 0.01], [1.2, 0.95, 0.9], [0.1, 0.0, 0.2]])


@pytest.fixture(scope="module")
def filled(module_dsn: str) -> str:
    with open_db(module_dsn) as conn:
        put(conn, "BTC", CANDLES)
        build(conn)
    return module_dsn


@pytest.fixture
def conn(filled: str) -> Iterator[Connection]:
    with open_db(filled, autocommit=False) as conn:
        yield conn
        conn.rollback()


def stored(conn: Connection) -> list[tuple[Any, ...]]:
    return conn.execute(
        "SELECT week, lifts, stretches, bends, weeks, answers FROM upc_data.recalibration"
    ).fetchall()


def answers(conn: Connection) -> list[tuple[Any, ...]]:
    return conn.execute(
        "SELECT week, minutes, questions, outcomes, log_odds FROM upc_data.live_answer"
        " ORDER BY week, minutes"
    ).fetchall()


def put_numbers(conn: Connection, numbers: Floats = NUMBERS) -> None:
    """A correction that is known, in place of the one that was fitted."""
    conn.execute(
        "UPDATE upc_data.recalibration SET lifts = %s, stretches = %s, bends = %s",
        numbers.tolist(),
    )
    conn.execute("SELECT upc.refresh_fingerprints('BTC')")


def test_it_is_fitted_on_the_whole_weeks_of_this_year(conn: Connection) -> None:
    [(week, lifts, stretches, bends, weeks, total)] = stored(conn)
    counted = answers(conn)
    assert (week, weeks) == (MONDAY, 2)
    assert {row[0] for row in counted} == {MONDAY - timedelta(days=7 * k) for k in (1, 2)}
    assert {row[1] for row in counted} == {2, 5, 10, 15, 30, 45, 60}
    assert total == sum(sum(row[2]) for row in counted)
    expected = fitted([row[1:] for row in counted])
    np.testing.assert_allclose(np.array([lifts, stretches, bends]), expected, atol=3e-4)
    rows = table(conn, "SELECT * FROM upc.recalibration('BTC')")
    assert [(row["week"], row["minutes"]) for row in rows] == [(MONDAY, k) for k in (3, 12, 45)]
    for name, numbers in (("lift", lifts), ("stretch", stretches), ("bend", bends)):
        assert [row[name] for row in rows] == numbers


@pytest.mark.parametrize("ttc", [60, 120, 720, 1200, 2700, 3600, 7200, 86_400])
def test_probabilities_at_the_thresholds_are_corrected_exactly(conn: Connection, ttc: int) -> None:
    """Between them a straight line goes on from one to the next, as before."""
    put_numbers(conn)
    price, momentum = 100_000.0, 4.0
    kind = {"model": "volatility", "method": "linear", "ttc_seconds": ttc, "momentum": momentum}
    [row] = strikes(conn, price, strikes=[price], **kind)
    thresholds = np.array(scalar(conn, "SELECT upc.volatility_thresholds()")[1:55])
    moves = thresholds * row["deviation"] / 100 * price
    at = np.concatenate([price - moves[::-1], [price], price + moves]).tolist()
    raw = column(strikes(conn, price, strikes=at, recalibrate=False, **kind), "prob_above")
    found = strikes(conn, price, strikes=at, **kind)
    expected = corrected(raw, ttc / 60, NUMBERS)
    np.testing.assert_allclose(column(found, "prob_above"), expected, atol=1e-7)
    assert np.abs(expected - raw).max() > 0.5
    low, high = column(found, "prob_low"), column(found, "prob_high")
    assert ((low <= expected + 1e-9) & (expected <= high + 1e-9)).all()
    # A move up and a move down are the two sides of one probability.
    above = column(found, "strike") > price
    up, down = column(found, "positive_prob"), column(found, "negative_prob")
    np.testing.assert_allclose(np.where(above, up, 100 - down), expected, atol=1e-7)


@pytest.mark.parametrize("settlement", ["close", "average"])
@pytest.mark.parametrize("ttc", [90, 1000, 3600, 30_000])
def test_every_way_to_ask_has_the_same_correction(
    conn: Connection, ttc: int, settlement: str
) -> None:
    put_numbers(conn)
    price = 100_000.0
    kind = {"model": "volatility", "method": "linear", "settlement": settlement}
    at = [99_500.0, 99_900.0, 100_050.0, 100_400.0]
    rows = strikes(conn, price, strikes=at, ttc_seconds=ttc, **kind)
    between = (
        "SELECT probability FROM upc.probability_between(%s, %s, %s, NULL, 'BTC', %s,"
        " model => %s, method => %s, settlement => %s)"
    )
    ends = [None, *at, None]
    above = [100.0, *(row["prob_above"] for row in rows), 0.0]
    for k in range(5):
        asked = (price, ends[k], ends[k + 1], ttc, *kind.values())
        assert scalar(conn, between, *asked) == pytest.approx(above[k] - above[k + 1], abs=1e-9)
    one = (
        "SELECT prob_above FROM upc.probability(%s, %s, NULL, 'BTC', %s, 'linear', 'volatility',"
        " settlement => %s)"
    )
    for strike, row in zip(at, rows, strict=True):
        assert scalar(conn, one, price, strike, ttc, settlement) == row["prob_above"]


def test_a_volatility_of_ones_own_and_other_models_are_left_alone(conn: Connection) -> None:
    kinds: list[dict[str, Any]] = [
        {"model": "volatility", "method": "linear", "volatility": 0.4, "ttc_seconds": 900},
        {"model": "volatility", "method": "linear", "recalibrate": False, "ttc_seconds": 900},
        {"model": "momentum", "momentum": 4.0, "ttc_seconds": 900},
        {"model": "baseline", "method": "linear", "ttc_seconds": 900},
    ]
    before = [strikes(conn, **kind) for kind in kinds]
    put_numbers(conn)
    assert [strikes(conn, **kind) for kind in kinds] == before


def test_doctor_says_what_is_in_use(conn: Connection) -> None:
    found = lease.correction(conn, "BTC")
    total = sum(sum(row[2]) for row in answers(conn))
    assert (found.state, found.seen) == ("ok", f"since {MONDAY} by {total:,} answers of 2 weeks")
    conn.execute("UPDATE upc_data.recalibration SET week = week - 14")
    found = lease.correction(conn, "BTC")
    assert (found.state, found.repair) == ("warn", "pyupc fingerprints build")
    assert "of long ago" in found.seen
    conn.execute("DELETE FROM upc_data.recalibration")
    assert lease.correction(conn, "BTC").seen.startswith("none: ")


def test_nothing_is_done_twice(conn: Connection) -> None:
    before = (stored(conn), answers(conn))
    assert scalar(conn, "SELECT upc.recalibrate('BTC')") is False
    assert build(conn) == 0
    assert (stored(conn), answers(conn)) == before


def test_without_sixty_days_of_earlier_years_there_is_none(conn: Connection) -> None:
    conn.execute("DELETE FROM upc_data.candle WHERE opened_at < %s", [instant("2025-11-05T00:00")])
    conn.execute("SELECT upc.reset_fingerprints('BTC')")
    build(conn)
    assert stored(conn) == answers(conn) == []
    kind: dict[str, Any] = {"model": "volatility", "method": "linear", "ttc_seconds": 900}
    assert strikes(conn, **kind) == strikes(conn, recalibrate=False, **kind)


def test_a_symbol_that_is_not_registered(conn: Connection) -> None:
    for name in ("recalibrate", "recalibration"):
        with pytest.raises(psycopg.Error) as caught, conn.transaction():
            conn.execute(f"SELECT * FROM upc.{name}('XYZ')".encode())
        assert caught.value.sqlstate == "UP002"


def test_builds_day_by_day_end_as_one_build_does(fresh_db: str, conn: Connection) -> None:
    """And candles of the week that is not over change nothing."""
    with open_db(fresh_db) as other:
        put(other, "BTC", CANDLES.where(CANDLES.minutes < minute("2026-01-08")))
        build(other)
        assert stored(other) == []
        put(
            other,
            "BTC",
            CANDLES.where(
                (CANDLES.minutes >= minute("2026-01-08")) & (CANDLES.minutes < minute("2026-01-13"))
            ),
        )
        build(other)
        assert [row[0] for row in stored(other)] == [date(2026, 1, 12)]
        scrambled = volatile_candles(5, SINCE, DAYS * 1440, price=70_000)
        put(
            other,
            "BTC",
            CANDLES.where((CANDLES.minutes >= minute("2026-01-13")) & (CANDLES.minutes < LATE)),
        )
        put(other, "BTC", scrambled.where(scrambled.minutes >= LATE))
        build(other)
        assert [row for row in stored(other) if row[0] == MONDAY] == stored(conn)
        assert answers(other) == answers(conn)
