"""Kalshi at noon of a day of its own, and a follower of its events at work."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pyupc.feed.events import Times, follow_event
from pyupc.feed.results import Times as ResultTimes
from pyupc.feed.results import follow_results
from pyupc.kalshi.api import Kalshi
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.outage import Outages
from tests.support.kalshi_server import Exchange, Listed, Server, market

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LONG = 20.0

GOOD = json.dumps({"event": {"event_ticker": "E", "markets": [market("E", 97_500, NOON)]}}).encode()


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run the test in an event loop, with the time limit of a test."""

    async def limited() -> None:
        async with asyncio.timeout(LONG):
            await test()

    asyncio.run(limited())


def listed(
    ticker: str, opens_at: datetime, closes_at: datetime, strikes: int = 3, **fields: Any
) -> Listed:
    markets = [market(ticker, 97_500 + 250 * k, closes_at) for k in range(strikes)]
    return Listed(ticker, opens_at, closes_at, markets, **fields)


def hour(k: int, *, opens_early: timedelta = timedelta(), **fields: Any) -> Listed:
    """The event that closes k hours after noon."""
    closes_at = NOON + k * HOUR
    return listed(f"KXBTCD-26JUN01{12 + k}", closes_at - HOUR - opens_early, closes_at, **fields)


class OutageLog:
    """A report with a clock of its own, and the lines that came of it."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.WARNING, "pyupc.feed")
        self._caplog = caplog
        self.at = 0.0
        self.report = Outages("pyupc.feed", lambda: self.at)

    def lines(self) -> list[tuple[str, str]]:
        found = [(r.levelname, r.getMessage()) for r in self._caplog.records]
        self._caplog.clear()
        return found


class Clock:
    """Our clock: it begins at an instant and goes on with the loop's, unless it is held."""

    def __init__(self, begins_at: datetime) -> None:
        self.set(begins_at)

    def __call__(self) -> datetime:
        passed = asyncio.get_running_loop().time() - self._since
        return self._at + timedelta(seconds=passed * self._rate)

    def set(self, at: datetime, *, is_held: bool = False) -> None:
        self._at = at
        self._since = asyncio.get_running_loop().time()
        self._rate = 0 if is_held else 1


@dataclass
class Stored:
    """Events that reached the store, with their moments; `refuses` may raise instead.

    `trades` are the events that a trade is held of, with their close. `closed` are the events whose
    results it wants, each until it has them; `asks` how often it was asked for them.
    """

    refuses: Callable[[int], None] = lambda count: None
    trades: dict[str, datetime] = field(default_factory=dict)
    closed: dict[str, datetime] = field(default_factory=dict)
    asks: int = 0
    rows: list[tuple[str, str, datetime]] = field(default_factory=list)
    results: dict[str, list[str]] = field(default_factory=dict)

    async def market(self, symbol: str, document: str, read_at: datetime) -> None:
        self.refuses(len(self.rows))
        event = json.loads(document)["event"]
        self.rows.append((symbol, event["event_ticker"], read_at))
        self.results[event["event_ticker"]] = [each["result"] for each in event["markets"]]

    async def held(self, symbol: str) -> set[str]:
        return set(self.trades)

    async def held_until(self, symbol: str) -> list[tuple[str, datetime]]:
        return list(self.trades.items())

    async def unsettled(self, symbol: str, at: datetime) -> list[tuple[str, datetime]]:
        self.asks += 1
        return [each for each in self.closed.items() if not all(self.results.get(each[0], [""]))]

    def events(self, symbol: str = "BTC") -> list[str]:
        """Each event once for each time that it begins to be read."""
        names = [event for row, event, _ in self.rows if row == symbol]
        return [b for a, b in zip(["", *names], names, strict=False) if a != b]

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.005)


QUICK = Times(look_again=0.05, eager=0.5, ahead=0.2, ahead_again=0.05)


@dataclass
class Scene:
    """A follower of BTC's events, or reader of their results, with all that it works on."""

    client: Kalshi
    server: Server
    exchange: Exchange
    clock: Clock
    report: Outages
    backoff: Backoff
    store: Stored = field(default_factory=Stored)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def follow(
        self, symbol: str = "BTC", series: str = "KXBTCD", times: Times = QUICK
    ) -> asyncio.Task[None]:
        return asyncio.create_task(
            follow_event(
                self.client,
                symbol,
                series,
                self.store,
                self.report,
                self.stop,
                self.clock,
                0.02,
                times=times,
                backoff=self.backoff,
            )
        )

    def settle(self, times: ResultTimes) -> asyncio.Task[None]:
        return asyncio.create_task(
            follow_results(
                self.client, "BTC", self.store, self.report, self.stop, self.clock, times=times
            )
        )


def play(
    begins_at: datetime,
    events: list[Listed],
    steps: Callable[[Scene], Awaitable[None]],
    outage_log: OutageLog,
    **options: Any,
) -> None:
    """Run the steps before an exchange with these events; then stop, which takes no time."""

    async def test() -> None:
        clock = Clock(begins_at)
        exchange = Exchange(events, clock, **options)
        async with Server(exchange) as server, Kalshi(server.url, now=clock) as client:
            backoff = Backoff(chance=lambda: 0.0)
            scene = Scene(client, server, exchange, clock, outage_log.report, backoff)
            await steps(scene)
            scene.stop.set()

    run(test)
