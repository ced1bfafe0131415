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
        symbol => %s::text,
        fee => %s::numeric,
        is_maker => %s::boolean
    )
"""

_CLOSE = """
    SELECT t.trade_id
    FROM upc.close_trade(
        trade_id => %s::bigint,
        price => %s::numeric,
        count => %s::numeric,
        fee => %s::numeric,
        is_maker => %s::boolean
    ) AS t
"""

_TRADE = """
    SELECT
        t.trade_id, t.symbol, t.event_ticker, t.ticker, t.side, t.kind,
        CASE WHEN t.upper IS NULL THEN t.lower END AS strike,
        t.lower, t.upper, t.status, t.position, t.buy_price,
        (t.position + t.sold_count) * t.buy_price AS cost,
        t.buy_fee,
        t.opened_at, t.closes_at, t.stop_reason, t.stopped_at, t.ended_at, t.end_price,
        CASE WHEN t.sold_count > 0 OR t.ended_at IS NOT NULL
            THEN t.realised_pnl + t.sold_count * t.buy_price
                + coalesce(t.position * t.end_price, 0)
        END AS proceeds,
        t.end_fee,
        t.realised_pnl + t.position * (t.end_price - t.buy_price)
            - t.buy_fee - t.realised_fee - t.end_fee AS pnl_after_fees,
        t.sold_count, t.realised_pnl, t.realised_fee,
        f.kind AS fill_kind, f.price AS fill_price, f.count AS fill_count,
        f.price * f.count AS fill_amount, f.fee AS fill_fee
    FROM upc_data.trade AS t
    JOIN upc_data.fill AS f ON f.symbol = t.symbol AND f.trade_id = t.trade_id
    WHERE t.symbol IN (SELECT s.symbol FROM upc_data.symbol AS s) AND t.trade_id = %s
    ORDER BY f.fill DESC
    LIMIT 1
"""

_LIST = """
    SELECT l.*
    FROM upc.trade_list(
        symbol => %s::text,
        has_ended => %s::boolean,
        method => NULL,
        model => NULL,
        settlement => NULL
    ) AS l
"""

_FILLS = """
    SELECT
        f.symbol, f.trade_id, f.fill, f.kind, f.price, f.count,
        f.price * f.count AS amount,
        f.fee, f.is_fee_charged, f.is_maker, f.filled_at, f.note
    FROM upc_data.fill AS f
    WHERE f.symbol IN (SELECT s.symbol FROM upc_data.symbol AS s)
      AND f.trade_id = coalesce(%s::bigint, f.trade_id)
    ORDER BY f.trade_id, f.fill
"""

Connection = psycopg.Connection[tuple[Any, ...]]
Row = dict[str, Any]


@dataclass(frozen=True)
class Trade:
    """A trade as it is recorded, in USD, with its last fill.

    `position` contracts are held, or were until the end, and `sold_count` were sold before; `cost`
    and `proceeds` are of all of them, and so is the fee of each fill.
    `strike` is the lower bound of a contract without an upper one.
    """

    trade_id: int
    symbol: str
    event_ticker: str
    ticker: str
    side: str
    kind: str
    strike: Decimal | None
    lower: Decimal | None
    upper: Decimal | None
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
    sold_count: Decimal
    realised_pnl: Decimal
    realised_fee: Decimal
    fill_kind: str
    fill_price: Decimal
    fill_count: Decimal
    fill_amount: Decimal
    fill_fee: Decimal

    def as_row(self) -> Row:
        return asdict(self)


def open_trade(
    conn: Connection,
    ticker: str,
    side: str,
    price: Decimal,
    count: Decimal,
    symbol: str | None,
    *,
    fee: Decimal | None = None,
    is_maker: bool = False,
) -> Trade:
    """Without a fee it is computed."""
    with conn.transaction():
        number = _number(conn, _OPEN, (ticker, side, price, count, symbol, fee, is_maker))
        return _trade(conn, number)


def close_trade(
    conn: Connection,
    trade_id: int,
    price: Decimal | None,
    *,
    count: Decimal | None = None,
    fee: Decimal | None = None,
    is_maker: bool = False,
) -> Trade:
    """Without a price it is the best bid, without a count all that is held."""
    with conn.transaction():
        return _trade(conn, _number(conn, _CLOSE, (trade_id, price, count, fee, is_maker)))


def fills(conn: Connection, trade_id: int | None) -> tuple[list[str], list[Row]]:
    """Columns and rows of the ledger, of one trade or of all, in their order."""
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_FILLS, (trade_id,)).fetchall()
        return [column.name for column in cursor.description or []], rows


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
