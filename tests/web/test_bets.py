"""Bets over HTTP: those of the stored document."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from pyupc.database.connect import connect
from tests.support.contract_rows import Contract, Event
from tests.support.engine import open_db
from tests.web.serving import Served


@pytest.fixture(scope="module", autouse=True)
def ticked(market_dsn: str) -> None:
    now = datetime.now(UTC)
    with open_db(market_dsn) as conn:
        for name, strike in (("A", 90_000), ("B", 110_000)):
            Event(
                *(f"KXBTCD-{name}", "KXBTCD", now + timedelta(minutes=50), now),
                (Contract(f"{name}-1", Decimal(strike)),),
            ).put(conn)
        conn.execute("SELECT upc.record_price('BTC', 'one', 100000)")
        conn.execute("SELECT upc.tick('BTC', 'database')")


def test_they_are_those_of_the_document(served: Served, market_dsn: str) -> None:
    response = served.get("/api/bets/btc")
    assert response.headers["cache-control"] == "no-store"
    found = response.json()
    with connect(market_dsn) as conn:
        row = conn.execute("SELECT contracts FROM upc_data.document").fetchone()
    assert row is not None
    stored = json.loads(row[0])
    assert found["tick_id"] == stored["tick_id"]
    assert found["bets"] == stored["bets"]
    assert found["best_of_rest"] == stored["best_of_rest"]
    assert [bet["ticker"] for bet in found["bets"]] == ["A-1", "B-1"]
    assert (found["count"], found["bankroll"], found["suggest_bets"]) == (2, None, True)
    assert len(served.document("/api/bets/BTC?most=1")["bets"]) == 1


def test_problems(served: Served) -> None:
    assert served.problem("/api/bets/BTC?most=0", 422)["errors"]
    assert served.problem("/api/bets/XYZ", 404)["sqlstate"] == "UP002"
    assert served.problem("/api/bets/ETH", 404)["hint"]
