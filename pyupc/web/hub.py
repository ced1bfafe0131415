"""One connection that listens to the tick, and everybody who reads along."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress

import psycopg

from pyupc.database.errors import translate
from pyupc.errors import PyupcError
from pyupc.web.channel import Channel, Tick
from pyupc.web.database import Database
from pyupc.web.latest import latest

logger = logging.getLogger("pyupc.serve")

# Without a notification for so long the rows are looked at all the same: it is a hint, no more.
LOOK_SECONDS = 1.0
RETRY_SECONDS = 0.5
RETRY_BROWSER = b"retry: 1000\n\n"


class Hub:
    """Reads each tick's row once and hands the same bytes to all readers of its symbol."""

    def __init__(
        self,
        database: Database,
        on_tick: Callable[[float], None] = lambda age: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._on_tick = on_tick
        self._now = now
        self._channels: dict[str, Channel] = {}
        self._news: set[str] = set()
        self._heard = asyncio.Event()
        self._problem: str | None = None
        self.is_closing = asyncio.Event()
        self.readers = 0

    async def run(self) -> None:
        """Until it is cancelled. A database that is lost is waited for."""
        work = (self._listen(), self._tend(), self._pulse())
        tasks = [asyncio.create_task(each) for each in work]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        """Let go of all readers: they come back to the next server."""
        self.is_closing.set()
        for channel in self._channels.values():
            channel.publish_pulse(self._now(), "the server is ending")

    @contextmanager
    def reader(self) -> Iterator[None]:
        self.readers += 1
        try:
            yield
        finally:
            self.readers -= 1

    async def events(self, symbol: str) -> AsyncIterator[bytes]:
        """Events of a registered symbol, from its newest tick on."""
        channel = self._channels.get(symbol)
        if channel is None:
            channel = self._channels[symbol] = Channel(symbol)
            self._wake({symbol})
        tick: Tick | None = None
        pulse = channel.pulse
        yield RETRY_BROWSER
        while not self.is_closing.is_set():
            if channel.tick is not tick and channel.tick is not None:
                tick = channel.tick
                yield tick.event(self._now())
            elif channel.pulse is not pulse:
                pulse = channel.pulse
                yield pulse
            else:
                await channel.changed()

    async def _listen(self) -> None:
        while True:
            try:
                async with await self._database.listener() as conn:
                    await conn.execute("LISTEN upc_tick")
                    self._wake(self._channels)
                    async with aclosing(conn.notifies()) as notifications:
                        async for notification in notifications:
                            self._wake({_symbol_of(notification.payload)} & set(self._channels))
            except (psycopg.Error, OSError) as error:
                logger.debug("the listener: %s", error)
                self._heard.set()
            await asyncio.sleep(RETRY_SECONDS)

    async def _tend(self) -> None:
        """Read rows when there is news, and once in a while without."""
        look_at = self._now()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), LOOK_SECONDS)
            self._heard.clear()
            symbols, self._news = self._news, set()
            if (now := self._now()) >= look_at:
                look_at = now + LOOK_SECONDS
                symbols = set(self._channels)
            await asyncio.gather(*(self._read(self._channels[symbol]) for symbol in symbols))

    async def _pulse(self) -> None:
        """Also while the database lets its readers wait."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = self._now()
            for channel in self._channels.values():
                tick = channel.tick
                is_quiet = tick is None or now - tick.latest.read_at >= LOOK_SECONDS
                if is_quiet or self._problem is not None:
                    channel.publish_pulse(now, self._problem)

    async def _read(self, channel: Channel) -> None:
        now = self._now()
        try:
            found = await latest(self._database, channel.symbol, now)
        except psycopg.Error as error:
            self._tell(translate(error))
        except PyupcError as error:
            self._tell(error)
        else:
            self._tell(None)
            if found and (channel.tick is None or channel.tick.latest.version != found[0].version):
                is_new = channel.tick is None or channel.tick.latest.tick_id != found[0].tick_id
                channel.publish_tick(Tick(found[0]))
                if is_new and found[0].state == "fresh":
                    self._on_tick(found[0].age_seconds)

    def _tell(self, problem: PyupcError | None) -> None:
        text = None if problem is None else problem.message
        if text is not None and self._problem is None:
            logger.error("the database is lost, waiting for it: %s", text)
        if text is None and self._problem is not None:
            logger.info("the database is back")
        self._problem = text

    def _wake(self, symbols: set[str] | dict[str, Channel]) -> None:
        if symbols:
            self._news.update(symbols)
            self._heard.set()


def _symbol_of(payload: str) -> str:
    """Anybody may notify anything: a text that is no tick's wakes nobody."""
    try:
        content = json.loads(payload)
        return str(content["symbol"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
