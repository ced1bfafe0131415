"""Lookup in the predecessor's own fingerprints: the nearest cell, as scipy finds it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import griddata

from tests.support.engine import Connection, open_db
from tests.support.imported import BASELINE, import_set, read_set
from tests.support.nearest_by_brute_force import PRICE, Expected, Question, ask

SIZE = 20_000


@pytest.fixture(scope="module")
def legacy(module_dsn: str, shared_data: Path) -> Expected:
    found = read_set(shared_data / "legacy" / "btc")
    with open_db(module_dsn) as connection:
        import_set(connection, found)
    return Expected.imported(found)


def questions() -> list[Question]:
    """All buckets and the baseline; moves anywhere, on midpoints, at the gap and at the end."""
    dice = np.random.default_rng(62)
    # Midpoints of a grid without gaps, that of the gap, and within 1e-9 points of them or just not.
    midpoints = np.append(25.0 + 50.0 * dice.integers(0, 41, SIZE - 1), 1700.0)
    hairs = dice.choice([-1.2e-6, -0.8e-6, 0.8e-6, 1.2e-6], SIZE)
    moves = np.choose(
        dice.integers(0, 7, SIZE),
        [
            dice.uniform(0, 2500, SIZE),
            dice.uniform(0, 300, SIZE),
            dice.uniform(1600, 1800, SIZE),
            50.0 * dice.integers(0, 50, SIZE),
            dice.choice([1675.0, 1700.0, 1700.0, 1725.0, 1975.0, 2000.0, 60_000.0], SIZE),
            midpoints,
            dice.choice([1700.0, 1675.0, 1975.0, 2025.0, 25.0], SIZE) + hairs,
        ],
    )
    strikes = PRICE + moves * dice.choice([-1, 1], SIZE)
    momenta = np.choose(
        dice.integers(0, 4, SIZE),
        [
            dice.uniform(-40, 40, SIZE),
            dice.integers(-33, 33, SIZE) + 0.5,
            dice.integers(-32, 33, SIZE).astype(float),
            dice.choice([1e6, -1e6, 31.0, -31.0, 30.49, -30.51, -0.0, 1e300], SIZE),
        ],
    )
    times = np.choose(
        dice.integers(0, 3, SIZE),
        [
            dice.integers(0, 3701, SIZE),
            30 + 60 * dice.integers(0, 62, SIZE),
            dice.choice([0, 1, 29, 30, 89, 90, 91, 3569, 3570, 3571, 3600, 3700], SIZE),
        ],
    )
    is_baseline = dice.random(SIZE) < 0.05
    return [
        Question(strike, None if baseline else momentum, ttc)
        for strike, momentum, ttc, baseline in zip(
            strikes.tolist(), momenta.tolist(), times.tolist(), is_baseline.tolist(), strict=True
        )
    ]


def test_the_set_is_the_predecessors(legacy: Expected) -> None:
    assert {bucket for bucket, _ in legacy.cells} == {*range(-30, 31), BASELINE}
    assert len(legacy.cells) == 62 * 60
    assert legacy.thresholds == [Fraction(k, 20) for k in range(41) if k != 34]


def test_twenty_thousand_points(conn: Connection, legacy: Expected) -> None:
    cases = questions()
    found = ask(conn, cases)
    for question, answer in zip(cases, found, strict=True):
        assert answer == legacy.answer(question), question
    assert len({answer.fingerprint for answer in found}) == 62
    assert sum(1.65 < answer.move < 1.75 for answer in found) > 2000
    assert sum(answer.move > 2 for answer in found) > 2000


def is_near_a_tie(move: float, ttc: int) -> bool:
    """Scipy's answer on a tie depends on the order of its tree."""
    middles = [1.70, *(k / 20 + 0.025 for k in range(40) if k not in (33, 34))]
    return ttc % 60 == 30 or min(abs(move - middle) for middle in middles) < 1e-7


def test_the_same_as_scipy(conn: Connection, legacy: Expected) -> None:
    cases = questions()
    chosen: dict[str, list[tuple[float, float, float, float]]] = {}
    for question, answer in zip(cases, ask(conn, cases), strict=True):
        if not is_near_a_tie(answer.move, question.ttc):
            point = (question.ttc, answer.move, answer.positive, answer.negative)
            chosen.setdefault(answer.fingerprint, []).append(point)
    assert len(chosen) == 62
    assert sum(map(len, chosen.values())) > SIZE / 3
    axes = np.meshgrid(
        60.0 * np.arange(1, 61), [float(size) for size in legacy.thresholds], indexing="ij"
    )
    grid = np.stack([axis.ravel() for axis in axes], axis=1)
    for bucket in [*range(-30, 31), BASELINE]:
        points = np.array(chosen[legacy.name(None if bucket == BASELINE else bucket)])
        rows = [legacy.cells[bucket, minutes] for minutes in range(1, 61)]
        for values, column in (
            (np.array([row.positive for row in rows]), 2),
            (np.array([row.negative for row in rows]), 3),
        ):
            expected = griddata(grid, values.ravel(), points[:, :2], method="nearest", rescale=True)
            np.testing.assert_array_equal(points[:, column], expected)


@pytest.mark.parametrize(
    ("strike", "threshold"),
    [
        (101_650, "1.65"),
        (101_675, "1.65"),
        (101_699.99, "1.65"),
        (101_700, "1.65"),  # as far from 1.75, which is the larger move
        (101_700.01, "1.75"),
        (101_750, "1.75"),
        (98_300, "1.65"),
        (98_299.99, "1.75"),
        (101_975, "1.95"),
        (102_000, "2.00"),
        (102_000.01, "2.00"),
        (150_000, "2.00"),
        (50_000, "2.00"),
    ],
)
def test_the_gap_and_the_end_by_hand(
    conn: Connection, legacy: Expected, strike: float, threshold: str
) -> None:
    column = legacy.thresholds.index(Fraction(threshold))
    [answer] = ask(conn, [Question(strike, 0, 3600)])
    row = legacy.cells[0, 60]
    assert (answer.positive, answer.negative) == (row.positive[column], row.negative[column])
    assert row.positive[column] != row.positive[column - 1]
