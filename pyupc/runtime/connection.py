"""One watched connection to the database: checked, made again, and never waited for without end."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyupc.database import schema
from pyupc.database.connect import connect
from pyupc.errors import DatabaseUnreachable, PyupcError
from pyupc.runtime.stop import Hanging, limited
from pyupc.sql_errors import PROTOCOL_VIOLATION, translate

# Errors of a session whose functions or tables were rebuilt since it prepared its statements, or
# whose server has become a standby, or that gave way to an upgrade. A new session has none.
OUTDATED = frozenset(
    {"0A000", "25006", "26000", "3F000", "40001", "40P01"}
    | {"42703", "42704", "42883", "42P01", "XX000"}
)

# libpq's least: after an outage an attempt that hangs costs a second or two.
CONNECT_SECONDS = 2
# Beyond the server's own limit, which leaves the connection usable.
_GRACE_SECONDS = 2.0

T = TypeVar("T")
Row = tuple[Any, ...]
Connection = psycopg.Connection[Row]
Guard = Callable[[float], AbstractContextManager[None]]


class ConnectionLost(Exception):
    """There is no connection to the database any more; `problem` is the reason."""

    def __init__(self, problem: PyupcError) -> None:
        super().__init__(problem.message)
        self.problem = problem


class WatchedConnection:
    """A connection of a process that goes on for long.

    `limit` is how long the server may work on a statement, in seconds; `begin` prepares each new
    session. A server that does not even keep that limit is given up by `guard`, which raises
    Hanging in its block after so many seconds (the default works in the main thread alone), or by
    `cut` from another thread.
    """

    def __init__(
        self,
        dsn: str,
        application_name: str,
        limit: float,
        *,
        begin: Callable[[Connection], None] = lambda conn: None,
        guard: Guard = limited,
    ) -> None:
        self._dsn = watchful(dsn, limit)
        self._application_name = application_name
        self._limit = limit
        self._begin = begin
        self._guard = guard
        self._conn: Connection | None = None
        self._is_cut = False
        self.patience = limit + _GRACE_SECONDS
        self.sessions = 0
        """Number of sessions so far."""

    @property
    def is_open(self) -> bool:
        return self._conn is not None

    def open(self, *, code: bool) -> None:
        """Connect anew and check the schema, with `code` the text of its functions too.

        Every failure is a PyupcError.
        """
        self.close()
        self._is_cut = False
        try:
            with self._guard(self.patience):
                conn = self._conn = connect(self._dsn, application_name=self._application_name)
                conn.execute(
                    "SELECT pg_catalog.set_config('statement_timeout', %s, false)",
                    (f"{self._limit:.3f}s",),
                )
                schema.check(conn, code=code)
                self._begin(conn)
        except Hanging as error:
            self.close()
            raise no_answer() from error
        except psycopg.Error as error:
            problem = self._translated(error)
            self.close()
            raise problem from error
        except BaseException:
            # Half set up, perhaps without its limit.
            self.close()
            raise
        self.sessions += 1

    def check(self) -> int:
        """The identity of the functions' schema, which a rebuild makes anew.

        Raises SchemaOutOfDate if the tables have become those of another revision.
        """

        def identity(conn: Connection) -> int:
            schema.check(conn, code=False)
            return schema.code_identity(conn)

        return self.do(identity)

    def fetch(self, query: str, parameters: Any = None) -> list[Row]:
        """All rows, as `do`.

        One round trip: the statement is prepared, and there is no BEGIN and COMMIT around it.
        """
        return self.do(lambda conn: conn.execute(query, parameters, prepare=True).fetchall())

    def do(self, work: Callable[[Connection], T]) -> T:
        """The result of `work`; on a session that is outdated, of a second attempt on a new one.

        Raises ConnectionLost, SchemaOutOfDate, Busy for what passes by itself, or PyupcError for
        any other refusal.
        """
        try:
            return self._attempt(work)
        except psycopg.Error as error:
            if error.sqlstate not in OUTDATED:
                raise self._meaning(error) from error
        try:
            self.open(code=False)
            return self._attempt(work)
        except psycopg.Error as error:
            raise self._meaning(error) from error
        except DatabaseUnreachable as error:
            raise ConnectionLost(error) from error

    def cut(self) -> None:
        """End the waiting of another thread on this connection: it finds the server gone."""
        conn = self._conn
        if conn is not None:
            self._is_cut = True
            with suppress(psycopg.Error, OSError), _socket(conn) as ours:
                ours.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def fileno(self) -> int | None:
        """The socket, while there is a connection."""
        return None if self._conn is None or self._conn.closed else self._conn.fileno()

    def _attempt(self, work: Callable[[Connection], T]) -> T:
        if self._conn is None:
            raise psycopg.OperationalError("there is no connection to the database")
        try:
            with self._guard(self.patience):
                return work(self._conn)
        except Hanging as error:
            self.close()
            raise ConnectionLost(no_answer()) from error

    def _meaning(self, error: psycopg.Error) -> Exception:
        problem = self._translated(error)
        if error.sqlstate == PROTOCOL_VIOLATION:
            return problem
        if isinstance(problem, DatabaseUnreachable) or self._conn is None or self._conn.closed:
            self.close()
            return ConnectionLost(problem)
        return problem

    def _translated(self, error: psycopg.Error) -> PyupcError:
        return no_answer() if self._is_cut else translate(error)


def no_answer() -> DatabaseUnreachable:
    return DatabaseUnreachable("the server does not answer", "see whether it hangs")


def watchful(dsn: str, limit: float, connect_seconds: int = CONNECT_SECONDS) -> str:
    """The DSN with settings that notice a host that has vanished, where it has none of its own."""
    given = conninfo_to_dict(dsn)
    wanted = {
        "keepalives_idle": 2,
        "keepalives_interval": 1,
        "keepalives_count": 3,
        "tcp_user_timeout": int(1000 * limit),
    }
    if "PGCONNECT_TIMEOUT" not in os.environ:
        wanted["connect_timeout"] = connect_seconds
    return make_conninfo(dsn, **{key: value for key, value in wanted.items() if key not in given})


def _socket(conn: Connection) -> socket.socket:
    return socket.socket(fileno=os.dup(conn.fileno()))
