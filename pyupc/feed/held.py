"""Events that a trade is held of and that nobody else reads: of any series, and however far off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
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
    backoff = backoff or Backoff()
    subject = f"Kalshi {symbol} events of trades"
    begun: set[str] = set()
    with suppress(Stopped):
        while True:
            wait = every
            try:
                at = now()
                wanted = [
                    (ticker, closes_at)
                    for ticker, closes_at in await store.held_until(symbol)
                    if closes_at > at and ticker not in read()
                ]
                begun &= {ticker for ticker, _ in wanted}
                for ticker, closes_at in wanted:
                    if ticker not in begun:
                        begun.add(ticker)
                        closes = closes_at.strftime("%Y-%m-%d %H:%M:%SZ")
                        logger.info("%s: %s, closes at %s", subject, ticker, closes)
                    reading = await answer(stop, client.event(ticker, HELD))
                    await store.market(symbol, reading.text, reading.received_at)
            except PyupcError as problem:
                outages.failed(subject, problem.message)
                is_limited = isinstance(problem, KalshiError) and problem.status == _TOO_MANY
                wait = max(wait, backoff.failed(is_limited=is_limited))
            else:
                outages.works(subject)
                backoff.succeeded()
                wait *= backoff.slowdown
            await pause(stop, wait, clock)
