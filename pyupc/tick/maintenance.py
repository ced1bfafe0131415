"""Between two rounds: rows that are older than they are kept are deleted, a batch at a time, and
it is seen to that the tables are still those that this program knows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from pyupc.errors import Busy, PyupcError

logger = logging.getLogger("pyupc.tick")

ENOUGH_SECONDS = 0.25
REVISION_SECONDS = 5.0


@dataclass
class Trouble:
    """Logged once for each reason in a row, and once when it is over."""

    begun: str
    over: str
    _reason: str | None = None

    def failed(self, problem: PyupcError) -> None:
        if problem.message != self._reason:
            logger.error("%s: %s", self.begun, problem.message)
        self._reason = problem.message

    def works(self) -> None:
        if self._reason is not None:
            logger.warning("%s", self.over)
        self._reason = None


@dataclass
class Revision:
    """An upgrade under a running process leaves its statements valid, so that it has to look.

    `check` names the functions as they were built last, or raises SchemaOutOfDate.
    """

    check: Callable[[], int]
    now: Callable[[], float]
    _built: int | None = None
    _trouble: Trouble = field(
        default_factory=lambda: Trouble(
            "the schema's revision cannot be read", "the schema's revision can be read again"
        )
    )

    def __post_init__(self) -> None:
        self._due = self.now()

    def tend(self) -> bool:
        """True if they have been built anew since the last time."""
        if self.now() < self._due:
            return False
        self._due = self.now() + REVISION_SECONDS
        try:
            built = self.check()
        except Busy as problem:
            self._trouble.failed(problem)
            return False
        self._trouble.works()
        is_new = self._built not in (None, built)
        if is_new:
            logger.warning("the database's functions have been rebuilt: the new ones tick now")
        self._built = built
        return is_new


@dataclass
class Upkeep:
    """`delete` removes a batch and says how many rows it was; it comes once in `every` seconds."""

    delete: Callable[[], int]
    every: float
    interval: float
    now: Callable[[], float]
    _trouble: Trouble = field(
        default_factory=lambda: Trouble(
            "old rows cannot be deleted", "old rows can be deleted again"
        )
    )

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
            self._trouble.failed(error)
        else:
            self._trouble.works()
            if rows:
                logger.info("%d old rows deleted", rows)
