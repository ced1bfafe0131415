"""Feeds: how old a price may be, what a replay shows, and what is made up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray

from tests.support.engine import Candles, Connection, instant, minute, open_db, put, scalar, walk

MIDNIGHT = instant("2026-03-02T00:00")
END = instant("2026-03-03T02:00")
CLOSES = walk(100, "2026-03-02", 26 * 60)
HISTORY = Candles(
    CLOSES.minutes, CLOSES.closes + 1, CLOSES.closes + 5, CLOSES.closes - 7, CLOSES.closes
)
# Missing: 06:10 to 06:19.
GAP = minute("2026-03-02T06:10")


@pytest.fixture(scope="module")
def stored(module_dsn: str) -> str:
    with open_db(module_dsn) as connection:
        is_there = (HISTORY.minutes < GAP) | (HISTORY.minutes >= GAP + 10)
        put(connection, "BTC", HISTORY.where(is_there))
        connection.execute("CREATE SCHEMA made_up")
        connection.execute(
            "CREATE TABLE made_up.week AS SELECT * FROM upc.simulated_candles("
            "'BTC', '2026-01-05 00:00+00', '2026-01-12 00:00+00', seed => 5)"
        )
    return module_dsn


@pytest.fixture
def conn(conn: Connection, stored: str) -> Connection:
    return conn


@pytest.mark.parametrize(
    ("age", "state"),
    [
        ("-1 second", "fresh"),
        ("0", "fresh"),
        ("15 seconds", "fresh"),
        ("15.000001 seconds", "warn"),
        ("30 seconds", "warn"),
        ("30.000001 seconds", "stale"),
        ("60 seconds", "stale"),
        ("60.000001 seconds", "halted"),
        ("1 day", "halted"),
        (None, "halted"),
    ],
)
def test_freshness(conn: Connection, age: str | None, state: str) -> None:
    assert scalar(conn, "SELECT upc.freshness(%s::interval)", age) == state


def candle_at(at: datetime) -> int:
    return int((at - MIDNIGHT) // timedelta(minutes=1))


def replayed(conn: Connection, at: datetime) -> tuple[float | None, datetime | None]:
    [(price, priced_at)] = conn.execute(
        "SELECT price, priced_at FROM upc.replay_price('BTC', %s)", (at,)
    ).fetchall()
    return price, priced_at


@pytest.mark.parametrize(
    ("seconds", "column"),
    [
        *[(0, "opens"), (14.999999, "opens"), (15, "lows"), (29.999999, "lows")],
        *[(30, "highs"), (44.999999, "highs"), (45, "closes"), (59.999999, "closes")],
    ],
)
def test_replayed_prices_of_a_minute(conn: Connection, seconds: float, column: str) -> None:
    for minutes in (0, 1, 777, 26 * 60 - 1):
        at = MIDNIGHT + timedelta(minutes=minutes, seconds=seconds)
        assert replayed(conn, at) == (getattr(HISTORY, column)[minutes], at)


def test_replayed_prices_in_a_gap(conn: Connection) -> None:
    """The last close, with the time at which it was one."""
    closed_at = instant("2026-03-02T06:10")
    close = HISTORY.closes[candle_at(closed_at) - 1]
    for seconds in (0, 0.5, 61, 599.9):
        assert replayed(conn, closed_at + timedelta(seconds=seconds)) == (close, closed_at)
    at = closed_at + timedelta(seconds=600)
    assert replayed(conn, at) == (HISTORY.opens[candle_at(at)], at)


def test_replayed_prices_outside_the_history(conn: Connection) -> None:
    assert replayed(conn, MIDNIGHT - timedelta(seconds=1)) == (None, None)
    assert replayed(conn, END + timedelta(days=3)) == (HISTORY.closes[-1], END)


@pytest.mark.parametrize(
    ("now", "start"),
    [
        ("2026-03-03T01:59:59", "2026-03-03T01:59:59"),
        ("2026-03-02T13:14:15", "2026-03-02T13:14:15"),
        ("2026-03-03T02:00:00", "2026-03-03T01:00:00"),
        ("2026-03-03T02:00:01", "2026-03-03T01:00:01"),
        ("2026-03-03T02:59:59", "2026-03-03T01:59:59"),
        ("2026-03-03T03:00:00", "2026-03-03T01:00:00"),
        ("2026-11-22T17:43:21.5", "2026-03-03T01:43:21.5"),
    ],
)
def test_replay_starts_at_the_same_minute_of_the_latest_hour(
    conn: Connection, now: str, start: str
) -> None:
    query = "SELECT upc.replay_start('BTC', %s)"
    assert scalar(conn, query, instant(now)) == instant(start)


@pytest.mark.parametrize(
    ("replay_from", "elapsed", "shown"),
    [
        ("2026-03-03T01:10:05", 0, "2026-03-03T01:10:05"),
        ("2026-03-03T01:10:05", 49 * 60 + 54, "2026-03-03T01:59:59"),
        ("2026-03-03T01:10:05", 49 * 60 + 55, "2026-03-02T02:00:00"),
        ("2026-03-03T01:10:05", 24 * 3600, "2026-03-03T01:10:05"),
        ("2026-03-02T00:00:00", 26 * 3600, "2026-03-02T02:00:00"),
        ("2026-03-02T00:00:00", 10 * 86_400 + 3600, "2026-03-03T01:00:00"),
    ],
)
def test_replay_begins_the_last_day_again(
    conn: Connection, replay_from: str, elapsed: float, shown: str
) -> None:
    query = "SELECT upc._replay_instant('BTC', %s, %s)"
    found = scalar(conn, query, instant(replay_from), timedelta(seconds=elapsed))
    assert found == instant(shown)


def test_a_short_history_wraps_by_whole_hours(conn: Connection) -> None:
    put(conn, "ETH", walk(101, "2026-03-02T10:00", 150))
    query = "SELECT upc._replay_instant('ETH', '2026-03-02 10:15+00', %s)"
    for minutes, shown in ((134, "12:29"), (135, "10:30"), (254, "12:29"), (255, "10:30")):
        found = scalar(conn, query, timedelta(minutes=minutes))
        assert found == instant(f"2026-03-02T{shown}")


@pytest.mark.parametrize(
    ("query", "sqlstate"),
    [
        ("SELECT upc.replay_start('XYZ')", "UP002"),
        ("SELECT upc.replay_start('ETH')", "UP011"),
        ("SELECT upc.replay_start(NULL)", "UP002"),
        ("SELECT upc.simulated_price('XYZ')", "UP002"),
        ("SELECT upc.simulated_price(NULL)", "UP002"),
        ("SELECT upc._refuse_feed('BTC', 'oracle')", "UP010"),
        ("SELECT upc._refuse_feed('BTC', NULL)", "UP010"),
    ],
)
def test_refusals(conn: Connection, query: str, sqlstate: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(query.encode())
    assert caught.value.sqlstate == sqlstate
    assert caught.value.diag.message_detail
    assert caught.value.diag.message_hint


def prices(conn: Connection, symbol: str, seed: int, seconds: int = 37) -> list[float]:
    rows = conn.execute(
        """
        SELECT upc.simulated_price(%s, at, %s)
        FROM generate_series(
            timestamptz '2026-01-04 23:00+00', '2026-01-05 02:00+00', make_interval(secs => %s)
        ) AS at
        """,
        (symbol, seed, seconds),
    )
    return [price for (price,) in rows]


def test_the_same_seed_makes_the_same_prices(conn: Connection) -> None:
    assert prices(conn, "BTC", 1) == prices(conn, "BTC", 1)
    with_default = scalar(conn, "SELECT upc.simulated_price('BTC', '2026-01-04 23:00+00')")
    assert with_default == prices(conn, "BTC", 1)[0]


def test_other_seeds_and_symbols_make_other_prices(conn: Connection) -> None:
    walks = [prices(conn, *source) for source in (("BTC", 1), ("BTC", 2), ("BTC", -1), ("ETH", 1))]
    returns = [np.diff(np.log(each)) for each in walks]
    correlations = np.corrcoef(returns) - np.eye(len(walks))
    assert np.abs(correlations).max() < 0.25
    for centre, each in zip((100_000, 100_000, 100_000, 8000), walks, strict=True):
        assert 0.8 * centre < min(each) < max(each) < 1.25 * centre


def test_prices_are_cents(conn: Connection) -> None:
    found = prices(conn, "ETH", 3, seconds=61)
    assert found == [round(price, 2) for price in found]


def test_candles_are_made_of_the_prices(conn: Connection) -> None:
    """Open and close are prices at instants; high and low those of the quarters of the minute."""
    rows = conn.execute(
        """
        SELECT c.symbol, c.opened_at, c.open, c.high, c.low, c.close, c.volume,
            ARRAY(
                SELECT upc.simulated_price('ETH', c.opened_at + k * interval '15 seconds', 9)
                FROM generate_series(0, 4) AS k
            )
        FROM upc.simulated_candles('ETH', '2026-01-05 23:30+00', '2026-01-06 00:30+00', 9) AS c
        """
    ).fetchall()
    start = instant("2026-01-05T23:30")
    assert sorted(row[1] for row in rows) == [start + timedelta(minutes=k) for k in range(60)]
    for symbol, _, opened, high, low, close, volume, quarters in rows:
        assert symbol == "ETH"
        assert (opened, close) == (quarters[0], quarters[4])
        assert (high, low) == (max(quarters), min(quarters))
        assert volume > 0


@pytest.mark.parametrize(
    ("since", "until", "first", "count"),
    [
        ("00:00:00", "00:03:00", "00:00", 3),
        ("00:00:01", "00:03:59", "00:01", 2),
        ("00:00:00", "00:00:59", None, 0),
        ("00:05:00", "00:05:00", None, 0),
        ("00:05:00", "00:02:00", None, 0),
    ],
)
def test_candles_are_whole_minutes(
    conn: Connection, since: str, until: str, first: str | None, count: int
) -> None:
    day = "2026-01-05T"
    found = conn.execute(
        "SELECT count(*), min(opened_at) FROM upc.simulated_candles('BTC', %s, %s)",
        (instant(day + since), instant(day + until)),
    ).fetchall()
    assert found == [(count, instant(day + first) if first else None)]


def week(conn: Connection) -> NDArray[Any]:
    rows = conn.execute("SELECT open, high, low, close FROM made_up.week ORDER BY opened_at")
    return np.array(rows.fetchall())


def test_a_simulated_week_is_a_market(conn: Connection) -> None:
    table = week(conn)
    assert table.shape == (7 * 1440, 4)
    opens, highs, lows, closes = table.T
    assert np.all(highs >= np.maximum(opens, closes))
    assert np.all(lows <= np.minimum(opens, closes))
    assert np.all(lows > 0)
    np.testing.assert_array_equal(opens[1:], closes[:-1])
    assert 0.0002 < np.diff(np.log(closes)).std() < 0.0015


def test_volatility_clusters(conn: Connection) -> None:
    returns = np.diff(np.log(week(conn)[:, 3]))
    sizes = np.abs(returns)
    for lag in (1, 60):
        assert np.corrcoef(sizes[lag:], sizes[:-lag])[0, 1] > 0.1
    # Sizes cluster, directions do not.
    assert abs(np.corrcoef(returns[1:], returns[:-1])[0, 1]) < 0.1


def test_momentum_of_simulated_prices(conn: Connection) -> None:
    """The candles' own momentum, on a minute."""
    conn.execute(
        "INSERT INTO upc_data.candle SELECT * FROM upc.simulated_candles("
        "'ETH', '2026-01-05 00:00+00', '2026-01-05 02:00+00')"
    )
    [(simulated, stored)] = conn.execute(
        """
        SELECT s::text, m::text
        FROM upc.momentum('ETH', '2026-01-05 01:00+00') AS m
        CROSS JOIN upc._simulated_momentum(
            'ETH', '2026-01-05 01:00+00', upc.simulated_price('ETH', '2026-01-05 01:00+00'), 1
        ) AS s
        """
    ).fetchall()
    assert simulated == stored
    assert "," in simulated.strip("(),")
