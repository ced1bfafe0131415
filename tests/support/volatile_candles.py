"""Candles with ranges, and the counts of a build, for the tests of volatility."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support import volatility_reference
from tests.support.brute_force import BASELINE, Cell, Histogram
from tests.support.engine import Candles, Connection, minute, scalar, walk
from tests.support.volatility_reference import Fit, Floats

# All that a build of standardised moves leaves behind, times apart.
EVERYTHING = (
    "SELECT (symbol, fitted_until, factors, coefficients, completed_at IS NOT NULL, used_factors, "
    "used_coefficients)::text FROM upc_data.volatility_fit ORDER BY symbol",
    "SELECT (symbol, day, closes, forecasts)::text FROM upc_data.volatility_day "
    "ORDER BY symbol, day",
    "SELECT (symbol, year, bucket, minutes, pairs, positive, negative)::text "
    "FROM upc_data.volatility_histogram ORDER BY symbol, year, bucket, minutes",
    "SELECT c::text FROM upc.volatility_curve AS c ORDER BY symbol, bucket, minutes",
    "SELECT (symbol, month, minutes, pairs, positive, negative)::text "
    "FROM upc_data.volatility_month ORDER BY symbol, month, minutes",
    "SELECT d::text FROM upc.volatility_drift AS d ORDER BY symbol, minutes",
    "SELECT (symbol, day, counters)::text FROM upc_data.horizon_day ORDER BY symbol, day",
    "SELECT c::text FROM upc.horizon_curve AS c ORDER BY symbol, minutes",
    "SELECT s::text FROM upc_data.volatility_state AS s ORDER BY symbol",
    "SELECT h::text FROM upc_data.fingerprint_histogram AS h "
    "ORDER BY symbol, year, bucket, minutes",
)


def volatile_candles(seed: int, since: str, length: int, *, price: float = 40_000) -> Candles:
    """A random walk whose candles have ranges, more volatile by day than by night."""
    dice = np.random.default_rng(seed)
    closes = walk(seed, since, length, price=price, volatility=0.0006).closes
    start = minute(since)
    minutes = np.arange(start, start + length, dtype=np.int64)
    day = 1.2 + np.sin(2 * np.pi * (minutes % 1440) / 1440)
    opens = np.concatenate([closes[:1], closes[:-1]])
    wick = 0.0004 * day[:, None] * dice.exponential(1, (length, 2))
    highs = np.round(np.maximum(opens, closes) * (1 + wick[:, 0]), 2)
    lows = np.round(np.minimum(opens, closes) * (1 - wick[:, 1]), 2)
    volumes = np.round(20 * wick.sum(axis=1) / 0.0004 * dice.lognormal(0, 0.7, length), 5)
    return Candles(minutes, opens, highs, lows, closes, volumes)


def scaled(candles: Candles, factor: float) -> Candles:
    prices = (candles.opens, candles.highs, candles.lows, candles.closes)
    opens, highs, lows, closes = (factor * column for column in prices)
    return Candles(candles.minutes, opens, highs, lows, closes, candles.volumes)


def everything(conn: Connection) -> list[list[Any]]:
    return [conn.execute(query.encode()).fetchall() for query in EVERYTHING]


def stored_candles(conn: Connection, symbol: str = "BTC") -> Candles:
    rows = conn.execute(
        "SELECT extract(epoch FROM opened_at)::bigint / 60, open, high, low, close, volume "
        "FROM upc_data.candle WHERE symbol = %s ORDER BY opened_at",
        (symbol,),
    ).fetchall()
    minutes = np.array([row[0] for row in rows], dtype=np.int64)
    return Candles(
        minutes,
        *(np.array([row[column] for row in rows], dtype=np.float64) for column in range(1, 6)),
    )


def stored_fit(conn: Connection, symbol: str = "BTC") -> Fit:
    rows = conn.execute(
        "SELECT factors, coefficients FROM upc_data.volatility_fit WHERE symbol = %s", (symbol,)
    ).fetchall()
    ((factors, coefficients),) = rows
    table = np.array(coefficients).reshape(-1, 22)
    return Fit(np.array(factors), table[:8], table[8:])


def stored_counts(conn: Connection, symbol: str = "BTC") -> Histogram:
    rows = conn.execute(
        "SELECT year, bucket, minutes, pairs, positive, negative "
        "FROM upc_data.volatility_histogram WHERE symbol = %s",
        (symbol,),
    )
    return {
        (year, bucket, minutes): Cell(pairs, np.array(positive), np.array(negative))
        for year, bucket, minutes, pairs, positive, negative in rows
    }


def unpacked(counters: int) -> Cell:
    """Eight digits each: the middle one has all pairs, those above it the ones upward."""
    digits = np.array([counters // 10 ** (8 * k) % 10**8 for k in range(121)])
    return Cell(int(digits[60]), digits[61:], digits[59::-1])


def stored_long_counts(conn: Connection, symbol: str = "BTC") -> Histogram:
    rows = conn.execute(
        "SELECT day - '1970-01-01'::date, counters FROM upc_data.horizon_day WHERE symbol = %s",
        (symbol,),
    )
    return {
        (day, BASELINE, horizon): unpacked(int(one))
        for day, counters in rows
        for horizon, one in zip(volatility_reference.LONG, counters, strict=True)
        if one
    }


def expected_fit(candles: Candles, until: str) -> Fit | None:
    chosen = candles.where(candles.minutes < minute(until))
    return volatility_reference.fit(*volatility_reference.of(chosen))


def expected_counts(candles: Candles, fitted: Fit) -> Histogram:
    return volatility_reference.histogram(*volatility_reference.of(candles), fitted)


def expected_long_counts(candles: Candles, fitted: Fit) -> Histogram:
    return volatility_reference.long_histogram(*volatility_reference.of(candles), fitted)


def assert_same_fit(found: Fit, expected: Fit | None) -> None:
    assert expected is not None
    np.testing.assert_array_equal(found.factors, expected.factors)
    # Rounded to hundredths: what lies between two of them may end on either side.
    ours = np.concatenate([found.coefficients, found.long])
    theirs = np.concatenate([expected.coefficients, expected.long])
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=0.0101)
    assert (np.abs(ours - theirs) > 1e-9).mean() < 0.03


def forecast(conn: Connection, at: Any = None, symbol: str = "BTC") -> Floats | None:
    found = scalar(conn, "SELECT upc._known_variances(%s, %s::timestamptz)", symbol, at)
    return None if found is None else np.array(found)
