"""Following a symbol's events: the one that closes next is read once a second, hour after hour."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from pyupc.errors import PyupcError
from pyupc.kalshi.api import HOUR, Kalshi, Reading, Upcoming
from pyupc.kalshi.budget import HELD, NEXT, REST
from pyupc.kalshi.http import KalshiError, utc_now
from pyupc.runtime.async_stop import Stopped, answer, pause
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.outage import Outages

logger = logging.getLogger("pyupc.feed")

NO_EVENT = "no event closes within the hour"

_NOT_FOUND = 404
_TOO_MANY = 429


class Store(Protocol):
    """The receiver of documents; it raises PyupcError for one that it refuses."""

    async def market(self, symbol: str, document: str, read_at: datetime) -> object: ...

    async def held(self, symbol: str) -> Collection[str]: ...


# An event closes next if it closes within this.
SOON = timedelta(minutes=15)


@dataclass(frozen=True)
class Times:
    """Times of everything but reading, in seconds.

    Without an event there is a look for one after `look_again`, then after twice as long each time,
    up to `look_most`, and at every quarter of an hour; for `eager` after a close it is at every
    interval, since the next event may be listed a little late. The next event is looked for `ahead`
    of the close.
    """

    look_again: float = 10.0
    look_most: float = 300.0
    eager: float = 30.0
    ahead: float = 30.0
    ahead_again: float = 5.0


async def follow_event(
    client: Kalshi,
    symbol: str,
    series: str,
    store: Store,
    outages: Outages,
    stop: asyncio.Event,
    now: Callable[[], datetime] = utc_now,
    interval: float = 1.0,
    *,
    subject: str | None = None,
    slow: float | None = None,
    times: Times | None = None,
    backoff: Backoff | None = None,
    clock: Clock = SYSTEM,
    read: dict[str, str] | None = None,
) -> None:
    """Read the event of the symbol that closes next every `interval` seconds, until `stop`.

    Reads begin an interval apart; what a slow answer makes it miss is skipped. One answer at a time
    is waited for, so that none overtakes another. What fails is reported and tried again after a
    pause. A write under way is finished before it stops, a request is not. `subject` is what it is
    called in the log. With `slow`, reads are so many seconds apart as long as the event closes
    later than in a quarter of an hour and no trade is held of it. `read` keeps the ticker of the
    event that is read under the name of the series, for others to see.

    Of the budget of requests, an event that a trade is held of, or whose strike is awaited, can
    wait least, then what closes within a quarter of an hour or is read every `interval`.
    """
    if times is None:
        times = Times()
    await _Follower(
        client,
        symbol,
        series,
        store,
        outages,
        stop,
        now,
        interval,
        times,
        backoff or Backoff(),
        clock,
        subject or f"Kalshi {symbol}",
        slow,
        {} if read is None else read,
    ).run()


@dataclass
class _Follower:
    client: Kalshi
    symbol: str
    series: str
    store: Store
    outages: Outages
    stop: asyncio.Event
    now: Callable[[], datetime]
    interval: float
    times: Times
    backoff: Backoff
    clock: Clock
    subject: str
    slow: float | None
    read: dict[str, str]

    def __post_init__(self) -> None:
        self._is_held = False
        self._awaits_strike = False
        self._looks = 0
        self._subject = self.subject
        self._clock = self.clock.monotonic
        self._event: Upcoming | None = None
        self._following: Upcoming | None = None
        self._closed: dict[str, datetime] = {}
        self._eager_until = -math.inf
        self._ahead_at = -math.inf
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        due = self._clock()
        try:
            with suppress(Stopped):
                while True:
                    wait = await self._round()
                    if wait is None:
                        pace = self._pace() * self.backoff.slowdown
                        due = next_start(due, self._clock(), pace)
                    else:
                        due = self._clock() + wait
                    await pause(self.stop, due - self._clock(), self.clock)
                    self._raise_from_tasks()
        finally:
            self.read.pop(self.series, None)
            if not self.stop.is_set():
                for task in self._tasks:
                    task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _round(self) -> float | None:
        """One look; None if it went well, else the pause in seconds before the next one."""
        try:
            if self._event is None or self._event.closes_at <= self.now():
                await self._roll_over()
            if self._event is None:
                return self._nothing()
            await self._read(self._event)
        except KalshiError as error:
            if error.status == _NOT_FOUND:
                self._event = None
            self.outages.failed(self._subject, error.message)
            return self.backoff.failed(is_limited=error.status == _TOO_MANY)
        except PyupcError as error:
            self.outages.failed(self._subject, error.message)
            return self.backoff.failed()
        self.outages.works(self._subject)
        self.backoff.succeeded()
        return None

    def _nothing(self) -> float:
        self.backoff.succeeded()
        if self._clock() < self._eager_until:
            return self.interval
        self.outages.failed(self._subject, NO_EVENT)
        wait = min(self.times.look_most, self.times.look_again * 2.0 ** min(self._looks, 20))
        self._looks += 1
        # New events open at quarters of an hour.
        quarter = SOON.total_seconds()
        return min(wait, quarter - self.now().timestamp() % quarter + self.interval)

    def _pace(self) -> float:
        """Seconds between the starts of two reads."""
        if self.slow is None or self._event is None or self._is_held:
            return self.interval
        return self.interval if self._event.closes_at - self.now() <= SOON else self.slow

    def _patience(self, event: Upcoming) -> float:
        if self._is_held or self._awaits_strike:
            return HELD
        return NEXT if self.slow is None or event.closes_at - self.now() <= SOON else REST

    async def _roll_over(self) -> None:
        """Follow the event that closes next."""
        at = self.now()
        if self._event is not None:
            self._closed = {k: v for k, v in self._closed.items() if v > at - 2 * HOUR}
            self._closed[self._event.ticker] = self._event.closes_at
            self._eager_until = self._clock() + self.times.eager
        self._event, found, self._following = None, self._following, None
        self._is_held = self._awaits_strike = False
        self.read.pop(self.series, None)
        if found is None or found.closes_at <= at:
            found = await answer(self.stop, self.client.next_event(self.series, at))
        # Its markets may have closed before the date of the event.
        if found is None or self._closed.get(found.ticker, found.closes_at) <= at:
            return
        self._event = found
        self.read[self.series] = found.ticker
        self._looks = 0
        closes = found.closes_at.strftime("%H:%M:%SZ")
        logger.info("%s: %s, closes at %s", self._subject, found.ticker, closes)

    async def _read(self, event: Upcoming) -> None:
        reading = await self._take(event)
        self._awaits_strike = reading.awaits_strike
        closes_at = min(reading.closes_at or event.closes_at, event.closes_at)
        self._event = Upcoming(event.ticker, closes_at)
        self._is_held = event.ticker in await self.store.held(self.symbol)
        left = (closes_at - self.now()).total_seconds()
        if self._following is None and left <= self.times.ahead and self._clock() >= self._ahead_at:
            self._ahead_at = self._clock() + self.times.ahead_again
            self._spawn(self._look_ahead(closes_at))

    async def _take(self, event: Upcoming) -> Reading:
        request = self.client.event(event.ticker, self._patience(event))
        reading = await answer(self.stop, request)
        await self.store.market(self.symbol, reading.text, reading.received_at)
        return reading

    async def _look_ahead(self, closes_at: datetime) -> None:
        """Find the event that follows the one which closes then, so that no second is lost."""
        found = await answer(self.stop, self.client.next_event(self.series, closes_at))
        if self._event is not None and self._event.closes_at == closes_at:
            self._following = found

    def _spawn(self, job: Coroutine[Any, Any, None]) -> None:
        async def quietly() -> None:
            # The next read of the event logs what is wrong.
            with suppress(PyupcError, Stopped):
                await job

        self._tasks.append(asyncio.create_task(quietly()))

    def _raise_from_tasks(self) -> None:
        for task in [each for each in self._tasks if each.done()]:
            self._tasks.remove(task)
            task.result()


def next_start(due: float, at: float, interval: float) -> float:
    """The first of due + interval, due + 2 * interval, … that is not over at `at`."""
    return due + interval * max(1, math.ceil((at - due) / interval))
