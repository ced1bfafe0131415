"""Times for tests on the real clock, so that they hold at every time of the day."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


def next_hour(seconds: float = 60) -> datetime:
    """The next full hour, at which an hourly event closes; where fewer seconds than these are left
    to it, it waits for it and takes the one behind it."""
    left = 3600 - time.time() % 3600
    if left < seconds:
        time.sleep(left + 0.05)
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def away_from_the_minute(seconds: float = 10) -> None:
    """Wait for the next minute where fewer seconds than these are left of this one."""
    left = 60 - time.time() % 60
    if left < seconds:
        time.sleep(left)
