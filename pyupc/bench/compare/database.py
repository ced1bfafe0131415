"""Our side: the set in use, its numbers as files, and the answers of compute_strikes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from pyupc.bench.compare.predecessor import Array
from pyupc.bench.compare.samples import Sample
from pyupc.errors import PyupcError
from pyupc.fingerprints.transfer import store
from pyupc.fingerprints.transfer.folder import write_folder
from pyupc.fingerprints.transfer.store import Connection

_ASK = "SELECT * FROM upc.compute_strikes(%s, %s::double precision, %s, %s)"

# Places of the columns; later ones are appended.
_STRIKE, _POSITIVE, _NEGATIVE, _FINGERPRINT = 0, 6, 7, 10


@dataclass(frozen=True)
class Answer:
    """`strikes` in USD; `both` has a row for each, in percent: positive, negative."""

    strikes: Array
    both: Array
    fingerprint: str


def rows(conn: Connection, symbol: str, sample: Sample) -> list[tuple[Any, ...]]:
    """The call that is timed: what the tick does once a second."""
    question = (sample.price, sample.momentum, symbol, sample.ttc_seconds)
    return conn.execute(_ASK, question, prepare=True, binary=True).fetchall()


def ask(conn: Connection, symbol: str, sample: Sample) -> Answer:
    found = rows(conn, symbol, sample)
    return Answer(
        np.array([row[_STRIKE] for row in found]),
        np.array([(row[_POSITIVE], row[_NEGATIVE]) for row in found]),
        found[0][_FINGERPRINT],
    )


@contextmanager
def snapshot(conn: Connection) -> Iterator[None]:
    """A transaction in which no other build or import changes an answer."""
    conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    conn.read_only = True
    try:
        with conn.transaction():
            yield
    finally:
        if not conn.closed:
            conn.isolation_level = None
            conn.read_only = None


def origin_in_use(conn: Connection, symbol: str) -> str:
    """Origin of the set that compute_strikes answers from. UP002: unknown symbol."""
    for origin, is_in_use in store.origins(conn, symbol).items():
        if is_in_use:
            return origin
    raise PyupcError(
        f"{symbol} has no fingerprints",
        'load candles and run "pyupc fingerprints build", or "pyupc fingerprints import"',
    )


def strike_step(conn: Connection, symbol: str) -> float:
    """USD between two strikes."""
    row = conn.execute(
        "SELECT s.strike_step FROM upc_data.symbol AS s WHERE s.symbol = %s", [symbol]
    ).fetchone()
    assert row is not None
    return float(row[0])


def export(conn: Connection, symbol: str, origin: str, folder: Path) -> list[int]:
    """Write the set with every digit that compute_strikes answers with; returns its buckets."""
    fingerprints = (
        store.imported_set(conn, symbol)
        if origin == "imported"
        else store.built_set(conn, symbol, decimals=None)
    )
    write_folder(folder, symbol, fingerprints, lambda done, total: None)
    return [each.bucket for each in fingerprints]
