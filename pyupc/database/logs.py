"""Logs of prices and ticks around an upgrade: what would keep ticks waiting is done beside it."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import Any

import psycopg

from pyupc.database.connect import connect

logger = logging.getLogger(__name__)

# Size up to which a key is made, or rows are moved, in a moment; as in sql/10_prices.
SMALL_BYTES = 8 * 1024 * 1024

# Wait for sessions that keep a lock, s; attempts to set large logs aside, and the pause after one
# that was in vain, s.
LOCK_SECONDS = 5
ATTEMPTS = 10
PAUSE_SECONDS = 0.5

_INDEX = "tick_symbol_tick_id_ticked_at_idx"

# The log of ticks from before it had partitions, large and without the index of its key to come.
_NEEDS_KEY = """
    SELECT true
    FROM pg_catalog.pg_class AS c
    WHERE c.oid = pg_catalog.to_regclass('upc_data.tick')
        AND c.relkind = 'r'
        AND pg_catalog.pg_table_size(c.oid) > %s
        AND EXISTS (
            SELECT FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attname = 'ticked_at'
        )
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_index AS i
            WHERE i.indexrelid = pg_catalog.to_regclass(%s) AND i.indisvalid
        )
"""

# Logs with a default partition to be set aside.
_UNSETTLED = """
    SELECT true
    FROM (VALUES ('price'), ('tick')) AS l (log)
    WHERE pg_catalog.to_regproc('upc.make_partitions') IS NOT NULL
        AND (
            pg_catalog.to_regclass('upc_data.' || l.log || '_next') IS NOT NULL
            OR pg_catalog.pg_relation_size(
                pg_catalog.to_regclass('upc_data.' || l.log || '_default')
            ) > %s
        )
"""


def prepare_key(dsn: str) -> None:
    """Make the index of the key that the log of ticks gets in its partitions, while ticks go on.

    Where that fails, the upgrade makes it itself, and ticks wait for it.
    """
    with connect(dsn, application_name="pyupc db") as conn:
        if not conn.execute(_NEEDS_KEY, (SMALL_BYTES, f"upc_data.{_INDEX}")).fetchone():
            return
        drop = f"DROP INDEX IF EXISTS upc_data.{_INDEX}"
        try:
            conn.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'".encode())
            conn.execute("SET statement_timeout = 0")
            conn.execute(drop.encode())
            conn.execute(
                f"CREATE UNIQUE INDEX CONCURRENTLY {_INDEX}"
                " ON upc_data.tick (symbol, tick_id, ticked_at)".encode()
            )
        except psycopg.Error as error:
            logger.warning(
                "the key of the ticks is made during the upgrade: %s", _first_line(error)
            )
            with suppress(psycopg.Error):
                conn.execute(drop.encode())


def settle(dsn: str) -> None:
    """Set aside what the logs had before they had partitions of days, step by step.

    Where somebody keeps a lock for too long, `pyupc tick` does it later.
    """
    attempts = ATTEMPTS
    with connect(dsn, application_name="pyupc db") as conn:
        while _is_unsettled(conn):
            try:
                conn.execute("SET statement_timeout = 0")
                row = conn.execute("SELECT upc.make_partitions()").fetchone()
            except psycopg.Error as error:
                logger.warning("the logs have no partitions yet: %s", _first_line(error))
                return
            if row and row[0]:
                continue
            attempts -= 1
            if not attempts:
                return
            time.sleep(PAUSE_SECONDS)


def _is_unsettled(conn: psycopg.Connection[Any]) -> bool:
    return conn.execute(_UNSETTLED, (SMALL_BYTES,)).fetchone() is not None


def _first_line(error: psycopg.Error) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
