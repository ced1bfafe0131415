"""Candles in, fingerprints out: what the tests of the engine have in common."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pyupc.database.connect import connect
from tests.support import brute_force
from tests.support.brute_force import Cell, Closes, Curve, Curves, Histogram, Minutes
from tests.support.candle_changes import note_minutes
from tests.support.databases import STRICT

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Candles:
    """Candles in order of time; without volumes they are of a source that knows none."""

    minutes: Minutes
    opens: Closes
    highs: Closes
    lows: Closes
    closes: Closes
    volumes: Closes = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if not len(self.volumes):
            object.__setattr__(self, "volumes", np.zeros(len(self.minutes)))

    def where(self, chosen: NDArray[np.bool_]) -> Candles:
        return Candles(*(column[chosen] for column in self._columns()))

    def without(self, share: float, seed: int) -> Candles:
        """The same with a random share of its minutes missing."""
        return self.where(np.random.default_rng(seed).random(len(self.minutes)) >= share)

    def __add__(self, other: Candles) -> Candles:
        """Candles of both, in order of time; they have no minute in common."""
        columns = [
            np.concatenate(pair) for pair in zip(self._columns(), other._columns(), strict=True)
        ]
        order = np.argsort(columns[0])
        return Candles(*(column[order] for column in columns))

    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self.minutes, self.opens, self.highs, self.lows, self.closes, self.volumes


def minute(moment: str) -> int:
    """Minutes since 1970 of an ISO moment, UTC."""
    return int(np.datetime64(moment, "m").astype(np.int64))


def instant(moment: str) -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)


def flat(minutes: Iterable[int], closes: Iterable[float]) -> Candles:
    """Candles that do nothing but close at a price."""
    prices = np.array(list(closes), dtype=np.float64)
    return Candles(np.array(list(minutes), dtype=np.int64), prices, prices, prices, prices)


def walk(
    seed: int,
    since: str,
    length: int,
    *,
    price: float = 40_000,
    digits: int = 2,
    volatility: float = 0.0008,
) -> Candles:
    """A random walk of closes; with the usual volatility it moves by 3 % an hour now and then."""
    dice = np.random.default_rng(seed)
    cluster = np.exp(np.clip(dice.normal(0, 0.05, length).cumsum(), -1, 1))
    steps = np.clip(volatility * cluster * dice.standard_t(4, length), -0.02, 0.02)
    start = minute(since)
    closes = np.round(price * np.exp(steps.cumsum()), digits)
    return flat(range(start, start + length), closes.tolist())


def read_candles(path: Path, *months: str) -> Candles:
    """The candles of a CSV file of the shared data; of some months or years, or all."""
    with gzip.open(path, "rt", encoding="ascii") as file:
        next(file)
        rows = [line.split(",") for line in file if line.startswith(months or "")]
    minutes = np.array([row[0][:16] for row in rows], dtype="datetime64[m]").astype(np.int64)
    columns = (np.array([float(row[column]) for row in rows]) for column in range(1, 5))
    return Candles(minutes, *columns)


def open_db(dsn: str, *, autocommit: bool = True) -> Connection:
    return connect(make_conninfo(dsn, options=STRICT), autocommit=autocommit)


def scalar(conn: Connection, query: str, *parameters: Any) -> Any:
    """The first column of the only row."""
    rows = conn.execute(query, parameters or None).fetchall()
    assert len(rows) == 1
    return rows[0][0]


def put(conn: Connection, symbol: str, candles: Candles) -> None:
    """COPY candles into the table, and note their days."""
    columns = (candles.opens, candles.highs, candles.lows, candles.closes, candles.volumes)
    rows = zip(candles.minutes.tolist(), *(column.tolist() for column in columns), strict=True)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    with conn.cursor().copy("COPY upc_data.candle FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["text", "timestamptz", *["float8"] * 5])
        for at, *values in rows:
            copy.write_row((symbol, epoch + timedelta(minutes=at), *values))
    note_minutes(conn, symbol, candles.minutes)


def wait_until_blocked(own: Connection, waiter: Connection, future: Future[Any]) -> None:
    """Return once the other session waits for a lock."""
    for _ in range(500):
        assert not future.done(), "it was meant to wait"
        query = "SELECT cardinality(pg_blocking_pids(%s)) > 0, pg_sleep(0.01)"
        if own.execute(query, (waiter.info.backend_pid,)).fetchall()[0][0]:
            return
    pytest.fail("the other session did not come to wait")


def build(conn: Connection, symbol: str = "BTC") -> int:
    return int(scalar(conn, "SELECT upc.build_fingerprints(%s)", symbol))


def stored_histogram(conn: Connection, symbol: str = "BTC") -> Histogram:
    rows = conn.execute(
        "SELECT year, bucket, minutes, pairs, positive, negative "
        "FROM upc_data.fingerprint_histogram WHERE symbol = %s",
        (symbol,),
    )
    return {
        (year, bucket, minutes): Cell(pairs, np.array(positive), np.array(negative))
        for year, bucket, minutes, pairs, positive, negative in rows
    }


def stored_curves(conn: Connection, symbol: str = "BTC") -> Curves:
    rows = conn.execute(
        "SELECT bucket, minutes, sample_size, positive, negative "
        "FROM upc.fingerprint_curve WHERE symbol = %s",
        (symbol,),
    )
    return {
        (bucket, minutes): Curve(int(size), np.array(positive), np.array(negative))
        for bucket, minutes, size, positive, negative in rows
    }


def assert_equal(found: Curves, expected: Curves) -> None:
    """Every cell of every fingerprint, to the last bit."""
    assert found.keys() == expected.keys()
    for key, curve in expected.items():
        assert found[key].sample_size == curve.sample_size, key
        np.testing.assert_array_equal(found[key].positive, curve.positive, str(key))
        np.testing.assert_array_equal(found[key].negative, curve.negative, str(key))


def assert_equal_counts(found: Histogram, expected: Histogram) -> None:
    assert found.keys() == expected.keys()
    for key, cell in expected.items():
        assert found[key].pairs == cell.pairs, key
        np.testing.assert_array_equal(found[key].positive, cell.positive, str(key))
        np.testing.assert_array_equal(found[key].negative, cell.negative, str(key))


# Two hours on both sides of a midnight that ends a year, and an hour at the next one.
NIGHTS = walk(20, "2025-12-31T22:00", 240, volatility=1e-4) + walk(
    21, "2026-01-01T23:30", 60, volatility=1e-4
)

EVERYTHING = (
    "SELECT h::text FROM upc_data.fingerprint_histogram AS h "
    "ORDER BY symbol, year, bucket, minutes",
    "SELECT d::text FROM upc_data.counted_day AS d ORDER BY symbol, day",
    "SELECT c::text FROM upc.fingerprint_curve AS c ORDER BY symbol, bucket, minutes",
    "SELECT g::text FROM upc.fingerprint_grid AS g ORDER BY symbol, bucket",
)


def everything(conn: Connection) -> list[list[tuple[str]]]:
    """All that a build leaves behind."""
    return [conn.execute(query).fetchall() for query in EVERYTHING]


def stored_candles(conn: Connection) -> Candles:
    rows = conn.execute(
        "SELECT extract(epoch FROM opened_at)::bigint / 60, close "
        "FROM upc_data.candle WHERE symbol = 'BTC' ORDER BY opened_at"
    ).fetchall()
    return flat([row[0] for row in rows], [row[1] for row in rows])


def assert_up_to_date(conn: Connection, candles: Candles) -> None:
    expected = brute_force.histogram(candles.minutes, candles.closes)
    assert_equal_counts(stored_histogram(conn), expected)
    if len(candles.minutes):
        newest = int(brute_force.years_of(candles.minutes).max())
        assert_equal(stored_curves(conn), brute_force.curves(expected, newest))


def drop_role(conn: Connection, role: str) -> None:
    """Drop a role and all its grants in this database."""
    conn.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(role)))
