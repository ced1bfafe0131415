"""`pyupc status`: green only while all is well, and an answer whatever the server does."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pyupc.database.connect import connect
from pyupc.health.status.folder import look, look_at_documents
from pyupc.tick.aging_rules import Rules
from tests.support.market import pyupc, rows
from tests.support.ticking import SIMULATED, count, ended, home_of_its_own, ticking, until

# An answer takes 2.5 s at most; the rest is for starting Python on a busy machine.
PROMPT_SECONDS = 8


@pytest.fixture
def market(btc_market: str) -> str:
    return btc_market


@contextmanager
def ticked(dsn: str, out: Path, *options: str) -> Iterator[None]:
    """While BTC is ticked."""
    before = count(dsn)
    command = (*SIMULATED, "--symbol", "BTC", "--interval", "0.2", *options)
    with ticking(dsn, *command, "--out", out) as process:
        until(lambda: count(dsn) > before)
        yield
        process.terminate()
        ended(process)


def status(dsn: str, *options: str | Path) -> tuple[int, Any]:
    """Exit code and document."""
    done = pyupc(dsn, "status", "--json", *options)
    return done.returncode, json.loads(done.stdout)


# The light.


def test_nothing_ticks_is_red(market: str) -> None:
    code, document = status(market)
    assert (code, document["state"]) == (1, "red")
    assert document["problems"]


def test_it_is_green_while_it_ticks(market: str, tmp_path: Path) -> None:
    with ticked(market, tmp_path):
        code, document = status(market, "--out", tmp_path)
        assert (code, document["state"], document["problems"]) == (0, "green", [])
        [row] = [row for row in document["symbols"] if row["is_expected"]]
        assert (row["symbol"], row["light"], row["lease_state"]) == ("BTC", "green", "held")
        assert status(market, "--symbol", "btc")[0] == 0
        # Asked for by name it has to tick.
        code, document = status(market, "--symbol", "ETH")
        assert (code, [row["symbol"] for row in document["symbols"]]) == (1, ["ETH"])
    assert status(market)[0] == 1


def test_a_problem_of_the_holder_is_yellow(market: str, tmp_path: Path) -> None:
    (tmp_path / "btc_watchlist.json").mkdir(parents=True)
    with ticked(market, tmp_path):
        until(lambda: rows(market, "SELECT problem FROM upc_data.tick_lease")[0][0] is not None)
        code, document = status(market)
        assert (code, document["state"]) == (1, "yellow")
        assert "btc_watchlist.json" in document["problems"][0]
        (tmp_path / "btc_watchlist.json").rmdir()
        until(lambda: status(market)[0] == 0)


# A real write.


def test_a_database_that_cannot_write_is_red_though_it_answers(market: str, tmp_path: Path) -> None:
    with ticked(market, tmp_path), connect(market) as conn:
        conn.execute(
            "ALTER TABLE upc_data.write_probe ADD CONSTRAINT no_room CHECK (false) NOT VALID"
        )
        code, document = status(market)
        assert (code, document["state"]) == (1, "red")
        assert "cannot write" in document["problems"][0]
        assert [row["light"] for row in document["symbols"] if row["is_expected"]] == ["green"]


def test_a_server_that_takes_no_writes_is_red(market: str) -> None:
    dsn = make_conninfo(market, options="-c default_transaction_read_only=on")
    code, document = status(dsn)
    assert (code, document["state"]) == (1, "red")
    assert "25006" in document["problems"][0]


def test_a_write_is_committed(market: str) -> None:
    query = "SELECT written_at, octet_length(filler) FROM upc_data.write_probe"
    assert rows(market, query) == []
    status(market)
    [(first, size)] = rows(market, query)
    assert size > 10_000
    status(market)
    [(second, _)] = rows(market, query)
    assert second > first


def test_a_write_that_waits_is_given_up(market: str, tmp_path: Path) -> None:
    with ticked(market, tmp_path), connect(market, autocommit=False) as conn:
        conn.execute("LOCK TABLE upc_data.write_probe")
        began = time.monotonic()
        code, document = status(market)
        assert (code, document["state"]) == (1, "red")
        assert time.monotonic() - began < PROMPT_SECONDS


# Output


def test_people_see_the_light_first(market: str, tmp_path: Path) -> None:
    done = pyupc(market, "status")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("red: ")
    assert [line.split()[0] for line in lines[1:]] == ["symbol", "BTC", "ETH"]
    with ticked(market, tmp_path):
        done = pyupc(market, "status")
        assert (done.returncode, done.stdout.splitlines()[0]) == (0, "green")


def test_rows_are_data_and_the_light_is_beside_them(market: str) -> None:
    done = pyupc(market, "status", "--csv")
    assert done.returncode == 1
    found = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["symbol"], row["light"]) for row in found] == [("BTC", "red"), ("ETH", "red")]
    assert done.stderr.startswith("red: ")
    done = pyupc(market, "status", "--nl")
    assert [json.loads(line)["symbol"] for line in done.stdout.splitlines()] == ["BTC", "ETH"]


# Refusals.


def test_other_exit_codes(market: str, empty_db: str, tmp_path: Path) -> None:
    assert pyupc(market, "status", "--symbol", "DOGE").returncode == 1
    assert pyupc(market, "status", "--symbol", " ").returncode == 2
    assert pyupc(f"host={tmp_path} dbname=x", "status").returncode == 3
    assert pyupc(empty_db, "status").returncode == 4


def test_it_starts_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYUPC_HOME", str(tmp_path / "home"))
    assert pyupc("", "status").returncode == 3
    assert not (tmp_path / "home").exists()


def test_a_server_that_accepts_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        dsn = f"host=127.0.0.1 port={server.getsockname()[1]} dbname=x sslmode=disable"
        began = time.monotonic()
        assert pyupc(dsn, "status").returncode == 3
        assert time.monotonic() - began < PROMPT_SECONDS


def test_a_server_that_falls_silent_after_the_greeting() -> None:
    def greet() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            # It lets everybody in, and is ready for a query.
            connection.sendall(b"R\0\0\0\x08\0\0\0\0" + b"Z\0\0\0\x05I")
            while connection.recv(4096):
                pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=greet)
        thread.start()
        port = server.getsockname()[1]
        dsn = f"host=127.0.0.1 port={port} dbname=x user=x sslmode=disable gssencmode=disable"
        began = time.monotonic()
        assert pyupc(dsn, "status").returncode == 3
        assert time.monotonic() - began < PROMPT_SECONDS
        thread.join()


@pytest.mark.slow
def test_a_server_that_hangs() -> None:
    from pyupc import embedded
    from pyupc.database.migrate import upgrade

    with home_of_its_own() as home:
        dsn = embedded.ensure_running(home)
        upgrade(dsn)
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("SELECT 1")
            postmaster = int((home / "postgres" / "postmaster.pid").read_text().split()[0])
            os.kill(postmaster, signal.SIGSTOP)
            try:
                began = time.monotonic()
                assert pyupc(dsn, "status").returncode == 3
                assert time.monotonic() - began < PROMPT_SECONDS
            finally:
                os.kill(postmaster, signal.SIGCONT)


# Status of the folder

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)


def written(folder: Path, **fields: Any) -> Path:
    document = {
        "timestamp": NOW.isoformat(),
        "valid_for_seconds": 8,
        "state": "green",
        "problems": [],
        **fields,
    }
    (folder / "upc_status.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize(
    ("age", "state"), [(0, "green"), (7.9, "green"), (8.1, "red"), (-7.9, "green"), (-8.1, "red")]
)
def test_a_file_that_is_too_old_is_red(tmp_path: Path, age: float, state: str) -> None:
    now = NOW + timedelta(seconds=age)
    assert look(written(tmp_path), lambda: now)[0] == state


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"state": "yellow", "problems": ["a file"]}, "yellow"),
        ({"state": "red"}, "red"),
        ({"state": "blue"}, "red"),
        ({"state": None}, "red"),
        ({"timestamp": "yesterday"}, "red"),
        ({"timestamp": "2026-03-05T12:00:00"}, "red"),
        ({"timestamp": None}, "red"),
        ({"valid_for_seconds": None}, "red"),
        ({"valid_for_seconds": "nan"}, "red"),
        ({"valid_for_seconds": "inf"}, "red"),
        ({"problems": None, "state": "yellow"}, "yellow"),
    ],
)
def test_what_a_file_says(tmp_path: Path, fields: dict[str, Any], state: str) -> None:
    found, problems = look(written(tmp_path, **fields), lambda: NOW)
    assert found == state
    assert problems


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{", b"\xff"])
def test_a_file_that_is_none_is_red(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "upc_status.json").write_bytes(content)
    state, problems = look(tmp_path, lambda: NOW)
    assert (state, len(problems)) == ("red", 1)


@pytest.mark.parametrize(
    ("age", "says", "state", "count"),
    [
        (0, "fresh", "green", 0),
        (15.9, "fresh", "green", 0),
        (16.1, "fresh", "yellow", 1),
        (40, "warn", "yellow", 1),
        (61, "fresh", "red", 1),
        # A document with that state has been rewritten by a process.
        (61, "stale", "green", 0),
        (1e6, "halted", "green", 0),
    ],
)
def test_documents_that_nobody_sees_to_any_more(
    market: str, tmp_path: Path, age: float, says: str, state: str, count: int
) -> None:
    with connect(market) as conn:
        [(text,)] = conn.execute("SELECT upc.document_rules()")
    document = {
        "state": says,
        "last_updated": NOW.isoformat(),
        "valid_until": (NOW + timedelta(seconds=15)).isoformat(),
    }
    (tmp_path / "btc_strike_table.json").write_text(json.dumps(document))
    (tmp_path / "btc_watchlist.json").write_text("[")
    (tmp_path / "eth_watchlist.json").write_text("{}")
    now = NOW + timedelta(seconds=age)
    found, problems = look_at_documents(tmp_path, Rules.read(text), lambda: now)
    assert (found, len(problems)) == (state, count)


def test_the_command_sees_to_the_documents_of_the_folder(market: str, tmp_path: Path) -> None:
    """Documents of a process that is dead for a while, beside a current status."""
    with ticked(market, tmp_path / "live"):
        until(lambda: (tmp_path / "live" / "upc_status.json").exists())
        for name in ("btc_strike_table.json", "upc_status.json"):
            shutil.copy(tmp_path / "live" / name, tmp_path / name)
        document = json.loads((tmp_path / "btc_strike_table.json").read_text())
        before = datetime.now(UTC) - timedelta(seconds=100)
        document.update(last_updated=before.isoformat(), valid_until=before.isoformat())
        (tmp_path / "eth_strike_table.json").write_text(json.dumps(document))
        code, answer = status(market, "--out", tmp_path)
    assert (code, answer["state"]) == (1, "red")
    assert any("eth_strike_table.json" in problem for problem in answer["problems"])


def test_the_command_sees_to_the_folder(market: str, tmp_path: Path) -> None:
    with ticked(market, tmp_path / "live"):
        code, document = status(market, "--out", tmp_path)
        assert (code, document["state"]) == (1, "red")
        written(tmp_path)
        code, document = status(market, "--out", tmp_path)
        assert (code, document["state"]) == (1, "red")
        assert "upc_status.json" in document["problems"][0]
