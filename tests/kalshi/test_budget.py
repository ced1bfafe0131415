"""The budget of requests, by a clock that the tests move; and what is asked and sent is counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyupc.kalshi.api import Kalshi
from pyupc.kalshi.budget import HELD, LATER, NEXT, REST, Paced
from pyupc.kalshi.http import KalshiError
from tests.support.kalshi_scene import NOON, hour, run
from tests.support.kalshi_server import Exchange, Reply, Request, Server


class HandClock:
    """It goes on only when nothing else is to be done: to the next one who sleeps."""

    def __init__(self) -> None:
        self.at = 0.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def monotonic(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._sleepers.append((self.at + seconds, woken))
        await woken.wait()

    async def wait(self, seconds: float, *events: asyncio.Event) -> bool:
        raise NotImplementedError

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def until(self, at: float) -> None:
        await self.settle()
        while due := [each for each in self._sleepers if each[0] <= at + 1e-9]:
            first = min(due, key=lambda each: each[0])
            self._sleepers.remove(first)
            self.at = max(self.at, first[0])
            first[1].set()
            await self.settle()
        self.at = max(self.at, at)


def served(
    asked: list[tuple[float, float]], rate: float = 10.0, limited_at: float | None = None
) -> list[tuple[float, int]]:
    """When each of these requests, which came at a time with a patience, had its turn."""
    found: list[tuple[float, int]] = []

    async def test() -> None:
        clock = HandClock()
        budget = Paced(rate, clock)

        async def one(place: int, patience: float) -> None:
            await budget.turn(patience)
            found.append((clock.at, place))

        tasks = []
        for place, (at, patience) in sorted(enumerate(asked), key=lambda each: each[1][0]):
            await clock.until(at)
            if limited_at is not None and limited_at <= at:
                budget.limited()
            tasks.append(asyncio.create_task(one(place, patience)))
            await clock.settle()
        await clock.until(1e6)
        await asyncio.gather(*tasks)

    asyncio.run(test())
    return found


ASKED = st.lists(
    st.tuples(
        st.integers(0, 50).map(lambda tenths: tenths / 10),
        st.sampled_from([HELD, NEXT, REST, LATER]),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(asked=ASKED, rate=st.sampled_from([0.5, 3.0, 10.0, 20.0]))
def test_never_too_many_and_the_most_urgent_first(
    asked: list[tuple[float, float]], rate: float
) -> None:
    found = served(asked, rate)
    assert sorted(place for _, place in found) == list(range(len(asked)))
    times = [at for at, _ in found]
    assert all(b - a >= 1 / rate - 1e-6 for a, b in pairwise(times))
    # No turn is lost while somebody waits.
    for (at, place), before in zip(found, [-1e9, *times], strict=False):
        assert at <= max(before + 1 / rate, asked[place][0]) + 1e-6 or any(
            asked[other][0] <= at for other in range(len(asked)) if other != place
        )
    # Of two that waited at the same time, the one whose patience ended first had its turn first.
    for k, (at, place) in enumerate(found):
        for _, later in found[k + 1 :]:
            if asked[later][0] < at - 1e-6:
                assert sum(asked[place]) <= sum(asked[later]) + 1e-6


def test_nothing_waits_for_ever() -> None:
    """Twenty trades that ask again and again take all there is: the rest waits its patience, and
    one round of them."""

    async def test() -> None:
        clock = HandClock()
        budget = Paced(10.0, clock)

        async def again_and_again() -> None:
            while True:
                await budget.turn(HELD)

        busy = [asyncio.create_task(again_and_again()) for _ in range(20)]
        await clock.until(1.0)
        rest = asyncio.create_task(budget.turn(REST))
        await clock.until(5.9)
        assert not rest.done()
        await clock.until(8.2)
        assert rest.done()
        for each in busy:
            each.cancel()
        await asyncio.gather(*busy, return_exceptions=True)

    asyncio.run(test())


def test_it_begins_at_once() -> None:
    assert served([(3.0, LATER)], rate=0.2) == [(3.0, 0)]


def test_after_too_many_it_is_half() -> None:
    asked = [(0.0, NEXT) for _ in range(30)]
    assert served(asked)[-1][0] == pytest.approx(2.9)
    # Several complaints at a time are one.
    assert served(asked, limited_at=0.0)[-1][0] == pytest.approx(5.8, abs=0.2)


def test_a_minute_later_it_is_as_before() -> None:
    asked = [(0.0, NEXT)] + [(70.0, NEXT) for _ in range(11)]
    times = [at for at, _ in served(asked, limited_at=None)]
    assert times[-1] - times[1] == pytest.approx(1.0)


def test_who_gives_up_uses_no_turn() -> None:
    async def test() -> None:
        clock = HandClock()
        budget = Paced(1.0, clock)
        await budget.turn(NEXT)
        first, second = (asyncio.create_task(budget.turn(p)) for p in (HELD, NEXT))
        await clock.settle()
        first.cancel()
        await clock.until(1.0)
        assert second.done()
        assert clock.at == 1.0

    asyncio.run(test())


# Traffic.


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("PYUPC_KALSHI_URL", raising=False)


def play(server: Server, steps: Callable[[Kalshi], Awaitable[None]]) -> None:
    async def test() -> None:
        async with server, Kalshi(server.url) as client:
            await steps(client)

    run(test)


@pytest.mark.usefixtures("no_proxy")
@pytest.mark.parametrize("compresses", [True, False])
def test_answers_come_compressed_and_are_counted(compresses: bool) -> None:
    event = hour(1, strikes=150)
    server = Server(Exchange([event], lambda: NOON), compresses=compresses)

    async def steps(client: Kalshi) -> None:
        reading = await client.event(event.ticker)
        assert len(json.loads(reading.text)["event"]["markets"]) == 150
        traffic = client.traffic
        assert (traffic.requests, traffic.limited) == (1, 0)
        assert traffic.body_bytes == len(reading.text.encode())
        assert traffic.wire_bytes == server.sent_bytes
        assert (traffic.wire_bytes < traffic.body_bytes / 5) is compresses
        assert server.requests[0].headers["accept-encoding"] == "gzip"

    play(server, steps)


@pytest.mark.usefixtures("no_proxy")
def test_too_many_requests_are_counted_and_slow_it_down() -> None:
    complaints: list[None] = []

    class Budget:
        async def turn(self, patience: float) -> None:
            assert patience == HELD

        def limited(self) -> None:
            complaints.append(None)

    def answer(request: Request) -> Reply:
        return Reply(status=429)

    async def test() -> None:
        async with Server(answer) as server, Kalshi(server.url, budget=Budget()) as client:
            with pytest.raises(KalshiError):
                await client.event("E", HELD)
            assert (client.traffic.requests, client.traffic.limited) == (1, 1)

    run(test)
    assert len(complaints) == 1
