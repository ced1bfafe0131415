"""Retries of an upgrade while other sessions hold the locks it needs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg

from pyupc.errors import PyupcError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

# Sessions that hold a lock on a table or view of ours.
_HOLDERS = """
    SELECT DISTINCT activity.pid, activity.application_name, activity.state
    FROM pg_catalog.pg_locks AS held
    JOIN pg_catalog.pg_class AS c ON c.oid = held.relation
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = held.pid
    WHERE held.granted
        AND held.database = (
            SELECT d.oid FROM pg_catalog.pg_database AS d
            WHERE d.datname = pg_catalog.current_database()
        )
        AND n.nspname IN ('upc_data', 'upc', 'analytics')
        AND activity.pid <> pg_catalog.pg_backend_pid()
    ORDER BY activity.pid
"""


@dataclass(frozen=True)
class Patience:
    """Limits of an upgrade, s: by default five attempts of 2 s each, and 7.5 s in between."""

    lock_timeout: float = 2.0
    attempts: int = 5
    first_pause: float = 0.5
    deadline: float = 20.0


def persist(
    attempt: Callable[[], Result],
    patience: Patience,
    connect: Callable[[], psycopg.Connection[Any]],
) -> Result:
    """Call `attempt` until it gets its locks; at the end give up, and name their holders."""
    start = time.monotonic()
    pause = patience.first_pause
    for left in reversed(range(patience.attempts)):
        try:
            return attempt()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            holders = _holders(connect)
            if left == 0 or time.monotonic() + pause - start > patience.deadline:
                raise PyupcError(
                    f"other sessions hold locks on pyupc's tables or views{holders}",
                    "nothing was changed: end their transactions, then try again",
                ) from error
            logger.info("locks are held%s; trying again in %.1f s", holders, pause)
        time.sleep(pause)
        pause *= 2
    raise AssertionError("patience without attempts")


def _holders(connect: Callable[[], psycopg.Connection[Any]]) -> str:
    """Text such as ": pid 4711 (psql, idle in transaction)"; empty if none holds a lock now."""
    with connect() as conn, conn.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        rows = cursor.execute(_HOLDERS).fetchall()
    names = [
        f"pid {pid} ({', '.join(detail for detail in details if detail)})" for pid, *details in rows
    ]
    return ": " + ", ".join(names) if names else ""
