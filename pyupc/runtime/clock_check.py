"""Clocks that come apart: the server's, this machine's, and the one that only counts seconds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger("pyupc.tick")

APART_SECONDS = 5.0

# A clock that was set, and goes on steadily from there, was set right.
STEADY_SECONDS = 60.0


@dataclass
class ClockCheck:
    """A check after every round, by `look`; it changes nothing in the loop.

    `problem` is the current one, None while the clocks agree.
    """

    monotonic: Callable[[], float]
    wall: Callable[[], float]
    problem: str | None = None
    _base: float | None = None
    _offset: float = 0.0
    _moved_at: float = 0.0

    def look(self, server: float | None) -> None:
        """Compare; `server` is the time of the server's clock just now, in seconds since 1970."""
        now, wall = self.monotonic(), self.wall()
        jump = self._jump(now, wall - now)
        if abs(jump) > APART_SECONDS:
            problem = f"this machine's clock has jumped by {jump:+.1f} s"
        elif server is not None and abs(server - wall) > APART_SECONDS:
            problem = f"the server's clock differs from this machine's by {server - wall:+.1f} s"
        elif server is None and self.problem is not None:
            return
        else:
            if self.problem is not None:
                logger.warning("the clocks agree again")
            self.problem = None
            return
        if self.problem is None:
            logger.warning("%s", problem)
        self.problem = problem

    def _jump(self, now: float, offset: float) -> float:
        """The distance of the machine's clock from the seconds counted since the start."""
        if self._base is None:
            self._base = self._offset = offset
        if abs(offset - self._offset) > APART_SECONDS:
            self._offset, self._moved_at = offset, now
        elif now - self._moved_at >= STEADY_SECONDS:
            # Slow drift is no jump either.
            self._base = self._offset = offset
        return offset - self._base
