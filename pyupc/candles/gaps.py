"""Gaps: the minutes of which no candle is stored, what is known about them, and closing them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from pyupc.candles.load import Connection
from pyupc.exchange.answer import Candle
from pyupc.runtime.text import as_text

_COUNT = """
    SELECT count(*)
    FROM upc_data.candle AS c
    WHERE c.symbol = %s AND c.opened_at = ANY (%s::timestamptz[])
"""
_RECORD = """
    SELECT upc.record_candles(
        symbol => %s::text,
        opened_at => %s::timestamptz[],
        open => %s::double precision[],
        high => %s::double precision[],
        low => %s::double precision[],
        close => %s::double precision[],
        volume => %s::double precision[]
    )
"""
_RECORD_HOLE = """
    SELECT upc.record_candle_hole(
        symbol => %s::text,
        exchange => %s::text,
        opened_from => %s::timestamptz,
        opened_until => %s::timestamptz
    )
"""
_FORGET_HOLES = _RECORD_HOLE.replace("record_candle_hole", "forget_candle_holes")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Span(NamedTuple):
    """From one minute since 1970 up to another, which is not part of it."""

    first: int
    after: int

    @property
    def minutes(self) -> int:
        return self.after - self.first


@dataclass(frozen=True)
class Gap:
    """Neighbouring missing minutes, from one opening time up to another, which is not missing.

    `exchanges` were asked for all of them and have no candle; empty if none was asked.
    """

    opened_from: datetime
    opened_until: datetime
    minutes: int
    exchanges: tuple[str, ...]

    @property
    def span(self) -> Span:
        return Span((self.opened_from - EPOCH) // MINUTE, (self.opened_until - EPOCH) // MINUTE)

    def is_open_to(self, exchange: str) -> bool:
        """True if the exchange may have the candles."""
        return exchange not in self.exchanges

    def as_json(self) -> dict[str, Any]:
        return {
            "from": as_text(self.opened_from),
            "until": as_text(self.opened_until),
            "minutes": self.minutes,
            "exchanges": list(self.exchanges),
        }


def find_gaps(
    conn: Connection, symbol: str, since: datetime | None = None, until: datetime | None = None
) -> list[Gap]:
    """The gaps in order of time; without bounds those between the first candle and the last.

    Raises psycopg's error with SQLSTATE UP002 for a symbol that is not registered.
    """
    rows = conn.execute(
        """
        SELECT m.opened_from, m.opened_until, m.minutes, m.exchanges
        FROM upc.missing_candles(
            symbol => %s::text, since => %s::timestamptz, until => %s::timestamptz
        ) AS m
        """,
        [symbol, since, until],
    )
    return [Gap(first, after, minutes, tuple(known or ())) for first, after, minutes, known in rows]


def spans_of(minutes: Iterable[int]) -> tuple[Span, ...]:
    """The runs of neighbouring minutes, in order of time."""
    spans: list[Span] = []
    for minute in sorted(minutes):
        if spans and spans[-1].after == minute:
            spans[-1] = Span(spans[-1].first, minute + 1)
        else:
            spans.append(Span(minute, minute + 1))
    return tuple(spans)


def close_gaps(
    conn: Connection,
    symbol: str,
    exchange: str,
    candles: Sequence[Candle],
    holes: Sequence[Span],
) -> tuple[int, int]:
    """Store candles, and holes of the exchange, in one transaction.

    A hole of the exchange for which there is a candle is forgotten. Returns how many candles were
    new, and how many replaced another one.
    """
    new = written = 0
    with conn.transaction():
        if candles:
            minutes, *columns = zip(*candles, strict=True)
            opened_at = [_at(minute) for minute in minutes]
            stored = _number(conn, _COUNT, [symbol, opened_at])
            written = _number(conn, _RECORD, [symbol, opened_at, *map(list, columns)])
            new = min(len(candles) - stored, written)
            for span in spans_of(minutes):
                conn.execute(_FORGET_HOLES, [symbol, exchange, *map(_at, span)])
        for span in holes:
            conn.execute(_RECORD_HOLE, [symbol, exchange, *map(_at, span)])
    return new, written - new


def _at(minute: int) -> datetime:
    return EPOCH + minute * MINUTE


def _number(conn: Connection, query: str, parameters: Sequence[Any]) -> int:
    row = conn.execute(query, parameters).fetchone()
    assert row is not None
    return int(row[0])
