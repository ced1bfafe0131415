"""The same fingerprints from a vectorised numpy program outside the database.

It reads the candles by COPY, counts plain and standardised moves with bincount, and writes the
tables back: the program that one would write with arrays and no engine in SQL. The fit that moves
are standardised by is read, not made, and nothing is kept for the next day: it counts all again.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from psycopg import sql

from pyupc.bench.scratch import Connection
from pyupc.fingerprints.transfer.names import BASELINE

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_WEIGHTS = {1: 0.30, 2: 0.25, 3: 0.20, 4: 0.15, 15: 0.05, 30: 0.05}
_SLOTS = 62  # buckets -30 to 30, and minutes without momentum
_BINS = 121  # 60: no move; 61 to 120: up by at least 0.00, 0.05, … 2.95 %; 59 to 0: down
_HORIZONS = (1, 2, 3, 5, 10, 15, 30, 60)
_EPOCH_2000 = 946_684_800

_READ = """
    COPY (
        SELECT c.opened_at, c.high, c.low, c.close, c.volume
        FROM upc_data.candle AS c
        WHERE c.symbol = 'BTC'
        ORDER BY c.opened_at
    ) TO STDOUT (FORMAT binary)
"""

_FIT = """
    SELECT f.used_factors, f.used_coefficients, upc.volatility_thresholds()
    FROM upc_data.volatility_fit AS f
    WHERE f.symbol = 'BTC'
"""

_TABLE = """
    CREATE TABLE {} (
        bucket smallint, minutes smallint, sample_size bigint,
        positive double precision[], negative double precision[],
        PRIMARY KEY (bucket, minutes)
    )
"""

# Each field follows its length; the row begins with the number of fields.
_RECORD = np.dtype(
    [
        ("count", ">i2"),
        ("n1", ">i4"),
        ("at", ">i8"),
        ("n2", ">i4"),
        ("high", ">f8"),
        ("n3", ">i4"),
        ("low", ">f8"),
        ("n4", ">i4"),
        ("close", ">f8"),
        ("n5", ">i4"),
        ("volume", ">f8"),
    ]
)


@dataclass(frozen=True)
class Candles:
    """Closes a minute apart, NaN where there is none; `first` in minutes since 1970.

    `ranges` are ln(high / low) in units of 1e-8, `volumes` NaN also where they are not known, and
    `local` the minutes of the week by New York's clock.
    """

    first: int
    closes: Floats
    ranges: Floats
    volumes: Floats = field(default_factory=lambda: np.zeros(0))
    local: Integers = field(default_factory=lambda: np.zeros(0, np.int64))


def build(conn: Connection) -> int:
    """Read, count, write upc_data.numpy_curve and numpy_volatility; the number of plain pairs."""
    candles = read(conn)
    counts, years = count(candles)
    write(conn, counts, years, "numpy_curve")
    write(conn, count_standardised(conn, candles, years), years, "numpy_volatility")
    return int(counts.sum())


def read(conn: Connection) -> Candles:
    with conn.cursor() as cursor, cursor.copy(_READ) as copy:
        raw = b"".join(bytes(block) for block in copy)
    # A signature of 11 bytes, flags, and the length of an extension come first.
    head = 19 + struct.unpack_from(">i", raw, 15)[0]
    records = np.frombuffer(
        raw, _RECORD, offset=head, count=(len(raw) - head - 2) // _RECORD.itemsize
    )
    minutes = (records["at"].astype(np.int64) // 1_000_000 + _EPOCH_2000) // 60
    closes = np.full(int(minutes[-1] - minutes[0]) + 1, np.nan)
    closes[minutes - minutes[0]] = records["close"]
    ranges = np.full(len(closes), np.nan)
    high, low = records["high"].astype(np.float64), records["low"].astype(np.float64)
    ranges[minutes - minutes[0]] = np.rint(1e8 * np.log(high / low))
    volumes = np.full(len(closes), np.nan)
    is_known = (records["volume"] > 0) | (high == low)
    volumes[minutes - minutes[0]] = np.where(is_known, records["volume"], np.nan)
    # An hour more, for the minutes ahead.
    return Candles(int(minutes[0]), closes, ranges, volumes, _local(minutes[0], len(closes) + 60))


def _local(first: int, length: int) -> Integers:
    """Minutes of New York's week; its clocks change on full hours of UTC."""
    zone = ZoneInfo("America/New_York")
    hours = np.arange(first // 60, (first + length) // 60 + 1)
    shifts = [datetime.fromtimestamp(int(h) * 3600, zone).utcoffset() for h in hours]
    seconds = np.array([0 if s is None else s.total_seconds() for s in shifts]).astype(np.int64)
    minutes = np.arange(first, first + length)
    # Monday is 0; 1970 began on a Thursday.
    return np.asarray((minutes + seconds[minutes // 60 - hours[0]] // 60 + 4320) % 10080)


def count(candles: Candles) -> tuple[Integers, list[int]]:
    """Pairs by year, slot, minutes and bin, and the years."""
    closes = candles.closes
    prices = np.concatenate([_whole(closes), np.zeros(60, np.int64)])
    slots = _slots(closes)
    first_year = datetime.fromtimestamp(60 * candles.first, UTC).year
    last_year = datetime.fromtimestamp(60 * (candles.first + len(closes) - 1), UTC).year
    years = list(range(first_year, last_year + 1))
    counts = np.zeros((len(years), _SLOTS, 60, _BINS), np.int64)
    for y, year in enumerate(years):
        begin, end = _span(candles, year)
        starts = begin + np.flatnonzero(prices[begin:end])
        before = prices[starts]
        key = slots[starts] * _BINS + 60
        for t in range(1, 61):
            after = prices[starts + t]
            size = np.minimum(np.abs(after - before) * 2000 // before, 59) + 1
            bins = key + np.sign(after - before) * size
            found = np.bincount(bins[after > 0], minlength=_SLOTS * _BINS)
            counts[y, :, t - 1] = found.reshape(_SLOTS, _BINS)
    return counts, years


def count_standardised(conn: Connection, candles: Candles, years: list[int]) -> Integers:
    """Pairs of every other minute, by year, slot, minutes and bin."""
    row = conn.execute(_FIT).fetchone()
    assert row is not None
    factors, coefficients, thresholds = (np.array(column, np.float64) for column in row)
    # As the engine has them: each is the first number that lies above the bin before it.
    falls = 1e-12 - thresholds[:0:-1]
    edges = np.sort(np.concatenate([falls, [5e-324], thresholds, [np.inf]]))
    season = np.concatenate([[0], np.cumsum(factors[candles.local] ** 2)]) / 10000
    closes = np.concatenate([candles.closes, np.full(60, np.nan)])
    slots = _slots(candles.closes)
    known, is_known = _features(candles, factors)
    table = coefficients[:176].reshape(len(_HORIZONS), -1)
    whole = np.rint(1000 * (known.T @ table[:, 1:].T + table[:, 0])).T
    is_known &= ~np.isnan(candles.closes)
    is_known &= (candles.first + np.arange(len(slots))) % 2 == 0
    counts = np.zeros((len(years), _SLOTS, 60, _BINS), np.int64)
    for y, year in enumerate(years):
        begin, end = _span(candles, year)
        starts = begin + np.flatnonzero(is_known[begin:end])
        before = closes[starts]
        for t in range(1, 61):
            k = max(1, int(np.searchsorted(_HORIZONS, t)))
            share = np.log(t / _HORIZONS[k - 1]) / np.log(_HORIZONS[k] / _HORIZONS[k - 1])
            forecast = (1 - share) * whole[k - 1, starts] + share * whole[k, starts]
            moves = (closes[starts + t] - before) / before * np.exp(-0.0005 * forecast)
            moves /= np.sqrt(season[starts + 1 + t] - season[starts + 1])
            is_there = ~np.isnan(moves)
            bins = np.searchsorted(edges, moves[is_there], side="right")
            found = np.bincount(slots[starts[is_there]] * _BINS + bins, minlength=_SLOTS * _BINS)
            counts[y, :, t - 1] = found.reshape(_SLOTS, _BINS)
    return counts


def _span(candles: Candles, year: int) -> tuple[int, int]:
    """The places of the first candle of a year and after its last one."""
    begin, end = (
        int(datetime(at, 1, 1, tzinfo=UTC).timestamp()) // 60 - candles.first
        for at in (year, year + 1)
    )
    return max(begin, 0), min(end, len(candles.closes))


def _features(candles: Candles, factors: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The features of forecasts, and where each span has half of its candles."""
    length = len(candles.closes)
    factor = factors[candles.local[:length]]
    moved = np.rint(candles.ranges * 100 / factor)
    is_known = np.full(length, True)
    level = {}
    for span in (5, 20, 60, 240, 1440):
        mean, size = _mean(moved, span)
        is_known &= size >= (span + 1) // 2
        level[span] = np.maximum(mean, 100)
    usual, _ = _mean(np.rint(candles.volumes * 1e6 / 100), 10080)
    moves = np.append(np.nan, np.diff(np.log(candles.closes)))
    squares = np.minimum(np.rint(1e19 * (moves / factor) ** 2), 1e15)
    logs = np.rint(1e4 * np.log(np.maximum(moved, 100) * 1e-8))
    places = np.where(np.isnan(candles.closes), 0, np.arange(length))
    newest = np.log(candles.closes[np.maximum.accumulate(places)])
    features = [14 + 2 * np.log(mean * 1e-8) for mean in level.values()]
    with np.errstate(divide="ignore", invalid="ignore"):
        for span in (1, 5, 20, 60, 240):
            mean, size = _mean(np.rint(candles.volumes * 1e6 / factor), span)
            features.append(np.where((size > 0) & (usual > 0), np.log(mean / usual + 0.001), 0))
    for span in (5, 20, 60, 240):
        mean = _mean(squares, span)[0]
        features.append(14 + np.log(mean * 1e-15 + 0.02 * (level[60] * 1e-8) ** 2))
    for span in (5, 20, 60, 240):
        move = np.abs(newest - np.concatenate([newest[:1].repeat(span), newest])[:length])
        features.append(np.minimum(5, move / (0.8 * np.sqrt(span) * level[60] * 1e-8)))
    mean, square = _mean(logs, 60)[0], _mean(logs**2, 60)[0]
    features.append(1e-4 * np.sqrt(np.maximum(0, square - mean**2)))
    padded = np.concatenate([np.zeros(59), np.nan_to_num(moved)])
    for span in (20, 60):
        windows = np.lib.stride_tricks.sliding_window_view(padded[60 - span :], span)
        features.append(2 * np.log(np.maximum(windows.max(axis=1), 100) / level[span]))
    return np.array(features), is_known


def _mean(values: Floats, span: int) -> tuple[Floats, Floats]:
    """Of the last minutes up to each: the mean of what is there, and its number."""
    is_there = ~np.isnan(values)
    sums = np.concatenate([np.zeros(span), np.cumsum(np.where(is_there, values, 0))])
    sizes = np.concatenate([np.zeros(span), np.cumsum(is_there)])
    size = sizes[span:] - sizes[:-span]
    return (sums[span:] - sums[:-span]) / np.maximum(size, 1), size


def write(conn: Connection, counts: Integers, years: list[int], table: str) -> None:
    """The curves of 61 buckets and the baseline, weighted by year."""
    weights = np.maximum(1, 5 - (years[-1] - np.array(years)))
    by_bucket = [
        *((bucket - 30, counts[:, bucket]) for bucket in range(61)),
        (BASELINE, counts.sum(1)),
    ]
    rows: list[tuple[Any, ...]] = []
    for bucket, own in by_bucket:
        weighted = np.tensordot(weights, own, 1)
        total = weighted.sum(1)
        up = weighted[:, ::-1].cumsum(1)[:, ::-1]
        down = weighted.cumsum(1)
        positive = np.column_stack([up[:, 60], up[:, 62:]])
        negative = np.column_stack([down[:, 60], down[:, 58::-1]])
        pairs = own.sum((0, 2))
        for t in np.flatnonzero(total):
            curves = (100 * side[t] / total[t] for side in (positive, negative))
            rows.append((bucket, int(t) + 1, int(pairs[t]), *(c.tolist() for c in curves)))
    with conn.transaction(), conn.cursor() as cursor:
        name = sql.Identifier("upc_data", table)
        cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(name))
        cursor.execute(sql.SQL(_TABLE).format(name))
        with cursor.copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(name)) as copy:
            copy.set_types(["int2", "int2", "int8", "float8[]", "float8[]"])
            for row in rows:
                copy.write_row(row)


def _whole(closes: Floats) -> Integers:
    """Prices as whole numbers, 0 where there is none, so that moves are compared exactly."""
    known = closes[~np.isnan(closes)]
    for decimals in range(2, 9):
        scaled = np.round(known * 10.0**decimals)
        if np.array_equal(scaled / 10.0**decimals, known):
            break
    whole = np.zeros(len(closes), np.int64)
    whole[~np.isnan(closes)] = scaled
    return whole


def _slots(closes: Floats) -> Integers:
    total = np.zeros(len(closes))
    for minutes, weight in _WEIGHTS.items():
        earlier = np.concatenate([np.full(minutes, np.nan), closes])[: len(closes)]
        total += weight * (closes - earlier) / earlier
    momentum = 10000 * total
    slots = np.full(len(closes), 61, np.int64)
    known = ~np.isnan(momentum)
    slots[known] = np.rint(np.clip(momentum[known], -30, 30)).astype(np.int64) + 30
    return slots
