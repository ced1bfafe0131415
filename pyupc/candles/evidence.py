"""Reading columns of numbers without names: what each of them has to be for every row to be one.

Which columns are prices follows from low <= open, close <= high on every row, within half of the
price; which of two is the open from the next minute's, which begins near where this one has ended;
which is the traded amount from the turnover, which is that amount times a price of the minute. What
remains has to have the shape in which a known distributor writes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from itertools import pairwise

# Widest range of a minute, of its low.
WIDEST = 1.5

# Neighbouring candles further apart say nothing about each other.
NEAR_MINUTES = 10

# Standard deviations of a coin's throws; one wrong reading in some millions.
SURE = 5.0

# Without a break in so many neighbours, each opening exactly where the one before has closed.
CHAIN = 5

# Rounding of a turnover, of itself.
ROUNDING = 1e-4

# How many bits of a chance are no chance.
STEP_BITS = 16

# Orders in which exchanges give candles whose volume is in units of the symbol, all of their
# columns: ccxt and its users, Coinbase, Bitfinex. With a count of trades behind: Kraken.
PLAIN = ("tohlcv", "tlhocv", "tochlv")
COUNTED = ("tohlcvn",)

_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(:00([.,]0+)?)?"
    r"([Zz]|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{2})?"
)
_EPOCH = re.compile(r"([1-9][0-9]{9}|[1-9][0-9]{12}|[1-9][0-9]{15}|[1-9][0-9]{18})(\.0*)?")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([Ee][+-]?[0-9]{1,2})?")


class Doubt(Exception):
    """Why there is no reading, or more than one."""


def minute_of(text: str) -> int | None:
    """Minutes since 1970, as `upc.candle_minute` reads a text; None if it names no minute."""
    if match := _EPOCH.fullmatch(text):
        digits = match[1]
        unit = 60 * 10 ** (len(digits) - 10)
        return None if int(digits) % unit else int(digits) // unit
    if not (match := _ISO.fullmatch(text)):
        return None
    offset = match[8] or ""
    try:
        at = datetime(*map(int, match.groups()[:5]), tzinfo=UTC)  # type: ignore[arg-type, misc]
    except ValueError:
        return None
    minutes = int(at.timestamp()) // 60
    if offset and offset not in "Zz":
        digits = offset[1:].replace(":", "").ljust(4, "0")
        ahead = 60 * int(digits[:2]) + int(digits[2:])
        minutes -= ahead if offset[0] == "+" else -ahead
    return minutes


def number_of(text: str) -> float | None:
    return float(text) if len(text) <= 60 and _NUMBER.fullmatch(text) else None


class Sample:
    """Rows of a file as numbers, a column at a time."""

    def __init__(self, rows: Sequence[Sequence[str]], width: int) -> None:
        self.count = len(rows)
        self.width = width
        self._rows = rows
        self._numbers: dict[int, list[float] | None] = {}
        self._minutes: dict[int, list[int] | None] = {}

    def numbers(self, column: int) -> list[float] | None:
        """None if one is none."""
        if column not in self._numbers:
            found = [number_of(row[column]) for row in self._rows]
            whole = [value for value in found if value is not None]
            self._numbers[column] = whole if len(whole) == len(found) else None
        return self._numbers[column]

    def minutes(self, column: int) -> list[int] | None:
        """None if one is none, or if two are the same."""
        if column not in self._minutes:
            found = [minute_of(row[column]) for row in self._rows]
            whole = [value for value in found if value is not None]
            is_time = len(set(whole)) == len(found)
            self._minutes[column] = whole if is_time else None
        return self._minutes[column]


def read(sample: Sample, candidates: Mapping[str, Sequence[int]]) -> tuple[int, ...]:
    """The columns of timestamp, open, high, low, close and volume. Raises Doubt."""
    if sample.count < 2:
        raise Doubt("a line alone does not say what they are")
    time = _time(sample, candidates["timestamp"])
    opened, high, low, close = _prices(sample, time, candidates)
    picks = (time, opened, high, low, close)
    return (*picks, _volume(sample, picks, candidates["volume"]))


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
        raise Doubt("the open cannot be told from the close")
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


def _volume(sample: Sample, picks: Sequence[int], columns: Sequence[int]) -> int:
    if len(columns) == 1:
        return columns[0]
    free = [column for column in columns if column not in picks]
    amounts = [column for column in free if min(sample.numbers(column) or (-1.0,)) >= 0]
    if not amounts:
        raise Doubt("no column could be the volume")
    others = [c for c in range(sample.width) if c not in picks and sample.numbers(c)]
    pairs = [
        (amount, turnover)
        for amount in amounts
        for turnover in others
        if turnover != amount and is_turnover(sample, picks, amount, turnover)
    ]
    if pairs:
        # What was bought, and the turnover of that, is such a pair, too: the greatest is all.
        best = max({a for a, _ in pairs}, key=lambda column: sum(sample.numbers(column) or ()))
        is_pair = all(_is_part(sample, amount, best) for amount, _ in pairs) and not any(
            is_turnover(sample, picks, turnover, amount) for amount, turnover in pairs
        )
        is_whole = (
            len({amount for amount, _ in pairs}) > 1
            or _is_binance(sample, picks, *pairs[0])
            or not _has_whole(sample, picks, *pairs[0])
        )
        if is_pair and is_whole:
            return best
        raise Doubt("several columns could be the volume")
    return _by_shape(sample, picks)


def _is_binance(sample: Sample, picks: Sequence[int], amount: int, turnover: int) -> bool:
    """True if all columns stand as Binance writes them, the end of the minute among them."""
    return (
        sample.width == 12
        and (*picks, amount, turnover) == (0, 1, 2, 3, 4, 5, 7)
        and _is_clock(sample, 0, 6)
    )


def _has_whole(sample: Sample, picks: Sequence[int], amount: int, turnover: int) -> bool:
    """True if another column could be what these two are the bought part of."""
    others = [
        column
        for column in range(sample.width)
        if column not in (*picks, amount, turnover)
        and sample.numbers(column)
        and not _is_clock(sample, picks[0], column)
    ]
    return any(_is_part(sample, part, c) for c in others for part in (amount, turnover))


def _is_clock(sample: Sample, time: int, column: int) -> bool:
    """True if it counts on from minute to minute, as the end of a candle does."""
    pairs = zip(sample.minutes(time) or (), sample.numbers(column) or (), strict=True)
    return all(a[1] < b[1] for a, b in pairwise(sorted(pairs)))


def _is_part(sample: Sample, part: int, whole: int) -> bool:
    parts, wholes = sample.numbers(part) or (), sample.numbers(whole) or ()
    return all(a <= b for a, b in zip(parts, wholes, strict=True))


def is_turnover(sample: Sample, picks: Sequence[int], amount: int, turnover: int) -> bool:
    """True if one column is the other one times a price between low and high, on every row."""
    columns = [sample.numbers(c) for c in (picks[3], picks[2], amount, turnover)]
    low, high, amounts, turnovers = columns
    if not (low and high and amounts and turnovers):
        return False
    rows = [row for row in zip(low, high, amounts, turnovers, strict=True) if row[2] or row[3]]
    return len(rows) >= CHAIN and all(
        a * x * (1 - ROUNDING) <= t <= b * x * (1 + ROUNDING) for a, b, x, t in rows
    )


def _by_shape(sample: Sample, picks: Sequence[int]) -> int:
    """The volume where nothing but the order of all columns says that it is one."""
    letters = dict(zip(picks, "tohlc", strict=True))
    rest = [column for column in range(sample.width) if column not in letters]
    whole = {c for c in rest if all(x.is_integer() for x in sample.numbers(c) or (0.5,))}
    for column in rest:
        names = letters | {column: "v"} | {c: "n" for c in rest if c != column}
        shape = "".join(names[c] for c in range(sample.width))
        is_known = shape in PLAIN or (shape in COUNTED and whole == {*rest} - {column})
        if is_known and column not in whole:
            return column
    raise Doubt("nothing says which column is the volume in units of the symbol")


def step_of(minutes: Iterable[int | None]) -> int | None:
    """How many minutes the candles are of, None if of one, or if too few of them say so.

    Minutes that are left out at random hardly ever leave multiples of a longer step.
    """
    known = sorted({minute for minute in minutes if minute is not None})
    steps = [after - before for before, after in pairwise(known)]
    step = reduce(math.gcd, steps, 0)
    return step if step > 1 and len(steps) * math.log2(step) >= STEP_BITS else None
