"""Realised variances of minutes, against a computation second by second in Decimal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from tests.support.engine import Connection, scalar
from tests.support.trading import table

START = datetime(2026, 6, 1, 23, 50, tzinfo=UTC)
LATER = START + timedelta(days=1)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)

Prices = list[tuple[datetime, float]]


@pytest.fixture
def conn(db: Connection) -> Connection:
    return db


def put(conn: Connection, prices: Prices, symbol: str = "BTC", exchange: str = "x") -> None:
    conn.cursor().executemany(
        "INSERT INTO upc_data.price VALUES (%s, %s, %s, %s, NULL)",
        [(symbol, exchange, at, price) for at, price in prices],
    )


def brute_force(prices: Prices) -> dict[datetime, tuple[float, int]]:
    """Variance and seconds by minute: every second is looked up by itself."""
    seconds: dict[datetime, float] = {}
    for at, price in sorted(prices):
        seconds[at.replace(microsecond=0)] = price
    found: dict[datetime, tuple[float, int]] = {}
    for at, price in seconds.items():
        minute = at.replace(second=0)
        total, count = found.get(minute, (0.0, 0))
        before = next(
            (seconds[at - k * SECOND] for k in range(1, 6) if at - k * SECOND in seconds), None
        )
        step = 0.0 if before is None else float((Decimal(price).ln() - Decimal(before).ln()) ** 2)
        found[minute] = (total + step, count + 1)
    return found


def steps_of(prices: Prices) -> dict[datetime, list[float | None]]:
    """Log returns by minute, one a second with a price; None where there is no second before."""
    seconds: dict[datetime, float] = {}
    for at, price in sorted(prices):
        seconds[at.replace(microsecond=0)] = price
    found: dict[datetime, list[float | None]] = {}
    for at, price in seconds.items():
        before = next(
            (seconds[at - k * SECOND] for k in range(1, 6) if at - k * SECOND in seconds), None
        )
        step = None if before is None else float(Decimal(price).ln() - Decimal(before).ln())
        found.setdefault(at.replace(second=0), []).append(step)
    return found


def cut_by_hand(prices: Prices) -> dict[datetime, float]:
    """Robust variances by minute: squares of at most 25 times their mean of 15 minutes."""
    steps = steps_of(prices)
    found = {}
    for minute, own in steps.items():
        near = [step for k in range(15) for step in steps.get(minute - k * MINUTE, [])]
        level = sum(step**2 for step in near if step is not None) / len(near)
        found[minute] = sum(min(step**2, 25 * level) for step in own if step is not None)
    return found


def robust(
    conn: Connection, symbol: str = "BTC", exchange: str = "x"
) -> dict[datetime, float | None]:
    rows = table(
        conn,
        "SELECT minute_at, robust_variance FROM upc_data.minute_variance"
        " WHERE symbol = %s AND exchange = %s",
        (symbol, exchange),
    )
    return {row["minute_at"]: row["robust_variance"] for row in rows}


def noted(
    conn: Connection, symbol: str = "BTC", exchange: str = "x"
) -> dict[datetime, tuple[float, int]]:
    rows = table(
        conn,
        "SELECT minute_at, variance, seconds FROM upc_data.minute_variance"
        " WHERE symbol = %s AND exchange = %s",
        (symbol, exchange),
    )
    return {row["minute_at"]: (row["variance"], row["seconds"]) for row in rows}


def note(conn: Connection, at: datetime = LATER, most: int | None = None) -> int:
    return int(scalar(conn, "SELECT upc.note_variances(%s, %s)", at, most))


def same(a: dict[datetime, tuple[float, int]], b: dict[datetime, tuple[float, int]]) -> bool:
    return {k: v[1] for k, v in a.items()} == {k: v[1] for k, v in b.items()} and all(
        a[k][0] == pytest.approx(b[k][0], rel=1e-9, abs=1e-18) for k in a
    )


def walk(seed: int, seconds: int, gaps: float = 0.2) -> Prices:
    """About a price a second, some seconds with several and some with none."""
    rng = np.random.default_rng(seed)
    prices: Prices = []
    price = 1e5
    at = START
    for _ in range(seconds):
        price *= float(np.exp(rng.normal(0, 1e-4)))
        prices.append((at, price))
        far = rng.random() < gaps / 4
        step = rng.integers(4_000_000, 9_000_000) if far else rng.integers(200_000, 1_900_000)
        at += timedelta(microseconds=int(step))
    return prices


@pytest.mark.parametrize("most", [1, 100, None])
def test_brute_force(conn: Connection, most: int | None) -> None:
    """Over midnight, with gaps of all lengths, two exchanges and two symbols; in slices, too."""
    prices = {("BTC", "x"): walk(1, 900), ("BTC", "y"): walk(2, 300), ("ETH", "x"): walk(3, 500)}
    for (symbol, exchange), each in prices.items():
        put(conn, each, symbol, exchange)
    while note(conn, most=most):
        pass
    for (symbol, exchange), each in prices.items():
        assert same(noted(conn, symbol, exchange), brute_force(each))
        cut = robust(conn, symbol, exchange)
        assert cut == pytest.approx(cut_by_hand(each), rel=1e-9, abs=1e-18)
    assert note(conn, most=most) == 0


def test_by_hand(conn: Connection) -> None:
    prices = [
        (START - SECOND, 100.0),
        (START, 101.0),
        # The last one of a second counts.
        (START + 0.2 * SECOND, 102.0),
        # 5 s are bridged and 6 are not.
        (START + 5 * SECOND, 103.0),
        (START + 11 * SECOND, 200.0),
    ]
    put(conn, prices)
    assert note(conn) == 2
    expected = np.log(102 / 100) ** 2 + np.log(103 / 102) ** 2
    variance, seconds = noted(conn)[START]
    assert variance == pytest.approx(expected)
    assert seconds == 3
    assert noted(conn)[START - MINUTE] == (0, 1)


@pytest.mark.parametrize("most", [1, None])
def test_a_jump_is_cut(conn: Connection, most: int | None) -> None:
    """A flash print there and back in the last minute of 20, at 50 times the usual step."""
    prices = walk(5, 1200, gaps=0)
    at, price = prices[1150]
    prices[1150] = (at, price * np.exp(0.005))
    put(conn, prices)
    while note(conn, most=most):
        pass
    minute = at.replace(second=0, microsecond=0)
    cut, plain = robust(conn), noted(conn)
    assert cut == pytest.approx(cut_by_hand(prices), rel=1e-9)
    # Two squares of 900: each counts for a ninth of the sum at the most.
    assert plain[minute][0] > 50 * 60 * 1e-8
    assert (cut[minute] or 1) < plain[minute][0] / 10
    before = minute - MINUTE
    assert cut[before] == pytest.approx(plain[before][0], rel=1e-9)


def test_a_price_that_stands_still_has_no_variance(conn: Connection) -> None:
    put(conn, [(START + k * SECOND, 100.0) for k in range(120)])
    assert note(conn) == 2
    assert robust(conn) == {START: 0, START + MINUTE: 0}


def test_minutes_that_were_noted_before_count_as_they_were(conn: Connection) -> None:
    """A clock was put back: the log has a minute again, with other prices."""
    prices = walk(6, 300, gaps=0)
    put(conn, prices)
    note(conn)
    before = robust(conn)
    conn.execute("UPDATE upc_data.log_progress SET variance_until = '-infinity'")
    put(conn, [(START + 0.7 * SECOND, 1.0)])
    assert note(conn) == 0
    assert robust(conn) == before


def test_a_minute_is_noted_once_it_is_over(conn: Connection) -> None:
    put(conn, [(START + k * SECOND, 100.0 + k) for k in range(90)])
    assert note(conn, START + MINUTE + 14.9 * SECOND) == 0
    assert note(conn, START + MINUTE + 15 * SECOND) == 1
    assert note(conn, START + MINUTE + 15 * SECOND) == 0
    before = noted(conn)
    # One that comes in later changes nothing any more.
    put(conn, [(START + 10.5 * SECOND, 500.0)])
    assert note(conn, LATER) == 1
    assert noted(conn)[START] == before[START]
    assert noted(conn)[START + MINUTE][1] == 30


def test_a_clock_that_is_ahead_skips_nothing(conn: Connection) -> None:
    put(conn, [(START + k * SECOND, 100.0 + k) for k in range(60)])
    assert note(conn, LATER + timedelta(days=400)) == 1
    put(conn, [(START + MINUTE + k * SECOND, 100.0 + k) for k in range(60)])
    assert note(conn, LATER) == 1
    assert set(noted(conn)) == {START, START + MINUTE}


def test_no_price_is_no_row(conn: Connection) -> None:
    assert note(conn) == 0
    assert scalar(conn, "SELECT count(*) FROM upc_data.minute_variance") == 0


def test_prices_are_deleted_after_their_variance_is_noted(conn: Connection) -> None:
    prices = walk(4, 200)
    put(conn, prices)
    at = START + timedelta(days=60)
    deleted = scalar(conn, "SELECT prices FROM upc.delete_expired(5000, %s)", at)
    assert deleted == len(prices)
    assert same(noted(conn), brute_force(prices))
