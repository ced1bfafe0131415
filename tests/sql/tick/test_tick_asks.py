"""Figures that a tick logs for later judgement: close time and cost of its contracts."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.support.engine import Connection, instant
from tests.support.trading import (
    CLOSE,
    EVENT,
    NOW,
    STRIKE,
    STRIKES,
    event_document,
    put_price,
    read_quotes,
    seconds,
    table,
    tick,
    ticker_of,
)

Row = dict[str, Any]


@pytest.fixture(scope="module")
def module_dsn(trading_dsn: str) -> str:
    return trading_dsn


def logged(conn: Connection, at: datetime = NOW, **more: Any) -> Row:
    row = tick(conn, at, **more)
    [seen] = table(conn, "SELECT * FROM upc_data.tick WHERE tick_id = %s", (row["tick_id"],))
    return seen


def test_asks_stand_beside_their_strikes(conn: Connection) -> None:
    put_price(conn, STRIKE + 10)
    expected: dict[float, tuple[Decimal | None, Decimal | None]] = {}
    for place, strike in enumerate(STRIKES):
        yes, no = Decimal("0.0100") * (place + 1), Decimal("0.9950") - Decimal("0.1") * place
        if place == 3:
            yes_ask, no_ask = None, no
        elif place == 4:
            yes_ask, no_ask = yes, None
        else:
            yes_ask, no_ask = yes, no
        expected[strike] = (yes_ask, no_ask)
        conn.execute(
            "UPDATE upc_data.market_quote SET yes_ask = %s, no_ask = %s WHERE ticker = %s",
            (yes_ask, no_ask, ticker_of(strike)),
        )
    row = logged(conn)
    nothing = (None, None)
    assert row["strikes"] == [STRIKE + 250.0 * k for k in range(-10, 11)]
    assert row["yes_ask"] == [expected.get(strike, nothing)[0] for strike in row["strikes"]]
    assert row["no_ask"] == [expected.get(strike, nothing)[1] for strike in row["strikes"]]
    assert sum(ask is not None for ask in row["yes_ask"]) == len(STRIKES) - 1
    assert row["closes_at"] == CLOSE
    assert (row["model"], row["settlement"]) == ("momentum", "close")


@pytest.mark.parametrize(
    ("price_age", "quote_age", "has_asks"),
    [
        (0, 0, True),
        (15, 15, True),
        (15.5, 0, True),
        (30.5, 0, False),
        (0, 30.5, False),
        (61, 0, False),
        (0, 61, False),
    ],
)
def test_no_ask_without_an_edge(
    conn: Connection, price_age: float, quote_age: float, has_asks: bool
) -> None:
    put_price(conn, STRIKE + 10, NOW - seconds(price_age))
    read_quotes(conn, NOW - seconds(quote_age))
    row = logged(conn)
    assert (row["yes_ask"] is not None) is has_asks
    assert (row["no_ask"] is not None) is has_asks
    edges = table(
        conn,
        "SELECT bool_or(yes_edge IS NOT NULL) AS has_edge"
        " FROM upc.strike_table(%s, NULL, 'BTC', %s, price_state => %s)",
        (STRIKE + 10, NOW, row["state"]),
    )
    assert edges == [{"has_edge": has_asks}]


def test_an_event_without_asks_has_empty_elements(conn: Connection) -> None:
    put_price(conn, STRIKE + 10)
    document = event_document(yes_ask_dollars="0.0000", no_ask_dollars="")
    conn.execute("SELECT upc.load_market(%s, read_at => %s)", (Jsonb(document), NOW))
    row = logged(conn)
    assert row["yes_ask"] == row["no_ask"] == [None] * 21


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
@pytest.mark.parametrize(
    ("at", "closes_at"),
    [
        ("2026-06-01T18:20:03.5", "2026-06-01T19:00"),
        ("2026-06-01T18:59:59.999", "2026-06-01T19:00"),
        ("2026-06-01T19:00", "2026-06-01T20:00"),
    ],
)
def test_without_an_event_it_is_the_next_full_hour(
    conn: Connection, at: str, closes_at: str, zone: str
) -> None:
    conn.execute("SELECT set_config('TimeZone', %s, true)", (zone,))
    put_price(conn, STRIKE + 10, instant(at))
    row = logged(conn, instant(at))
    assert row["event_ticker"] is None
    assert row["closes_at"] == instant(closes_at)
    assert row["yes_ask"] is row["no_ask"] is None


def test_simulated_prices_have_no_asks(conn: Connection) -> None:
    row = logged(conn, feed="simulated")
    assert (row["event_ticker"], row["closes_at"]) == (None, CLOSE)
    assert row["yes_ask"] is row["no_ask"] is None


def test_an_event_that_closes_early(conn: Connection) -> None:
    early = CLOSE - seconds(600)
    conn.execute(
        "UPDATE upc_data.market_event SET closes_at = %s WHERE event_ticker = %s", (early, EVENT)
    )
    put_price(conn, STRIKE + 10)
    row = logged(conn)
    assert (row["closes_at"], row["ttc_seconds"]) == (early, 600)
