"""Recalibration again: fitted by scipy to what was counted, and put on probabilities by numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Floats = NDArray[np.float64]

KNOTS = np.log([3, 12, 45])
RIDGE = np.repeat([3000.0, 300.0, 300.0], 3)
NONE = np.repeat([0.0, 1.0, 0.0], 3)


def shares(minutes: Floats) -> Floats:
    """How much of each knot counts: straight lines over the logarithm of time."""
    return np.stack([np.interp(np.log(minutes), KNOTS, row) for row in np.eye(3)], axis=1)


def fitted(counts: list[tuple[Any, ...]]) -> Floats:
    """a, b and c at the knots, from minutes, questions, outcomes and sums of log-odds of weeks."""
    minutes, asked, came, odds = (
        np.concatenate([np.atleast_1d(each[k]) * np.ones(126) for each in counts]).astype(float)
        for k in range(4)
    )
    at = asked > 0
    x, asked, came, knots = odds[at] / asked[at], asked[at], came[at], shares(minutes[at])
    features = np.concatenate([knots, knots * x[:, None], knots * x[:, None] ** 3 / 20], axis=1)

    def loss(weights: Floats) -> float:
        said = features @ weights
        logistic = asked * np.logaddexp(0, said) - came * said
        return float(logistic.sum() + (RIDGE * (weights - NONE) ** 2).sum() / 2)

    def slope(weights: Floats) -> Floats:
        said = 1 / (1 + np.exp(-(features @ weights)))
        return np.asarray(features.T @ (asked * said - came) + RIDGE * (weights - NONE))

    found = minimize(
        loss, NONE, jac=slope, method="BFGS", options={"gtol": 1e-6, "maxiter": 2000}
    ).x
    return np.concatenate(
        [found[:3], np.clip(found[3:6], 0.5, 2), np.clip(found[6:], 0, 0.5)]
    ).reshape(3, 3)


def corrected(percent: Floats, minutes: float, numbers: Floats) -> Floats:
    """Probabilities of being above, at a time to the close, by a, b and c at the knots."""
    a, b, c = numbers @ shares(np.array([minutes]))[0]
    inside = (percent > 0) & (percent < 100)
    x = np.log(np.where(inside, percent, 50) / np.where(inside, 100 - percent, 50))
    # Beyond that there are leftovers of rounding alone.
    x = np.clip(x, -25, 25)
    return np.where(inside, 100 / (1 + np.exp(-(a + b * x + c * x**3 / 20))), percent)
