"""Contracts of the last tick: their path, their age, and their part in the stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from pyupc.database.connect import connect
from tests.support.contracts import market, markets_of
from tests.support.market import WRITTEN, pyupc, read
from tests.support.times_of_day import next_hour
from tests.web.serving import Event, Served, events

STRIKES = range(88_000, 112_500, 500)


@pytest.fixture(scope="module", autouse=True)
def loaded(market_dsn: str) -> None:
    """An event that closes on an hour."""
    close = next_hour()
    contracts = [
        market(
            f"T{strike}",
            close_time=close.isoformat(),
            strike_type="greater_or_equal",
            floor_strike=strike,
            yes_bid_dollars="0.4100",
            yes_ask_dollars="0.4275",
            no_bid_dollars="0.5725",
            no_ask_dollars="0.5900",
        )
        for strike in STRIKES
    ]
    with connect(market_dsn) as conn:
        conn.execute(
            "SELECT upc.load_market(%s::jsonb)", [json.dumps(markets_of("KXBTCD", *contracts))]
        )


def tick(dsn: str) -> int:
    """A live tick with fresh quotes."""
    with connect(dsn) as conn:
        conn.execute("UPDATE upc_data.market_event SET read_at = clock_timestamp()")
        conn.execute("SELECT upc.record_price('BTC', 'one', 100000)")
        row = conn.execute("SELECT t.tick_id FROM upc.tick('BTC', 'database') AS t").fetchone()
    assert row is not None
    return int(row[0])


def stored(dsn: str) -> str:
    query = "SELECT contracts FROM upc_data.document WHERE symbol = 'BTC'"
    with connect(dsn) as conn:
        row = conn.execute(query).fetchone()
    assert row is not None
    return str(row[0])


@contextmanager
def reading(served: Served, query: str = "") -> Iterator[Iterator[Event]]:
    path = f"{served.address}/api/stream/BTC{query}"
    with httpx.Client(timeout=20) as client, client.stream("GET", path) as response:
        assert response.status_code == 200
        yield (event for event in events(response) if event.name == "tick")


def test_the_document_is_the_stored_one(served: Served, market_dsn: str) -> None:
    tick(market_dsn)
    response = served.get("/api/contracts/btc")
    assert response.headers["content-type"] == "application/json"
    assert response.text == stored(market_dsn)
    rows = response.json()["contracts"]
    assert [row["lower"] for row in rows] == list(STRIKES)
    assert all(row["yes_edge"] is not None for row in rows)
    tag = response.headers["etag"]
    again = served.get("/api/contracts/BTC", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    tick(market_dsn)
    newer = served.get("/api/contracts/BTC", headers={"If-None-Match": tag})
    assert newer.status_code == 200
    assert newer.headers["etag"] != tag


@pytest.mark.parametrize(
    ("age", "state", "empty"),
    [
        (20, "warn", ()),
        (45, "stale", ("edge",)),
        (90, "halted", ("edge", "prob", "bid", "ask", "fee", "size")),
    ],
)
def test_an_old_one_has_nothing_to_trade_on(
    served: Served, market_dsn: str, age: int, state: str, empty: tuple[str, ...]
) -> None:
    tick(market_dsn)
    fresh = json.loads(stored(market_dsn))
    with connect(market_dsn) as conn:
        conn.execute(
            "UPDATE upc_data.tick SET ticked_at = ticked_at - make_interval(secs => %s)", [age]
        )
    old = served.document("/api/contracts/BTC")
    assert old["state"] == state
    assert old["problem"]
    assert old["count"] == len(old["contracts"]) == len(STRIKES)
    for before, after in zip(fresh["contracts"], old["contracts"], strict=True):
        reason = "price_stale" if state in ("stale", "halted") else None
        assert after["edge_reason"] == reason
        for name in before.keys() - {"edge_reason"}:
            is_empty = any(part in name for part in empty)
            assert after[name] == (None if is_empty else before[name]), name


def test_the_stream_has_the_documents_that_are_asked_for(served: Served, market_dsn: str) -> None:
    number = tick(market_dsn)
    every: dict[str, Any]
    with reading(served) as stream:
        every = next(stream).data
    assert every["tick_id"] == number
    assert every["contracts"] == json.loads(stored(market_dsn))
    assert [name for name in every if name in WRITTEN] == list(WRITTEN)
    for asked in (["strike_table"], ["watchlist", "live_probabilities"], ["contracts"]):
        with reading(served, f"?documents={','.join(asked)}") as stream:
            some = next(stream).data
            assert {name for name in some if name in WRITTEN} == set(asked)
            assert all(some[name] == every[name] for name in asked)


def test_each_reader_gets_every_tick_of_what_it_reads(served: Served, market_dsn: str) -> None:
    tick(market_dsn)
    with reading(served) as all_of_it, reading(served, "?documents=strike_table") as some:
        next(all_of_it), next(some)
        for _ in range(3):
            number = tick(market_dsn)
            first, second = next(all_of_it).data, next(some).data
            assert first["tick_id"] == second["tick_id"] == number
            assert first["strike_table"] == second["strike_table"]
            assert first["contracts"]["tick_id"] == number


@pytest.mark.parametrize("names", ["", "nothing", "strike_table,", "strike_table watchlist"])
def test_documents_that_there_are_not(served: Served, names: str) -> None:
    problem = served.problem(f"/api/stream/BTC?documents={names}", 422)
    assert problem["errors"]


def test_a_replay_has_none(served: Served, market_dsn: str, tmp_path: Path) -> None:
    done = pyupc(market_dsn, "tick", "--feed", "replay", "--once", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    document = read(tmp_path, "BTC", "contracts")
    assert (document["contracts"], document["open_count"], document["feed"]) == ([], 0, "replay")
    assert (
        served.get("/api/contracts/BTC").content == (tmp_path / "btc_contracts.json").read_bytes()
    )


def test_a_live_tick_writes_the_file(served: Served, market_dsn: str, tmp_path: Path) -> None:
    """By the default model, as of a price of now."""
    tick(market_dsn)
    since = datetime.now(UTC)
    done = pyupc(
        market_dsn, "tick", "--feed", "database", "--once", "--symbol", "BTC", "--out", tmp_path
    )
    assert done.returncode == 0, done.stderr
    document = read(tmp_path, "BTC", "contracts")
    assert datetime.fromisoformat(document["timestamp"]) > since - timedelta(seconds=1)
    assert [row["lower"] for row in document["contracts"]] == list(STRIKES)
    assert (tmp_path / "btc_contracts.json").read_text() == stored(market_dsn)
