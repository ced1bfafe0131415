"""Ticks as they stand in the log, with probabilities, asks and outcomes of a test's own choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.support.engine import Connection, instant
from tests.support.trading import table

Row = dict[str, Any]
Asks = Sequence[Decimal | None] | None

CLOSE = instant("2026-06-01T15:00")
STRIKE = 100_000.0


def log_tick(
    conn: Connection,
    strikes: Sequence[float] = (STRIKE,),
    prob_above: Sequence[float] | None = (40.0,),
    *,
    symbol: str = "BTC",
    ttc: int = 600,
    closes_at: datetime | None = CLOSE,
    event: str | None = None,
    yes_ask: Asks = None,
    no_ask: Asks = None,
    feed: str = "database",
    model: str = "momentum",
    method: str = "nearest",
    settlement: str = "close",
) -> int:
    """Insert a tick `ttc` seconds before the close; where that is not logged, before CLOSE."""
    at = (closes_at or CLOSE) - timedelta(seconds=ttc)
    row = conn.execute(
        """
        INSERT INTO upc_data.tick (
            symbol, tick_id, ticked_at, feed, state, market_at, price, priced_at, ttc_seconds,
            model, method, settlement, fingerprint, strikes, prob_above, event_ticker, closes_at,
            yes_ask, no_ask
        )
        VALUES (
            %(symbol)s, upc._next_id(%(symbol)s, 'tick'), %(at)s, %(feed)s, %(state)s, %(at)s,
            100000, %(at)s, %(ttc)s, %(model)s, %(method)s, %(settlement)s, 'made up',
            %(strikes)s, %(prob_above)s, %(event)s, %(closes_at)s, %(yes_ask)s, %(no_ask)s
        )
        RETURNING tick_id
        """,
        {
            "symbol": symbol,
            "at": at,
            "feed": feed,
            "state": "fresh" if prob_above is not None else "halted",
            "ttc": ttc,
            "model": model,
            "method": method,
            "settlement": settlement,
            "strikes": list(map(float, strikes)),
            "prob_above": None if prob_above is None else list(map(float, prob_above)),
            "event": event,
            "closes_at": closes_at,
            "yes_ask": None if yes_ask is None else list(yes_ask),
            "no_ask": None if no_ask is None else list(no_ask),
        },
    ).fetchone()
    assert row is not None
    return int(row[0])


def put_event(
    conn: Connection,
    event: str,
    results: Mapping[float, str | None],
    *,
    symbol: str = "BTC",
    closes_at: datetime = CLOSE,
) -> None:
    """An event with a market a strike, and what they ended as."""
    conn.execute(
        "INSERT INTO upc_data.market_event"
        " (symbol, event_ticker, series_ticker, closes_at, read_at)"
        " VALUES (%s, %s, %s, %s, %s)",
        (symbol, event, f"KX{symbol}D", closes_at, closes_at),
    )
    for strike, result in results.items():
        conn.execute(
            "INSERT INTO upc_data.market_quote (symbol, event_ticker, ticker, lower, result)"
            " VALUES (%s, %s, %s, %s, %s)",
            (symbol, event, f"{event}-T{strike}", Decimal(str(strike)), result),
        )


def put_candle(
    conn: Connection,
    close: float,
    *,
    opens: float | None = None,
    high: float | None = None,
    low: float | None = None,
    closes_at: datetime = CLOSE,
    symbol: str = "BTC",
) -> None:
    """The last candle before a close."""
    opens = close if opens is None else opens
    prices = (opens, high or max(opens, close), low or min(opens, close), close)
    conn.execute(
        "INSERT INTO upc_data.candle VALUES (%s, %s, %s, %s, %s, %s, 1)",
        (symbol, closes_at - timedelta(minutes=1), *prices),
    )


def judged(conn: Connection, symbol: str = "BTC") -> list[Row]:
    """The view, in order of tick and strike; the function with the same rows."""
    order = "ORDER BY tick_id, strike"
    seen = table(
        conn, f"SELECT * FROM analytics.judged_strike WHERE symbol = %s {order}", (symbol,)
    )
    assert seen == table(conn, f"SELECT * FROM upc.judged_strikes(%s) {order}", (symbol,))
    return seen


def outcomes(conn: Connection, symbol: str = "BTC") -> dict[float, bool]:
    return {row["strike"]: row["outcome"] for row in judged(conn, symbol)}
