"""The connections of `pyupc serve`: they read, as a role that can do nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from pyupc.database import schema, session
from pyupc.database.connect import CONNECT_TIMEOUT_SECONDS, connect, with_search_path
from pyupc.errors import DatabaseUnreachable, PyupcError, SchemaOutOfDate
from pyupc.runtime.connection import watchful
from pyupc.sql_errors import translate

APPLICATION_NAME = "pyupc serve"
ROLE = "upc_reader"

STATEMENT_SECONDS = 10
# Limit for a statement that the server itself does not end: it may hang silently.
QUICK_SECONDS = 3.0
LONG_SECONDS = STATEMENT_SECONDS + 1.0
CONNECTIONS = 4
# Longest wait for a connection, then 503.
WAIT_SECONDS = 2.0
# A failed connection is given up at once; the next request tries again.
RECONNECT_SECONDS = 1.0
IDLE_SECONDS = 300.0
# Without a word from its host a connection is given up.
SILENT_SECONDS = 5.0

Row = tuple[Any, ...]
AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]

_LIMITS = {
    "role": ROLE,
    "default_transaction_read_only": "on",
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "5s",
}


def reading(dsn: str) -> str:
    """The connection string of a session that can only read, with any options of the user."""
    parameters = conninfo_to_dict(
        watchful(with_search_path(dsn), SILENT_SECONDS, CONNECT_TIMEOUT_SECONDS)
    )
    ours = " ".join(f"-c {name}={value}" for name, value in _LIMITS.items())
    return make_conninfo(
        "",
        **{
            **parameters,
            "application_name": APPLICATION_NAME,
            "client_encoding": "UTF8",
            "options": f"{parameters['options']} {ours}",
        },
    )


def check(dsn: str) -> None:
    """Raise PyupcError unless there is a server with the schema and the role."""
    with connect(dsn, application_name=APPLICATION_NAME) as conn:
        row = conn.execute(
            """
            SELECT current_user, r.oid IS NOT NULL, pg_catalog.pg_has_role(r.oid, 'MEMBER')
            FROM (VALUES (pg_catalog.to_regrole(%s)::oid)) AS r (oid)
            """,
            [ROLE],
        ).fetchone()
        assert row is not None
        user, is_there, is_granted = row
        if is_there and not is_granted:
            raise PyupcError(f"{user} is no member of {ROLE}", f"GRANT {ROLE} TO {user}")
        schema.check(conn)
    if not is_there:
        raise PyupcError(
            f"there is no role {ROLE} to read with",
            f"as a superuser: CREATE ROLE {ROLE}; then pyupc db upgrade",
        )
    # Connect as the server will: the role may be granted without the right to take it.
    try:
        psycopg.connect(reading(dsn)).close()
    except psycopg.Error as error:
        raise translate(error) from error


class Database:
    """A few connections for questions; another one, of the listener, is not among them."""

    def __init__(self, dsn: str, connections: int = CONNECTIONS) -> None:
        self._conninfo = reading(dsn)
        self.outdated: SchemaOutOfDate | None = None
        """The reason why nothing is asked any more, once the schema is another one."""
        self._pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
            self._conninfo,
            # Functions are rebuilt under a running server: nothing is prepared that could be stale.
            kwargs={"autocommit": True, "prepare_threshold": None},
            min_size=1,
            max_size=connections,
            max_idle=IDLE_SECONDS,
            timeout=WAIT_SECONDS,
            reconnect_timeout=RECONNECT_SECONDS,
            check=AsyncConnectionPool.check_connection,
            configure=_establish,
            open=False,
            name=APPLICATION_NAME,
        )

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close(timeout=1.0)

    async def rows(
        self, query: str, parameters: Sequence[Any] = (), *, seconds: float = QUICK_SECONDS
    ) -> list[Row]:
        """Rows of one statement; DatabaseUnreachable without an answer, else psycopg's error.

        SchemaOutOfDate once the schema has become one that this program was not written for.
        """
        if self.outdated is not None:
            raise self.outdated
        return await self._in_time(query, parameters, seconds)

    async def check_revision(self) -> None:
        """See whether the schema is still the one that this program was written for."""
        try:
            rows = await self._in_time("SELECT v.version_num FROM upc_data.alembic_version AS v")
            found = rows[0][0] if rows else None
        except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
            found = None
        self.outdated = schema.mismatch(found)

    async def _in_time(
        self, query: str, parameters: Sequence[Any] = (), seconds: float = QUICK_SECONDS
    ) -> list[Row]:
        task = asyncio.create_task(self._rows(query, parameters))
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            _give_up(task)
            raise
        if not done:
            _give_up(task)
            raise _no_answer()
        return task.result()

    async def text(
        self, query: str, parameters: Sequence[Any] = (), *, seconds: float = QUICK_SECONDS
    ) -> str:
        """Value of a function that returns a document."""
        [(value,)] = await self.rows(query, parameters, seconds=seconds)
        assert isinstance(value, str)
        return value

    async def _rows(self, query: str, parameters: Sequence[Any]) -> list[Row]:
        try:
            async with self._pool.connection() as conn:
                cursor = await conn.execute(query.encode(), parameters)
                return await cursor.fetchall()
        except PoolTimeout as error:
            raise _no_answer() from error

    async def listener(self) -> AsyncConnection:
        """A connection of one's own, for notifications."""
        conn = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
        try:
            await _establish(conn)
        except BaseException:
            await conn.close()
            raise
        return conn


async def _establish(conn: AsyncConnection) -> None:
    """Outside of a transaction: the connections of the pool are in autocommit."""
    await conn.execute(session.ESTABLISH)


def _give_up(task: asyncio.Task[list[Row]]) -> None:
    """Not waited for: psycopg cancels the statement, which takes a hanging server for ever."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    task.cancel()


def _no_answer() -> DatabaseUnreachable:
    return DatabaseUnreachable(
        "the database does not answer in time", "it is waited for: try again in a moment"
    )
