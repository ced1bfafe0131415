"""The column of the volume where no name gives it: by the turnover, else by a known shape."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pyupc.candles.columns.sample import Doubt, Sample

# Fewer rows with trades do not prove a turnover.
FEWEST_ROWS = 5

# Rounding of a turnover, of itself.
ROUNDING = 1e-4

# Orders in which exchanges give candles whose volume is in units of the symbol, all of their
# columns: ccxt and its users, Coinbase, Bitfinex. With a count of trades behind: Kraken.
PLAIN = ("tohlcv", "tlhocv", "tochlv")
COUNTED = ("tohlcvn",)


def volume(sample: Sample, picks: Sequence[int], columns: Sequence[int]) -> int:
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
        # The bought amount and its turnover are such a pair, too: the greatest amount is the total.
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
    return len(rows) >= FEWEST_ROWS and all(
        a * x * (1 - ROUNDING) <= t <= b * x * (1 + ROUNDING) for a, b, x, t in rows
    )


def _by_shape(sample: Sample, picks: Sequence[int]) -> int:
    """The volume by nothing but the order of all columns, which has to be a known one."""
    letters = dict(zip(picks, "tohlc", strict=True))
    rest = [column for column in range(sample.width) if column not in letters]
    whole = {c for c in rest if all(x.is_integer() for x in sample.numbers(c) or (0.5,))}
    for column in rest:
        names = letters | {column: "v"} | {c: "n" for c in rest if c != column}
        shape = "".join(names[c] for c in range(sample.width))
        is_known = shape in PLAIN or (shape in COUNTED and whole == {*rest} - {column})
        if is_known and column not in whole:
            return column
    raise Doubt("no column is certain to be the volume in units of the symbol")
