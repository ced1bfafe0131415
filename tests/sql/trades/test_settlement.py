"""Settlement: at the close, by the recorded result, once."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from psycopg.types.json import Jsonb

from tests.support.engine import Connection
from tests.support.trading import (
    CLOSE,
    FINE,
    NO,
    NOW,
    YES,
    event_document,
    open_trade,
    put_price,
    seconds,
    status_of,
    table,
    taker_fee,
    tick,
)


@pytest.fixture(scope="module")
def module_dsn(trading_dsn: str) -> str:
    return trading_dsn


def settle(conn: Connection, result: str) -> None:
    document = event_document(result=result)
    conn.execute("SELECT upc.load_market(%s, read_at => %s)", (Jsonb(document), CLOSE))


@pytest.mark.parametrize(("result", "winner"), [(YES, YES), (NO, NO)])
def test_settlement(conn: Connection, result: str, winner: str) -> None:
    trades = {side: open_trade(conn, side, price="0.35", count=20) for side in (YES, NO)}
    settle(conn, result)
    put_price(conn, FINE, CLOSE)
    row = tick(conn, CLOSE)
    assert json.loads(row["active_trades"])["count"] == 0
    announcements = [each for each in json.loads(row["announced"]) if each["subject"] == "trade"]
    assert [each["kind"] for each in announcements] == ["settled"] * 2
    assert sorted(each["document"]["id"] for each in announcements) == sorted(trades.values())
    ended = {
        each["trade_id"]: each
        for each in table(
            conn, "SELECT * FROM upc.trade_list(has_ended => true, at => %s)", (CLOSE,)
        )
    }
    assert table(conn, "SELECT * FROM upc.trade_list(at => %s)", (CLOSE,)) == []
    for side, trade_id in trades.items():
        each = ended[trade_id]
        brought = Decimal(1) if side == winner else Decimal(0)
        net = 20 * (brought - Decimal("0.35")) - taker_fee(Decimal("0.35"), Decimal(20))
        assert (each["status"], each["result"], each["ended_at"]) == ("settled", result, CLOSE)
        assert (each["close_price"], each["pnl"]) == (brought, 20 * (brought - Decimal("0.35")))
        assert each["pnl_after_fees"] == net
        assert each["pnl_per_contract_after_fees"] == (net / 20).quantize(
            Decimal("1e-6"), ROUND_HALF_EVEN
        )
        [document] = [t["document"] for t in announcements if t["document"]["id"] == trade_id]
        assert document["pnl_after_fees"] == float(net)
        assert (document["result"], document["side"]) == (result, side)
    # Each once.
    put_price(conn, FINE + 1, CLOSE + seconds(1))
    row = tick(conn, CLOSE + seconds(1))
    assert "settled" not in (row["announced"] or "")


def test_neither_before_the_close_nor_without_a_result(conn: Connection) -> None:
    trade_id = open_trade(conn)
    settle(conn, YES)
    put_price(conn, FINE, CLOSE - seconds(1))
    tick(conn, CLOSE - seconds(0.001))
    assert status_of(conn, trade_id) == ("open", None)
    settle(conn, "")
    put_price(conn, FINE + 1, CLOSE)
    for second in range(3):
        tick(conn, CLOSE + seconds(second))
    assert status_of(conn, trade_id) == ("open", None)
    settle(conn, NO)
    tick(conn, CLOSE + seconds(3))
    assert status_of(conn, trade_id) == ("settled", None)


@pytest.mark.parametrize("result", ["scalar", "void", "tie"])
def test_other_results_settle_nothing_until_their_value_is_known(
    conn: Connection, result: str
) -> None:
    trade_id = open_trade(conn)
    settle(conn, result)
    put_price(conn, FINE, CLOSE)
    tick(conn, CLOSE)
    assert status_of(conn, trade_id) == ("open", None)


def test_halted_prices_settle_all_the_same(conn: Connection) -> None:
    """The result is the market's."""
    trade_id = open_trade(conn)
    put_price(conn, FINE)
    settle(conn, YES)
    assert tick(conn, CLOSE)["state"] == "halted"
    assert status_of(conn, trade_id)[0] == "settled"


def test_a_stopped_trade_settles_and_keeps_its_stop(conn: Connection) -> None:
    trade_id = open_trade(conn, NO)
    put_price(conn, FINE)
    tick(conn)
    settle(conn, NO)
    put_price(conn, FINE + 1, CLOSE)
    tick(conn, CLOSE)
    assert status_of(conn, trade_id) == ("settled", "probability")


def test_what_was_sold_does_not_settle(conn: Connection) -> None:
    trade_id = open_trade(conn)
    conn.execute("SELECT upc.close_trade(%s, 0.9, %s)", (trade_id, NOW))
    settle(conn, YES)
    put_price(conn, FINE, CLOSE)
    tick(conn, CLOSE)
    assert status_of(conn, trade_id)[0] == "closed"


@pytest.mark.parametrize("feed", ["replay", "simulated"])
def test_other_prices_settle_nothing(conn: Connection, feed: str) -> None:
    conn.execute(
        "INSERT INTO upc_data.candle"
        " SELECT 'BTC', %s::timestamptz + i * interval '1 minute', 1e5, 1e5, 1e5, 1e5, 1"
        " FROM generate_series(-60, 60) AS i",
        (CLOSE,),
    )
    trade_id = open_trade(conn)
    settle(conn, YES)
    row = tick(conn, CLOSE + seconds(5), feed=feed)
    assert row["announced"] is None
    assert status_of(conn, trade_id) == ("open", None)


def test_another_symbol_settles_its_own(conn: Connection) -> None:
    trade_id = open_trade(conn)
    settle(conn, YES)
    put_price(conn, FINE, CLOSE, "ETH")
    tick(conn, CLOSE, "ETH")
    assert status_of(conn, trade_id) == ("open", None)
