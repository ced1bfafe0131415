"""Whether the clocks agree: ours, the server's and those of who tells prices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pyupc.health.doctor.finding import Finding, State, worst
from pyupc.health.doctor.server import Connection
from pyupc.runtime.server_clock import RESOLUTION_SECONDS, Skew

WARN_SECONDS = 1.0
FAIL_SECONDS = 10.0


@dataclass(frozen=True)
class Clock:
    """How many seconds a clock is ahead of ours, and how far off that may be."""

    name: str
    ahead: float
    uncertainty: float

    @property
    def state(self) -> State:
        off = max(0.0, abs(self.ahead) - self.uncertainty)
        if off > FAIL_SECONDS:
            return "fail"
        return "warn" if off > WARN_SECONDS else "ok"


def of_server(conn: Connection) -> Clock:
    """The quickest of a few answers tells it best."""
    found = []
    for _ in range(5):
        sent_at = datetime.now(UTC)
        [(server_at,)] = conn.execute("SELECT clock_timestamp()").fetchall()
        trip = (datetime.now(UTC) - sent_at).total_seconds()
        ahead = (server_at - sent_at).total_seconds() - trip / 2
        found.append((abs(trip), ahead))
    trip, ahead = min(found)
    return Clock("server", ahead, trip / 2)


def of_answers(name: str, skew: Skew) -> Clock | None:
    """From the Date headers of a server's answers."""
    if skew.seconds is None or skew.uncertainty is None:
        return None
    # It takes the middle of the second for granted.
    return Clock(name, skew.seconds, skew.uncertainty - RESOLUTION_SECONDS / 2)


def judge(clocks: list[Clock]) -> Finding:
    if not clocks:
        return Finding("clock", "warn", "there was nobody to compare it with", "date --utc")
    seen = ", ".join(
        f"{each.name} {each.ahead:+.3f} s (±{each.uncertainty:.3f})" for each in clocks
    )
    state = worst([each.state for each in clocks])
    repair = None if state == "ok" else "set the clocks by NTP: timedatectl set-ntp true"
    return Finding("clock", state, f"against ours: {seen}", repair)
