"""Budget of requests: they begin a while apart, and those that can wait least come first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import Protocol

from pyupc.runtime.clock import SYSTEM, Clock

# Kalshi documents 20 requests a second for the most modest of accounts, and nothing without one.
DEFAULT_RATE = 10.0

# Seconds that a request can wait before it comes first: of an event that a trade is held of or
# whose strike is awaited, of what closes next, of other events, and of all else.
HELD = 0.0
NEXT = 1.0
REST = 5.0
LATER = 10.0

# After too many requests it is half as many, for so many seconds.
SLOW_SECONDS = 60.0
MOST_SLOWDOWN = 8.0


class Budget(Protocol):
    """Requests wait for their turn; `limited` is called after each that was one too many."""

    async def turn(self, patience: float) -> None: ...

    def limited(self) -> None: ...


class Unlimited:
    """No budget: who asks once and then no more needs none."""

    async def turn(self, patience: float) -> None:
        return

    def limited(self) -> None:
        return


class Paced:
    """At most `rate` requests a second, which begin that far apart, none of them in a burst.

    Those that wait are served by the time at which their patience ends. So what is urgent passes
    what is not, and nothing waits for ever. `rate` may be changed at any time.
    """

    def __init__(self, rate: float = DEFAULT_RATE, clock: Clock = SYSTEM) -> None:
        self.rate = rate
        self._clock = clock
        self._free_at = clock.monotonic()
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._server: asyncio.Task[None] | None = None
        self._slowdown = 1.0
        self._slow_until = 0.0

    async def turn(self, patience: float) -> None:
        """Return when a request may begin; if it is cancelled no turn is used."""
        now = self._clock.monotonic()
        if not self._waiting and now >= self._free_at:
            self._free_at = now + self._gap(now)
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (now + patience, next(self._order), mine))
        if self._server is None or self._server.done():
            self._server = asyncio.create_task(self._serve())
        await mine

    def limited(self) -> None:
        """Ask for less: there were too many requests. Several at a time count once."""
        now = self._clock.monotonic()
        if self._slow_until - now < SLOW_SECONDS - 1:
            self._slowdown = min(MOST_SLOWDOWN, 2 * self._slowdown)
            self._slow_until = now + SLOW_SECONDS

    async def _serve(self) -> None:
        while self._waiting:
            now = self._clock.monotonic()
            if now < self._free_at:
                await self._clock.sleep(self._free_at - now)
                continue
            _, _, first = heapq.heappop(self._waiting)
            if not first.done():
                first.set_result(None)
                self._free_at = now + self._gap(now)

    def _gap(self, now: float) -> float:
        """Seconds until the next turn."""
        if self._slowdown > 1 and now >= self._slow_until:
            self._slowdown /= 2
            self._slow_until = now + SLOW_SECONDS
        return self._slowdown / self.rate
