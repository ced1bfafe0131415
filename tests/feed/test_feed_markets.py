"""Series that are followed, and those that are not any more, while the feed runs; 15 minutes."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pyupc.feed.events import Times, follow_event
from pyupc.feed.markets import Markets
from pyupc.kalshi.api import Kalshi
from pyupc.kalshi.budget import HELD
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.outage import Outages
from tests.support.feed_parts import storing, until
from tests.support.kalshi_scene import NOON, Clock, OutageLog, Scene, Stored, listed, play, run
from tests.support.kalshi_server import Exchange, Listed, Server
from tests.support.market import rows


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("PYUPC_KALSHI_URL", raising=False)


@pytest.fixture
def outage_log(caplog: pytest.LogCaptureFixture) -> OutageLog:
    return OutageLog(caplog)


def open_now(series: str, name: str, minutes: int = 10) -> Listed:
    now = datetime.now(UTC).replace(microsecond=0)
    return listed(f"{series}-{name}", now, now + timedelta(minutes=minutes), series=series)


def seen(dsn: str) -> set[str]:
    return {event for (event,) in rows(dsn, "SELECT event_ticker FROM upc_data.market_event")}


def test_series_come_and_go(fresh_db: str) -> None:
    """Without another start; and trades of a series that is not followed are looked after."""
    events = [open_now(series, "A") for series in ("KXBTCD", "KXBTC15M")]
    daily = open_now("KXBTCD", "DAILY", minutes=600)

    async def main() -> None:
        exchange = Exchange([*events, daily], lambda: datetime.now(UTC))
        async with (
            Server(exchange) as server,
            Kalshi(server.url) as client,
            storing(fresh_db) as store,
            asyncio.TaskGroup() as group,
        ):
            stop = asyncio.Event()
            markets = Markets(client, "BTC", store, Outages("pyupc.feed", time.monotonic), stop)
            markets.begin(group, ["KXBTC15M"])
            await until(lambda: "KXBTC15M-A" in seen(fresh_db))
            assert "KXBTCD-A" not in seen(fresh_db)
            kept = markets.tasks()[0]

            await markets.follow(group, ["KXBTCD", "KXBTC15M"])
            await until(lambda: "KXBTCD-A" in seen(fresh_db))
            await until(lambda: "KXBTCD-DAILY" in seen(fresh_db))
            assert markets.tasks()[0] is kept
            assert not kept.done()
            running = markets.tasks()
            await markets.follow(group, ["KXBTCD", "KXBTC15M"])
            assert markets.tasks() == running

            await markets.follow(group, [])
            assert len(markets.tasks()) == 2
            server.requests.clear()
            await asyncio.sleep(0.3)
            assert not any(path.startswith("/events/KX") for path in server.paths())

            rows(
                fresh_db,
                "SELECT upc.open_trade(q.ticker, 'yes', 0.5, 1) FROM upc_data.market_quote AS q"
                " WHERE q.event_ticker = 'KXBTCD-DAILY' ORDER BY q.ticker LIMIT 1",
            )
            await until(lambda: "/events/KXBTCD-DAILY" in server.paths())
            stop.set()

    asyncio.run(main())


def quarter(k: int, **fields: Any) -> Listed:
    """The 15 minutes that end k quarters after noon; its strike is to come."""
    closes_at = NOON + k * timedelta(minutes=15)
    event = listed(
        f"KXBTC15M-26JUN01{k:02}",
        closes_at - timedelta(minutes=15),
        closes_at,
        strikes=1,
        series="KXBTC15M",
        **fields,
    )
    event.markets[0].update(strike_type="greater_or_equal")
    return event


def test_15_minutes_roll_over_without_a_gap(outage_log: OutageLog) -> None:
    """The next one is known, though not open, and is read from its first second; its strike is
    late, and until it comes its requests are the most urgent ones."""
    first, second = quarter(1), quarter(2)
    second.markets[0].update(
        floor_strike=None, status="initialized", yes_sub_title="Target price: TBD"
    )
    patience: list[tuple[str, float]] = []

    class Budget:
        async def turn(self, wait: float) -> None:
            patience.append((second.ticker if following_second[0] else first.ticker, wait))

        def limited(self) -> None:
            raise AssertionError

    following_second = [False]

    async def test() -> None:
        clock = Clock(first.closes_at - timedelta(seconds=1.5))
        exchange = Exchange([first, second], clock)
        stop = asyncio.Event()
        scene_store = Stored()
        async with (
            Server(exchange) as server,
            Kalshi(server.url, now=clock, budget=Budget()) as client,
        ):
            following = asyncio.create_task(
                follow_event(
                    *(client, "BTC", "KXBTC15M", scene_store, outage_log.report, stop, clock, 0.05),
                    slow=5.0,
                    times=Times(ahead=1.2, ahead_again=0.05),
                    backoff=Backoff(chance=lambda: 0.0),
                )
            )
            await scene_store.until(lambda: len(scene_store.events()) == 2)
            following_second[0] = True
            at = scene_store.rows[-1][2]
            assert timedelta() <= at - first.closes_at < timedelta(seconds=3)
            count = len(scene_store.rows)
            await scene_store.until(lambda: len(scene_store.rows) >= count + 3)
            assert {wait for _, wait in patience[-2:]} == {HELD}
            second.markets[0].update(floor_strike=97_512.34, status="active")
            await scene_store.until(lambda: len(scene_store.rows) >= count + 8)
            assert patience[-1][1] > HELD
            assert scene_store.events() == [first.ticker, second.ticker]
            assert server.paths().count("/markets") == 1
            stop.set()
            await following

    run(test)
    assert outage_log.lines() == []


def test_what_is_held_is_the_most_urgent(outage_log: OutageLog) -> None:
    """Of the first series, too."""
    event = listed("KXBTCD-26JUN0113", NOON, NOON + timedelta(hours=1))
    waits: list[float] = []

    async def steps(scene: Scene) -> None:
        original = scene.client._http._budget

        class Budget:
            async def turn(self, wait: float) -> None:
                waits.append(wait)
                await original.turn(wait)

            def limited(self) -> None:
                original.limited()

        scene.client._http._budget = Budget()
        following = scene.follow()
        await scene.store.until(lambda: len(scene.store.rows) >= 3)
        assert HELD not in waits
        scene.store.trades[event.ticker] = event.closes_at
        await scene.store.until(lambda: HELD in waits)
        scene.stop.set()
        await following

    play(NOON + timedelta(minutes=5), [event], steps, outage_log)
