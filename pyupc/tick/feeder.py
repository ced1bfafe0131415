"""The feed of a tick: a process, started where no other feeds, and again when it dies."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from pyupc.errors import Busy, PyupcError
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.outage import Outage

logger = logging.getLogger("pyupc.tick")

# Seconds from one look for symbols without a feed to the next.
LOOK_SECONDS = 5.0
STEADY_SECONDS = 60.0
END_SECONDS = 5.0

_LOG_LINE = re.compile(r"\S+ \S+ ([A-Z]+) (pyupc\.[a-z.]+): (.*)")


@dataclass
class _Child:
    process: subprocess.Popen[str]
    symbols: frozenset[str]
    began: float
    last_words: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.process.stderr is not None
        self.ear = threading.Thread(target=self._listen, args=(self.process.stderr,), daemon=True)
        self.ear.start()

    def close(self) -> None:
        """Once it has ended."""
        # It may still be reading the last lines.
        self.ear.join(1.0)
        for pipe in (self.process.stdin, self.process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _listen(self, lines: IO[str]) -> None:
        """Its log becomes ours; the error that it ends with is kept."""
        for line in lines:
            if found := _LOG_LINE.fullmatch(line.rstrip("\n")):
                level = logging.getLevelNamesMapping().get(found[1], logging.ERROR)
                logging.getLogger(found[2]).log(level, "%s", found[3])
            else:
                kind, _, text = line.strip().partition(": ")
                self.last_words[kind] = text


class Feeder:
    """Keeps symbols fed from an exchange. `tend` is called once a round, `end` at the end.

    `unfed` returns the symbols that no process feeds, its own included.
    """

    def __init__(
        self,
        dsn: str,
        exchange: str,
        symbols: Sequence[str],
        unfed: Callable[[Sequence[str]], Iterable[str]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dsn = dsn
        self._exchange = exchange
        self.symbols = frozenset(symbols)
        self._unfed = unfed
        self._now = now
        self._due = now()
        self._backoff = Backoff()
        self._children: list[_Child] = []
        self._logged = ""
        self._outage = Outage(
            logger.name,
            now,
            "which symbols are fed is not known",
            "which symbols are fed is known again",
            each_reason=True,
        )
        self.refusal: PyupcError | None = None
        """The error of the last process that ended with one."""

    def tend(self) -> None:
        """Restart processes that have died, and feed symbols that no process feeds."""
        for child in [each for each in self._children if each.process.poll() is not None]:
            self._children.remove(child)
            self._bury(child)
        fed = frozenset[str]().union(*(child.symbols for child in self._children))
        if self._now() < self._due or fed >= self.symbols:
            return
        self._due = self._now() + LOOK_SECONDS
        try:
            unfed = self._unfed(sorted(self.symbols))
        except Busy as problem:
            self._outage.failed(problem.message)
            return
        self._outage.works()
        if names := [symbol for symbol in unfed if symbol not in fed]:
            self._children.append(self._start(names))

    def end(self) -> None:
        """A feed ends with its standard input, also when this process is killed."""
        for child in self._children:
            assert child.process.stdin is not None
            with suppress(OSError):
                child.process.stdin.close()
        for child in self._children:
            try:
                child.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            child.close()
        self._children.clear()

    def _start(self, symbols: Sequence[str]) -> _Child:
        options = [part for symbol in symbols for part in ("--symbol", symbol)]
        command = [sys.executable, "-m", "pyupc", "feed", "--exchange", self._exchange]
        process = subprocess.Popen(
            [*command, "--attached", *options],
            # Its log is read here, line by line.
            env={**os.environ, "PYUPC_DSN": self._dsn, "PYUPC_LOG_FORMAT": "text"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            # Ctrl-C is for the tick, which ends the feed after its last round.
            start_new_session=True,
        )
        logger.info("feed of %s from %s started", " and ".join(symbols), self._exchange)
        return _Child(process, frozenset(symbols), self._now())

    def _bury(self, child: _Child) -> None:
        child.close()
        if self._now() - child.began > STEADY_SECONDS:
            self._backoff.succeeded()
        self._due = self._now() + self._backoff.failed()
        code = child.process.returncode
        words = child.last_words.get("pyupc")
        if words is not None:
            self.refusal = PyupcError(words, child.last_words.get("hint"))
        text = f"the feed ended with exit code {code}: {words or 'no reason given'}"
        if text != self._logged:
            logger.error("%s; restarting it", text)
            self._logged = text
