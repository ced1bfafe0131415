"""The list of symbols, with what is stored of each and who works for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

_LIST = """
    SELECT
        l.symbol, l.step, l.exchange_pair, coalesce(l.kalshi_series, '{}'),
        l.first_candle, l.last_candle,
        l.has_fingerprints, l.has_views, l.ticked_by, l.fed_from, l.is_retiring
    FROM upc.symbol_list(%s::text[]) AS l
"""


@dataclass(frozen=True)
class Symbol:
    """A row of upc.symbol_list; a symbol that is being retired has no terms any more."""

    symbol: str
    step: float | None
    pair: str | None
    series: list[str]
    first_candle: datetime | None
    last_candle: datetime | None
    has_fingerprints: bool
    has_views: bool
    ticked_by: str | None
    fed_from: str | None
    is_retiring: bool


def symbols(conn: psycopg.Connection[Any], names: Sequence[str] = ()) -> list[Symbol]:
    """All symbols, or those named; psycopg's error UP002 for one that there is not."""
    rows = conn.execute(_LIST, (list(names) or None,)).fetchall()
    return [Symbol(*row) for row in rows]
