"""Reference fingerprints of a history by brute force: numpy, and integers for every decision.

Nothing here knows how the database counts. Prices are scaled to whole numbers, so that a move of
exactly 0.05 % is one; where 64 bits do not hold them, they are Python's own integers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

Minutes = NDArray[np.int64]  # opening times of candles, minutes since 1970
Closes = NDArray[np.float64]
Counts = NDArray[np.int64]
Percent = NDArray[np.float64]

BASELINE = 99
LAGS = {1: 0.30, 2: 0.25, 3: 0.20, 4: 0.15, 15: 0.05, 30: 0.05}


@dataclass(frozen=True)
class Cell:
    """The counts behind one minute to close: of pairs, and of moves per threshold."""

    pairs: int
    positive: Counts
    negative: Counts


@dataclass(frozen=True)
class Curve:
    """Probabilities in percent per threshold; sample_size is unweighted."""

    sample_size: int
    positive: Percent
    negative: Percent


Histogram = dict[tuple[int, int, int], Cell]  # by year, bucket, minutes
Curves = dict[tuple[int, int], Curve]  # by bucket, minutes


def whole_prices(closes: Closes) -> NDArray[Any]:
    """The closes as whole numbers of one decimal unit; a double has 15 digits that count."""
    values = [Decimal(f"{close:.15g}") for close in closes.tolist()]
    places = max((-int(value.as_tuple().exponent) for value in values), default=0)
    scaled = [int(value.scaleb(max(0, places))) for value in values]
    fits = max(scaled, default=0) * 2000 < 2**62
    return np.array(scaled, dtype=np.int64 if fits else object)


def later(minutes: Minutes, distance: int) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Per candle: is there one `distance` minutes away, and its place."""
    place = np.searchsorted(minutes, minutes + distance)
    place[place == len(minutes)] = 0
    return minutes[place] == minutes + distance, place


def momentum(minutes: Minutes, closes: Closes) -> Closes:
    """Basis points per candle; NaN where an earlier candle is missing."""
    total = np.zeros(len(minutes))
    for lag, weight in LAGS.items():
        found, place = later(minutes, -lag)
        before = np.where(found, closes[place], np.nan)
        total += weight * (closes - before) / before
    return 10000 * total


def bucket_of(momentum_bps: Closes) -> NDArray[np.int64]:
    """numpy rounds half to even. Minutes without momentum get 1000, which is no bucket."""
    rounded = np.clip(np.rint(np.nan_to_num(momentum_bps)), -30, 30)
    return np.where(np.isnan(momentum_bps), 1000, rounded).astype(np.int64)


def years_of(minutes: Minutes) -> NDArray[np.int64]:
    return minutes.astype("datetime64[m]").astype("datetime64[Y]").astype(np.int64) + 1970


def histogram(minutes: Minutes, closes: Closes) -> Histogram:
    """Counts of a history in order of time, per UTC year of the starting minute."""
    prices = whole_prices(closes)
    years, buckets = years_of(minutes), bucket_of(momentum(minutes, closes))
    cells: Histogram = {}
    for distance in range(1, 61):
        found, place = later(minutes, distance)
        start = prices[found]
        # 0.05 % of a price is a 2000th of it: how many of those the price has moved by.
        moved = (prices[place[found]] - start) * 2000
        groups, member = np.unique(
            years[found] * 10_000 + buckets[found] + 100, return_inverse=True
        )
        pairs = np.bincount(member)
        up, down = (
            _reached(member, _thresholds(sign * moved, start), len(groups)) for sign in (1, -1)
        )
        for place_of, group in enumerate(groups.tolist()):
            cell = Cell(int(pairs[place_of]), up[place_of], down[place_of])
            year, bucket = group // 10_000, group % 10_000 - 100
            for key in {(year, bucket, distance), (year, BASELINE, distance)}:
                if key[1] <= BASELINE:
                    cells[key] = _add(cells[key], cell) if key in cells else cell
    return cells


def _thresholds(moved: NDArray[Any], start: NDArray[Any]) -> Counts:
    """The highest threshold that each move reaches; -1 in the other direction."""
    reached = np.where(moved >= 0, np.minimum(moved // start, 59), -1)
    return reached.astype(np.int64)


def _reached(member: NDArray[np.intp], highest: Counts, groups: int) -> Counts:
    """Per group and threshold: how many of its moves reach it."""
    counts = np.bincount(member * 61 + highest + 1, minlength=61 * groups).reshape(groups, 61)
    return counts[:, :0:-1].cumsum(axis=1)[:, ::-1].astype(np.int64)


def _add(one: Cell, other: Cell) -> Cell:
    return Cell(
        one.pairs + other.pairs, one.positive + other.positive, one.negative + other.negative
    )


def weight(year: int, newest: int) -> int:
    return max(1, 5 - (newest - year))


def curves(cells: Histogram, newest: int) -> Curves:
    return _curves(
        (bucket, distance, weight(year, newest), cell)
        for (year, bucket, distance), cell in cells.items()
    )


def added(cell: Cell, other: Cell) -> Cell:
    return Cell(
        cell.pairs + other.pairs, cell.positive + other.positive, cell.negative + other.negative
    )


def pooled(histories: Iterable[tuple[Histogram, int]]) -> Curves:
    """The baseline over all symbols: each year with the weight that its own symbol gives it."""
    return _curves(
        (bucket, distance, weight(year, newest), cell)
        for cells, newest in histories
        for (year, bucket, distance), cell in cells.items()
        if bucket == BASELINE
    )


def _curves(parts: Iterable[tuple[int, int, int, Cell]]) -> Curves:
    sums: dict[tuple[int, int], tuple[int, int, Counts, Counts]] = {}
    nothing = np.zeros(60, dtype=np.int64)
    for bucket, distance, times, cell in parts:
        size, total, up, down = sums.get((bucket, distance), (0, 0, nothing, nothing))
        sums[bucket, distance] = (
            size + cell.pairs,
            total + times * cell.pairs,
            up + times * cell.positive,
            down + times * cell.negative,
        )
    return {
        key: Curve(size, 100 * up / total, 100 * down / total)
        for key, (size, total, up, down) in sums.items()
    }


def fingerprints(minutes: Minutes, closes: Closes) -> Curves:
    """All fingerprints of one symbol's history."""
    return curves(histogram(minutes, closes), int(years_of(minutes).max()))
