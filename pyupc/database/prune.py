"""Deletion of expired rows, batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg


@dataclass(frozen=True)
class Deleted:
    """Numbers of deleted rows."""

    prices: int = 0
    ticks: int = 0
    announcements: int = 0

    @property
    def total(self) -> int:
        return self.prices + self.ticks + self.announcements

    def __add__(self, other: Deleted) -> Deleted:
        return Deleted(
            self.prices + other.prices,
            self.ticks + other.ticks,
            self.announcements + other.announcements,
        )


def prune(
    conn: psycopg.Connection[tuple[Any, ...]],
    batch: int,
    on_batch: Callable[[Deleted], None] = lambda deleted: None,
) -> Deleted:
    """Delete in batches, each a transaction of its own; `on_batch` gets the sum so far."""
    done = Deleted()
    query = (
        "SELECT d.prices, d.ticks, d.announcements FROM upc.delete_expired(batch => %s::integer)"
        " AS d"
    )
    while True:
        row = conn.execute(query, (batch,)).fetchone()
        assert row is not None
        if (deleted := Deleted(*row)).total == 0:
            return done
        done += deleted
        on_batch(done)
