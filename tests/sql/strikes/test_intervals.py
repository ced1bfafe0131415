"""Intervals: how many independent minutes stand behind a curve, and what may be off by how much."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import multivariate_normal, norm

from tests.support import brute_force
from tests.support.engine import Candles, Connection, build, flat, minute, put

Floats = NDArray[np.float64]

PROPERTY = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

# Of a billion minutes.
percents = st.integers(0, 10**9).map(lambda count: count / 10**7)
# Fewer than all of them are independent, but at least one is.
sizes = st.tuples(st.floats(1, 1e7), st.floats(1, 60)).map(
    lambda drawn: (max(1.0, drawn[0] / drawn[1]), drawn[0])
)


def interval(conn: Connection, percent: float, effective: float, weighted: float) -> Floats:
    """Low and high in percent."""
    row = conn.execute(
        "SELECT upc._interval_low(s.p, s.u), upc._interval_high(s.p, s.u) "
        "FROM (SELECT p, upc._interval_spread(p, %s, %s) AS u "
        "FROM (VALUES (%s::double precision)) AS v (p)) AS s",
        (effective, weighted, percent),
    ).fetchone()
    assert row is not None
    return np.array(row)


def within(percent: float, size: float) -> tuple[float, float]:
    """The range of probabilities at most 1.96 of their own deviations away, in percent."""
    found, z = percent / 100, float(norm.ppf(0.975))

    def beyond(p: float) -> float:
        return (found - p) ** 2 - z**2 * p * (1 - p) / size

    low = 0.0 if found == 0 else brentq(beyond, 1e-15, found - 1e-12, xtol=1e-15)
    high = 1.0 if found == 1 else brentq(beyond, found + 1e-12, 1 - 1e-15, xtol=1e-15)
    return 100 * low, 100 * high


@pytest.mark.parametrize("size", [1, 12, 1000, 250_000])
@pytest.mark.parametrize("percent", [0, 0.4, 20, 50, 93, 100])
def test_where_all_are_independent(conn: Connection, percent: float, size: int) -> None:
    np.testing.assert_allclose(
        interval(conn, percent, size, size), within(percent, size), rtol=1e-9, atol=1e-9
    )


def correlation(p: float, shared: float) -> float:
    """Correlation of two indicators of probability p, of normal moves that share this part."""
    if shared <= 0:
        return 0.0
    z = float(norm.ppf(p))
    both = float(multivariate_normal.cdf([z, z], cov=[[1, shared], [shared, 1]]))
    return (both - p * p) / (p * (1 - p))


def design_effect(p: float, minutes: int) -> float:
    """Number of starts, one per minute, that count as one independent start."""
    return 1 + 2 * sum(correlation(p, 1 - k / minutes) for k in range(1, minutes))


@pytest.mark.parametrize("percent", [0.5, 2.0, 10.0, 30.0, 50.0, 99.0])
@pytest.mark.parametrize("minutes", [2, 7, 60])
def test_the_tails_overlap_less(conn: Connection, percent: float, minutes: int) -> None:
    """It is as wide as the correlation of its own indicators makes it, or a little wider."""
    weighted = 1_000_000.0
    low, high = interval(conn, percent, weighted / design_effect(0.5, minutes), weighted)
    true_low, true_high = within(percent, weighted / design_effect(percent / 100, minutes))
    assert 0.99 < (high - low) / (true_high - true_low) < 1.09


@PROPERTY
@given(percent=percents, size=sizes)
@example(percent=0.0, size=(1.0, 1.0))
@example(percent=100.0, size=(1.0, 60.0))
def test_the_probability_lies_in_it(
    conn: Connection, percent: float, size: tuple[float, float]
) -> None:
    low, high = interval(conn, percent, *size)
    assert 0 <= low <= percent <= high <= 100


@PROPERTY
@given(percent=percents, size=sizes, times=st.floats(1.01, 100))
def test_more_data_narrow_it(
    conn: Connection, percent: float, size: tuple[float, float], times: float
) -> None:
    low, high = interval(conn, percent, *size)
    more_low, more_high = interval(conn, percent, times * size[0], times * size[1])
    assert more_high - more_low < high - low


@PROPERTY
@given(percents=st.tuples(percents, percents).map(sorted), size=sizes)
def test_it_rises_with_the_probability(
    conn: Connection, percents: list[float], size: tuple[float, float]
) -> None:
    assume(percents[1] - percents[0] > 1e-6)
    (low, high), (next_low, next_high) = (interval(conn, percent, *size) for percent in percents)
    assert low <= next_low
    assert high <= next_high


@PROPERTY
@given(percent=percents, size=sizes)
def test_it_is_the_mirror_image_for_the_other_side(
    conn: Connection, percent: float, size: tuple[float, float]
) -> None:
    low, high = interval(conn, percent, *size)
    np.testing.assert_allclose(
        interval(conn, 100 - percent, *size), (100 - high, 100 - low), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("missing", range(3))
def test_nothing_of_nothing(conn: Connection, missing: int) -> None:
    values: list[float | None] = [50.0, 100.0, 200.0]
    values[missing] = None
    row = conn.execute(
        "SELECT upc._interval_low(%(p)s, u), upc._interval_high(%(p)s, u) "
        "FROM upc._interval_spread(%(p)s::double precision, %(n)s, %(w)s) AS u",
        dict(zip("pnw", values, strict=True)),
    ).fetchone()
    assert row == (None, None)


def gaussian_walk(seed: int, since: str, length: int, basis_points: float) -> Candles:
    """A random walk of closes whose moves of a minute are normal."""
    steps = np.random.default_rng(seed).normal(0, basis_points / 10_000, length)
    closes = np.round(40_000 * np.exp(steps.cumsum()), 2)
    return flat(range(minute(since), minute(since) + length), closes.tolist())


def momentum_correlation(apart: int) -> float:
    """Correlation of two momenta of a random walk, this many minutes apart."""
    weights = [sum(w for lag, w in brute_force.LAGS.items() if lag > j) for j in range(30)]
    return float(np.dot(weights[: 30 - apart], weights[apart:])) / float(np.dot(weights, weights))


def company(bucket: int, deviation: float, apart: int) -> float:
    """The probability that a start is in the same bucket as another, this many minutes before."""
    edges = np.array([abs(bucket) - 0.5, abs(bucket) + 0.5]) / deviation
    if abs(bucket) == 30:
        edges[1] = 9
    rho = momentum_correlation(apart) if apart < 30 else 0.0
    alone = norm.cdf(edges[1]) - norm.cdf(edges[0])
    joint = multivariate_normal(cov=[[1, rho], [rho, 1]])
    corners = (float(joint.cdf([x, y])) for x in edges for y in edges)
    both = np.dot([1, -1, -1, 1], list(corners))
    return float(both / alone)


VOLATILITY = 9.0  # basis points a minute


@pytest.fixture(scope="module")
def two_years() -> Candles:
    """Some days on both sides of a new year, whose minutes count for 4 and 5."""
    return gaussian_walk(1, "2024-12-18", 28 * 1440, VOLATILITY)


@pytest.mark.slow
@pytest.mark.parametrize("minutes", [1, 2, 10, 60])
def test_effective_sizes(conn: Connection, two_years: Candles, minutes: int) -> None:
    put(conn, "BTC", two_years)
    build(conn)
    rows = conn.execute(
        "SELECT bucket, weighted_size, effective_size FROM upc.fingerprint_curve "
        "WHERE symbol = 'BTC' AND minutes = %s",
        (minutes,),
    )
    found = {bucket: (weighted, effective) for bucket, weighted, effective in rows}
    cells = brute_force.histogram(two_years.minutes, two_years.closes)
    signs = [correlation(0.5, 1 - k / minutes) for k in range(1, minutes)]
    deviation = VOLATILITY * np.sqrt(
        sum(sum(w for lag, w in brute_force.LAGS.items() if lag > j) ** 2 for j in range(30))
    )
    for bucket in (-30, -12, 0, 5, brute_force.BASELINE):
        old, new = (cells[year, bucket, minutes].pairs for year in (2024, 2025))
        weighted = (4 * old + 5 * new) ** 2 / (16 * old + 25 * new)
        assert found[bucket][0] == pytest.approx(weighted, rel=1e-12)
        both = [
            1.0 if bucket == brute_force.BASELINE else company(bucket, deviation, k)
            for k in range(1, minutes)
        ]
        expected = weighted / (1 + 2 * float(np.dot(both, signs)))
        tolerance = {brute_force.BASELINE: 1e-6, -30: 0.12}.get(bucket, 0.06)
        assert found[bucket][1] == pytest.approx(expected, rel=tolerance)


def test_the_pool_counts_symbols_as_independent(conn: Connection) -> None:
    put(conn, "BTC", gaussian_walk(2, "2025-02-01", 3000, VOLATILITY))
    put(conn, "ETH", gaussian_walk(3, "2025-03-01", 2000, VOLATILITY))
    build(conn, "BTC")
    build(conn, "ETH")
    rows = conn.execute(
        "SELECT symbol, weighted_size, effective_size FROM upc.fingerprint_curve "
        "WHERE bucket = 99 AND minutes = 40"
    )
    found = {symbol: np.array(sizes) for symbol, *sizes in rows}
    np.testing.assert_allclose(found["*"], found["BTC"] + found["ETH"], rtol=1e-12)


def test_a_start_alone_is_one(conn: Connection) -> None:
    put(conn, "BTC", gaussian_walk(4, "2025-02-01", 61, VOLATILITY))
    build(conn)
    rows = conn.execute(
        "SELECT DISTINCT weighted_size, effective_size FROM upc.fingerprint_curve "
        "WHERE symbol = 'BTC' AND sample_size = 1"
    ).fetchall()
    assert rows == [(1.0, 1.0)]


def truth(minutes: int, basis_points: float) -> Floats:
    """Percent, per threshold upward and then downward: what no momentum changes."""
    thresholds = np.arange(60) * 0.0005
    deviation = basis_points / 10_000 * np.sqrt(minutes)
    up = norm.sf(np.log1p(thresholds) / deviation)
    down = norm.cdf(np.log1p(-thresholds) / deviation)
    return np.concatenate([up, down]) * 100


ASKED = (1, 2, 3, 5, 10, 15, 20, 30, 45, 60)
VOLATILITIES = (3, 6, 10)

SIZES = """
    SELECT minutes, weighted_size, effective_size FROM upc.fingerprint_curve
    WHERE symbol = 'BTC' AND bucket = 99 AND minutes = ANY (%s)
"""

OF_PROBABILITIES = """
    SELECT array_agg(upc._interval_low(p.p, u.u) ORDER BY p.i),
        array_agg(upc._interval_high(p.p, u.u) ORDER BY p.i)
    FROM unnest(%s::double precision[]) WITH ORDINALITY AS p (p, i)
    CROSS JOIN LATERAL upc._interval_spread(p.p, %s, %s) AS u (u)
"""

OF_BUCKETS = """
    SELECT c.bucket, c.minutes, c.effective_size,
        array_agg(upc._interval_low(p.p, u.u) ORDER BY p.i),
        array_agg(upc._interval_high(p.p, u.u) ORDER BY p.i)
    FROM upc.fingerprint_curve AS c
    CROSS JOIN LATERAL unnest(c.positive || c.negative) WITH ORDINALITY AS p (p, i)
    CROSS JOIN LATERAL upc._interval_spread(p.p, c.effective_size, c.weighted_size) AS u (u)
    WHERE c.symbol = 'BTC' AND c.bucket <> 99 AND c.minutes = ANY (%s)
    GROUP BY c.bucket, c.minutes, c.effective_size
"""


class Coverage:
    """Intervals that hold the truth, by part of the grid; cells that expect at least five."""

    def __init__(self) -> None:
        self.held: dict[str, list[bool]] = {}

    def add(self, minutes: int, effective: float, true: Floats, low: Floats, high: Floats) -> None:
        rarer = np.minimum(true, 100 - true)
        held = (low <= true) & (true <= high)
        for part, chosen in {
            "all": rarer > 0,
            "up to 5 minutes" if minutes <= 5 else "more minutes": rarer > 0,
            "centre": rarer >= 10,
            "tails": rarer < 10,
        }.items():
            counted = chosen & (rarer * effective >= 500)
            self.held.setdefault(part, []).extend(held[counted].tolist())

    def percent(self) -> dict[str, float]:
        return {part: 100 * float(np.mean(held)) for part, held in self.held.items() if held}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_of_baselines_cover_the_truth(conn: Connection) -> None:
    """The cells of one world depend on each other: on average over many."""
    put(conn, "BTC", gaussian_walk(10, "2025-03-01", 15 * 1440, 6))
    build(conn)
    sizes = {minutes: of for minutes, *of in conn.execute(SIZES, (list(ASKED),))}
    coverage = Coverage()
    thresholds = np.arange(60) * 0.0005
    for world in range(300):
        basis_points = VOLATILITIES[world % 3]
        closes = gaussian_walk(1000 + world, "2025-03-01", 15 * 1440, basis_points).closes
        for minutes in ASKED:
            moves = np.sort(closes[minutes:] / closes[:-minutes] - 1)
            up = len(moves) - np.searchsorted(moves, thresholds - 1e-12)
            down = np.searchsorted(moves, 1e-12 - thresholds)
            percents = (100 * np.concatenate([up, down]) / len(moves)).tolist()
            weighted, effective = sizes[minutes]
            row = conn.execute(OF_PROBABILITIES, (percents, effective, weighted)).fetchone()
            assert row is not None
            true = truth(minutes, basis_points)
            coverage.add(minutes, effective, true, np.array(row[0]), np.array(row[1]))
    for part, percent in coverage.percent().items():
        assert 93 < percent < 97, part


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_of_buckets_cover_the_truth(own: Connection) -> None:
    """Not only the cells of a bucket depend on each other, but the buckets of a world too."""
    inner, outer = Coverage(), Coverage()
    for world in range(60):
        basis_points = VOLATILITIES[world % 3]
        # Every other world has minutes of two years, which count for 4 and 5.
        since = ("2025-03-01", "2024-12-30")[world % 2]
        own.execute("TRUNCATE upc_data.candle, upc_data.candle_change")
        own.execute("SELECT upc.reset_fingerprints('BTC')")
        put(own, "BTC", gaussian_walk(2000 + world, since, 5 * 1440, basis_points))
        build(own)
        for bucket, minutes, effective, low, high in own.execute(OF_BUCKETS, (list(ASKED),)):
            coverage = outer if abs(bucket) == 30 else inner
            true = truth(minutes, basis_points)
            coverage.add(minutes, effective, true, np.array(low), np.array(high))
    for coverage in (inner, outer):
        for part, percent in coverage.percent().items():
            assert 93 < percent < 97, part
