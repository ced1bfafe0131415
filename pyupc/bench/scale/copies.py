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

# Tables by symbol, each after those that it refers to: in the order of their creation.
_TABLES = """
    SELECT
        c.relname,
        array_agg(a.attname ORDER BY a.attnum)
            FILTER (WHERE a.attname <> 'symbol' AND a.attidentity = '' AND a.attgenerated = '')
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'upc_data'::regnamespace
      AND c.relkind IN ('r', 'p')
      AND NOT c.relispartition
      AND c.relname <> 'symbol'
    GROUP BY c.oid, c.relname
    HAVING bool_or(a.attname = 'symbol')
    ORDER BY c.oid
"""


@dataclass(frozen=True)
class Table:
    name: str
    columns: tuple[str, ...]

    @property
    def copy(self) -> sql.Composed:
        columns = sql.SQL(", ").join(map(sql.Identifier, self.columns))
        return sql.SQL(
            "INSERT INTO upc_data.{table} (symbol, {columns})"
            " SELECT %(name)s, {columns} FROM upc_data.{table} WHERE symbol = %(original)s"
        ).format(table=sql.Identifier(self.name), columns=columns)

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
    for name, columns in conn.execute(_TABLES).fetchall():
        table = sql.Identifier(name)
        query = sql.SQL("SELECT EXISTS (SELECT FROM upc_data.{} WHERE symbol = %s)").format(table)
        if conn.execute(query, [ORIGINAL]).fetchone() == (True,):
            found.append(Table(name, tuple(columns)))
    return tuple(found)


def register(conn: Connection, symbols: Sequence[str]) -> int:
    """Those that are not registered yet, a transaction each; returns their number."""
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
        conn.execute("SELECT upc.refresh_fingerprints()")


def _copy_one(conn: Connection, tables: Sequence[Table], name: str) -> None:
    with conn.transaction():
        for table in tables:
            conn.execute(table.delete, {"name": name})
            conn.execute(table.copy, {"name": name, "original": ORIGINAL})
        for change in ("candle_change", "volatility_change", "fit_change"):
            # Nothing of a copy waits to be counted.
            conn.execute(f"DELETE FROM upc_data.{change} WHERE symbol = %s".encode(), [name])


def add_candles(conn: Connection, symbols: Sequence[str], span: timedelta) -> None:
    """Simulated candles after the last one of each symbol."""
    for symbol in symbols:
        row = conn.execute(
            "SELECT max(c.opened_at) FROM upc_data.candle AS c WHERE c.symbol = %s", [symbol]
        ).fetchone()
        assert row is not None
        since = row[0] + timedelta(minutes=1)
        simulate(conn, symbol, since, since + span)
