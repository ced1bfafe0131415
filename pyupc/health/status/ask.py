"""Status of the ticks as the database reports it, after a test write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from pyupc.database import schema
from pyupc.database.connect import connect, running_dsn
from pyupc.errors import DatabaseUnreachable
from pyupc.runtime.connection import no_answer, watchful
from pyupc.runtime.stop import Hanging, limited
from pyupc.sql_errors import translate
from pyupc.tick.aging_rules import Rules

# Limit for everything: a health check has a limit of its own.
_PATIENCE_SECONDS = 2.5
_STATEMENT_SECONDS = 1.0

COLORS = ("green", "yellow", "red")

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Status:
    """Status of all symbols.

    `state` is green, yellow or red; `symbols` has a row per symbol, as upc.status returns it;
    `rules` are those by which documents age.
    """

    timestamp: str
    state: str
    problems: tuple[str, ...]
    symbols: tuple[dict[str, Any], ...]
    rules: Rules

    @property
    def is_green(self) -> bool:
        return self.state == "green"

    def after(self, state: str, problems: Sequence[str]) -> Status:
        """Add another state and its problems: the worse state wins, its problems come first."""
        worse = max(self.state, state, key=COLORS.index)
        return replace(self, state=worse, problems=(*problems, *self.problems))

    def as_json(self) -> dict[str, Any]:
        return {
            "timestamp": self.timestamp,
            "state": self.state,
            "problems": list(self.problems),
            "symbols": list(self.symbols),
        }


def ask(symbols: Sequence[str]) -> Status:
    """Ask for the status of these symbols, or of those that should tick.

    Ends within a few seconds, whatever the server does; works in the main thread only. Raises
    DatabaseUnreachable, SchemaOutOfDate, or PyupcError for any other refusal.
    """
    try:
        with limited(_PATIENCE_SECONDS), _connected() as conn:
            conn.execute(
                "SELECT pg_catalog.set_config('statement_timeout', %s, false),"
                " pg_catalog.set_config('TimeZone', 'UTC', false)",
                (f"{_STATEMENT_SECONDS}s",),
            )
            schema.check(conn)
            problem = _problem_of_writing(conn)
            status = _read(conn, symbols)
    except Hanging as error:
        raise no_answer() from error
    except psycopg.Error as error:
        raise translate(error) from error
    return status if problem is None else status.after("red", [problem])


def _connected() -> Connection:
    dsn = watchful(running_dsn(), _STATEMENT_SECONDS)
    return connect(dsn, application_name="pyupc status")


def _problem_of_writing(conn: Connection) -> str | None:
    """Commit a test write: a server with a full disk still answers queries for hours."""
    try:
        conn.execute("SELECT upc.prove_write()")
    except psycopg.Error as error:
        problem = translate(error)
        if conn.broken or isinstance(problem, DatabaseUnreachable):
            raise problem from error
        return f"the database cannot write: {problem.message}"
    return None


def _read(conn: Connection, symbols: Sequence[str]) -> Status:
    query = "SELECT upc.status_document(symbols => %s::text[]), upc.document_rules()"
    row = conn.execute(query, (list(symbols) or None,)).fetchone()
    assert row is not None
    document = json.loads(row[0])
    return Status(
        document["timestamp"],
        document["state"],
        tuple(document["problems"]),
        tuple(document["symbols"]),
        Rules.read(row[1]),
    )
