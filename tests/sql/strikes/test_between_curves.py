"""probability_between for every model, method and settlement, beside numpy on the stored curves."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from tests.support.between_reference import (
    Bound,
    Question,
    above,
    between,
    interval,
    stepwise_candles,
)
from tests.support.engine import Connection
from tests.support.readings import METHODS, MODELS, PLAIN_MODELS, PRICE, SETTLEMENTS, Floats, column

BUILT = {"BTC": stepwise_candles(180)}
MOMENTA = (None, 0.4, -6.7, 44.0)
TIMES = (0, 1, 20, 59, 60, 61, 145, 885, 930, 2745, 3599, 3600)
FAR_TIMES = (3601, 3650, 4050, 4500, 5_401, 20_000, 86_400)

# On and around the price, within a cell of it, and far beyond the grid.
EDGES: list[float] = (
    PRICE * (1 + np.array([-0.9, -0.04, -0.011, -0.003, -0.0004, -0.0001, 0, 0.0001]))
).tolist() + (PRICE * (1 + np.array([0.00026, 0.001, 0.0042, 0.02, 0.5]))).tolist()
PAIRS: list[tuple[Bound, Bound]] = [
    *pairwise([None, *EDGES, None]),
    *((edge, None) for edge in EDGES),
    *((None, edge) for edge in EDGES),
    (EDGES[2], EDGES[-3]),
    (EDGES[4], EDGES[5]),
]


def expected(conn: Connection, question: Question) -> tuple[Floats, Floats, Floats]:
    """The probabilities of PAIRS, and both ends of their intervals."""
    bounds = np.array(EDGES)
    found, effective, weighted = above(conn, question, bounds)
    by_bound: dict[Bound, float] = dict(zip(EDGES, found.tolist(), strict=True))
    percent = np.array(
        [
            (100 if lower is None else by_bound[lower]) - (0 if upper is None else by_bound[upper])
            for lower, upper in PAIRS
        ]
    )
    if np.isinf(effective):
        return percent, percent, percent
    return percent, *interval(percent, effective, weighted)


def assert_as_expected(conn: Connection, question: Question) -> None:
    rows = between(conn, question, PAIRS)
    percent, low, high = expected(conn, question)
    np.testing.assert_allclose(column(rows, "probability"), percent, rtol=0, atol=1e-9)
    np.testing.assert_allclose(column(rows, "prob_low"), low, rtol=0, atol=1e-9)
    np.testing.assert_allclose(column(rows, "prob_high"), high, rtol=0, atol=1e-9)
    assert np.all(column(rows, "probability") >= 0)


@pytest.mark.parametrize("settlement", SETTLEMENTS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_up_to_an_hour(conn: Connection, model: str, method: str, settlement: str) -> None:
    for momentum, ttc in product(MOMENTA, TIMES):
        seen = PRICE * (1 + (ttc - 30) / 1e6) if ttc < 60 else None
        question = Question(ttc, model, method, settlement, momentum, observed=seen)
        assert_as_expected(conn, question)
        [row, *_] = between(conn, question, PAIRS[:1])
        assert row["used_model"] == model
        assert row["reason"] is None


@pytest.mark.parametrize("settlement", SETTLEMENTS)
@pytest.mark.parametrize("method", METHODS)
def test_a_volatility_that_is_given(conn: Connection, method: str, settlement: str) -> None:
    for ttc in (20, 61, 930, 3600, 20_000):
        for volatility in (0.02, 0.7):
            question = Question(
                ttc, "volatility", method, settlement, 3.0, volatility, observed=PRICE - 2
            )
            assert_as_expected(conn, question)
            if ttc >= 60:
                [row, *_] = between(conn, question, PAIRS[:1])
                assert row["deviation"] == volatility


@pytest.mark.parametrize("settlement", SETTLEMENTS)
@pytest.mark.parametrize("method", METHODS)
def test_beyond_an_hour(conn: Connection, method: str, settlement: str) -> None:
    """Curves of their own up to a day; without them that of 60 minutes, by the forecast."""
    for is_counted, used in ((True, "volatility"), (False, "volatility_60m")):
        if not is_counted:
            conn.execute("DELETE FROM upc_data.horizon_curve")
        for momentum, ttc in product((None, -2.0), FAR_TIMES):
            question = Question(ttc, "volatility", method, settlement, momentum)
            assert_as_expected(conn, question)
            [row, *_] = between(conn, question, PAIRS[:1])
            seconds = ttc if settlement == "close" else ttc - 39.5
            # Up to there an hour is the nearest.
            own = 4050 if method == "nearest" else 3600
            assert row["used_model"] == (used if seconds > own else "volatility")
            assert row["reason"] is None


def test_the_hour_is_no_step(conn: Connection) -> None:
    for settlement in SETTLEMENTS:
        at, after = (
            column(
                between(conn, Question(ttc, "volatility", "linear", settlement), PAIRS),
                "probability",
            )
            for ttc in (3600, 3601)
        )
        np.testing.assert_allclose(after, at, rtol=0, atol=0.1)


@pytest.mark.parametrize(
    ("model", "ttc"),
    [*product(PLAIN_MODELS, (3601, 86_400)), *product(MODELS, (86_401, 2**31 - 1))],
)
def test_too_far(conn: Connection, model: str, ttc: int) -> None:
    """NULL with a reason, not the numbers of an hour."""
    for method, settlement in product(METHODS, SETTLEMENTS):
        rows = between(conn, Question(ttc, model, method, settlement, 3.0), PAIRS)
        assert len(rows) == len(PAIRS)
        for row in rows:
            assert row.pop("reason")
            assert set(row.values()) == {None}


@pytest.mark.parametrize("settlement", SETTLEMENTS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_many_at_once(conn: Connection, model: str, method: str, settlement: str) -> None:
    """As one by one, to the last digit; without any bound there is no probability."""
    names = ("probability", "prob_low", "prob_high")
    for ttc in (0, 25, 1000):
        question = Question(ttc, model, method, settlement, 5.0, observed=PRICE + 7)
        named = question.named()
        arguments = ", ".join(f"{name} => %s" for name in named)
        rows = conn.execute(
            f"SELECT {', '.join(f'b.{name}' for name in names)} FROM upc._bounds_reading("
            f"upc._make_question(%s, {arguments})) AS r CROSS JOIN LATERAL "
            "upc._bounds_probabilities(r, %s, %s, %s, %s) AS b ORDER BY b.place".encode(),
            [
                PRICE,
                *named.values(),
                method == "linear",
                PRICE,
                [lower for lower, _ in PAIRS] + [None],
                [upper for _, upper in PAIRS] + [None],
            ],
        ).fetchall()
        single = between(conn, question, PAIRS)
        assert rows[:-1] == [tuple(row[name] for name in names) for row in single]
        assert rows[-1] == (None, None, None)
