"""The ticks of a round: asked of the database in batches, reported, and written to files."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from pyupc.errors import PyupcError, SchemaOutOfDate
from pyupc.runtime.clock import Clock
from pyupc.runtime.clock_check import ClockCheck
from pyupc.runtime.systemd import Notifier
from pyupc.tick.batch_statement import BatchArguments, tick_all
from pyupc.tick.crew import Batch, Crew, batches_of
from pyupc.tick.job import Job
from pyupc.tick.log_lines import Report
from pyupc.tick.mirror import Publisher
from pyupc.tick.replay import Replay
from pyupc.tick.stale_documents import StaleDocuments
from pyupc.tick.statements import HeldByAnother, Session, Tick, TickArguments

# Larger batches cost no less per symbol, and keep others waiting for longer.
BATCH_SIZE = 50

# The server's clock is not compared by an answer that took longer.
_PROMPT_SECONDS = 1.0

# SQLSTATE of a statement that took too long.
_TIMED_OUT = "57014"

# The lease goes by the longest of so many rounds, and by a guess before the first.
_ROUNDS = 10
_GUESS_SECONDS = 0.005


@dataclass(frozen=True)
class Answer:
    """The ticks of a batch, or why there are none; `born` is when they were, by the clock of the
    stale documents.
    """

    found: Mapping[str, Tick | PyupcError]
    began: float
    seconds: float
    born: float


@dataclass
class Round:
    """The ticks of a round by symbol, and why there are none of the others."""

    ticks: dict[str, Tick] = field(default_factory=dict)
    failing: dict[str, PyupcError] = field(default_factory=dict)


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
        self._crew = Crew(job.dsn, job.statement_limit, session, clock.monotonic)
        self._ticked_at: dict[str, float] = {}
        # Of a batch that took too long each symbol is ticked alone, until it has ticked.
        self._alone: set[str] = set()
        self._took: deque[float] = deque(maxlen=_ROUNDS)

    @property
    def clock_problem(self) -> str | None:
        return self._clock_check.problem

    def forget(self) -> None:
        """Begin anew, as a process that has just got the right to tick."""
        self._replay.forget()
        self._ticked_at.clear()

    def close(self) -> None:
        self._crew.close()

    def round(self, symbols: Sequence[str], k: int) -> Round:
        """A tick of each symbol. Raises ConnectionLost, HeldByAnother or SchemaOutOfDate."""
        round_ = Round()
        began = self._clock.monotonic()
        lease = self._job.lease(max(self._took, default=_GUESS_SECONDS * len(symbols)))
        # In one order everywhere: of two that would take over, one gets the first symbol.
        ready = [symbol for symbol in sorted(symbols) if self._is_ready(symbol, round_)]

        def ask(session: Session, batch: Batch) -> Answer:
            return self._ask(session, batch, k, lease)

        def take(answer: Answer) -> None:
            self._take(answer, round_, lease)

        if not self._ticked_at and len(ready) > 1:
            take(ask(self._session, (ready[0],)))
            _raise_what_ends_it(round_)
            del ready[0]
        self._crew.run(self._batches(ready), ask, take)
        _raise_what_ends_it(round_)
        seconds = self._clock.monotonic() - began
        self._took.append(seconds)
        if round_.ticks:
            self._report.took(symbols, seconds)
        return round_

    def _is_ready(self, symbol: str, round_: Round) -> bool:
        try:
            self._replay.start(symbol)
        except (HeldByAnother, SchemaOutOfDate):
            raise
        except PyupcError as problem:
            round_.failing[symbol] = problem
            return False
        return True

    def _batches(self, symbols: Sequence[str]) -> list[Batch]:
        if not self._alone:
            return batches_of(symbols, BATCH_SIZE)
        together = [symbol for symbol in symbols if symbol not in self._alone]
        alone: list[Batch] = [(symbol,) for symbol in symbols if symbol in self._alone]
        return [*batches_of(together, BATCH_SIZE), *alone]

    def _ask(self, session: Session, batch: Batch, k: int, lease: timedelta) -> Answer:
        """In any thread."""
        began = self._clock.monotonic()
        born = self._stale.now()
        found: Mapping[str, Tick | PyupcError]
        try:
            if len(batch) == 1:
                found = {batch[0]: session.tick(self._arguments(batch[0], k, lease, began))}
            else:
                found = tick_all(session, self._batch_arguments(batch, k, lease, began))
        except PyupcError as problem:
            found = dict.fromkeys(batch, problem)
        return Answer(found, began, self._clock.monotonic() - began, born)

    def _take(self, answer: Answer, round_: Round, lease: timedelta) -> None:
        """In the main thread."""
        ticks = {name: each for name, each in answer.found.items() if isinstance(each, Tick)}
        for symbol, each in answer.found.items():
            if isinstance(each, PyupcError):
                round_.failing[symbol] = each
                if each.sqlstate == _TIMED_OUT:
                    self._alone.add(symbol)
        if not ticks:
            return
        round_.ticks.update(ticks)
        self._alone.difference_update(ticks)
        self._ticked_at.update(dict.fromkeys(ticks, answer.began))
        if answer.seconds > lease.total_seconds():
            self._make_sure_of(tuple(ticks))
        self._report.answer_took(answer.seconds)
        for symbol, tick in ticks.items():
            self._report.ticked(symbol, tick)
            asked = (
                tick.asked_model or self._job.model,
                tick.asked_settlement or self._job.settlement,
            )
            self._report.answered(symbol, asked, (tick.model, tick.settlement))
        self._notifier.began()
        for symbol, tick in ticks.items():
            self._publisher.publish(symbol, tick, answer.born)
        at = next(iter(ticks.values())).at
        if at is not None and answer.seconds < _PROMPT_SECONDS:
            self._clock_check.look(at.timestamp())

    def _make_sure_of(self, symbols: Sequence[str]) -> None:
        """After an answer that came so late that the files may be another's by now."""
        held = {
            each.symbol for each in self._session.leases(symbols) if each.holder == self._job.holder
        }
        lost = [symbol for symbol in symbols if symbol not in held]
        if lost:
            raise HeldByAnother(f"the right to tick {lost[0]} was lost while a tick took too long")

    def _arguments(self, symbol: str, k: int, lease: timedelta, began: float) -> TickArguments:
        job = self._job
        return TickArguments(
            symbol,
            job.feed,
            job.holder,
            lease,
            job.every,
            self._replay.start(symbol),
            self._elapsed(k),
            job.seed,
            self._since_last(symbol, began),
            job.method,
            job.model,
            job.settlement,
        )

    def _batch_arguments(
        self, batch: Batch, k: int, lease: timedelta, began: float
    ) -> BatchArguments:
        job = self._job
        is_replay = job.feed == "replay"
        return BatchArguments(
            list(batch),
            job.feed,
            job.holder,
            lease,
            job.every,
            [self._replay.start(symbol) for symbol in batch] if is_replay else None,
            [self._elapsed(k)] * len(batch) if is_replay else None,
            job.seed,
            [self._since_last(symbol, began) for symbol in batch],
            job.method,
            job.model,
            job.settlement,
            job.needs_documents,
        )

    def _elapsed(self, k: int) -> timedelta:
        return timedelta(seconds=k * self._job.interval * self._job.speed)

    def _since_last(self, symbol: str, began: float) -> timedelta | None:
        last = self._ticked_at.get(symbol)
        return None if last is None else timedelta(seconds=began - last)


def _raise_what_ends_it(round_: Round) -> None:
    for problem in round_.failing.values():
        if isinstance(problem, (HeldByAnother, SchemaOutOfDate)):
            raise problem
