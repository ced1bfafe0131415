"""The beginning of a replay in the stored candles."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from pyupc.tick.job import Job
from pyupc.tick.statements import Session


@dataclass
class Replay:
    """The same beginning for every tick, asked of the database once, with one `at` for all."""

    job: Job
    session: Session
    _at: datetime | None = None
    _starts: dict[str, datetime] = field(default_factory=dict)

    def start(self, symbol: str) -> datetime | None:
        job = self.job
        if job.feed != "replay" or job.replay_from is not None:
            return job.replay_from
        if self._at is None:
            self._at = self.session.now()
        if symbol not in self._starts:
            self._starts[symbol] = self.session.replay_start(symbol, self._at)
        return self._starts[symbol]

    def forget(self) -> None:
        """Begin anew with the next tick."""
        self._at = None
        self._starts.clear()
