"""Status of the process: `upc_status.json`, and its own problems, reported to the database."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pyupc.errors import PyupcError
from pyupc.tick.aging_rules import Rules
from pyupc.tick.files import Folder
from pyupc.tick.job import Job
from pyupc.tick.statements import Session

logger = logging.getLogger("pyupc.tick")

# A status that takes longer than this is followed by so many times its length without one.
_QUICK_SECONDS = 0.1
_REST = 20


@dataclass
class Health:
    """The status comes from the database; the process writes it itself where it cannot.

    It is written every few seconds, and at once when anything changes. What fails here and cannot
    be seen from the database, such as a file, is reported to it.
    """

    job: Job
    session: Session
    folder: Folder
    now: Callable[[], float]
    rules: Callable[[], Rules] | None = None
    _reported: dict[str, str | None] = field(default_factory=dict)
    _written_at: float | None = None
    _key: object = None
    _told: str | None = None
    _stood_by_at: float | None = None
    _took: float = 0.0

    def round(
        self,
        states: Mapping[str, str],
        failing: Mapping[str, PyupcError],
        clock_problem: str | None,
    ) -> None:
        """After a round. `states` are those of the chosen symbols, `failing` should tick."""
        self._report(states, clock_problem)
        if not self.folder.is_kept:
            return
        key = (dict(states), self.folder.problem is None, clock_problem is None)
        if self._is_early() or (key == self._key and not self._is_due()):
            return
        self._key = key
        problems = [f"{name} is not ticked: {error.message}" for name, error in failing.items()]
        problems += self._unreported(states, clock_problem)
        began = self.now()
        self._write(self._from_database(tuple(states), problems))
        self._took = self.now() - began

    def lost(self, problem: str, symbols: Sequence[str]) -> None:
        """While there is no database to ask, over and over."""
        if self._key != problem or self._is_due():
            self._key = problem
            self._write(self._own([f"the database is lost: {problem}"], symbols))

    def stand_by(self, symbols: Sequence[str]) -> None:
        """While another process ticks; the status is everybody's."""
        if not self.folder.is_kept:
            return
        if self._stood_by_at is None or self._is_over(self._stood_by_at):
            self._stood_by_at = self.now()
            problem = self.folder.problem
            problems = [] if problem is None else [problem]
            self.folder.write_status(self._from_database(symbols, problems))

    def end(self, reason: str, symbols: Sequence[str]) -> None:
        """The last status of a process that ends, if there was any."""
        if self._written_at is not None:
            self._write(self._own([f"nothing ticks: {reason}"], symbols))
        self.forget()

    def forget(self) -> None:
        """Another process ticks: the file is its own, and it has no problem of ours."""
        self._reported.clear()
        self._written_at = None
        self._key = None

    def _is_early(self) -> bool:
        """Statuses of many symbols take long: they are to leave most of the time to the ticks."""
        rest = _REST * self._took if self._took > _QUICK_SECONDS else 0.0
        return self._written_at is not None and self.now() - self._written_at < rest

    def _is_due(self) -> bool:
        return self._written_at is None or self._is_over(self._written_at)

    def _is_over(self, at: float) -> bool:
        return self.now() - at >= self.job.status_seconds

    def _write(self, text: str) -> None:
        self.folder.write_status(text)
        self._written_at = self.now()

    @property
    def _valid_for(self) -> float:
        """Longer than two statuses take: one that is late is no news yet."""
        rest = _REST * self._took if self._took > _QUICK_SECONDS else 0.0
        return 2 * max(self.job.status_seconds, self.job.interval, rest) + 2

    def _report(self, symbols: Mapping[str, str], clock_problem: str | None) -> None:
        for symbol in symbols:
            problem = self._problem_of(symbol, clock_problem)
            if problem != self._reported.get(symbol):
                try:
                    self.session.report_problem(symbol, self.job.holder, problem)
                except PyupcError as error:
                    # A failure here affects more than this report, and is logged elsewhere.
                    logger.debug("a problem cannot be reported: %s", error.message)
                else:
                    self._reported[symbol] = problem

    def _unreported(self, symbols: Mapping[str, str], clock_problem: str | None) -> list[str]:
        found = [
            problem
            for symbol in symbols
            if (problem := self._problem_of(symbol, clock_problem))
            and problem != self._reported.get(symbol)
        ]
        return list(dict.fromkeys(found))

    def _problem_of(self, symbol: str, clock_problem: str | None) -> str | None:
        problems = (self.folder.problem_of(symbol), clock_problem)
        return "; ".join(problem for problem in problems if problem) or None

    def _from_database(self, symbols: Sequence[str], problems: list[str]) -> str:
        try:
            text = self.session.status(self.job.symbols)
        except PyupcError as error:
            if not problems and error.message != self._told:
                logger.error("the status cannot be computed: %s", error.message)
            self._told = error.message
            return self._own(
                [*problems, f"the status cannot be computed: {error.message}"], symbols
            )
        self._told = None
        document = json.loads(text)
        if problems:
            document["problems"] = [*document["problems"], *problems]
            if document["state"] == "green":
                document["state"] = "yellow"
        document["valid_for_seconds"] = self._valid_for
        return json.dumps(document)

    def _own(self, problems: list[str], symbols: Sequence[str]) -> str:
        """A status without the database's help is never green."""
        now = datetime.now(UTC)
        return json.dumps(
            {
                "timestamp": now.isoformat(timespec="microseconds"),
                "state": "red",
                "problems": problems,
                "symbols": [
                    {"symbol": symbol, "light": "red", "problems": problems} for symbol in symbols
                ],
                "valid_for_seconds": self._valid_for,
                **self._until(now),
            }
        )

    def _until(self, now: datetime) -> dict[str, str]:
        if self.rules is None:
            return {}
        until = now + timedelta(seconds=self.rules().limits[0])
        return {"valid_until": until.isoformat(timespec="microseconds")}
