"""The prices of an exchange: the feed beside the tick, and the wait for its first ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from pyupc.errors import Busy, PyupcError
from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.connection import ConnectionLost
from pyupc.runtime.stop import Waiting
from pyupc.tick.feeder import Feeder
from pyupc.tick.job import Job
from pyupc.tick.log_lines import Report
from pyupc.tick.statements import Session

# A price that came in shortly before the start does for a beginning.
_RECENT_SECONDS = 5.0
_LOOK_SECONDS = 0.1


def feeder_for(job: Job, session: Session, symbols: Sequence[str]) -> Feeder:
    return Feeder(job.dsn, job.feed, symbols, lambda wanted: session.unfed(wanted, job.feed))


def wait_for_prices(
    job: Job,
    session: Session,
    feeder: Feeder,
    symbols: Sequence[str],
    stop: Waiting,
    report: Report,
    clock: Clock = SYSTEM,
) -> bool:
    """Wait for first prices; false if a signal came first. PyupcError if there are none."""
    began = clock.monotonic()
    while True:
        waited = clock.monotonic() - began
        within = timedelta(seconds=_RECENT_SECONDS + waited)
        try:
            feeder.tend()
            priced = session.priced(symbols, job.feed, within)
            unfed = session.unfed(symbols, job.feed) if feeder.refusal else ()
        except Busy as problem:
            report.lost(problem)
            # Prices that cannot be read are not missing yet.
            began = clock.monotonic()
            if stop.wait(_LOOK_SECONDS):
                return False
            continue
        except ConnectionLost as error:
            raise error.problem from error
        report.back()
        if len(priced) == len(symbols):
            return True
        if feeder.refusal is not None and unfed:
            raise feeder.refusal
        if waited >= job.patience:
            if priced:
                # Symbols that the exchange does not list are left out; the others are ticked.
                return True
            raise PyupcError(
                f"{job.feed} cannot be reached: no price of "
                f"{' and '.join(s for s in symbols if s not in priced)} "
                f"in {job.patience:g} s",
                "try again later, or tick stored candles: pyupc tick --feed replay",
            )
        if stop.wait(_LOOK_SECONDS):
            return False
