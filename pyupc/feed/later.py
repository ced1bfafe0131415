"""Events that close later than within the hour, such as the daily ones: read every few seconds."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from pyupc.errors import PyupcError
from pyupc.kalshi.api import HOUR, Kalshi, Upcoming
from pyupc.kalshi.http import KalshiError, utc_now
from pyupc.runtime.async_stop import Stopped, answer, pause
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.outage import Outages

logger = logging.getLogger("pyupc.feed")

DAY = timedelta(days=1)

_TOO_MANY = 429


class Store(Protocol):
    """The receiver of documents; it raises PyupcError for one that it refuses."""

    async def market(self, symbol: str, document: str, read_at: datetime) -> object: ...

    async def held(self, symbol: str) -> Collection[str]: ...


@dataclass(frozen=True)
class Times:
    """In seconds: the list of events is read every `look_every`, each of them every `apart`.

    At most `most` events are followed, those that close first.
    """

    look_every: float = 120.0
    apart: float = 5.0
    most: int = 2


async def follow_later(
    client: Kalshi,
    symbol: str,
    series: str,
    store: Store,
    outages: Outages,
    stop: asyncio.Event,
    now: Callable[[], datetime] = utc_now,
    *,
    times: Times | None = None,
    backoff: Backoff | None = None,
    clock: Clock = SYSTEM,
) -> None:
    """Read the symbol's events that close later than in an hour and within a day, until `stop`.

    Those that a trade is held of are left to `held.follow_held`, which reads them more often. What
    fails is logged and tried again after a pause.
    """
    times = times or Times()
    backoff = backoff or Backoff()
    subject = f"Kalshi {symbol} later events"
    followed: list[Upcoming] = []
    looked_at = -math.inf
    with suppress(Stopped):
        while True:
            wait = times.apart
            try:
                if clock.monotonic() - looked_at >= times.look_every:
                    at = now()
                    found = await answer(stop, client.later_events(series, at + HOUR, at + DAY))
                    looked_at = clock.monotonic()
                    for event in found[: times.most]:
                        if event not in followed:
                            closes = event.closes_at.strftime("%Y-%m-%d %H:%M:%SZ")
                            logger.info("%s: %s, closes at %s", subject, event.ticker, closes)
                    followed = found[: times.most]
                # Within the hour it is the hourly event's turn.
                followed = [each for each in followed if each.closes_at > now() + HOUR]
                held = await store.held(symbol)
                for event in followed:
                    if event.ticker in held:
                        continue
                    reading = await answer(stop, client.event(event.ticker))
                    await store.market(symbol, reading.text, reading.received_at)
            except PyupcError as problem:
                outages.failed(subject, problem.message)
                is_limited = isinstance(problem, KalshiError) and problem.status == _TOO_MANY
                looked_at = -math.inf
                wait = max(wait, backoff.failed(is_limited=is_limited))
            else:
                outages.works(subject)
                backoff.succeeded()
                wait *= backoff.slowdown
            await pause(stop, wait, clock)
