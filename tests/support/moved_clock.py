"""Clocks that a test moves, in place of the machine's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from signal import SIGTERM

# Turns of the event loop after which every coroutine that can go on has done so.
SETTLING_TURNS = 25


@dataclass
class MovedClock:
    """A `pyupc.runtime.clock.Clock` whose time passes only in `move`."""

    at: float = 1000.0
    """Seconds on the monotonic clock."""
    wall_offset: float = 1e9
    _sleepers: list[tuple[float, asyncio.Event]] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.at + self.wall_offset

    async def sleep(self, seconds: float) -> None:
        await self.wait(seconds)

    async def wait(self, seconds: float, *events: asyncio.Event) -> bool:
        if seconds <= 0:
            await asyncio.sleep(0)
            return any(event.is_set() for event in events)
        sleeper = (self.at + seconds, asyncio.Event())
        self._sleepers.append(sleeper)
        tasks = [asyncio.ensure_future(event.wait()) for event in (*events, sleeper[1])]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)
        return any(event.is_set() for event in events)

    async def move(self, seconds: float) -> None:
        """Let so much time pass, waking each sleeper at its time.

        What waits for threads or sockets is not waited for: test for its effect in between.
        """
        target = self.at + seconds
        await settle()
        while due := [each for each in self._sleepers if each[0] <= target]:
            sleeper = min(due, key=lambda each: each[0])
            self._sleepers.remove(sleeper)
            self.at = max(self.at, sleeper[0])
            sleeper[1].set()
            await settle()
        self.at = target


@dataclass
class MovedStop:
    """A `pyupc.runtime.stop.Waiting`: waiting moves the clock.

    `on_wait` is called with the clock moved, before each wait ends; set `received` there to stop.
    """

    clock: MovedClock
    on_wait: Callable[[], None] = lambda: None
    received: int | None = None

    def wait(self, seconds: float) -> bool:
        if self.received is None:
            self.clock.at += max(0.0, seconds)
            self.on_wait()
        return self.received is not None

    def stop(self) -> None:
        self.received = SIGTERM


async def settle() -> None:
    """Let every coroutine run until it waits for time, a thread or a socket."""
    for _ in range(SETTLING_TURNS):
        await asyncio.sleep(0)
