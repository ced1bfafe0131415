"""The demo's database on the embedded server: found, or dropped and made anew."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from psycopg import sql

from pyupc import embedded
from pyupc.database.connect import connect
from pyupc.demo.sources import Source
from pyupc.errors import PyupcError

DATABASE = "pyupc_demo"

# Begins the comment on the database, before what its history is made from.
_MARK = "pyupc demo: "

Connection = psycopg.Connection[tuple[Any, ...]]


def open_database(source: Source) -> tuple[str, bool]:
    """The demo's database on the embedded server, and whether it is new.

    One with another history is dropped first, unless it is in use. A database of that
    name that the demo has not made is refused.
    """
    mark = _MARK + json.dumps(source.identity(), sort_keys=True)
    with connect(embedded.database_uri("postgres"), application_name="pyupc demo") as conn:
        row = conn.execute(
            """
            SELECT pg_catalog.shobj_description(d.oid, 'pg_database')
            FROM pg_catalog.pg_database AS d
            WHERE d.datname = %s
            """,
            [DATABASE],
        ).fetchone()
        is_new = row != (mark,)
        if is_new:
            if row is not None:
                _drop(conn, row[0])
            _create(conn, mark)
    return embedded.database_uri(DATABASE), is_new


def _drop(conn: Connection, comment: str | None) -> None:
    if comment is None or not comment.startswith(_MARK):
        raise PyupcError(
            f"there is a database {DATABASE} that is not the demo's",
            "rename or drop it, or set PYUPC_HOME to another folder",
        )
    try:
        conn.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(DATABASE)))
    except psycopg.errors.ObjectInUse as error:
        raise PyupcError(
            "a demo with another history is running, or its database is in use",
            "end it first",
        ) from error


def _create(conn: Connection, mark: str) -> None:
    """Under another name until it is marked, so that an interruption leaves no stranger."""
    names = {"new": sql.Identifier(f"{DATABASE}_new"), "final": sql.Identifier(DATABASE)}
    for statement in (
        sql.SQL("DROP DATABASE IF EXISTS {new}"),
        sql.SQL("CREATE DATABASE {new}"),
        sql.SQL("COMMENT ON DATABASE {new} IS {mark}"),
        sql.SQL("ALTER DATABASE {new} RENAME TO {final}"),
    ):
        conn.execute(statement.format(**names, mark=sql.Literal(mark)))
