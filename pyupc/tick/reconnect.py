"""The wait for a database that is lost, or busy with something else."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from pyupc.errors import Busy, PyupcError, SchemaOutOfDate
from pyupc.runtime.connection import WatchedConnection
from pyupc.runtime.stop import Waiting
from pyupc.tick.log_lines import Report

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 0.8
_JITTER = 0.2


def patiently(work: Callable[[], T], stop: Waiting, report: Report) -> T | None:
    """The result of `work`, done again while the database is busy; None if a signal came first."""
    while True:
        try:
            result = work()
        except Busy as problem:
            report.lost(problem)
        else:
            report.back()
            return result
        if stop.wait(_LONGEST_PAUSE_SECONDS):
            return None


def reconnect(connection: WatchedConnection, stop: Waiting, meanwhile: Callable[[], None]) -> bool:
    """Try until the database answers, `meanwhile` after each failure; false if a signal came first.

    Raises SchemaOutOfDate if it comes back with another schema.
    """
    pause = _FIRST_PAUSE_SECONDS
    while not stop.wait(pause * random.uniform(1 - _JITTER, 1 + _JITTER)):
        try:
            connection.open(code=False)
        except SchemaOutOfDate:
            raise
        except PyupcError:
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        else:
            return True
        meanwhile()
    return False
