"""Timing of rounds, without a clock of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass
class Rounds:
    """Rounds at start + k * interval; iterating yields each k when its time has come.

    A round whose time passes while an earlier one still runs, or while the machine sleeps, is
    skipped and counted in `missed`. `wait` sleeps for so many seconds, or less, and returns
    true if it is time to stop; it is called after every round.
    """

    interval: float
    now: Callable[[], float]
    wait: Callable[[float], bool]
    count: int | None = None
    done: int = 0
    missed: int = 0
    _is_lost: bool = False
    _next_at: float = 0.0

    def left(self) -> float:
        """Seconds from now to the next round."""
        return self._next_at - self.now()

    def lose(self) -> None:
        """The round under way came to nothing. It is late by now, so the next begins at once."""
        self._is_lost = True

    def __iter__(self) -> Iterator[int]:
        start = self.now()
        k = 0
        while True:
            self._next_at = start + (k + 1) * self.interval
            yield k
            if self._is_lost:
                self._is_lost = False
                upcoming = max(k, self._passed(start))
                self.missed += upcoming - k
                k = upcoming
                if self.wait(0):
                    return
                continue
            self.done += 1
            if self.done == self.count:
                return
            following = self._next(start, k + 1)
            if following is None:
                return
            k = following

    def _next(self, start: float, k: int) -> int | None:
        """Sleep until the next round, k at the earliest; None if it is time to stop."""
        while True:
            upcoming = max(k, self._passed(start))
            if start + upcoming * self.interval < self.now():
                upcoming += 1
            self.missed += upcoming - k
            k = upcoming
            while (delay := start + k * self.interval - self.now()) > 0:
                if self.wait(delay):
                    return None
            if self.wait(0):
                return None
            if self._passed(start) <= k:
                return k
            # Slept through a whole interval: that round is over before it began.
            self.missed += 1
            k += 1

    def _passed(self, start: float) -> int:
        """The newest k whose time has come."""
        return math.floor((self.now() - start) / self.interval)
