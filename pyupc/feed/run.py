"""The run of `pyupc feed`: prices, candles and Kalshi's events of some symbols, until a signal."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyupc.errors import Busy, PyupcError
from pyupc.exchange.live import Exchange
from pyupc.exchange.names import DEFAULT_EXCHANGE
from pyupc.exchange.problems import ExchangeProblem
from pyupc.feed.builds import build_hourly
from pyupc.feed.prices import Flow
from pyupc.feed.roster import Roster
from pyupc.feed.store import SUBJECT, Registered, Store
from pyupc.price_text import price_text
from pyupc.runtime.async_stop import signals, until
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.connection import ConnectionLost
from pyupc.runtime.outage import Outages
from pyupc.runtime.server_clock import Skew
from pyupc.symbols import names

if TYPE_CHECKING:
    from pyupc.kalshi.api import Kalshi
    from pyupc.kalshi.budget import Paced
    from pyupc.kalshi.http import Traffic

logger = logging.getLogger("pyupc.feed")

MINUTE_SECONDS = 60.0
# From one look at the rule of how much Kalshi may be asked to the next.
RATE_SECONDS = 5.0
CLOSE_SECONDS = 2.0


@dataclass(frozen=True)
class Job:
    """Options of a run. No symbols: all that are registered and listed, also those of later.

    `kalshi` is production, demo or a URL, None the value of PYUPC_KALSHI_URL. `url` names a server
    to ask in place of the exchange's own. With `is_attached` it ends with its standard input.
    `seconds` ends it after so many.
    """

    dsn: str = field(repr=False)
    exchange: str = DEFAULT_EXCHANGE
    symbols: tuple[str, ...] = ()
    has_kalshi: bool = True
    kalshi: str | None = None
    is_building: bool = True
    url: str | None = None
    is_attached: bool = False
    seconds: float | None = None


def run(job: Job) -> int:
    """Feed until a signal comes; the exit code. Only the main thread can do it.

    Raises PyupcError for what cannot heal: an unknown exchange or symbol, pairs none of which is
    listed, another feed of the same, another schema.
    """
    return asyncio.run(_Run(job).run())


class _Run:
    def __init__(self, job: Job, clock: Clock = SYSTEM) -> None:
        self._job = job
        self._outages = Outages("pyupc.feed", clock.monotonic)
        self._clock = clock
        self._flows: dict[str, Flow] = {}
        self._skews: dict[str, Skew] = {}
        self._stop = asyncio.Event()
        self._budget: Paced | None = None
        self._traffic: Traffic | None = None

    async def run(self) -> int:
        job = self._job
        with signals(self._stop, is_attached=job.is_attached) as received:
            async with AsyncExitStack() as stack:
                exchange = Exchange(job.exchange, job.url)
                stack.push_async_callback(_close, exchange)
                self._skews[exchange.name] = exchange.skew
                self._close_broken_websockets(exchange)
                store = Store(job.dsn, exchange.name, self._outages, clock=self._clock)
                stack.push_async_callback(store.close)
                if (begun := await self._begin(store)) is None:
                    return received.exit_code
                kalshi = await self._market_client(stack)
                roster = Roster(
                    exchange,
                    store,
                    self._outages,
                    self._stop,
                    self._flows,
                    job.symbols,
                    kalshi=kalshi,
                    clock=self._clock,
                )
                work: list[Coroutine[Any, Any, object]] = [
                    store.keep(),
                    self._log_minutes(store),
                    roster.run(*begun),
                ]
                if kalshi is not None:
                    from pyupc.feed.pauses import follow_pauses

                    work += [
                        self._keep_rate(store),
                        follow_pauses(kalshi, store, self._outages, self._stop, clock=self._clock),
                    ]
                if job.is_building:
                    # Its list changes with the symbols that are registered.
                    work.append(
                        build_hourly(job.dsn, roster.fed, self._outages, self._stop, self._clock)
                    )
                await until(self._stop, work, seconds=job.seconds)
        return received.exit_code

    async def _begin(self, store: Store) -> tuple[Registered, list[str]] | None:
        """All registered symbols, and those that are fed from now on; None if a signal came first.

        A database that is busy is waited for.
        """
        backoff = Backoff()
        while True:
            try:
                await store.open()
                await store.refuse_simulation()
                registered = await store.symbols()
                symbols = _chosen(self._job.symbols, registered)
                await store.take(symbols)
            except Busy as problem:
                self._outages.failed(SUBJECT, problem.message)
            except ConnectionLost:
                pass
            else:
                self._outages.works(SUBJECT)
                return registered, symbols
            if await self._clock.wait(backoff.failed(), self._stop):
                return None

    async def _market_client(self, stack: AsyncExitStack) -> Kalshi | None:
        if not self._job.has_kalshi:
            return None
        from pyupc.kalshi.api import Kalshi
        from pyupc.kalshi.budget import Paced

        self._budget = Paced(clock=self._clock)
        client = await stack.enter_async_context(Kalshi(self._job.kalshi, budget=self._budget))
        self._skews["Kalshi"] = client.skew
        self._traffic = client.traffic
        return client

    async def _keep_rate(self, store: Store) -> None:
        """Keep to the rule, which may change."""
        while True:
            try:
                if self._budget is not None:
                    self._budget.rate = await store.rate()
            except ConnectionLost:
                pass
            except PyupcError as problem:
                self._outages.failed("kalshi_rate", problem.message)
            else:
                self._outages.works("kalshi_rate")
            await self._clock.sleep(RATE_SECONDS)

    async def _log_minutes(self, store: Store) -> None:
        """One line per minute, and the partitions of the days ahead."""
        logged: dict[str, int] = {}
        counted = None if self._traffic is None else replace(self._traffic)
        since = self._clock.monotonic()
        while True:
            await self._clock.sleep(MINUTE_SECONDS)
            await store.make_partitions()
            seconds = self._clock.monotonic() - since
            now = datetime.fromtimestamp(self._clock.wall(), UTC)
            parts = [
                _line(symbol, flow, (flow.logged - logged.get(symbol, 0)) / seconds, now)
                for symbol, flow in self._flows.items()
            ]
            logged = {symbol: flow.logged for symbol, flow in self._flows.items()}
            if self._traffic is not None and counted is not None:
                parts.append(traffic_line(self._traffic, counted, seconds))
                counted = replace(self._traffic)
            since += seconds
            parts += [
                f"clock of {name} {skew.seconds:+.1f} s"
                for name, skew in self._skews.items()
                if skew.seconds is not None
            ]
            logger.info("%s", "; ".join([*parts, f"{_resident_bytes() / 1e6:.0f} MB"]))

    def _close_broken_websockets(self, exchange: Exchange) -> None:
        """Text that ccxt cannot parse ends its reader of the websocket, which then stays silent: it
        is closed, and the next listener opens another."""

        def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            logger.debug("%s: %r", context["message"], context.get("exception"))
            if "handle" in context and not self._stop.is_set():
                closing.add(loop.create_task(disconnect()))

        async def disconnect() -> None:
            with suppress(ExchangeProblem):
                await exchange.disconnect()
            closing.difference_update({task for task in closing if task.done()})

        closing: set[asyncio.Task[None]] = set()
        asyncio.get_running_loop().set_exception_handler(handle)


async def _close(exchange: Exchange) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await exchange.close()


def _chosen(symbols: Sequence[str], registered: Registered) -> list[str]:
    for symbol in symbols:
        if symbol not in registered:
            raise PyupcError(f"unknown symbol {symbol!r}", names.registered(registered))
    if not registered:
        raise PyupcError("no symbol is registered", names.ADD)
    return list(symbols or registered)


def _line(symbol: str, flow: Flow, rate: float, now: datetime) -> str:
    if flow.price is None or flow.priced_at is None:
        return f"{symbol} no price"
    age = (now - flow.priced_at).total_seconds()
    return f"{symbol} {price_text(flow.price)}, {rate:.1f} prices/s, {age:.1f} s old"


def traffic_line(traffic: Traffic, before: Traffic, seconds: float) -> str:
    """Requests a second, and kilobytes: as they came, and unpacked."""
    requests = (traffic.requests - before.requests) / seconds
    wire = (traffic.wire_bytes - before.wire_bytes) / seconds / 1e3
    body = (traffic.body_bytes - before.body_bytes) / seconds / 1e3
    limited = traffic.limited - before.limited
    line = f"Kalshi {requests:.1f} requests/s, {wire:.0f} kB/s for {body:.0f} kB/s of JSON"
    return line + (f", {limited} too many" if limited else "")


def _resident_bytes() -> int:
    """Memory of this process; where there is no /proc, the most that it ever had."""
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
