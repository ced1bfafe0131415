"""Check of the clocks: this machine's against those of the server, the exchange and Kalshi."""

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
    """Seconds that a clock is ahead of this machine's, and their uncertainty."""

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
    """Clock of the server, from the quickest of five round trips."""
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
    """Clock of an HTTP server, from the Date headers of its answers."""
    if skew.seconds is None or skew.uncertainty is None:
        return None
    # The skew counts from the middle of the header's second.
    return Clock(name, skew.seconds, skew.uncertainty - RESOLUTION_SECONDS / 2)


def judge(clocks: list[Clock]) -> Finding:
    if not clocks:
        return Finding("clock", "warn", "no other clock to compare with", "check: date --utc")
    seen = ", ".join(
        f"{each.name} {each.ahead:+.3f} s (±{each.uncertainty:.3f})" for each in clocks
    )
    state = worst([each.state for each in clocks])
    repair = None if state == "ok" else "set the clocks by NTP: timedatectl set-ntp true"
    return Finding("clock", state, f"ahead of this machine: {seen}", repair)
