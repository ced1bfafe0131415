"""Events that trades are held of are read, whoever else reads what."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from pyupc.feed.held import follow_held
from pyupc.runtime.backoff import Backoff
from tests.support.kalshi_scene import HOUR, NOON, OutageLog, Scene, hour, listed, play
from tests.support.kalshi_server import Reply, Request

DAILY = listed("KXBTCD-26JUN0217", NOON, NOON + 28 * HOUR)
OTHER = listed("KXBTC-26JUN0113", NOON, NOON + HOUR, series="KXBTC")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("PYUPC_KALSHI_URL", raising=False)


@pytest.fixture
def outage_log(caplog: pytest.LogCaptureFixture) -> OutageLog:
    return OutageLog(caplog)


def follow(scene: Scene, read: dict[str, str] | None = None) -> asyncio.Task[None]:
    others = {} if read is None else read
    return asyncio.create_task(
        follow_held(
            *(scene.client, "BTC", scene.store, scene.report, scene.stop, scene.clock),
            read=others.values,
            every=0.01,
            backoff=Backoff(chance=lambda: 0.0),
        )
    )


def test_trades_that_come_and_go(outage_log: OutageLog) -> None:
    """Of any series, and however far off the close is; nothing is asked without any."""

    async def steps(scene: Scene) -> None:
        following = follow(scene)
        await asyncio.sleep(0.05)
        assert scene.server.requests == []
        scene.store.trades[DAILY.ticker] = DAILY.closes_at
        await scene.store.until(lambda: len(scene.store.rows) >= 2)
        scene.store.trades[OTHER.ticker] = OTHER.closes_at
        await scene.store.until(
            lambda: {row[1] for row in scene.store.rows} == {DAILY.ticker, OTHER.ticker}
        )
        scene.clock.set(OTHER.closes_at)
        await asyncio.sleep(0.05)
        count = len([row for row in scene.store.rows if row[1] == OTHER.ticker])
        await scene.store.until(lambda: len(scene.store.rows) >= 20)
        assert len([row for row in scene.store.rows if row[1] == OTHER.ticker]) <= count + 1
        scene.store.trades.clear()
        await asyncio.sleep(0.05)
        requests = len(scene.server.requests)
        await asyncio.sleep(0.05)
        assert len(scene.server.requests) <= requests + 1
        scene.stop.set()
        await following

    play(NOON + timedelta(minutes=10), [hour(1), DAILY, OTHER], steps, outage_log)
    assert outage_log.lines() == []


def test_what_others_read_is_left_to_them(outage_log: OutageLog) -> None:
    async def steps(scene: Scene) -> None:
        read = {"KXBTCD": hour(1).ticker}
        scene.store.trades[hour(1).ticker] = hour(1).closes_at
        following = follow(scene, read)
        await asyncio.sleep(0.05)
        assert scene.server.requests == []
        read.clear()
        await scene.store.until(lambda: bool(scene.store.rows))
        scene.stop.set()
        await following

    play(NOON + timedelta(minutes=10), [hour(1)], steps, outage_log)


def test_a_failure_is_logged_and_passes(outage_log: OutageLog) -> None:
    async def steps(scene: Scene) -> None:
        replies: list[Reply | None] = [Reply(status=500)]

        def before(request: Request) -> Reply | None:
            return replies[0]

        scene.exchange.before = before
        scene.store.trades[hour(1).ticker] = hour(1).closes_at
        following = follow(scene)
        await scene.store.until(lambda: len(scene.server.requests) >= 2)
        replies[0] = None
        await scene.store.until(lambda: bool(scene.store.rows))
        scene.stop.set()
        await following

    play(NOON + timedelta(minutes=10), [hour(1)], steps, outage_log)
    levels = [level for level, _ in outage_log.lines()]
    assert levels[0] == "ERROR"


def test_one_that_is_unknown_is_not_in_the_way(outage_log: OutageLog) -> None:
    async def steps(scene: Scene) -> None:
        scene.store.trades["KXBTCD-GONE"] = hour(1).closes_at
        scene.store.trades[hour(1).ticker] = hour(1).closes_at
        following = follow(scene)
        await scene.store.until(lambda: len(scene.store.rows) >= 5)
        scene.stop.set()
        await following
        assert scene.store.events() == [hour(1).ticker]

    play(NOON + timedelta(minutes=10), [hour(1)], steps, outage_log)
    assert outage_log.lines() == [("ERROR", "Kalshi BTC events of trades: HTTP 404, not found")]
