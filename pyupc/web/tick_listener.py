"""One connection that listens to the tick, and everybody who reads along."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace

import psycopg

from pyupc.errors import PyupcError
from pyupc.runtime.outage import DatabaseOutage
from pyupc.sql_errors import translate
from pyupc.tick.aging_rules import Rules
from pyupc.tick.documents import DOCUMENTS
from pyupc.web.channel import Channel, Tick
from pyupc.web.database import Database
from pyupc.web.latest import Latest, latest, rules_of

logger = logging.getLogger("pyupc.serve")

# Without a notification for so long the rows are looked at all the same: it is a hint, no more.
LOOK_SECONDS = 1.0
RETRY_SECONDS = 0.5
REVISION_SECONDS = 3.0
UNKNOWN_SYMBOL = "UP002"
RETRY_BROWSER = b"retry: 1000\n\n"


class Hub:
    """Reads each tick's row once and hands the same bytes to all readers of the same documents.

    `database` is its own, so no request delays the next tick. The other databases are notified when
    the schema has changed.
    """

    def __init__(
        self,
        database: Database,
        others: Sequence[Database] = (),
        on_tick: Callable[[float], None] = lambda age: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._others = others
        self._on_tick = on_tick
        self._now = now
        self._channels: dict[str, Channel] = {}
        self._news: set[str] = set()
        self._heard = asyncio.Event()
        self._problem: str | None = None
        self._outage = DatabaseOutage(logger.name, now)
        self._rules: Rules | None = None
        self._is_deaf = False
        self._is_closing = False
        self._readers: Counter[str] = Counter()

    @property
    def readers(self) -> int:
        return self._readers.total()

    def readers_of(self, client: str) -> int:
        return self._readers[client]

    def knows(self, symbol: str) -> bool:
        """True if the symbol has or had a reader; it is registered, then."""
        return symbol in self._channels

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
        self._is_closing = True
        for channel in self._channels.values():
            channel.publish_pulse(self._now(), "the server is ending")

    @contextmanager
    def reader(self, client: str) -> Iterator[None]:
        """Count a reader for as long as it reads."""
        self._readers[client] += 1
        try:
            yield
        finally:
            self._readers[client] -= 1
            # Clients that have gone leave nothing behind.
            self._readers += Counter()

    async def events(
        self, symbol: str, documents: tuple[str, ...] = DOCUMENTS
    ) -> AsyncIterator[bytes]:
        """Events of a registered symbol with these documents, from its newest tick on."""
        channel = self._channels.get(symbol)
        if channel is None:
            channel = self._channels[symbol] = Channel(symbol)
            self._wake({symbol})
        tick: Tick | None = None
        pulse = channel.pulse
        yield RETRY_BROWSER
        while not (self._is_closing or channel.is_ended):
            if channel.tick is not tick and channel.tick is not None:
                tick = channel.tick
                yield tick.event(self._now(), documents)
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
                    self._is_deaf = False
                    self._wake(self._channels)
                    async with aclosing(conn.notifies()) as notifications:
                        async for notification in notifications:
                            self._wake(_symbols_of(notification.payload) & self._channels.keys())
            except (psycopg.Error, OSError) as error:
                self._tell_deaf(error)
            await asyncio.sleep(RETRY_SECONDS)

    async def _tend(self) -> None:
        """Read rows when there is news, and once in a while without."""
        look_at = revision_at = self._now()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), LOOK_SECONDS)
            self._heard.clear()
            symbols, self._news = self._news, set()
            now = self._now()
            if now >= revision_at:
                revision_at = now + REVISION_SECONDS
                await self._check_revision()
            if now >= look_at:
                look_at = now + LOOK_SECONDS
                symbols = set(self._channels)
            known = [self._channels[symbol] for symbol in symbols if symbol in self._channels]
            if known:
                self._tell(await self._problem_with(known))

    async def _pulse(self) -> None:
        """Also while the database lets its readers wait."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = self._now()
            for channel in self._channels.values():
                tick = channel.tick
                if tick is not None and self._problem is not None:
                    tick = self._grown_old(channel, tick, now)
                is_quiet = tick is None or now - tick.latest.read_at >= LOOK_SECONDS
                if is_quiet or self._problem is not None:
                    channel.publish_pulse(now, self._problem)

    def _grown_old(self, channel: Channel, tick: Tick, now: float) -> Tick:
        """Tick as shown at this age, without asking the database."""
        if self._rules is None:
            return tick
        state = self._rules.state_at(tick.latest.age(now))
        if self._rules.rank(state) > self._rules.rank(tick.latest.state):
            tick = Tick(replace(tick.latest, state=state).aged(self._rules))
            channel.publish_tick(tick)
        return tick

    async def _check_revision(self) -> None:
        # A failure here shows again when rows are read, and is reported then.
        with suppress(psycopg.Error, PyupcError):
            await self._database.check_revision()
            self._rules = await rules_of(self._database)
        for other in self._others:
            other.outdated = self._database.outdated

    async def _problem_of(self, work: Awaitable[None]) -> PyupcError | None:
        """Whatever fails is reported to the readers, and tried again."""
        try:
            await work
        except psycopg.Error as error:
            return translate(error)
        except PyupcError as error:
            return error
        except Exception as error:
            if self._problem is None:
                logger.exception("a tick could not be read")
            return PyupcError(f"a tick could not be read: {type(error).__name__}")
        return None

    async def _problem_with(self, channels: Sequence[Channel]) -> PyupcError | None:
        """Read the rows of all, in one statement; one for all that fails.

        What one symbol can be asked does not end what fails for another.
        """
        if len(channels) > 1 and await self._problem_of(self._read_all(channels)) is None:
            return None
        found = await asyncio.gather(*(self._problem_of(self._read(each)) for each in channels))
        return next((each for each in found if each is not None), None)

    async def _read_all(self, channels: Sequence[Channel]) -> None:
        symbols = [channel.symbol for channel in channels]
        found = await latest(self._database, None, self._now(), symbols)
        newest = {each.symbol: each for each in found}
        for channel in channels:
            if (document := newest.get(channel.symbol)) is not None:
                self._show(channel, document)
            else:
                # Not ticked yet, or not registered any more.
                await self._read(channel)

    async def _read(self, channel: Channel) -> None:
        try:
            found = await latest(self._database, channel.symbol, self._now())
        except psycopg.Error as error:
            if error.sqlstate != UNKNOWN_SYMBOL:
                raise
            self._channels.pop(channel.symbol, None)
            channel.end()
            return
        if found:
            self._show(channel, found[0])

    def _show(self, channel: Channel, newest: Latest) -> None:
        before = channel.tick
        if before is None or before.latest.version != newest.version:
            channel.publish_tick(Tick(newest))
            is_new = before is None or not before.latest.is_same_tick(newest)
            if is_new and newest.state == "fresh":
                self._on_tick(newest.age_seconds)

    def _tell(self, problem: PyupcError | None) -> None:
        if problem is None:
            self._outage.back()
        else:
            self._outage.lost(problem)
        self._problem = None if problem is None else problem.message

    def _tell_deaf(self, error: psycopg.Error | OSError) -> None:
        """Once: ticks are found without notifications, too, only later."""
        if not self._is_deaf:
            text = translate(error).message if isinstance(error, psycopg.Error) else str(error)
            logger.warning("no notifications come in: %s", text)
        self._is_deaf = True

    def _wake(self, symbols: Collection[str]) -> None:
        if symbols:
            self._news.update(symbols)
            self._heard.set()


def _symbols_of(payload: str) -> set[str]:
    """The symbols of a tick, or of a batch of ticks.

    Any client may NOTIFY any text: one that is not a tick's wakes no reader.
    """
    try:
        content = json.loads(payload)
        if "ticks" in content:
            return set(dict(content["ticks"]))
        return {str(content["symbol"])}
    except (ValueError, TypeError, KeyError, RecursionError):
        return set()
