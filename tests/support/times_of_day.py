"""Times for tests on the real clock, so that they hold at every time of the day."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

# No test takes as long, and an event is that of an hour at most.
FAR = timedelta(minutes=50)


def far_close() -> datetime:
    """A full minute at which an event may close that no test runs into."""
    return (datetime.now(UTC) + FAR).replace(second=0, microsecond=0)


def away_from_the_minute(seconds: float = 10) -> None:
    """Wait for the next minute where fewer seconds than these are left of this one."""
    left = 60 - time.time() % 60
    if left < seconds:
        time.sleep(left)
