"""Rules stored in the database: set, unset and read."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import class_row

from pyupc.database import schema
from pyupc.database.connect import connect, running_dsn
from pyupc.errors import UsageProblem
from pyupc.settings.rules import StoredRule
from pyupc.sql_errors import translate

Connection = psycopg.Connection[tuple[Any, ...]]

_PATIENCE_SECONDS = 2


def set_rule(conn: Connection, name: str, value: str) -> str:
    """Set a rule; return the value as stored."""
    row = conn.execute("SELECT upc.set_rule(%s::text, %s::text)", (name, value)).fetchone()
    assert row is not None
    return str(row[0])


def unset_rule(conn: Connection, name: str) -> bool:
    """Remove a rule; False if it was not set."""
    row = conn.execute("SELECT upc.unset_rule(%s::text)", (name,)).fetchone()
    return row == (True,)


def rules(conn: Connection) -> list[StoredRule]:
    query = "SELECT r.name, r.value, r.source, r.set_by, r.set_at, r.problem FROM upc.rules() AS r"
    with conn.cursor(row_factory=class_row(StoredRule)) as cursor:
        return cursor.execute(query).fetchall()


def in_force(conn: Connection, name: str) -> StoredRule:
    return next(rule for rule in rules(conn) if rule.name == name)


def stored() -> dict[str, StoredRule]:
    """Rules of a database that runs already; PyupcError without one."""
    dsn = running_dsn()
    try:
        if conninfo_to_dict(dsn).get("connect_timeout") is None:
            dsn = make_conninfo(dsn, connect_timeout=_PATIENCE_SECONDS)
    except psycopg.ProgrammingError:
        # libpq's message quotes the invalid part, which may be a password.
        raise UsageProblem(
            "invalid connection string", "check dsn: pyupc config show dsn"
        ) from None
    try:
        with connect(dsn, application_name="pyupc config show") as conn:
            schema.check(conn)
            return {rule.name: rule for rule in rules(conn)}
    except psycopg.Error as error:
        raise translate(error) from error
