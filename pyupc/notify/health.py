"""What this process knows to fail, told in the log once, and how long it has failed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

logger = logging.getLogger("pyupc.notify")

REMINDER_SECONDS = 300.0


@dataclass
class _Outage:
    since: float
    reason: str
    told_at: float


@dataclass
class Health:
    """`now` gives seconds on a clock that does not jump. A subject is a receiver or the database.

    A reason that changes with every attempt is not told every time.
    """

    now: Callable[[], float]
    _outages: dict[str, _Outage] = field(default_factory=dict)

    def failed(self, subject: str, reason: str) -> None:
        """Told when it begins, and again every five minutes."""
        at = self.now()
        outage = self._outages.get(subject)
        if outage is None:
            self._outages[subject] = _Outage(at, reason, at)
            logger.error("%s: %s", subject, reason)
            return
        outage.reason = reason
        if at - outage.told_at >= REMINDER_SECONDS:
            outage.told_at = at
            logger.error("%s: still %s, for %.0f min", subject, reason, (at - outage.since) / 60)

    def works(self, subject: str) -> None:
        outage = self._outages.pop(subject, None)
        if outage is not None:
            logger.warning("%s: back after %.1f s", subject, self.now() - outage.since)

    def failing(self, subject: str) -> tuple[float, str] | None:
        """For how many seconds, and why; None if it works."""
        outage = self._outages.get(subject)
        return None if outage is None else (self.now() - outage.since, outage.reason)
