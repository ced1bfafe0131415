"""Events that close later than in an hour, and the pace at which events are read."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from pyupc.feed import events
from pyupc.feed.later import Times, follow_later
from pyupc.kalshi.api import Upcoming
from tests.support.kalshi_scene import HOUR, NOON, OutageLog, Scene, hour, play
from tests.support.kalshi_server import Listed, Reply, market

QUICK = Times(look_every=0.05, apart=0.01)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("PYUPC_KALSHI_URL", raising=False)


@pytest.fixture
def outage_log(caplog: pytest.LogCaptureFixture) -> OutageLog:
    return OutageLog(caplog)


def listed(name: str, closes_at: datetime, **fields: Any) -> Listed:
    return Listed(name, NOON - HOUR, closes_at, [market(name, 97_500, closes_at)], **fields)


def later(scene: Scene) -> asyncio.Task[None]:
    return asyncio.create_task(
        follow_later(
            scene.client,
            "BTC",
            "KXBTCD",
            scene.store,
            scene.report,
            scene.stop,
            scene.clock,
            times=QUICK,
            backoff=scene.backoff,
        )
    )


def test_the_daily_event_is_read_until_its_last_hour(outage_log: OutageLog) -> None:
    daily = listed("DAILY", NOON + timedelta(hours=9))
    others = [
        hour(1),
        listed("TOMORROW", NOON + timedelta(hours=25)),
        listed("RANGE", NOON + timedelta(hours=9), series="KXBTC"),
    ]

    async def steps(scene: Scene) -> None:
        following = later(scene)
        await scene.store.until(lambda: len(scene.store.rows) >= 3)
        assert {row[1] for row in scene.store.rows} == {"DAILY"}
        scene.clock.set(NOON + timedelta(hours=8), is_held=True)
        await scene.store.until(lambda: "TOMORROW" in scene.store.events())
        count = len(scene.server.requests)
        await scene.store.until(lambda: len(scene.server.requests) > count + 8)
        scene.stop.set()
        await following
        assert "/events/DAILY" not in scene.server.paths()[count:]

    play(NOON, [daily, *others], steps, outage_log)


def test_what_fails_is_tried_again(outage_log: OutageLog) -> None:
    daily = listed("DAILY", NOON + timedelta(hours=9))
    failing = 3

    def before(request: Any) -> Reply | None:
        nonlocal failing
        failing -= 1
        return Reply(status=500) if failing >= 0 else None

    async def steps(scene: Scene) -> None:
        following = later(scene)
        await scene.store.until(lambda: len(scene.store.rows) >= 2)
        scene.stop.set()
        await following

    play(NOON, [daily], steps, outage_log, before=before)
    levels = [level for level, text in outage_log.lines() if "later events" in text]
    assert levels[:1] == ["ERROR"]
    assert levels.count("WARNING") == 1


@pytest.mark.parametrize(
    ("minutes", "held", "expected"),
    [(50, (), 5.0), (15.1, (), 5.0), (15, (), 0.5), (1, (), 0.5), (50, ("E",), 0.5)],
)
def test_what_closes_next_or_is_held_is_read_more_often(
    minutes: float, held: tuple[str, ...], expected: float
) -> None:
    follower: Any = events._Follower.__new__(events._Follower)
    follower.slow, follower.interval, follower.now = 5.0, 0.5, lambda: NOON
    follower._event = Upcoming("E", NOON + timedelta(minutes=minutes))
    follower._is_held = "E" in held
    assert follower._pace() == expected
    follower.slow = None
    assert follower._pace() == 0.5


def test_without_an_event_looks_are_less_and_less_often() -> None:
    """But one is just behind every quarter of an hour, when events open."""
    follower: Any = events._Follower.__new__(events._Follower)
    follower.times, follower.interval, follower.subject = events.Times(), 1.0, "x"
    follower.now = lambda: NOON
    follower._looks, follower._eager_until, follower._subject = 0, -1.0, "x"
    follower._clock = lambda: 0.0

    class Quiet:
        def succeeded(self) -> None: ...

        def failed(self, *_: object) -> None: ...

    follower.backoff = follower.outages = Quiet()
    assert [follower._nothing() for _ in range(7)] == [10, 20, 40, 80, 160, 300, 300]
    follower.now = lambda: NOON - timedelta(seconds=42)
    assert follower._nothing() == 43
