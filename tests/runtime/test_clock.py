"""The clock of this machine, and one that a test moves: they wait alike."""

from __future__ import annotations

import asyncio
import time

import pytest

from pyupc.runtime.clock import SYSTEM, Clock
from tests.support.moved_clock import MovedClock, MovedStop, settle


@pytest.mark.parametrize("clock", [SYSTEM, MovedClock()], ids=["system", "moved"])
def test_an_event_ends_a_wait(clock: Clock) -> None:
    async def main() -> None:
        first, second = asyncio.Event(), asyncio.Event()
        waiting = asyncio.create_task(clock.wait(60, first, second))
        await settle()
        assert not waiting.done()
        second.set()
        assert await waiting
        # One that is set already is not waited for.
        assert await clock.wait(60, first, second)
        assert not await clock.wait(0, first)
        assert not await clock.wait(-1, first)

    asyncio.run(main())


def test_the_machine_clock_waits_for_the_given_time() -> None:
    async def main() -> None:
        began = time.monotonic()
        await SYSTEM.sleep(0.05)
        assert not await SYSTEM.wait(0.05, asyncio.Event())
        assert time.monotonic() - began >= 0.1

    asyncio.run(main())
    assert abs(SYSTEM.wall() - time.time()) < 5
    assert abs(SYSTEM.monotonic() - time.monotonic()) < 5


def test_a_moved_clock_wakes_each_sleeper_at_its_time() -> None:
    async def main() -> None:
        clock = MovedClock(at=0.0)
        woken: list[tuple[str, float]] = []

        async def every(name: str, seconds: float) -> None:
            while True:
                await clock.sleep(seconds)
                woken.append((name, clock.monotonic()))

        tasks = [asyncio.create_task(every("a", 2)), asyncio.create_task(every("b", 3))]
        await clock.move(5)
        assert woken == [("a", 2), ("b", 3), ("a", 4)]
        assert clock.wall() == 1e9 + 5
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await clock.move(5)
        assert len(woken) == 3

    asyncio.run(main())


def test_a_moved_stop_moves_its_clock() -> None:
    clock = MovedClock(at=0.0)
    stop = MovedStop(clock)
    assert not stop.wait(1.5)
    stop.on_wait = stop.stop
    assert stop.wait(1)
    assert stop.wait(60)
    assert clock.at == 2.5
