"""The exchange's status over real HTTP: read, stored, and logged where it is news."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import datetime
from typing import Any

import pytest

from pyupc.errors import PyupcError
from pyupc.feed.pauses import follow_pauses
from pyupc.kalshi.api import Kalshi
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.outage import Outages
from tests.support.feed_parts import storing
from tests.support.kalshi_scene import NOON, OutageLog, run
from tests.support.kalshi_server import Exchange, Reply, Request, Server
from tests.support.market import rows

PAUSED = {
    "exchange_active": True,
    "trading_active": True,
    "exchange_estimated_resume_time": "2026-06-01T14:00:00Z",
    "exchange_index_statuses": [
        {
            "exchange_index": 2,
            "description": "Crypto",
            "exchange_active": True,
            "trading_active": False,
        }
    ],
}
OPEN = {"exchange_active": True, "trading_active": True}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("PYUPC_KALSHI_URL", raising=False)


@pytest.fixture
def outage_log(caplog: pytest.LogCaptureFixture) -> OutageLog:
    return OutageLog(caplog)


class Stored(list[dict[str, Any]]):
    refuses = False

    async def exchange_status(self, document: str, read_at: datetime) -> None:
        self.append(json.loads(document))
        if self.refuses:
            raise PyupcError("not the status of an exchange")


def follow(
    client: Kalshi, store: Stored, report: Outages, stop: asyncio.Event
) -> asyncio.Task[None]:
    backoff = Backoff(chance=lambda: 0.0)
    return asyncio.create_task(
        follow_pauses(client, store, report, stop, every=0.01, backoff=backoff)
    )


async def reached(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def test_it_is_read_again_and_again(outage_log: OutageLog) -> None:
    async def test() -> None:
        exchange = Exchange([], lambda: NOON)
        stop, store = asyncio.Event(), Stored()
        async with Server(exchange) as server, Kalshi(server.url) as client:
            following = follow(client, store, outage_log.report, stop)
            await reached(lambda: len(store) >= 3)
            exchange.status = PAUSED
            await reached(lambda: store[-1] == PAUSED)
            assert set(server.paths()) == {"/exchange/status"}
            stop.set()
            await following

    run(test)
    assert outage_log.lines() == []


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(status=429), "HTTP 429, too many requests"),
        (Reply(status=503), "HTTP 503"),
        (Reply(b"<html>"), "not JSON"),
        (Reply(is_dropped=True), "the connection was closed"),
    ],
)
def test_what_fails_is_logged_once(outage_log: OutageLog, reply: Reply, reason: str) -> None:
    async def test() -> None:
        replies: list[Reply | None] = [reply]

        def before(request: Request) -> Reply | None:
            return replies[0]

        exchange = Exchange([], lambda: NOON, before=before)
        stop, store = asyncio.Event(), Stored()
        async with Server(exchange) as server, Kalshi(server.url) as client:
            following = follow(client, store, outage_log.report, stop)
            await reached(lambda: len(server.requests) >= 2)
            assert store == []
            replies[0] = None
            await reached(lambda: store)
            stop.set()
            await following

    run(test)
    lines = outage_log.lines()
    assert lines[0] == ("ERROR", f"Kalshi's status: {reason}")
    assert len(lines) == 2


def test_a_document_that_is_refused_stops_nothing(outage_log: OutageLog) -> None:
    async def test() -> None:
        stop, store = asyncio.Event(), Stored()
        store.refuses = True
        async with Server(Exchange([], lambda: NOON)) as server, Kalshi(server.url) as client:
            following = follow(client, store, outage_log.report, stop)
            await reached(lambda: len(store) >= 2)
            stop.set()
            await following

    run(test)
    assert [level for level, _ in outage_log.lines()] == ["ERROR"]


def test_it_is_stored_and_news_are_logged(fresh_db: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "pyupc.feed")

    async def main() -> None:
        async with storing(fresh_db) as store:
            for document in (OPEN, PAUSED, PAUSED, OPEN):
                await store.exchange_status(json.dumps(document), datetime.now().astimezone())
            with pytest.raises(PyupcError):
                await store.exchange_status("{}", datetime.now().astimezone())

    asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == [
        "Kalshi has paused trading on shard 2 (Crypto), until 2026-06-01 14:00Z or later",
    ]
    assert rows(fresh_db, "SELECT exchange_index FROM upc_data.exchange_status") == [(0,)]
