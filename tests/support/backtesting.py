"""Questions of a backtest that was never computed, and their scores without the database.

Each day has a mood of its own: its prices move more or less than the models expect, so that the
questions of a day err together, as those of a real market do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr

from tests.support.engine import Connection

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FIRST_DAY = date(2024, 1, 1)
BINS = 20
CLIP = 1e-4

# Makes every part a positive number.
OFFSET = 100

# Model, how far its logits are stretched, shifted and disturbed.
DISTORTIONS: Mapping[str, tuple[float, float, float]] = {
    "baseline:nearest": (0.8, 0.0, 0.2),
    "momentum:nearest": (0.9, 0.05, 0.2),
    "momentum:linear": (0.95, 0.0, 0.15),
    "gaussian": (1.3, 0.0, 0.1),
    "baseline:linear": (0.97, 0.0, 0.12),
    "volatility:linear": (1.0, 0.0, 0.05),
}
MODELS = tuple(DISTORTIONS)


@dataclass(frozen=True)
class Questions:
    """One element a question; `days` counts from 0, `probabilities` has a row a model, 0 to 1."""

    models: tuple[str, ...]
    days: Integers
    parts: Mapping[str, Integers]
    outcomes: Integers
    probabilities: Floats

    def __len__(self) -> int:
        return len(self.days)

    def of(self, chosen: NDArray[np.bool_]) -> Questions:
        return Questions(
            self.models,
            self.days[chosen],
            {name: part[chosen] for name, part in self.parts.items()},
            self.outcomes[chosen],
            self.probabilities[:, chosen],
        )


def questions(
    seed: int,
    days: int,
    *,
    models: Sequence[str] = MODELS,
    minutes: Sequence[int] = (2, 15, 60),
    levels: int = 3,
    hours: int = 24,
    mood: float = 0.3,
) -> Questions:
    """All strikes, times to the close and closes of so many days."""
    dice = np.random.default_rng(seed)
    axes = (np.arange(days), np.arange(hours), np.array(minutes), np.arange(-levels, levels + 1))
    day, hour, ttc, distance = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    volatility = np.exp(dice.normal(0, 0.4, days))
    known = ndtr(-(distance + dice.uniform(-0.5, 0.5, len(day))) / np.sqrt(ttc / 15))
    truth = logit(np.clip(known, 1e-6, 1 - 1e-6)) / volatility[day]
    came_true = dice.random(len(day)) < expit(truth + dice.normal(0, mood, days)[day])
    answers = [
        expit(slope * truth + shift + dice.normal(0, noise, len(day)))
        for slope, shift, noise in (DISTORTIONS[model] for model in models)
    ]
    regime = 1 + np.searchsorted(np.quantile(volatility, (0.25, 0.5, 0.75)), volatility)
    return Questions(
        tuple(models),
        day,
        {
            "all": np.zeros_like(day),
            "minutes": ttc,
            "distance": abs(distance),
            "hour": hour,
            "regime": regime[day],
        },
        came_true.astype(np.int64),
        np.array(answers),
    )


def losses(probabilities: Floats, outcomes: Integers) -> Floats:
    """Loss per question, for one model."""
    clipped = np.clip(probabilities, CLIP, 1 - CLIP)
    return -np.log(np.where(outcomes == 1, clipped, 1 - clipped))


def bins(probabilities: Floats) -> Integers:
    return np.minimum(np.floor(probabilities * BINS), BINS - 1).astype(np.int64)


def odds(probabilities: Floats) -> Integers:
    """Tenths of the log-odds from 0.2 to 99.8 percent, from 0; -1 outside."""
    edges = logit(0.002) + np.arange(11) / 10 * (logit(0.998) - logit(0.002))
    return np.where(
        abs(probabilities - 0.5) <= 0.498,
        np.clip(np.searchsorted(edges, logit(probabilities), side="right") - 1, 0, 9),
        -1,
    )


def begin(conn: Connection, sample: Questions, symbol: str = "BTC", **more: Any) -> int:
    """The row of a backtest that is complete."""
    first = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)
    settings = {
        "symbol": symbol,
        "train_from": first - timedelta(days=730),
        "train_to": first,
        "test_from": first,
        "test_to": first + timedelta(days=int(sample.days.max()) + 1),
        "models": list(sample.models),
        "minutes": sorted(set(sample.parts["minutes"].tolist())),
        "step": 250.0,
        "levels": int(sample.parts["distance"].max()),
        "settlement": "close",
        "close_minute": 0,
        "version": "0.0.1",
        "started_at": datetime(2025, 1, 2, tzinfo=UTC),
        "completed_at": datetime(2025, 1, 2, 0, 1, tzinfo=UTC),
        **more,
    }
    row = conn.execute(
        f"INSERT INTO upc_data.backtest ({', '.join(settings)}) "
        f"VALUES ({', '.join(f'%({name})s' for name in settings)}) RETURNING backtest_id",
        settings,
    ).fetchone()
    assert row is not None
    return int(row[0])


def store(conn: Connection, sample: Questions, symbol: str = "BTC", **more: Any) -> int:
    """The backtest and its scores, summed as the database sums them."""
    backtest_id = begin(conn, sample, symbol, **more)
    fill(conn, sample, symbol, backtest_id)
    return backtest_id


def fill(conn: Connection, sample: Questions, symbol: str, backtest_id: int) -> None:
    with conn.cursor().copy("COPY upc_data.backtest_score FROM STDIN") as copy:
        for number, model in enumerate(sample.models):
            answers = sample.probabilities[number]
            values = np.array(
                [
                    np.ones_like(answers),
                    sample.outcomes,
                    answers,
                    answers**2,
                    (answers - sample.outcomes) ** 2,
                    losses(answers, sample.outcomes),
                ]
            )
            tenths = odds(answers)
            inside = tenths >= 0
            every = np.ones_like(inside)
            groups = [(name, part, bins(answers), every) for name, part in sample.parts.items()]
            groups.append(("odds", tenths, np.zeros_like(tenths), inside))
            for dimension, part, binned, chosen in groups:
                place = ((part + OFFSET) * (int(sample.days.max()) + 1) + sample.days) * BINS
                keys, inverse = np.unique((place + binned)[chosen], return_inverse=True)
                sums = [np.bincount(inverse, each[chosen], len(keys)) for each in values]
                parts, rest = np.divmod(keys, (int(sample.days.max()) + 1) * BINS)
                numbers = np.array([parts - OFFSET, *np.divmod(rest, BINS)]).T.tolist()
                for key, *figures in zip(numbers, *(each.tolist() for each in sums), strict=True):
                    day = FIRST_DAY + timedelta(days=key[1])
                    counts = [int(figure) for figure in figures[:2]]
                    row = (symbol, backtest_id, model, dimension, key[0], day, key[2])
                    copy.write_row((*row, *counts, *figures[2:]))
