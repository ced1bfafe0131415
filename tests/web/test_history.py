"""History and closed events over HTTP: the numbers of the SQL functions, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pyupc.database.connect import connect
from tests.support.contracts import rows
from tests.web.serving import Served


@pytest.fixture(scope="module", autouse=True)
def ticked(market_dsn: str) -> datetime:
    """Ten live ticks, a second apart."""
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=30)
    with connect(market_dsn) as conn:
        for k in range(10):
            conn.execute(
                "SELECT upc.record_price('BTC', 'one', %s, received_at => %s)",
                [100_000 + k, at + timedelta(seconds=k)],
            )
            conn.execute("SELECT upc.tick('BTC', 'database', %s)", [at + timedelta(seconds=k)])
    return at


def test_the_last_hour_by_default(served: Served, market_dsn: str) -> None:
    found = served.document("/api/history/btc")
    assert (found["symbol"], found["every_seconds"]) == ("BTC", 1)
    assert found["contracts"] == found["trades"] == []
    with connect(market_dsn) as conn:
        logged = rows(conn, "SELECT * FROM upc_data.tick WHERE symbol = 'BTC' ORDER BY ticked_at")
    ticks = found["ticks"]
    assert ticks["price"] == [row["price"] for row in logged]
    assert [datetime.fromisoformat(at) for at in ticks["at"]] == [
        row["ticked_at"] for row in logged
    ]
    assert ticks["momentum_bps"] == [row["momentum"] for row in logged]
    assert {len(column) for column in ticks.values()} == {10}


def test_a_step_and_a_span(served: Served, ticked: datetime) -> None:
    since = ticked + timedelta(seconds=2)
    query = {
        "since": since.isoformat(),
        "until": (ticked + timedelta(seconds=9)).isoformat(),
        "every": "2",
    }
    response = served.get("/api/history/BTC", params=query)
    assert response.headers["cache-control"] == "no-store"
    found = response.json()["ticks"]
    # Steps begin at even seconds: the first of each, from the third tick to the ninth.
    seconds = [ticked + timedelta(seconds=k) for k in range(2, 9)]
    firsts = [at for k, at in enumerate(seconds) if k == 0 or at.second % 2 == 0]
    assert [datetime.fromisoformat(at) for at in found["at"]] == firsts


@pytest.mark.parametrize(
    "query",
    [
        "every=0",
        "every=1.5",
        "since=yesterday",
        "minutes=5",
        "&".join(f"ticker=T{k}" for k in range(51)),
    ],
)
def test_what_is_refused(served: Served, query: str) -> None:
    assert served.problem(f"/api/history/BTC?{query}", 422)["hint"]


def test_closed_events_of_a_symbol_without_any(served: Served) -> None:
    found = served.document("/api/events/eth?most=5&before=2026-03-05T12:00:00Z")
    assert found == {
        **{"symbol": "ETH", "before": "2026-03-05T12:00:00.000000+00:00"},
        **{"events": [], "days": []},
    }
    assert served.problem("/api/events/ETH?most=201", 422)


@pytest.mark.parametrize("path", ["history", "events"])
def test_a_symbol_that_is_not_registered(served: Served, path: str) -> None:
    assert served.problem(f"/api/{path}/XYZ", 404)["sqlstate"] == "UP002"
