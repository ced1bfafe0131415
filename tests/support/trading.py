"""A market to trade in whose probabilities are known by heart, and ticks driven by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.engine import Connection, instant, scalar
from tests.support.imported import BASELINE, ImportedSet, import_set

Row = dict[str, Any]

# Shares that move at least that far: up and down are the same, and momentum says nothing. A yes at
# a strike that the price is 0.30 % below has 39.99 percent, at one 0.20 % below exactly 40.
THRESHOLDS = ["0.00", "0.10", "0.20", "0.30", "0.40", "0.50"]
SHARES = {
    1: ["48.125", "45", "40", "39.99", "20.126", "5"],  # with up to 30 minutes to the close
    60: ["50.5", "45.5", "40.5", "39.5", "20.5", "5.5"],
}
KNOWN = ImportedSet(
    THRESHOLDS, {(BASELINE, minutes): (each, each) for minutes, each in SHARES.items()}
)

CLOSE = instant("2026-06-01T15:00")
NOW = instant("2026-06-01T14:40")
STRIKE = 100_000
STRIKES = range(STRIKE - 1000, STRIKE + 1001, 250)

EVENT = "KXBTCD-26JUN0111"
LATER = "KXBTCD-26JUN0112"
ETH_EVENT = "KXETHD-26JUN0111"
YES = "yes"
NO = "no"


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def beyond(percent: float) -> float:
    """A price from which STRIKE is that far, percent of the price; above it if negative."""
    return round(STRIKE / (1 + percent / 100), 4)


FINE = STRIKE * 1.006  # yes: 95 percent
AT_LIMIT = beyond(0.2)  # yes: 40 percent
BELOW = beyond(0.3)  # yes: 39.99 percent
BAD_FOR_NO = beyond(-0.3)  # no: 39.99 percent


def table(conn: Connection, query: str, parameters: Any = None) -> list[Row]:
    rows = conn.execute(query.encode(), parameters)
    names = [column.name for column in rows.description or []]
    return [dict(zip(names, row, strict=True)) for row in rows]


def ticker_of(strike: float = STRIKE, event: str = EVENT) -> str:
    return f"{event}-T{strike - 0.01:.2f}"


def event_document(
    event: str = EVENT,
    closes_at: datetime = CLOSE,
    strikes: Iterable[float] = STRIKES,
    **fields: Any,
) -> Row:
    markets = [
        {
            "ticker": ticker_of(strike, event),
            "close_time": closes_at.isoformat(),
            "status": "active",
            "strike_type": "greater",
            "floor_strike": f"{strike - 0.01:.2f}",
            "yes_ask_dollars": "0.6000",
            "no_ask_dollars": "0.4200",
            **fields,
        }
        for strike in strikes
    ]
    series = event.partition("-")[0]
    return {"event": {"event_ticker": event, "series_ticker": series, "markets": markets}}


def load_event(
    conn: Connection, event: str = EVENT, *, read_at: datetime = NOW, **arguments: Any
) -> None:
    document = Jsonb(event_document(event, **arguments))
    conn.execute("SELECT upc.load_market(%s, read_at => %s)", (document, read_at))


def read_quotes(conn: Connection, at: datetime, event: str = EVENT) -> None:
    """Pretend that the same quotes were read again."""
    conn.execute(
        "UPDATE upc_data.market_event SET read_at = %s WHERE event_ticker = %s", (at, event)
    )


def prepare(conn: Connection) -> None:
    """Probabilities for both symbols and a market of nine strikes for each; stops fire at once."""
    conn.execute("SELECT upc.set_rule('stop_verify', 'off')")
    for symbol in ("BTC", "ETH"):
        import_set(conn, KNOWN, symbol)
        conn.execute("SELECT upc.use_fingerprints('imported', ARRAY[%s])", (symbol,))
    load_event(conn)
    load_event(conn, ETH_EVENT)


def put_price(
    conn: Connection,
    price: float,
    at: datetime = NOW,
    symbol: str = "BTC",
    exchange: str = "coinbase",
) -> None:
    """In the log, as it came."""
    assert scalar(
        conn, "SELECT upc.record_price(%s, %s, %s, NULL, %s)", symbol, exchange, price, at
    )


def tick(
    conn: Connection, at: datetime = NOW, symbol: str = "BTC", feed: str = "database", **more: Any
) -> Row:
    given = {"symbol": symbol, "feed": feed, "at": at, **more}
    named = ", ".join(f"{name} => %({name})s" for name in given)
    [row] = table(conn, f"SELECT * FROM upc.tick({named})", given)
    return row


def live(
    conn: Connection,
    price: float,
    at: datetime = NOW,
    *,
    quotes: bool = True,
    symbol: str = "BTC",
    **more: Any,
) -> list[Row]:
    """One second: a price comes in, quotes are read, and a tick is made; what was announced."""
    # A price that does not move is frozen.
    put_price(conn, price + 0.0001 * (int(at.timestamp()) % 997), at, symbol)
    if quotes:
        read_quotes(conn, at, EVENT if symbol == "BTC" else ETH_EVENT)
    return announced(tick(conn, at, symbol, **more))


def run(
    conn: Connection, price: float, start: float, stop: float, at: datetime = NOW, **more: Any
) -> list[tuple[float, str, str]]:
    """Tick each second from start to stop inclusive; second, kind and subject of announcements."""
    found = []
    second = start
    while second <= stop:
        for each in live(conn, price, at + seconds(second), **more):
            found.append((second, each["kind"], each["subject"]))
        second += 1
    return found


def announced(row: Row) -> list[Row]:
    return [] if row["announced"] is None else json.loads(row["announced"])


def open_trade(
    conn: Connection,
    side: str = YES,
    strike: float = STRIKE,
    *,
    event: str = EVENT,
    price: Any = "0.85",
    count: Any = 10,
    at: datetime = NOW,
) -> int:
    query = "SELECT upc.open_trade(%s, %s, %s::numeric, %s::numeric, at => %s)"
    return int(scalar(conn, query, ticker_of(strike, event), side, price, count, at))


def trade(conn: Connection, trade_id: int) -> Row:
    [row] = table(conn, "SELECT * FROM upc_data.trade WHERE trade_id = %s", (trade_id,))
    return row


def status_of(conn: Connection, trade_id: int) -> tuple[str, str | None]:
    row = trade(conn, trade_id)
    return row["status"], row["stop_reason"]


def outbox(conn: Connection, kind: str | None = None) -> list[Row]:
    query = (
        "SELECT * FROM upc_data.announcement WHERE kind = coalesce(%s, kind) "
        "ORDER BY announcement_id"
    )
    return table(conn, query, (kind,))


def taker_fee(
    price: Decimal, count: Decimal, multiplier: Decimal = Decimal(1), *, is_sale: bool = False
) -> Decimal:
    """Kalshi's fee for a fill, USD: the account holds whole cents before and after it."""
    exact = Decimal("0.07") * multiplier * count * price * (1 - price)
    model = exact.quantize(Decimal("0.0001"), ROUND_CEILING)
    change = (price * count if is_sale else -price * count) - model
    settled = change.quantize(Decimal("0.01"), ROUND_FLOOR)
    return model + change - settled


def set_to(conn: Connection, **settings: Any) -> None:
    """Settings, for the rest of the transaction or session."""
    for name, value in settings.items():
        conn.execute("SELECT set_config(%s, %s, false)", (f"upc.{name}", str(value)))


def refused(conn: Connection, query: str, *parameters: Any) -> str | None:
    """The SQLSTATE; the transaction goes on."""
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        conn.execute(query.encode(), parameters or None)
    diagnosis = caught.value.diag
    if (caught.value.sqlstate or "").startswith("UP"):
        assert diagnosis.message_detail
        assert diagnosis.message_hint
    return caught.value.sqlstate
