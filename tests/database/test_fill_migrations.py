"""The ledger up and down the migrations: every trade becomes its fills, and back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pyupc.database import schema
from pyupc.database.migrate import current, downgrade, upgrade
from pyupc.errors import PyupcError
from tests.support.engine import open_db, scalar
from tests.support.trading import CLOSE, FINE, NO, NOW, YES, load_event, open_trade, put_price, tick
from tests.support.trading import prepare as prepare_market

FILLS = """
    SELECT trade_id, fill, kind, price, count, is_maker, fee, is_fee_charged, filled_at
    FROM upc_data.fill ORDER BY trade_id, fill
"""
# Amounts of a trade in the revision before.
BALANCE = """
    SELECT sum(position * (end_price - buy_price) - buy_fee - end_fee), count(*)
    FROM upc_data.trade WHERE ended_at IS NOT NULL
"""
TRADES = """
    SELECT trade_id, status, buy_price, position, buy_fee, opened_at, ended_at, end_price, end_fee,
        result
    FROM upc_data.trade ORDER BY trade_id
"""


def rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with open_db(dsn) as conn:
        return conn.execute(query.encode()).fetchall()


@pytest.fixture
def traded(fresh_db: str) -> str:
    """One that is held, one that was sold, and one that was settled."""
    with open_db(fresh_db) as conn:
        prepare_market(conn)
        for side in (YES, YES, NO):
            open_trade(conn, side, price="0.85", count="10.5")
        conn.execute("SELECT upc.close_trade(2, 0.91, %s)", (NOW,))
        conn.execute(
            "UPDATE upc_data.trade SET closes_at = closes_at + '1 hour' WHERE trade_id = 1"
        )
    return fresh_db


def settle_the_third(dsn: str) -> None:
    with open_db(dsn) as conn:
        # The first stays: its market is not there any more.
        conn.execute("UPDATE upc_data.trade SET ticker = 'GONE' WHERE trade_id = 1")
        load_event(conn, result=YES, read_at=CLOSE)
        put_price(conn, FINE, CLOSE)
        tick(conn, CLOSE)


def test_trades_become_their_fills_and_back(traded: str) -> None:
    settle_the_third(traded)
    trades, fills = rows(traded, TRADES), rows(traded, FILLS)
    bought = (1, "buy", Decimal("0.85"), Decimal("10.5"), False, trades[0][4], False, NOW)
    assert fills == [
        (1, *bought),
        (2, *bought),
        (2, 2, "sale", Decimal("0.91"), Decimal("10.5"), False, trades[1][8], False, NOW),
        (3, *bought),
        (3, 2, "settlement", 0, Decimal("10.5"), False, 0, False, CLOSE),
    ]
    # The trades hold all of it, so no consent to a loss is needed.
    downgrade(traded, "0009", keep_data=True)
    assert rows(traded, TRADES) == trades
    upgrade(traded)
    assert current(traded) == schema.HEAD
    assert (rows(traded, TRADES), rows(traded, FILLS)) == (trades, fills)


@pytest.mark.parametrize(
    "more",
    [
        "SELECT upc.close_trade(1, 0.91, at => opened_at, count => 4) FROM upc_data.trade LIMIT 1",
        "SELECT upc.close_trade(1, 0.91, at => opened_at, fee => 1) FROM upc_data.trade LIMIT 1",
        "SELECT upc.close_trade(1, 0.91, at => opened_at, is_maker => true)"
        " FROM upc_data.trade LIMIT 1",
    ],
)
def test_a_downgrade_that_loses_something_is_refused_on_request(traded: str, more: str) -> None:
    with open_db(traded) as conn:
        conn.execute(more.encode())
    before = rows(traded, FILLS)
    with pytest.raises(PyupcError) as refusal:
        downgrade(traded, "0009", keep_data=True)
    assert refusal.value.exit_code == 1
    assert "upc_data.fill" in refusal.value.message
    assert (current(traded), rows(traded, FILLS)) == (schema.HEAD, before)


def test_a_downgrade_makes_sales_of_parts_trades(traded: str) -> None:
    """The sums stay the same, to the last digit."""
    with open_db(traded) as conn:
        for count, price, fee in ((4, "0.91", None), ("0.3", "0.123456", "0.7")):
            query = "SELECT upc.close_trade(3, %s, %s, count => %s, fee => %s::numeric)"
            conn.execute(query, (Decimal(price), NOW, Decimal(count), fee))
        conn.execute("SELECT upc.close_trade(1, 0.2, %s, count => 1)", (NOW,))
        conn.execute("SELECT upc.close_trade(1, 0.3, %s)", (NOW,))
    settle_the_third(traded)
    with open_db(traded) as conn:
        query = "SELECT sum(pnl_after_fees) FROM upc.trade_list(has_ended => true)"
        brought = scalar(conn, query)
    downgrade(traded, "0009")
    assert rows(traded, BALANCE) == [(brought, 6)]
    assert scalar_sum(traded) == Decimal("31.5")
    upgrade(traded)
    with open_db(traded) as conn:
        assert scalar(conn, query) == brought
        query = "SELECT count(*) FROM upc_data.fill WHERE kind <> 'buy'"
        assert scalar(conn, query) == 6


def scalar_sum(dsn: str) -> Decimal:
    [(total,)] = rows(dsn, "SELECT sum(position) FROM upc_data.trade")
    return Decimal(total)
