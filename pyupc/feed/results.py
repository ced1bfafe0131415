"""Results: events that have closed are read now and then, until those of all markets are final.

The database knows which those are, so that it does not matter which process followed an event,
if one did.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pyupc.errors import PyupcError
from pyupc.kalshi.api import Kalshi, Upcoming
from pyupc.kalshi.http import KalshiError, utc_now
from pyupc.runtime.async_stop import Stopped, answer, pause
from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.outage import Outages

logger = logging.getLogger("pyupc.feed")

_NOT_FOUND = 404


class Store(Protocol):
    """The receiver of documents, which knows the events without results."""

    async def market(self, symbol: str, document: str, read_at: datetime) -> object: ...

    async def unsettled(self, symbol: str, at: datetime) -> Sequence[tuple[str, datetime]]: ...


@dataclass(frozen=True)
class Times:
    """In seconds: the database is asked every `look_every`, and two reads are `apart`.

    Most results come soon, others late: an event is read again after a tenth of the time since its
    close, but not before `soonest` nor after `latest`.
    """

    look_every: float = 30.0
    apart: float = 2.0
    soonest: float = 30.0
    latest: float = 900.0

    def again_after(self, closed_for: float) -> float:
        return min(self.latest, max(self.soonest, closed_for / 10))


async def follow_results(
    client: Kalshi,
    symbol: str,
    store: Store,
    outages: Outages,
    stop: asyncio.Event,
    now: Callable[[], datetime] = utc_now,
    *,
    times: Times | None = None,
    clock: Clock = SYSTEM,
) -> None:
    """Read the symbol's closed events until they have results, the first of them at once.

    It goes on until `stop`. A write under way is finished before it stops, a request is not.
    """
    await _Results(client, symbol, store, outages, stop, now, times or Times(), clock).run()


@dataclass
class _Results:
    client: Kalshi
    symbol: str
    store: Store
    outages: Outages
    stop: asyncio.Event
    now: Callable[[], datetime]
    times: Times
    clock: Clock

    def __post_init__(self) -> None:
        self._subject = f"results {self.symbol}"
        self._clock = self.clock.monotonic
        self._due: dict[str, float] = {}
        self._logged: set[str] = set()
        self._settled: set[str] = set()

    async def run(self) -> None:
        with suppress(Stopped):
            while True:
                await self._round()
                await pause(self.stop, self.times.look_every, self.clock)

    async def _round(self) -> None:
        """Read what is due, unless Kalshi does not answer: then it has a rest."""
        for event in await self._due_now():
            try:
                await self._read(event)
            except KalshiError as error:
                # The follower of the open event logs what is wrong with Kalshi.
                if error.status != _NOT_FOUND:
                    self._due[event.ticker] = self._clock() + self.times.look_every
                    return
                self._log_once(event.ticker, error)
            except PyupcError as error:
                self._log_once(event.ticker, error)
            await pause(self.stop, self.times.apart, self.clock)

    async def _due_now(self) -> list[Upcoming]:
        """Events due, the longest waiting first, so that none blocks the others."""
        try:
            found = await self.store.unsettled(self.symbol, self.now())
        except PyupcError as error:
            self.outages.failed(self._subject, error.message)
            return []
        self.outages.works(self._subject)
        events = [Upcoming(*each) for each in found]
        self._due = {each.ticker: self._due.get(each.ticker, -math.inf) for each in events}
        self._logged &= set(self._due)
        self._settled &= set(self._due)
        at = self._clock()
        due = [each for each in events if self._due[each.ticker] <= at]
        return sorted(due, key=lambda each: self._due[each.ticker])

    async def _read(self, event: Upcoming) -> None:
        closed_for = (self.now() - event.closes_at).total_seconds()
        self._due[event.ticker] = self._clock() + self.times.again_after(closed_for)
        reading = await answer(self.stop, self.client.event(event.ticker))
        await self.store.market(self.symbol, reading.text, reading.received_at)
        if reading.is_settled and event.ticker not in self._settled:
            self._settled.add(event.ticker)
            logger.info("Kalshi %s: %s has its results", self.symbol, event.ticker)

    def _log_once(self, ticker: str, error: PyupcError) -> None:
        """Once: the problem of one event stays as it is."""
        if ticker not in self._logged:
            self._logged.add(ticker)
            logger.warning("%s: %s: %s", self._subject, ticker, error.message)
