"""Times of the status and the process's additions to it, with a database of the test's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pyupc.errors import PyupcError
from pyupc.tick.files import Folder
from pyupc.tick.job import Job
from pyupc.tick.statements import Session
from pyupc.tick.status_file import Health

FRESH = {"BTC": "fresh", "ETH": "fresh"}


class Database(Session):
    """A session that reports `state`, green by default."""

    def __init__(self) -> None:
        self.state = "green"
        self.requests: list[tuple[str, ...]] = []
        self.reported: list[tuple[str, str | None]] = []
        self.refusal: PyupcError | None = None

    def status(self, symbols: Sequence[str]) -> str:
        self.requests.append(tuple(symbols))
        problems = [] if self.state == "green" else ["BTC: the price is stale"]
        return json.dumps({"timestamp": "T", "state": self.state, "problems": problems})

    def report_problem(self, symbol: str, holder: str, problem: str | None) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.reported.append((symbol, problem))


class Scene:
    """Rounds of a second."""

    def __init__(self, folder: Path, *symbols: str) -> None:
        self.time = 100.0
        self.database = Database()
        self.folder = Folder(folder)
        job = Job("", "simulated", folder, symbols)
        self.health = Health(job, self.database, self.folder, lambda: self.time)

    def round(
        self,
        states: dict[str, str] | None = None,
        failing: dict[str, PyupcError] | None = None,
        clock: str | None = None,
    ) -> dict[str, Any]:
        self.time += 1
        self.health.round(states or FRESH, failing or {}, clock)
        return self.file()

    def file(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder.path / "upc_status.json").read_text())
        return document


def test_it_asks_every_two_seconds_and_when_a_state_changes(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    for _ in range(9):
        assert scene.round()["state"] == "green"
    assert len(scene.database.requests) == 5
    for k in range(4):
        scene.round({"BTC": ("warn", "stale")[k % 2], "ETH": "fresh"})
    assert len(scene.database.requests) == 9


@pytest.mark.parametrize("symbols", [(), ("BTC",), ("ETH", "BTC")])
def test_it_asks_for_what_was_named(tmp_path: Path, symbols: tuple[str, ...]) -> None:
    scene = Scene(tmp_path, *symbols)
    scene.round()
    assert scene.database.requests == [symbols]


@pytest.mark.parametrize(
    ("state", "found"), [("green", "yellow"), ("yellow", "yellow"), ("red", "red")]
)
def test_what_it_sees_itself_is_added(tmp_path: Path, state: str, found: str) -> None:
    scene = Scene(tmp_path)
    scene.database.state = state
    document = scene.round(failing={"ETH": PyupcError("no room")})
    assert document["state"] == found
    assert any("ETH" in problem and "no room" in problem for problem in document["problems"])
    assert len(document["problems"]) == (1 if state == "green" else 2)
    assert document["timestamp"] == "T"
    assert document["valid_for_seconds"] == 6


def test_a_problem_is_reported_to_the_database_once_and_cleared(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    (tmp_path / "btc_watchlist.json").mkdir()
    scene.folder.write("BTC", {"watchlist": "[]"})
    for _ in range(3):
        scene.round()
    [(symbol, problem)] = scene.database.reported
    assert (symbol, "btc_watchlist.json" in str(problem)) == ("BTC", True)
    (tmp_path / "btc_watchlist.json").rmdir()
    scene.folder.write("BTC", {"watchlist": "[]"})
    for _ in range(3):
        scene.round()
    assert scene.database.reported[1:] == [("BTC", None)]


def test_a_clock_is_a_problem_of_all_symbols(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.round(clock="the clock has jumped")
    assert scene.database.reported == [(name, "the clock has jumped") for name in FRESH]


def test_an_unreported_problem_is_in_the_file_and_reported_later(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.database.refusal = PyupcError("no right")
    document = scene.round(clock="the clock has jumped")
    assert (document["state"], document["problems"]) == ("yellow", ["the clock has jumped"])
    scene.database.refusal = None
    for _ in range(3):
        document = scene.round(clock="the clock has jumped")
    # Now the database would report it, which this one does not.
    assert document["problems"] == []
    assert len(scene.database.reported) == 2


def test_without_a_status_before_there_is_no_last_one(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.health.end("it was refused", ["BTC"])
    assert list(tmp_path.iterdir()) == []
    scene.round()
    scene.health.forget()
    scene.health.end("another ticks", ["BTC"])
    assert scene.file()["state"] == "green"


def test_a_lost_database_is_reported_at_once_and_repeatedly(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.round()
    seen = []
    for _ in range(40):
        scene.health.lost("it does not answer", ["BTC"])
        seen.append(scene.file()["timestamp"])
        scene.time += 0.5
    assert scene.file()["state"] == "red"
    assert "T" not in seen
    assert len(set(seen)) == 10
