"""The documents of the API: byte by byte those of the database, and marked when they are old."""

from __future__ import annotations

import json
import math
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from pyupc.database.connect import connect
from tests.support.market import pyupc
from tests.web.serving import Served

NAMES = ("live_probabilities", "strike_table", "watchlist", "contracts")


@pytest.fixture(scope="module", autouse=True)
def ticked(market_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both symbols have ticked, and the files of that tick."""
    folder = tmp_path_factory.mktemp("live")
    done = pyupc(market_dsn, "tick", "--feed", "replay", "--once", "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


def one(dsn: str, query: str, *parameters: Any) -> Any:
    with connect(dsn) as conn:
        row = conn.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row[0]


def set_age(dsn: str, seconds: float) -> None:
    """Set the age of the last ticks."""
    with connect(dsn) as conn:
        conn.execute(
            "UPDATE upc_data.tick SET ticked_at = clock_timestamp() - make_interval(secs => %s)",
            (seconds,),
        )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("symbol", ["BTC", "eth"])
def test_a_document_is_the_file(
    served: Served, market_dsn: str, ticked: Path, name: str, symbol: str
) -> None:
    set_age(market_dsn, 1)
    response = served.get(f"/api/{name}/{symbol}")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.content == (ticked / f"{symbol.lower()}_{name}.json").read_bytes()


def test_the_legacy_path_of_the_strike_table(served: Served, market_dsn: str) -> None:
    set_age(market_dsn, 1)
    assert (
        served.get("/api/strike_tables/btc").content == served.get("/api/strike_table/BTC").content
    )


def test_who_has_it_already_gets_nothing(served: Served, market_dsn: str) -> None:
    set_age(market_dsn, 1)
    first = served.get("/api/strike_table/BTC")
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    known = [tag, f"W/{tag}", f'"other", {tag}', "*"]
    for line in known:
        again = served.get("/api/strike_table/BTC", headers={"If-None-Match": line})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    other = served.get("/api/strike_table/BTC", headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)
    # The same tick's document changes as it ages.
    set_age(market_dsn, 20)
    older = served.get("/api/strike_table/BTC", headers={"If-None-Match": tag})
    assert older.status_code == 200


def test_a_number_that_comes_again_is_another_tick(served: Served, market_dsn: str) -> None:
    """After a restore, the numbers of ticks go on from where the copy was made."""
    set_age(market_dsn, 1)
    tag = served.get("/api/strike_table/BTC").headers["etag"]
    set_age(market_dsn, 2)
    again = served.get("/api/strike_table/BTC", headers={"If-None-Match": tag})
    assert again.status_code == 200


def test_whoever_asks_for_the_head_gets_it(served: Served, market_dsn: str) -> None:
    set_age(market_dsn, 1)
    for path in ("/", "/live", "/api/strike_table/BTC", "/static/app.css", "/openapi.json"):
        whole = served.get(path)
        head = httpx.head(served.address + path, timeout=20)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == whole.headers["content-length"]


@pytest.mark.parametrize(
    ("age", "state", "has_probability"),
    [(20, "warn", True), (45, "stale", True), (100, "halted", False), (-100, "halted", False)],
)
def test_an_old_tick_says_so(
    served: Served, market_dsn: str, age: float, state: str, has_probability: bool
) -> None:
    set_age(market_dsn, age)
    live = served.document("/api/live_probabilities/BTC")
    assert live["state"] == state
    ticked_at = one(market_dsn, "SELECT ticked_at FROM upc_data.tick WHERE symbol = 'BTC'")
    assert f"{ticked_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" in live["problem"]
    rows = live["probabilities"]
    assert len(rows) == 21
    for row in rows:
        assert (row["prob_within"] is not None) == has_probability
    assert served.document("/api/price/BTC")["state"] == state
    assert (served.document("/api/price/BTC")["price"] is not None) == has_probability
    assert served.document("/api/momentum/BTC")["state"] == state
    assert served.document("/api/ttc/BTC")["state"] == state
    [btc, _] = served.document("/api/symbols")["symbols"]
    assert (btc["symbol"], btc["state"]) == ("BTC", state)


def test_the_settings_of_the_database_say_when(served: Served, market_dsn: str) -> None:
    name = one(market_dsn, "SELECT current_database()")
    with connect(market_dsn) as conn:
        conn.execute(f"ALTER DATABASE \"{name}\" SET upc.fresh_for = '1 hour'".encode())
    try:
        set_age(market_dsn, 100)
        with connect(market_dsn) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'pyupc serve' AND datname = current_database()"
            )
        assert served.document("/api/price/BTC")["state"] == "fresh"
    finally:
        with connect(market_dsn) as conn:
            conn.execute(f'ALTER DATABASE "{name}" RESET upc.fresh_for'.encode())
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'pyupc serve' AND datname = current_database()"
            )


def test_price_momentum_and_time_to_the_close(served: Served, market_dsn: str) -> None:
    began = time.monotonic()
    set_age(market_dsn, 2)
    live = json.loads(served.get("/api/live_probabilities/BTC").text)
    table = json.loads(served.get("/api/strike_table/BTC").text)
    price = served.document("/api/price/BTC")
    assert price["price"] == live["current_price"] == served.document("/api/btc_price")["price"]
    momentum = served.document("/api/momentum/btc")
    assert momentum["momentum_bps"] == live["momentum_bps"]
    assert momentum["deltas"] == table["momentum"]["deltas"]
    score = served.document("/api/momentum_score")
    assert score["weighted_score"] == score["momentum_score"] == live["momentum_score"]
    ttc = served.document("/api/ttc/BTC")
    # It has counted down since the tick, two seconds and as long as this has taken ago.
    then, passed = live["ttc_seconds"], math.ceil(time.monotonic() - began)
    assert max(0, then - 3 - passed) <= ttc["ttc_seconds"] <= max(0, then - 2)
    closes_at = datetime.fromisoformat(ttc["closes_at"])
    market_at = datetime.fromisoformat(ttc["market_at"])
    assert ttc["ttc_seconds"] == max(0, int((closes_at - market_at).total_seconds()))
    unified = served.document("/api/unified_ttc/btc")
    passed = math.ceil(time.monotonic() - began)
    assert 0 <= ttc["ttc_seconds"] - unified["ttc_seconds"] <= 1 + passed


def test_the_time_to_the_close_ends_at_zero(served: Served, market_dsn: str) -> None:
    set_age(market_dsn, 7200)
    assert served.document("/api/ttc/BTC")["ttc_seconds"] == 0


def test_trades_of_all_and_of_one(served: Served, market_dsn: str) -> None:
    set_age(market_dsn, 1)
    every = served.document("/api/active_trades")
    assert (every["active_trades"], every["count"]) == ([], 0)
    assert every["states"] == {"BTC": "fresh", "ETH": "fresh"}
    assert served.document("/api/active_trades?symbol=eth")["states"] == {"ETH": "fresh"}
    assert served.get("/api/active_trades").headers["cache-control"] == "no-store"


def test_a_symbol_that_nobody_ticks(served: Served, market_dsn: str) -> None:
    with connect(market_dsn) as conn:
        conn.execute("DELETE FROM upc_data.document WHERE symbol = 'ETH'")
    for path in ("live_probabilities", "price", "ttc", "momentum", "watchlist"):
        problem = served.problem(f"/api/{path}/ETH", 404)
        assert "pyupc tick" in problem["hint"]
    assert served.document("/api/symbols")["symbols"][1]["tick_id"] is None


@pytest.mark.parametrize("name", [*NAMES, "price", "ttc", "momentum", "stream", "calibration"])
def test_an_unknown_symbol(served: Served, name: str) -> None:
    problem = served.problem(f"/api/{name}/DOGE", 404)
    assert problem["sqlstate"] == "UP002"
    assert "BTC" in problem["hint"]
