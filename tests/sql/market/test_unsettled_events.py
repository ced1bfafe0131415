"""Events whose results the feed still has to read."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from tests.support.engine import Connection, instant

CLOSE = instant("2026-06-01T15:00")
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def load(
    conn: Connection,
    name: str,
    closes_at: datetime,
    *results: str | None,
    symbol: str = "BTC",
    read_at: datetime | None = None,
) -> None:
    """An event whose n-th market has the n-th of these results."""
    markets = [
        {
            "ticker": f"{name}-T{number}",
            "close_time": closes_at.isoformat(),
            "strike_type": "greater",
            "floor_strike": 97_499.99 + 250 * number,
            "result": result or "",
        }
        for number, result in enumerate(results)
    ]
    document = {
        "event": {"event_ticker": name, "series_ticker": f"KX{symbol}D", "markets": markets}
    }
    conn.execute(
        "SELECT upc.load_market(%s::jsonb, %s, %s)",
        (json.dumps(document), symbol, read_at or closes_at - timedelta(minutes=5)),
    )


def hold(conn: Connection, ticker: str, at: datetime = CLOSE - timedelta(hours=1)) -> int:
    query = "SELECT upc.open_trade(%s, 'yes', 0.5, 1, at => %s)"
    [(number,)] = conn.execute(query, (ticker, at)).fetchall()
    return int(number)


def unsettled(conn: Connection, at: datetime, symbol: str = "BTC") -> list[tuple[str, datetime]]:
    return conn.execute("SELECT * FROM upc.unsettled_events(%s, %s)", (symbol, at)).fetchall()


def test_those_that_closed_within_a_day(conn: Connection) -> None:
    load(conn, "E", CLOSE, None, None)
    found = [("E", CLOSE)]
    assert unsettled(conn, CLOSE - SECOND) == []
    assert unsettled(conn, CLOSE) == found
    assert unsettled(conn, CLOSE + DAY - SECOND) == found
    assert unsettled(conn, CLOSE + DAY) == []
    assert unsettled(conn, CLOSE, "ETH") == []


@pytest.mark.parametrize(
    ("results", "is_wanted"),
    [
        (("yes", "no"), False),
        (("yes", None), True),
        ((None, None), True),
        # An event of other kinds of markets has none that anybody asks for.
        ((), False),
        # Kalshi's word for a market that neither side wins.
        (("scalar", "yes"), False),
    ],
)
def test_until_every_market_has_a_result(
    conn: Connection, results: tuple[str | None, ...], is_wanted: bool
) -> None:
    load(conn, "E", CLOSE, None, None)
    conn.execute("DELETE FROM upc_data.market_quote WHERE %s", (not results,))
    if results:
        load(conn, "E", CLOSE, *results, read_at=CLOSE)
    assert (unsettled(conn, CLOSE) != []) is is_wanted


def test_those_with_trades_however_old(conn: Connection) -> None:
    load(conn, "A", CLOSE - DAY, None, None)
    load(conn, "B", CLOSE, None, None)
    load(conn, "C", CLOSE + timedelta(hours=1), None)
    load(conn, "F", CLOSE + timedelta(hours=3), None)
    trade = hold(conn, "A-T1", CLOSE - DAY - SECOND)
    hold(conn, "F-T0")
    now = CLOSE + timedelta(hours=2)
    expected = [
        ("A", CLOSE - DAY),
        ("C", CLOSE + timedelta(hours=1)),
        ("B", CLOSE),
    ]
    assert unsettled(conn, now) == expected
    assert unsettled(conn, CLOSE + 100 * DAY) == [
        ("F", CLOSE + timedelta(hours=3)),
        ("A", CLOSE - DAY),
    ]
    conn.execute("SELECT upc.close_trade(%s, 0.5, %s)", (trade, now))
    assert unsettled(conn, now) == expected[1:]


def test_a_trade_is_settled_by_its_own_market(conn: Connection) -> None:
    load(conn, "E", CLOSE, None, None)
    hold(conn, "E-T1")
    later = CLOSE + 2 * DAY
    load(conn, "E", CLOSE, "yes", None, read_at=CLOSE)
    assert unsettled(conn, later) == [("E", CLOSE)]
    load(conn, "E", CLOSE, None, "yes", read_at=CLOSE + SECOND)
    assert unsettled(conn, later) == []


def test_a_trade_whose_market_or_event_is_gone(conn: Connection) -> None:
    load(conn, "E", CLOSE, None, None)
    hold(conn, "E-T1")
    hold(conn, "E-T1")
    later = CLOSE + 2 * DAY
    conn.execute("DELETE FROM upc_data.market_quote WHERE ticker = 'E-T1'")
    assert unsettled(conn, later) == [("E", CLOSE)]
    conn.execute("DELETE FROM upc_data.market_event")
    assert unsettled(conn, later) == [("E", CLOSE)]
    assert unsettled(conn, CLOSE - SECOND) == []


def test_the_close_is_where_the_event_says_now(conn: Connection) -> None:
    load(conn, "E", CLOSE, None)
    hold(conn, "E-T0")
    later = CLOSE + timedelta(minutes=30)
    load(conn, "E", later, None, read_at=CLOSE)
    assert unsettled(conn, CLOSE) == []
    assert unsettled(conn, later) == [("E", later)]
