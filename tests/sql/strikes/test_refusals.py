"""Refused questions: each error has a SQLSTATE of its own, a detail and a hint."""

from __future__ import annotations

import math
from typing import Any

import psycopg
import pytest

from tests.support.engine import Connection, put, walk

NOT_PRICES = [None, math.nan, math.inf, -math.inf, 0.0, -0.0, -97_250.0]
NOT_MOMENTA = [math.nan, math.inf, -math.inf]
NOT_SYMBOLS = [None, "", "btc", "XYZ", "*", "BTC ", "BTC'; --"]
NOT_METHODS = [None, "", "cubic", "Nearest"]
NOT_MODELS = [None, "", "gaussian", "Momentum", "shrunk"]
NOT_SETTLEMENTS = [None, "", "open", "Close"]
NOT_STEPS = [math.nan, math.inf, -math.inf, 0.0, -0.0, -250.0]
NOT_LEVELS = [None, -1, 501, 2**31 - 1, -(2**31)]
NOT_TIMES = [-1, -(2**31)]
NOT_VOLATILITIES = [math.nan, math.inf, -math.inf, 0.0, -0.5]

BOTH = [
    *(("UP001", {"price": value}) for value in NOT_PRICES),
    *(("UP002", {"symbol": value}) for value in NOT_SYMBOLS),
    *(("UP005", {"method": value}) for value in NOT_METHODS),
    *(("UP007", {"momentum": value}) for value in NOT_MOMENTA),
    *(("UP008", {"ttc_seconds": value}) for value in NOT_TIMES),
    *(("UP018", {"model": value}) for value in NOT_MODELS),
    *(("UP019", {"settlement": value}) for value in NOT_SETTLEMENTS),
    *(("UP020", {"volatility": value}) for value in NOT_VOLATILITIES),
    *(("UP001", {"observed": value}) for value in NOT_PRICES if value is not None),
]
STRIKES = [
    *BOTH,
    *(("UP003", {"step": value}) for value in NOT_STEPS),
    *(("UP004", {"levels": value}) for value in NOT_LEVELS),
    *(("UP001", {"strikes": [97_500.0, value]}) for value in NOT_PRICES),
]
PROBABILITY = [*BOTH, *(("UP001", {"strike": value}) for value in NOT_PRICES)]


BUILT = {"BTC": walk(80, "2026-01-05", 300)}


def call(conn: Connection, function: str, arguments: dict[str, Any]) -> int:
    named = ", ".join(f"{name} => %({name})s" for name in arguments)
    query = f"SELECT count(*) FROM upc.{function}({named})"
    [(count,)] = conn.execute(query.encode(), arguments).fetchall()
    return int(count)


def assert_refused(
    conn: Connection, function: str, arguments: dict[str, Any], sqlstate: str
) -> None:
    with pytest.raises(psycopg.Error) as caught:
        call(conn, function, arguments)
    assert caught.value.sqlstate == sqlstate
    diagnosis = caught.value.diag
    assert diagnosis.message_primary
    for sentence in (diagnosis.message_detail, diagnosis.message_hint):
        assert sentence
        assert sentence.endswith(".")


@pytest.mark.usefixtures("module_dsn")
@pytest.mark.parametrize(("sqlstate", "wrong"), STRIKES)
def test_compute_strikes(conn: Connection, sqlstate: str, wrong: dict[str, Any]) -> None:
    assert_refused(conn, "compute_strikes", {"price": 97_250, **wrong}, sqlstate)


@pytest.mark.usefixtures("module_dsn")
@pytest.mark.parametrize(("sqlstate", "wrong"), PROBABILITY)
def test_probability(conn: Connection, sqlstate: str, wrong: dict[str, Any]) -> None:
    arguments = {"price": 97_250, "strike": 97_500, **wrong}
    assert_refused(conn, "probability", arguments, sqlstate)


@pytest.mark.usefixtures("module_dsn")
def test_the_outermost_values_are_answered(conn: Connection) -> None:
    for arguments, count in (
        ({"price": 97_250, "levels": 0}, 1),
        ({"price": 200_000, "levels": 500}, 1001),
        ({"price": 97_250, "ttc_seconds": 0}, 21),
        ({"price": 97_250, "ttc_seconds": 2**31 - 1}, 21),
        ({"price": 97_250, "momentum": 1e308}, 21),
        ({"price": 97_250, "momentum": None, "step": None, "ttc_seconds": None}, 21),
        ({"price": 1e15}, 21),
        ({"price": 1e-9, "step": 1e-12}, 21),
    ):
        assert call(conn, "compute_strikes", arguments) == count


@pytest.mark.parametrize("symbol", ["BTC", "ETH"])
def test_no_fingerprint_at_all(db: Connection, symbol: str) -> None:
    """Without any build; a build that is not complete makes no difference."""
    put(db, "BTC", walk(81, "2026-01-05", 100))
    db.execute("SELECT upc.begin_build('BTC')")
    db.execute("SELECT upc.count_days('BTC', p.days) FROM upc.build_pieces('BTC') AS p")
    db.execute("SELECT upc.refresh_fingerprints()")
    with db.transaction(force_rollback=True):
        assert_refused(db, "compute_strikes", {"price": 97_250, "symbol": symbol}, "UP006")


def test_no_fingerprint_for_one_point(db: Connection) -> None:
    assert_refused(db, "probability", {"price": 97_250, "strike": 97_500}, "UP006")


@pytest.mark.parametrize(
    ("sqlstate", "wrong"),
    [
        ("UP001", {"price": -1.0}),
        ("UP002", {"symbol": "XYZ"}),
        ("UP003", {"step": 0.0}),
        ("UP004", {"levels": 501}),
        ("UP005", {"method": "cubic"}),
        ("UP007", {"momentum": math.nan}),
        ("UP008", {"ttc_seconds": -1}),
        ("UP018", {"model": "gaussian"}),
        ("UP019", {"settlement": "open"}),
    ],
)
def test_a_wrong_question_is_refused_as_such_without_fingerprints(
    db: Connection, sqlstate: str, wrong: dict[str, Any]
) -> None:
    assert_refused(db, "compute_strikes", {"price": 97_250, **wrong}, sqlstate)


@pytest.mark.parametrize("method", ["nearest", "linear"])
@pytest.mark.parametrize(("symbol", "sqlstate"), [("ETH", "UP020"), ("XYZ", "UP002")])
def test_a_volatility_without_curves(
    conn: Connection, symbol: str, sqlstate: str, method: str
) -> None:
    """The forecast is given, but nothing was counted that it could be looked up on."""
    arguments = {
        "price": 3500.0,
        "symbol": symbol,
        "ttc_seconds": 930,
        "method": method,
        "model": "volatility",
        "volatility": 0.3,
    }
    assert_refused(conn, "compute_strikes", arguments, sqlstate)
