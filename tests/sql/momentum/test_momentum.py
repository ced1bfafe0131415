"""Momentum and its deltas against a computation on the candles, minute by minute."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.support.engine import (
    Candles,
    Connection,
    instant,
    open_db,
    put,
    read_candles,
    scalar,
    walk,
)

LAGS = {1: 0.30, 2: 0.25, 3: 0.20, 4: 0.15, 15: 0.05, 30: 0.05}
MOMENTUM = "SELECT * FROM upc.momentum(%s, %s, %s)"
HISTORY = walk(40, "2026-03-01T22:00", 300)
NOON = instant("2026-03-02T00:00")


@pytest.fixture(scope="module")
def history(module_dsn: str) -> Candles:
    with open_db(module_dsn) as connection:
        put(connection, "BTC", HISTORY)
    return HISTORY


@pytest.fixture
def conn(conn: Connection, history: Candles) -> Connection:
    return conn


def expected(
    candles: Candles, at: datetime, price: float | None = None
) -> tuple[float | None, list[float | None]]:
    """Momentum from its definition; closes by the time at which they were known."""
    closes = {
        datetime.fromtimestamp(60 * minutes + 60, UTC): close
        for minutes, close in zip(candles.minutes.tolist(), candles.closes.tolist(), strict=True)
    }
    if price is None:
        price = closes[max(known for known in closes if known <= at)]
    deltas: list[float | None] = []
    for lag in LAGS:
        by = at - timedelta(minutes=lag)
        known = [when for when in closes if by - timedelta(seconds=60) <= when <= by]
        earlier = closes[max(known)] if known else None
        deltas.append(None if earlier is None else 100 * (price - earlier) / earlier)
    given = [delta for delta in deltas if delta is not None]
    if len(given) < len(LAGS):
        return None, deltas
    return 100 * math.fsum(w * d for w, d in zip(LAGS.values(), given, strict=True)), deltas


def assert_momentum(
    conn: Connection,
    candles: Candles,
    at: datetime,
    price: float | None = None,
    symbol: str = "BTC",
) -> float | None:
    momentum, deltas = expected(candles, at, price)
    [(found, *found_deltas)] = conn.execute(MOMENTUM, (symbol, at, price)).fetchall()
    assert found == pytest.approx(momentum, rel=1e-12, abs=1e-9)
    assert found_deltas == [pytest.approx(delta, rel=1e-12, abs=1e-12) for delta in deltas]
    return momentum


@pytest.mark.parametrize("price", [None, 39_999.99, 41_234.5])
@pytest.mark.parametrize("seconds", [0, 0.000001, 15, 59.999999])
def test_momentum_at_an_instant(conn: Connection, price: float | None, seconds: float) -> None:
    for minutes in range(-80, 170, 7):
        at = NOON + timedelta(minutes=minutes, seconds=seconds)
        assert assert_momentum(conn, HISTORY, at, price) is not None


def test_momentum_of_real_candles(conn: Connection, shared_data: Path) -> None:
    candles = read_candles(shared_data / "eth_1m_2024.csv.gz", "2024-08-05T0")
    put(conn, "ETH", candles)
    for minutes in range(31, 600, 23):
        at = datetime.fromtimestamp(60 * int(candles.minutes[minutes]), UTC)
        assert assert_momentum(conn, candles, at, symbol="ETH") is not None


def test_by_hand(conn: Connection) -> None:
    """1 % above each earlier price is 100 basis points, since the weights add up to one."""
    at = instant("2026-06-01T12:00")
    flat_minutes = "SELECT 'ETH', %s - k * interval '1 minute', 200, 200, 200, 200, 0"
    conn.execute(
        f"INSERT INTO upc_data.candle {flat_minutes} FROM generate_series(2, 40) AS k".encode(),
        (at,),
    )
    [row] = conn.execute(MOMENTUM, ("ETH", at, 202.0)).fetchall()
    assert row == (pytest.approx(100, abs=1e-9), *[1.0] * 6)
    [row] = conn.execute(MOMENTUM, ("ETH", at, 199.0)).fetchall()
    assert row == (pytest.approx(-50, abs=1e-9), *[-0.5] * 6)


@pytest.mark.parametrize("lag", LAGS)
def test_a_missing_candle_is_stood_in_for_by_the_minute_before(conn: Connection, lag: int) -> None:
    gap = NOON - timedelta(minutes=lag + 1)
    whole = expected(HISTORY, NOON)
    conn.execute("DELETE FROM upc_data.candle WHERE opened_at = %s", (gap,))
    thinned = HISTORY.where(HISTORY.minutes != int(gap.timestamp()) // 60)
    assert assert_momentum(conn, thinned, NOON, 40_000) is not None
    assert expected(thinned, NOON, 40_000) != expected(HISTORY, NOON, 40_000)
    assert assert_momentum(conn, thinned, NOON) is not None
    assert expected(thinned, NOON) != whole


@pytest.mark.parametrize("lag", LAGS)
def test_two_missing_candles_leave_no_momentum(conn: Connection, lag: int) -> None:
    gaps = [NOON - timedelta(minutes=lag + k) for k in (1, 2)]
    conn.execute("DELETE FROM upc_data.candle WHERE opened_at = ANY (%s)", (gaps,))
    [(momentum, *deltas)] = conn.execute(MOMENTUM, ("BTC", NOON, 40_000)).fetchall()
    assert momentum is None
    assert deltas[list(LAGS).index(lag)] is None


@pytest.mark.parametrize("lag", LAGS)
def test_within_a_minute_one_missing_candle_is_too_many(conn: Connection, lag: int) -> None:
    """The candle before it closed 60 seconds and a half earlier."""
    at = NOON + timedelta(seconds=0.5)
    conn.execute(
        "DELETE FROM upc_data.candle WHERE opened_at = %s", (NOON - timedelta(minutes=lag + 1),)
    )
    [(momentum, *deltas)] = conn.execute(MOMENTUM, ("BTC", at, 40_000)).fetchall()
    assert momentum is None
    assert deltas[list(LAGS).index(lag)] is None


def test_before_and_after_the_history(conn: Connection) -> None:
    for at in ("2026-03-01T21:59", "2026-03-01T22:30", "2026-03-02T04:00", "2030-01-01"):
        [(momentum, *_)] = conn.execute(MOMENTUM, ("BTC", instant(at), 40_000)).fetchall()
        assert momentum is None
    [row] = conn.execute(MOMENTUM, ("ETH", NOON, None)).fetchall()
    assert row == (None,) * 7


def test_default_instant_is_now(conn: Connection) -> None:
    conn.execute(
        "INSERT INTO upc_data.candle SELECT 'ETH', date_bin('1 minute', clock_timestamp(), "
        "'2000-01-01 00:00+00') - k * interval '1 minute', 200, 200, 200, 200, 0 "
        "FROM generate_series(1, 40) AS k"
    )
    [row] = conn.execute("SELECT * FROM upc.momentum('ETH', price => 202)").fetchall()
    assert row == (pytest.approx(100, abs=1e-9), *[1.0] * 6)


@pytest.mark.parametrize(
    ("symbol", "price", "sqlstate"),
    [
        ("XYZ", 100.0, "UP002"),
        ("btc", None, "UP002"),
        ("*", None, "UP002"),
        (None, 100.0, "UP002"),
        ("BTC", 0.0, "UP001"),
        ("BTC", -1.0, "UP001"),
        ("BTC", math.nan, "UP001"),
        ("BTC", math.inf, "UP001"),
        ("BTC", -math.inf, "UP001"),
    ],
)
def test_refusals(conn: Connection, symbol: str | None, price: float | None, sqlstate: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(MOMENTUM, (symbol, NOON, price))
    assert caught.value.sqlstate == sqlstate
    assert caught.value.diag.message_detail
    assert caught.value.diag.message_hint


@pytest.mark.parametrize(
    ("momentum", "bucket"),
    [
        (0.0, 0),
        (0.5, 0),
        (0.5000000001, 1),
        (1.5, 2),
        (2.5, 2),
        (-0.5, 0),
        (-1.5, -2),
        (-2.5, -2),
        (29.5, 30),
        (30.5, 30),
        (-29.5, -30),
        (1e6, 30),
        (-1e6, -30),
        (1e300, 30),
        (-1e300, -30),
        (-26.6, -27),
        (None, None),
    ],
)
def test_bucket(conn: Connection, momentum: float | None, bucket: int | None) -> None:
    assert scalar(conn, "SELECT upc.momentum_bucket(%s)", momentum) == bucket


def test_momentum_is_that_of_the_histogram_on_the_minute(conn: Connection) -> None:
    """The close of the candle that ends at the instant, and the closes before it."""
    at = NOON + timedelta(minutes=1)
    place = HISTORY.minutes.tolist().index(int(NOON.timestamp()) // 60)
    closes = HISTORY.closes
    by_hand = 1e4 * sum(w * (closes[place] / closes[place - k] - 1) for k, w in LAGS.items())
    assert scalar(conn, "SELECT momentum FROM upc.momentum('BTC', %s)", at) == pytest.approx(
        by_hand
    )
