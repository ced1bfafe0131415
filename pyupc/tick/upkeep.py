"""Between two rounds: rows that are older than they are kept are deleted, a batch at a time, and
it is seen to that the tables are still those that this program knows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from pyupc.errors import PyupcError

logger = logging.getLogger("pyupc.tick")

ENOUGH_SECONDS = 0.25
REVISION_SECONDS = 5.0


@dataclass
class Revision:
    """An upgrade under a running process leaves its statements valid, so that it has to look.

    `check` names the functions as they were built last, or raises SchemaOutOfDate.
    """

    check: Callable[[], int]
    now: Callable[[], float]
    _built: int | None = None

    def __post_init__(self) -> None:
        self._due = self.now()

    def tend(self) -> None:
        if self.now() < self._due:
            return
        self._due = self.now() + REVISION_SECONDS
        built = self.check()
        if self._built not in (None, built):
            logger.warning("the database's functions have been rebuilt: the new ones tick now")
        self._built = built


@dataclass
class Upkeep:
    """`delete` removes a batch and says how many rows it was; it comes once in `every` seconds."""

    delete: Callable[[], int]
    every: float
    interval: float
    now: Callable[[], float]
    _told: str | None = None

    def __post_init__(self) -> None:
        self._due = self.now() + self.every

    def tend(self, left: float) -> None:
        """After a round, with so many seconds left until the next. A failure is only logged."""
        if self.now() < self._due or left < min(ENOUGH_SECONDS, self.interval / 2):
            return
        self._due = self.now() + self.every
        try:
            rows = self.delete()
        except PyupcError as error:
            if error.message != self._told:
                logger.error("old rows cannot be deleted: %s", error.message)
            self._told = error.message
        else:
            if self._told is not None:
                logger.warning("old rows can be deleted again")
            self._told = None
            if rows:
                logger.info("%d old rows deleted", rows)
