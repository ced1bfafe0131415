"""A connection that is watched: no statement hangs for ever, and one that is lost is told apart."""

from __future__ import annotations

import os
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyupc.database import schema
from pyupc.database.connect import connect
from pyupc.errors import DatabaseUnreachable, PyupcError
from pyupc.runtime.stop import Hanging, limited
from pyupc.sql_errors import PROTOCOL_VIOLATION, translate

APPLICATION_NAME = "pyupc tick"

# What a session meets whose functions or tables were rebuilt since it prepared its statements, or
# whose server has become a standby, or that gave way to an upgrade. A new session does not.
OUTDATED = frozenset(
    {"0A000", "25006", "26000", "3F000", "40001", "40P01"}
    | {"42703", "42704", "42883", "42P01", "XX000"}
)


class Lost(Exception):
    """There is no longer a connection to the database."""

    def __init__(self, problem: PyupcError) -> None:
        super().__init__(problem.message)
        self.problem = problem


class HeldByAnother(PyupcError):
    """Another process ticks the symbol."""


class Link:
    """One connection. `limit` is how long the server may work on a statement, in seconds."""

    def __init__(self, dsn: str, limit: float) -> None:
        self._dsn = watchful(dsn, limit)
        self._limit = limit
        self._conn: psycopg.Connection[tuple[Any, ...]] | None = None

    @property
    def is_open(self) -> bool:
        return self._conn is not None

    def open(self, *, code: bool) -> None:
        """Connect anew and check the schema, with `code` the text of its functions too."""
        self.close()
        with limited(self._patience):
            try:
                conn = self._conn = connect(self._dsn, application_name=APPLICATION_NAME)
                conn.execute(
                    "SELECT pg_catalog.set_config('statement_timeout', %s, false)",
                    (f"{self._limit:.3f}s",),
                )
                schema.check(conn, code=code)
            except Hanging as error:
                self.close()
                raise no_answer() from error
            except psycopg.Error as error:
                # Half set up: without its limit, say.
                self.close()
                raise translate(error) from error

    def check(self) -> int:
        """The identity of the functions' schema, which a rebuild makes anew.

        Raises SchemaOutOfDate if the tables have become those of another revision, Lost, or Busy.
        """
        try:
            if self._conn is None:
                raise psycopg.OperationalError("there is no connection")
            with limited(self._patience):
                schema.check(self._conn, code=False)
                return schema.code_identity(self._conn)
        except Hanging as error:
            self.close()
            raise Lost(no_answer()) from error
        except psycopg.Error as error:
            raise self._meaning(error) from error

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def fetch(self, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """All rows; on a session that has become outdated, those of a second attempt on a new one.

        One round trip: the statement is prepared, and there is no BEGIN and COMMIT around it.
        Raises Lost, HeldByAnother, SchemaOutOfDate, Busy for what passes by itself, or PyupcError
        for any other refusal.
        """
        try:
            return self._execute(query, parameters)
        except psycopg.Error as error:
            if error.sqlstate not in OUTDATED:
                raise self._meaning(error) from error
        try:
            self.open(code=False)
            return self._execute(query, parameters)
        except psycopg.Error as error:
            raise self._meaning(error) from error
        except DatabaseUnreachable as error:
            raise Lost(error) from error

    @property
    def _patience(self) -> float:
        """Longer than the server's own limit, which leaves the connection usable."""
        return self._limit + 2

    def _execute(self, query: str, parameters: Any) -> list[tuple[Any, ...]]:
        if self._conn is None:
            raise psycopg.OperationalError("there is no connection")
        try:
            with limited(self._patience):
                return self._conn.execute(query, parameters, prepare=True).fetchall()
        except Hanging as error:
            self.close()
            raise Lost(no_answer()) from error

    def _meaning(self, error: psycopg.Error) -> Exception:
        problem = translate(error)
        if error.sqlstate == "UP009":
            return HeldByAnother(problem.message, problem.hint)
        if error.sqlstate == PROTOCOL_VIOLATION:
            return problem
        if isinstance(problem, DatabaseUnreachable) or self._conn is None or self._conn.broken:
            return Lost(problem)
        return problem


def no_answer() -> DatabaseUnreachable:
    return DatabaseUnreachable("the server does not answer", "see whether it hangs")


def watchful(dsn: str, limit: float) -> str:
    """The DSN with settings that notice a host that has vanished, where it has none of its own."""
    given = conninfo_to_dict(dsn)
    wanted = {
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": int(1000 * limit),
    }
    if "PGCONNECT_TIMEOUT" not in os.environ:
        # The least that libpq allows: after an outage an attempt that hangs costs a second or two.
        wanted["connect_timeout"] = 2
    return make_conninfo(dsn, **{key: value for key, value in wanted.items() if key not in given})
