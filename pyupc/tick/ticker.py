"""One tick of one symbol: asked of the database, reported, and written to files."""

from __future__ import annotations

from datetime import timedelta

from pyupc.runtime.clock import Clock
from pyupc.runtime.clock_check import ClockCheck
from pyupc.runtime.systemd import Notifier
from pyupc.tick.job import Job
from pyupc.tick.log_lines import Report
from pyupc.tick.mirror import Publisher
from pyupc.tick.replay import Replay
from pyupc.tick.stale_documents import StaleDocuments
from pyupc.tick.statements import HeldByAnother, Session, Tick, TickArguments

# The server's clock is not compared by an answer that took longer.
_PROMPT_SECONDS = 1.0


class Ticker:
    """Ticks of the symbols of a job; `clock_problem` compares the clocks by the answers."""

    def __init__(
        self,
        job: Job,
        session: Session,
        stale: StaleDocuments,
        report: Report,
        notifier: Notifier,
        clock: Clock,
    ) -> None:
        self._job = job
        self._session = session
        self._stale = stale
        self._report = report
        self._notifier = notifier
        self._clock = clock
        self._publisher = Publisher(session, stale.folder, stale, with_snapshot=job.legacy_layout)
        self._clock_check = ClockCheck(clock.monotonic, clock.wall)
        self._replay = Replay(job, session)
        self._ticked_at: dict[str, float] = {}

    @property
    def clock_problem(self) -> str | None:
        return self._clock_check.problem

    def forget(self) -> None:
        """Begin anew, as a process that has just got the right to tick."""
        self._replay.forget()
        self._ticked_at.clear()

    def tick(self, symbol: str, k: int) -> Tick:
        """The tick of a round; raises ConnectionLost, HeldByAnother, or PyupcError."""
        job = self._job
        began = self._clock.monotonic()
        born = self._stale.now()
        last = self._ticked_at.get(symbol)
        arguments = TickArguments(
            symbol,
            job.feed,
            job.holder,
            job.lease,
            job.every,
            self._replay.start(symbol),
            timedelta(seconds=k * job.interval * job.speed),
            job.seed,
            None if last is None else timedelta(seconds=began - last),
            job.method,
            job.model,
            job.settlement,
        )
        tick = self._session.tick(arguments)
        self._ticked_at[symbol] = began
        seconds = self._clock.monotonic() - began
        if seconds > job.lease.total_seconds():
            self._make_sure_of(symbol)
        self._report.ticked(symbol, tick, seconds)
        asked = (tick.asked_model or job.model, tick.asked_settlement or job.settlement)
        self._report.answered(symbol, asked, (tick.model, tick.settlement))
        self._notifier.began()
        self._publisher.publish(symbol, tick, born)
        if tick.at is not None and seconds < _PROMPT_SECONDS:
            self._clock_check.look(tick.at.timestamp())
        return tick

    def _make_sure_of(self, symbol: str) -> None:
        """After an answer that came so late that the files may be another's by now."""
        if all(each.holder != self._job.holder for each in self._session.leases((symbol,))):
            raise HeldByAnother(f"the right to tick {symbol} was lost while a tick took too long")
