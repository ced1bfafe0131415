"""Trades: what is taken, what is refused, how they are closed and listed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.support.engine import Connection, instant, scalar
from tests.support.trading import (
    BELOW,
    CLOSE,
    ETH_EVENT,
    EVENT,
    FINE,
    LATER,
    NO,
    NOW,
    STRIKE,
    YES,
    Row,
    event_document,
    load_event,
    open_trade,
    put_price,
    read_quotes,
    refused,
    run,
    seconds,
    table,
    tick,
    ticker_of,
    trade,
)

OPEN_TRADE = "SELECT upc.open_trade(%s, %s, %s::numeric, %s::numeric, %s, %s::timestamptz)"
CLOSE_TRADE = "SELECT upc.close_trade(%s, %s::numeric, %s::timestamptz)"


@pytest.fixture(scope="module")
def module_dsn(trading_dsn: str) -> str:
    return trading_dsn


def trades(conn: Connection, **arguments: Any) -> list[Row]:
    given = {"at": NOW, **arguments}
    named = ", ".join(f"{name} => %({name})s" for name in given)
    return table(conn, f"SELECT * FROM upc.trade_list({named})", given)


# Opening


def test_what_is_recorded(conn: Connection) -> None:
    trade_id = open_trade(conn, NO, STRIKE + 250, price="0.123400", count="1.50")
    row = trade(conn, trade_id)
    assert {name: value for name, value in row.items() if value is not None} == {
        "symbol": "BTC",
        "trade_id": trade_id,
        "event_ticker": EVENT,
        "ticker": ticker_of(STRIKE + 250),
        "side": "no",
        "lower": Decimal(STRIKE + 250),
        "kind": "above",
        "closes_at": CLOSE,
        "buy_price": Decimal("0.1234"),
        "position": Decimal("1.5"),
        # 0.1851 and 0.07 · 1.5 · 0.1234 · 0.8766, which is 0.0114, are 0.20 paid.
        "buy_fee": Decimal("0.0149"),
        "opened_at": NOW,
        "status": "open",
        "sold_count": 0,
        "realised_pnl": 0,
        "realised_fee": 0,
        "is_provisional": False,
    }


def test_numbers_ascend_over_all_symbols(conn: Connection) -> None:
    ids = [open_trade(conn), open_trade(conn, event=ETH_EVENT), open_trade(conn)]
    assert ids == sorted(set(ids))
    assert [trade(conn, each)["symbol"] for each in ids] == ["BTC", "ETH", "BTC"]


def test_by_default_it_was_now(conn: Connection) -> None:
    far = instant("2126-01-01T15:00")
    load_event(conn, LATER, closes_at=far)
    query = "SELECT upc.open_trade(%s, 'yes', 0.85, 10)"
    trade_id = scalar(conn, query, ticker_of(event=LATER))
    query = "SELECT clock_timestamp() - opened_at FROM upc_data.trade WHERE trade_id = %s"
    assert timedelta(0) <= scalar(conn, query, trade_id) < timedelta(seconds=30)


@pytest.mark.parametrize("price", ["0.0001", "0.9999", "0.00000000000000000001"])
@pytest.mark.parametrize("count", ["0.01", "1", "999999999999"])
def test_limits_of_what_is_taken(conn: Connection, price: str, count: str) -> None:
    trade_id = open_trade(conn, price=price, count=count)
    row = trade(conn, trade_id)
    assert (row["buy_price"], row["position"]) == (Decimal(price), Decimal(count))
    run(conn, FINE, 0, 0)
    run(conn, BELOW, 1, 1)
    conn.execute(CLOSE_TRADE, (trade_id, 1, NOW + seconds(2)))


@pytest.mark.parametrize(
    ("wrong", "sqlstate"),
    [
        ({"side": None}, "UP015"),
        ({"side": ""}, "UP015"),
        ({"side": "YES"}, "UP015"),
        ({"side": "maybe"}, "UP015"),
        ({"price": None}, "UP015"),
        ({"price": "0"}, "UP015"),
        ({"price": "1"}, "UP015"),
        ({"price": "85"}, "UP015"),
        ({"price": "-0.85"}, "UP015"),
        ({"price": "NaN"}, "UP015"),
        ({"price": "Infinity"}, "UP015"),
        ({"price": "-Infinity"}, "UP015"),
        ({"count": None}, "UP015"),
        ({"count": "0"}, "UP015"),
        ({"count": "-10"}, "UP015"),
        ({"count": "NaN"}, "UP015"),
        ({"count": "Infinity"}, "UP015"),
        ({"count": "1e12"}, "UP015"),
        ({"at": None}, "UP015"),
        ({"at": "infinity"}, "UP015"),
        ({"at": "-infinity"}, "UP015"),
        ({"at": CLOSE}, "UP015"),
        ({"at": CLOSE + timedelta(days=1)}, "UP015"),
        ({"ticker": None}, "UP016"),
        ({"ticker": ""}, "UP016"),
        ({"ticker": "KXBTCD-26JUN0111"}, "UP016"),
        ({"ticker": ticker_of().lower()}, "UP016"),
        ({"ticker": ticker_of() + " "}, "UP016"),
        ({"symbol": "ETH"}, "UP016"),
        ({"symbol": "BTC", "ticker": ticker_of(event=ETH_EVENT)}, "UP016"),
        ({"symbol": "XYZ"}, "UP002"),
        ({"symbol": "btc"}, "UP002"),
        ({"symbol": ""}, "UP002"),
    ],
    ids=str,
)
def test_what_is_no_trade_is_refused(conn: Connection, wrong: Row, sqlstate: str) -> None:
    good: Row = {
        "ticker": ticker_of(),
        "side": YES,
        "price": "0.85",
        "count": "10",
        "symbol": None,
        "at": NOW,
    }
    assert refused(conn, OPEN_TRADE, *{**good, **wrong}.values()) == sqlstate
    assert scalar(conn, "SELECT count(*) FROM upc_data.trade") == 0
    conn.execute(OPEN_TRADE, tuple(good.values()))


def test_a_market_with_a_result_is_refused(conn: Connection) -> None:
    load_event(conn, result="no")
    assert refused(conn, OPEN_TRADE, ticker_of(), YES, "0.5", "1", None, NOW) == "UP015"


def test_a_strike_of_zero_is_refused(conn: Connection) -> None:
    """A strike without a probability: no tick could answer."""
    document = event_document(LATER, CLOSE, [1])
    [market] = document["event"]["markets"]
    market.update(strike_type="greater_or_equal", floor_strike=0)
    conn.execute("SELECT upc.load_market(%s, read_at => %s)", (Jsonb(document), NOW))
    assert scalar(conn, "SELECT lower FROM upc_data.market_quote WHERE lower < 1") == 0
    query = (OPEN_TRADE, market["ticker"], YES, "0.5", "1", None, NOW)
    assert refused(conn, *query) == "UP015"


def test_a_name_that_two_symbols_have(conn: Connection) -> None:
    document = event_document()
    document["event"]["series_ticker"] = "KXETHD"
    query = "SELECT upc.load_market(%s, 'ETH', %s)"
    conn.execute(query, (Jsonb(document), NOW))
    for symbol in ("BTC", "ETH"):
        trade_id = scalar(conn, OPEN_TRADE, ticker_of(), YES, "0.5", "1", symbol, NOW)
        assert trade(conn, trade_id)["symbol"] == symbol


# Closing


def test_closed_at_a_price(conn: Connection) -> None:
    trade_id = open_trade(conn, price="0.85", count=10)
    at = NOW + seconds(60)
    query = "SELECT * FROM upc.close_trade(%s, 0.97, %s)"
    [row] = table(conn, query, (trade_id, at))
    assert row == trade(conn, trade_id)
    assert (row["status"], row["ended_at"], row["result"]) == ("closed", at, None)
    assert (row["end_price"], row["end_fee"]) == (Decimal("0.97"), Decimal("0.03"))
    [listed] = trades(conn, has_ended=True)
    assert listed["pnl"] == Decimal("1.20")
    assert listed["pnl_after_fees"] == Decimal("1.20") - Decimal("0.09") - Decimal("0.03")
    assert listed["pnl_per_contract"] == Decimal("0.12")
    assert listed["pnl_per_contract_after_fees"] == Decimal("0.108")
    assert trades(conn) == []


@pytest.mark.parametrize("price", ["0", "1", "0.0001"])
def test_limits_of_what_it_brings(conn: Connection, price: str) -> None:
    trade_id = open_trade(conn)
    conn.execute(CLOSE_TRADE, (trade_id, price, NOW))
    assert trade(conn, trade_id)["end_price"] == Decimal(price)


@pytest.mark.parametrize(("side", "worth"), [(YES, "0.58"), (NO, "0.40")])
def test_closed_at_what_it_is_worth_now(conn: Connection, side: str, worth: str) -> None:
    trade_id = open_trade(conn, side)
    conn.execute(CLOSE_TRADE, (trade_id, None, NOW + seconds(60)))
    assert trade(conn, trade_id)["end_price"] == Decimal(worth)


def test_closing_without_a_price_or_quotes_is_refused(conn: Connection) -> None:
    trade_id = open_trade(conn)
    assert refused(conn, CLOSE_TRADE, trade_id, None, NOW + seconds(60.5)) == "UP015"
    assert refused(conn, CLOSE_TRADE, trade_id, None, CLOSE) == "UP015"
    conn.execute("UPDATE upc_data.market_quote SET no_ask = NULL")
    assert refused(conn, CLOSE_TRADE, trade_id, None, NOW) == "UP015"
    assert trade(conn, trade_id)["ended_at"] is None
    conn.execute(CLOSE_TRADE, (trade_id, "0.5", CLOSE))


@pytest.mark.parametrize("price", ["-0.0001", "1.0001", "85", "NaN", "Infinity", "-Infinity"])
def test_what_it_cannot_bring_is_refused(conn: Connection, price: str) -> None:
    trade_id = open_trade(conn)
    assert refused(conn, CLOSE_TRADE, trade_id, price, NOW) == "UP015"
    assert trade(conn, trade_id)["status"] == "open"


@pytest.mark.parametrize("at", [NOW - timedelta(microseconds=1), None, "infinity", "-infinity"])
def test_when_it_cannot_end_is_refused(conn: Connection, at: Any) -> None:
    trade_id = open_trade(conn)
    assert refused(conn, CLOSE_TRADE, trade_id, "0.5", at) == "UP015"
    assert trade(conn, trade_id)["status"] == "open"


def test_a_trade_ends_once(conn: Connection) -> None:
    closed, settled = open_trade(conn), open_trade(conn)
    conn.execute(CLOSE_TRADE, (closed, "0.5", NOW))
    load_event(conn, result="yes", read_at=CLOSE)
    put_price(conn, FINE, CLOSE)
    tick(conn, CLOSE)
    for trade_id in (closed, settled):
        before = trade(conn, trade_id)
        assert refused(conn, CLOSE_TRADE, trade_id, "0.6", CLOSE + seconds(1)) == "UP015"
        assert refused(conn, CLOSE_TRADE, trade_id, None, CLOSE + seconds(1)) == "UP015"
        assert trade(conn, trade_id) == before


@pytest.mark.parametrize("trade_id", [None, 0, -1, 2**62])
def test_a_trade_that_is_not_there(conn: Connection, trade_id: int | None) -> None:
    open_trade(conn)
    assert refused(conn, CLOSE_TRADE, trade_id, "0.5", NOW) == "UP017"


# Listing


def test_the_list(conn: Connection) -> None:
    first, second = open_trade(conn), open_trade(conn, NO, event=ETH_EVENT)
    third, fourth = open_trade(conn, NO), open_trade(conn)
    conn.execute(CLOSE_TRADE, (third, "0.5", NOW))
    for symbol in ("BTC", "ETH"):
        put_price(conn, FINE if symbol == "BTC" else BELOW, symbol=symbol)
    assert [row["trade_id"] for row in trades(conn)] == [first, second, fourth]
    assert [row["trade_id"] for row in trades(conn, symbol="BTC")] == [first, fourth]
    everything = trades(conn, has_ended=True)
    assert [row["trade_id"] for row in everything] == [first, second, third, fourth]
    assert [row["status"] for row in everything] == ["open", "open", "closed", "open"]
    assert [row["symbol_price"] for row in everything] == [FINE, BELOW, None, FINE]
    assert [row["probability"] for row in everything] == [95, pytest.approx(60.01), None, 95]
    assert [row["trade_id"] for row in trades(conn, symbol="ETH", has_ended=True)] == [second]
    assert refused(conn, "SELECT upc.trade_list('XYZ')") == "UP002"


def test_nothing_is_made_up(conn: Connection) -> None:
    """The list works without price, quotes and, in the end, a fingerprint."""
    trade_id = open_trade(conn)
    read_quotes(conn, NOW - timedelta(minutes=5))
    unknown = {
        "probability",
        "close_price",
        "pnl",
        "pnl_per_contract",
        "pnl_after_fees",
        "pnl_per_contract_after_fees",
        "stop_reason",
        "stopped_at",
        "ended_at",
        "result",
    }
    [row] = trades(conn)
    nulls = {name for name, value in row.items() if value is None}
    # Open upwards.
    unknown.add("upper")
    assert nulls == unknown | {"symbol_price", "buffer"}
    put_price(conn, FINE)
    conn.execute("DELETE FROM upc_data.fingerprint_import")
    conn.execute("DELETE FROM upc_data.imported_curve")
    conn.execute("SELECT upc.refresh_fingerprints()")
    [row] = trades(conn)
    assert {name for name, value in row.items() if value is None} == unknown
    assert row["buffer"] == pytest.approx(600)
    conn.execute(CLOSE_TRADE, (trade_id, "0.5", NOW))


def test_the_result_is_known_before_it_settles(conn: Connection) -> None:
    open_trade(conn)
    load_event(conn, result="no", read_at=CLOSE)
    [row] = trades(conn, at=CLOSE)
    assert (row["status"], row["result"], row["ended_at"]) == ("open", "no", None)
