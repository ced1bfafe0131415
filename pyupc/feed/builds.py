"""The fingerprints grow with the candles: a small build a minute after each hour.

Where a fit of the volatility is due, it is counted after the build, until the next one begins.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from pyupc.errors import Busy, DatabaseUnreachable, PyupcError
from pyupc.fingerprints.build import Build, build
from pyupc.fingerprints.refit import refit
from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.outage import Outages
from pyupc.runtime.progress import Progress

logger = logging.getLogger("pyupc.feed")

SUBJECT = "fingerprints"

# The hour's last candle is there by then.
BUILD_AFTER = timedelta(minutes=1)
HOUR = timedelta(hours=1)
# Pause where the database was busy.
AGAIN_AFTER = timedelta(minutes=1)


async def build_hourly(
    dsn: str,
    symbols: Sequence[str],
    outages: Outages,
    stop: asyncio.Event,
    clock: Clock = SYSTEM,
) -> None:
    """Count the new candles once an hour, until it is cancelled."""
    while True:
        now = datetime.fromtimestamp(clock.wall(), UTC)
        await clock.sleep((next_build(now) - now).total_seconds())
        while not await build_once(dsn, symbols, outages, stop):
            await clock.sleep(AGAIN_AFTER.total_seconds())
        now = datetime.fromtimestamp(clock.wall(), UTC)
        await refit_once(dsn, symbols, outages, _Stoppable(stop, clock, next_build(now)))


def next_build(now: datetime) -> datetime:
    """The first minute after a full hour that is later than `now`."""
    at = now.replace(minute=0, second=0, microsecond=0) + BUILD_AFTER
    return at if now < at else at + HOUR


async def build_once(
    dsn: str, symbols: Sequence[str], outages: Outages, stop: asyncio.Event
) -> bool:
    """Count the new candles and publish the fingerprints; what fails is reported.

    False if the database was lost or busy: a moment later it may do.
    """
    done: list[Build] = []
    is_over = await _reported(outages, lambda: done.append(build(dsn, symbols, _Stoppable(stop))))
    for each in done:
        outages.works(SUBJECT)
        logger.info("%s: %d days counted in %.1f s", SUBJECT, each.days, each.seconds)
    return is_over


async def refit_once(dsn: str, symbols: Sequence[str], outages: Outages, shown: Progress) -> None:
    """Refit what is due on one connection, a piece after the other; what fails is reported.

    `shown` ends it between two pieces; the next one goes on from there.
    """
    done: list[int] = []
    await _reported(outages, lambda: done.append(refit(dsn, symbols, shown, connections=1)))
    if sum(done):
        logger.info("%s: %d symbols have another fit of their volatility", SUBJECT, sum(done))


async def _reported(outages: Outages, work: Callable[[], object]) -> bool:
    """False if the database was lost or busy."""
    try:
        await asyncio.to_thread(work)
    except _Stopped:
        return True
    except PyupcError as problem:
        outages.failed(SUBJECT, problem.message)
        return not isinstance(problem, Busy | DatabaseUnreachable)
    except Exception as error:
        outages.failed(SUBJECT, " ".join(str(error).split()) or type(error).__name__)
        return True
    return True


class _Stopped(Exception):
    """It is time to end; what was counted is kept."""


class _Stoppable(Progress):
    def __init__(
        self, stop: asyncio.Event, clock: Clock = SYSTEM, until: datetime | None = None
    ) -> None:
        self._stop = stop
        self._clock = clock
        self._until = until

    def advance(self, count: int, text: str | None = None) -> None:
        is_late = self._until is not None and self._clock.wall() >= self._until.timestamp()
        if self._stop.is_set() or is_late:
            raise _Stopped
