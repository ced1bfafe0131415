"""A running `pyupc tick`, its log, and a reader of its files."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.waiting import until as until
from tests.support.warm_process import COMMAND, REPOSITORY, Pyupc

# Stale prices or quotes, another model or settlement, and their recovery: consequences of a fault,
# and no fault.
_ANNOUNCEMENT = re.compile(
    r"[A-Z]+: ((price|quotes) (is|are) |no .*; using (model|settlement) |using .* again$)"
)
# A slow round: a stalling machine can slow down any of them.
_PACE = re.compile(r"the tick of [A-Z0-9 and]+ took |ticks are as fast as they were")
_LINE = re.compile(r"\S+ \S+ ([A-Z]+) ([a-z._]+): (.*)")


def environment(dsn: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PYUPC_DSN": dsn, "PYTHONPATH": str(REPOSITORY), **(more or {})}


@dataclass
class Ticker:
    """The process. Its log goes to a file, so that it never waits for a reader."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Level and text of every line of its log; a line of another form has no level."""
        found = []
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            match = _LINE.fullmatch(line)
            found.append((match[1], match[3]) if match else ("", line))
        return found

    @property
    def problems(self) -> list[str]:
        """Messages above INFO, but for announcements and slow ticks."""
        return [
            text
            for text in self._serious
            if not _ANNOUNCEMENT.match(text) and not _PACE.match(text)
        ]

    @property
    def pace(self) -> list[str]:
        """Messages about slow ticks."""
        return [text for text in self._serious if _PACE.match(text)]

    @property
    def _serious(self) -> list[str]:
        return [text for level, text in self.lines if level not in ("INFO", "DEBUG")]

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()

    def ended(self, seconds: float = 20) -> int:
        """Exit code, once the process has ended by itself."""
        return self.process.wait(seconds)

    def stop(self) -> int:
        self.process.terminate()
        return self.ended()


@contextmanager
def ticking(
    dsn: str,
    folder: Path,
    log: Path,
    *options: str,
    interval: float = 0.2,
    symbols: Sequence[str] = ("BTC",),
    more: Mapping[str, str] | None = None,
) -> Iterator[Ticker]:
    """`pyupc tick --feed database` under way. Whatever happens to it, it shows no traceback."""
    arguments = ["tick", "--feed", "database", "--interval", str(interval), "--out", str(folder)]
    arguments += [part for symbol in symbols for part in ("--symbol", symbol)]
    with log.open("wb") as output:
        process: subprocess.Popen[bytes] = Pyupc(
            [*COMMAND, *arguments, *options],
            env=environment(dsn, more),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    ticker = Ticker(process, log)
    try:
        yield ticker
    finally:
        # A stopped process would not hear anything else.
        ticker.kill()
        text = log.read_text(encoding="utf-8", errors="replace")
        # Shown by pytest with a failing test.
        print(f"--- {log.name}: exit code {process.returncode}\n{text[-4000:]}")
    assert "Traceback" not in text


@dataclass
class Seen:
    """A document as a reader saw it first, and when, on the monotonic clock."""

    at: float
    document: dict[str, Any]


@dataclass
class Reader:
    """Reads every JSON file of a folder again and again, as a consumer does.

    `broken` lists what no consumer may ever see: a file that is no complete JSON, or has gone.
    """

    folder: Path
    symbol: str = "BTC"
    broken: list[str] = field(default_factory=list)
    ticks: dict[str, Seen] = field(default_factory=dict)
    """The live probabilities, by their timestamp."""
    status: list[Seen] = field(default_factory=list)
    """Each upc_status.json."""
    _known: dict[str, tuple[int, int]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def newest(self) -> dict[str, Any]:
        return next(reversed(self.ticks.values())).document

    @property
    def times(self) -> list[datetime]:
        return sorted(datetime.fromisoformat(text) for text in list(self.ticks))

    def count(self) -> int:
        return len(self.ticks)

    def run(self) -> None:
        while not self._stop.wait(0.004):
            with suppress(FileNotFoundError):
                for entry in list(os.scandir(self.folder)):
                    if entry.name.endswith(".json"):
                        self._look(entry)

    def stop(self) -> None:
        self._stop.set()

    def _look(self, entry: os.DirEntry[str]) -> None:
        try:
            with open(entry.path, "rb") as file:
                found = os.fstat(file.fileno())
                key = (found.st_ino, found.st_mtime_ns)
                if self._known.get(entry.name) == key:
                    return
                text = file.read()
        except FileNotFoundError:
            self.broken.append(f"{entry.name} has gone")
            return
        self._known[entry.name] = key
        try:
            self._keep(entry.name, json.loads(text))
        except ValueError:
            self.broken.append(f"{entry.name}: {text[-200:]!r}")

    def _keep(self, name: str, document: dict[str, Any]) -> None:
        seen = Seen(time.monotonic(), document)
        if name == f"{self.symbol.lower()}_live_probabilities.json":
            self.ticks.setdefault(document["timestamp"], seen)
        elif name == "upc_status.json":
            self.status.append(seen)


@contextmanager
def reading(folder: Path, symbol: str = "BTC") -> Iterator[Reader]:
    reader = Reader(folder, symbol)
    thread = threading.Thread(target=reader.run, daemon=True)
    thread.start()
    try:
        yield reader
    finally:
        reader.stop()
        thread.join()
    assert reader.broken == []


def more_ticks(reader: Reader, number: int = 3, seconds: float = 15) -> float:
    """Wait for that many ticks from now on; seconds that it took."""
    enough = reader.count() + number
    return until(lambda: reader.count() >= enough, seconds, why=f"only {reader.count()} ticks")
