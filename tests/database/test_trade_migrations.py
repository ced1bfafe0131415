"""Upgrades to and downgrades from the revision of trades: what was there before stays."""

from __future__ import annotations

from typing import Any

import pytest

from pyupc.database import schema
from pyupc.database.migrate import current, downgrade, upgrade
from pyupc.errors import PyupcError
from tests.database.test_migrations import make_outdated
from tests.support.engine import build, open_db, put, scalar, walk
from tests.support.trading import (
    BELOW,
    EVENT,
    FINE,
    LATER,
    NOW,
    YES,
    live,
    load_event,
    open_trade,
    put_price,
    seconds,
    tick,
)

# Tables that the revision before has, with its columns.
OLDER = {
    "symbol": "symbol, strike_step, exchange_pair",
    "candle": "*",
    "price": "*",
    "market_quote": "symbol, event_ticker, ticker, status, yes_ask, no_ask, volume",
    "market_event": "symbol, event_ticker, series_ticker, title, closes_at, read_at",
    "tick": "symbol, tick_id, ticked_at, feed, state, price, momentum, strikes, prob_above",
    "tick_lease": "symbol, holder, taken_at, expires_at",
    "document": "symbol, tick_id, live_probabilities::text, strike_table::text, watchlist::text",
    "fingerprint_histogram": "*",
    "counted_day": "*",
}
NEW = ("trade", "announcement", "announcement_cursor", "condition", "tick_count", "write_probe")


def contents(dsn: str) -> dict[str, list[Any]]:
    with open_db(dsn) as conn:
        return {
            name: conn.execute(
                f"SELECT r::text FROM (SELECT {columns} FROM upc_data.{name}) AS r"
                " ORDER BY 1".encode()
            ).fetchall()
            for name, columns in OLDER.items()
        }


@pytest.fixture
def traded(fresh_db: str) -> str:
    with open_db(fresh_db) as conn:
        put(conn, "BTC", walk(710, "2026-06-01T12:00", 160, price=100_000))
        build(conn)
        load_event(conn)
        load_event(conn, LATER, strikes=[99_000, 99_500, 100_000, 100_040], status="closed")
        open_trade(conn, YES)
        conn.execute("SELECT upc.subscribe('mail', true), upc.prove_write()")
        conn.execute("SELECT set_config('upc.stop_probability', '100', false)")
        live(conn, BELOW, holder="one")
        tick(conn, NOW + seconds(61), holder="one")
        for name in NEW:
            assert scalar(conn, f"SELECT count(*) FROM upc_data.{name}") > 0, name
    return fresh_db


@pytest.mark.slow
def test_data_survives_down_and_up_and_down_and_up(traded: str) -> None:
    before = contents(traded)
    assert all(before.values())
    for _ in range(2):
        downgrade(traded, "0004")
        assert current(traded) == "0004"
        assert contents(traded) == before
        upgrade(traded)
        assert current(traded) == schema.HEAD
        assert contents(traded) == before
    with open_db(traded) as conn:
        for name in NEW:
            assert scalar(conn, f"SELECT count(*) FROM upc_data.{name}") == 0
        # All goes on: what was ticked before does not count, and nothing was missed.
        put_price(conn, FINE, NOW + seconds(100))
        row = tick(conn, NOW + seconds(100), holder="one")
        assert row["tick_id"] > 2
        counts = conn.execute(
            "SELECT done_count, missed_count FROM upc_data.tick ORDER BY tick_id"
        ).fetchall()
        assert counts == [(None, None), (None, None), (1, 0)]
        open_trade(conn, YES)


@pytest.mark.slow
def test_what_events_say_of_their_markets_is_filled_in(traded: str) -> None:
    query = "SELECT event_ticker, status, strike_step FROM upc_data.market_event ORDER BY 1"
    expected = [(EVENT, "active", 250), (LATER, "closed", 500)]
    with open_db(traded) as conn:
        assert conn.execute(query.encode()).fetchall() == expected
    downgrade(traded, "0004")
    upgrade(traded)
    with open_db(traded) as conn:
        assert conn.execute(query.encode()).fetchall() == expected


def test_a_downgrade_that_drops_trades_is_refused_on_request(traded: str) -> None:
    with pytest.raises(PyupcError) as refusal:
        downgrade(traded, "0004", keep_data=True)
    assert refusal.value.exit_code == 1
    assert refusal.value.hint
    for name in NEW:
        assert f"upc_data.{name}" in refusal.value.message
    assert current(traded) == schema.HEAD
    with open_db(traded) as conn:
        assert scalar(conn, "SELECT count(*) FROM upc_data.trade") == 1


def test_without_any_there_is_nothing_to_refuse(fresh_db: str) -> None:
    downgrade(fresh_db, "0004", keep_data=True)
    assert current(fresh_db) == "0004"


def test_an_upgrade_under_open_trades_keeps_them(traded: str) -> None:
    """The functions are rebuilt; what they know is in tables."""
    with open_db(traded) as conn:
        query = "SELECT t::text FROM upc_data.trade AS t"
        before = conn.execute(query.encode()).fetchall()
    make_outdated(traded)
    upgrade(traded)
    with open_db(traded) as conn:
        assert conn.execute(query.encode()).fetchall() == before
        assert scalar(conn, "SELECT count(*) FROM upc.trade_list()") == 1
