"""What the feed tells: a line when something fails, and one when it works again."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

logger = logging.getLogger("pyupc.feed")

REMINDER_SECONDS = 300.0

# What comes and goes every second would fill the log, so that so many lines about a subject are
# written within the time of a reminder, and no more.
MOST_LINES = 6


@dataclass
class _Outage:
    since: float
    reason: str
    told: str = ""
    told_at: float | None = None


@dataclass
class Report:
    """Remembers what is wrong with each subject, such as "Kalshi BTC" or "coinbase BTC".

    `now` gives seconds on a clock that does not jump.
    """

    now: Callable[[], float]
    _outages: dict[str, _Outage] = field(default_factory=dict)
    _lines: dict[str, deque[float]] = field(default_factory=dict)

    def failed(self, subject: str, reason: str) -> None:
        """Told once for each reason in a row, and again every five minutes."""
        at = self.now()
        outage = self._outages.setdefault(subject, _Outage(at, reason))
        outage.reason = reason
        if outage.told_at is None or outage.told != reason:
            text = f"{subject}: {reason}"
        elif at - outage.told_at >= REMINDER_SECONDS:
            text = f"{subject}: still {reason}, for {lasting(at - outage.since)}"
        else:
            return
        if self._may_tell(subject, at):
            logger.error("%s", text)
            outage.told_at = at
            outage.told = reason

    def works(self, subject: str) -> None:
        """After every success; a line if there was one about the failure."""
        outage = self._outages.pop(subject, None)
        if outage is not None and outage.told_at is not None:
            logger.warning("%s: back after %s", subject, lasting(self.now() - outage.since))

    def failing(self) -> dict[str, str]:
        """What is wrong now, by subject."""
        return {subject: outage.reason for subject, outage in self._outages.items()}

    def _may_tell(self, subject: str, at: float) -> bool:
        lines = self._lines.setdefault(subject, deque(maxlen=MOST_LINES))
        if len(lines) == MOST_LINES and at - lines[0] < REMINDER_SECONDS:
            return False
        lines.append(at)
        return True


def lasting(seconds: float) -> str:
    """A duration as a person says it: `4.2 s`, `3 min`, `2 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
