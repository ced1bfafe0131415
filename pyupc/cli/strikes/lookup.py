"""Queries of `pyupc strikes`: the last close of a symbol, and the rows of compute_strikes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click
import psycopg
from psycopg.rows import dict_row

from pyupc.errors import PyupcError
from pyupc.symbols.names import ADD, some

Row = dict[str, Any]

# Columns as compute_strikes returns them.
COLUMNS = (
    "strike",
    "buffer",
    "move_percent",
    "direction",
    "prob_beyond",
    "prob_within",
    "positive_prob",
    "negative_prob",
    "prob_above",
    "sample_size",
    "fingerprint",
    "prob_low",
    "prob_high",
    "deviation",
)

WITHOUT_CANDLES_HINT = "give a price, or load candles: pyupc candles load FILE --symbol {}"

# A replay at the end of time shows the last close, and when it was made.
_LAST_CLOSE = """
    SELECT p.price, p.priced_at, m.momentum
    FROM upc.replay_price(symbol => %(symbol)s::text, at => 'infinity') AS p
    CROSS JOIN LATERAL upc.momentum(symbol => %(symbol)s::text, at => p.priced_at) AS m
"""

_STRIKES = """
    SELECT s.*, q.stand_in
    FROM upc.complete_question(
        symbol => %(symbol)s::text,
        ttc_seconds => %(ttc)s::integer,
        method => %(method)s::text,
        model => %(model)s::text,
        settlement => %(settlement)s::text
    ) AS q
    CROSS JOIN LATERAL upc.compute_strikes(
        price => %(price)s::double precision,
        momentum => %(momentum)s::double precision,
        symbol => %(symbol)s::text,
        ttc_seconds => q.used_ttc_seconds,
        step => %(step)s::double precision,
        levels => %(levels)s::integer,
        method => q.used_method,
        model => q.used_model,
        settlement => q.used_settlement,
        observed => q.observed
    ) AS s
"""


@dataclass(frozen=True)
class Basis:
    """Price and momentum of a symbol; `priced_at` is None if the price was given."""

    symbol: str
    price: float
    momentum: float | None
    priced_at: datetime | None = None

    def document(self) -> Row:
        """Columns that go before each row: none if the price was given."""
        if self.priced_at is None:
            return {}
        return {**vars(self), "priced_at": self.priced_at.isoformat()}


def last_closes(conn: psycopg.Connection[Any], symbols: tuple[str, ...]) -> list[Basis]:
    """Last close of each symbol; of all registered symbols if none is named.

    PyupcError if a named symbol has no candle, or no registered one has any.
    """
    names = symbols or _registered(conn)
    bases = [basis for name in names if (basis := _last_close(conn, name)) is not None]
    missing = [name for name in names if name not in {basis.symbol for basis in bases}]
    if missing and (symbols or not bases):
        raise PyupcError(f"no candle of {some(missing)}", WITHOUT_CANDLES_HINT.format(missing[0]))
    for name in missing:
        click.echo(f"{name}: no candle", err=True)
    if not bases:
        raise PyupcError("no symbol is registered", ADD)
    return bases


def _registered(conn: psycopg.Connection[Any]) -> tuple[str, ...]:
    rows = conn.execute("SELECT s.symbol FROM upc_data.symbol AS s ORDER BY s.symbol")
    return tuple(row[0] for row in rows)


def _last_close(conn: psycopg.Connection[Any], symbol: str) -> Basis | None:
    row = conn.execute(_LAST_CLOSE, {"symbol": symbol}).fetchone()
    if row is None or row[0] is None:
        return None
    price, priced_at, momentum = row
    return Basis(symbol, price, momentum, priced_at)


def strikes(
    conn: psycopg.Connection[Any], basis: Basis, options: Row
) -> tuple[list[Row], str | None]:
    """Rows of compute_strikes, and the replacement for a default that has no answer."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_STRIKES, {**vars(basis), **options}).fetchall()
    stand_ins = {row.pop("stand_in") for row in rows}
    return rows, next(iter(stand_ins), None)
