"""What one-second prices are worth, in worlds whose volatility is known.

With -s the tests print a table: `pytest -m slow -s tests/sql/volatility/test_second_gain.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.databases import Databases
from tests.support.engine import Connection, build, minute, open_db, put
from tests.support.second_world import Floats, World, loss, put_seconds, true_above, world
from tests.support.volatility_reference import THRESHOLDS, week_variance

SINCE, FITTED, DAYS = "2026-01-01", "2026-04-01", 120
HORIZONS = (1, 2, 3, 5, 10, 15, 20, 30, 60)
# In standard deviations of the plain forecast: the questions are the same for both.
STRIKES = np.array([-2, -1.5, -1, -0.5, 0.5, 1, 1.5, 2])
BINS = 1 / (1 + np.exp(-np.linspace(-np.log(499), np.log(499), 11)))
WORLDS = {
    "20 minutes, ticks of 0.1 bp": (501, 20, 1e-5),
    "20 minutes, ticks of 1 bp": (502, 20, 1e-4),
    "5 minutes, ticks of 0.1 bp": (503, 5, 1e-5),
    "2 hours, ticks of 0.1 bp": (504, 120, 1e-5),
}


@dataclass(frozen=True)
class Answers:
    """Forecasts of a build, and the fingerprint of its standardised moves, by minutes ahead."""

    places: NDArray[np.int64]
    variances: dict[int, Floats]
    curves: dict[int, tuple[Floats, Floats]]

    def above(self, minutes: int, strikes: Floats) -> Floats:
        """Probability of a move above strikes, a row for each place."""
        positive, negative = self.curves[minutes]
        z = strikes / np.sqrt(self.variances[minutes])[:, None]
        up = np.interp(z, THRESHOLDS, positive)
        found: Floats = np.where(z > 0, up, 1 - np.interp(-z, THRESHOLDS, negative))
        return found


def answers(conn: Connection, made: World, *, has_seconds: bool) -> Answers:
    """Trained before FITTED, asked from then on, every third minute."""
    put_seconds(conn, made.minutes, made.variances, made.robust)
    if not has_seconds:
        conn.execute("SELECT upc.set_rule('use_seconds', 'off')")
    # The first minutes of a month: what came before them is fitted.
    known = made.minutes < minute(FITTED) + 5
    put(conn, "BTC", made.candles.where(known))
    build(conn)
    put(conn, "BTC", made.candles.where(~known))
    count = int(made.minutes[-1] - minute(FITTED) - 60)
    rows = conn.execute(
        """
        SELECT m.place, m.forecasts, f.used_factors
        FROM upc_data.volatility_fit AS f
        CROSS JOIN LATERAL upc._corrected_minute_forecasts(
            'BTC', %s, %s, f.used_factors, f.used_coefficients,
            ARRAY(SELECT generate_series(1, %s, 3))
        ) AS m
        ORDER BY m.place
        """,
        (FITTED, "2026-04-30", count),
    ).fetchall()
    places = np.array([row[0] for row in rows]) + minute(FITTED) - made.minutes[0]
    whole = np.array([row[1] for row in rows], dtype=np.float64) / 1000
    factors = np.array(rows[0][2])
    fitted = np.log([1, 2, 3, 5, 10, 15, 30, 60])
    variances = {}
    for minutes in HORIZONS:
        logs = np.array([np.interp(np.log(minutes), fitted, row) for row in whole])
        season = week_variance(made.minutes[places], factors, minutes)
        variances[minutes] = np.exp(logs) * season
    curves = conn.execute(
        "SELECT minutes, positive, negative FROM upc.volatility_curve WHERE bucket = 99"
    ).fetchall()
    return Answers(
        places,
        variances,
        {row[0]: (np.array(row[1]) / 100, np.array(row[2]) / 100) for row in curves},
    )


def reliability(said: Floats, true: Floats) -> Floats:
    """Largest distance of what is said from what is true in ten bins of log-odds, in points."""
    place = np.digitize(said.ravel(), BINS)
    distances = [
        100 * abs(said.ravel()[place == k].mean() - true.ravel()[place == k].mean())
        for k in range(1, 11)
        if (place == k).mean() > 0.005
    ]
    return np.array(distances)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", WORLDS)
def test_gain(databases: Databases, name: str) -> None:
    """Log loss against the true probability, corrected less plain, with 95 % of whole days."""
    seed, fast, tick = WORLDS[name]
    made = world(seed, SINCE, DAYS, fast=fast, tick=tick)
    with databases.clone("empty") as dsn, open_db(dsn) as conn:
        plain = answers(conn, made, has_seconds=False)
    with databases.clone("empty") as dsn, open_db(dsn) as conn:
        corrected = answers(conn, made, has_seconds=True)
    total = np.concatenate([[0], made.true.cumsum()])
    day = plain.places // 1440
    print(f"\n{name}")
    for minutes in HORIZONS:
        strikes = STRIKES * np.sqrt(plain.variances[minutes])[:, None]
        ahead = total[plain.places + minutes] - total[plain.places]
        true = true_above(ahead, minutes, strikes)
        said = [found.above(minutes, strikes) for found in (plain, corrected)]
        losses = [loss(each, true) for each in said]
        change = losses[1] - losses[0]
        days = np.array([change[day == d].mean() for d in np.unique(day)])
        gained = -1e5 * days.mean()
        around = 1e5 * 1.96 * days.std(ddof=1) / np.sqrt(len(days))
        least = loss(true, true).mean()
        off = [reliability(each, true).max() for each in said]
        print(
            f"| {minutes} | {losses[0].mean():.5f} | {least:.5f} | {-gained:.0f} "
            f"({-gained - around:.0f} to {-gained + around:.0f}) | {off[0]:.2f} | {off[1]:.2f} |"
        )
        if minutes <= 15:
            assert gained > around
        elif minutes >= 30:
            np.testing.assert_array_equal(losses[0], losses[1])
        # As true as before, in points.
        assert off[1] < off[0] + 0.1
