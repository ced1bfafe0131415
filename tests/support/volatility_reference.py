"""Reference forecasts of volatility and counts of standardised moves, in numpy and scipy.

Written from the formulas in docs/models.md; nothing here knows windows, pieces or running sums of
the database. Candles are in order of time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from tests.support import brute_force
from tests.support.brute_force import BASELINE, Cell, Closes, Histogram, Minutes

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

WEEK = 10_080
HORIZONS = (1, 2, 3, 5, 10, 15, 30, 60)
LONG = (75, 90, 120, 180, 240, 360, 480, 720, 1440)
NAMES = (
    *("f5", "f20", "f60", "f240", "f1440"),
    *("v1", "v5", "v20", "v60", "v240"),
    *("c5", "c20", "c60", "c240", "a5", "a20", "a60", "a240", "sd", "m20", "m60"),
)
NEAR = [0.075 * k for k in range(40)]
FAR = [round(3 * (40 / 3) ** (k / 19), 3) for k in range(20)]
THRESHOLDS = np.array(NEAR + FAR)
NEW_YORK = ZoneInfo("America/New_York")


@dataclass(frozen=True)
class Fit:
    """`factors`: of the minutes of the week, hundredths. `coefficients`: 8 rows of 22; `long`: 9
    rows for the horizons beyond an hour, none where there are too few days."""

    factors: Whole
    coefficients: Floats
    long: Floats


@dataclass(frozen=True)
class Series:
    """Candles as columns, one element a minute without gaps; NaN where there is none."""

    first: int
    ranges: Floats
    closes: Floats
    volumes: Floats
    """NaN where the source does not know it, too: where the price moved without volume."""


def ranges(highs: Floats, lows: Floats) -> Whole:
    """ln(high / low) in units of 1e-8; what is beyond 4e8 times is 2e9."""
    quotients = highs / lows
    return np.where(quotients < 4e8, np.rint(1e8 * np.log(quotients)), 2e9).astype(np.int64)


def local_minutes(minutes: Whole) -> Whole:
    """Minutes that New York's clocks have gone since 1970 began there, plus three days."""
    hours, place = np.unique(np.asarray(minutes) // 60, return_inverse=True)
    offsets = [
        datetime.fromtimestamp(int(hour) * 3600, UTC).astimezone(NEW_YORK).utcoffset()
        for hour in hours
    ]
    shift = np.array([0 if o is None else o.total_seconds() // 60 for o in offsets], np.int64)
    return np.asarray(minutes) + shift[place].reshape(np.shape(minutes)) + 3 * 1440


def minute_of_week(minutes: Whole) -> Whole:
    """0 is Monday, 00:00 in New York; 1970 began on a Thursday."""
    return local_minutes(minutes) % WEEK


def week_factors(minutes: Minutes, moved: Whole) -> Whole:
    """An hour of the week's factor times a minute of the day's, each pulled towards one."""
    local = local_minutes(minutes)
    slot, week = local % WEEK, local // WEEK
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


def series(
    minutes: Minutes, highs: Floats, lows: Floats, closes: Closes, volumes: Floats
) -> Series:
    place = minutes - minutes[0]
    columns = np.full((3, int(place[-1]) + 1), np.nan)
    columns[0, place] = ranges(highs, lows)
    columns[1, place] = closes
    columns[2, place] = np.where((volumes > 0) | (highs == lows), volumes, np.nan)
    return Series(int(minutes[0]), *columns)


def _means(values: Floats, spans: tuple[int, ...]) -> dict[int, tuple[Floats, Floats]]:
    """Of each span that ends with each element: the mean of what is there, and its number."""
    there = ~np.isnan(values)
    totals = np.concatenate([[0], np.cumsum(np.where(there, values, 0))])
    counts = np.concatenate([[0], np.cumsum(there)])
    end = np.arange(1, len(values) + 1)
    found = {}
    for span in spans:
        begin = np.maximum(end - span, 0)
        count = (counts[end] - counts[begin]).astype(np.float64)
        found[span] = ((totals[end] - totals[begin]) / np.maximum(count, 1), count)
    return found


def _largest(values: Floats, span: int) -> Floats:
    padded = np.concatenate([np.zeros(span - 1), np.nan_to_num(values)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, span)
    return np.asarray(windows.max(axis=1))


def features(candles: Series, factors: Whole) -> Floats:
    """A row a minute, as known when its candle has closed; NaN where half of a span is missing."""
    length = len(candles.closes)
    minutes = candles.first + np.arange(length)
    factor = factors[minute_of_week(minutes)].astype(np.float64)
    moved = np.rint(candles.ranges * 100 / factor)
    mean = _means(moved, (5, 20, 60, 240, 1440))
    is_known = np.ones(length, dtype=bool)
    for span, (_, count) in mean.items():
        is_known &= 2 * count >= span
    level = {span: np.maximum(average, 100) * 1e-8 for span, (average, _) in mean.items()}

    usual, usual_count = _means(np.rint(1e6 * candles.volumes / 100), (WEEK,))[WEEK]
    volume = _means(np.rint(1e6 * candles.volumes / factor), (1, 5, 20, 60, 240))
    moves = np.append(np.nan, np.diff(np.log(candles.closes)))
    squares = _means(np.minimum(np.rint(1e19 * (moves / factor) ** 2), 1e15), (5, 20, 60, 240))
    there = ~np.isnan(candles.closes)
    newest = np.maximum.accumulate(np.where(there, np.arange(length), -1))
    logs = np.rint(1e4 * np.log(np.maximum(moved, 100) * 1e-8))

    columns = [14 + 2 * np.log(level[span]) for span in (5, 20, 60, 240, 1440)]
    with np.errstate(divide="ignore", invalid="ignore"):
        for average, count in volume.values():
            ratio = np.log(average / usual + 0.001)
            columns.append(np.where((count > 0) & (usual > 0) & (usual_count > 0), ratio, 0))
    for average, _ in squares.values():
        columns.append(14 + np.log(1e-15 * average + 0.02 * level[60] ** 2))
    for span in (5, 20, 60, 240):
        before = np.concatenate([np.full(min(span, length), -1), newest])[:length]
        move = np.abs(np.log(candles.closes[newest] / candles.closes[before]))
        expected = 0.8 * np.sqrt(span) * level[60]
        columns.append(np.where(before < 0, np.nan, np.minimum(5, move / expected)))
    first, second = _means(logs, (60,))[60][0], _means(logs**2, (60,))[60][0]
    columns.append(1e-4 * np.sqrt(np.maximum(0, second - first**2)))
    for span in (20, 60):
        columns.append(2 * np.log(np.maximum(_largest(moved, span), 100) * 1e-8 / level[span]))
    return np.where(is_known[:, None], np.column_stack(columns), np.nan)


def week_variance(minutes: Whole, factors: Whole, horizon: int) -> Floats:
    """Variance of the next `horizon` minutes after each of `minutes`, in average minutes."""
    ahead = minute_of_week(np.asarray(minutes)[:, None] + np.arange(horizon))
    squares: Floats = factors[ahead].astype(np.float64) ** 2
    return np.asarray(squares.sum(axis=1) / 10_000)


def forecasts(known: Floats, coefficients: Floats) -> Floats:
    """Thousandths of the logarithm of a variance, a row a minute and a column a horizon."""
    return np.rint(1000 * (coefficients[:, 0] + known @ coefficients[:, 1:].T))


def average_variance(whole: Floats, horizon: int) -> Floats:
    """In straight lines over the logarithm of time between the horizons that are fitted."""
    after = min(max(int(np.searchsorted(HORIZONS, horizon)), 1), len(HORIZONS) - 1)
    near, far = HORIZONS[after - 1], HORIZONS[after]
    share = np.log(horizon / near) / np.log(far / near)
    return np.asarray(np.exp((whole[:, after - 1] * (1 - share) + whole[:, after] * share) / 1000))


def samples(candles: Series, factors: Whole, stride: int) -> tuple[Floats, Floats]:
    """Regressors, and the variance that came over each horizon beside the season's."""
    known = features(candles, factors)
    moves = np.append(np.nan, np.diff(np.log(candles.closes)))
    after = np.full((len(moves), 60), np.nan)
    for distance in range(1, 61):
        after[: len(moves) - distance, distance - 1] = moves[distance:] ** 2
    ends = candles.first + np.arange(len(moves)) + 1
    chosen = ~np.isnan(known[:, 0]) & ~np.isnan(after).any(axis=1) & (ends % stride == 0)
    came = [
        after[chosen, :horizon].sum(axis=1) / week_variance(ends[chosen], factors, horizon)
        for horizon in HORIZONS
    ]
    return (
        np.column_stack([np.ones(chosen.sum()), known[chosen]]),
        np.maximum(np.column_stack(came), 1e-12),
    )


def long_samples(candles: Series, factors: Whole, stride: int) -> tuple[Floats, Floats]:
    """The same beyond an hour, of minutes with a complete day after them."""
    known = features(candles, factors)
    squares = np.append(np.nan, np.diff(np.log(candles.closes))) ** 2
    ends = candles.first + np.arange(len(squares)) + 1
    totals = np.cumsum(np.nan_to_num(squares))
    holes = np.cumsum(np.isnan(squares))
    at = np.flatnonzero(~np.isnan(known[:, 0]) & (ends % stride == 0))
    at = at[at + 1440 < len(squares)]
    at = at[holes[at + 1440] == holes[at]]
    came = [
        (totals[at + horizon] - totals[at]) / week_variance(ends[at], factors, horizon)
        for horizon in LONG
    ]
    return (
        np.column_stack([np.ones(len(at)), known[at]]),
        np.maximum(np.column_stack(came), 1e-12),
    )


def gradient(regressors: Floats, came: Floats, coefficients: Floats, ridge: float = 1) -> Floats:
    """Of QLIKE, a row a horizon, with a ratio of 20 at the most."""
    ratio = np.minimum(came / np.exp(regressors @ coefficients.T), 20)
    penalty = ridge * coefficients * (np.arange(coefficients.shape[1]) > 0)
    return np.asarray((ratio - 1).T @ regressors - penalty)


def fit(
    minutes: Minutes, highs: Floats, lows: Floats, closes: Closes, volumes: Floats
) -> Fit | None:
    if not len(minutes):
        return None
    factors = week_factors(minutes, ranges(highs, lows))
    days = int(minutes[-1] // 1440 - minutes[0] // 1440)
    limits = {400: 37, 100: 17, 20: 7, 2: 3}
    stride = next((stride for limit, stride in limits.items() if days > limit), 1)
    candles = series(minutes, highs, lows, closes, volumes)
    regressors, came = samples(candles, factors, stride)
    if len(regressors) < 200:
        return None
    rows = [_solve(regressors, came[:, [place]]) for place in range(len(HORIZONS))]
    table: Floats = np.vstack(rows)
    return Fit(factors, np.round(table, 2), _long_fit(candles, factors, stride))


def _long_fit(candles: Series, factors: Whole, stride: int) -> Floats:
    regressors, came = long_samples(candles, factors, stride)
    if len(regressors) < 200:
        return np.empty((0, 22))
    rows = [
        _solve(regressors, came[:, [place]], 1 + len(regressors) * horizon / 10_000)
        for place, horizon in enumerate(LONG)
    ]
    return np.asarray(np.round(np.vstack(rows), 2))


def _solve(regressors: Floats, came: Floats, ridge: float = 1) -> Floats:
    """The root of the gradient, from a regression of the logarithm on, by scipy."""
    from scipy.optimize import root

    start = np.linalg.lstsq(regressors, np.log(came[:, 0]), rcond=1e-6)[0]
    start[0] += 1

    def jacobian(point: Floats) -> Floats:
        ratio = came[:, 0] / np.exp(regressors @ point)
        weight = np.where(ratio < 20, ratio, 0)
        doubt = ridge * np.diag((np.arange(len(point)) > 0).astype(np.float64))
        return np.asarray(-(regressors * weight[:, None]).T @ regressors - doubt)

    found = root(
        lambda point: gradient(regressors, came, point[None], ridge)[0],
        start,
        jac=jacobian,
        method="hybr",
        options={"xtol": 1e-12, "maxfev": 2000},
    )
    assert np.abs(found.fun).max() < 1e-4 * len(regressors), found.message
    return np.asarray(found.x)[None]


def variances(
    fitted: Fit,
    minutes: Minutes,
    highs: Floats,
    lows: Floats,
    closes: Closes,
    volumes: Floats,
    known_at: int,
) -> Floats | None:
    """Variances of the next 1 to 60 minutes and of `LONG`, from the candles that have closed."""
    closed = minutes < known_at
    if not closed.any():
        return None
    recent = closed & (minutes >= known_at - 2 * WEEK)
    candles = series(minutes[recent], highs[recent], lows[recent], closes[recent], volumes[recent])
    late = known_at - candles.first - len(candles.closes)
    padding = np.full(late, np.nan)
    candles = Series(
        candles.first,
        *(
            np.concatenate([column, padding])
            for column in (candles.ranges, candles.closes, candles.volumes)
        ),
    )
    known = features(candles, fitted.factors)[-1:]
    if np.isnan(known).any():
        return None
    whole = forecasts(known, fitted.coefficients)
    short = [average_variance(whole, horizon)[0] for horizon in range(1, 61)]
    long = np.exp(forecasts(known, fitted.long)[0] / 1000).tolist() if len(fitted.long) else []
    season = [
        week_variance(np.array([known_at]), fitted.factors, horizon)[0]
        for horizon in (*range(1, 61), *LONG)
    ]
    found: Floats = np.array([*short, *long]) * np.array(season)[: 60 + len(long)]
    return found


def minute_forecasts(
    minutes: Minutes, highs: Floats, lows: Floats, closes: Closes, volumes: Floats, fitted: Fit
) -> Floats:
    """Forecasts known when each candle has closed, a column a fitted horizon; NaN without one."""
    candles = series(minutes, highs, lows, closes, volumes)
    known = features(candles, fitted.factors)[minutes - minutes[0]]
    return forecasts(known, fitted.coefficients)


def standardised(
    minutes: Minutes, closes: Closes, fitted: Fit, known: Floats, horizon: int
) -> tuple[NDArray[np.bool_], Floats]:
    """Mask of the starting minutes, and the move after each of them in standard deviations."""
    found, place = brute_force.later(minutes, horizon)
    chosen = found & ~np.isnan(known[:, 0])
    expected = average_variance(known, horizon)
    deviation = np.sqrt(expected * week_variance(minutes + 1, fitted.factors, horizon))
    return chosen, (closes[place] - closes) / closes / deviation


def histogram(
    minutes: Minutes, highs: Floats, lows: Floats, closes: Closes, volumes: Floats, fitted: Fit
) -> Histogram:
    """Counts per UTC year of every other starting minute: of those that open at an even one."""
    years = brute_force.years_of(minutes)
    buckets = brute_force.bucket_of(brute_force.momentum(minutes, closes))
    is_odd = minutes % 2 == 0  # the day's first minute is number one
    cells: Histogram = {}
    known = minute_forecasts(minutes, highs, lows, closes, volumes, fitted)
    for horizon in range(1, 61):
        chosen, moves = standardised(minutes, closes, fitted, known, horizon)
        chosen &= is_odd
        for year in np.unique(years[chosen]).tolist():
            of_year = chosen & (years == year)
            for bucket in [*np.unique(buckets[of_year]).tolist(), BASELINE]:
                member = of_year if bucket == BASELINE else of_year & (buckets == bucket)
                if bucket <= BASELINE:
                    cells[year, bucket, horizon] = cell(moves[member])
    return cells


def long_histogram(
    minutes: Minutes, highs: Floats, lows: Floats, closes: Closes, volumes: Floats, fitted: Fit
) -> Histogram:
    """Counts per day, since 1970, and horizon of the starts at every quarter of an hour."""
    if not len(fitted.long):
        return {}
    candles = series(minutes, highs, lows, closes, volumes)
    known = features(candles, fitted.factors)[minutes - minutes[0]]
    whole = forecasts(known, fitted.long)
    days = minutes // 1440  # what closes at midnight belongs to the day before
    cells: Histogram = {}
    for place, horizon in enumerate(LONG):
        found, later = brute_force.later(minutes, horizon)
        chosen = found & ~np.isnan(known[:, 0]) & ((minutes + 1) % 15 == 0)
        season = week_variance(minutes + 1, fitted.factors, horizon)
        moves = (closes[later] - closes) / closes / np.sqrt(np.exp(whole[:, place] / 1000) * season)
        for day in np.unique(days[chosen]).tolist():
            cells[day, BASELINE, horizon] = cell(moves[chosen & (days == day)])
    return cells


def cell(moves: Floats) -> Cell:
    up, down = np.sort(moves), np.sort(-moves)
    return Cell(
        len(moves),
        len(moves) - np.searchsorted(up, THRESHOLDS),
        len(moves) - np.searchsorted(down, THRESHOLDS),
    )


def of(candles: Any) -> tuple[Minutes, Floats, Floats, Closes, Floats]:
    """The columns of Candles that all of this is made from."""
    return candles.minutes, candles.highs, candles.lows, candles.closes, candles.volumes
