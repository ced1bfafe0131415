"""Imported sets of any layout: which bucket, which minute and which threshold answers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.engine import Connection, open_db
from tests.support.imported import BASELINE, ImportedSet, coded, import_set
from tests.support.nearest_by_brute_force import PRICE, Expected, Question, ask

MINUTES = [2, 3, 10, 45, 90]
THRESHOLDS = ["0.01", "0.5", "0.55", "3"]
BUCKETS = {
    "ALL": range(-30, 31),
    "WIDER": range(-31, 32),
    "WIDEST": range(-50, 51),
    "HOLES": [-31, -12, -4, -3, 0, 1, 9, 31],
    "SPARSE": [-20, -4, 2, 10],
    "ABOVE": [3, 7, 8, 25],
    "BELOW": [-40, -39, -5],
    "BOTH": [-6, 6],
    "ZERO": [0],
    "LONE": [-17],
    "ENDS": [-98, 98],
    "NONE": [],
}
# Every integer and every half between two of them, further than any bucket.
MOMENTA = [k / 2 for k in range(-220, 221)]

PROPERTY = settings(
    deadline=None,
    max_examples=3,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)


@pytest.fixture(scope="module")
def sets(module_dsn: str) -> dict[str, Expected]:
    with open_db(module_dsn) as connection:
        connection.execute(
            "INSERT INTO upc_data.symbol (symbol, strike_step) SELECT unnest(%s::text[]), 250",
            (list(BUCKETS),),
        )
        found = {symbol: coded(buckets, MINUTES, THRESHOLDS) for symbol, buckets in BUCKETS.items()}
        for symbol, each in found.items():
            import_set(connection, each, symbol)
    return {symbol: Expected.imported(each, symbol.lower()) for symbol, each in found.items()}


def assert_nearest(conn: Connection, expected: Expected, questions: list[Question]) -> None:
    for question, answer in zip(questions, ask(conn, questions), strict=True):
        assert answer == expected.answer(question), question


@pytest.mark.slow
@pytest.mark.parametrize("symbol", BUCKETS)
def test_every_momentum(conn: Connection, sets: dict[str, Expected], symbol: str) -> None:
    dice = np.random.default_rng(len(symbol))
    strikes = PRICE + dice.uniform(-4000, 4000, len(MOMENTA))
    times = dice.integers(0, 6000, len(MOMENTA))
    cases = zip(strikes.tolist(), MOMENTA, times.tolist(), strict=True)
    assert_nearest(conn, sets[symbol], [Question(*each, symbol) for each in cases])
    far = [Question(PRICE + 1, momentum, 0, symbol) for momentum in (-1e300, -1e3, 1e3, 1e300)]
    assert_nearest(conn, sets[symbol], [*far, Question(PRICE, None, 60, symbol)])


@pytest.mark.parametrize(
    ("symbol", "momentum", "bucket"),
    [
        *[("ALL", 40, 30), ("ALL", 30.6, 30), ("WIDER", 40, 31), ("WIDER", 30.6, 31)],
        *[("WIDER", -30.5, -30), ("WIDER", -30.6, -31), ("WIDEST", 40, 40), ("WIDEST", 77, 50)],
        # 5 and -5 are as far from both of their neighbours, and go towards zero.
        *[("ABOVE", 5, 3), ("ABOVE", 5.6, 7), ("ABOVE", 16.4, 8), ("ABOVE", 16.6, 25)],
        *[("ABOVE", -90, 3), ("BELOW", -22, -5), ("BELOW", -22.6, -39), ("BELOW", 90, -5)],
        *[("SPARSE", -12, -4), ("SPARSE", -1, 2), ("SPARSE", 6, 2), ("SPARSE", 6.6, 10)],
        *[("BOTH", -1, -6), ("BOTH", 1, 6), ("LONE", 60, -17), ("NONE", 3, BASELINE)],
    ],
)
def test_buckets_by_hand(
    conn: Connection, sets: dict[str, Expected], symbol: str, momentum: float, bucket: int
) -> None:
    [answer] = ask(conn, [Question(PRICE + 1, momentum, 120, symbol)])
    assert answer.positive == sets[symbol].cells[bucket, 2].positive[0]


def test_every_second(conn: Connection, sets: dict[str, Expected]) -> None:
    cases = [Question(PRICE, 0, ttc, "WIDER") for ttc in range(5600)]
    assert_nearest(conn, sets["WIDER"], cases)


def test_moves(conn: Connection, sets: dict[str, Expected]) -> None:
    """Anywhere, on thresholds and midpoints, and a hair beside those; a point is 1000 USD."""
    middles = [255.0, 525.0, 1775.0]
    hairs = [-1.2e-6, -0.8e-6, 0.0, 0.8e-6, 1.2e-6]
    moves = [
        *np.random.default_rng(63).uniform(0, 3500, 1000).tolist(),
        *(middle + hair for middle in middles for hair in hairs),
        *(1000 * float(size) for size in THRESHOLDS),
        *(0.0, 1e-9, 90_000.0),
    ]
    for sign in (-1, 1):
        cases = [Question(PRICE + sign * move, 8, 600, "ABOVE") for move in moves]
        assert_nearest(conn, sets["ABOVE"], cases)


# Layouts by the dozen: one refresh publishes them all.


def publish(conn: Connection, found: list[ImportedSet]) -> None:
    """Each as the set of a symbol of its own, 0, 1, 2, …"""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO upc_data.symbol (symbol, strike_step) VALUES (%s, 250)",
            [(str(k),) for k in range(len(found))],
        )
        cursor.executemany(
            "INSERT INTO upc_data.fingerprint_import (symbol, thresholds, source, imported_at) "
            "VALUES (%s, %s::numeric[], 'a test', now())",
            [(str(k), each.thresholds) for k, each in enumerate(found)],
        )
        cursor.executemany(
            "INSERT INTO upc_data.imported_fingerprint (symbol, bucket, header, minutes) "
            "VALUES (%s, %s, '{}', '{}')",
            [
                (str(k), bucket)
                for k, each in enumerate(found)
                for bucket in {bucket for bucket, _ in each.curves}
            ],
        )
        cursor.executemany(
            "INSERT INTO upc_data.imported_curve (symbol, bucket, minutes, positive, negative) "
            "VALUES (%s, %s, %s, %s::numeric[], %s::numeric[])",
            [
                (str(k), *key, *curve)
                for k, each in enumerate(found)
                for key, curve in each.curves.items()
            ],
        )
    conn.execute("SELECT upc.refresh_fingerprints()")


buckets = st.sets(st.integers(-40, 40) | st.integers(-98, 98), min_size=1, max_size=12)
sizes = st.decimals(0, 5, places=2) | st.decimals(0, 100, places=4)


@PROPERTY
@given(st.lists(buckets, min_size=30, max_size=30))
def test_any_buckets(conn: Connection, chosen: list[set[int]]) -> None:
    found = [coded(sorted(each), [5], ["0.1"]) for each in chosen]
    with conn.transaction(force_rollback=True):
        publish(conn, found)
        cases = [
            Question(PRICE, momentum, 60, str(k))
            for k in range(len(found))
            for momentum in MOMENTA[::2]
        ]
        expected = [Expected.imported(each, str(k)) for k, each in enumerate(found)]
        for question, answer in zip(cases, ask(conn, cases), strict=True):
            assert answer == expected[int(question.symbol)].answer(question), question


@PROPERTY
@given(
    st.lists(
        st.tuples(
            st.sets(st.integers(0, 1440), min_size=1, max_size=20),
            st.sets(sizes, min_size=1, max_size=30),
        ),
        min_size=20,
        max_size=20,
    ),
    st.integers(0, 2**32),
)
def test_any_minutes_and_thresholds(
    conn: Connection, layouts: list[tuple[set[int], set[Fraction]]], seed: int
) -> None:
    dice = np.random.default_rng(seed)
    found = [
        coded([0], sorted(minutes), [f"{size}" for size in sorted(sizes)])
        for minutes, sizes in layouts
    ]
    with conn.transaction(force_rollback=True):
        publish(conn, found)
        cases: list[Question] = []
        for k, each in enumerate(found):
            moves = np.array([float(size) for size in each.thresholds])
            anchors = 60 * np.array([minutes for _, minutes in each.curves])
            middles = (moves[1:] + moves[:-1]) / 2
            for move, anchor, seconds in zip(
                [*moves, *middles, *dice.uniform(0, 110, 20)],
                dice.choice(anchors, 2 * len(moves) + 19),
                dice.integers(-1000, 1000, 2 * len(moves) + 19),
                strict=True,
            ):
                ttc = max(0, int(anchor) + int(seconds))
                cases.append(Question(PRICE + 1000 * float(move), 3, ttc, str(k)))
        expected = [Expected.imported(each, str(k)) for k, each in enumerate(found)]
        for question, answer in zip(cases, ask(conn, cases), strict=True):
            assert answer == expected[int(question.symbol)].answer(question), question
