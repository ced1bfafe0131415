"""The run of `pyupc tick`: rounds, each one call a symbol, and the files that come of it."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pyupc.errors import PyupcError, SchemaOutOfDate
from pyupc.tick.files import Folder
from pyupc.tick.loop import Rounds
from pyupc.tick.report import Report, View
from pyupc.tick.session import HeldByAnother, Lost, Question, Session, Tick
from pyupc.tick.stop import Stop

if TYPE_CHECKING:
    from pyupc.tick.feeder import Feeder

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 0.8
_JITTER = 0.2

# Feeds that need no process beside the tick.
STORED = ("replay", "simulated", "database")

# A price that came in shortly before the start does for a beginning.
_RECENT = timedelta(seconds=5)
_LOOK_SECONDS = 0.1


def _name_of_this_process() -> str:
    """Names the process to whoever finds its lease; process ids alone repeat in containers."""
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return f"{socket.gethostname()}:{os.getpid()} since {since} ({os.urandom(3).hex()})"


@dataclass(frozen=True)
class Job:
    """What to do. No symbols: all that are registered.

    `replay_from` and `speed` are for the feed replay, `seed` is for simulated. A feed that is an
    exchange has `patience` seconds to bring a first price.
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
    patience: float = 15.0
    holder: str = field(default_factory=_name_of_this_process)

    @property
    def statement_limit(self) -> float:
        """How long a tick may take before the server is told to give it up."""
        return max(5.0, 5 * self.interval)

    @property
    def lease(self) -> timedelta:
        """A process that dies blocks its successor for no longer than this."""
        return timedelta(seconds=max(3.0, 3 * self.interval))


@dataclass(frozen=True)
class Outcome:
    """`ticks` are those of the last round, by symbol."""

    ticks: dict[str, Tick]
    exit_code: int


def run(job: Job, view: View | None = None) -> Outcome:
    """Tick until the count is reached or a signal comes. Only the main thread can do it.

    Raises PyupcError if the schema, the folder or the first round does not do, and later if another
    process has come to tick a symbol or the schema has become another.
    """
    session = Session(job.dsn, job.statement_limit)
    with Stop() as stop:
        try:
            session.open(code=True)
            folder = Folder(job.out)
            folder.prepare()
            return _Run(job, session, folder, stop, view).run()
        finally:
            session.close()


class _Run:
    def __init__(
        self, job: Job, session: Session, folder: Folder, stop: Stop, view: View | None
    ) -> None:
        self._job = job
        self._session = session
        self._folder = folder
        self._stop = stop
        self._view = view
        self._report = Report(time.monotonic, job.feed)
        self._began_at = datetime.now(UTC)
        self._rounds = Rounds(job.interval, time.monotonic, stop.wait, job.count)
        self._starts: dict[str, datetime] = {}
        self._ticks: dict[str, Tick] = {}

    def run(self) -> Outcome:
        symbols = self._symbols()
        feeder = self._feeder(symbols)
        try:
            if feeder is not None and not self._is_fed(feeder, symbols):
                return Outcome({}, self._stop.exit_code)
            for k in self._rounds:
                try:
                    if feeder is not None:
                        feeder.tend()
                    self._round(symbols, k)
                except Lost as error:
                    self._rounds.lose()
                    self._wait_for_the_database(error.problem)
        finally:
            self._session.release(symbols, self._job.holder)
            if feeder is not None:
                feeder.end()
        self._report.end(self._rounds.missed)
        return Outcome(self._ticks, self._stop.exit_code)

    def _symbols(self) -> tuple[str, ...]:
        symbols = self._job.symbols or self._or_unreachable(self._session.symbols)
        if not symbols:
            raise PyupcError("no symbol is registered", "add one to upc_data.symbol")
        return symbols

    def _feeder(self, symbols: tuple[str, ...]) -> Feeder | None:
        job = self._job
        if job.feed in STORED:
            return None
        from pyupc.tick.feeder import Feeder

        return Feeder(job.dsn, job.feed, symbols, lambda: self._session.unfed(symbols, job.feed))

    def _is_fed(self, feeder: Feeder, symbols: tuple[str, ...]) -> bool:
        """Wait for first prices; false if a signal came first. PyupcError if there are none."""
        job = self._job
        since = self._began_at - _RECENT
        deadline = time.monotonic() + job.patience
        while True:
            try:
                feeder.tend()
                priced = self._session.priced(symbols, job.feed, since)
                unfed = self._session.unfed(symbols, job.feed) if feeder.refusal else ()
            except Lost as error:
                raise error.problem from error
            if len(priced) == len(symbols):
                return True
            if feeder.refusal is not None and unfed:
                raise feeder.refusal
            if time.monotonic() >= deadline:
                if priced and not job.symbols:
                    return True
                raise PyupcError(
                    f"{job.feed} cannot be reached: no price of "
                    f"{' and '.join(s for s in symbols if s not in priced)} "
                    f"in {job.patience:g} s",
                    "try again later, or tick stored candles: pyupc tick --feed replay",
                )
            if self._stop.wait(_LOOK_SECONDS):
                return False

    def _or_unreachable(self, ask: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
        """Before the first round there is nothing to wait for yet."""
        try:
            return ask()
        except Lost as error:
            raise error.problem from error

    def _round(self, symbols: tuple[str, ...], k: int) -> None:
        ticks: dict[str, Tick] = {}
        problems: dict[str, PyupcError] = {}
        for symbol in symbols:
            try:
                ticks[symbol] = self._tick(symbol, k)
            except (HeldByAnother, SchemaOutOfDate):
                raise
            except PyupcError as error:
                problems[symbol] = error
        if self._rounds.done == 0:
            self._refuse_to_begin(ticks, problems)
        for symbol, problem in problems.items():
            self._report.failed(symbol, problem)
        self._ticks = ticks
        self._report.files(self._folder.problem, self._folder.failed)
        self._report.round(self._rounds.missed)
        if self._view is not None:
            self._view.show(ticks, self._report.status(self._rounds.missed))

    def _refuse_to_begin(self, ticks: dict[str, Tick], problems: dict[str, PyupcError]) -> None:
        """A symbol asked for by name must tick at once; of all that are registered, one must."""
        if problems and (self._job.symbols or not ticks):
            raise next(iter(problems.values()))

    def _tick(self, symbol: str, k: int) -> Tick:
        job = self._job
        elapsed = timedelta(seconds=k * job.interval * job.speed)
        replay_from = self._replay_from(symbol)
        question = Question(symbol, job.feed, job.holder, job.lease, replay_from, elapsed, job.seed)
        began = time.perf_counter()
        tick = self._session.tick(question)
        self._report.ticked(symbol, tick, time.perf_counter() - began)
        self._folder.write(
            symbol,
            {
                "live_probabilities": tick.live_probabilities,
                "strike_table": tick.strike_table,
                "watchlist": tick.watchlist,
            },
        )
        return tick

    def _replay_from(self, symbol: str) -> datetime | None:
        """The same beginning for every tick; asked of the database once, with one `at` for all."""
        job = self._job
        if job.feed != "replay" or job.replay_from is not None:
            return job.replay_from
        if symbol not in self._starts:
            self._starts[symbol] = self._session.replay_start(symbol, self._began_at)
        return self._starts[symbol]

    def _wait_for_the_database(self, problem: PyupcError) -> None:
        self._report.lost(problem)
        pause = _FIRST_PAUSE_SECONDS
        while not self._stop.wait(pause * random.uniform(1 - _JITTER, 1 + _JITTER)):
            try:
                self._session.open(code=False)
            except SchemaOutOfDate:
                raise
            except PyupcError:
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            else:
                self._report.back()
                return
