"""Outages in the log: one line when something fails, one when it works again, with the duration."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from pyupc.errors import Busy, PyupcError

REMINDER_SECONDS = 300.0

# Failures that come and go every second would fill the log: the most lines between reminders.
MOST_LINES = 6


@dataclass
class Outage:
    """`begun` and `over` begin the lines; `now` gives seconds on a clock that does not jump.

    With `each_reason` another reason is another line. With `reminds` there is a line every five
    minutes as long as it lasts, and no more than a few lines of what comes and goes.
    """

    log: str
    now: Callable[[], float]
    begun: str
    over: str
    each_reason: bool = False
    reminds: bool = False
    reason: str | None = None
    """The reason of the failure; None while it works."""
    _since: float = 0.0
    _logged: str | None = None
    _logged_at: float = 0.0
    _lines: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_LINES))

    @property
    def seconds(self) -> float:
        """Duration of the failure so far."""
        return 0.0 if self.reason is None else self.now() - self._since

    def failed(self, reason: str) -> None:
        """After every failure."""
        at = self.now()
        if self.reason is None:
            self._since = at
        self.reason = reason
        if self._logged is None or (self.each_reason and self._logged != reason):
            self._log_error(at, f"{self.begun}: {reason}")
        elif self.reminds and at - self._logged_at >= REMINDER_SECONDS:
            lasts = lasting(at - self._since)
            self._log_error(at, f"{self.begun}: still {reason}, for {lasts}")

    def works(self, detail: str = "") -> None:
        """After every success; a line if there was one about the failure."""
        if self._logged is not None:
            lasted = lasting(self.now() - self._since)
            logging.getLogger(self.log).warning("%s after %s%s", self.over, lasted, detail)
        self.reason = self._logged = None

    def _log_error(self, at: float, text: str) -> None:
        if self.reminds:
            if len(self._lines) == MOST_LINES and at - self._lines[0] < REMINDER_SECONDS:
                return
            self._lines.append(at)
        logging.getLogger(self.log).error("%s", text)
        self._logged, self._logged_at = self.reason, at


class DatabaseOutage:
    """The same for a database that is waited for."""

    def __init__(self, log: str, now: Callable[[], float]) -> None:
        self._outage = Outage(log, now, "", "the database is back")

    def lost(self, problem: PyupcError) -> None:
        state = "busy" if isinstance(problem, Busy) else "lost"
        self._outage.begun = f"the database is {state}, waiting for it"
        self._outage.failed(problem.message)

    def back(self) -> None:
        self._outage.works()


@dataclass
class Outages:
    """Outages of several subjects, such as "Kalshi BTC" or "database"."""

    log: str
    now: Callable[[], float]
    each_reason: bool = True
    _known: dict[str, Outage] = field(default_factory=dict)

    def failed(self, subject: str, reason: str) -> None:
        if subject not in self._known:
            self._known[subject] = Outage(
                self.log, self.now, subject, f"{subject}: back", self.each_reason, reminds=True
            )
        self._known[subject].failed(reason)

    def works(self, subject: str) -> None:
        if subject in self._known:
            self._known[subject].works()

    def failing(self) -> dict[str, str]:
        """The reason, by subject that fails now."""
        return {name: each.reason for name, each in self._known.items() if each.reason is not None}

    def seconds(self, subject: str) -> float:
        """Duration of the failure so far."""
        return self._known[subject].seconds if subject in self._known else 0.0


def lasting(seconds: float) -> str:
    """A duration for people: `4.2 s`, `3 min`, `2 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
