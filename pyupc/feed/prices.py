"""One symbol's prices into the price log: through a websocket, else by a request a second."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from pyupc.errors import PyupcError
from pyupc.exchange.answer import Quote
from pyupc.exchange.live import Exchange
from pyupc.exchange.problems import ExchangeProblem
from pyupc.feed.store import Store
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.outage import Outages

NO_PRICE = "no price in the answer"
SILENT = "silent while requests bring newer prices"


@dataclass(frozen=True)
class Times:
    """In seconds: a request after so long without a price (`interval`), prices at least `gap`
    apart, and a new websocket after `silence`."""

    interval: float = 1.0
    gap: float = 0.25
    silence: float = 15.0


@dataclass
class Flow:
    """Prices of a symbol so far: their number, and the newest one."""

    logged: int = 0
    price: float | None = None
    priced_at: datetime | None = None


class Prices:
    """`run` logs prices until it is cancelled. What fails is reported and tried again."""

    def __init__(
        self,
        exchange: Exchange,
        symbol: str,
        pair: str,
        store: Store,
        outages: Outages,
        flow: Flow,
        *,
        times: Times | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        self._exchange = exchange
        self._symbol = symbol
        self._pair = pair
        self._store = store
        self._outages = outages
        self._flow = flow
        self._times = times or Times()
        self._clock = clock
        self._now = clock.monotonic
        self._subject = f"{exchange.name} {symbol}"
        self._socket = f"{exchange.name} {symbol} websocket"
        # A first request at once: a websocket takes longer to open.
        self._heard = self._now() - self._times.interval
        self._listened = self._now()
        self._heard_quote: Quote | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ask())
            if self._exchange.has_websocket:
                group.create_task(self._listen())

    async def _listen(self) -> None:
        backoff = Backoff()
        while True:
            try:
                quote = await self._exchange.watch(self._pair)
            except ExchangeProblem as problem:
                self._outages.failed(self._socket, problem.reason)
                await self._clock.sleep(backoff.failed(is_limited=problem.is_limit))
                continue
            backoff.succeeded()
            self._outages.works(self._socket)
            self._listened = self._now()
            self._heard_quote = quote
            if await self._take(quote):
                self._heard = self._now()
            # Prices that come meanwhile are passed over: the log holds a few per second, not each.
            await self._clock.sleep(self._times.gap)

    async def _ask(self) -> None:
        """Request prices while the websocket is silent: else the newest one would grow old."""
        backoff = Backoff()
        while True:
            pause = self._heard + self._times.interval * backoff.slowdown - self._now()
            if pause > 0:
                await self._clock.sleep(pause)
                continue
            began = self._now()
            try:
                quote = await self._exchange.ask(self._pair)
            except ExchangeProblem as problem:
                self._outages.failed(self._subject, problem.reason)
                await self._clock.sleep(backoff.failed(is_limited=problem.is_limit))
                continue
            backoff.succeeded()
            self._heard = max(self._heard, began)
            await self._take(quote)
            await self._see_to_silence(quote)

    async def _take(self, quote: Quote) -> bool:
        """Log it, if it is a price; true if it was one."""
        if quote.price is None:
            self._outages.failed(self._subject, NO_PRICE)
            return False
        received_at = datetime.fromtimestamp(self._clock.wall(), UTC)
        try:
            is_logged = await self._store.price(self._symbol, quote.price, quote.at, received_at)
        except PyupcError as problem:
            self._outages.failed(self._subject, problem.message)
            return True
        self._outages.works(self._subject)
        if is_logged:
            self._flow.logged += 1
            self._flow.price = quote.price
            self._flow.priced_at = min(received_at, quote.at or received_at)
        return True

    async def _see_to_silence(self, quote: Quote) -> None:
        """A websocket may stay open and bring nothing any more, though the price moves."""
        if (
            self._exchange.has_websocket
            and self._now() - self._listened > self._times.silence
            and quote.price is not None
            and (self._heard_quote is None or quote.price != self._heard_quote.price)
        ):
            self._outages.failed(self._socket, SILENT)
            self._listened = self._now()
            await self._exchange.disconnect()
