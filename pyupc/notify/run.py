"""The run of `pyupc notify`: a courier for each receiver, until a signal comes."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pyupc.errors import Busy
from pyupc.notify import outbox
from pyupc.notify.courier import OUTBOX, Courier
from pyupc.notify.health import Health
from pyupc.notify.link import Link
from pyupc.notify.message import Message
from pyupc.notify.target import NotSent, Target
from pyupc.notify.watch import DATABASE, LONGEST_PAUSE, Watch
from pyupc.runtime.async_stop import signals
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.stop import INTERRUPTED

logger = logging.getLogger("pyupc.notify")

# For a message under way: acknowledged in time, it is not sent again by the next process.
CLOSE_SECONDS = 5.0


@dataclass(frozen=True)
class Job:
    """What to send to whom. With `is_once` what is waiting, then it ends."""

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
    """Send one message to each receiver; which of them failed, and why."""
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
    health = Health(clock.monotonic)
    couriers: list[Courier] = []

    def heard() -> None:
        for courier in couriers:
            courier.wake()

    names = [target.subscriber for target in job.targets]
    link = Link(job.dsn, names, heard, from_start=job.from_start)
    couriers += [Courier(each, job.kinds, link, health, stop, clock) for each in job.targets]
    watch = Watch(link, couriers, health, stop, clock)
    with signals(stop, False) as received:
        try:
            if not await _begin(link, health, stop, clock, is_patient=not job.is_once):
                return INTERRUPTED if signal.SIGINT in received else 0
            for each in job.targets:
                kinds = ", ".join(job.kinds)
                logger.info("passing on %s to %s as %s", kinds, each.shown, each.subscriber)
            if job.is_once:
                return await _once(couriers, health)
            work = [watch.rounds(), watch.alarms(), *(courier.run() for courier in couriers)]
            await _until(stop, work, heard)
        finally:
            await link.close()
    return INTERRUPTED if signal.SIGINT in received else 0


async def _begin(
    link: Link, health: Health, stop: asyncio.Event, clock: Clock, *, is_patient: bool
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
            health.failed(DATABASE, problem.message)
        else:
            health.works(DATABASE)
            return True
        if await clock.wait(min(LONGEST_PAUSE, backoff.failed()), stop):
            return False


async def _once(couriers: Sequence[Courier], health: Health) -> int:
    results = await asyncio.gather(
        *(courier.send_waiting() for courier in couriers), return_exceptions=True
    )
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, NotSent):
            raise result
    is_done = not any(results) and health.failing(OUTBOX) is None
    return 0 if is_done else 1


async def _until(stop: asyncio.Event, work: Sequence[Coroutine[Any, Any, None]], wake: Any) -> None:
    """Work until `stop` is set; what is under way then has a few seconds. Raises what work does."""
    tasks = {asyncio.ensure_future(each) for each in work}
    waiter = asyncio.ensure_future(stop.wait())
    try:
        done, _ = await asyncio.wait({waiter, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        wake()
        await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        for task in done - {waiter}:
            task.result()
    finally:
        for task in (waiter, *tasks):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(waiter, *tasks, return_exceptions=True)
