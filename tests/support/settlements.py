"""Settled events as Kalshi has them, and the last minutes that our prices say of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from statistics import mean, median, stdev
from typing import Any

from psycopg.types.json import Jsonb

from tests.support.contracts import market, markets_of
from tests.support.engine import Connection

MINUTE = timedelta(minutes=1)


def settle(
    conn: Connection,
    closes_at: datetime,
    value: float | str,
    read_at: datetime | None = None,
    series: str = "KXBTCD",
    **fields: Any,
) -> None:
    """An event that has settled on a value, read a minute after its close unless told."""
    event = f"{series}-{closes_at:%d%H%M}"
    its = market(
        "T1",
        event,
        status="finalized",
        close_time=closes_at.isoformat(),
        strike_type="greater_or_equal",
        floor_strike=1,
        expiration_value=str(value),
        **{"result": "yes", **fields},
    )
    conn.execute(
        "SELECT upc.load_market(%s, read_at => %s)",
        (Jsonb(markets_of(series, its, event=event)), read_at or closes_at + MINUTE),
    )


def put_minute(
    conn: Connection, closes_at: datetime, prices: Sequence[float], exchange: str = "one"
) -> None:
    """Logged prices of the minute before a close, evenly apart."""
    step = MINUTE / len(prices)
    conn.execute(
        "INSERT INTO upc_data.price (symbol, exchange, received_at, price)"
        " SELECT 'BTC', %s, p.at, p.price FROM unnest(%s::timestamptz[], %s::float8[])"
        " AS p (at, price)",
        (exchange, [closes_at - MINUTE + k * step for k in range(len(prices))], list(prices)),
    )


def put_flat_candle(conn: Connection, closes_at: datetime, price: float) -> None:
    """The last minute before a close, of which the candle knows the average."""
    conn.execute(
        "INSERT INTO upc_data.candle VALUES ('BTC', %(at)s, %(p)s, %(p)s, %(p)s, %(p)s, 0)"
        " ON CONFLICT (symbol, opened_at) DO UPDATE SET open = %(p)s, high = %(p)s, low = %(p)s,"
        " close = %(p)s",
        {"at": closes_at - MINUTE, "p": price},
    )


def steady(shares: Iterable[float]) -> tuple[float, float, int]:
    """Mean, spread and number of the last 12 below 1 percent, less those that are far off."""
    last = [each for each in shares if abs(each) <= 0.01][-12:]
    middle = median(last)
    limit = max(1e-4, 10 * median(abs(each - middle) for each in last))
    kept = [each for each in last if abs(each - middle) <= limit]
    return mean(kept), stdev(kept), len(kept)
