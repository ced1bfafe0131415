"""Forecasts, counts and curves of the volatility model beyond an hour."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.support.brute_force import weight
from tests.support.candle_changes import write_candles
from tests.support.engine import (
    Connection,
    assert_equal_counts,
    build,
    minute,
    open_db,
    put,
    scalar,
)
from tests.support.readings import table
from tests.support.volatile_candles import (
    expected_long_counts,
    stored_candles,
    stored_fit,
    stored_long_counts,
    volatile_candles,
)
from tests.support.volatility_reference import LONG

# The year ends on the third day.
HISTORY = volatile_candles(300, "2025-12-29T18:00", 4 * 1440)


@pytest.fixture(scope="module")
def filled(module_dsn: str) -> str:
    with open_db(module_dsn) as conn:
        put(conn, "BTC", HISTORY)
        build(conn)
    return module_dsn


@pytest.fixture
def conn(filled: str) -> Iterator[Connection]:
    with open_db(filled, autocommit=False) as conn:
        yield conn
        conn.rollback()


def independent(minutes: int) -> float:
    """As how many starts every quarter of an hour one that is independent counts."""
    apart = np.arange(15, minutes, 15)
    return float(1 + 2 * (2 / np.pi * np.arcsin(1 - apart / minutes)).sum())


def test_independent_starts() -> None:
    assert independent(75) == pytest.approx(3.78, abs=0.005)
    assert independent(1440) == pytest.approx(69.81, abs=0.005)


def test_counts_and_curves(conn: Connection) -> None:
    """Each start on its own UTC day, each year with its weight."""
    counts = expected_long_counts(stored_candles(conn), stored_fit(conn))
    days = {day for day, _, _ in counts}
    assert len(days) == 4
    assert_equal_counts(stored_long_counts(conn), counts)
    found = {row["minutes"]: row for row in table(conn, "SELECT * FROM upc.horizon_curve")}
    assert tuple(sorted(found)) == LONG
    new_year = minute("2026-01-01") // 1440
    for minutes, row in found.items():
        cells = [
            (weight(2025 + (day >= new_year), 2026), cell)
            for (day, _, distance), cell in counts.items()
            if distance == minutes
        ]
        total = sum(each * cell.pairs for each, cell in cells)
        size = total**2 / sum(each**2 * cell.pairs for each, cell in cells)
        for side in ("positive", "negative"):
            expected = 100 * sum(each * getattr(cell, side) for each, cell in cells) / total
            np.testing.assert_allclose(row[side], expected, rtol=1e-12)
        assert row["sample_size"] == sum(cell.pairs for _, cell in cells)
        assert row["weighted_size"] == pytest.approx(size, rel=1e-12)
        assert row["effective_size"] == pytest.approx(max(1, size / independent(minutes)))
        assert row["fingerprint"] == "btc_volatility_beyond_hour"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE upc_data.candle SET close = low WHERE opened_at = '2026-01-01 11:59+00'",
        pytest.param(
            "DELETE FROM upc_data.candle WHERE opened_at = '2025-12-31 23:59+00'",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_candle_that_changes(conn: Connection, change: str) -> None:
    """It is the end of starts of the day before, and known to those of all days after."""
    write_candles(conn, change)
    before = stored_long_counts(conn)
    build(conn)
    found = stored_long_counts(conn)
    assert found.keys() == before.keys()
    assert_equal_counts(found, expected_long_counts(stored_candles(conn), stored_fit(conn)))
    assert any((found[key].positive != before[key].positive).any() for key in found)


def test_curves_that_are_gone_are_missed(conn: Connection) -> None:
    """As a restore that was not completed leaves them; a refresh makes them again."""
    missing = "SELECT upc.unpublished_part('BTC')"
    rows = "SELECT array_agg(c::text ORDER BY c.minutes) FROM upc.horizon_curve AS c"
    before = scalar(conn, rows)
    assert scalar(conn, missing) is None
    conn.execute("DELETE FROM upc_data.horizon_curve")
    assert scalar(conn, missing) == "upc.horizon_curve"
    conn.execute("SELECT upc.refresh_fingerprints('BTC')")
    assert scalar(conn, missing) is None
    assert scalar(conn, rows) == before


@pytest.mark.slow
def test_a_day_more(conn: Connection) -> None:
    """Of starts that had no end the pairs come with it."""
    before = stored_long_counts(conn)
    put(conn, "BTC", volatile_candles(301, "2026-01-02T18:00", 400))
    build(conn)
    found = stored_long_counts(conn)
    assert_equal_counts(found, expected_long_counts(stored_candles(conn), stored_fit(conn)))
    newest = max(day for day, _, _ in before)
    assert all(
        found[newest - 1, 99, minutes].pairs >= before[newest - 1, 99, minutes].pairs
        for minutes in LONG
    )
    assert found[newest - 1, 99, 1440].pairs > before[newest - 1, 99, 1440].pairs


def test_drift_of_an_hour_counts_beyond_it(conn: Connection) -> None:
    query = (
        "SELECT prob_high - prob_low FROM upc.probability_between(%s, %s, NULL, "
        "ttc_seconds => 14400, model => 'volatility', method => 'linear')"
    )
    price = float(HISTORY.closes[-1])
    drift = [0.02] * 60
    conn.execute("DELETE FROM upc_data.volatility_drift")
    before = scalar(conn, query, price, 1.003 * price)
    conn.execute(
        "INSERT INTO upc_data.volatility_drift (symbol, minutes, months, positive, negative) "
        "VALUES ('BTC', 60, 12, %s, %s)",
        (drift, drift),
    )
    assert scalar(conn, query, price, 1.003 * price) > before + 1


@pytest.mark.parametrize("length", [1500, 1700])
def test_two_days_are_too_few(conn: Connection, length: int) -> None:
    """No curve is made up of what has no day after it."""
    put(conn, "ETH", volatile_candles(302, "2026-01-05", length))
    build(conn, "ETH")
    fit = "SELECT cardinality(coefficients) FROM upc_data.volatility_fit WHERE symbol = 'ETH'"
    assert scalar(conn, fit) == 176
    assert scalar(conn, "SELECT count(*) FROM upc.horizon_curve WHERE symbol = 'ETH'") == 0
    [row] = table(
        conn,
        "SELECT * FROM upc.probability_between(40000, 40100, NULL, symbol => 'ETH', "
        "ttc_seconds => 7200, model => 'volatility')",
    )
    assert (row["used_model"], row["reason"]) == ("volatility_60m", None)
    assert row["deviation"] == pytest.approx(
        scalar(conn, "SELECT upc.volatility('ETH')") * np.sqrt(2), rel=1e-12
    )
