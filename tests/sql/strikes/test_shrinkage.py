"""Shrinkage: thin buckets lean on the baseline as far as their own values may be chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from tests.support import brute_force
from tests.support.engine import Candles, Connection, build, flat, minute, put

Floats = NDArray[np.float64]

LENGTH = 15 * 1440
MINUTES = (1, 5, 15, 30)


def market(seed: int, *, trend: float = 0, since: str = "2025-05-01") -> Candles:
    """Closes whose moves of a minute are normal, 7 bp; a trend follows momentum with this share."""
    steps = np.random.default_rng(seed).normal(0, 7, LENGTH).tolist()
    weights = [sum(w for lag, w in brute_force.LAGS.items() if lag > j) for j in range(30)]
    if trend:
        for place in range(30, LENGTH):
            momentum = sum(w * steps[place - 1 - j] for j, w in enumerate(weights))
            steps[place] += trend * float(np.clip(momentum, -15, 15))
    closes = np.round(40_000 * np.exp(np.cumsum(steps) / 10_000), 2).tolist()
    return flat(range(minute(since), minute(since) + LENGTH), closes)


@dataclass(frozen=True)
class Curve:
    values: Floats  # percent, upward and then downward
    size: int
    weighted: float
    effective: float
    shrinkage: float


Curves = dict[tuple[int, int], Curve]  # by bucket and minutes
Sizes = dict[tuple[int, int], tuple[float, float]]


def curves(conn: Connection, candles: Candles) -> Curves:
    """The curves that a build makes of them, rolled back afterwards."""
    with conn.transaction(force_rollback=True):
        put(conn, "BTC", candles)
        build(conn)
        rows = conn.execute(
            "SELECT bucket, minutes, positive || negative, sample_size, weighted_size, "
            "effective_size, shrinkage "
            "FROM upc.fingerprint_curve WHERE symbol = 'BTC' AND minutes = ANY (%s)",
            (list(MINUTES),),
        ).fetchall()
    return {
        (bucket, minutes): Curve(np.array(values), *numbers)
        for bucket, minutes, values, *numbers in rows
    }


def exact(minutes: int) -> Floats:
    """Percent, where no momentum matters: upward, then downward."""
    thresholds = np.arange(60) * 0.0005
    deviation = 0.0007 * np.sqrt(minutes)
    up = norm.sf(np.log1p(thresholds) / deviation)
    down = norm.cdf(np.log1p(-thresholds) / deviation)
    return np.concatenate([up, down]) * 100


@pytest.mark.slow
def test_where_momentum_does_not_matter(conn: Connection) -> None:
    """The baseline answers, nearly alone, and is nearer to the truth than each bucket."""
    found = curves(conn, market(1))
    for minutes in MINUTES:
        baseline, true = found[brute_force.BASELINE, minutes].values, exact(minutes)
        buckets = [of for (bucket, t), of in found.items() if t == minutes and bucket != 99]
        sizes = np.array([of.size for of in buckets])
        shrinkage = np.array([of.shrinkage for of in buckets])
        assert np.average(shrinkage, weights=sizes) < 0.3
        errors = [
            (
                np.square(of.values - true).sum(),
                np.square(of.shrinkage * (of.values - baseline) + baseline - true).sum(),
            )
            for of in buckets
        ]
        alone, shrunk = np.average(errors, axis=0, weights=sizes)
        assert shrunk < 0.6 * alone


def test_where_momentum_matters(conn: Connection) -> None:
    """A bucket that many minutes speak for answers alone; a thin one leans on the baseline."""
    found = curves(conn, market(2, trend=0.1))
    for minutes in MINUTES:
        assert found[0, minutes].shrinkage > 0.9
        thinnest = min(
            (of for (bucket, t), of in found.items() if t == minutes and bucket != 99),
            key=lambda of: of.size,
        )
        assert thinnest.shrinkage < 0.5


def fitted(found: Curves, sizes: Sizes, minutes: int) -> dict[int, float]:
    """The shrinkage of each bucket by the rule, from thresholds that say something of their own."""
    weighted, effective = sizes[brute_force.BASELINE, minutes]
    chosen = [k - 1 for k in (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 30, 36, 43, 51)]
    chosen += [60 + k for k in chosen]
    baseline = found[brute_force.BASELINE, minutes].values[chosen] / 100
    variance = baseline * (1 - baseline)
    thin = variance * (4 * variance) ** (1 / 6)
    rows = []
    for (bucket, t), of in found.items():
        if t != minutes or bucket == brute_force.BASELINE:
            continue
        own_weighted, own = sizes[bucket, t]
        sampling = variance.sum() * (1 / own_weighted - 1 / weighted) + thin.sum() * (
            1 / own - 1 / own_weighted - 1 / effective + 1 / weighted
        )
        distance = np.square(of.values[chosen] / 100 - baseline).sum()
        rows.append((bucket, own, (distance - sampling) / variance.sum()))
    buckets, own_sizes, excess = (np.array(column) for column in zip(*rows, strict=True))
    between = 0.0
    for _ in range(2):
        between = max(0.0, float(np.average(excess, weights=1 / (1 / own_sizes + between))))
    shrinkage = own_sizes * between / (1 + own_sizes * between)
    return dict(zip(buckets.tolist(), shrinkage.tolist(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("trend", [0, 0.02, 0.1])
def test_the_rule(conn: Connection, trend: float) -> None:
    candles = market(3, trend=trend, since="2024-12-24")  # minutes of two years
    found = curves(conn, candles)
    sizes = {key: (of.weighted, of.effective) for key, of in found.items()}
    for minutes in MINUTES:
        assert found[brute_force.BASELINE, minutes].shrinkage == 1
        for bucket, shrinkage in fitted(found, sizes, minutes).items():
            assert found[bucket, minutes].shrinkage == pytest.approx(shrinkage, abs=1e-9)


def test_where_nothing_moves(conn: Connection) -> None:
    """All probabilities are 0 or 100: no two buckets differ."""
    since = minute("2025-05-01")
    found = curves(conn, flat(range(since, since + 200), [40_000.0] * 200))
    assert found[0, 15].shrinkage == 0
