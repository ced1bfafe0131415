"""Drift: counts of months, what they add to intervals, and the intervals of strikes and bounds."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support import volatility_reference
from tests.support.brute_force import BASELINE, Cell
from tests.support.candle_changes import write_candles
from tests.support.engine import Connection, build, put, scalar
from tests.support.readings import Floats, column, strikes, table
from tests.support.volatile_candles import (
    everything,
    stored_candles,
    stored_fit,
    volatile_candles,
)
from tests.support.volatility_reference import Fit, cell

Months = dict[tuple[str, int], Cell]

PRICE = 40_000.0
# Two months in two years, neither of them whole.
BUILT = {"BTC": volatile_candles(310, "2025-12-29T06:00", 6 * 1440)}
STRIKES = PRICE * (1 + np.linspace(-0.012, 0.012, 25))
Z2 = 1.959963984540054**2


def month_of(minutes: NDArray[np.int64]) -> NDArray[np.str_]:
    return (minutes * 60).astype("datetime64[s]").astype("datetime64[M]").astype(str)


def expected_months(conn: Connection, fitted: Fit) -> Months:
    """By brute force: the moves of every other starting minute, whatever the momentum."""
    minutes, highs, lows, closes, volumes = volatility_reference.of(stored_candles(conn))
    known = volatility_reference.minute_forecasts(minutes, highs, lows, closes, volumes, fitted)
    months = month_of(minutes)
    found = {}
    for horizon in range(1, 61):
        chosen, moves = volatility_reference.standardised(minutes, closes, fitted, known, horizon)
        chosen &= minutes % 2 == 0
        for month in np.unique(months[chosen]):
            found[str(month), horizon] = cell(moves[chosen & (months == month)])
    return found


def stored_months(conn: Connection) -> Months:
    rows = conn.execute(
        "SELECT to_char(month, 'YYYY-MM'), minutes, pairs, positive, negative "
        "FROM upc_data.volatility_month WHERE symbol = 'BTC'"
    )
    return {
        (month, minutes): Cell(pairs, np.array(positive), np.array(negative))
        for month, minutes, pairs, positive, negative in rows
    }


def assert_same(found: Months, expected: Months) -> None:
    assert found.keys() == expected.keys()
    for key, one in expected.items():
        assert found[key].pairs == one.pairs
        np.testing.assert_array_equal(found[key].positive, one.positive)
        np.testing.assert_array_equal(found[key].negative, one.negative)


def expected_drift(months: Months, minutes: int, side: str, ahead: float) -> Floats:
    """From the formula in docs/models.md, a threshold at a time."""
    cells = [(key[0], one) for key, one in sorted(months.items()) if key[1] == minutes]
    newest = max(int(month[:4]) for month, _ in cells)
    years = np.array([max(1, 5 - newest + int(month[:4])) for month, _ in cells])
    pairs = np.array([one.pairs for _, one in cells])
    weights = years * pairs / np.sum(years * pairs)
    count = 1 / np.sum(weights**2)
    spreads: list[float] = []
    drift = 0.0
    for k in range(60):
        share = np.array([getattr(one, side)[k] / one.pairs for _, one in cells])
        mean = np.sum(weights * share)
        if 0 < mean < 1:
            variance = np.sum(weights * (share - mean) ** 2) * count / (count - 1)
            drift = variance * (1 / count + 1 / ahead) / (mean * (1 - mean))
        spreads.append(Z2 * (drift + 0.0009))
    return np.array(spreads)


def wilson(percent: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """Every probability q with (percent - q)^2 <= spread q (100 - q)."""
    middle = (percent + 50 * spread) / (1 + spread)
    half = np.sqrt(spread * percent * (100 - percent) + 2500 * spread**2) / (1 + spread)
    return middle - half, middle + half


def sampled(conn: Connection, above: Floats, minutes: int, bucket: int) -> Floats:
    """The spread by the sizes of a curve."""
    rows = conn.execute(
        "SELECT upc._interval_spread(a.p, c.effective_size, c.weighted_size) "
        "FROM unnest(%s::float8[]) WITH ORDINALITY AS a (p, k), upc.volatility_curve AS c "
        "WHERE c.symbol = 'BTC' AND c.bucket = %s AND c.minutes = %s ORDER BY a.k",
        (above.tolist(), bucket, minutes),
    )
    return np.array([row[0] for row in rows])


def test_months_are_counted(conn: Connection) -> None:
    assert_same(stored_months(conn), expected_months(conn, stored_fit(conn)))


def test_months_of_a_year_are_its_baseline(conn: Connection) -> None:
    left = (
        "SELECT count(*) FROM upc_data.volatility_histogram AS h "
        "LEFT JOIN (SELECT extract(year FROM month) AS year, minutes, sum(pairs) AS pairs "
        "FROM upc_data.volatility_month GROUP BY 1, 2) AS m USING (year, minutes) "
        "WHERE h.bucket = 99 AND h.pairs IS DISTINCT FROM m.pairs"
    )
    assert scalar(conn, left) == 0


def test_drift_is_what_months_say(conn: Connection) -> None:
    months = stored_months(conn)
    rows = table(conn, "SELECT * FROM upc.volatility_drift WHERE symbol = 'BTC' ORDER BY minutes")
    assert [row["minutes"] for row in rows] == list(range(1, 61))
    for row in rows:
        for side in ("positive", "negative"):
            expected = expected_drift(months, row["minutes"], side, 1)
            np.testing.assert_allclose(row[side], expected, rtol=1e-7)


@pytest.mark.parametrize("model", ["momentum", "volatility"])
def test_a_month_alone_says_nothing_of_drift(own: Connection, model: str) -> None:
    put(own, "BTC", volatile_candles(311, "2026-01-02", 3 * 1440))
    build(own)
    assert scalar(own, "SELECT count(*) FROM upc.volatility_drift WHERE positive IS NULL") == 60
    [row] = strikes(own, PRICE, momentum=0, ttc_seconds=1800, model=model, strikes=[PRICE])
    assert row["prob_low"] < row["prob_above"] < row["prob_high"]


def test_days_that_come_and_go_end_as_one_build(own: Connection) -> None:
    """A month that is empty again is gone, with the day that was all of it."""
    put(own, "BTC", volatile_candles(312, "2026-01-29", 3 * 1440))
    build(own)
    wanted = everything(own)
    put(own, "BTC", volatile_candles(313, "2026-02-01", 1440))
    assert scalar(own, "SELECT upc.build_fingerprints('BTC', refits => false)") > 0
    assert scalar(own, "SELECT count(DISTINCT month) FROM upc_data.volatility_month") == 2
    write_candles(own, "DELETE FROM upc_data.candle WHERE opened_at >= '2026-02-01'")
    assert scalar(own, "SELECT upc.build_fingerprints('BTC', refits => false)") > 0
    assert everything(own) == wanted


@pytest.mark.parametrize("method", ["nearest", "linear"])
@pytest.mark.parametrize("momentum", [None, 2.0])
def test_intervals_of_strikes(conn: Connection, method: str, momentum: float | None) -> None:
    bucket = BASELINE if momentum is None else 2
    for minutes in (5, 30):
        rows = strikes(
            conn,
            PRICE,
            momentum=momentum,
            ttc_seconds=60 * minutes,
            method=method,
            model="volatility",
            strikes=STRIKES.tolist(),
        )
        above = column(rows, "prob_above")
        moves = 100 * (STRIKES - PRICE) / PRICE / rows[0]["deviation"]
        drift = drift_at(conn, minutes, moves, method)
        low, high = wilson(above, sampled(conn, above, minutes, bucket) + drift)
        np.testing.assert_allclose(column(rows, "prob_low"), low, rtol=0, atol=1e-9)
        np.testing.assert_allclose(column(rows, "prob_high"), high, rtol=0, atol=1e-9)


def drift_at(conn: Connection, minutes: int, moves: Floats, method: str) -> Floats:
    """Read off as the curve is: of the side of the move."""
    [row] = table(
        conn,
        "SELECT positive, negative FROM upc.volatility_drift WHERE symbol = 'BTC' AND minutes = %s",
        minutes,
    )
    thresholds = volatility_reference.THRESHOLDS
    sides = np.where(moves > 0, "positive", "negative")
    if method == "linear":
        return np.array(
            [
                np.interp(abs(move), thresholds, row[side])
                for side, move in zip(sides, moves, strict=True)
            ]
        )
    nearest = [int(np.argmin(np.abs(thresholds - abs(move)))) for move in moves]
    return np.array([row[side][k] for side, k in zip(sides, nearest, strict=True)])


@pytest.mark.parametrize("ttc", [1800, 40])
def test_intervals_of_bounds(conn: Connection, ttc: int) -> None:
    """Above a bound as compute_strikes has it; between two by the one that drifts more."""
    asked = {"ttc_seconds": ttc, "method": "linear", "model": "volatility"}
    # Within the last minute a part of the average is known, and up and down are not alike.
    asked |= {"settlement": "average", "observed": PRICE + 3} if ttc < 60 else {}
    names = "".join(f", {name} => %s" for name in asked)
    query = (
        "SELECT probability, prob_low, prob_high, deviation "
        f"FROM upc.probability_between(%s, %s, %s{names})"
    )
    rows = strikes(conn, PRICE, strikes=STRIKES.tolist(), **asked)
    for row in rows:
        [found] = table(conn, query, PRICE, row["strike"], None, *asked.values())
        for ours, theirs in (("prob_low", "prob_low"), ("prob_high", "prob_high")):
            assert found[ours] == pytest.approx(row[theirs], abs=1e-9)
    if ttc < 60:
        return
    minutes = ttc // 60
    for lower, upper in product(STRIKES[::6], STRIKES[3::6]):
        if lower < upper:
            [found] = table(conn, query, PRICE, lower, upper, *asked.values())
            moves = 100 * (np.array([lower, upper]) - PRICE) / PRICE / found["deviation"]
            drift = drift_at(conn, minutes, moves, "linear").max()
            probability = np.array([found["probability"]])
            spread = sampled(conn, probability, minutes, BASELINE) + drift
            low, high = wilson(probability, spread)
            assert found["prob_low"] == pytest.approx(low[0], abs=1e-9)
            assert found["prob_high"] == pytest.approx(high[0], abs=1e-9)
