"""Fees of a symbol's series: read from Kalshi when the feed begins, and every hour from then on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from pyupc.errors import PyupcError
from pyupc.kalshi.api import Kalshi
from pyupc.runtime.async_stop import Stopped, answer, pause
from pyupc.runtime.clock import SYSTEM, Clock

logger = logging.getLogger("pyupc.feed")

EVERY_SECONDS = 3600.0
AGAIN_SECONDS = 60.0


class Store(Protocol):
    """The receiver of documents; it raises PyupcError for one that it refuses."""

    async def series(self, document: str) -> bool: ...


async def follow_series(
    client: Kalshi,
    symbol: str,
    names: Sequence[str],
    store: Store,
    stop: asyncio.Event,
    *,
    every: float = EVERY_SECONDS,
    again: float = AGAIN_SECONDS,
    clock: Clock = SYSTEM,
) -> None:
    """Read the series until `stop`. What fails is tried again after a while, and logged once."""
    logged: set[tuple[str, str]] = set()
    with suppress(Stopped):
        while True:
            is_complete = True
            for name in names:
                try:
                    document = await answer(stop, client.series(name))
                    if await store.series(document):
                        logger.warning("%s: Kalshi has changed the fees of %s", symbol, name)
                except PyupcError as problem:
                    is_complete = False
                    if (name, problem.message) not in logged:
                        logged.add((name, problem.message))
                        logger.warning("fees of %s: %s", name, problem.message)
            await pause(stop, every if is_complete else again, clock)
