"""Events that a trade is held of and that nobody else reads: of any series, and however far off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pyupc.errors import PyupcError
from pyupc.kalshi.api import Kalshi
from pyupc.kalshi.budget import HELD
from pyupc.kalshi.http import KalshiError, utc_now
from pyupc.runtime.async_stop import Stopped, answer, pause
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.outage import Outages

logger = logging.getLogger("pyupc.feed")

EVERY_SECONDS = 1.0

_NOT_FOUND = 404
_TOO_MANY = 429


class Store(Protocol):
    """The receiver of documents, which knows the trades that are held."""

    async def market(self, symbol: str, document: str, read_at: datetime) -> object: ...

    async def held_until(self, symbol: str) -> Sequence[tuple[str, datetime]]: ...


async def follow_held(
    client: Kalshi,
    symbol: str,
    store: Store,
    outages: Outages,
    stop: asyncio.Event,
    now: Callable[[], datetime] = utc_now,
    *,
    read: Callable[[], Collection[str]] = tuple,
    every: float = EVERY_SECONDS,
    backoff: Backoff | None = None,
    clock: Clock = SYSTEM,
) -> None:
    """Read the open events that trades of the symbol are held of, until `stop`.

    Those in `read` are read by others. What fails is logged and tried again after a pause.
    """
    reader = _Reader(client, symbol, store, stop)
    backoff = backoff or Backoff()
    subject = f"Kalshi {symbol} events of trades"
    with suppress(Stopped):
        while True:
            wait = every
            problem: PyupcError | None
            try:
                at = now()
                held = await store.held_until(symbol)
                problem = await reader.read(
                    [each for each in held if each[1] > at and each[0] not in read()]
                )
            except PyupcError as error:
                problem = error
            if problem is None:
                outages.works(subject)
                backoff.succeeded()
                wait *= backoff.slowdown
            else:
                outages.failed(subject, problem.message)
                # An error of one event is no reason to wait with the others.
                if isinstance(problem, KalshiError) and problem.status != _NOT_FOUND:
                    is_limited = problem.status == _TOO_MANY
                    wait = max(wait, backoff.failed(is_limited=is_limited))
            await pause(stop, wait, clock)


@dataclass
class _Reader:
    client: Kalshi
    symbol: str
    store: Store
    stop: asyncio.Event

    def __post_init__(self) -> None:
        self._begun: set[str] = set()

    async def read(self, wanted: Sequence[tuple[str, datetime]]) -> PyupcError | None:
        """Read these events; the last problem. One with Kalshi itself ends the round."""
        problem: PyupcError | None = None
        self._begun &= {ticker for ticker, _ in wanted}
        for ticker, closes_at in wanted:
            if ticker not in self._begun:
                self._begun.add(ticker)
                closes = closes_at.strftime("%Y-%m-%d %H:%M:%SZ")
                logger.info(
                    "Kalshi %s: a trade is held of %s, closes at %s", self.symbol, ticker, closes
                )
            try:
                reading = await answer(self.stop, self.client.event(ticker, HELD))
                await self.store.market(self.symbol, reading.text, reading.received_at)
            except KalshiError as error:
                problem = error
                if error.status != _NOT_FOUND:
                    break
            except PyupcError as error:
                problem = error
        return problem
