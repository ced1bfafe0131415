"""The time and the waiting of a process, as a value that a test can replace by one that it moves.

- Code that only reads the time takes `now: Callable[[], float]`; pass `clock.monotonic`.
- Coroutines that wait take `clock: Clock = SYSTEM` and call `clock.sleep(seconds)`, or
  `clock.wait(seconds, *events)` where an event ends the wait. They never call asyncio.sleep.
- Synchronous code (`pyupc tick`) waits by `stop.wait(seconds)`, on a `runtime.stop.Waiting`; a
  replacement moves its clock there and returns True when it is time to stop.

A replacement provides the four methods of `Clock`. `monotonic` is for durations, in seconds, and
does not jump; `wall` is seconds since 1970.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Time, and the waiting of a coroutine."""

    def monotonic(self) -> float: ...

    def wall(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...

    async def wait(self, seconds: float, *events: asyncio.Event) -> bool:
        """Return when one of the events is set or the time is over; true if one is set."""
        ...


class SystemClock:
    """The clock of this machine."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def wait(self, seconds: float, *events: asyncio.Event) -> bool:
        tasks = [asyncio.ensure_future(event.wait()) for event in events]
        try:
            await asyncio.wait(
                tasks, timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in tasks:
                task.cancel()
        return any(event.is_set() for event in events)


SYSTEM = SystemClock()
