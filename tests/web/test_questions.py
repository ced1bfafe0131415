"""Strikes, fingerprints and calibration over HTTP: values and errors of the SQL functions."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from psycopg.rows import dict_row

from pyupc.database.connect import connect
from tests.web.serving import Served, serving

Row = dict[str, Any]


def rows(dsn: str, query: str, *parameters: Any) -> list[Row]:
    with connect(dsn) as conn, conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), parameters).fetchall()


@pytest.mark.parametrize(
    ("query", "call"),
    [
        ("price=97250&ttc_seconds=900", "97250, ttc_seconds => 900"),
        ("price=97250&momentum=-7&ttc_seconds=61", "97250, -7, ttc_seconds => 61"),
        (
            "price=3333.3&momentum=0.5&symbol=eth&ttc_seconds=3600&step=7.5&levels=3&method=linear",
            "3333.3, 0.5, 'ETH', 3600, 7.5, 3, 'linear'",
        ),
        (
            "price=97250&ttc_seconds=900&model=baseline&levels=0",
            "97250, ttc_seconds => 900, model => 'baseline', levels => 0",
        ),
    ],
)
def test_strikes_are_those_of_compute_strikes(
    served: Served, market_dsn: str, query: str, call: str
) -> None:
    """By the defaults for what Kalshi settles, and as the predecessor answers where asked to."""
    found = served.document(f"/api/strikes?{query}")
    kinds = "" if "model" in query else ", model => 'volatility'"
    kinds += "" if "method" in query else ", method => 'linear'"
    calls = {
        "": f"{call}{kinds}, settlement => 'average'",
        "&method=nearest&model=momentum&settlement=close": call,
    }
    for more, asked in calls.items():
        if more and ("model" in query or "method" in query):
            continue
        found = served.document(f"/api/strikes?{query}{more}")
        assert found["strikes"] == rows(
            market_dsn, f"SELECT * FROM compute_strikes({asked}) ORDER BY strike"
        )
        assert found["stand_in"] is None


def test_replacements_are_shown(served: Served, market_dsn: str) -> None:
    """For a default that cannot be answered, as an average of which nobody has seen a part."""
    found = served.document("/api/strikes?price=97250&ttc_seconds=30")
    assert (found["model"], found["settlement"]) == ("volatility", "close")
    assert found["stand_in"].endswith("using settlement close")
    question = "97250, ttc_seconds => 30, model => 'volatility', method => 'linear'"
    assert found["strikes"] == rows(market_dsn, f"SELECT * FROM compute_strikes({question})")


def test_legacy_defaults(market_dsn: str) -> None:
    with serving(market_dsn, "--legacy") as legacy:
        found = legacy.document("/api/strikes?price=97250&momentum=7&ttc_seconds=30")
        assert found["strikes"] == rows(
            market_dsn, "SELECT * FROM compute_strikes(97250, 7, ttc_seconds => 30)"
        )
        asked = legacy.document("/api/strikes?price=97250&ttc_seconds=900&model=baseline")
        kinds = [asked[name] for name in ("model", "method", "settlement")]
        assert kinds == ["baseline", "nearest", "close"]


def test_without_a_time_it_is_to_the_hour(served: Served) -> None:
    began = time.time()
    found = served.document("/api/strikes?price=97250")["ttc_seconds"]
    # In the last second of an hour it is 0.
    assert 0 <= found <= 3600
    passed = (math.floor(-began) - found) % 3600
    assert passed <= time.time() - began + 1


@pytest.mark.parametrize(
    "query",
    [
        *("", "price=", "price=x", "price=-1", "price=0", "price=nan", "price=inf"),
        *("price=1&momentum=nan", "price=1&momentum=1e9", "price=1&ttc_seconds=-1"),
        *("price=1&ttc_seconds=1.5", "price=1&ttc_seconds=99999999999999999999"),
        *("price=1&step=0", "price=1&levels=501", "price=1&levels=-1", "price=1&method=cubic"),
        *("price=1&model=gaussian", "price=1&settlement=never", "price=1&symbol=B%00C"),
        *("price=1&symbol=", "price=1&symbol='; DROP TABLE upc_data.tick"),
    ],
)
def test_invalid_questions(served: Served, query: str) -> None:
    problem = served.problem(f"/api/strikes?{query}", 422)
    assert problem["detail"]
    assert problem["hint"]
    assert problem["errors"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("strikes?price=97250&ttc=60", "ttc"),
        ("strikes?price=97250&momentun=7", "momentun"),
        ("fingerprints/BTC/7?minutes=5", "minutes"),
        ("calibration/BTC?from=2026-01-01", "from"),
    ],
)
def test_a_mistyped_parameter_is_not_passed_over(served: Served, path: str, name: str) -> None:
    problem = served.problem(f"/api/{path}", 422)
    assert repr(name) in problem["detail"]
    assert problem["hint"]


def test_what_cannot_be_answered_now_is_a_conflict(served: Served) -> None:
    """In the last minute the average asks for prices that nobody has seen."""
    problem = served.problem("/api/strikes?price=97250&ttc_seconds=30&settlement=average", 409)
    assert problem["sqlstate"] == "UP021"
    assert problem["hint"]


@pytest.mark.parametrize(("path", "view"), [("baseline", "baseline"), ("7", "momentum_007")])
def test_a_fingerprint_is_its_view(served: Served, market_dsn: str, path: str, view: str) -> None:
    found = served.document(f"/api/fingerprints/btc/{path}")
    assert found["fingerprint"] == f"btc_fingerprint_directional_{view}"
    assert found["minutes"] == list(range(1, 61))
    assert [len(line) for line in found["matrix"]] == [120] * 60
    assert found["moves"] == [k / 20 for k in [*range(-59, 1), *range(60)]]
    expected = rows(
        market_dsn,
        f"SELECT * FROM analytics.{found['fingerprint']} ORDER BY minutes_to_close",
    )
    for line, row in zip(found["matrix"], expected, strict=True):
        numbers = [row[name] for name in found["columns"]]
        assert line == [None if each is None else float(each) for each in numbers]


@pytest.mark.parametrize(("path", "view"), [("baseline", "baseline"), ("7", "momentum_007")])
def test_a_fingerprint_of_standardised_moves(
    served: Served, market_dsn: str, path: str, view: str
) -> None:
    found = served.document(f"/api/fingerprints/btc/{path}?model=volatility")
    assert (found["fingerprint"], found["unit"]) == (f"btc_volatility_{view}", "deviations")
    [row] = rows(market_dsn, "SELECT upc.volatility_thresholds() AS thresholds")
    thresholds = [round(each, 3) for each in row["thresholds"]]
    assert found["moves"] == [*(-each for each in reversed(thresholds)), *thresholds]
    expected = rows(
        market_dsn, f"SELECT * FROM analytics.{found['fingerprint']} ORDER BY minutes_to_close"
    )
    for line, cells in zip(found["matrix"], expected, strict=True):
        numbers = [cells[name] for name in found["columns"]]
        assert line == [None if each is None else float(each) for each in numbers]


@pytest.mark.parametrize("owner", ["pooled", "*", "%2A"])
def test_the_pool_of_all_symbols(served: Served, owner: str) -> None:
    found = served.document(f"/api/fingerprints/{owner}/baseline")
    assert (found["fingerprint"], found["bucket"]) == (
        "pooled_fingerprint_directional_baseline",
        None,
    )
    assert found["matrix"][0][60] >= 50
    served.problem(f"/api/fingerprints/{owner}/7", 404)


def test_the_list_leads_to_every_owner(served: Served) -> None:
    listed = served.document("/api/fingerprints")["fingerprints"]
    names = {each["symbol"]: each["fingerprint"] for each in listed if each["bucket"] in (None, 99)}
    assert names.keys() == {"BTC", "ETH", "*"}
    for owner, name in names.items():
        found = served.document(f"/api/fingerprints/{owner}/baseline")
        assert found["fingerprint"] == name


@pytest.mark.parametrize(
    ("asked", "owner", "count"), [("btc", "BTC", 62), ("*", "*", 1), ("pooled", "*", 1)]
)
def test_the_list_of_one_owner(served: Served, asked: str, owner: str, count: int) -> None:
    listed = served.document("/api/fingerprints")["fingerprints"]
    found = served.document(f"/api/fingerprints?symbol={asked}")["fingerprints"]
    assert len(found) == count
    assert found == [each for each in listed if each["symbol"] == owner]


def test_the_list_of_an_owner_that_there_is_not(served: Served) -> None:
    assert served.problem("/api/fingerprints?symbol=DOGE", 404)["sqlstate"] == "UP002"
    served.problem("/api/fingerprints?symbol=", 422)
    served.problem("/api/fingerprints?symbol=a%20b", 422)


@pytest.mark.parametrize("bucket", ["31", "-31", "98"])
def test_a_bucket_that_there_is_not(served: Served, bucket: str) -> None:
    assert served.problem(f"/api/fingerprints/BTC/{bucket}", 404)["sqlstate"] == "UP024"


@pytest.mark.parametrize("bucket", ["x", "1.5", "1e1", "--1", "100", "Baseline"])
def test_what_is_no_bucket(served: Served, bucket: str) -> None:
    served.problem(f"/api/fingerprints/BTC/{bucket}", 422)


def test_all_fingerprints(served: Served, market_dsn: str) -> None:
    response = served.get("/api/fingerprints")
    found = response.json()["fingerprints"]
    assert len(found) == 125
    assert {each["fingerprint"] for each in found} == {
        row["fingerprint"] for row in rows(market_dsn, "SELECT fingerprint FROM fingerprint_list")
    }
    tag = response.headers["etag"]
    assert served.get("/api/fingerprints", headers={"If-None-Match": tag}).status_code == 304


def test_calibration_of_ticks_whose_outcome_is_known(served: Served, market_dsn: str) -> None:
    with connect(market_dsn) as conn:
        conn.execute(
            """
            INSERT INTO upc_data.tick (
                symbol, tick_id, ticked_at, feed, state, market_at, price, priced_at, ttc_seconds,
                method, fingerprint, strikes, prob_above, closes_at
            )
            SELECT
                'BTC', upc._next_id('BTC', 'tick'), c.opened_at, 'made_up', 'fresh', c.opened_at,
                c.close, c.opened_at, 60, 'nearest', 'f', ARRAY[1, 1e9], ARRAY[90, 20],
                c.opened_at + interval '1 minute'
            FROM upc_data.candle AS c
            WHERE c.symbol = 'BTC' AND c.opened_at = '2026-03-05 12:00+00'
            """
        )
    path = "/api/calibration/btc?since=2026-03-05T00:00:00Z&until=2026-03-06T00:00:00Z"
    found = served.document(path)
    assert (found["symbol"], found["unjudged_closes"]) == ("BTC", 0)
    [every] = [s for s in found["scores"] if s["bin"] is None and s["minutes_from"] is None]
    # One was certain to pay and given 90 %, one could not and was given 20 %.
    assert (every["questions"], every["events"]) == (2, 1)
    assert math.isclose(every["brier_score"], (0.1**2 + 0.2**2) / 2)
    assert served.document("/api/calibration/BTC?until=2026-03-05T00:00:00Z")["scores"] == []


@pytest.mark.parametrize("instant", ["yesterday", "0.5", "1700000000", "2026-13-01", "20260101"])
def test_what_is_no_instant(served: Served, instant: str) -> None:
    served.problem(f"/api/calibration/BTC?since={instant}", 422)


@pytest.mark.parametrize("model", ["momentum", "volatility"])
def test_the_bounds_that_openapi_names_are_those_that_hold(served: Served, model: str) -> None:
    """The least and the most of every number are answered, and 5e-324 and 1e308 are refused."""
    operation = served.document("/openapi.json")["paths"]["/api/strikes"]["get"]
    described = {each["name"]: each["schema"] for each in operation["parameters"]}
    numbers = {}
    for name, schema in described.items():
        for kind in schema.get("anyOf", [schema]):
            if kind.get("type") in ("number", "integer"):
                numbers[name] = (kind["minimum"], kind["maximum"])
    assert numbers.keys() == {"price", "momentum", "ttc_seconds", "step", "levels", "volatility"}
    for end in (0, 1):
        asked = "&".join(f"{name}={bounds[end]:.17g}" for name, bounds in numbers.items())
        response = served.get(f"/api/strikes?{asked}&symbol=BTC&model={model}&method=linear")
        assert response.status_code == 200, response.text
    for name in numbers:
        for wrong in {"5e-324", "1e308"} - ({"5e-324"} if name == "momentum" else set()):
            rest = "" if name == "price" else "price=97250&"
            served.problem(f"/api/strikes?{rest}symbol=BTC&{name}={wrong}", 422)
