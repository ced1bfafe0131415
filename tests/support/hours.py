"""Times for tests on the real clock, so that they hold at every time of the day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# No test takes as long, and an event is that of an hour at most.
FAR = timedelta(minutes=50)


def far_close() -> datetime:
    """A full minute at which an event may close that no test runs into."""
    return (datetime.now(UTC) + FAR).replace(second=0, microsecond=0)
