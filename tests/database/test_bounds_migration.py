"""Upgrades to and downgrades from the revision of trades with two bounds."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from pyupc.database.migrate import downgrade, upgrade
from pyupc.errors import PyupcError
from tests.support.contracts import market, markets_of
from tests.support.engine import open_db, scalar
from tests.support.trading import NO, NOW, STRIKE, YES, load_event, open_trade

OLD = "0027"
RANGE, UP = "KXBTC-26JUN0111", "KXBTC15M-26JUN0111"


def rows(dsn: str, columns: str) -> list[tuple[Any, ...]]:
    query = f"SELECT {columns} FROM upc_data.trade ORDER BY trade_id"
    with open_db(dsn) as conn:
        return conn.execute(query.encode()).fetchall()


@pytest.fixture
def traded(fresh_db: str) -> str:
    """Of a strike, and of up or down."""
    up = market("00", UP, strike_type="greater_or_equal", floor_strike=99_987.43)
    with open_db(fresh_db) as conn:
        load_event(conn)
        open_trade(conn, YES)
        open_trade(conn, NO, STRIKE + 250)
        document = Jsonb(markets_of("KXBTC15M", up, event=UP))
        conn.execute("SELECT upc.load_market(%s, read_at => %s)", (document, NOW))
        conn.execute("SELECT upc.open_trade(%s, 'yes', 0.5, 1, at => %s)", (f"{UP}-00", NOW))
    return fresh_db


def buy_range(dsn: str) -> None:
    its = market("B", RANGE, strike_type="between", floor_strike=100_000, cap_strike=100_099.99)
    with open_db(dsn) as conn:
        document = Jsonb(markets_of("KXBTC", its, event=RANGE))
        conn.execute("SELECT upc.load_market(%s, read_at => %s)", (document, NOW))
        conn.execute("SELECT upc.open_trade(%s, 'no', 0.5, 1, at => %s)", (f"{RANGE}-B", NOW))


def test_a_strike_becomes_the_lower_bound(traded: str) -> None:
    expected = [
        (STRIKE, None, "above"),
        (STRIKE + 250, None, "above"),
        (pytest.approx(99_987.43), None, "updown"),
    ]
    assert rows(traded, "lower::float8, upper, kind") == expected
    downgrade(traded, OLD, keep_data=True)
    assert rows(traded, "strike::float8") == [(each,) for each, *_ in expected]
    upgrade(traded)
    assert rows(traded, "lower::float8, upper, kind") == expected


def test_a_downgrade_that_drops_ranges_is_refused_on_request(traded: str) -> None:
    buy_range(traded)
    with pytest.raises(PyupcError):
        downgrade(traded, OLD, keep_data=True)
    assert rows(traded, "kind") == [("above",), ("above",), ("updown",), ("range",)]
    with open_db(traded) as conn:
        conn.execute("SELECT upc._announce('BTC', 'changed', 'trade', '', '{}', %s)", (NOW,))
    downgrade(traded, OLD)
    upgrade(traded)
    assert rows(traded, "kind") == [("above",), ("above",), ("updown",)]
    with open_db(traded) as conn:
        assert scalar(conn, "SELECT count(*) FROM upc_data.fill") == 3
        assert scalar(conn, "SELECT count(*) FROM upc_data.announcement") == 0
