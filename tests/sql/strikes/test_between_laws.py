"""Laws of probability_between: no strike is likelier to be reached than a lower one, a range is the
difference of two, and what lies beside each other sums to 100."""

from __future__ import annotations

import math
from itertools import pairwise, product

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.between_reference import Bound, Question, between, stepwise_candles
from tests.support.engine import Connection
from tests.support.imported import ImportedSet, coded, import_set, use
from tests.support.readings import (
    METHODS,
    MODELS,
    PLAIN_MODELS,
    PRICE,
    SETTLEMENTS,
    Floats,
    column,
    strikes,
)

BUILT = {"BTC": stepwise_candles(181)}
PROPERTY = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ANSWERS = list(product(MODELS, METHODS, SETTLEMENTS))
# Numbers that rise with the move, and sides that sum to anything at the price.
RISING = coded([-8, 0, 3], [2, 3, 10, 45], ["0", "0.05", "0.2", "0.9", "1.7"])
WITHOUT_ZERO = coded([0, 9], [1, 30], ["0.1", "0.25", "1.5"], first=700)

momenta = st.none() | st.floats(-40, 40)
times = st.integers(0, 3600) | st.integers(0, 60)
observed = st.floats(0.999, 1.001).map(lambda share: PRICE * share)
ladders = st.lists(
    st.floats(0.5, 1.5)
    | st.floats(0.9995, 1.0005)
    | st.floats(0.98, 1.02)
    | st.sampled_from([1 - 0.00025, 1.0, 1 + 0.00025, 1 - 1e-9, 1 + 1e-9]),
    min_size=2,
    max_size=25,
).map(lambda shares: sorted({PRICE * share for share in shares}))


def probabilities(conn: Connection, question: Question, pairs: list[tuple[Bound, Bound]]) -> Floats:
    return column(between(conn, question, pairs), "probability")


def assert_coherent(conn: Connection, question: Question, edges: list[float]) -> None:
    ranges = probabilities(conn, question, list(pairwise([None, *edges, None])))
    aboves = probabilities(conn, question, [(edge, None) for edge in edges])
    belows = probabilities(conn, question, [(None, edge) for edge in edges])
    assert np.all(np.diff(aboves) <= 1e-9)
    assert np.all(ranges >= 0)
    assert np.all((aboves >= 0) & (aboves <= 100))
    np.testing.assert_allclose(belows, 100 - aboves, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ranges[1:-1], aboves[:-1] - aboves[1:], rtol=0, atol=1e-9)
    assert abs(math.fsum(ranges) - 100) <= 1e-9
    [widest] = probabilities(conn, question, [(edges[0], edges[-1])]) if len(edges) > 1 else [0]
    assert widest == pytest.approx(math.fsum(ranges[1:-1]), abs=1e-9)


@pytest.mark.parametrize(("model", "method", "settlement"), ANSWERS)
@PROPERTY
@given(momentum=momenta, ttc=times, edges=ladders, seen=observed)
def test_laws(
    conn: Connection,
    model: str,
    method: str,
    settlement: str,
    momentum: float | None,
    ttc: int,
    edges: list[float],
    seen: float,
) -> None:
    question = Question(ttc, model, method, settlement, momentum, observed=seen)
    assert_coherent(conn, question, edges)


@pytest.mark.parametrize("settlement", SETTLEMENTS)
@pytest.mark.parametrize("method", METHODS)
@PROPERTY
@given(momentum=momenta, ttc=st.integers(3601, 86_400), edges=ladders)
def test_laws_beyond_an_hour(
    conn: Connection,
    method: str,
    settlement: str,
    momentum: float | None,
    ttc: int,
    edges: list[float],
) -> None:
    assert_coherent(conn, Question(ttc, "volatility", method, settlement, momentum), edges)


@pytest.mark.parametrize("found", [RISING, WITHOUT_ZERO], ids=["rising", "without_zero"])
@pytest.mark.parametrize("method", METHODS)
def test_laws_of_imported_numbers(conn: Connection, method: str, found: ImportedSet) -> None:
    import_set(conn, found)
    use(conn, "imported")
    edges = (PRICE * (1 + np.linspace(-0.02, 0.02, 33))).tolist()
    for model, settlement, momentum in product(PLAIN_MODELS, SETTLEMENTS, (None, -7.0, 2.0)):
        for ttc in (0, 40, 100, 1500, 3600):
            question = Question(ttc, model, method, settlement, momentum, observed=PRICE - 20)
            assert_coherent(conn, question, edges)
            for row in between(conn, question, [(PRICE - 1, PRICE + 1)]):
                is_decided = row["prob_low"] is not None
                assert is_decided is (ttc == 0 and (settlement == "average" or method == "linear"))


@pytest.mark.parametrize(("model", "method", "settlement"), ANSWERS)
def test_as_compute_strikes(conn: Connection, model: str, method: str, settlement: str) -> None:
    """Where that is coherent: not in the cell beside the price of plain, nearest moves."""
    edges = (PRICE * (1 + np.linspace(-0.03, 0.03, 47))).tolist()
    is_plain = method == "nearest" and model != "volatility"
    for momentum, ttc in product((None, 4.2), (0, 7, 59, 60, 910, 3600)):
        question = Question(ttc, model, method, settlement, momentum, observed=PRICE + 30)
        rows = between(conn, question, [(edge, None) for edge in edges])
        expected = strikes(conn, strikes=edges, **question.named())
        for row, strike in zip(rows, expected, strict=True):
            if is_plain and strike["move_percent"] < 0.1:
                continue
            assert row["probability"] == pytest.approx(strike["prob_above"], abs=1e-12)
            for name in ("prob_low", "prob_high"):
                assert row[name] == pytest.approx(strike[name], abs=1e-9)
            for name in ("sample_size", "fingerprint", "deviation"):
                assert row[name] == strike[name]


def test_the_sides_meet_in_the_middle(conn: Connection) -> None:
    """Within half a threshold of the price; compute_strikes has more above it than below it."""
    for model in PLAIN_MODELS:
        question = Question(60, model, "nearest", "close")
        below, above = (PRICE * (1 - 0.0002), PRICE * (1 + 0.0002))
        found = probabilities(conn, question, [(below, None), (PRICE, None), (above, None)])
        rows = strikes(conn, strikes=[below, PRICE, above], **question.named())
        sides = column(rows, "prob_above")
        assert sides[0] == sides[1] < sides[2]
        np.testing.assert_allclose(found, (sides[0] + sides[2]) / 2, rtol=0, atol=1e-9)


WRONG = [
    (None, None),
    (PRICE, PRICE),
    (PRICE + 1, PRICE),
    *((value, None) for value in (math.nan, math.inf, -math.inf, 0.0, -0.0, -PRICE)),
    *((None, value) for value in (math.nan, math.inf, -math.inf, 0.0, -PRICE)),
    (math.nan, PRICE),
    (PRICE, math.nan),
    (PRICE, math.inf),
    (-1.0, PRICE),
]


@pytest.mark.parametrize(("lower", "upper"), WRONG)
def test_refused_bounds(conn: Connection, lower: Bound, upper: Bound) -> None:
    with pytest.raises(psycopg.Error) as caught:
        between(conn, Question(900, "momentum", "nearest", "close"), [(lower, upper)])
    assert caught.value.sqlstate == "UP031"
    assert caught.value.diag.message_detail
    assert caught.value.diag.message_hint


@pytest.mark.parametrize(
    ("sqlstate", "wrong"),
    [
        ("UP001", {"price": math.nan}),
        ("UP001", {"price": None}),
        ("UP001", {"price": -1.0}),
        ("UP001", {"observed": 0.0}),
        ("UP002", {"symbol": "XYZ"}),
        ("UP002", {"symbol": "XYZ", "ttc_seconds": 5000}),
        ("UP002", {"symbol": None}),
        ("UP005", {"method": "cubic"}),
        ("UP006", {"symbol": "ETH"}),
        ("UP007", {"momentum": math.inf}),
        ("UP008", {"ttc_seconds": -1}),
        ("UP018", {"model": "gaussian"}),
        ("UP018", {"model": None}),
        ("UP019", {"settlement": "open"}),
        ("UP020", {"volatility": -0.1}),
        ("UP020", {"variances": [1.0]}),
        ("UP020", {"symbol": "ETH", "model": "volatility"}),
        ("UP021", {"settlement": "average", "ttc_seconds": 30}),
    ],
)
def test_refused_questions(conn: Connection, sqlstate: str, wrong: dict[str, object]) -> None:
    if sqlstate == "UP006":
        conn.execute("DELETE FROM upc_data.fingerprint_grid WHERE symbol = 'ETH'")
    arguments = {"price": PRICE, "lower": PRICE, "upper": PRICE + 1, "ttc_seconds": 900, **wrong}
    named = ", ".join(f"{name} => %({name})s" for name in arguments)
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(f"SELECT upc.probability_between({named})".encode(), arguments)
    assert caught.value.sqlstate == sqlstate
    assert caught.value.diag.message_hint


def test_huge_and_tiny_bounds(conn: Connection) -> None:
    for model, method in product(MODELS, METHODS):
        question = Question(900, model, method, "close")
        found = probabilities(conn, question, [(1e-300, None), (1e308, None), (1e-300, 1e308)])
        assert found[0] > 99
        assert found[1] < 1
        assert found[2] == pytest.approx(found[0] - found[1], abs=1e-9)


def test_the_time_to_the_next_hour(conn: Connection) -> None:
    """NULL asks for it, by the clock of the statement."""
    [row] = conn.execute(
        "SELECT a.probability, b.probability FROM upc.probability_between(%(p)s, %(l)s, NULL) AS a "
        "CROSS JOIN upc.probability_between(%(p)s, %(l)s, NULL, "
        "ttc_seconds => upc._seconds_to_hour(statement_timestamp())) AS b",
        {"p": PRICE, "l": PRICE * 1.002},
    ).fetchall()
    assert row[0] == row[1]
