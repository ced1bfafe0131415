"""The same fingerprints from a vectorised numpy program outside the database.

It reads the candles by COPY, counts with bincount, and writes the tables back: the program that one
would write with arrays and no engine in SQL. Nothing is kept for the next day: it counts all again.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from pyupc.bench.scratch import Connection
from pyupc.fingerprints.transfer.names import BASELINE

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_WEIGHTS = {1: 0.30, 2: 0.25, 3: 0.20, 4: 0.15, 15: 0.05, 30: 0.05}
_SLOTS = 62  # buckets -30 to 30, and minutes without momentum
_BINS = 121  # 60: no move; 61 to 120: up by at least 0.00, 0.05, … 2.95 %; 59 to 0: down
_EPOCH_2000 = 946_684_800

_READ = """
    COPY (
        SELECT c.opened_at, c.close FROM upc_data.candle AS c WHERE c.symbol = 'BTC'
        ORDER BY c.opened_at
    ) TO STDOUT (FORMAT binary)
"""

# Each field follows its length; the row begins with the number of fields.
_RECORD = np.dtype(
    [("count", ">i2"), ("n1", ">i4"), ("at", ">i8"), ("n2", ">i4"), ("close", ">f8")]
)


@dataclass(frozen=True)
class Candles:
    """Closes a minute apart, NaN where there is none; `first` in minutes since 1970."""

    first: int
    closes: Floats


def build(conn: Connection) -> int:
    """Read, count, write upc_data.numpy_curve; returns the number of pairs."""
    counts, years = count(read(conn))
    write(conn, counts, years)
    return int(counts.sum())


def read(conn: Connection) -> Candles:
    with conn.cursor() as cursor, cursor.copy(_READ) as copy:
        raw = b"".join(bytes(block) for block in copy)
    # A signature of 11 bytes, flags, and the length of an extension come first.
    head = 19 + struct.unpack_from(">i", raw, 15)[0]
    records = np.frombuffer(raw, _RECORD, offset=head, count=(len(raw) - head - 2) // 26)
    minutes = (records["at"].astype(np.int64) // 1_000_000 + _EPOCH_2000) // 60
    closes = np.full(int(minutes[-1] - minutes[0]) + 1, np.nan)
    closes[minutes - minutes[0]] = records["close"]
    return Candles(int(minutes[0]), closes)


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
        begin, end = (
            min(max(int(datetime(at, 1, 1, tzinfo=UTC).timestamp()) // 60 - candles.first, 0), n)
            for at, n in ((year, len(closes)), (year + 1, len(closes)))
        )
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


def write(conn: Connection, counts: Integers, years: list[int]) -> None:
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
        cursor.execute("DROP TABLE IF EXISTS upc_data.numpy_curve")
        cursor.execute(
            """
            CREATE TABLE upc_data.numpy_curve (
                bucket smallint, minutes smallint, sample_size bigint,
                positive double precision[], negative double precision[],
                PRIMARY KEY (bucket, minutes)
            )
            """
        )
        with cursor.copy("COPY upc_data.numpy_curve FROM STDIN (FORMAT binary)") as copy:
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
