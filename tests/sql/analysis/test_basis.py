"""upc.basis: prices beside what Kalshi settled on, against numpy; and what doctor says of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest

from pyupc.health.doctor import lease
from tests.support.engine import Connection, open_db, put
from tests.support.market_quotes import EPOCH, settlement
from tests.support.volatile_candles import volatile_candles

START = datetime(2026, 5, 1, tzinfo=UTC)
CANDLES = volatile_candles(5, "2026-05-01", 2 * 1440)


@pytest.fixture
def conn(fresh_db: str) -> Iterator[Connection]:
    with open_db(fresh_db) as conn:
        put(conn, "BTC", CANDLES)
        yield conn


def settle(conn: Connection, hours: int, bp: float, seed: int = 1) -> dict[datetime, float]:
    """Hourly settlements around `bp` below the candles; by close."""
    dice = np.random.default_rng(seed)
    values = {}
    for hour in range(1, hours + 1):
        closes_at = START + timedelta(hours=hour)
        minute = int((closes_at - EPOCH).total_seconds()) // 60
        value = round(settlement(CANDLES, minute) / (1 + dice.normal(bp, 0.5) / 10_000), 2)
        values[closes_at] = value
        # Two series close at once, and settle on the same.
        for series in ("KXBTCD", "KXBTC"):
            conn.execute(
                "INSERT INTO upc_data.market_event (symbol, event_ticker, series_ticker, closes_at,"
                " read_at, expiration_value) VALUES ('BTC', %s, %s, %s, %s, %s)",
                [f"{series}-{hour}", series, closes_at, closes_at, value],
            )
    return values


def basis(conn: Connection, at: datetime) -> dict[str, tuple[Any, ...]]:
    rows = conn.execute("SELECT * FROM upc.basis('BTC', %s)", [at]).fetchall()
    return {row[0]: row[1:] for row in rows}


def of_candles(values: dict[datetime, float], at: datetime) -> list[float]:
    known = [each for each in sorted(values) if each <= at - timedelta(minutes=1)][-12:]
    return [
        10_000 * (settlement(CANDLES, int((each - EPOCH).total_seconds()) // 60) / values[each] - 1)
        for each in known
    ]


@pytest.mark.parametrize("hours", [12, 12.5, 15, 20.01, 20.03])
def test_the_mean_of_the_last_twelve(conn: Connection, hours: float) -> None:
    values = settle(conn, 22, 7)
    at = START + timedelta(hours=hours)
    expected = of_candles(values, at)
    settlements, mean, spread = basis(conn, at)["candles"]
    assert settlements == len(expected)
    if settlements < 12:
        assert (mean, spread) == (None, None)
        return
    assert mean == pytest.approx(np.mean(expected), abs=1e-8)
    assert spread == pytest.approx(np.std(expected, ddof=1), abs=1e-8)
    assert 6 < mean < 8


def test_a_day_later_nothing_is_known(conn: Connection) -> None:
    settle(conn, 15, 7)
    assert basis(conn, START + timedelta(hours=15 + 24, minutes=1)) == {}
    # Twelve of them are less than a day old.
    assert basis(conn, START + timedelta(hours=27, minutes=30))["candles"][0] == 12


def test_logged_prices_have_a_basis_of_their_own(conn: Connection) -> None:
    """Of minutes in which half of the seconds have a price."""
    values = settle(conn, 14, 7)
    expected = []
    for number, (closes_at, value) in enumerate(sorted(values.items())):
        seconds = range(60) if number != 5 else range(29)
        prices = [round(value * (1 - 0.00006) + 0.01 * (k - 30), 2) for k in seconds]
        for k, price in zip(seconds, prices, strict=True):
            conn.execute(
                "INSERT INTO upc_data.price (symbol, exchange, received_at, price)"
                " VALUES ('BTC', 'coinbase', %s, %s)",
                [closes_at - timedelta(seconds=60 - k), price],
            )
        if number != 5:
            expected.append(10_000 * (np.mean(prices) / value - 1))
    found = basis(conn, START + timedelta(hours=14, minutes=5))
    assert found.keys() == {"candles", "coinbase"}
    settlements, mean, spread = found["coinbase"]
    assert settlements == 12
    assert mean == pytest.approx(np.mean(expected[-12:]), abs=1e-8)
    assert spread == pytest.approx(np.std(expected[-12:], ddof=1), abs=1e-8)


def test_an_unknown_symbol_is_refused(conn: Connection) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT * FROM upc.basis('XYZ')")
    assert caught.value.sqlstate == "UP002"


@pytest.mark.parametrize(("bp", "state"), [(7.0, "warn"), (-7.0, "warn"), (0.5, "ok")])
def test_doctor_warns_of_a_basis(fresh_db: str, bp: float, state: str) -> None:
    """Candles and settlements of the last hours."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    with open_db(fresh_db) as conn:
        assert lease.basis(conn, "BTC").state == "ok"
        for hour in range(1, 14):
            closes_at = now - timedelta(hours=hour)
            conn.execute(
                "INSERT INTO upc_data.candle VALUES ('BTC', %s, 100, 100, 100, 100, 0)",
                [closes_at - timedelta(minutes=1)],
            )
            conn.execute(
                "INSERT INTO upc_data.market_event (symbol, event_ticker, series_ticker,"
                " closes_at, read_at, expiration_value) VALUES ('BTC', %s, 'KXBTCD', %s, %s, %s)",
                [f"KXBTCD-{hour}", closes_at, closes_at, 100 / (1 + bp / 10_000)],
            )
        found = lease.basis(conn, "BTC")
    assert found.state == state
    assert f"candles {bp:+.1f} bp" in found.seen
