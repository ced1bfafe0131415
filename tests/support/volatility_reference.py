"""Reference forecasts of volatility and counts of standardised moves, in numpy.

Written from the comments of columns and functions; nothing here knows windows, pieces or
running sums of the database. Candles are in order of time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support import brute_force
from tests.support.brute_force import BASELINE, Cell, Closes, Histogram, Minutes

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

WEEK = 10_080
SPANS = (5, 20, 60, 240, 1440)
HORIZONS = (1, 2, 3, 5, 10, 15, 30, 60)
NEAR = [0.075 * k for k in range(40)]
FAR = [round(3 * (40 / 3) ** (k / 19), 3) for k in range(20)]
THRESHOLDS = np.array(NEAR + FAR)


@dataclass(frozen=True)
class Fit:
    """`factors`: of the minutes of the week, hundredths. `coefficients`: 60 rows of six."""

    factors: Whole
    coefficients: Floats


def ranges(highs: Floats, lows: Floats) -> Whole:
    """ln(high / low) in units of 1e-8; what is beyond 4e8 times is 2e9."""
    quotients = highs / lows
    return np.where(quotients < 4e8, np.rint(1e8 * np.log(quotients)), 2e9).astype(np.int64)


def minute_of_week(minutes: Whole) -> Whole:
    """0 is Monday, 00:00 UTC; 1970 began on a Thursday."""
    return (minutes + 3 * 1440) % WEEK


def week_factors(minutes: Minutes, moved: Whole) -> Whole:
    """An hour of the week's factor times a minute of the day's, each pulled towards one."""
    slot, week = minute_of_week(minutes), (minutes + 3 * 1440) // WEEK
    week -= week.min()
    mean = np.bincount(week, moved) / np.maximum(np.bincount(week), 1)
    moving = mean[week] > 0
    slot, ratio = slot[moving], moved[moving] / mean[week][moving]
    hour, minute = slot // 60, slot % 1440
    by_hour = (np.bincount(hour, ratio, 168) + 120) / (np.bincount(hour, minlength=168) + 120)
    by_minute = (np.bincount(minute, ratio / by_hour[hour], 1440) + 60) / (
        np.bincount(minute, minlength=1440) + 60
    )
    every = np.arange(WEEK)
    factors = np.rint(100 * by_hour[every // 60] * by_minute[every % 1440])
    return np.clip(factors, 1, 32767).astype(np.int64)


def features(minutes: Minutes, moved: Whole, factors: Whole) -> Floats:
    """Five a candle, as known when it has closed; NaN where half of any span is missing."""
    average = np.rint(moved * 100.0 / factors[minute_of_week(minutes)])
    first = int(minutes[0])
    total, seen = np.zeros((2, int(minutes[-1]) - first + 2))
    total[minutes - first + 1], seen[minutes - first + 1] = average, 1
    total, seen = total.cumsum(), seen.cumsum()
    end = minutes - first + 1
    columns, is_known = [], np.ones(len(minutes), dtype=bool)
    for span in SPANS:
        begin = np.maximum(end - span, 0)
        count = seen[end] - seen[begin]
        is_known &= 2 * count >= span
        mean = (total[end] - total[begin]) / np.maximum(count, 1)
        columns.append(14 + 2 * np.log(np.maximum(mean, 100) * 1e-8))
    return np.where(is_known[:, None], np.column_stack(columns), np.nan)


def week_variance(minutes: Whole, factors: Whole, horizon: int) -> Floats:
    """Variance of the next `horizon` minutes after each of `minutes`, in average minutes."""
    ahead = minute_of_week(np.asarray(minutes)[:, None] + np.arange(horizon))
    squares: Floats = factors[ahead].astype(np.float64) ** 2
    return np.asarray(squares.sum(axis=1) / 10_000)


def log_variance(known: Floats, coefficients: Floats) -> Floats:
    return np.asarray(coefficients[0] + known @ coefficients[1:])


def fit(minutes: Minutes, highs: Floats, lows: Floats, closes: Closes) -> Fit | None:
    if not len(minutes):
        return None
    moved = ranges(highs, lows)
    factors = week_factors(minutes, moved)
    known = features(minutes, moved, factors)
    days = int(minutes[-1] // 1440 - minutes[0] // 1440)
    stride = 17 if days > 100 else 7 if days > 20 else 1
    chosen = ~np.isnan(known[:, 0]) & ((minutes + 1) % stride == 0)
    # The whole hour after it is there.
    squares = np.zeros((len(minutes), 60))
    for distance in range(1, 61):
        found, place = brute_force.later(minutes, distance)
        before, at = brute_force.later(minutes, distance - 1)
        chosen &= found & before
        squares[:, distance - 1] = np.log(closes[place] / closes[at]) ** 2
    if chosen.sum() < 200:
        return None
    known, squares, start = known[chosen], squares[chosen], minutes[chosen] + 1
    regressors = np.column_stack([np.ones(len(known)), known])
    doubt = np.eye(6)[1:]
    rows = []
    for horizon in HORIZONS:
        came = squares[:, :horizon].sum(axis=1) / week_variance(start, factors, horizon)
        target = np.log(came + 0.009 * np.exp(known[:, 2] - 14))
        rows.append(
            np.linalg.lstsq(
                np.vstack([regressors, doubt]), np.concatenate([target, np.zeros(5)]), rcond=None
            )[0]
        )
    times = np.log(np.arange(1, 61))
    table = np.column_stack(
        [np.interp(times, np.log(HORIZONS), np.array(rows)[:, column]) for column in range(6)]
    )
    return Fit(factors, np.round(table, 2))


def variances(
    fitted: Fit, minutes: Minutes, highs: Floats, lows: Floats, known_at: int
) -> Floats | None:
    """Variances of the next 1 to 60 minutes, from the candles that have closed by a minute."""
    closed = minutes < known_at
    moved = ranges(highs[closed], lows[closed])
    # A candle that nobody looks at stands for the minute of the question.
    at = np.append(minutes[closed], known_at)
    known = _before(at, np.append(moved, 0), fitted.factors)
    if np.isnan(known).any():
        return None
    return np.array(
        [
            np.exp(log_variance(known, fitted.coefficients[horizon - 1]))
            * week_variance(np.array([known_at]), fitted.factors, horizon)[0]
            for horizon in range(1, 61)
        ]
    )


def _before(minutes: Minutes, moved: Whole, factors: Whole) -> Floats:
    """The features that are known just before the last of some candles opens."""
    average = np.rint(moved * 100.0 / factors[minute_of_week(minutes)])[:-1]
    age = minutes[-1] - minutes[:-1]
    found = []
    for span in SPANS:
        young = average[age <= span]
        is_known = 2 * len(young) >= span
        found.append(14 + 2 * np.log(max(young.mean(), 100) * 1e-8) if is_known else np.nan)
    return np.array(found)


def standardised(
    minutes: Minutes, highs: Floats, lows: Floats, closes: Closes, fitted: Fit, horizon: int
) -> tuple[NDArray[np.bool_], Floats]:
    """Mask of the starting minutes, and the move after each of them in standard deviations."""
    known = features(minutes, ranges(highs, lows), fitted.factors)
    found, place = brute_force.later(minutes, horizon)
    chosen = found & ~np.isnan(known[:, 0])
    expected = log_variance(known, fitted.coefficients[horizon - 1])
    deviation = np.sqrt(np.exp(expected) * week_variance(minutes + 1, fitted.factors, horizon))
    return chosen, (closes[place] - closes) / closes / deviation


def histogram(
    minutes: Minutes, highs: Floats, lows: Floats, closes: Closes, fitted: Fit
) -> Histogram:
    """Counts per UTC year of every other starting minute: of those that open at an even one."""
    years = brute_force.years_of(minutes)
    buckets = brute_force.bucket_of(brute_force.momentum(minutes, closes))
    is_odd = minutes % 2 == 0  # the day's first minute is number one
    cells: Histogram = {}
    for horizon in range(1, 61):
        chosen, moves = standardised(minutes, highs, lows, closes, fitted, horizon)
        chosen &= is_odd
        for year in np.unique(years[chosen]).tolist():
            of_year = chosen & (years == year)
            for bucket in [*np.unique(buckets[of_year]).tolist(), BASELINE]:
                member = of_year if bucket == BASELINE else of_year & (buckets == bucket)
                if bucket <= BASELINE:
                    cells[year, bucket, horizon] = cell(moves[member])
    return cells


def cell(moves: Floats) -> Cell:
    up, down = np.sort(moves), np.sort(-moves)
    return Cell(
        len(moves),
        len(moves) - np.searchsorted(up, THRESHOLDS),
        len(moves) - np.searchsorted(down, THRESHOLDS),
    )


def of(candles: Any) -> tuple[Minutes, Floats, Floats, Closes]:
    """The columns of Candles that all of this is made from."""
    return candles.minutes, candles.highs, candles.lows, candles.closes
