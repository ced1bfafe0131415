"""The loop that follows Kalshi's events, over real HTTP on loopback."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from pyupc.errors import PyupcError
from pyupc.feed.events import Times
from tests.support.kalshi_scene import GOOD, HOUR, NOON, Scene, Told, hour, listed, play
from tests.support.kalshi_server import Reply


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("PYUPC_KALSHI_URL", raising=False)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    return Told(caplog)


def test_an_event_is_read_again_and_again(told: Told) -> None:
    async def scene(its: Scene) -> None:
        following = its.follow()
        await its.store.until(lambda: len(its.store.rows) >= 5)
        its.stop.set()
        await following
        assert {(symbol, event) for symbol, event, _ in its.store.rows} == {
            ("BTC", "KXBTCD-26JUN0113")
        }
        moments = [at for _, _, at in its.store.rows]
        assert moments == sorted(moments)
        assert NOON < moments[0] < moments[-1] <= its.clock()
        assert its.server.paths().count("/events") == 1

    play(NOON + timedelta(minutes=10), [hour(1), hour(2)], scene, told)
    assert told.lines() == []


CLOSE = NOON + HOUR
BEFORE = CLOSE - timedelta(minutes=10)


def test_at_the_close_the_next_event_follows(told: Told) -> None:
    """It is known by then, although it opens only then; and it is read at once."""

    async def scene(its: Scene) -> None:
        following = its.follow()
        await its.store.until(lambda: len(its.store.rows) >= 3)
        assert "/markets" not in its.server.paths()
        its.clock.set(CLOSE - timedelta(seconds=0.1), is_held=True)
        await its.store.until(lambda: "/markets" in its.server.paths())
        rows = len(its.store.rows)
        await its.store.until(lambda: len(its.store.rows) >= rows + 3)
        assert its.store.events() == ["KXBTCD-26JUN0113"]
        lists = its.server.paths().count("/events")
        its.clock.set(CLOSE)
        await its.store.until(lambda: len(its.store.events()) == 2)
        its.stop.set()
        await following
        assert its.store.events()[1] == "KXBTCD-26JUN0114"
        assert timedelta() <= its.store.rows[-1][2] - CLOSE < timedelta(seconds=2)
        assert its.server.paths().count("/events") == lists
        assert its.server.paths().count("/markets") == 1

    play(BEFORE, [hour(1), hour(2), hour(3)], scene, told)
    assert told.lines() == []


def test_an_event_that_is_listed_late_is_waited_for(told: Told) -> None:
    """For a while every interval looks for it, and nothing is logged."""
    times = Times(look_again=60, eager=60, ahead=0)

    async def scene(its: Scene) -> None:
        following = its.follow(times=times)
        await its.store.until(lambda: bool(its.store.rows))
        its.clock.set(CLOSE)
        lists = its.server.paths().count("/events")
        await its.store.until(lambda: its.server.paths().count("/events") >= lists + 5)
        its.exchange.events.append(hour(2))
        await its.store.until(lambda: len(its.store.events()) == 2)
        its.stop.set()
        await following

    play(BEFORE, [hour(1)], scene, told)
    assert told.lines() == []


def test_no_event_is_told_once(told: Told) -> None:
    async def scene(its: Scene) -> None:
        following = its.follow()
        await its.store.until(lambda: len(its.server.requests) >= 6)
        assert told.lines() == [("ERROR", "Kalshi BTC: no event closes within the hour")]
        its.exchange.events.append(hour(1))
        await its.store.until(lambda: bool(its.store.rows))
        its.stop.set()
        await following
        assert its.store.events() == ["KXBTCD-26JUN0113"]

    play(NOON + timedelta(minutes=10), [hour(3), hour(4, opens_early=HOUR)], scene, told)
    [(level, line)] = told.lines()
    assert (level, line.startswith("Kalshi BTC: back after")) == ("WARNING", True)


def test_an_event_that_closes_before_its_date_is_left(told: Told) -> None:
    """It is not taken for the next one again and again."""
    early = hour(1)
    for each in early.markets:
        each["close_time"] = "2026-06-01T12:10:00Z"

    async def scene(its: Scene) -> None:
        following = its.follow()
        await its.store.until(lambda: its.server.paths().count("/events") >= 5)
        its.stop.set()
        await following
        assert its.server.paths().count("/events/KXBTCD-26JUN0113") == 1

    play(NOON + timedelta(minutes=10), [early], scene, told)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(GOOD, status=500), "HTTP 500"),
        (Reply(GOOD, missing=3), "not JSON: truncated"),
        (Reply(is_dropped=True), "the connection was closed"),
    ],
)
def test_a_failure_is_told_and_tried_again(told: Told, reply: Reply, reason: str) -> None:
    async def scene(its: Scene) -> None:
        its.exchange.before = lambda request: reply if 4 < len(its.server.requests) < 7 else None
        following = its.follow()
        await its.store.until(lambda: len(its.server.requests) >= 8)
        its.stop.set()
        await following
        assert its.store.events() == ["KXBTCD-26JUN0113"]

    play(NOON + timedelta(minutes=10), [hour(1)], scene, told)
    lines = [line for _, line in told.lines()]
    assert lines == [f"Kalshi BTC: {reason}", "Kalshi BTC: back after 0.0 s"]


def test_too_many_requests_slow_it_down(told: Told) -> None:
    async def scene(its: Scene) -> None:
        limited = Reply(b'{"error": "too many requests"}', status=429)
        its.exchange.before = lambda request: limited if len(its.server.requests) == 3 else None
        following = its.follow()
        began = its.clock()
        await its.store.until(lambda: len(its.server.requests) >= 4)
        its.stop.set()
        await following
        assert its.clock() - began >= timedelta(seconds=1)
        assert its.backoff.slowdown == 2

    play(NOON + timedelta(minutes=10), [hour(1)], scene, told)
    assert told.lines()[0] == ("ERROR", "Kalshi BTC: HTTP 429, too many requests")


def test_an_event_that_is_gone_is_looked_for_anew(told: Told) -> None:
    async def scene(its: Scene) -> None:
        following = its.follow()
        await its.store.until(lambda: bool(its.store.rows))
        its.exchange.events[:] = [listed("KXBTCD-NEW", NOON, NOON + HOUR)]
        await its.store.until(lambda: len(its.store.events()) >= 2)
        its.stop.set()
        await following
        assert its.store.events() == ["KXBTCD-26JUN0113", "KXBTCD-NEW"]

    play(NOON + timedelta(minutes=10), [hour(1)], scene, told)
    assert told.lines()[0] == ("ERROR", "Kalshi BTC: HTTP 404, not found")


def test_a_document_that_is_refused_is_told(told: Told) -> None:
    async def scene(its: Scene) -> None:
        refusals = iter([True, True, False])

        def refuses(count: int) -> None:
            if count == 2 and next(refusals):
                raise PyupcError("yes_ask_dollars of A is not as Kalshi writes it: nan")

        its.store.refuses = refuses
        following = its.follow()
        await its.store.until(lambda: len(its.store.rows) >= 4)
        its.stop.set()
        await following

    play(NOON + timedelta(minutes=10), [hour(1)], scene, told)
    told_lines = [line for _, line in told.lines()]
    assert told_lines[0] == "Kalshi BTC: yes_ask_dollars of A is not as Kalshi writes it: nan"
    assert len(told_lines) == 2


def test_a_slow_answer_holds_up_neither_another_symbol_nor_the_end(told: Told) -> None:
    """And it is waited for: no second answer about the same event overtakes it."""
    ether = listed("KXETHD-26JUN0113", NOON, NOON + HOUR, series="KXETHD")

    async def scene(its: Scene) -> None:
        held = asyncio.Event()
        slow = Reply(GOOD, held=held)
        its.exchange.before = lambda request: slow if "KXBTCD-26" in request.path else None
        tasks = [its.follow(), its.follow("ETH", "KXETHD")]
        await its.store.until(lambda: len(its.store.rows) >= 8)
        assert {symbol for symbol, _, _ in its.store.rows} == {"ETH"}
        assert its.server.most_under_way["/events/KXBTCD-26JUN0113"] == 1
        began = its.clock()
        its.stop.set()
        await asyncio.gather(*tasks)
        assert its.clock() - began < timedelta(seconds=1)
        held.set()

    play(NOON + timedelta(minutes=10), [hour(1), ether], scene, told)


def test_the_end_does_not_wait_for_a_pause(told: Told) -> None:
    async def scene(its: Scene) -> None:
        following = its.follow(times=Times())
        await its.store.until(lambda: bool(told.report.failing()))
        began = its.clock()
        its.stop.set()
        await following
        assert its.clock() - began < timedelta(seconds=1)

    play(NOON, [], scene, told)


def test_a_cancelled_follower_leaves_nothing_behind(told: Told) -> None:
    """Not even its look for the event that follows."""

    async def scene(its: Scene) -> None:
        held = Reply(held=asyncio.Event())
        its.exchange.before = lambda request: held if request.path == "/markets" else None
        following = its.follow()
        await its.store.until(lambda: bool(its.store.rows))
        its.clock.set(CLOSE - timedelta(seconds=0.1), is_held=True)
        await its.store.until(lambda: "/markets" in its.server.paths())
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert [task for task in others if "follow" in repr(task.get_coro()).lower()] == []

    play(BEFORE, [hour(1), hour(2)], scene, told)


def test_a_closed_event_is_left_to_others(told: Told) -> None:
    async def scene(its: Scene) -> None:
        following = its.follow()
        await its.store.until(lambda: bool(its.store.rows))
        its.clock.set(CLOSE)
        await its.store.until(lambda: len(its.store.events()) == 2)
        read = its.server.paths().count("/events/KXBTCD-26JUN0113")
        rows = len(its.store.rows)
        await its.store.until(lambda: len(its.store.rows) >= rows + 5)
        assert its.server.paths().count("/events/KXBTCD-26JUN0113") == read
        its.stop.set()
        await following

    play(BEFORE, [hour(1), hour(2)], scene, told)
    assert told.lines() == []
