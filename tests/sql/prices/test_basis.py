"""The basis: last minutes beside what Kalshi settled on, as they come to be known; and doctor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest

from pyupc.health.doctor import lease
from tests.support.engine import Connection, instant, open_db, put, scalar
from tests.support.market_quotes import EPOCH, settlement
from tests.support.settlements import MINUTE, put_flat_candle, put_minute, settle, steady
from tests.support.volatile_candles import volatile_candles

START = instant("2026-05-01T00:00")
HOUR = timedelta(hours=1)
CANDLES = volatile_candles(5, "2026-05-01", 2 * 1440)
VALUE = 100_000.0


def basis(conn: Connection, at: datetime) -> dict[str, tuple[Any, ...]]:
    rows = conn.execute("SELECT * FROM upc.basis('BTC', %s)", [at]).fetchall()
    return {row[0]: row[1:] for row in rows}


def assert_basis(found: tuple[Any, ...], shares: list[float]) -> None:
    mean, spread, count = steady(shares)
    assert found[0] == count
    assert found[1] == pytest.approx(10_000 * mean, abs=1e-8)
    assert found[2] == pytest.approx(10_000 * spread, abs=1e-8)


def share_of(bp: float) -> float:
    """The basis of a price of that many points, as it is stored."""
    return VALUE * (1 + bp / 10_000) / VALUE - 1


def put_settled(conn: Connection, hours: range, bps: list[float], source: str = "one") -> None:
    """Hourly closes at which the prices of a source lay above the value by so many points."""
    for hour, bp in zip(hours, bps, strict=True):
        price = VALUE * (1 + bp / 10_000)
        if source == "candles":
            put_flat_candle(conn, START + hour * HOUR, price)
        else:
            put_minute(conn, START + hour * HOUR, [price] * 60, source)
        settle(conn, START + hour * HOUR, VALUE)


def test_the_mean_of_the_last_twelve(conn: Connection) -> None:
    """Of candles, by the average that a candle knows; of those known by the instant."""
    put(conn, "BTC", CANDLES)
    dice = np.random.default_rng(1)
    shares = []
    for hour in range(1, 16):
        closes_at = START + hour * HOUR
        price = settlement(CANDLES, int((closes_at - EPOCH).total_seconds()) // 60)
        value = round(price / (1 + dice.normal(7, 0.5) / 10_000), 2)
        shares.append(price / value - 1)
        # Two series close at once, and settle on the same.
        settle(conn, closes_at, value)
        settle(conn, closes_at, value, series="KXBTC")
    assert basis(conn, START + 12 * HOUR)["candles"] == (11, None, None)
    assert basis(conn, START + 12 * HOUR + MINUTE - timedelta(seconds=1))["candles"][0] == 11
    for hours, known in ((12 * HOUR + MINUTE, 12), (12.5 * HOUR, 12), (15.5 * HOUR, 15)):
        assert_basis(basis(conn, START + hours)["candles"], shares[:known])
    assert 6 < basis(conn, START + 20 * HOUR)["candles"][1] < 8


def test_a_day_later_nothing_is_known(conn: Connection) -> None:
    put_settled(conn, range(1, 16), [3.0] * 15)
    assert basis(conn, START + 27.5 * HOUR)["one"][0] == 12
    assert basis(conn, START + 28.5 * HOUR)["one"] == (11, None, None)
    assert basis(conn, START + 39 * HOUR + MINUTE) == {}


def test_each_source_has_its_own(conn: Connection) -> None:
    """The average of its minute, each price for as long as it was the newest."""
    dice = np.random.default_rng(3)
    shares: dict[str, list[float]] = {"one": [], "two": []}
    for hour in range(1, 15):
        for source, bp in (("one", 2), ("two", -5)):
            prices = VALUE * (1 + (bp + dice.normal(0, 0.4, 60)) / 10_000)
            put_minute(conn, START + hour * HOUR, prices.tolist(), source)
            shares[source].append(float(prices.mean()) / VALUE - 1)
        settle(conn, START + hour * HOUR, VALUE)
    found = basis(conn, START + 15 * HOUR)
    assert found.keys() == {"one", "two"}
    for source, each in shares.items():
        assert_basis(found[source], each)


def test_a_minute_that_was_half_seen_says_nothing(conn: Connection) -> None:
    put_settled(conn, range(1, 13), [1.0] * 12)
    half = [VALUE * 1.0001] * 30
    for hour, known in ((13, half + [VALUE * 1.0001] * 30), (14, half)):
        closes_at = START + hour * HOUR
        conn.execute(
            "INSERT INTO upc_data.price (symbol, exchange, received_at, price)"
            " SELECT 'BTC', 'two', %s + k * interval '1 second', %s"
            " FROM generate_series(0, %s) AS k",
            (closes_at - MINUTE, VALUE * 1.0001, len(known) - 1),
        )
        settle(conn, closes_at, VALUE)
    assert basis(conn, START + 15 * HOUR)["two"] == (1, None, None)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        # Beyond a percent: another one in its place.
        (150.0, [1.0, 2.0, 1.5, 2.5, 1.0, 2.0, 1.5, 2.5, 1.0, 2.0, 1.5, 2.5]),
        # Far from the others: eleven of twelve.
        (40.0, [2.0, 1.5, 2.5, 1.0, 2.0, 1.5, 2.5, 1.0, 2.0, 1.5, 2.5]),
        # 10 times the median distance, 0.5 points, from the median, 2.
        (6.9, [2.0, 1.5, 2.5, 1.0, 2.0, 1.5, 2.5, 6.9, 1.0, 2.0, 1.5, 2.5]),
        (7.1, [2.0, 1.5, 2.5, 1.0, 2.0, 1.5, 2.5, 1.0, 2.0, 1.5, 2.5]),
    ],
)
def test_one_wrong_settlement_moves_nothing(
    conn: Connection, wrong: float, expected: list[float]
) -> None:
    bps = [1.0, 2.0, 1.5, 2.5, 1.0, 2.0, 1.5, 2.5, wrong, 1.0, 2.0, 1.5, 2.5]
    put_settled(conn, range(1, 14), bps)
    settlements, mean, spread = basis(conn, START + 14 * HOUR)["one"]
    assert settlements == len(expected)
    assert mean == pytest.approx(np.mean(expected), abs=1e-6)
    assert spread == pytest.approx(np.std(expected, ddof=1), abs=1e-6)


def test_prices_that_agree_may_differ_by_a_point(conn: Connection) -> None:
    """Where all are the same, the median distance is nothing."""
    put_settled(conn, range(1, 13), [1.0] * 10 + [1.9, 2.1])
    settlements, mean, _ = basis(conn, START + 13 * HOUR)["one"]
    assert (settlements, mean) == (11, pytest.approx((10 * 1.0 + 1.9) / 11, abs=1e-6))


def test_what_is_known_later_changes_nothing_before(conn: Connection) -> None:
    put_settled(conn, range(1, 13), [1.0] * 12)
    closes_at = START + 12.5 * HOUR
    put_minute(conn, closes_at, [VALUE * 1.0009] * 60)
    before = basis(conn, START + 13 * HOUR)
    settle(conn, closes_at, VALUE, read_at=START + 14 * HOUR)
    assert basis(conn, START + 13 * HOUR) == before
    assert basis(conn, START + 14 * HOUR - timedelta(seconds=1)) == before
    assert basis(conn, START + 14 * HOUR)["one"][0] == 11
    # Read again it stays as it was first known.
    settle(conn, closes_at, VALUE + 500, read_at=START + 15 * HOUR, series="KXBTC")
    stored = "SELECT count(*), max(known_at) FROM upc_data.settlement_basis WHERE closes_at = %s"
    assert conn.execute(stored, [closes_at]).fetchone() == (1, START + 14 * HOUR)


def test_a_late_candle_is_taken_with_the_next_settlement(conn: Connection) -> None:
    settle(conn, START + HOUR, VALUE)
    put_flat_candle(conn, START + HOUR, VALUE * 1.0002)
    put_settled(conn, range(2, 3), [3.0], "candles")
    rows = conn.execute(
        "SELECT source, closes_at, known_at, basis FROM upc_data.settlement_basis ORDER BY 2"
    ).fetchall()
    known_at = START + 2 * HOUR + MINUTE
    assert [row[:3] for row in rows] == [
        ("candles", START + HOUR, known_at),
        ("candles", START + 2 * HOUR, known_at),
    ]
    assert [row[3] for row in rows] == pytest.approx([0.0002, 0.0003], abs=1e-12)


@pytest.mark.parametrize(
    ("value", "fields"),
    [(str(VALUE), {"result": "void"}), ("", {"result": ""}), ("0", {}), ("soon", {})],
)
def test_an_event_without_a_value_says_nothing(
    conn: Connection, value: str, fields: dict[str, Any]
) -> None:
    """Called off, not settled yet, and what is no price."""
    put_minute(conn, START + HOUR, [VALUE] * 60)
    settle(conn, START + HOUR, value, **fields)
    assert scalar(conn, "SELECT count(*) FROM upc_data.settlement_basis") == 0


def test_an_unknown_symbol_is_refused(conn: Connection) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT * FROM upc.basis('XYZ')")
    assert caught.value.sqlstate == "UP002"


@pytest.mark.parametrize(("bp", "state"), [(7.0, "warn"), (-7.0, "warn"), (0.5, "ok")])
def test_doctor_warns_of_a_basis(fresh_db: str, bp: float, state: str) -> None:
    """Candles and settlements of the last hours."""
    now = datetime.now(UTC).replace(second=0, microsecond=0) - 2 * MINUTE
    with open_db(fresh_db) as conn:
        assert lease.basis(conn, "BTC").state == "ok"
        for hour in range(13, 0, -1):
            put_flat_candle(conn, now - hour * HOUR, VALUE * (1 + bp / 10_000))
            settle(conn, now - hour * HOUR, VALUE)
        found = lease.basis(conn, "BTC")
        assert found.state == state
        assert f"candles {bp:+.1f} bp" in found.seen
        assert "probabilities allow for it" in found.seen
        conn.execute("SELECT upc.set_rule('use_basis', 'off')")
        found = lease.basis(conn, "BTC")
        assert found.state == state
        assert "probabilities do not allow for it" in found.seen
        if state == "warn":
            assert "pyupc config set use_basis on" in str(found.repair)
