"""Ranges, factors of the week, features and the fit, against numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.support import volatility_reference
from tests.support.brute_force import Cell
from tests.support.engine import Candles, Connection, flat, instant, minute, put, scalar
from tests.support.volatile_candles import assert_same_fit, scaled, volatile_candles
from tests.support.volatility_reference import Fit, Floats

HISTORY = volatile_candles(70, "2026-03-02T10:00", 6 * 1440)
HOLES = HISTORY.without(0.01, 71) + volatile_candles(72, "2026-03-12T05:00", 1500)


def fitted(conn: Connection, since: str = "-infinity", until: str = "infinity") -> Fit | None:
    rows = conn.execute(
        "SELECT f.factors, f.coefficients FROM upc._fit_volatility('BTC', %s, %s) AS f",
        (since, until),
    ).fetchall()
    ((factors, coefficients),) = rows
    assert (factors is None) == (coefficients is None)
    if factors is None:
        return None
    return Fit(np.array(factors), np.array(coefficients).reshape(60, 6))


# Ranges


@pytest.mark.parametrize(
    ("high", "low", "expected"),
    [
        (100.0, 100.0, 0),
        (100 * math.e, 100.0, 10**8),
        (100.01, 100.0, round(1e8 * math.log(100.01 / 100))),
        (3.9e8, 1.0, round(1e8 * math.log(3.9e8))),
        (4e8, 1.0, 2 * 10**9),
        (1e300, 1e-5, 2 * 10**9),
        (None, 1.0, None),
        (1.0, None, None),
    ],
)
def test_range(conn: Connection, high: float | None, low: float | None, expected: int) -> None:
    assert scalar(conn, "SELECT upc._range_of(%s, %s)", high, low) == expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-02T00:00", 0),  # a Monday
        ("2026-03-08T23:59", 10079),
        ("1970-01-01T00:00", 4320),
        ("2026-03-04T12:34", 2 * 1440 + 12 * 60 + 34),
    ],
)
def test_minute_of_week(conn: Connection, moment: str, expected: int) -> None:
    assert scalar(conn, "SELECT upc._minute_of_week(%s)", instant(moment)) == expected
    assert volatility_reference.minute_of_week(np.array([minute(moment)])).tolist() == [expected]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_a_window_of_ranges(conn: Connection, zone: str) -> None:
    """Two UTC days, also where a local one has 23 or 25 hours."""
    conn.execute(f"SET LOCAL timezone = '{zone}'".encode())
    candles = volatile_candles(73, "2026-03-06T12:00", 4 * 1440).without(0.02, 74)
    put(conn, "BTC", candles)
    moved = dict(
        zip(
            candles.minutes.tolist(),
            volatility_reference.ranges(candles.highs, candles.lows).tolist(),
            strict=True,
        )
    )
    # Clocks go forward in New York on 8 March.
    for day in ("2026-03-07", "2026-03-08", "2026-03-09", "2026-03-20"):
        first = minute(day) - 1440
        expected = [moved.get(at, -1) for at in range(first, first + 2880)]
        assert scalar(conn, "SELECT upc._range_window('BTC', %s)", day) == expected
    since, until = minute("2026-03-07T03:00"), minute("2026-03-08T20:00")
    query = "SELECT upc._range_window('BTC', '2026-03-08', %s, %s)"
    expected = [
        moved.get(at, -1) if since <= at < until else -1
        for at in range(minute("2026-03-07"), minute("2026-03-09"))
    ]
    found = scalar(conn, query, instant("2026-03-07T03:00"), instant("2026-03-08T20:00"))
    assert found == expected


# Factors of the week


def factors_of(conn: Connection) -> Floats:
    return np.array(scalar(conn, "SELECT upc._week_factors('BTC', '-infinity', 'infinity')"))


@pytest.mark.parametrize("candles", [HISTORY, HOLES], ids=["whole", "holes"])
def test_week_factors(conn: Connection, candles: Candles) -> None:
    put(conn, "BTC", candles)
    moved = volatility_reference.ranges(candles.highs, candles.lows)
    expected = volatility_reference.week_factors(candles.minutes, moved)
    assert expected.min() < 80
    assert expected.max() > 120
    np.testing.assert_array_equal(factors_of(conn), expected)


def test_factors_of_a_price_that_never_moves_are_average(conn: Connection) -> None:
    put(conn, "BTC", flat(range(minute("2026-03-02"), minute("2026-03-04")), [1.0] * 2880))
    assert set(factors_of(conn).tolist()) == {100}


def test_a_minute_that_is_everything_is_no_overflow(conn: Connection) -> None:
    """One minute a week moves, for ten weeks, and nothing else does."""
    still = flat(range(minute("2026-01-05"), minute("2026-03-16")), [100.0] * 70 * 1440)
    highs = np.where(still.minutes % 10_080 == minute("2026-01-05T12:00") % 10_080, 101.0, 100.0)
    put(conn, "BTC", Candles(still.minutes, still.opens, highs, still.lows, still.closes))
    expected = volatility_reference.week_factors(
        still.minutes, volatility_reference.ranges(highs, still.lows)
    )
    assert expected.max() == 32767
    np.testing.assert_array_equal(factors_of(conn), expected)


def test_week_variances(conn: Connection) -> None:
    factors = np.random.default_rng(75).integers(1, 32767, 10_080)
    found = np.array(scalar(conn, "SELECT upc._week_variances(%s::smallint[])", factors.tolist()))
    assert len(found) == 10_140
    for start in (1, 2, 5000, 10_079, 10_080):
        for length in (1, 7, 60):
            # `start` minutes of the week are over, so that the next one has that number.
            expected = volatility_reference.week_variance(
                np.array([minute("2026-03-02") + start]), factors, length
            )
            difference = found[start + length - 1] - found[start - 1]
            np.testing.assert_allclose(difference, expected[0], rtol=1e-9)


# Features


@pytest.mark.parametrize("candles", [HISTORY, HOLES], ids=["whole", "holes"])
def test_features(conn: Connection, candles: Candles) -> None:
    put(conn, "BTC", candles)
    moved = volatility_reference.ranges(candles.highs, candles.lows)
    factors = volatility_reference.week_factors(candles.minutes, moved)
    expected = volatility_reference.features(candles.minutes, moved, factors)
    is_known = 0
    for day in ("2026-03-03", "2026-03-08", "2026-03-09", "2026-03-13"):
        rows = conn.execute(
            """
            SELECT f.minute, f.f5, f.f20, f.f60, f.f240, f.f1440
            FROM upc._range_features(
                upc._range_window('BTC', %(day)s), %(factors)s::smallint[],
                extract(isodow FROM %(day)s::date)::integer - 1,
                ARRAY(SELECT generate_series(1, 1440))
            ) AS f
            """,
            {"day": day, "factors": factors.tolist()},
        ).fetchall()
        of_day = (candles.minutes // 1440 == minute(day) // 1440) & ~np.isnan(expected[:, 0])
        # Without the candle itself there may still be half of the last five.
        there = {row[0]: row[1:] for row in rows if minute(day) + row[0] - 1 in candles.minutes}
        assert sorted(there) == (candles.minutes[of_day] % 1440 + 1).tolist()
        is_known += len(there)
        if there:
            found = np.array([there[number] for number in sorted(there)])
            np.testing.assert_allclose(found, expected[of_day], rtol=1e-12)
    assert is_known > 1500


# The fit


@pytest.mark.parametrize(
    "candles",
    [
        HISTORY,
        HOLES,
        # Every seventh minute, and every seventeenth.
        HISTORY + volatile_candles(76, "2026-04-02", 2000),
        volatile_candles(77, "2025-11-02", 4000) + HISTORY,
    ],
    ids=["every", "holes", "seventh", "seventeenth"],
)
def test_fit(conn: Connection, candles: Candles) -> None:
    put(conn, "BTC", candles)
    found = fitted(conn)
    assert found is not None
    assert_same_fit(found, volatility_reference.fit(*volatility_reference.of(candles)))
    # It follows the ranges: calm times are followed by calm ones.
    assert (found.coefficients[:, 1:].sum(axis=1) > 0.3).all()


def test_fit_looks_at_its_span_only(conn: Connection) -> None:
    since, until = "2026-03-03T07:30", "2026-03-06T17:31"
    put(conn, "BTC", HISTORY)
    first = fitted(conn, since + "Z", until + "Z")
    inside = HISTORY.where((HISTORY.minutes >= minute(since)) & (HISTORY.minutes < minute(until)))
    assert first is not None
    assert_same_fit(first, volatility_reference.fit(*volatility_reference.of(inside)))
    conn.execute(
        "UPDATE upc_data.candle SET high = 3 * high, close = 2 * close "
        "WHERE NOT (opened_at >= %s AND opened_at < %s)",
        (instant(since), instant(until)),
    )
    again = fitted(conn, since + "Z", until + "Z")
    assert again is not None
    np.testing.assert_array_equal(again.factors, first.factors)
    np.testing.assert_array_equal(again.coefficients, first.coefficients)


def test_too_few_candles_are_no_fit(conn: Connection) -> None:
    assert fitted(conn) is None
    # Half a day until the first minute that has one behind it, then 200 and an hour.
    put(conn, "BTC", volatile_candles(78, "2026-03-02", 719 + 199 + 60))
    assert fitted(conn) is None
    put(conn, "BTC", volatile_candles(79, "2026-03-02T16:18", 1))
    assert fitted(conn) is not None


def test_a_price_that_never_moves_can_be_fitted(conn: Connection) -> None:
    candles = flat(range(minute("2026-03-02"), minute("2026-03-05")), [100.0] * 3 * 1440)
    put(conn, "BTC", candles)
    found = fitted(conn)
    assert found is not None
    assert_same_fit(found, volatility_reference.fit(*volatility_reference.of(candles)))


def test_fit_does_not_depend_on_the_unit_of_prices(conn: Connection) -> None:
    put(conn, "BTC", HISTORY)
    first = fitted(conn)
    conn.execute("DELETE FROM upc_data.candle")
    put(conn, "BTC", scaled(HISTORY, 1 / 1024))
    again = fitted(conn)
    assert first is not None
    assert_same_fit(first, again)


@pytest.mark.parametrize("zone", ["America/New_York", "America/Sao_Paulo"])
def test_fit_does_not_depend_on_the_time_zone(conn: Connection, zone: str) -> None:
    """In São Paulo 4 November 2018 began at one o'clock."""
    put(conn, "BTC", volatile_candles(80, "2018-11-02", 4 * 1440))
    expected = fitted(conn)
    conn.execute(f"SET LOCAL timezone = '{zone}'".encode())
    assert expected is not None
    assert_same_fit(expected, fitted(conn))


def test_coefficients_between(conn: Connection) -> None:
    rows = np.random.default_rng(81).normal(0, 1, (8, 6))
    found = scalar(
        conn,
        "SELECT upc._coefficients_between(%s::integer[], %s)",
        list(volatility_reference.HORIZONS),
        rows.ravel().tolist(),
    )
    times = np.log(np.arange(1, 61))
    expected = np.column_stack(
        [np.interp(times, np.log(volatility_reference.HORIZONS), rows[:, c]) for c in range(6)]
    )
    np.testing.assert_allclose(np.array(found).reshape(60, 6), expected, atol=0.005001)


def test_least_squares(conn: Connection) -> None:
    dice = np.random.default_rng(82)
    known = dice.normal(0, 1, (50, 6))
    target = dice.normal(0, 1, 50)
    found = scalar(
        conn,
        "SELECT upc._solve_least_squares(%s::double precision[], %s)",
        (known.T @ known).tolist(),
        (known.T @ target).tolist(),
    )
    np.testing.assert_allclose(found, np.linalg.lstsq(known, target, rcond=None)[0], rtol=1e-9)


def test_reference_counts_thresholds_from_both_sides() -> None:
    moves = np.array([0.0, 0.075, -0.075, 40.0, -41.0, 1e-9])
    found: Cell = volatility_reference.cell(moves)
    assert (found.positive[0], found.negative[0]) == (4, 3)
    assert (found.positive[1], found.negative[1]) == (2, 2)
    assert (found.positive[59], found.negative[59]) == (1, 1)
