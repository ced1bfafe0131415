"""The run of `pyupc tick`: rounds of ticks of all symbols, and the files made of the answers."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from pyupc.errors import Busy, PyupcError
from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.connection import ConnectionLost
from pyupc.runtime.stop import Stop, Waiting
from pyupc.runtime.systemd import Notifier
from pyupc.tick import predecessor_layout
from pyupc.tick.aging_rules import Rules
from pyupc.tick.files import Folder
from pyupc.tick.job import STORED, Job, Outcome
from pyupc.tick.log_lines import MOST_NAMES, Report, View
from pyupc.tick.loop import Rounds
from pyupc.tick.maintenance import Retention, Revision
from pyupc.tick.mirror import Mirror
from pyupc.tick.no_files import NoFolder
from pyupc.tick.reconnect import patiently, reconnect
from pyupc.tick.roster import Roster
from pyupc.tick.stale_documents import Keeper, StaleDocuments
from pyupc.tick.standby import Standby
from pyupc.tick.statements import HeldByAnother, Session, Tick
from pyupc.tick.status_file import Health
from pyupc.tick.ticker import Ticker

if TYPE_CHECKING:
    from pyupc.tick.feeder import Feeder


def run(job: Job, view: View | None = None) -> Outcome:
    """Tick until the count is reached or a signal comes. Only the main thread can do it.

    Raises PyupcError if the schema, the folder or the first round does not do, and later if another
    process has come to tick a symbol or the schema has become another. With `standby` another
    process is waited for instead, at the start and whenever it comes.
    """
    session = Session(job.dsn, job.statement_limit)
    notifier = Notifier()
    notifier.check(job.interval)
    with Stop() as stop:
        try:
            if (rules := _opened(session, job, stop)) is None:
                return Outcome({}, stop.exit_code)
            folder = Folder(job.out, rules.rank) if job.has_files else NoFolder()
            folder.prepare()
            stale = StaleDocuments(folder, rules)
            with Keeper(stale) if job.has_files else nullcontext():
                return _Run(job, session, folder, stale, stop, view, notifier).run()
        finally:
            notifier.stopping()
            session.close()


def _opened(session: Session, job: Job, stop: Waiting) -> Rules | None:
    """None if a signal came first. A run of so many rounds does not wait for a busy database."""

    def opened() -> Rules:
        session.open(code=True)
        try:
            return session.document_rules()
        except ConnectionLost as error:
            raise error.problem from error

    if job.count is not None:
        return opened()
    return patiently(opened, stop, Report(SYSTEM.monotonic, job.feed, job.interval))


# SQLSTATE of a symbol that is not registered.
_UNKNOWN_SYMBOL = "UP002"


class _Run:
    def __init__(
        self,
        job: Job,
        session: Session,
        folder: Folder,
        stale: StaleDocuments,
        stop: Stop,
        view: View | None,
        notifier: Notifier,
        clock: Clock = SYSTEM,
    ) -> None:
        self._job = job
        self._session = session
        self._folder = folder
        self._stop = stop
        self._view = view
        self._notifier = notifier
        self._clock = clock
        self._report = Report(clock.monotonic, job.feed, job.interval)
        self._rounds = Rounds(job.interval, clock.monotonic, stop.wait, job.count)
        self._health = Health(job, session, folder, clock.monotonic, lambda: stale.rules)
        self._stale = stale
        self._ticker = Ticker(job, session, stale, self._report, notifier, clock)
        self._retention = Retention(
            session.delete_expired,
            job.retention_seconds,
            job.interval,
            clock.monotonic,
            session.make_partitions,
        )
        self._revision = Revision(session.check, clock.monotonic)
        self._ticks: dict[str, Tick] = {}
        self._roster = Roster(job.symbols, job.share, session, clock.monotonic)

    def run(self) -> Outcome:
        try:
            return self._run()
        finally:
            self._ticker.close()

    def _run(self) -> Outcome:
        if self._job.count is not None:
            symbols = self._roster.begin()
        else:
            found = patiently(self._roster.begin, self._stop, self._report)
            if found is None:
                return Outcome({}, self._stop.exit_code)
            symbols = found
        if self._job.legacy_layout:
            predecessor_layout.link(self._job.out, symbols)
        standby = Standby(
            self._session,
            self._stop,
            self._report,
            self._notifier,
            Mirror(
                self._session,
                self._folder,
                self._stale,
                with_snapshot=self._job.legacy_layout,
            ),
            self._health,
            self._clock,
        )
        has_waited: bool | None = False
        while True:
            if self._job.standby and (has_waited := standby.wait(self._roster)) is None:
                break
            try:
                self._hold(is_successor=bool(has_waited))
                break
            except HeldByAnother as error:
                if not self._job.standby:
                    raise
                self._report.stood_down(error)
        self._report.end(self._rounds.missed)
        return Outcome(self._ticks, self._stop.exit_code)

    def _hold(self, *, is_successor: bool) -> None:
        """Tick for as long as this process has the right to.

        A successor goes on with what its predecessor had: it waits for no price, and refuses none.
        """
        symbols = self._roster.symbols
        feeder = self._feeder(symbols)
        reason = "the process has ended"
        self._ticker.forget()
        try:
            if feeder is None or is_successor or self._is_fed(feeder, symbols):
                self._loop(feeder, is_successor)
        except HeldByAnother:
            self._health.forget()
            raise
        except PyupcError as error:
            reason = error.message
            raise
        finally:
            # Before a successor may tick: the files are its own then.
            self._health.end(reason, self._roster.symbols)
            self._session.release(self._roster.symbols, self._job.holder)
            if feeder is not None:
                feeder.end()

    def _feeder(self, symbols: tuple[str, ...]) -> Feeder | None:
        if self._job.feed in STORED:
            return None
        from pyupc.tick.first_prices import feeder_for

        return feeder_for(self._job, self._session, symbols)

    def _is_fed(self, feeder: Feeder, symbols: tuple[str, ...]) -> bool:
        from pyupc.tick.first_prices import wait_for_prices

        return wait_for_prices(
            self._job, self._session, feeder, symbols, self._stop, self._report, self._clock
        )

    def _loop(self, feeder: Feeder | None, is_successor: bool) -> None:
        may_refuse = not is_successor
        busy: Busy | None = None
        for k in self._rounds:
            symbols = self._roster.symbols
            self._report.is_crowd = len(symbols) > MOST_NAMES
            try:
                failing = self._round(symbols, k, may_refuse)
            except ConnectionLost as error:
                self._rounds.lose()
                self._wait_for_the_database(error.problem, symbols)
                continue
            if is_successor and self._ticks:
                self._report.took_over(symbols)
                is_successor = False
            busy = next((each for each in failing.values() if isinstance(each, Busy)), None)
            has_to_tick = self._has_to_tick or not self._ticks
            may_refuse = may_refuse and busy is not None and has_to_tick
            try:
                self._after(symbols, failing, feeder)
            except ConnectionLost as error:
                self._wait_for_the_database(error.problem, symbols)
        if may_refuse and busy is not None and self._stop.received is None:
            # All rounds are over, and what the first one ought to have shown is still not known.
            raise busy

    def _round(self, symbols: tuple[str, ...], k: int, may_refuse: bool) -> dict[str, PyupcError]:
        """One tick of every symbol; returns why there is none of those that have none."""
        done = self._ticker.round(symbols, k)
        ticks, failing = done.ticks, done.failing
        # A symbol asked for by name must tick at once; of all that are registered, or of what an
        # exchange may not list, one must.
        # A busy database is waited for: that is no refusal.
        refusals = [each for each in failing.values() if not isinstance(each, Busy)]
        if may_refuse and refusals and (self._has_to_tick or not ticks):
            raise refusals[0]
        self._ticks = {symbol: ticks[symbol] for symbol in symbols if symbol in ticks}
        return failing

    def _after(
        self, symbols: tuple[str, ...], failing: dict[str, PyupcError], feeder: Feeder | None
    ) -> None:
        """Report on the round, and do what there is time for until the next one."""
        self._report.failed(failing)
        self._stale.explain({symbol: error.message for symbol, error in failing.items()})
        states = self._report.states
        missing = {name: failing[name] for name in self._must_tick(symbols) if name in failing}
        self._health.round(states, missing, self._ticker.clock_problem)
        self._report.files(self._folder.problem, self._folder.failed)
        self._report.unlocked(self._folder.lock_problem)
        if not missing:
            self._notifier.ticked()
        self._notifier.status(self._report.summary)
        self._report.round(self._rounds.missed)
        if self._view is not None:
            self._view.show(self._ticks, self._report.status(self._rounds.missed))
        self._look_for_changes(failing, feeder)
        if feeder is not None:
            feeder.tend()
        if self._revision.tend():
            self._stale.rules = self._session.document_rules()
        self._retention.tend(self._rounds.left())

    def _look_for_changes(self, failing: dict[str, PyupcError], feeder: Feeder | None) -> None:
        """Symbols that have been registered or retired since."""
        is_due = any(each.sqlstate == _UNKNOWN_SYMBOL for each in failing.values())
        added, removed = self._roster.look(is_due=is_due)
        if not (added or removed):
            return
        self._report.changed(added, removed)
        self._report.forget(removed)
        if self._job.legacy_layout:
            predecessor_layout.link(self._job.out, added)
        if feeder is not None:
            feeder.symbols = frozenset(self._roster.symbols)

    @property
    def _has_to_tick(self) -> bool:
        """True if each of the symbols does, since it was asked for by name and prices are there."""
        return bool(self._job.symbols) and self._job.feed in STORED

    def _must_tick(self, symbols: tuple[str, ...]) -> tuple[str, ...]:
        """All that were asked for by name; else those that could tick once."""
        if self._has_to_tick:
            return symbols
        return tuple(s for s in symbols if self._report.has_ticked(s))

    def _wait_for_the_database(self, problem: PyupcError, symbols: tuple[str, ...]) -> None:
        self._report.lost(problem)
        self._notifier.status(f"the database is lost: {problem.message}")

        reason = f"the database is lost: {problem.message}"
        self._stale.explain(dict.fromkeys(symbols, reason))

        def meanwhile() -> None:
            self._health.lost(problem.message, symbols)

        meanwhile()
        if reconnect(self._session, self._stop, meanwhile):
            self._report.back()
