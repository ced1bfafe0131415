"""One counted symbol, and others that are copies of all its rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

from psycopg import sql

from pyupc.bench.scratch import Connection, simulate
from pyupc.database.connect import connect
from pyupc.fingerprints.workers import Work, together

ORIGINAL = "BTC"
# Registered by the schema itself.
_SECOND = "ETH"
_STEP = 250
_CONNECTIONS = 2

# Tables by symbol, each after those that it refers to: in the order of their creation. The other
# columns, and which of them are texts.
_TABLES = """
    SELECT c.relname, array_agg(a.attname ORDER BY a.attnum), array_agg(a.is_text ORDER BY a.attnum)
    FROM pg_catalog.pg_class AS c
    CROSS JOIN LATERAL (
        SELECT o.attnum, o.attname, o.atttypid = 'text'::regtype AS is_text
        FROM pg_catalog.pg_attribute AS o
        WHERE o.attrelid = c.oid
          AND o.attnum > 0
          AND NOT o.attisdropped
          AND o.attidentity = ''
          AND o.attgenerated = ''
          AND o.attname <> 'symbol'
    ) AS a
    WHERE c.relnamespace = 'upc_data'::regnamespace
      AND c.relkind IN ('r', 'p')
      AND NOT c.relispartition
      AND c.relname <> 'symbol'
      AND EXISTS (
          SELECT
          FROM pg_catalog.pg_attribute AS s
          WHERE s.attrelid = c.oid AND s.attname = 'symbol' AND NOT s.attisdropped
      )
    GROUP BY c.oid, c.relname
    ORDER BY c.oid
"""


@dataclass(frozen=True)
class Table:
    """A table with a row or more of each symbol."""

    name: str
    columns: tuple[str, ...]
    are_texts: tuple[bool, ...]

    @property
    def copy(self) -> sql.Composed:
        """The rows of `original` as those of `name`; texts that name the one name the other."""
        renamed = sql.SQL(
            "CASE WHEN {0} = %(original)s THEN %(name)s"
            " ELSE regexp_replace({0}, %(prefix)s, %(own_prefix)s) END"
        )
        columns = [sql.Identifier(column) for column in self.columns]
        values = [
            renamed.format(column) if is_text else column
            for column, is_text in zip(columns, self.are_texts, strict=True)
        ]
        return sql.SQL(
            "INSERT INTO upc_data.{table} (symbol, {columns})"
            " SELECT %(name)s, {values} FROM upc_data.{table} WHERE symbol = %(original)s"
        ).format(
            table=sql.Identifier(self.name),
            columns=sql.SQL(", ").join(columns),
            values=sql.SQL(", ").join(values),
        )

    @property
    def delete(self) -> sql.Composed:
        return sql.SQL("DELETE FROM upc_data.{} WHERE symbol = %(name)s").format(
            sql.Identifier(self.name)
        )


def names(count: int) -> list[str]:
    """The original, the second symbol, and S0003, S0004, …"""
    return [ORIGINAL, _SECOND, *(f"S{k:04}" for k in range(3, count + 1))][:count]


def counted_tables(conn: Connection) -> tuple[Table, ...]:
    """Tables that have rows of the original once it is counted."""
    found = []
    for name, columns, are_texts in conn.execute(_TABLES).fetchall():
        table = sql.Identifier(name)
        query = sql.SQL("SELECT EXISTS (SELECT FROM upc_data.{} WHERE symbol = %s)").format(table)
        if conn.execute(query, [ORIGINAL]).fetchone() == (True,):
            found.append(Table(name, tuple(columns), tuple(are_texts)))
    return tuple(found)


def register(conn: Connection, symbols: Sequence[str]) -> int:
    """Those that are not registered yet, a transaction each; returns their number."""
    # A copy of the original has its strikes, too.
    conn.execute(
        "UPDATE upc_data.symbol SET strike_step = %s WHERE symbol IN (%s, %s)",
        [_STEP, ORIGINAL, _SECOND],
    )
    rows = conn.execute("SELECT s.symbol FROM upc_data.symbol AS s").fetchall()
    new = [symbol for symbol in symbols if (symbol,) not in rows]
    for symbol in new:
        conn.execute("SELECT upc.add_symbol(%s, %s)", [symbol, _STEP])
    return len(new)


def copy(
    dsn: str, tables: Sequence[Table], symbols: Sequence[str], reach: Callable[[int, int], None]
) -> None:
    """Give the symbols all rows of the original, on two connections; a transaction each."""
    waiting = list(reversed(symbols))
    lock = threading.Lock()

    def work(conn: Connection, stop: threading.Event) -> None:
        # Nothing is lost with a scratch database.
        conn.execute("SET synchronous_commit = off")
        while not stop.is_set():
            with lock:
                if not waiting:
                    return
                name = waiting.pop()
                reach(len(symbols) - len(waiting), len(symbols))
            _copy_one(conn, tables, name)

    jobs: list[tuple[Connection, Work]] = []
    with ExitStack() as stack:
        for _ in range(_CONNECTIONS):
            jobs.append((stack.enter_context(connect(dsn)), work))
        together(jobs)
    with connect(dsn) as conn:
        for table in tables:
            conn.execute(f"ANALYZE upc_data.{table.name}".encode())
        conn.execute("SELECT upc.refresh_pool()")


def _copy_one(conn: Connection, tables: Sequence[Table], name: str) -> None:
    with conn.transaction():
        for table in tables:
            conn.execute(table.delete, {"name": name})
            conn.execute(
                table.copy,
                {
                    "name": name,
                    "original": ORIGINAL,
                    "prefix": f"^{ORIGINAL.lower()}_",
                    "own_prefix": f"{name.lower()}_",
                },
            )


def add_candles(conn: Connection, symbols: Sequence[str], span: timedelta) -> None:
    """Simulated candles after the last one of each symbol."""
    for symbol in symbols:
        row = conn.execute(
            "SELECT max(c.opened_at) FROM upc_data.candle AS c WHERE c.symbol = %s", [symbol]
        ).fetchone()
        assert row is not None
        since = row[0] + timedelta(minutes=1)
        simulate(conn, symbol, since, since + span)
