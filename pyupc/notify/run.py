"""The run of `pyupc notify`: a courier for each receiver, until a signal comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyupc.errors import Busy
from pyupc.notify import outbox
from pyupc.notify.connection import Link
from pyupc.notify.delivery import OUTBOX, Courier
from pyupc.notify.message import Message
from pyupc.notify.receiver import NotSent, Target
from pyupc.notify.watch import DATABASE, LONGEST_PAUSE, Watch
from pyupc.runtime.async_stop import signals, until
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.outage import Outages

logger = logging.getLogger("pyupc.notify")

# For a message under way: acknowledged in time, it is not sent again by the next process.
CLOSE_SECONDS = 5.0


@dataclass(frozen=True)
class Job:
    """Options of a run. With `is_once` it sends what is waiting, and ends."""

    dsn: str = field(repr=False)
    targets: Sequence[Target]
    kinds: Sequence[str]
    from_start: bool = False
    is_once: bool = False


def run(job: Job) -> int:
    """The exit code. Only the main thread can do it.

    Raises PyupcError for what cannot heal: another process of the same name, another schema; and
    if there is no database to begin with.
    """
    return asyncio.run(_run(job))


def test(targets: Sequence[Target]) -> list[str]:
    """Send one message to each receiver; returns the failures with their reasons."""
    message = Message("test", "pyupc: test", "Announcements of pyupc arrive here.", "test")
    failed: list[str] = []
    for target in targets:
        try:
            target.send(message)
        except NotSent as problem:
            failed.append(f"{target.shown}: {problem.reason}")
    return failed


async def _run(job: Job, clock: Clock = SYSTEM) -> int:
    stop = asyncio.Event()
    outages = Outages("pyupc.notify", clock.monotonic, each_reason=False)
    couriers: list[Courier] = []

    def heard() -> None:
        for courier in couriers:
            courier.wake()

    names = [target.subscriber for target in job.targets]
    link = Link(job.dsn, names, heard, from_start=job.from_start)
    couriers += [Courier(each, job.kinds, link, outages, stop, clock) for each in job.targets]
    watch = Watch(link, couriers, outages, stop, clock)
    with signals(stop) as received:
        try:
            if not await _begin(link, outages, stop, clock, is_patient=not job.is_once):
                return received.exit_code
            for each in job.targets:
                kinds = ", ".join(job.kinds)
                logger.info("passing on %s to %s as %s", kinds, each.shown, each.subscriber)
            if job.is_once:
                return await _once(couriers, outages)
            work = [watch.rounds(), watch.alarms(), *(courier.run() for courier in couriers)]
            await until(stop, work, ending=heard, grace=CLOSE_SECONDS)
        finally:
            await link.close()
    return received.exit_code


async def _begin(
    link: Link, outages: Outages, stop: asyncio.Event, clock: Clock, *, is_patient: bool
) -> bool:
    """A database that is busy is waited for; false if a signal came first."""
    backoff = Backoff()
    while True:
        try:
            await link.open(code=True)
            await link.ask(outbox.announce_silence)
        except Busy as problem:
            if not is_patient:
                raise
            outages.failed(DATABASE, problem.message)
        else:
            outages.works(DATABASE)
            return True
        if await clock.wait(min(LONGEST_PAUSE, backoff.failed()), stop):
            return False


async def _once(couriers: Sequence[Courier], outages: Outages) -> int:
    results = await asyncio.gather(
        *(courier.send_waiting() for courier in couriers), return_exceptions=True
    )
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, NotSent):
            raise result
    is_done = not any(results) and OUTBOX not in outages.failing()
    return 0 if is_done else 1
