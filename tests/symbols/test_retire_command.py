"""`pyupc symbols retire`: what it shows, what it removes, and what a killed one leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from pyupc.cli import main
from pyupc.errors import Busy
from pyupc.symbols.retire import retire
from tests.support.engine import Connection, open_db, put, scalar, walk
from tests.support.waiting import until
from tests.support.warm_process import COMMAND, REPOSITORY, Pyupc

MINUTES = 600


@pytest.fixture
def conn(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    with open_db(fresh_db) as connection:
        connection.execute("SELECT upc.add_symbol('SOL', 2)")
        put(connection, "SOL", walk(51, "2026-03-02", MINUTES, price=150))
        yield connection


def pyupc(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["symbols", *arguments])


def counts(result: Result) -> dict[str, int]:
    return {row["table"]: row["rows"] for row in json.loads(result.stdout)}


def stored(conn: Connection) -> dict[str, int]:
    """Rows of SOL by table."""
    tables = conn.execute(
        "SELECT c.relname FROM pg_class AS c"
        " JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'symbol'"
        " WHERE c.relnamespace = 'upc_data'::regnamespace AND c.relkind IN ('r', 'p')"
        " AND NOT c.relispartition AND c.relname <> 'retirement'"
    ).fetchall()
    query = "SELECT count(*) FROM upc_data.{} WHERE symbol = 'SOL'"
    found = {name: scalar(conn, query.format(name)) for (name,) in tables}
    return {name: count for name, count in found.items() if count}


def test_without_yes_it_only_shows(conn: Connection) -> None:
    before = stored(conn)
    assert before["candle"] == MINUTES
    done = pyupc("retire", "SOL", "--json")
    assert done.exit_code == 1
    assert counts(done) == before
    assert "--yes" in done.stderr
    assert stored(conn) == before


def test_it_names_who_works_for_it(conn: Connection) -> None:
    conn.execute("SELECT upc._renew_lease('SOL', 'desk:1', interval '1 minute')")
    assert "desk:1" in pyupc("retire", "SOL").stderr


def test_with_yes_it_removes(conn: Connection) -> None:
    before = stored(conn)
    done = pyupc("retire", "SOL", "--yes", "--json")
    assert done.exit_code == 0, done.stderr
    assert counts(done) == before
    assert stored(conn) == {}
    assert pyupc("retire", "SOL", "--yes").exit_code == 1
    assert pyupc("add", "SOL", "--step", "3").exit_code == 0


@pytest.mark.parametrize("name", ["DOGE", "sol", "", "*", "'"])
def test_what_there_is_not(conn: Connection, name: str) -> None:
    before = stored(conn)
    done = pyupc("retire", "SOL", name, "--yes")
    assert done.exit_code == 1
    assert stored(conn) == before


def test_killed_and_started_again(fresh_db: str, conn: Connection) -> None:
    before = stored(conn)
    command = [*COMMAND, "symbols", "retire", "SOL", "--yes", "--batch", "50"]
    with open_db(fresh_db, autocommit=False) as holder:
        # It comes to wait in the middle of the candles.
        holder.execute(
            "SELECT FROM upc_data.candle WHERE symbol = 'SOL' ORDER BY opened_at DESC LIMIT 1"
            " FOR UPDATE"
        )
        process = Pyupc(
            command,
            cwd=REPOSITORY,
            env={**os.environ, "PYUPC_DSN": fresh_db},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pyupc symbols'"
            " AND datname = current_database() AND wait_event_type = 'Lock'"
        )
        until(lambda: scalar(conn, waiting))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        until(
            lambda: (
                scalar(
                    conn,
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE application_name = 'pyupc symbols' AND datname = current_database()",
                )
                == 0
            )
        )
    left = stored(conn)
    assert 0 < left["candle"] < before["candle"]
    assert "symbol" not in left

    # It is there no more, and cannot come back yet.
    assert pyupc("add", "SOL", "--step", "2").exit_code == 1
    listed = json.loads(pyupc("list", "--json").stdout)
    assert [(row["symbol"], row["is_retiring"]) for row in listed][-1] == ("SOL", True)
    assert counts(pyupc("retire", "SOL", "--json")) == left

    done = pyupc("retire", "SOL", "--yes", "--json")
    assert done.exit_code == 0, done.stderr
    # Those that the killed one has removed are counted, too.
    assert counts(done) == before
    assert stored(conn) == {}
    assert pyupc("add", "SOL", "--step", "2").exit_code == 0


def test_one_who_has_seen_it_is_waited_for_and_named(fresh_db: str, conn: Connection) -> None:
    at = [0.0]

    def wait(seconds: float) -> None:
        at[0] += seconds

    with open_db(fresh_db, autocommit=False) as reader:
        reader.execute("SELECT upc.require_symbol('SOL')")
        with pytest.raises(Busy) as caught:
            retire(conn, "SOL", wait=wait, now=lambda: at[0])
        assert str(reader.info.backend_pid) in caught.value.message
        assert at[0] >= 30
        # Whatever it wrote until it ends is removed before the name is free.
        reader.commit()
    removed = retire(conn, "SOL")
    assert removed["candle"] == MINUTES
    assert stored(conn) == {}
