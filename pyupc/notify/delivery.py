"""Delivery to one receiver: each announcement in order, until it has arrived."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from pyupc.errors import PyupcError, SchemaOutOfDate
from pyupc.notify import outbox
from pyupc.notify.connection import Link
from pyupc.notify.message import Announcement, Message
from pyupc.notify.receiver import NotSent, Target
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.outage import Outages

logger = logging.getLogger("pyupc.notify")

POLL_SECONDS = 2.0
# No service takes as long; all that can be done is to log it.
SEND_SECONDS = 60.0

OUTBOX = "the outbox"


class Courier:
    """One receiver with its own cursor: none waits for another.

    An announcement is acknowledged after it was sent: a crash in between sends it twice. `stop`
    ends it between two steps.
    """

    def __init__(
        self,
        target: Target,
        kinds: Sequence[str],
        link: Link,
        outages: Outages,
        stop: asyncio.Event,
        clock: Clock = SYSTEM,
    ) -> None:
        self.target = target
        self._kinds = kinds
        self._link = link
        self._outages = outages
        self._stop = stop
        self._clock = clock
        self._backoff = Backoff()
        self._news = asyncio.Event()
        self._unacknowledged: set[tuple[str, int]] = set()
        self._outage: Message | None = None
        self._recovery: Message | None = None
        self._is_outage_sent = False

    def wake(self) -> None:
        """There may be something to send, or it is time to end."""
        self._news.set()

    def outage(self, message: Message) -> None:
        """Send that the database is lost, unless it is back before that has arrived."""
        if self._outage is None and message.kind in self._kinds:
            self._outage = message
            self.wake()

    def recovery(self, message: Message) -> None:
        """Send that the database is back, if its loss was sent."""
        if self._outage is not None:
            self._recovery = message
            self.wake()

    async def run(self) -> None:
        """Send until `stop`. Raises SchemaOutOfDate, nothing else."""
        while not self._stop.is_set():
            self._news.clear()
            try:
                await self._send_own()
                if self._link.is_up.is_set():
                    await self.send_waiting()
            except NotSent:
                # News do not end a pause after a failure.
                await self._clock.wait(self._backoff.failed(), self._stop)
            else:
                await self._clock.wait(POLL_SECONDS, self._news)

    async def send_waiting(self) -> None:
        """Send what is waiting now; NotSent as soon as one fails."""
        is_done = False
        while not is_done and not self._stop.is_set():
            try:
                found = await self._link.ask(
                    lambda conn: outbox.waiting(conn, self.target.subscriber, self._kinds)
                )
                for each in found:
                    if self._stop.is_set():
                        return
                    await self._pass_on(each)
            except SchemaOutOfDate:
                raise
            except PyupcError as problem:
                self._outages.failed(OUTBOX, problem.message)
                return
            self._outages.works(OUTBOX)
            is_done = len(found) < outbox.BATCH

    async def _pass_on(self, each: Announcement) -> None:
        key = (each.symbol, each.announcement_id)
        # It has arrived, and only the database does not know.
        if key not in self._unacknowledged:
            await self._send(each.as_message(datetime.fromtimestamp(self._clock.wall(), UTC)))
            self._unacknowledged.add(key)
        await self._link.ask(lambda conn: outbox.acknowledge(conn, self.target.subscriber, each))
        self._unacknowledged.discard(key)

    async def _send_own(self) -> None:
        if self._outage is not None and self._recovery is None and not self._is_outage_sent:
            await self._send(self._outage)
            self._is_outage_sent = True
        if self._recovery is not None:
            if self._is_outage_sent and self._recovery.kind in self._kinds:
                await self._send(self._recovery)
            self._outage = self._recovery = None
            self._is_outage_sent = False

    async def _send(self, message: Message) -> None:
        shown = self.target.shown
        work = _apart(lambda: self.target.send(message))
        done, _ = await asyncio.wait({work}, timeout=SEND_SECONDS)
        if not done:
            self._outages.failed(shown, f"sending takes more than {SEND_SECONDS:g} s")
        try:
            await work
        except NotSent as error:
            self._outages.failed(shown, error.reason)
            raise
        self._backoff.succeeded()
        self._outages.works(shown)
        logger.info("sent to %s: %s", shown, message.name)


def _apart(work: Callable[[], None]) -> asyncio.Future[None]:
    """In a thread that the end of the program does not wait for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def done(error: Exception | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    def run() -> None:
        result: Exception | None = None
        try:
            work()
        except Exception as error:
            result = error
        # The loop may be closed by now.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(done, result)

    threading.Thread(target=run, daemon=True).start()
    return future
