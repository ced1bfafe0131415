"""The job of a run of `pyupc tick`, and its outcome."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pyupc.tick.roster import ALL, Share
from pyupc.tick.statements import LATE_SECONDS, Tick

# Feeds that need no process beside the tick.
STORED = ("replay", "simulated", "database")


def _name_of_this_process() -> str:
    """A name for the lease; process ids alone repeat in containers."""
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return f"{socket.gethostname()}:{os.getpid()} since {since} ({os.urandom(3).hex()})"


@dataclass(frozen=True)
class Job:
    """Options of a run. No symbols: all that are registered. `share` is the part of them that this
    process ticks.

    `replay_from` and `speed` are for the feed replay, `seed` is for simulated. A feed that is an
    exchange has `patience` seconds to bring a first price. With `standby` the right to tick is
    waited for. Statuses and deletions come so many seconds apart. `method`, `model` and
    `settlement` are those of compute_strikes; None takes the symbol's default. `legacy_layout`: the
    files also go by the predecessor's names. Without `has_files` nothing is written to the folder;
    `shows_documents`: they are shown elsewhere.
    """

    dsn: str = field(repr=False)
    feed: str
    out: Path
    symbols: tuple[str, ...] = ()
    interval: float = 1.0
    count: int | None = None
    replay_from: datetime | None = None
    speed: float = 1.0
    seed: int = 1
    standby: bool = False
    patience: float = 15.0
    status_seconds: float = 2.0
    retention_seconds: float = 60.0
    method: str | None = None
    model: str | None = None
    settlement: str | None = None
    legacy_layout: bool = False
    share: Share = ALL
    has_files: bool = True
    shows_documents: bool = False
    holder: str = field(default_factory=_name_of_this_process)

    @property
    def statement_limit(self) -> float:
        """The statement_timeout of a tick, in seconds."""
        return max(5.0, 5 * self.interval)

    @property
    def every(self) -> timedelta:
        return timedelta(seconds=self.interval)

    @property
    def needs_documents(self) -> bool:
        return self.has_files or self.shows_documents

    def lease(self, round_seconds: float) -> timedelta:
        """A process that dies blocks its successor for no longer than this.

        Rounds that take `round_seconds` renew it in time.
        """
        return timedelta(seconds=max(self.interval, 2 * round_seconds) + LATE_SECONDS)


@dataclass(frozen=True)
class Outcome:
    """`ticks` are those of the last round, by symbol."""

    ticks: dict[str, Tick]
    exit_code: int
