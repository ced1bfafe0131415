"""Steps of the grid where no event is open: those of the events that were seen last."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from tests.support.engine import Connection
from tests.support.trading import CLOSE, EVENT, LATER, NOW, load_event, put_price, seconds, tick

AFTER = CLOSE + timedelta(minutes=5)
WEEK = timedelta(days=7)


@pytest.fixture(scope="module")
def module_dsn(trading_dsn: str) -> str:
    return trading_dsn


def step_of(conn: Connection, at: datetime, symbol: str = "BTC") -> float:
    found = conn.execute(
        "SELECT s.strike FROM upc.strike_table(100020, symbol => %s, at => %s) AS s ORDER BY 1",
        (symbol, at),
    ).fetchall()
    strikes = [strike for (strike,) in found]
    assert len(strikes) == 21
    [step] = {b - a for a, b in pairwise(strikes)}
    return float(step)


def seen(conn: Connection, step: float, event: str = EVENT, closes_at: datetime = CLOSE) -> None:
    strikes = [100_000 + step * k for k in range(-3, 4)]
    load_event(conn, event, strikes=strikes, closes_at=closes_at)


def forget(conn: Connection) -> None:
    conn.execute("DELETE FROM upc_data.market_event")


def test_the_newest_event_sets_the_step(conn: Connection) -> None:
    forget(conn)
    assert step_of(conn, AFTER) == 250
    seen(conn, 100)
    assert step_of(conn, AFTER) == 100
    seen(conn, 50, LATER, AFTER - timedelta(minutes=1))
    assert step_of(conn, AFTER) == 50
    # What is read later, or closed more than a week ago, says nothing.
    assert step_of(conn, NOW - WEEK) == 250
    assert step_of(conn, AFTER + WEEK) == 250
    # ETH has none, and other kinds have other grids.
    forget(conn)
    seen(conn, 100, "KXBTC15M-X")
    assert step_of(conn, AFTER) == 250
    assert step_of(conn, AFTER, "ETH") == 20


def test_a_daily_event_does_not_set_the_step_of_the_hours(conn: Connection) -> None:
    """Its strikes are further apart. Where nothing else was seen they are better than none."""
    forget(conn)
    seen(conn, 1000, LATER, CLOSE + timedelta(hours=6))
    assert step_of(conn, AFTER) == 1000
    seen(conn, 100)
    assert step_of(conn, AFTER) == 100


def test_a_daily_event_is_outnumbered(conn: Connection) -> None:
    """Its grid is wider; before its last hour it counts only where there is no other."""
    forget(conn)
    hour = timedelta(hours=1)
    seen(conn, 1000, "KXBTCD-DAILY", CLOSE + 6 * hour)
    for k in range(3):
        seen(conn, 100, f"KXBTCD-{k}", CLOSE + k * hour)
    assert step_of(conn, CLOSE + 4 * hour) == 100
    assert step_of(conn, CLOSE + 6 * hour) == 100
    # A grid that has changed is followed once most of the newest six have it.
    for k in range(7, 11):
        seen(conn, 50, f"KXBTCD-{k}", CLOSE + k * hour)
        assert step_of(conn, CLOSE + k * hour) == (100 if k < 9 else 50)


def test_a_step_that_somebody_has_set_stays(conn: Connection) -> None:
    forget(conn)
    seen(conn, 100)
    conn.execute("UPDATE upc_data.symbol SET strike_step = 500 WHERE symbol = 'BTC'")
    assert step_of(conn, AFTER) == 500
    found = conn.execute(
        "SELECT max(s.strike) - min(s.strike) FROM upc.strike_table(100020, step => 75, at => %s)"
        " AS s",
        (AFTER,),
    ).fetchone()
    assert found == (1500,)


def test_an_event_of_one_strike_says_nothing(conn: Connection) -> None:
    forget(conn)
    load_event(conn, strikes=[100_000])
    assert step_of(conn, AFTER) == 250


def test_ticks_follow(conn: Connection) -> None:
    forget(conn)
    seen(conn, 100)
    put_price(conn, 100_020, AFTER)
    row = tick(conn, AFTER)
    assert '"strike_tier" : 100' in row["strike_table"]
    put_price(conn, 100_021, NOW - WEEK)
    row = tick(conn, NOW - WEEK + seconds(1))
    assert '"strike_tier" : 250' in row["strike_table"]


def test_compute_strikes_keeps_the_symbols_own(conn: Connection) -> None:
    forget(conn)
    seen(conn, 100)
    found = conn.execute("SELECT max(strike) - min(strike) FROM upc.compute_strikes(100020)")
    assert found.fetchone() == (5000,)
