"""Registering symbols: all of them or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]

_ADD = """
    SELECT upc.add_symbol(
        %s::text, %s::double precision, exchange_pair => %s::text, kalshi_series => %s::text[],
        views => %s
    )
"""


@dataclass(frozen=True)
class New:
    """A symbol to register; `pair` None is the symbol against USD. `step` is in USD."""

    symbol: str
    step: float
    pair: str | None = None
    series: tuple[str, ...] = ()
    has_views: bool = False


def add(conn: Connection, symbols: Sequence[New]) -> None:
    """Register symbols in one transaction.

    Raises psycopg's errors with the SQLSTATEs of upc.add_symbol.
    """
    with conn.transaction(), conn.pipeline():
        for each in symbols:
            series = list(each.series) or None
            conn.execute(_ADD, (each.symbol, each.step, each.pair, series, each.has_views))
