"""Reading columns of numbers without names: what each has to be for every row to be a candle.

Which columns are prices follows from low <= open, close <= high on every row, within half of the
price; which of two is the open from the next minute's, which begins near where this one has ended;
which is the traded amount from the turnover, which is that amount times a price of the minute. What
remains has to have the shape in which a known distributor writes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import pairwise

from pyupc.candles.columns.sample import Doubt, Sample
from pyupc.candles.columns.volume import volume

# Widest range of a minute, of its low.
WIDEST = 1.5

# Neighbouring candles further apart prove nothing about each other.
NEAR_MINUTES = 10

# Standard deviations of a coin's throws; one wrong reading in some millions.
SURE = 5.0

# Without a break in so many neighbours, each opening exactly where the one before has closed.
CHAIN = 5

# Bits from which on a match is no coincidence.
STEP_BITS = 16


def read(sample: Sample, candidates: Mapping[str, Sequence[int]]) -> tuple[int, ...]:
    """The columns of timestamp, open, high, low, close and volume. Raises Doubt."""
    if sample.count < 2:
        raise Doubt("one line is too few to recognise them by")
    time = _time(sample, candidates["timestamp"])
    opened, high, low, close = _prices(sample, time, candidates)
    picks = (time, opened, high, low, close)
    return (*picks, volume(sample, picks, candidates["volume"]))


def _time(sample: Sample, columns: Sequence[int]) -> int:
    found = [column for column in columns if sample.minutes(column)]
    if not found:
        raise Doubt("no column names a different minute on each line")
    if any(sample.minutes(column) != sample.minutes(found[0]) for column in found):
        raise Doubt("several columns name minutes, and different ones")
    minutes = sorted(sample.minutes(found[0]) or ())
    steps = [after - before for before, after in pairwise(minutes)]
    if min(steps) != 1:
        raise Doubt("the lines are not one minute apart")
    return found[0]


def _prices(
    sample: Sample, time: int, candidates: Mapping[str, Sequence[int]]
) -> tuple[int, int, int, int]:
    readings = _ranges(sample, time, candidates)
    if not readings:
        raise Doubt("no four columns are open, high, low and close on every line")
    if len(readings) > 1:
        raise Doubt("several columns could be the prices")
    ((high, low, inside),) = readings
    first, second = sorted(inside)
    orders = [
        (opened, close)
        for opened, close in ((first, second), (second, first))
        if opened in candidates["open"] and close in candidates["close"]
    ]
    if len(orders) == 1:
        return orders[0][0], high, low, orders[0][1]
    sign = order(sample, time, first, second)
    if sign == 0:
        raise Doubt("open and close cannot be told apart")
    opened, close = (first, second) if sign > 0 else (second, first)
    return opened, high, low, close


def _ranges(
    sample: Sample, time: int, candidates: Mapping[str, Sequence[int]]
) -> set[tuple[int, int, frozenset[int]]]:
    """Each high, low and pair of others that are no further apart than a minute's prices."""
    found = set()
    middle = sorted(set(candidates["open"]) | set(candidates["close"]))
    for high in candidates["high"]:
        for low in candidates["low"]:
            if time in (high, low) or high == low or not _fits(sample, low, high):
                continue
            inside = [
                column
                for column in middle
                if column not in (time, high, low)
                and _fits(sample, low, column)
                and _fits(sample, column, high)
            ]
            found |= {
                (high, low, frozenset((a, b)))
                for i, a in enumerate(inside)
                for b in inside[i + 1 :]
                if (a in candidates["open"] and b in candidates["close"])
                or (b in candidates["open"] and a in candidates["close"])
            }
    return found


def _fits(sample: Sample, below: int, above: int) -> bool:
    lows, highs = sample.numbers(below), sample.numbers(above)
    return bool(
        lows and highs and all(0 < a <= b <= WIDEST * a for a, b in zip(lows, highs, strict=True))
    )


def order(sample: Sample, time: int, opened: int, close: int) -> int:
    """1 if these columns are open and close, -1 if they are the other way round, 0 in doubt.

    A minute opens near where the one before it has closed. Where it always opens exactly there,
    few minutes are enough.
    """
    minutes, opens, closes = sample.minutes(time), sample.numbers(opened), sample.numbers(close)
    if not (minutes and opens and closes):
        return 0
    rows = sorted(zip(minutes, opens, closes, strict=True))
    straight = []
    crossed = []
    for before, after in pairwise(rows):
        if after[0] - before[0] <= NEAR_MINUTES:
            a, b = abs(before[2] - after[1]), abs(before[1] - after[2])
            if a != b:
                straight.append(a)
                crossed.append(b)
    if _is_chain(straight, crossed):
        return 1
    return -1 if _is_chain(crossed, straight) else 0


def _is_chain(near: Sequence[float], far: Sequence[float]) -> bool:
    count = len(near)
    if count >= CHAIN and not any(near):
        return True
    wins = sum(a < b for a, b in zip(near, far, strict=True))
    is_sure = count > 0 and 2 * wins - count >= SURE * math.sqrt(count)
    return is_sure and 2 * sum(near) <= sum(far)


def step_of(minutes: Iterable[int | None]) -> int | None:
    """The length of the candles in minutes, None if it is one, or if too few of them show it.

    Minutes that are left out at random hardly ever leave multiples of a longer step.
    """
    known = sorted({minute for minute in minutes if minute is not None})
    steps = [after - before for before, after in pairwise(known)]
    step = reduce(math.gcd, steps, 0)
    return step if step > 1 and len(steps) * math.log2(step) >= STEP_BITS else None
