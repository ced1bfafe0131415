"""Transient failures, such as another session's lock, are waited out and end no process."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pyupc.database.connect import connect
from pyupc.errors import Busy, DatabaseUnreachable, PyupcError
from pyupc.notify import outbox
from pyupc.notify.connection import Link
from pyupc.sql_errors import is_transient, translate
from tests.support.market import pyupc, rows
from tests.support.ticking import SIMULATED, count, ticking, until

# Classes 08 and 53, as listed in PostgreSQL's appendix A.
PASSES = (
    *("08000", "08001", "08003", "08004", "08006", "08007", "40001", "40P01", "53000", "53100"),
    *("53200", "53300", "53400", "55P03", "57014", "57P01", "57P02", "57P03", "57P05"),
)
STAYS = (
    *("08P01", "22P02", "23505", "25006", "28P01", "40002", "42501", "42P01", "54001", "55006"),
    *("57P04", "UP002", "XX000"),
)


@pytest.mark.parametrize("sqlstate", PASSES)
def test_what_is_transient(sqlstate: str) -> None:
    assert is_transient(sqlstate)


@pytest.mark.parametrize("sqlstate", [*STAYS, None])
def test_what_is_not(sqlstate: str | None) -> None:
    assert not is_transient(sqlstate)


@pytest.mark.parametrize("sqlstate", ["40001", "53200", "55P03", "57014"])
def test_a_transient_error_is_a_refusal_that_passes(empty_db: str, sqlstate: str) -> None:
    problem = raised(empty_db, f"RAISE SQLSTATE '{sqlstate}'")
    assert (type(problem), problem.sqlstate, problem.exit_code) == (Busy, sqlstate, 1)


@pytest.mark.parametrize("sqlstate", ["08006", "08P01", "53300", "57P01"])
def test_what_ends_a_connection_is_no_answer(empty_db: str, sqlstate: str) -> None:
    problem = raised(empty_db, f"RAISE SQLSTATE '{sqlstate}'")
    assert (type(problem), problem.sqlstate) == (DatabaseUnreachable, sqlstate)


def test_a_full_table_of_locks_is_no_lack_of_memory(empty_db: str) -> None:
    """The server's own hint names the setting, in every language that it speaks."""
    server = "HINT = 'Vielleicht sollten Sie »max_locks_per_transaction« erhöhen.'"
    full = raised(empty_db, f"RAISE SQLSTATE '53200' USING {server}")
    other = raised(empty_db, "RAISE SQLSTATE '53200'")
    assert "max_locks_per_transaction" in (full.hint or "")
    assert "max_locks_per_transaction" not in (other.hint or "")


def raised(dsn: str, statement: str) -> PyupcError:
    with connect(dsn) as conn, pytest.raises(psycopg.Error) as caught:
        conn.execute(f"DO $$ BEGIN {statement}; END $$".encode())
    return translate(caught.value)


# Locks. All sessions but the test's give up soon.


@pytest.fixture
def market(market: str) -> str:
    return make_conninfo(market, options="-c lock_timeout=100ms")


@contextmanager
def locked(dsn: str, table: str) -> Iterator[Callable[[str], int]]:
    """While the table is locked: how often sessions of that name were seen to wait for it."""
    seen: set[tuple[int, str]] = set()
    query = (
        "SELECT pid, query_start::text FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database() AND application_name = %s"
    )
    with connect(make_conninfo(dsn, options=""), autocommit=False) as conn:
        conn.execute(f"LOCK TABLE upc_data.{table}".encode())
        with connect(dsn) as other:

            def waits(name: str) -> int:
                seen.update(other.execute(query.encode(), (name,)).fetchall())
                return len(seen)

            yield waits


def log_of(process: subprocess.Popen[str]) -> list[str]:
    """Levels of the log of `pyupc.tick` until its end, which is orderly."""
    process.terminate()
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in stderr
    return [line.split()[2] for line in stderr.splitlines() if " pyupc.tick: " in line]


_HAS_LOOKED = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'pyupc tick' AND state = 'idle'
        AND position('changed_documents' IN query) > 0
"""


def test_a_standby_waits_out_a_lock(market: str, tmp_path: Path) -> None:
    with connect(market) as holder:
        holder.execute(
            "INSERT INTO upc_data.tick_lease (symbol, holder, taken_at, expires_at, every)"
            " SELECT s.symbol, 'other', now(), now() + interval '1 h', interval '1 h'"
            " FROM upc_data.symbol AS s"
        )
        with ticking(market, *SIMULATED, "--standby", "--out", tmp_path) as standby:
            # Its first look has been answered.
            until(lambda: rows(market, _HAS_LOOKED))
            with locked(market, "tick_lease") as waits:
                until(lambda: waits("pyupc tick") >= 3)
                assert standby.poll() is None
            holder.execute("DELETE FROM upc_data.tick_lease")
            until(lambda: count(market) >= 4)
            levels = log_of(standby)
    # Logged once each: busy, back, and taken over.
    assert levels.count("ERROR") == 1
    assert levels.count("WARNING") == 2


@pytest.mark.parametrize("table", ["tick_lease", "market_quote", "alembic_version", "symbol"])
def test_a_ticker_waits_out_a_lock(market: str, tmp_path: Path, table: str) -> None:
    options = (*SIMULATED, "--interval", "0.2", "--out", tmp_path)
    with ExitStack() as lock:
        waits = lock.enter_context(locked(market, table))
        if table == "market_quote":
            # A run of so many rounds does not wait for more of them.
            assert pyupc(market, *options, "--once").returncode == 1
        with ticking(market, *options) as process:
            until(lambda: waits("pyupc tick") >= 3)
            assert process.poll() is None
            assert count(market) == 0
            lock.close()
            until(lambda: count(market) >= 4)
            assert "ERROR" in log_of(process)


def test_a_ticker_under_way_waits_out_a_lock(market: str, tmp_path: Path) -> None:
    with ticking(market, *SIMULATED, "--interval", "0.2", "--out", tmp_path) as process:
        until(lambda: count(market) >= 4)
        with locked(market, "market_quote") as waits:
            until(lambda: waits("pyupc tick") >= 6)
            before = count(market)
        until(lambda: count(market) >= before + 4)
        levels = log_of(process)
    # Two symbols of one batch: a line for both, or one each where they met the lock apart.
    assert levels.count("ERROR") in (1, 2)


def test_the_receivers_link_survives_a_lock(fresh_db: str) -> None:
    dsn = make_conninfo(fresh_db, options="-c lock_timeout=100ms")

    async def asks() -> None:
        link = Link(dsn, ["phone"], lambda: None)
        try:
            await link.open(code=True)
            with locked(dsn, "announcement"):
                for _ in range(2):
                    with pytest.raises(Busy):
                        await link.ask(lambda conn: outbox.waiting(conn, "phone", ["test"]))
                assert link.is_up.is_set()
            assert await link.ask(lambda conn: outbox.waiting(conn, "phone", ["test"])) == []
        finally:
            await link.close()

    asyncio.run(asks())
