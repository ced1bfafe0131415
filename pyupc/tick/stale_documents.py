"""Documents that get no successor: they are rewritten as they grow old."""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pyupc.tick.aging_rules import Rules
from pyupc.tick.document_age import Mark, Standing, mark_of, status_mark
from pyupc.tick.files import STATUS_FILE, Folder

logger = logging.getLogger("pyupc.tick")

# From look to look. A document is wrong for no longer than this once its time is over.
LOOK_SECONDS = 0.25

_STATUS = "status"


def boot_clock() -> float:
    """A clock that is never set, and that goes on while the machine sleeps, where there is one."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


@dataclass
class StaleDocuments:
    """Rewrites the files of a folder whose time is over, of any process.

    How old a document is that this process wrote it knows by a clock of its own, which no
    adjustment of the machine's or the server's moves. Of another one the instants in the document
    and of the file have to do: the younger of the two, since the server's clock may differ from
    ours, and what has been seen here for a while is at least that old.
    """

    folder: Folder
    rules: Rules
    now: Callable[[], float] = boot_clock
    wall: Callable[[], float] = time.time
    _reasons: dict[str, str] = field(default_factory=dict)

    def explain(self, reasons: Mapping[str, str]) -> None:
        """Set the reason why there is no newer tick, by symbol."""
        self._reasons = dict(reasons)

    def tend(self) -> None:
        """One look at all files; cheap as long as none is old."""
        for name in self.folder.names():
            if (document := self._document_of(name)) is None:
                continue
            try:
                self._look(name, document)
            except Exception as error:
                # A stranger's file must not keep ours from growing old.
                logger.debug("%s cannot be aged: %r", name, error)

    def _look(self, name: str, document: str) -> None:
        if (standing := self.folder.standing(name)) is None:
            return
        now = self.now()
        if standing.born is None:
            standing.born = self._birth(name, document, now)
        rank = self.rules.rank(self.rules.state_at(now - standing.born))
        if rank > standing.aged:
            self._age(name, document, rank, standing)

    def _document_of(self, name: str) -> str | None:
        if name == STATUS_FILE:
            return _STATUS
        endings = (each for each in self.rules.documents if name.endswith(f"_{each}.json"))
        return next(endings, None)

    def _birth(self, name: str, document: str, now: float) -> float:
        try:
            content, written_at = self.folder.read(name)
        except ValueError:
            return now
        at = self.rules.instant(document, content)
        if at is None:
            return now
        wall = self.wall()
        return now - max(0.0, min(wall - at.timestamp(), wall - written_at))

    def _age(self, name: str, document: str, rank: int, standing: Standing) -> None:
        content, _ = self.folder.read(name)
        # Of the predecessor, which knows no states.
        if "state" not in content:
            standing.aged = rank
            return
        if self._mark(document, content) != standing.mark:
            # It has been replaced in between.
            self.folder.forget(name)
            return
        symbol = content.get("symbol")
        text = self.rules.aged(
            document,
            json.dumps(content),
            self.rules.states[rank],
            self._reason(symbol, document, content),
            is_file=True,
        )
        mark = self._mark(document, json.loads(text))
        if mark <= standing.mark:
            standing.aged = rank
            return
        owner = symbol if isinstance(symbol, str) else None
        self.folder.rewrite(owner, name, text, replace(standing, mark=mark, aged=rank))

    def _mark(self, document: str, content: Mapping[str, Any]) -> Mark:
        return status_mark(content) if document == _STATUS else mark_of(content, self.rules.rank)

    def _reason(self, symbol: Any, document: str, content: Mapping[str, Any]) -> str:
        if isinstance(symbol, str) and symbol in self._reasons:
            return self._reasons[symbol]
        at = self.rules.instant(document, content)
        return "" if at is None else f"there is none that is newer than {_second(at)}"


def _second(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


class Keeper:
    """Looks after a folder from a thread of its own: the main one may wait for the database.

    A process that was stopped finds its files old before it does anything else, within a look.
    """

    def __init__(self, stale: StaleDocuments) -> None:
        self._stale = stale
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pyupc files", daemon=True)

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._stale.tend()

    def _run(self) -> None:
        # They interrupt what the main thread waits for.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while not self._end.wait(LOOK_SECONDS):
            self._stale.tend()
