"""Counts of standardised moves: numpy counts the same."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import volatility_reference
from tests.support.engine import (
    Candles,
    Connection,
    assert_equal_counts,
    build,
    flat,
    minute,
    put,
    scalar,
)
from tests.support.volatile_candles import (
    expected_counts,
    expected_fit,
    scaled,
    stored_counts,
    stored_fit,
    volatile_candles,
)

WHOLE = volatile_candles(100, "2025-12-29T23:00", 4 * 1440)  # over a year's end
HOLES = WHOLE.where(
    (WHOLE.minutes < minute("2026-01-01T06:00")) | (WHOLE.minutes % 1440 > 500)
).without(0.01, 101)
STILL = flat(range(minute("2026-01-01"), minute("2026-01-03T02:00")), [100.0] * (2 * 1440 + 120))


def prepared(conn: Connection, candles: Candles) -> None:
    put(conn, "BTC", candles)
    assert scalar(conn, "SELECT upc.prepare_volatility('BTC')")


def test_thresholds(conn: Connection) -> None:
    found = scalar(conn, "SELECT upc.volatility_thresholds()")
    np.testing.assert_allclose(found, volatility_reference.THRESHOLDS, rtol=1e-15)
    assert (found[0], found[1], found[39], found[40], found[59]) == (0, 0.075, 2.925, 3, 40)
    assert sorted(set(found)) == found


@pytest.mark.parametrize("move", [0.0, 0.075, 0.5, 2.925, 3.0, 39.999, 40.0, 1e9, 5e-324])
def test_bins(conn: Connection, move: float) -> None:
    """A move of exactly a threshold reaches it, on both sides."""
    query = "SELECT width_bucket(%s::float8, upc._volatility_bins())"
    up = int(np.searchsorted(volatility_reference.THRESHOLDS, move, side="right"))
    assert scalar(conn, query, move) == (60 if move == 0 else 60 + up)
    assert scalar(conn, query, -move) == (60 if move == 0 else 60 - up)
    assert scalar(conn, query, float("nan")) == 121
    assert scalar(conn, "SELECT cardinality(upc._volatility_bins())") == 121


@pytest.mark.parametrize("candles", [WHOLE, HOLES, STILL], ids=["whole", "holes", "still"])
def test_counts(conn: Connection, candles: Candles) -> None:
    prepared(conn, candles)
    fitted = stored_fit(conn)
    for (days,) in conn.execute("SELECT days FROM upc.volatility_pieces('BTC')").fetchall():
        conn.execute("SELECT upc.count_volatility_days('BTC', %s)", (days,))
    found = stored_counts(conn)
    assert sum(cell.pairs for cell in found.values()) > 40_000
    assert_equal_counts(found, expected_counts(candles, fitted))


def test_standardised_moves_have_a_variance_of_about_one() -> None:
    """A check of the reference itself, which would prove little otherwise."""
    fitted = expected_fit(WHOLE, "2026-01-02")
    assert fitted is not None
    known = volatility_reference.minute_forecasts(*volatility_reference.of(WHOLE), fitted)
    for horizon in (1, 15, 60):
        chosen, moves = volatility_reference.standardised(
            WHOLE.minutes, WHOLE.closes, fitted, known, horizon
        )
        assert 0.7 < moves[chosen].std() < 2


@pytest.mark.slow
def test_pieces_in_any_order_and_any_company(conn: Connection) -> None:
    prepared(conn, HOLES)
    query = "SELECT DISTINCT day FROM upc_data.volatility_change WHERE symbol = 'BTC'"
    days = [day for (day,) in conn.execute(query).fetchall()]
    wanted = expected_counts(HOLES, stored_fit(conn))
    for seed in range(3):
        with conn.transaction(force_rollback=True):
            order = np.random.default_rng(seed).permutation(len(days)).tolist()
            for place in order:
                conn.execute("SELECT upc.count_volatility_days('BTC', ARRAY[%s])", (days[place],))
            # Again: it is counted already.
            conn.execute(
                "SELECT upc.count_volatility_days('BTC', %s)",
                ([day for day in days if day.year == 2026],),
            )
            assert scalar(conn, "SELECT count(*) FROM upc_data.volatility_change") == 0
            assert_equal_counts(stored_counts(conn), wanted)


def test_windows_without_candles_count_nothing(conn: Connection) -> None:
    prepared(conn, WHOLE)
    conn.execute("SELECT upc.count_volatility_days('BTC', '{2026-02-01, 2026-02-02}')")
    assert stored_counts(conn) == {}
    assert scalar(conn, "SELECT count(*) FROM upc_data.volatility_day") == 0
    found = conn.execute(
        """
        SELECT m.* FROM upc_data.volatility_fit AS f, upc._count_standardised_moves(
            '{2026-02-01}', array_fill('NaN'::float8, '{1530}'),
            array_fill((-32768)::smallint, '{5760}'), f.factors
        ) AS m
        """
    ).fetchall()
    assert found == []


def test_some_horizons(conn: Connection) -> None:
    """Other horizons are left out; the counts of these are the same."""
    prepared(conn, WHOLE)
    query = """
        SELECT m.bucket, m.minutes, m.pairs, m.positive, m.negative
        FROM upc_data.volatility_fit AS f, upc._count_standardised_moves(
            '{2025-12-31}', upc._candle_window('BTC', '2025-12-31'),
            (
                SELECT d.forecasts
                FROM upc._day_forecasts('BTC', '{2025-12-31}', f.factors, f.coefficients) AS d
            ),
            f.factors, %s
        ) AS m
        ORDER BY m.bucket, m.minutes
    """
    all_of_them = conn.execute(query, (None,)).fetchall()
    some = conn.execute(query, ([7, 60],)).fetchall()
    assert some
    assert some == [row for row in all_of_them if row[1] in (7, 60)]


@pytest.mark.slow
def test_the_unit_of_prices_does_not_matter(conn: Connection) -> None:
    put(conn, "BTC", WHOLE)
    put(conn, "ETH", scaled(WHOLE, 1 / 1024))
    for symbol in ("BTC", "ETH"):
        build(conn, symbol)
    assert_equal_counts(stored_counts(conn, "ETH"), stored_counts(conn))
