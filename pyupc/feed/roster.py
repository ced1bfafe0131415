"""The symbols that are fed: new ones are taken up while the feed runs, retired ones dropped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pyupc.errors import PyupcError
from pyupc.exchange.client import candidates
from pyupc.exchange.live import Exchange
from pyupc.exchange.problems import ExchangeProblem
from pyupc.feed.minutes import Minutes
from pyupc.feed.prices import Flow, Prices
from pyupc.feed.store import Registered, Store
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.connection import ConnectionLost
from pyupc.runtime.outage import Outages
from pyupc.symbols import names

if TYPE_CHECKING:
    from pyupc.feed.markets import Markets
    from pyupc.kalshi.api import Kalshi

logger = logging.getLogger("pyupc.feed")

# From one look at the registered symbols to the next.
LOOK_SECONDS = 2.0


class Roster:
    """`run` feeds symbols until it is cancelled.

    `named` are the only symbols to feed, those of them that are registered; empty for all. `fed`
    are those that are fed at present, for others to read; `flows` gets their prices.
    """

    def __init__(
        self,
        exchange: Exchange,
        store: Store,
        outages: Outages,
        stop: asyncio.Event,
        flows: dict[str, Flow],
        named: Sequence[str] = (),
        *,
        kalshi: Kalshi | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        self._exchange = exchange
        self._store = store
        self._outages = outages
        self._stop = stop
        self._flows = flows
        self._named = named
        self._kalshi = kalshi
        self._clock = clock
        self._tasks: dict[str, list[asyncio.Task[object]]] = {}
        self._markets: dict[str, Markets] = {}
        self._refused: set[str] = set()
        self.fed: list[str] = []

    async def run(self, registered: Registered, symbols: Sequence[str]) -> None:
        """Feed these symbols, whose rights are taken, and those of later looks.

        Raises PyupcError if the exchange lists none of them, or if all of them are retired.
        """
        async with asyncio.TaskGroup() as group:
            for symbol in symbols:
                self._enter(group, symbol, registered[symbol][1])
            # Prices and candles come as soon as the exchange can be reached.
            wanted = {symbol: registered[symbol][0] for symbol in symbols}
            pairs = await self._pairs(wanted)
            _leave_out(self._exchange.name, wanted, pairs)
            self._trade(group, wanted, pairs)
            while True:
                await self._clock.sleep(LOOK_SECONDS)
                with suppress(ConnectionLost):
                    await self._look(group)

    async def _look(self, group: asyncio.TaskGroup) -> None:
        registered = await self._store.symbols()
        wanted = [symbol for symbol in self._named or registered if symbol in registered]
        for symbol in [each for each in self.fed if each not in wanted]:
            await self._drop(symbol)
        if new := [symbol for symbol in wanted if symbol not in self.fed]:
            await self._take_up(group, registered, new)
        if not self.fed:
            raise PyupcError("no symbol is left to feed", names.ADD)
        for symbol, markets in self._markets.items():
            await markets.follow(group, registered[symbol][1])

    async def _take_up(
        self, group: asyncio.TaskGroup, registered: Registered, new: Sequence[str]
    ) -> None:
        """Feed further symbols, unless another process does, or the exchange does not answer."""
        taken = [symbol for symbol in new if await self._take(symbol)]
        if not taken:
            return
        wanted = {symbol: registered[symbol][0] for symbol in (*self.fed, *taken)}
        try:
            # Of all symbols: the exchange keeps only the markets that it was asked for last.
            pairs = await self._exchange.pairs(wanted, is_reloaded=True)
        except ExchangeProblem:
            for symbol in taken:
                await self._store.give_back(symbol)
            return
        found = {symbol: wanted[symbol] for symbol in taken}
        for symbol in taken:
            logger.info("%s is registered: it is fed from now on", symbol)
            self._enter(group, symbol, registered[symbol][1])
        own = {symbol: pair for symbol, pair in pairs.items() if symbol in found}
        _warn(self._exchange.name, found, own)
        self._trade(group, found, own)

    async def _take(self, symbol: str) -> bool:
        if await self._store.take_more(symbol):
            self._refused.discard(symbol)
            return True
        if symbol not in self._refused:
            self._refused.add(symbol)
            logger.warning(
                "%s is fed from %s by another process: it is left out", symbol, self._exchange.name
            )
        return False

    def _enter(self, group: asyncio.TaskGroup, symbol: str, series: Sequence[str]) -> None:
        """Count a symbol among those that are fed, and follow its events at Kalshi."""
        self.fed.append(symbol)
        self._tasks[symbol] = []
        if self._kalshi is not None:
            from pyupc.feed.markets import Markets

            markets = Markets(self._kalshi, symbol, self._store, self._outages, self._stop)
            markets.begin(group, series)
            self._markets[symbol] = markets

    def _trade(
        self, group: asyncio.TaskGroup, wanted: dict[str, str | None], pairs: dict[str, str]
    ) -> None:
        """Prices and candles of the symbols that have a pair."""
        for symbol, pair in pairs.items():
            if pair != wanted[symbol]:
                logger.warning(
                    "%s lists no %s; prices of %s are those of %s",
                    self._exchange.name,
                    wanted[symbol] or f"{symbol}/USD",
                    symbol,
                    pair,
                )
            # Candles first: momentum needs them, and prices come through the websocket.
            minutes = Minutes(self._exchange, symbol, pair, self._store, self._outages)
            self._tasks[symbol].append(group.create_task(minutes.run()))
        for symbol, pair in pairs.items():
            flow = self._flows[symbol] = Flow()
            prices = Prices(self._exchange, symbol, pair, self._store, self._outages, flow)
            self._tasks[symbol].append(group.create_task(prices.run()))

    async def _drop(self, symbol: str) -> None:
        tasks = self._tasks.pop(symbol)
        if (markets := self._markets.pop(symbol, None)) is not None:
            tasks += markets.tasks()
        # None of them is in the middle of a statement then, which would cost the connection.
        async with self._store.turn:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.fed.remove(symbol)
        self._flows.pop(symbol, None)
        logger.warning("%s is not registered any more: it is not fed from now on", symbol)
        with suppress(ConnectionLost):
            await self._store.give_back(symbol)

    async def _pairs(self, wanted: dict[str, str | None]) -> dict[str, str]:
        backoff = Backoff()
        while True:
            try:
                pairs = await self._exchange.pairs(wanted)
            except ExchangeProblem as problem:
                self._outages.failed(self._exchange.name, problem.reason)
                await self._clock.sleep(backoff.failed(is_limited=problem.is_limit))
            else:
                self._outages.works(self._exchange.name)
                return pairs


def _leave_out(exchange: str, wanted: dict[str, str | None], pairs: dict[str, str]) -> None:
    """Name each symbol that is not traded there, once; PyupcError if none of them is."""
    if not pairs:
        missing = (", ".join(candidates(symbol, pair)) for symbol, pair in wanted.items())
        raise PyupcError(
            f"{exchange} lists none of {'; '.join(missing)} as active",
            "try another exchange with --exchange",
        )
    _warn(exchange, wanted, pairs)


def _warn(exchange: str, wanted: dict[str, str | None], pairs: dict[str, str]) -> None:
    for symbol, pair in wanted.items():
        if symbol not in pairs:
            tried = ", ".join(candidates(symbol, pair))
            logger.warning("%s lists none of %s as active: %s is left out", exchange, tried, symbol)
