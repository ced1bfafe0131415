"""A trade's value at a given second, against independent arithmetic; and the JSON document."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.engine import Connection, scalar
from tests.support.trading import (
    CLOSE,
    EVENT,
    FINE,
    NO,
    NOW,
    STRIKE,
    STRIKES,
    YES,
    load_event,
    open_trade,
    put_price,
    read_quotes,
    seconds,
    set_to,
    table,
    taker_fee,
    tick,
    ticker_of,
)

Row = dict[str, Any]
CENT = Decimal("0.01")


@pytest.fixture(scope="module")
def module_dsn(trading_dsn: str) -> str:
    return trading_dsn


def set_quotes(conn: Connection, yes_ask: Any, no_ask: Any, status: str | None = "active") -> None:
    conn.execute(
        "UPDATE upc_data.market_quote SET yes_ask = %s, no_ask = %s, status = %s",
        (yes_ask, no_ask, status),
    )


def values(conn: Connection, at: Any = NOW) -> dict[int, Row]:
    """Exact values per trade from a tick's JSON, checked against trade_list."""
    text = tick(conn, at)["active_trades"]
    document = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    assert document["count"] == len(document["active_trades"])
    rows = {
        row["trade_id"]: row for row in table(conn, "SELECT * FROM upc.trade_list(at => %s)", (at,))
    }
    shown = {int(each["id"]): each for each in document["active_trades"]}
    assert rows.keys() == shown.keys()
    for trade_id, each in shown.items():
        row = rows[trade_id]
        assert each["close_value"] == row["close_price"]
        assert each["pnl"] == row["pnl"]
        assert each["pnl_after_fees"] == row["pnl_after_fees"]
        assert each["pnl_per_contract"] == row["pnl_per_contract"]
        assert each["pnl_per_contract_after_fees"] == row["pnl_per_contract_after_fees"]
        assert float(each["current_symbol_price"]) == row["symbol_price"]
        each["row"] = row
    return shown


@pytest.mark.parametrize("side", [YES, NO])
@pytest.mark.parametrize("strike", [STRIKE - 750, STRIKE - 250, STRIKE, STRIKE + 250])
@pytest.mark.parametrize(
    "price", [100_000, 100_000.01, 99_999.99, 100_123.45, 99_612.03, 99_999.99999999999]
)
def test_the_probability_is_that_of_the_table(
    conn: Connection, side: str, strike: int, price: float
) -> None:
    """The table's rounded value where the price is on the trade's side, else 100 less that."""
    trade_id = open_trade(conn, side, strike)
    put_price(conn, price)
    row = tick(conn)
    rows = json.loads(row["strike_table"], parse_float=Decimal, parse_int=Decimal)["strikes"]
    [within] = [each["probability"] for each in rows if each["strike"] == strike]
    is_on_its_side = (price >= strike) if side == YES else (price < strike)
    [shown] = json.loads(row["active_trades"], parse_float=Decimal)["active_trades"]
    assert shown["id"] == trade_id
    assert shown["current_probability"] == (within if is_on_its_side else 100 - within)
    buffer = Decimal(price) - strike if side == YES else strike - Decimal(price)
    assert shown["buffer_from_entry"] == buffer.quantize(CENT, ROUND_HALF_UP)
    # On its side of the strike it is ahead.
    assert (buffer >= 0) is (price >= strike if side == YES else price <= strike)


@pytest.mark.parametrize("strike", ["99999.51", "100004.37", "100250.01"])
def test_a_strike_to_the_cent(conn: Connection, strike: str) -> None:
    load_event(conn, strikes=[float(strike)])
    yes, no = open_trade(conn, YES, float(strike)), open_trade(conn, NO, float(strike))
    put_price(conn, 100_002.75)
    shown = values(conn)
    buffer = Decimal("100002.75") - Decimal(strike)
    assert shown[yes]["strike_price"] == shown[yes]["row"]["strike"] == Decimal(strike)
    assert shown[yes]["buffer_from_entry"] == buffer == -shown[no]["buffer_from_entry"]
    # 48.125 percent move 0.05 percent or less, and 40 percent 0.25.
    share = Decimal(40) if strike == "100250.01" else Decimal("48.13")
    side, other = (yes, no) if buffer > 0 else (no, yes)
    assert shown[other]["current_probability"] == share
    assert shown[side]["current_probability"] == 100 - share


def test_shares_with_more_decimals_than_two(conn: Connection) -> None:
    """20.126 percent are 20.13, and what is left 79.87."""
    yes, no = open_trade(conn, YES), open_trade(conn, NO)
    put_price(conn, STRIKE / 1.004)
    shown = values(conn)
    assert shown[yes]["current_probability"] == Decimal("20.13")
    assert shown[no]["current_probability"] == Decimal("79.87")
    assert shown[yes]["row"]["probability"] == pytest.approx(20.126, abs=1e-12)
    assert shown[no]["row"]["probability"] == pytest.approx(79.874, abs=1e-12)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    strike=st.sampled_from([*STRIKES]),
    price=st.decimals(95_000, 105_000, places=4),
    buy=st.decimals("0.0001", "0.9999", places=4),
    count=st.decimals("0.01", 100_000, places=2),
    asks=st.tuples(*[st.none() | st.decimals("0.0001", 1, places=4)] * 2),
    multiplier=st.sampled_from([Decimal(1), Decimal("0.5"), Decimal(0), Decimal("1.25")]),
)
def test_profits(
    conn: Connection,
    strike: int,
    price: Decimal,
    buy: Decimal,
    count: Decimal,
    asks: tuple[Decimal | None, Decimal | None],
    multiplier: Decimal,
) -> None:
    with conn.transaction(force_rollback=True):
        conn.execute("UPDATE upc_data.series SET fee_multiplier = %s", (multiplier,))
        set_quotes(conn, *asks)
        trades = {
            side: open_trade(conn, side, strike, price=buy, count=count) for side in (YES, NO)
        }
        put_price(conn, float(price))
        shown = values(conn)
    for side, trade_id in trades.items():
        each = shown[trade_id]
        opposite = asks[1] if side == YES else asks[0]
        # An ask of a dollar is an empty side.
        if opposite is None or opposite == 1:
            for name in ("close_value", "pnl", "pnl_per_contract", "pnl_after_fees"):
                assert each[name] is None
            continue
        worth = 1 - opposite
        gross = count * (worth - buy)
        net = gross - taker_fee(buy, count, multiplier)
        net -= taker_fee(worth, count, multiplier, is_sale=True)
        assert each["close_value"] == worth
        assert each["pnl"] == gross
        assert each["pnl_per_contract"] == worth - buy
        assert each["pnl_after_fees"] == net
        assert abs(each["pnl_per_contract_after_fees"] - net / count) <= Decimal("5.1e-7")
    # One or the other comes true.
    yes, no = (shown[trades[side]] for side in (YES, NO))
    assert yes["current_probability"] + no["current_probability"] == 100
    assert yes["row"]["probability"] + no["row"]["probability"] == pytest.approx(100, abs=1e-9)
    assert yes["buffer_from_entry"] == -no["buffer_from_entry"]
    if not {None, Decimal(1)} & {*asks}:
        # Selling both brings two dollars less the asks: what one is better, the other is worse.
        both = yes["close_value"] + no["close_value"]
        assert both == 2 - sum(ask for ask in asks if ask is not None)
        assert yes["pnl"] + no["pnl"] == count * (both - 2 * buy)


def test_the_fee_is_of_the_order_and_not_of_each_contract(conn: Connection) -> None:
    """Ten contracts at 85 cents pay 9 cents, and not ten times one."""
    trade_id = open_trade(conn, YES, price="0.85", count=10)
    assert scalar(conn, "SELECT buy_fee FROM upc_data.trade") == Decimal("0.09")
    put_price(conn, FINE)
    each = values(conn)[trade_id]
    assert each["pnl"] == Decimal("-2.70")
    assert each["pnl_after_fees"] == Decimal("-2.70") - Decimal("0.09") - Decimal("0.18")


def test_later_fees_do_not_change_what_was_paid(conn: Connection) -> None:
    trade_id = open_trade(conn, YES, price="0.85", count=10)
    conn.execute("UPDATE upc_data.series SET fee_multiplier = 0 WHERE symbol = 'BTC'")
    put_price(conn, FINE)
    assert values(conn)[trade_id]["pnl_after_fees"] == Decimal("-2.79")


@pytest.mark.parametrize(
    ("age", "status", "is_known"),
    [
        (0, "active", True),
        (60, "active", True),
        (60.5, "active", False),
        (0, "closed", False),
        (0, "settled", False),
        (0, None, False),
    ],
)
def test_without_quotes_money_is_unknown(
    conn: Connection, age: float, status: str, is_known: bool
) -> None:
    trade_id = open_trade(conn)
    put_price(conn, FINE)
    set_quotes(conn, "0.60", "0.42", status)
    read_quotes(conn, NOW - seconds(age))
    each = values(conn)[trade_id]
    names = ("close_value", "pnl", "pnl_per_contract", "pnl_after_fees")
    assert {each[name] is not None for name in names} == {is_known}
    assert each["current_probability"] == 95


def test_a_market_that_is_gone(conn: Connection) -> None:
    trade_id = open_trade(conn)
    conn.execute("DELETE FROM upc_data.market_quote")
    conn.execute("DELETE FROM upc_data.market_event")
    put_price(conn, FINE)
    each = values(conn)[trade_id]
    assert each["close_value"] is None
    assert (each["current_probability"], each["ttc_seconds"]) == (95, 1200)
    put_price(conn, FINE, CLOSE)
    assert values(conn, CLOSE)[trade_id]["current_probability"] is None


def test_a_halted_price_gives_no_probability(conn: Connection) -> None:
    trade_id = open_trade(conn)
    put_price(conn, FINE)
    for age, expected in ((60, 95), (60.5, None)):
        read_quotes(conn, NOW + seconds(age))
        each = values(conn, NOW + seconds(age))[trade_id]
        assert each["current_probability"] == expected
        assert each["row"]["probability"] == expected
        assert each["pnl"] == Decimal("-2.70")


def test_after_the_close(conn: Connection) -> None:
    """Neither a probability nor a price, until it is settled."""
    trade_id = open_trade(conn)
    for at, is_known in ((CLOSE - seconds(0.5), True), (CLOSE, False), (CLOSE + seconds(9), False)):
        put_price(conn, FINE, at)
        read_quotes(conn, at)
        each = values(conn, at)[trade_id]
        assert (each["current_probability"] is not None) is is_known
        assert (each["close_value"] is not None) is is_known
        assert each["ttc_seconds"] == 0
        assert (each["state"], each["row"]["status"]) == ("open", "open")


def test_an_event_that_moves_its_close(conn: Connection) -> None:
    trade_id = open_trade(conn)
    load_event(conn, closes_at=CLOSE - timedelta(minutes=10), read_at=NOW)
    put_price(conn, FINE)
    assert values(conn)[trade_id]["ttc_seconds"] == 600
    # It has closed, or it has not, as the event says now.
    for closes_at, at, is_known in (
        (NOW, NOW + seconds(1), False),
        (CLOSE + seconds(60), CLOSE, True),
    ):
        load_event(conn, closes_at=closes_at, read_at=at)
        put_price(conn, FINE + 1, at)
        each = values(conn, at)[trade_id]
        assert (each["current_probability"] is not None) is is_known
        assert (each["close_value"] is not None) is is_known


def test_the_document(conn: Connection) -> None:
    first = open_trade(conn, YES, price="0.8512", count="12.50", at=NOW - seconds(90.25))
    second = open_trade(conn, NO, STRIKE + 250)
    put_price(conn, FINE)
    row = tick(conn)
    document = json.loads(row["active_trades"])
    trades = document.pop("active_trades")
    assert document == {
        "symbol": "BTC",
        "timestamp": "2026-06-01T14:40:00.000000+00:00",
        "count": 2,
        "current_price": FINE,
        "state": "fresh",
        "quote_state": "fresh",
        "feed": "database",
        "market_at": "2026-06-01T14:40:00.000000+00:00",
        "valid_until": "2026-06-01T14:40:15.000000+00:00",
        "tick_id": row["tick_id"],
    }
    assert [each["id"] for each in trades] == [first, second]
    assert trades[0] == {
        "id": first,
        "trade_id": first,
        "ticket_id": f"TICKET-{first}",
        "ticker": ticker_of(),
        "symbol": "BTC",
        "side": "Y",
        "strike": "$100,000",
        "buy_price": 0.8512,
        "position": 12.5,
        "current_symbol_price": FINE,
        "current_probability": 95,
        "buffer_from_entry": 600,
        # The ask of no, and what is left of a dollar without it and what was paid.
        "current_close_price": 0.42,
        "current_pnl": "-0.27",
        "time_since_entry": 90,
        "status": "active",
        "stop_reason": None,
        "stopped_at": None,
        "ttc_seconds": 1200,
        "event_ticker": EVENT,
        "opened_at": "2026-06-01T14:38:29.750000+00:00",
        "state": "open",
        "contract_side": "yes",
        "strike_price": STRIKE,
        "close_value": 0.58,
        "pnl": pytest.approx(12.5 * (0.58 - 0.8512)),
        "pnl_per_contract": pytest.approx(0.58 - 0.8512),
        "pnl_after_fees": pytest.approx(12.5 * (0.58 - 0.8512) - 0.12 - 0.22),
        "pnl_per_contract_after_fees": pytest.approx(0.58 - 0.8512 - 0.34 / 12.5),
        "sold_count": 0,
        "realised_pnl": 0,
        "lower": STRIKE,
        "upper": None,
        "kind": "above",
    }
    assert trades[1] | {"side": "N", "strike": "$100,250", "contract_side": "no"} == trades[1]
    stored = scalar(conn, "SELECT active_trades FROM upc_data.document")
    assert stored == json.loads(row["active_trades"])


def test_without_trades_the_document_is_empty(conn: Connection) -> None:
    put_price(conn, FINE)
    document = json.loads(tick(conn)["active_trades"])
    assert (document["active_trades"], document["count"]) == ([], 0)


# The predecessor's keys


@pytest.mark.parametrize(
    ("strike", "text"),
    [
        ("118750", "$118,750"),
        ("118750.00", "$118,750"),
        ("1000", "$1,000"),
        ("999.5", "$999.50"),
        ("118499.99", "$118,499.99"),
        ("1234567.125", "$1,234,567.125"),
        ("0.095", "$0.095"),
        ("12.00", "$12"),
    ],
)
def test_a_strike_as_the_predecessor_writes_it(conn: Connection, strike: str, text: str) -> None:
    found = scalar(conn, "SELECT upc._legacy_strike(%s::numeric)", strike)
    assert found == text
    # Its consumers read it so.
    assert Decimal(found.replace("$", "").replace(",", "")) == Decimal(strike)


def test_five_trades_are_five_rows_that_the_predecessor_distinguishes(conn: Connection) -> None:
    """Its front end looks trades up by trade_id, and a held strike by its text."""
    set_to(conn, stop_on_probability="off")
    ids = [open_trade(conn, side, price="0.35", count=20) for side in (YES, NO, YES, NO, NO)]
    conn.execute("SELECT upc.close_trade(%s, 0.5, %s, count => 5)", (ids[0], NOW))
    conn.execute(
        "UPDATE upc_data.trade SET status = 'stopped', stopped_at = opened_at, "
        "stop_reason = 'momentum', stop_numbers = '{}' WHERE trade_id = %s",
        (ids[1],),
    )
    put_price(conn, FINE)
    trades = json.loads(tick(conn)["active_trades"])["active_trades"]
    assert [each["trade_id"] for each in trades] == ids
    assert len({each["ticket_id"] for each in trades}) == 5
    # Every held trade is active; the state of a stop has a key of its own.
    assert {each["status"] for each in trades} == {"active"}
    assert [each["state"] for each in trades] == ["open", "stopped", "open", "open", "open"]
    assert {(each["strike"], each["side"]) for each in trades} == {
        ("$100,000", "Y"),
        ("$100,000", "N"),
    }
    # Yes is sold against the ask of no, 0.42, and no against that of yes, 0.60.
    for each in trades:
        ask, worth, pnl = (0.42, 0.58, "0.23") if each["side"] == "Y" else (0.60, 0.40, "0.05")
        assert (each["current_close_price"], each["close_value"]) == (ask, worth)
        assert each["current_pnl"] == pnl
    assert (trades[0]["position"], trades[0]["sold_count"]) == (15, 5)
    assert trades[0]["realised_pnl"] == 0.75
    assert trades[0]["pnl"] == pytest.approx(0.75 + 15 * 0.23)


def test_without_a_bid_the_predecessor_reads_null(conn: Connection) -> None:
    open_trade(conn)
    set_quotes(conn, "0.60", "1.0000")
    put_price(conn, FINE)
    [each] = json.loads(tick(conn)["active_trades"])["active_trades"]
    assert (each["current_close_price"], each["current_pnl"], each["close_value"]) == (None,) * 3
