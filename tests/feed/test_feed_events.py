"""The loop that follows Kalshi's events, over real HTTP on loopback."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from pyupc.errors import PyupcError
from pyupc.feed.events import Times
from tests.support.kalshi_scene import GOOD, HOUR, NOON, OutageLog, Scene, hour, listed, play
from tests.support.kalshi_server import Reply


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("PYUPC_KALSHI_URL", raising=False)


@pytest.fixture
def outage_log(caplog: pytest.LogCaptureFixture) -> OutageLog:
    return OutageLog(caplog)


def test_an_event_is_read_again_and_again(outage_log: OutageLog) -> None:
    async def steps(scene: Scene) -> None:
        following = scene.follow()
        await scene.store.until(lambda: len(scene.store.rows) >= 5)
        scene.stop.set()
        await following
        assert {(symbol, event) for symbol, event, _ in scene.store.rows} == {
            ("BTC", "KXBTCD-26JUN0113")
        }
        moments = [at for _, _, at in scene.store.rows]
        assert moments == sorted(moments)
        assert NOON < moments[0] < moments[-1] <= scene.clock()
        assert scene.server.paths().count("/events") == 1

    play(NOON + timedelta(minutes=10), [hour(1), hour(2)], steps, outage_log)
    assert outage_log.lines() == []


CLOSE = NOON + HOUR
BEFORE = CLOSE - timedelta(minutes=10)


def test_at_the_close_the_next_event_follows(outage_log: OutageLog) -> None:
    """It is known by then, although it opens only then; and it is read at once."""

    async def steps(scene: Scene) -> None:
        following = scene.follow()
        await scene.store.until(lambda: len(scene.store.rows) >= 3)
        assert "/markets" not in scene.server.paths()
        scene.clock.set(CLOSE - timedelta(seconds=0.1), is_held=True)
        await scene.store.until(lambda: "/markets" in scene.server.paths())
        rows = len(scene.store.rows)
        await scene.store.until(lambda: len(scene.store.rows) >= rows + 3)
        assert scene.store.events() == ["KXBTCD-26JUN0113"]
        lists = scene.server.paths().count("/events")
        scene.clock.set(CLOSE)
        await scene.store.until(lambda: len(scene.store.events()) == 2)
        scene.stop.set()
        await following
        assert scene.store.events()[1] == "KXBTCD-26JUN0114"
        assert timedelta() <= scene.store.rows[-1][2] - CLOSE < timedelta(seconds=2)
        assert scene.server.paths().count("/events") == lists
        assert scene.server.paths().count("/markets") == 1

    play(BEFORE, [hour(1), hour(2), hour(3)], steps, outage_log)
    assert outage_log.lines() == []


def test_an_event_that_is_listed_late_is_waited_for(outage_log: OutageLog) -> None:
    """For a while every interval looks for it, and nothing is logged."""
    times = Times(look_again=60, eager=60, ahead=0)

    async def steps(scene: Scene) -> None:
        following = scene.follow(times=times)
        await scene.store.until(lambda: bool(scene.store.rows))
        scene.clock.set(CLOSE)
        lists = scene.server.paths().count("/events")
        await scene.store.until(lambda: scene.server.paths().count("/events") >= lists + 5)
        scene.exchange.events.append(hour(2))
        await scene.store.until(lambda: len(scene.store.events()) == 2)
        scene.stop.set()
        await following

    play(BEFORE, [hour(1)], steps, outage_log)
    assert outage_log.lines() == []


def test_no_event_is_logged_once(outage_log: OutageLog) -> None:
    async def steps(scene: Scene) -> None:
        following = scene.follow()
        await scene.store.until(lambda: len(scene.server.requests) >= 6)
        assert outage_log.lines() == [("ERROR", "Kalshi BTC: no event closes within the hour")]
        scene.exchange.events.append(hour(1))
        await scene.store.until(lambda: bool(scene.store.rows))
        scene.stop.set()
        await following
        assert scene.store.events() == ["KXBTCD-26JUN0113"]

    play(NOON + timedelta(minutes=10), [hour(3), hour(4, opens_early=HOUR)], steps, outage_log)
    [(level, line)] = outage_log.lines()
    assert (level, line.startswith("Kalshi BTC: back after")) == ("WARNING", True)


def test_an_event_that_closes_before_its_date_is_left(outage_log: OutageLog) -> None:
    """It is not taken for the next one again and again."""
    early = hour(1)
    for each in early.markets:
        each["close_time"] = "2026-06-01T12:10:00Z"

    async def steps(scene: Scene) -> None:
        following = scene.follow()
        await scene.store.until(lambda: scene.server.paths().count("/events") >= 5)
        scene.stop.set()
        await following
        assert scene.server.paths().count("/events/KXBTCD-26JUN0113") == 1

    play(NOON + timedelta(minutes=10), [early], steps, outage_log)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(GOOD, status=500), "HTTP 500"),
        (Reply(GOOD, missing=3), "not JSON: truncated"),
        (Reply(is_dropped=True), "the connection was closed"),
    ],
)
def test_a_failure_is_logged_and_retried(outage_log: OutageLog, reply: Reply, reason: str) -> None:
    async def steps(scene: Scene) -> None:
        scene.exchange.before = lambda request: (
            reply if 4 < len(scene.server.requests) < 7 else None
        )
        following = scene.follow()
        await scene.store.until(lambda: len(scene.server.requests) >= 8)
        scene.stop.set()
        await following
        assert scene.store.events() == ["KXBTCD-26JUN0113"]

    play(NOON + timedelta(minutes=10), [hour(1)], steps, outage_log)
    lines = [line for _, line in outage_log.lines()]
    assert lines == [f"Kalshi BTC: {reason}", "Kalshi BTC: back after 0.0 s"]


def test_too_many_requests_slow_it_down(outage_log: OutageLog) -> None:
    async def steps(scene: Scene) -> None:
        limited = Reply(b'{"error": "too many requests"}', status=429)
        scene.exchange.before = lambda request: limited if len(scene.server.requests) == 3 else None
        following = scene.follow()
        began = scene.clock()
        await scene.store.until(lambda: len(scene.server.requests) >= 4)
        scene.stop.set()
        await following
        assert scene.clock() - began >= timedelta(seconds=1)
        assert scene.backoff.slowdown == 2

    play(NOON + timedelta(minutes=10), [hour(1)], steps, outage_log)
    assert outage_log.lines()[0] == ("ERROR", "Kalshi BTC: HTTP 429, too many requests")


def test_an_event_that_is_gone_is_looked_for_anew(outage_log: OutageLog) -> None:
    async def steps(scene: Scene) -> None:
        following = scene.follow()
        await scene.store.until(lambda: bool(scene.store.rows))
        scene.exchange.events[:] = [listed("KXBTCD-NEW", NOON, NOON + HOUR)]
        await scene.store.until(lambda: len(scene.store.events()) >= 2)
        scene.stop.set()
        await following
        assert scene.store.events() == ["KXBTCD-26JUN0113", "KXBTCD-NEW"]

    play(NOON + timedelta(minutes=10), [hour(1)], steps, outage_log)
    assert outage_log.lines()[0] == ("ERROR", "Kalshi BTC: HTTP 404, not found")


def test_a_refused_document_is_logged(outage_log: OutageLog) -> None:
    async def steps(scene: Scene) -> None:
        refusals = iter([True, True, False])

        def refuses(count: int) -> None:
            if count == 2 and next(refusals):
                raise PyupcError("yes_ask_dollars of A is not as Kalshi writes it: nan")

        scene.store.refuses = refuses
        following = scene.follow()
        await scene.store.until(lambda: len(scene.store.rows) >= 4)
        scene.stop.set()
        await following

    play(NOON + timedelta(minutes=10), [hour(1)], steps, outage_log)
    lines = [line for _, line in outage_log.lines()]
    assert lines[0] == "Kalshi BTC: yes_ask_dollars of A is not as Kalshi writes it: nan"
    assert len(lines) == 2


def test_a_slow_answer_holds_up_neither_another_symbol_nor_the_end(outage_log: OutageLog) -> None:
    """And it is waited for: no second answer about the same event overtakes it."""
    ether = listed("KXETHD-26JUN0113", NOON, NOON + HOUR, series="KXETHD")

    async def steps(scene: Scene) -> None:
        held = asyncio.Event()
        slow = Reply(GOOD, held=held)
        scene.exchange.before = lambda request: slow if "KXBTCD-26" in request.path else None
        tasks = [scene.follow(), scene.follow("ETH", "KXETHD")]
        await scene.store.until(lambda: len(scene.store.rows) >= 8)
        assert {symbol for symbol, _, _ in scene.store.rows} == {"ETH"}
        assert scene.server.most_under_way["/events/KXBTCD-26JUN0113"] == 1
        began = scene.clock()
        scene.stop.set()
        await asyncio.gather(*tasks)
        assert scene.clock() - began < timedelta(seconds=1)
        held.set()

    play(NOON + timedelta(minutes=10), [hour(1), ether], steps, outage_log)


def test_the_end_does_not_wait_for_a_pause(outage_log: OutageLog) -> None:
    async def steps(scene: Scene) -> None:
        following = scene.follow(times=Times())
        await scene.store.until(lambda: bool(outage_log.report.failing()))
        began = scene.clock()
        scene.stop.set()
        await following
        assert scene.clock() - began < timedelta(seconds=1)

    play(NOON, [], steps, outage_log)


def test_a_cancelled_follower_leaves_nothing_behind(outage_log: OutageLog) -> None:
    """Not even its look for the event that follows."""

    async def steps(scene: Scene) -> None:
        held = Reply(held=asyncio.Event())
        scene.exchange.before = lambda request: held if request.path == "/markets" else None
        following = scene.follow()
        await scene.store.until(lambda: bool(scene.store.rows))
        scene.clock.set(CLOSE - timedelta(seconds=0.1), is_held=True)
        await scene.store.until(lambda: "/markets" in scene.server.paths())
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert [task for task in others if "follow" in repr(task.get_coro()).lower()] == []

    play(BEFORE, [hour(1), hour(2)], steps, outage_log)


def test_a_closed_event_is_left_to_others(outage_log: OutageLog) -> None:
    async def steps(scene: Scene) -> None:
        following = scene.follow()
        await scene.store.until(lambda: bool(scene.store.rows))
        scene.clock.set(CLOSE)
        await scene.store.until(lambda: len(scene.store.events()) == 2)
        read = scene.server.paths().count("/events/KXBTCD-26JUN0113")
        rows = len(scene.store.rows)
        await scene.store.until(lambda: len(scene.store.rows) >= rows + 5)
        assert scene.server.paths().count("/events/KXBTCD-26JUN0113") == read
        scene.stop.set()
        await following

    play(BEFORE, [hour(1), hour(2)], steps, outage_log)
    assert outage_log.lines() == []
