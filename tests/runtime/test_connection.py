"""The watched connection, in the main thread and in one of its own, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from pyupc.database.connect import connect
from pyupc.errors import Busy, DatabaseUnreachable, PyupcError, SchemaOutOfDate
from pyupc.runtime.connection import Connection, ConnectionLost, WatchedConnection
from pyupc.runtime.threaded_connection import ThreadedConnection

NAME = "pyupc test"
LIMIT = 0.5


class Threaded:
    """A ThreadedConnection with the calls of the other one."""

    def __init__(self, dsn: str, begin: Callable[[Connection], None]) -> None:
        self._loop = asyncio.Runner()
        self._loop.get_loop()
        self.inner = self._loop.run(self._made(dsn, begin))

    async def _made(self, dsn: str, begin: Callable[[Connection], None]) -> ThreadedConnection:
        return ThreadedConnection(dsn, NAME, LIMIT, begin=begin)

    @property
    def is_open(self) -> bool:
        assert self.inner.is_up.is_set() is not self.inner.is_lost.is_set()
        return self.inner.is_up.is_set()

    @property
    def sessions(self) -> int:
        return self.inner.sessions

    def open(self, *, code: bool) -> None:
        self._loop.run(self.inner.open(code=code))

    def fetch(self, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        return self._loop.run(self.inner.fetch(query, parameters))

    def be_patient(self, seconds: float) -> None:
        self.inner._inner.patience = seconds

    def close(self) -> None:
        self._loop.run(self.inner.close())
        self._loop.close()


class Plain(WatchedConnection):
    def be_patient(self, seconds: float) -> None:
        self.patience = seconds


Made = Callable[..., Plain | Threaded]


@pytest.fixture(params=["main thread", "its own thread"])
def made(request: pytest.FixtureRequest) -> Made:
    def make(dsn: str, begin: Callable[[Connection], None] = lambda conn: None) -> Plain | Threaded:
        if request.param == "main thread":
            return Plain(dsn, NAME, LIMIT, begin=begin)
        return Threaded(dsn, begin)

    return make


@pytest.fixture
def opened(made: Made, fresh_db: str) -> Iterator[Plain | Threaded]:
    with closing(made(fresh_db)) as connection:
        connection.open(code=True)
        assert connection.is_open
        yield connection


def execute(dsn: str, statement: str) -> None:
    with connect(dsn) as conn:
        conn.execute(statement.encode())


def test_a_session_that_is_outdated_is_made_again(opened: Plain | Threaded, fresh_db: str) -> None:
    execute(fresh_db, "CREATE TABLE public.t (a integer); INSERT INTO public.t VALUES (1)")
    for _ in range(2):
        assert opened.fetch("SELECT * FROM public.t") == [(1,)]
    # The statement is prepared, and has another result from now on.
    execute(fresh_db, "ALTER TABLE public.t ADD COLUMN b integer DEFAULT 2")
    assert opened.fetch("SELECT * FROM public.t") == [(1, 2)]
    assert opened.sessions == 2
    # One that is missing is missing in the new session, too.
    with pytest.raises(PyupcError) as caught:
        opened.fetch("SELECT * FROM public.nothing")
    assert caught.value.sqlstate == "42P01"
    assert opened.is_open


def test_a_statement_that_takes_too_long_ends_and_the_session_goes_on(
    opened: Plain | Threaded,
) -> None:
    with pytest.raises(Busy) as caught:
        opened.fetch("SELECT pg_sleep(60)")
    assert caught.value.sqlstate == "57014"
    assert opened.fetch("SELECT 1") == [(1,)]
    assert opened.sessions == 1


def test_a_server_that_keeps_no_limit_is_given_up(opened: Plain | Threaded) -> None:
    opened.fetch("SELECT set_config('statement_timeout', '0', false)")
    opened.be_patient(0.2)
    began = time.monotonic()
    with pytest.raises(ConnectionLost) as caught:
        opened.fetch("SELECT pg_sleep(60)")
    assert time.monotonic() - began < 30
    assert isinstance(caught.value.problem, DatabaseUnreachable)
    assert not opened.is_open
    opened.be_patient(5)
    opened.open(code=False)
    assert opened.fetch("SELECT 1") == [(1,)]


def test_a_connection_that_is_ended_is_lost(opened: Plain | Threaded, fresh_db: str) -> None:
    query = "SELECT pg_backend_pid(), current_setting('application_name')"
    [(pid, name)] = opened.fetch(query)
    assert name == NAME
    execute(fresh_db, f"SELECT pg_terminate_backend({pid}, 5000)")
    for _ in range(2):
        with pytest.raises(ConnectionLost):
            opened.fetch("SELECT 1")
        assert not opened.is_open
    opened.open(code=False)
    assert opened.fetch("SELECT 1") == [(1,)]


def test_each_session_is_prepared_before_it_is_used(made: Made, fresh_db: str) -> None:
    def begin(conn: Connection) -> None:
        conn.execute("SELECT set_config('upc_test.begun', '1', false)")

    def refuse(conn: Connection) -> None:
        raise PyupcError("refused")

    def fail(conn: Connection) -> None:
        conn.execute("SELECT 1 / 0")

    with closing(made(fresh_db, begin)) as connection:
        connection.open(code=True)
        assert connection.fetch("SELECT current_setting('upc_test.begun')") == [("1",)]
    for problem in (refuse, fail):
        with closing(made(fresh_db, problem)) as connection:
            with pytest.raises(PyupcError):
                connection.open(code=True)
            assert not connection.is_open


def test_another_schema_and_no_server_are_refused(made: Made, fresh_db: str, empty_db: str) -> None:
    execute(fresh_db, "UPDATE upc_data.alembic_version SET version_num = '9999'")
    for dsn, error in (
        (fresh_db, SchemaOutOfDate),
        (empty_db, SchemaOutOfDate),
        ("host=/nowhere", DatabaseUnreachable),
    ):
        with closing(made(dsn)) as connection:
            with pytest.raises(error):
                connection.open(code=False)
            assert not connection.is_open


def test_work_that_is_cancelled_ends_the_statement(fresh_db: str) -> None:
    async def main() -> None:
        connection = ThreadedConnection(fresh_db, NAME, 60)
        await connection.open(code=True)
        working = asyncio.create_task(connection.fetch("SELECT pg_sleep(60)"))
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(is_sleeping):
                await asyncio.sleep(0.02)
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working
            await connection.close()

    def is_sleeping() -> bool:
        query = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = %s"
        with psycopg.connect(fresh_db) as conn:
            return conn.execute(query, (conn.info.dbname,)).rowcount > 0

    asyncio.run(main())
