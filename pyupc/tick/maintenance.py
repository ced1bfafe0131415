"""Maintenance between two rounds: partitions are made ahead, old rows are deleted, a batch at a
time, and the schema's revision is checked."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from pyupc.errors import Busy, PyupcError
from pyupc.runtime.outage import Outage

logger = logging.getLogger("pyupc.tick")

ENOUGH_SECONDS = 0.25
# Rounds that leave no time are followed by it all the same, after so many times its interval.
PATIENCE = 10
REVISION_SECONDS = 5.0


@dataclass
class Revision:
    """A check for an upgrade under a running process, which leaves its statements valid.

    `check` names the functions as they were built last, or raises SchemaOutOfDate.
    """

    check: Callable[[], int]
    now: Callable[[], float]
    _built: int | None = None

    def __post_init__(self) -> None:
        self._due = self.now()
        self._outage = Outage(
            logger.name,
            self.now,
            "the schema's revision cannot be read",
            "the schema's revision can be read again",
            each_reason=True,
        )

    def tend(self) -> bool:
        """True if they have been built anew since the last time."""
        if self.now() < self._due:
            return False
        self._due = self.now() + REVISION_SECONDS
        try:
            built = self.check()
        except Busy as problem:
            self._outage.failed(problem.message)
            return False
        self._outage.works()
        is_new = self._built not in (None, built)
        if is_new:
            logger.warning("the database's functions have been rebuilt: ticks use the new ones")
        self._built = built
        return is_new


@dataclass
class Retention:
    """Deletion of old rows every `every` seconds; `delete` removes a batch and returns its size.

    `make` makes the partitions of the days ahead, at once and as often.
    """

    delete: Callable[[], int]
    every: float
    interval: float
    now: Callable[[], float]
    make: Callable[[], object] | None = None

    def __post_init__(self) -> None:
        self._due = self.now() + self.every
        self._make_due = self.now()
        self._making = Outage(
            logger.name,
            self.now,
            "the logs' partitions cannot be made",
            "the logs' partitions can be made again",
            each_reason=True,
        )
        self._outage = Outage(
            logger.name,
            self.now,
            "old rows cannot be deleted",
            "old rows can be deleted again",
            each_reason=True,
        )

    def tend(self, left: float) -> None:
        """After a round, with so many seconds left until the next. A failure is only logged."""
        now = self.now()
        if left < min(ENOUGH_SECONDS, self.interval / 2):
            late = now - min(self._due, self._make_due)
            if late < PATIENCE * self.every:
                return
        if self.make is not None and now >= self._make_due:
            self._make_due = now + self.every
            try:
                self.make()
            except PyupcError as error:
                self._making.failed(error.message)
            else:
                self._making.works()
            return
        if now < self._due:
            return
        self._due = now + self.every
        try:
            rows = self.delete()
        except PyupcError as error:
            self._outage.failed(error.message)
        else:
            self._outage.works()
            if rows:
                logger.info("%d old rows deleted", rows)
