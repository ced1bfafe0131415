"""Parts of a feed at work: a client of the exchange on the loopback, a store, and what waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from pyupc.exchange.live import Exchange
from pyupc.feed.store import Store
from pyupc.runtime.outage import Outages
from tests.support import feed_servers
from tests.support.market import rows

T = TypeVar("T")

PAIR = "BTC/USD"
PRODUCT = "BTC-USD"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = datetime(2024, 3, 5, 12, 0, 10, tzinfo=UTC)


@asynccontextmanager
async def opened(server: feed_servers.Exchange) -> AsyncIterator[Exchange]:
    """A client that knows its pairs."""
    exchange = Exchange("coinbase", server.url)
    try:
        assert await exchange.pairs({"BTC": PAIR}) == {"BTC": PAIR}
        yield exchange
    finally:
        await exchange.close()


@asynccontextmanager
async def storing(dsn: str, report: Outages | None = None) -> AsyncIterator[Store]:
    store = Store(dsn, "coinbase", report or Outages("pyupc.feed", time.monotonic))
    await store.open()
    keeper = asyncio.ensure_future(store.keep())
    try:
        await store.take(["BTC"])
        yield store
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])
        await store.close()


@contextmanager
def running(work: Coroutine[Any, Any, object]) -> Iterator[asyncio.Future[object]]:
    """Under way until the end of the block; it must not have failed by then."""
    task = asyncio.ensure_future(work)
    try:
        yield task
        assert not task.done() or task.exception() is None
    finally:
        task.cancel()


async def until(condition: Callable[[], object], seconds: float = 45) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        await asyncio.sleep(0.01)
    return time.monotonic() - began


def run(main: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(main)


def minute_of(at: datetime) -> int:
    return int((at - EPOCH).total_seconds() // 60)


def cut(dsn: str) -> None:
    [(is_cut,)] = rows(
        dsn,
        "SELECT bool_and(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'pyupc feed'",
    )
    assert is_cut
