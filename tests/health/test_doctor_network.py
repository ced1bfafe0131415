"""`pyupc doctor` with an exchange and Kalshi on the loopback, and its verdict on clocks."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("ccxt", reason="needs the extra feeds")

from tests.support import kalshi_server
from tests.support.feed_servers import Exchange, serving
from tests.support.kalshi_server import Listed, Reply, Request, Server
from tests.support.market import pyupc


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchange]:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("PYUPC_NO_KALSHI", "1")
    with serving(Exchange()) as exchange:
        monkeypatch.setenv("PYUPC_EXCHANGE_URL", exchange.url)
        yield exchange


def doctor(dsn: str, *arguments: str) -> dict[str, dict[str, Any]]:
    """The findings by check."""
    done = pyupc(dsn, "doctor", "--json", *arguments)
    return {each["check"]: each for each in json.loads(done.stdout)}


@contextmanager
def kalshi(answer: kalshi_server.Exchange) -> Iterator[str]:
    """Kalshi's API in a thread; its address."""
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    server = Server(answer)

    async def main() -> None:
        async with server:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    assert started.wait(10)
    try:
        yield server.url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def test_an_exchange_answers_with_prices_and_its_clock(fresh_db: str, exchange: Exchange) -> None:
    exchange.frozen = 97_123.45
    found = doctor(fresh_db)
    assert found["exchange"]["state"] == "ok"
    assert "coinbase: BTC 97,123.45, ETH 97,123.45" in found["exchange"]["seen"]
    assert found["clock"]["state"] == "ok"
    assert "server" in found["clock"]["seen"]
    assert "coinbase" in found["clock"]["seen"]
    assert "kalshi" not in found


@pytest.mark.parametrize(("ahead", "state"), [(-6, "warn"), (6, "warn"), (3600, "fail")])
def test_a_clock_that_is_off_is_noticed(
    fresh_db: str, exchange: Exchange, ahead: float, state: str
) -> None:
    exchange.ahead = ahead
    assert doctor(fresh_db)["clock"]["state"] == state


def test_an_exchange_is_asked_without_a_database(exchange: Exchange) -> None:
    found = doctor("host=/nonexistent", "--symbol", "ETH")
    assert (found["server"]["state"], found["exchange"]["state"]) == ("fail", "ok")
    assert "ETH" in found["exchange"]["seen"]
    assert "coinbase" in found["clock"]["seen"]


@pytest.mark.slow
def test_an_exchange_that_fails_is_named_with_the_reason(fresh_db: str, exchange: Exchange) -> None:
    exchange.status = 503
    found = doctor(fresh_db)["exchange"]
    assert (found["state"], "503" in found["seen"]) == ("fail", True)
    exchange.status = 200
    del exchange.products["ETH-USD"]
    assert doctor(fresh_db)["exchange"]["state"] == "warn"
    assert doctor(fresh_db, "--symbol", "ETH")["exchange"]["state"] == "fail"
    assert doctor(fresh_db, "--exchange", "coinbose")["exchange"]["state"] == "fail"


def test_offline_nobody_is_asked(fresh_db: str, exchange: Exchange) -> None:
    found = doctor(fresh_db, "--offline")
    assert "exchange" not in found
    assert exchange.requests == []


@pytest.mark.slow
def test_kalshi_answers_with_its_next_event(
    fresh_db: str, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYUPC_NO_KALSHI")
    now = datetime.now(UTC).replace(microsecond=0)
    event = Listed("KXBTCD-TEST", now - timedelta(hours=1), now + timedelta(minutes=40), [])
    there = kalshi_server.Exchange([event], lambda: datetime.now(UTC) - timedelta(minutes=1))
    with kalshi(there) as url:
        found = doctor(fresh_db, "--kalshi", url)
        assert found["kalshi"]["state"] == "ok"
        assert "BTC KXBTCD-TEST" in found["kalshi"]["seen"]
        assert "ETH no event" in found["kalshi"]["seen"]
        # Its clock is a minute behind.
        assert found["clock"]["state"] == "fail"

        def refuse(request: Request) -> Reply:
            return Reply(status=500)

        there.before = refuse
        found = doctor(fresh_db, "--kalshi", url)
        assert (found["kalshi"]["state"], "500" in found["kalshi"]["seen"]) == ("fail", True)
    assert doctor(fresh_db, "--kalshi", "nonsense")["kalshi"]["state"] == "fail"
