"""Watch over the database: silent ticks, reconnecting, and messages of an outage."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from pyupc.errors import PyupcError, SchemaOutOfDate
from pyupc.notify import outbox
from pyupc.notify.connection import Link
from pyupc.notify.delivery import OUTBOX, Courier
from pyupc.notify.message import own
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.outage import Outages

DATABASE = "database"

ROUND_SECONDS = 3.0
LONGEST_PAUSE = 3.0
OUTAGE_SECONDS = 10.0
_LOOK_SECONDS = 0.25


class Watch:
    """Announces silent ticks, connects anew, and sends the outages of the database."""

    def __init__(
        self,
        link: Link,
        couriers: Sequence[Courier],
        outages: Outages,
        stop: asyncio.Event,
        clock: Clock = SYSTEM,
    ) -> None:
        self._link = link
        self._couriers = couriers
        self._outages = outages
        self._stop = stop
        self._clock = clock

    async def rounds(self) -> None:
        """Until `stop`. Raises SchemaOutOfDate, nothing else."""
        backoff = Backoff()
        while not self._stop.is_set():
            try:
                if not self._link.is_up.is_set():
                    await self._link.open(code=False)
                await self._link.ask(self._look)
            except SchemaOutOfDate:
                raise
            except PyupcError as problem:
                self._outages.failed(DATABASE, problem.message)
                await self._clock.wait(min(LONGEST_PAUSE, backoff.failed()), self._stop)
            else:
                backoff.succeeded()
                self._outages.works(DATABASE)
                await self._clock.wait(ROUND_SECONDS, self._link.is_lost, self._stop)

    def _look(self, conn: outbox.Connection) -> None:
        outbox.announce_silence(conn)
        for courier in self._couriers:
            # A symbol may have been registered since.
            outbox.subscribe(conn, courier.target.subscriber)

    async def alarms(self) -> None:
        """Send an outage, and its end."""
        is_sent = False
        while not self._stop.is_set():
            failing = self._failing()
            if failing is not None and failing[0] >= OUTAGE_SECONDS and not is_sent:
                is_sent = True
                message = f"the database cannot be used: {failing[1]}"
                for courier in self._couriers:
                    courier.outage(own("halted", message, self._now()))
            elif failing is None and is_sent:
                is_sent = False
                for courier in self._couriers:
                    message = "the database can be used again"
                    courier.recovery(own("recovered", message, self._now()))
            await self._clock.wait(_LOOK_SECONDS, self._stop)

    def _failing(self) -> tuple[float, str] | None:
        """Seconds and reason."""
        failing = self._outages.failing()
        found = [
            (self._outages.seconds(subject), failing[subject])
            for subject in (DATABASE, OUTBOX)
            if subject in failing
        ]
        return max(found, default=None)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall(), UTC)
