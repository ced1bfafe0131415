"""Registering symbols: all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]

_ADD = """
    SELECT upc.add_symbol(
        %s::text, %s::double precision, exchange_pair => %s::text, kalshi_series => %s::text[]
    )
"""
# A series has capital letters.
NO_SERIES = ("none",)

_VIEWS = "SELECT upc.create_named_views(%s::text)"


@dataclass(frozen=True)
class New:
    """A symbol to register; `pair` None is the symbol against USD. `step` is in USD.

    Without `series` it gets those that are known of it; ("none",) is a symbol without markets.
    """

    symbol: str
    step: float
    pair: str | None = None
    series: tuple[str, ...] = ()
    has_views: bool = False


def add(
    conn: Connection, symbols: Sequence[New], on_views: Callable[[int, int], None] | None = None
) -> None:
    """Register symbols in one transaction, then create the named views of those that have some.

    Views are committed symbol by symbol: those of many would fill the server's table of locks.
    `on_views` gets how many of how many have theirs. Raises psycopg's errors with the SQLSTATEs of
    upc.add_symbol.
    """
    with conn.transaction(), conn.pipeline():
        for each in symbols:
            series = [] if each.series == NO_SERIES else list(each.series) or None
            conn.execute(_ADD, (each.symbol, each.step, each.pair, series))
    wanted = [each.symbol for each in symbols if each.has_views]
    for done, symbol in enumerate(wanted, 1):
        conn.execute(_VIEWS, (symbol,))
        if on_views is not None:
            on_views(done, len(wanted))
