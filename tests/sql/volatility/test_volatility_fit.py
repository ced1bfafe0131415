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
    table = np.array(coefficients).reshape(-1, 22)
    return Fit(np.array(factors), table[:8], table[8:])


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
        ("2026-03-02T05:00", 0),  # a Monday
        ("2026-03-09T03:59", 10079),  # of summer time, since the day before
        ("2026-03-09T04:00", 0),
        ("1970-01-01T05:00", 4320),
        ("2026-03-08T06:59", 6 * 1440 + 119),
        ("2026-03-08T07:00", 6 * 1440 + 180),  # two o'clock is three
        ("2026-11-01T05:59", 6 * 1440 + 119),
        ("2026-11-01T06:00", 6 * 1440 + 60),  # two o'clock is one again
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_minutes_of_the_week(conn: Connection, moment: str, expected: int, zone: str) -> None:
    conn.execute(f"SET LOCAL timezone = '{zone}'".encode())
    for before in (0, 1, 17, 60, 1500):
        query = "SELECT upc._week_minutes(%s::timestamptz - make_interval(mins => %s), %s)"
        found = scalar(conn, query, instant(moment), before, before + 1)
        assert len(found) == before + 1
        assert found[-1] == expected
    since = minute(moment) - 3000
    wanted = volatility_reference.minute_of_week(np.arange(since, since + 6000))
    found = scalar(
        conn,
        "SELECT upc._week_minutes(%s::timestamptz - interval '3000 minutes', 6000)",
        instant(moment),
    )
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("day", ["2026-03-07", "2026-03-08", "2026-11-01", "2026-11-02"])
def test_season_sums(conn: Connection, day: str) -> None:
    """The variance of the minutes ahead follows New York's clocks, also over their changes."""
    factors = np.random.default_rng(75).integers(1, 3000, 10_080)
    query = "SELECT upc._season_sums(%s::date[], %s::smallint[])"
    found = np.array(scalar(conn, query, ["2025-12-31", day], factors.tolist()))
    assert len(found) == 2 * 1530
    for start in (1, 2, 359, 360, 361, 420, 1439, 1440):
        for length in (1, 7, 60):
            expected = volatility_reference.week_variance(
                np.array([minute(day) + start]), factors, length
            )
            place = 1530 + 30 + start - 1
            np.testing.assert_allclose(found[place + length] - found[place], expected[0], rtol=1e-9)


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


# Features


def without_volume(candles: Candles, share: float = 1) -> Candles:
    """A random share of the volumes is not known; the minutes in which nothing moves have none."""
    gone = np.random.default_rng(76).random(len(candles.minutes)) < share
    volumes = np.where(gone, 0, candles.volumes)
    return Candles(
        candles.minutes, candles.opens, candles.highs, candles.lows, candles.closes, volumes
    )


def still(candles: Candles, since: str, until: str) -> Candles:
    """The same with a time in which nothing moves."""
    flat_ones = (candles.minutes >= minute(since)) & (candles.minutes < minute(until))
    level = candles.closes[flat_ones][0]
    opens, highs, lows, closes = (
        np.where(flat_ones, level, column)
        for column in (candles.opens, candles.highs, candles.lows, candles.closes)
    )
    volumes = np.where(flat_ones, 0, candles.volumes)
    return Candles(candles.minutes, opens, highs, lows, closes, volumes)


KINDS = {
    "whole": HISTORY,
    "holes": HOLES,
    "no volume": without_volume(HISTORY),
    "some volume": without_volume(HOLES, 0.3),
    "still": still(HISTORY, "2026-03-08T03:00", "2026-03-09T05:00"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_features(conn: Connection, kind: str) -> None:
    """Of runs of days and of single minutes, over a change of the clocks."""
    candles = KINDS[kind]
    put(conn, "BTC", candles)
    factors = volatility_reference.week_factors(
        candles.minutes, volatility_reference.ranges(candles.highs, candles.lows)
    )
    names = ", ".join(f"f.{name}" for name in volatility_reference.NAMES)
    series = volatility_reference.series(*volatility_reference.of(candles))
    expected = volatility_reference.features(series, factors)
    is_known, there = 0, set(candles.minutes.tolist())
    for first, last in (("2026-03-03", "2026-03-03"), ("2026-03-07", "2026-03-09")):
        begin = minute(first) - series.first
        length = minute(last) + 1440 - minute(first)
        rows = conn.execute(
            f"SELECT f.place, {names} FROM upc._forecast_features('BTC', %s, %s, %s::smallint[], "
            "ARRAY(SELECT generate_series(1, %s, 3))) AS f".encode(),
            (first, last, factors.tolist(), length),
        ).fetchall()
        wanted = {
            place: expected[begin + place - 1]
            for place in range(1, length + 1, 3)
            if begin + place <= len(expected) and not np.isnan(expected[begin + place - 1, 0])
        }
        # Without the candle itself there may still be half of the last five.
        rows = [row for row in rows if minute(first) + row[0] - 1 in there]
        wanted = {row: found for row, found in wanted.items() if minute(first) + row - 1 in there}
        assert sorted(row[0] for row in rows) == sorted(wanted)
        is_known += len(rows)
        for row in rows:
            np.testing.assert_allclose(row[1:], wanted[row[0]], rtol=1e-9, atol=1e-9)
        for place in sorted(wanted)[::101]:
            at = minute(first) + place
            (single,) = conn.execute(
                f"SELECT {names} FROM upc._newest_features('BTC', to_timestamp(60 * %s::bigint), "
                "%s::smallint[], upc._week_minutes("
                "to_timestamp(60 * %s::bigint) - interval '24 hours', 1500)) AS f".encode(),
                (at, factors.tolist(), at),
            ).fetchall()
            day = next(row[1:] for row in rows if row[0] == place)
            assert single == day
    assert is_known > 1000


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


def test_fit_looks_at_its_span_only(conn: Connection) -> None:
    since, until = "2026-03-03T07:30", "2026-03-06T17:31"
    put(conn, "BTC", HISTORY)
    first = fitted(conn, since + "Z", until + "Z")
    inside = HISTORY.where((HISTORY.minutes >= minute(since)) & (HISTORY.minutes < minute(until)))
    assert first is not None
    assert_same_fit(first, volatility_reference.fit(*volatility_reference.of(inside)))
    conn.execute(
        "UPDATE upc_data.candle SET high = 3 * high, close = 2 * close, volume = 7 + 3 * volume "
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


def test_the_fit_is_where_the_gradient_vanishes(conn: Connection) -> None:
    put(conn, "BTC", HISTORY)
    found = fitted(conn)
    assert found is not None
    series = volatility_reference.series(*volatility_reference.of(HISTORY))
    regressors, came = volatility_reference.samples(series, found.factors, 3)
    # A mean deviation of ratios from one, as far as rounding to hundredths leaves it.
    slope = volatility_reference.gradient(regressors, came, found.coefficients)
    assert np.abs(slope[:, 0]).max() / len(regressors) < 0.1
    ratio = came / np.exp(regressors @ found.coefficients.T)
    np.testing.assert_allclose(np.minimum(ratio, 20).mean(axis=0), 1, atol=0.1)


def test_inverse(conn: Connection) -> None:
    dice = np.random.default_rng(82)
    known = dice.normal(0, 1, (50, 6))
    products = known.T @ known
    found = scalar(conn, "SELECT upc._inverse(%s::double precision[])", products.tolist())
    np.testing.assert_allclose(found, np.linalg.inv(products), rtol=1e-9)
    gradients = dice.normal(0, 1, (3, 6))
    step = scalar(conn, "SELECT upc._newton_step(%s, %s)", found, gradients.ravel().tolist())
    wanted = (np.linalg.inv(products) @ gradients.T).T
    np.testing.assert_allclose(np.array(step).reshape(3, 6), wanted, rtol=1e-9)


@pytest.mark.parametrize("minutes", [1, 2, 4, 7, 15, 16, 45, 59, 60])
def test_forecast_between_fitted_horizons(conn: Connection, minutes: int) -> None:
    whole = np.random.default_rng(83).integers(-16_000, -14_000, 8)
    found = scalar(conn, "SELECT upc._forecast_of(%s::smallint[], %s)", whole.tolist(), minutes)
    expected = volatility_reference.average_variance(whole[None].astype(float), minutes)
    np.testing.assert_allclose(found, expected[0], rtol=1e-12)


def test_reference_counts_thresholds_from_both_sides() -> None:
    moves = np.array([0.0, 0.075, -0.075, 40.0, -41.0, 1e-9])
    found: Cell = volatility_reference.cell(moves)
    assert (found.positive[0], found.negative[0]) == (4, 3)
    assert (found.positive[1], found.negative[1]) == (2, 2)
    assert (found.positive[59], found.negative[59]) == (1, 1)
