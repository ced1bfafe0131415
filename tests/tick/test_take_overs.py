"""Two processes take over from each other, by kill and by stop, and their folders are read."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from tests.support.market import SYMBOLS, rows, start
from tests.support.ticking import SIMULATED, count, in_place, until

TAKE_OVERS = 10

# Within the seconds that a process stands still its documents become halted.
LIMITS = {"fresh_for": 2, "warn_for": 3, "stale_for": 4}
PATIENCE = 1.0

TAKEN = ("fresh", "warn", "green", "yellow")


@dataclass
class Owner:
    """A process and its folder; `alive_at` is since when it has been going, infinite if not."""

    process: subprocess.Popen[str]
    folder: Path
    alive_at: float = math.inf

    @property
    def name(self) -> str:
        return f":{self.process.pid} since"


@dataclass
class Reader(threading.Thread):
    """Reads all files of the folders all the time, and keeps what must not be."""

    owners: list[Owner]
    wrong: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    reads: int = 0
    is_over: bool = False

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._orders: dict[Path, int] = {}

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        while not self.is_over:
            for folder in {owner.folder for owner in self.owners}:
                for path in folder.glob("*.json"):
                    self._read(path)
            time.sleep(0.002)

    def _is_kept(self, folder: Path) -> bool:
        """True if there has been a process for long enough."""
        since = min(owner.alive_at for owner in self.owners if owner.folder == folder)
        return time.monotonic() - since > PATIENCE

    def _read(self, path: Path) -> None:
        is_kept = self._is_kept(path.parent)
        text = path.read_text()
        now = time.time()
        self.reads += 1
        try:
            document = json.loads(text)
            late = now - datetime.fromisoformat(document["valid_until"]).timestamp()
        except (ValueError, KeyError) as error:
            self.wrong.append(f"{path}: {error!r}: {text[:80]!r}")
            return
        self.seen[document["state"]] += 1
        is_still_kept = is_kept and self._is_kept(path.parent)
        if late > PATIENCE and document["state"] in TAKEN and is_still_kept:
            self.wrong.append(f"{path} says {document['state']} {late:.2f} s too late")
        order = document.get("tick_id", 0)
        if order < self._orders.get(path, 0):
            self.wrong.append(f"{path} went from {self._orders[path]} back to {order}")
        self._orders[path] = order


@pytest.fixture(scope="module")
def market(module_market: str) -> str:
    options = " ".join(f"-cupc.{name}={seconds}s" for name, seconds in LIMITS.items())
    return psycopg.conninfo.make_conninfo(module_market, options=options)


def begin(dsn: str, folder: Path) -> Owner:
    return Owner(start(dsn, *SIMULATED, "--standby", "--out", folder), folder)


def holds(dsn: str, owner: Owner) -> bool:
    found = rows(dsn, "SELECT holder FROM upc_data.tick_lease")
    return len(found) == len(SYMBOLS) and all(owner.name in row[0] for row in found)


def looks(dsn: str) -> bool:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'pyupc tick' AND position('changed_documents' IN query) > 0"
    )
    return bool(rows(dsn, query)[0][0])


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("is_shared", [False, True], ids=["two folders", "one folder"])
def test_nobody_finds_an_expired_document_or_goes_back(
    market: str, tmp_path: Path, is_shared: bool
) -> None:
    folders = [tmp_path / "first", tmp_path / ("first" if is_shared else "second")]
    ticking, waiting = begin(market, folders[0]), None
    reader = Reader([ticking])
    try:
        until(lambda: in_place(folders[0]) and holds(market, ticking), 30)
        ticking.alive_at = time.monotonic()
        waiting = begin(market, folders[1])
        reader.owners.append(waiting)
        reader.start()
        for turn in range(2 * TAKE_OVERS):
            until(lambda: looks(market) and in_place(folders[1]), 30)
            waiting.alive_at = time.monotonic()
            # Wherever it is in its round.
            time.sleep(0.3 + 0.07 * turn)
            ticking.alive_at = math.inf
            is_kill = turn % 2 == 0
            ticking.process.send_signal(signal.SIGKILL if is_kill else signal.SIGSTOP)
            taker = waiting
            until(lambda owner=taker: holds(market, owner), 20)  # type: ignore[misc]
            if is_kill:
                ticking.process.communicate()
                loser = begin(market, ticking.folder)
            else:
                time.sleep(1 + turn / 5)
                loser = ticking
                loser.process.send_signal(signal.SIGCONT)
                loser.alive_at = time.monotonic()
            reader.owners[:] = [taker, loser]
            ticking, waiting = taker, loser
            enough = count(market) + 2 * len(SYMBOLS)
            until(lambda least=enough: count(market) > least)  # type: ignore[misc]
        time.sleep(2)
    finally:
        reader.is_over = True
        if reader.is_alive():
            reader.join()
        for owner in (ticking, waiting):
            if owner is not None:
                owner.process.kill()
                owner.process.communicate()
    print(f"{reader.reads:,} files read, {dict(reader.seen)}, {len(reader.wrong)} wrong")
    assert reader.wrong == []
    assert reader.reads > 1000
