"""The offset of a server's clock from ours, by the Date headers of its answers."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from statistics import median

# A Date header has whole seconds, rounded down.
RESOLUTION_SECONDS = 1.0
KEPT = 31


class Skew:
    """The server's clock minus ours, in seconds, over the newest answers."""

    def __init__(self, kept: int = KEPT) -> None:
        self._measured: deque[tuple[float, float]] = deque(maxlen=kept)

    def measure(self, header: str, sent_at: datetime, answered_at: datetime) -> None:
        """Take a Date header of a request; text that is no date is passed over.

        The server wrote it somewhere between `sent_at` and `answered_at` on our clock.
        """
        try:
            date = parsedate_to_datetime(header)
        except ValueError:
            return
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        round_trip = (answered_at - sent_at).total_seconds()
        if round_trip < 0:
            # Our own clock was set back meanwhile.
            return
        skew = (date - sent_at).total_seconds() + RESOLUTION_SECONDS / 2 - round_trip / 2
        self._measured.append((skew, round_trip))

    @property
    def seconds(self) -> float | None:
        """The median; None before the first answer."""
        return median(skew for skew, _ in self._measured) if self._measured else None

    @property
    def uncertainty(self) -> float | None:
        """Its largest error in seconds: half a typical round trip and the resolution."""
        if not self._measured:
            return None
        return median(trip for _, trip in self._measured) / 2 + RESOLUTION_SECONDS
