"""Lookup of the cell: the nearest one, as scipy finds it; the rules decide between two."""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from psycopg import sql
from scipy.interpolate import griddata

from tests.support import brute_force
from tests.support.engine import Connection, build, open_db, put, scalar, walk

PRICE = 100_000.0
HISTORY = walk(60, "2026-01-05", 2000)
THRESHOLDS = [Fraction(k, 20) for k in range(60)]
HAIR = Fraction(1, 10**9)

ASK = """
    SELECT p.positive_prob, p.negative_prob, p.prob_above, p.move_percent, p.sample_size,
        p.fingerprint
    FROM unnest(%s::float8[], %s::float8[], %s::integer[])
        WITH ORDINALITY AS q (strike, momentum, ttc, i)
    CROSS JOIN LATERAL upc.probability(100000, q.strike, q.momentum, 'BTC', q.ttc) AS p
    ORDER BY q.i
"""


@pytest.fixture(scope="module")
def built(module_dsn: str) -> brute_force.Curves:
    with open_db(module_dsn) as connection:
        put(connection, "BTC", HISTORY)
        build(connection)
    return brute_force.fingerprints(HISTORY.minutes, HISTORY.closes)


@functools.cache
def nearest_column(move: float) -> int:
    """A tie within a hair goes to the smaller move."""
    distances = [abs(Fraction(move) - threshold) for threshold in THRESHOLDS]
    best = min(distances)
    return next(k for k, distance in enumerate(distances) if distance <= best + 2 * HAIR)


def nearest_row(minutes: list[int], ttc: int) -> int:
    return min(minutes, key=lambda m: (abs(60 * m - ttc), m))


def nearest_bucket(curves: brute_force.Curves, momentum: float) -> int:
    wanted = min(31, max(-31, round(momentum)))
    buckets = {bucket for bucket, _ in curves} - {brute_force.BASELINE}
    return min(buckets, key=lambda bucket: (abs(bucket - wanted), abs(bucket)))


def is_near_a_tie(move: float, ttc: int) -> bool:
    twentieths = move * 20
    return abs(twentieths - np.floor(twentieths) - 0.5) < 1e-6 or ttc % 60 == 30


def questions(size: int) -> tuple[list[float], list[float], list[int]]:
    """Strikes, momenta and times: anywhere, on the grid, on midpoints, and beyond the edges."""
    dice = np.random.default_rng(61)
    midpoints = 25.0 + 50.0 * dice.integers(0, 62, size)
    # Within 1e-9 points of a midpoint and just not; a point is 1000 USD here.
    hairs = dice.choice([-1.2e-6, -0.8e-6, 0.8e-6, 1.2e-6], size)
    kinds = [
        dice.uniform(0, 3200, size),
        dice.uniform(0, 60_000, size),
        50.0 * dice.integers(0, 62, size),
        midpoints,
        midpoints + hairs,
        dice.choice([0.0, 0.01, 24.99, 25.01, 2950.0, 2975.0, 1e-9], size),
    ]
    moves = np.choose(dice.integers(0, len(kinds), size), kinds)
    strikes = PRICE + moves * dice.choice([-1, 1], size)
    momenta = np.choose(
        dice.integers(0, 4, size),
        [
            dice.uniform(-35, 35, size),
            dice.integers(-32, 33, size) + 0.5,
            dice.integers(-31, 32, size).astype(float),
            dice.choice([1e6, -1e6, 31.0, -31.0, 31.5, -0.0, 1e300, -1e300], size),
        ],
    )
    times = np.choose(
        dice.integers(0, 4, size),
        [
            dice.integers(0, 3700, size),
            30 + 60 * dice.integers(0, 61, size),
            dice.choice([0, 1, 29, 30, 31, 89, 90, 91, 3569, 3570, 3571, 3600, 3601], size),
            dice.choice([86_400, 2**31 - 1, 4000], size),
        ],
    )
    return strikes.tolist(), momenta.tolist(), times.tolist()


def grids(curves: brute_force.Curves, bucket: int) -> tuple[list[int], NDArray[Any], NDArray[Any]]:
    minutes = sorted(m for b, m in curves if b == bucket)
    return (
        minutes,
        np.array([curves[bucket, m].positive for m in minutes]),
        np.array([curves[bucket, m].negative for m in minutes]),
    )


def test_ten_thousand_points(conn: Connection, built: brute_force.Curves) -> None:
    strikes, momenta, times = questions(10_000)
    answers = conn.execute(ASK, (strikes, momenta, times)).fetchall()
    wanted = list(zip(strikes, momenta, times, answers, strict=True))
    ties = 0
    for strike, momentum, ttc, (positive, negative, above, move, size, name) in wanted:
        assert move == 100 * abs(PRICE - strike) / PRICE
        bucket = nearest_bucket(built, momentum)
        assert name == f"btc_fingerprint_directional_momentum_{bucket:03d}"
        row = nearest_row([m for b, m in built if b == bucket], ttc)
        curve, column = built[bucket, row], nearest_column(move)
        assert (positive, negative) == (curve.positive[column], curve.negative[column])
        assert size == curve.sample_size
        assert above == (positive if strike > PRICE else 100 - negative)
        ties += is_near_a_tie(move, ttc)
    assert 2000 < ties < 8000


def test_the_same_as_scipy(conn: Connection, built: brute_force.Curves) -> None:
    """On ties scipy's answer depends on the order of its tree; they are tested by the rules."""
    strikes, momenta, times = questions(10_000)
    answers = conn.execute(ASK, (strikes, momenta, times)).fetchall()
    chosen: dict[int, list[tuple[float, int, float, float]]] = {}
    for momentum, ttc, answer in zip(momenta, times, answers, strict=True):
        # Far beyond the grid the two terms of a distance are too different for doubles.
        if ttc <= 7200 and not is_near_a_tie(answer[3], ttc):
            point = (float(answer[3]), ttc, float(answer[0]), float(answer[1]))
            chosen.setdefault(nearest_bucket(built, momentum), []).append(point)
    assert sum(map(len, chosen.values())) > 3000
    for bucket, points in chosen.items():
        minutes, positive, negative = grids(built, bucket)
        axes = np.meshgrid(60.0 * np.array(minutes), np.arange(60) / 20, indexing="ij")
        grid = np.stack([axis.ravel() for axis in axes], axis=1)
        table = np.array(points)
        for values, column in ((positive, 2), (negative, 3)):
            expected = griddata(
                grid, values.ravel(), table[:, [1, 0]], method="nearest", rescale=True
            )
            np.testing.assert_array_equal(table[:, column], expected)


def test_strikes_are_the_same_lookup(conn: Connection, built: brute_force.Curves) -> None:
    """1,001 strikes at a time, from no move at all to beyond the last threshold."""
    for momentum, ttc, step in (
        (3.0, 700, 8.0),
        (-31.0, 90, 25.0),
        (None, 3599, 6.25),
        (0.5, 0, 1),
    ):
        bucket = brute_force.BASELINE if momentum is None else nearest_bucket(built, momentum)
        curve = built[bucket, nearest_row([m for b, m in built if b == bucket], ttc)]
        rows = conn.execute(
            "SELECT strike, move_percent, positive_prob, negative_prob, sample_size "
            "FROM upc.compute_strikes(100000, %s, ttc_seconds => %s, step => %s, levels => 500)",
            (momentum, ttc, step),
        ).fetchall()
        assert len(rows) == 1001
        for strike, move, positive, negative, size in rows:
            column = nearest_column(100 * abs(PRICE - strike) / PRICE)
            assert move == 100 * abs(PRICE - strike) / PRICE
            assert (positive, negative) == (curve.positive[column], curve.negative[column])
            assert size == curve.sample_size


def test_the_named_view_has_the_answers(conn: Connection, built: brute_force.Curves) -> None:
    """The answer of `probability`, rounded, stands in the view of the fingerprint it names."""
    strikes, momenta, times = questions(200)
    for strike, momentum, ttc in zip(strikes, momenta, times, strict=True):
        [(positive, negative, _, move, _, name)] = conn.execute(
            ASK, ([strike], [momentum], [ttc])
        ).fetchall()
        cents = 5 * nearest_column(move)
        query = sql.SQL("SELECT {}, {} FROM {} WHERE minutes_to_close = %s").format(
            *(sql.Identifier(f"{way}_{cents // 100}_{cents % 100:02d}") for way in ("pos", "neg")),
            sql.Identifier("analytics", name),
        )
        bucket = nearest_bucket(built, momentum)
        row = nearest_row([m for b, m in built if b == bucket], ttc)
        rounded = "SELECT round(%s::float8::numeric, 2), round(%s::float8::numeric, 2)"
        assert (
            conn.execute(query, (row,)).fetchall()
            == conn.execute(rounded, (positive, negative)).fetchall()
        )


@pytest.mark.parametrize(
    ("ttc", "minutes"),
    [
        *[(0, 1), (1, 1), (60, 1), (89, 1), (90, 1), (91, 2), (120, 2), (150, 2), (151, 3)],
        *[(3569, 59), (3570, 59), (3571, 60), (3600, 60), (3601, 60), (2**31 - 1, 60)],
    ],
)
def test_time_to_close(conn: Connection, built: brute_force.Curves, ttc: int, minutes: int) -> None:
    """The baseline's sample sizes differ from minute to minute, so they identify the row."""
    query = "SELECT sample_size FROM upc.probability(100000, 100500, ttc_seconds => %s)"
    assert scalar(conn, query, ttc) == built[brute_force.BASELINE, minutes].sample_size


def test_move_ties_by_hand(conn: Connection, built: brute_force.Curves) -> None:
    curve = built[brute_force.BASELINE, 15]
    for strike, column in (
        (100_025, 0),
        (100_025.01, 1),
        (100_075, 1),
        (99_925, 1),
        (99_924.99, 2),
        (102_925, 58),
        (102_925.01, 59),
        (150_000, 59),
        (100_025.0000008, 0),
        (100_025.0000012, 1),
    ):
        query = "SELECT positive_prob FROM upc.probability(100000, %s, ttc_seconds => 900)"
        assert scalar(conn, query, strike) == curve.positive[column]
    assert len(set(curve.positive[[0, 1, 2]].tolist())) == 3
