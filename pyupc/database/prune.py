"""Deletion of expired rows, batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any

import psycopg


@dataclass(frozen=True)
class Deleted:
    """Numbers of deleted rows, of ticks that were thinned out, of minutes whose variance was noted,
    of dropped partitions, and of deleted rows of the log of contracts."""

    prices: int = 0
    ticks: int = 0
    announcements: int = 0
    thinned: int = 0
    events: int = 0
    minutes: int = 0
    partitions: int = 0
    contracts: int = 0

    @property
    def total(self) -> int:
        return sum(astuple(self))

    def __add__(self, other: Deleted) -> Deleted:
        return Deleted(*map(sum, zip(astuple(self), astuple(other), strict=True)))


def prune(
    conn: psycopg.Connection[tuple[Any, ...]],
    batch: int,
    on_batch: Callable[[Deleted], None] = lambda deleted: None,
) -> Deleted:
    """Delete in batches, each a transaction of its own; `on_batch` gets the sum so far."""
    done = Deleted()
    query = (
        "SELECT d.prices, d.ticks, d.announcements, d.thinned, d.events, d.minutes, d.partitions,"
        " d.contracts"
        " FROM upc.delete_expired(batch => %s::integer) AS d"
    )
    while True:
        row = conn.execute(query, (batch,)).fetchone()
        assert row is not None
        if (deleted := Deleted(*row)).total == 0:
            return done
        done += deleted
        on_batch(done)
