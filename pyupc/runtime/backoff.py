"""Pauses after failures: pure arithmetic, with chance from outside."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
LIMITED_SECONDS = 1.0

MOST_SLOWDOWN = 8.0
SUCCESSES_TO_SPEED_UP = 60


@dataclass
class Backoff:
    """Pauses that double with every failure in a row, and a rate that drops when asked to.

    A pause is half to one and a half times 0.5, 1, 2, … seconds, so that many clients do not come
    back in step, and never longer than 30 s. `chance` gives numbers from 0 to 1.

    `slowdown` multiplies the usual interval: it doubles, up to 8, whenever the server reports too
    many requests, and halves after a minute's worth of successes.
    """

    chance: Callable[[], float] = random.random
    slowdown: float = 1.0
    _failures: int = 0
    _successes: int = 0

    def failed(self, *, is_limited: bool = False) -> float:
        """The pause in seconds before the next attempt; `is_limited` after too many requests."""
        # The exponent stays small however long an outage takes.
        doubled = FIRST_SECONDS * 2.0 ** min(self._failures, 10)
        pause = min(LONGEST_SECONDS, min(LONGEST_SECONDS, doubled) * (0.5 + self.chance()))
        self._failures += 1
        self._successes = 0
        if is_limited:
            self.slowdown = min(MOST_SLOWDOWN, 2 * self.slowdown)
            return max(LIMITED_SECONDS, pause)
        return pause

    def succeeded(self) -> None:
        self._failures = 0
        self._successes += 1
        if self._successes >= SUCCESSES_TO_SPEED_UP:
            self.slowdown = max(1.0, self.slowdown / 2)
            self._successes = 0
