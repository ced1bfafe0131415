"""The database's side of the tick: one statement, and what its errors mean for the loop."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyupc.database import schema
from pyupc.database.connect import connect
from pyupc.database.errors import translate
from pyupc.errors import DatabaseUnreachable, PyupcError
from pyupc.tick.stop import Hanging, limited

APPLICATION_NAME = "pyupc tick"

# What a session meets whose functions or tables were rebuilt since it prepared its statements, or
# whose server has become a standby, or that gave way to an upgrade. A new session does not.
OUTDATED = frozenset(
    {"0A000", "25006", "26000", "3F000", "40001", "40P01"}
    | {"42703", "42704", "42883", "42P01", "XX000"}
)

_TICK = """
    SELECT
        t.tick_id, t.state, t.price, t.momentum, t.fingerprint,
        t.live_probabilities, t.strike_table, t.watchlist
    FROM upc.tick(
        symbol => %(symbol)s::text,
        feed => %(feed)s::text,
        holder => %(holder)s::text,
        lease => %(lease)s::interval,
        replay_from => %(replay_from)s::timestamptz,
        elapsed => %(elapsed)s::interval,
        seed => %(seed)s::integer
    ) AS t
"""


class Lost(Exception):
    """There is no longer a connection to the database."""

    def __init__(self, problem: PyupcError) -> None:
        super().__init__(problem.message)
        self.problem = problem


class HeldByAnother(PyupcError):
    """Another process ticks the symbol."""


class Tick(NamedTuple):
    """The row that upc.tick returns."""

    tick_id: int
    state: str
    price: float
    momentum: float | None
    fingerprint: str
    live_probabilities: str
    strike_table: str
    watchlist: str


@dataclass(frozen=True)
class Question:
    """The arguments of upc.tick."""

    symbol: str
    feed: str
    holder: str
    lease: timedelta
    replay_from: datetime | None
    elapsed: timedelta
    seed: int


class Session:
    """One connection. `limit` is how long the server may work on a statement, in seconds."""

    def __init__(self, dsn: str, limit: float) -> None:
        self._dsn = watchful(dsn, limit)
        self._limit = limit
        self._conn: psycopg.Connection[tuple[Any, ...]] | None = None

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
                raise _no_answer() from error
            except psycopg.Error as error:
                raise translate(error) from error

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def symbols(self) -> tuple[str, ...]:
        """Every registered symbol."""
        rows = self._fetch("SELECT s.symbol FROM upc_data.symbol AS s ORDER BY s.symbol")
        return tuple(row[0] for row in rows)

    def unfed(self, symbols: Sequence[str], exchange: str) -> tuple[str, ...]:
        """Those of the symbols that no process feeds from the exchange."""
        query = (
            "SELECT s.symbol FROM unnest(%s::text[]) AS s (symbol)"
            " WHERE NOT upc.is_fed(symbol => s.symbol, exchange => %s::text)"
        )
        return tuple(row[0] for row in self._fetch(query, (list(symbols), exchange)))

    def priced(self, symbols: Sequence[str], exchange: str, since: datetime) -> tuple[str, ...]:
        """Those of the symbols of which the exchange has said a price since then."""
        query = (
            "SELECT s.symbol FROM unnest(%s::text[]) AS s (symbol) WHERE EXISTS ("
            " SELECT FROM upc_data.price AS p WHERE p.symbol = s.symbol"
            " AND p.exchange = %s::text AND p.received_at >= %s::timestamptz)"
        )
        return tuple(row[0] for row in self._fetch(query, (list(symbols), exchange, since)))

    def replay_start(self, symbol: str, at: datetime) -> datetime:
        """Where a replay that begins at `at` begins by default."""
        query = "SELECT upc.replay_start(symbol => %s::text, at => %s::timestamptz)"
        start: datetime = self._fetch(query, (symbol, at))[0][0]
        return start

    def tick(self, question: Question) -> Tick:
        """One tick, committed: the statement is a transaction.

        Raises Lost, HeldByAnother, SchemaOutOfDate, or PyupcError for any other refusal.
        """
        return Tick(*self._fetch(_TICK, vars(question))[0])

    def release(self, symbols: Sequence[str], holder: str) -> None:
        """Give the right to tick back. If that fails it ends by itself a little later."""
        query = "SELECT upc.release_lease(symbol => %s::text, holder => %s::text)"
        if self._conn is not None:
            with suppress(Lost, PyupcError):
                for symbol in symbols:
                    self._fetch(query, (symbol, holder))

    @property
    def _patience(self) -> float:
        """Longer than the server's own limit, which leaves the connection usable."""
        return self._limit + 2

    def _fetch(self, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """All rows; on a session that has become outdated, those of a second attempt on a new one.

        One round trip: the statement is prepared, and there is no BEGIN and COMMIT around it.
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

    def _execute(self, query: str, parameters: Any) -> list[tuple[Any, ...]]:
        if self._conn is None:
            raise psycopg.OperationalError("there is no connection")
        try:
            with limited(self._patience):
                return self._conn.execute(query, parameters, prepare=True).fetchall()
        except Hanging as error:
            self.close()
            raise Lost(_no_answer()) from error

    def _meaning(self, error: psycopg.Error) -> Exception:
        problem = translate(error)
        if error.sqlstate == "UP009":
            return HeldByAnother(problem.message, problem.hint)
        if isinstance(problem, DatabaseUnreachable) or self._conn is None or self._conn.broken:
            return Lost(problem)
        return problem


def _no_answer() -> DatabaseUnreachable:
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
