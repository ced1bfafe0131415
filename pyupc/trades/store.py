"""The database calls of `pyupc trades`: money and counts are exact all the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

_OPEN = """
    SELECT upc.open_trade(
        ticker => %s::text,
        side => %s::text,
        price => %s::numeric,
        count => %s::numeric,
        symbol => %s::text
    )
"""

_CLOSE = "SELECT t.trade_id FROM upc.close_trade(trade_id => %s::bigint, price => %s::numeric) AS t"

_TRADE = """
    SELECT
        t.trade_id, t.symbol, t.event_ticker, t.ticker, t.side, t.strike, t.status, t.position,
        t.buy_price,
        t.position * t.buy_price AS cost,
        t.buy_fee,
        t.opened_at, t.closes_at, t.stop_reason, t.stopped_at, t.ended_at, t.end_price,
        t.position * t.end_price AS proceeds,
        t.end_fee,
        t.position * (t.end_price - t.buy_price) - t.buy_fee - t.end_fee AS pnl_after_fees
    FROM upc_data.trade AS t
    WHERE t.symbol IN (SELECT s.symbol FROM upc_data.symbol AS s) AND t.trade_id = %s
"""

_LIST = """
    SELECT l.*
    FROM upc.trade_list(symbol => %s::text, has_ended => %s::boolean) AS l
"""

Connection = psycopg.Connection[tuple[Any, ...]]
Row = dict[str, Any]


@dataclass(frozen=True)
class Trade:
    """A trade as it is recorded, in USD; `position` is in contracts, fees are of all of them."""

    trade_id: int
    symbol: str
    event_ticker: str
    ticker: str
    side: str
    strike: Decimal
    status: str
    position: Decimal
    buy_price: Decimal
    cost: Decimal
    buy_fee: Decimal
    opened_at: datetime
    closes_at: datetime
    stop_reason: str | None
    stopped_at: datetime | None
    ended_at: datetime | None
    end_price: Decimal | None
    proceeds: Decimal | None
    end_fee: Decimal | None
    pnl_after_fees: Decimal | None

    def as_row(self) -> Row:
        return asdict(self)


def open_trade(
    conn: Connection, ticker: str, side: str, price: Decimal, count: Decimal, symbol: str | None
) -> Trade:
    with conn.transaction():
        number = _number(conn, _OPEN, (ticker, side, price, count, symbol))
        return _trade(conn, number)


def close_trade(conn: Connection, trade_id: int, price: Decimal | None) -> Trade:
    """Without a price it is what the trade is worth now."""
    with conn.transaction():
        return _trade(conn, _number(conn, _CLOSE, (trade_id, price)))


def trade_list(
    conn: Connection, symbols: Sequence[str], *, has_ended: bool
) -> tuple[list[str], list[Row]]:
    """Columns and rows of upc.trade_list, of the symbols named or of all, oldest first."""
    names: list[str | None] = [*symbols] or [None]
    rows: list[Row] = []
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        for symbol in names:
            rows += cursor.execute(_LIST, (symbol, has_ended)).fetchall()
        columns = [column.name for column in cursor.description or []]
    return columns, sorted(rows, key=lambda row: int(row["trade_id"]))


def _number(conn: Connection, query: str, parameters: tuple[Any, ...]) -> int:
    row = conn.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return int(row[0])


def _trade(conn: Connection, trade_id: int) -> Trade:
    with conn.cursor(row_factory=class_row(Trade)) as cursor:
        trade = cursor.execute(_TRADE, (trade_id,)).fetchone()
    assert trade is not None
    return trade
