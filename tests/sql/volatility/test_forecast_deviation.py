"""The forecast is a standard deviation: of walks whose volatility is known it finds it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import volatility_reference
from tests.support.engine import Candles, Connection, minute, put
from tests.support.volatility_reference import Floats

DAYS = 24
TRAINED = 16
MINUTES = (1, 2, 5, 15, 60)
STEPS = 60


def brownian(seed: int, deviations: Floats, since: str = "2026-02-20") -> Candles:
    """Candles of a walk in seconds; `deviations` of each minute, volumes go along with them."""
    dice = np.random.default_rng(seed)
    length = len(deviations)
    steps = dice.normal(0, 1, (length, STEPS)) * deviations[:, None] / np.sqrt(STEPS)
    path = 40_000 * np.exp(steps.ravel().cumsum()).reshape(length, STEPS)
    closes = path[:, -1]
    opens = np.concatenate([[40_000], closes[:-1]])
    highs, lows = np.maximum(opens, path.max(axis=1)), np.minimum(opens, path.min(axis=1))
    volumes = 1e5 * deviations * dice.lognormal(0, 0.4, length)
    minutes = minute(since) + np.arange(length, dtype=np.int64)
    return Candles(minutes, opens, highs, lows, closes, volumes)


def steady(length: int) -> Floats:
    return np.full(length, 0.0005)


def changing(length: int) -> Floats:
    """Calm and wild hours, and a day that is the same every day."""
    dice = np.random.default_rng(301)
    level = np.zeros(length)
    for place, shock in enumerate(dice.normal(0, 0.03, length - 1)):
        level[place + 1] = 0.998 * level[place] + shock
    day = 0.3 * np.sin(2 * np.pi * np.arange(length) / 1440)
    deviations: Floats = 0.0005 * np.exp(level + day)
    return deviations


@pytest.mark.parametrize(
    ("deviations", "tolerance"), [(steady, 0.05), (changing, 0.12)], ids=["steady", "changing"]
)
def test_forecast_and_what_came(conn: Connection, deviations: object, tolerance: float) -> None:
    """Trained on the first days, asked about the others, over a change of New York's clocks."""
    assert callable(deviations)
    true = deviations(DAYS * 1440)
    candles = brownian(300, true)
    put(conn, "BTC", candles)
    first = minute("2026-02-20")
    cut = f"2026-02-20Z'::timestamptz + interval '{24 * TRAINED} hours"
    found = conn.execute(
        f"""
        SELECT m.place, m.forecasts, f.factors
        FROM upc._fit_volatility('BTC', '-infinity', '{cut}') AS f
        CROSS JOIN LATERAL upc._minute_forecasts(
            'BTC', '2026-02-20', '2026-03-15', f.factors, f.coefficients,
            ARRAY(SELECT generate_series({TRAINED * 1440}, {DAYS * 1440 - 60}))
        ) AS m
        ORDER BY m.place
        """.encode()
    ).fetchall()
    assert len(found) == (DAYS - TRAINED) * 1440 - 59
    places = np.array([row[0] for row in found])
    whole = np.array([row[1] for row in found], dtype=np.float64)
    factors = np.array(found[0][2])
    for minutes in MINUTES:
        expected = volatility_reference.average_variance(whole, minutes)
        expected = expected * volatility_reference.week_variance(first + places, factors, minutes)
        ahead = np.array([(true[place : place + minutes] ** 2).sum() for place in places])
        # Not what came by chance, but the variance that the walk was made with.
        ratio = np.sqrt(expected.sum() / ahead.sum())
        assert abs(ratio - 1) < tolerance, (minutes, ratio)
        moves = np.log(candles.closes[places + minutes - 1] / candles.closes[places - 1])
        assert 0.85 < np.sqrt(expected.sum() / (moves**2).sum()) < 1.15
