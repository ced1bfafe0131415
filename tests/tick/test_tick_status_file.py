"""`upc_status.json`: written by what ticks, and never green while something fails."""

from __future__ import annotations

import json
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pyupc.database.connect import connect
from pyupc.health.status.folder import look
from tests.support.market import Document, fill, pyupc, rows
from tests.support.ticking import (
    SIMULATED,
    count,
    ended,
    home_of_its_own,
    in_place,
    instant,
    kill_server,
    ticking,
    until,
)


@pytest.fixture
def market(btc_market: str) -> str:
    return btc_market


BTC = (*SIMULATED, "--symbol", "BTC", "--interval", "0.1", "--out")


def status(folder: Path) -> Document:
    document: Document = json.loads((folder / "upc_status.json").read_text(encoding="utf-8"))
    return document


def becomes(folder: Path, state: str) -> Document:
    path = folder / "upc_status.json"
    until(lambda: path.exists() and status(folder)["state"] == state)
    return status(folder)


def end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    assert ended(process) == (0, "")


def test_it_is_green_and_renewed_every_few_seconds(market: str, tmp_path: Path) -> None:
    with ticking(market, *BTC, tmp_path) as process:
        first = becomes(tmp_path, "green")
        assert first["problems"] == []
        assert [row["symbol"] for row in first["symbols"]] == ["BTC"]
        at = instant(first["timestamp"])
        assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
        until(lambda: instant(status(tmp_path)["timestamp"]) > at)
        between = instant(status(tmp_path)["timestamp"]) - at
        # Not every round, but before the last one expires.
        assert between > timedelta(seconds=1)
        assert between < timedelta(seconds=status(tmp_path)["valid_for_seconds"])
        end(process)


def test_the_last_one_says_that_nothing_ticks(market: str, tmp_path: Path) -> None:
    assert pyupc(market, *BTC, tmp_path, "--once").returncode == 0
    document = status(tmp_path)
    assert document["state"] == "red"
    assert "nothing ticks" in document["problems"][0]
    assert document["valid_for_seconds"] > 0


def test_that_of_a_process_that_was_killed_grows_too_old(market: str, tmp_path: Path) -> None:
    with ticking(market, *BTC, tmp_path) as process:
        document = becomes(tmp_path, "green")
        process.kill()
        process.wait()
    document = status(tmp_path)
    at, valid_for = instant(document["timestamp"]), document["valid_for_seconds"]
    assert look(tmp_path, lambda: at + timedelta(seconds=valid_for - 0.1))[0] == "green"
    assert look(tmp_path, lambda: at + timedelta(seconds=valid_for + 0.1))[0] == "red"


def test_one_that_is_refused_leaves_the_file_of_another(market: str, tmp_path: Path) -> None:
    with ticking(market, *BTC, tmp_path) as process:
        becomes(tmp_path, "green")
        assert pyupc(market, *BTC, tmp_path, "--once").returncode == 1
        assert status(tmp_path)["state"] == "green"
        # It was the first tick, too, which another has taken the right to.
        with connect(market) as conn:
            conn.execute(
                "UPDATE upc_data.tick_lease"
                " SET holder = 'someone', expires_at = now() + interval '1 hour'"
            )
        assert ended(process) == (1, "")
        assert "nothing ticks" not in str(status(tmp_path)["problems"])


@pytest.mark.slow
def test_an_unwritable_file_is_reported_to_the_database(market: str, tmp_path: Path) -> None:
    query = "SELECT problem FROM upc_data.tick_lease"
    with ticking(market, *BTC, tmp_path) as process:
        becomes(tmp_path, "green")
        obstacle = tmp_path / "btc_strike_table.json"
        obstacle.unlink()
        obstacle.mkdir()
        document = becomes(tmp_path, "yellow")
        assert any("btc_strike_table.json" in problem for problem in document["problems"])
        [(problem,)] = rows(market, query)
        assert "btc_strike_table.json" in problem
        obstacle.rmdir()
        becomes(tmp_path, "green")
        assert rows(market, query) == [(None,)]

        # Its own file as well, which then cannot report it.
        own = tmp_path / "upc_status.json"
        own.unlink()
        own.mkdir()
        until(lambda: rows(market, query) != [(None,)])
        assert pyupc(market, "status").returncode == 1
        own.rmdir()
        becomes(tmp_path, "green")
        end(process)


def test_a_symbol_that_is_not_ticked_shows_at_once(market: str, tmp_path: Path) -> None:
    with ticking(market, *BTC, tmp_path) as process, connect(market) as conn:
        becomes(tmp_path, "green")
        conn.execute("ALTER TABLE upc_data.tick ADD CONSTRAINT none CHECK (false) NOT VALID")
        until(lambda: status(tmp_path)["state"] != "green", 2.5)
        assert any("BTC is not ticked" in each for each in status(tmp_path)["problems"])
        conn.execute("ALTER TABLE upc_data.tick DROP CONSTRAINT none")
        becomes(tmp_path, "green")
        end(process)


def test_a_symbol_that_has_never_ticked_is_no_trouble_unless_it_is_named(
    market: str, tmp_path: Path
) -> None:
    every = ("--feed", "replay", "--interval", "0.1", "--out", tmp_path)
    with ticking(market, "tick", *every) as process:
        document = becomes(tmp_path, "green")
        assert [row["symbol"] for row in document["symbols"] if row["is_expected"]] == ["BTC"]
        end(process)


@pytest.mark.slow
def test_a_status_that_cannot_be_computed_is_red(market: str, tmp_path: Path) -> None:
    with ticking(market, *BTC, tmp_path) as process, connect(market) as conn:
        becomes(tmp_path, "green")
        conn.execute("ALTER FUNCTION upc.status RENAME TO status_of_old")
        document = becomes(tmp_path, "red")
        assert any("cannot be computed" in each for each in document["problems"])
        before = count(market)
        until(lambda: count(market) > before + 3)
        conn.execute("ALTER FUNCTION upc.status_of_old RENAME TO status")
        becomes(tmp_path, "green")
        end(process)


@pytest.mark.slow
def test_a_lost_database_is_reported_by_the_process(tmp_path: Path) -> None:
    from pyupc import embedded
    from pyupc.database.migrate import upgrade

    with home_of_its_own() as home:
        dsn = embedded.ensure_running(home)
        upgrade(dsn)
        fill(dsn, ("BTC",))
        with ticking(dsn, *BTC, tmp_path) as process:
            until(lambda: in_place(tmp_path, ("BTC",)))
            becomes(tmp_path, "green")
            kill_server(home)
            document = becomes(tmp_path, "red")
            assert "lost" in document["problems"][0]
            assert [row["symbol"] for row in document["symbols"]] == ["BTC"]
            # It goes on saying so.
            at = instant(document["timestamp"])
            until(lambda: instant(status(tmp_path)["timestamp"]) > at)
            assert status(tmp_path)["state"] == "red"
            embedded.ensure_running(home)
            becomes(tmp_path, "green")

            kill_server(home)
            becomes(tmp_path, "red")
            process.send_signal(signal.SIGTERM)
            assert ended(process) == (0, "")
            assert "nothing ticks" in status(tmp_path)["problems"][0]
