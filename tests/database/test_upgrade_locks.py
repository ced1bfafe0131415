"""Upgrades beside transactions that have read what a migration alters, or read it afterwards."""

from __future__ import annotations

from threading import Thread

import psycopg
import pytest

from pyupc.database.migrate import downgrade, upgrade
from tests.database.test_symbol_views import make_older
from tests.support.engine import Connection, build, open_db, put, scalar, walk
from tests.support.waiting import until

WAITED_FOR = """
SELECT EXISTS (
    SELECT FROM pg_locks AS l
    WHERE NOT l.granted AND l.relation = to_regclass(%s)
      AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
)
"""


@pytest.mark.parametrize("table", ["upc_data.tick", "upc_data.price", "upc_data.symbol"])
def test_who_has_read_a_table_reads_the_views_while_an_upgrade_waits(
    fresh_db: str, table: str
) -> None:
    """As a tick does. If the upgrade held the views, each would wait for the other."""
    make_older(fresh_db)
    with open_db(fresh_db) as watch, psycopg.connect(fresh_db) as reader:
        reader.execute("SET statement_timeout = '1s'")
        reader.execute(f"SELECT count(*) FROM {table}".encode())
        upgrading = Thread(target=upgrade, args=(fresh_db,))
        upgrading.start()
        try:
            for _ in range(3):
                until(lambda: scalar(watch, WAITED_FOR, table))
                reader.execute("SELECT count(*) FROM upc.fingerprint_curve")
                # The attempt that was seen is over: it had 0.1 s.
                until(lambda: not scalar(watch, WAITED_FOR, table))
        finally:
            reader.rollback()
            upgrading.join()
        assert scalar(watch, "SELECT count(*) FROM upc.fingerprint_curve") == 0


BEFORE = "0012"


def tables(conn: Connection) -> set[str]:
    query = (
        "SELECT c.relname::text FROM pg_class AS c"
        " WHERE c.relnamespace = 'upc_data'::regnamespace AND c.relkind IN ('r', 'p')"
        " AND c.relname NOT IN ('alembic_version', 'engine_object')"
    )
    return {name for (name,) in conn.execute(query).fetchall()}


def counts(conn: Connection, names: set[str]) -> dict[str, int]:
    """Number of rows that the transaction sees in each table."""
    return {name: scalar(conn, f"SELECT count(*) FROM upc_data.{name}") for name in names}


def test_an_older_snapshot_sees_every_row(fresh_db: str) -> None:
    """A tick that has waited for an upgrade may have one. It finds no rows in a rewritten table."""
    with open_db(fresh_db) as conn:
        for symbol, seed in (("BTC", 93), ("ETH", 94)):
            put(conn, symbol, walk(seed, "2026-01-05", 300))
            build(conn, symbol)
    downgrade(fresh_db, BEFORE)
    for move in (upgrade, lambda dsn: downgrade(dsn, BEFORE)):
        with open_db(fresh_db) as conn:
            before = counts(conn, tables(conn))
        assert before["symbol"] == 2
        assert before["candle"] == 600
        with psycopg.connect(fresh_db) as older:
            older.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            older.execute("SELECT 1")
            move(fresh_db)
            with open_db(fresh_db) as conn:
                there = before.keys() & tables(conn)
            assert counts(older, there) == {name: before[name] for name in there}
