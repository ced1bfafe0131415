"""Pauses of Kalshi's exchange: its status is read every few seconds."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from pyupc.errors import PyupcError
from pyupc.kalshi.api import Kalshi
from pyupc.kalshi.http import KalshiError
from pyupc.runtime.async_stop import Stopped, answer, pause
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.outage import Outages

logger = logging.getLogger("pyupc.feed")

SUBJECT = "Kalshi's status"

EVERY_SECONDS = 5.0

_TOO_MANY = 429


class Store(Protocol):
    """The receiver of documents; it raises PyupcError for one that it refuses."""

    async def exchange_status(self, document: str, read_at: datetime) -> None: ...


async def follow_pauses(
    client: Kalshi,
    store: Store,
    outages: Outages,
    stop: asyncio.Event,
    *,
    every: float = EVERY_SECONDS,
    backoff: Backoff | None = None,
    clock: Clock = SYSTEM,
) -> None:
    """Read the exchange's status until `stop`. What fails is logged, and tried again later.

    A status that is not read grows old, and says nothing any more.
    """
    backoff = backoff or Backoff()
    with suppress(Stopped):
        while True:
            wait = every
            try:
                document, read_at = await answer(stop, client.exchange_status())
                await store.exchange_status(document, read_at)
            except PyupcError as problem:
                outages.failed(SUBJECT, problem.message)
                is_limited = isinstance(problem, KalshiError) and problem.status == _TOO_MANY
                wait = max(wait, backoff.failed(is_limited=is_limited))
            else:
                outages.works(SUBJECT)
                backoff.succeeded()
                wait *= backoff.slowdown
            await pause(stop, wait, clock)
