"""The outbox in the database: each function is one call of SQL on an open connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from pyupc.notify.message import Announcement

Connection = psycopg.Connection[tuple[Any, ...]]

CHANNEL = "upc_announcement"
BATCH = 100

_NEXT = """
    SELECT
        n.symbol, n.announcement_id, n.announced_at, n.kind, n.subject, n.message, n.document
    FROM upc.next_announcements(
        subscriber => %s::text, kinds => %s::text[], count => %s::integer
    ) AS n
"""


def is_taken(conn: Connection, subscriber: str) -> bool:
    """Take the subscriber for this session; true if another one has it."""
    query = "SELECT pg_try_advisory_lock(hashtextextended('pyupc notify ' || %s::text, 0))"
    return not _value(conn.execute(query, (subscriber,)))


def subscribe(conn: Connection, subscriber: str, *, from_start: bool = False) -> None:
    """A new subscriber begins at now, or before all; one that is known, where it was.

    A symbol that is new to a known one gets a cursor by it too.
    """
    conn.execute(
        "SELECT upc.subscribe(subscriber => %s::text, is_from_start => %s::boolean)",
        (subscriber, from_start),
        prepare=True,
    )


def listen(conn: Connection) -> None:
    conn.execute(f"LISTEN {CHANNEL}")


def waiting(conn: Connection, subscriber: str, kinds: Sequence[str]) -> list[Announcement]:
    """A batch of what the subscriber has not acknowledged, the oldest of each symbol first."""
    rows = conn.execute(_NEXT, (subscriber, list(kinds), BATCH), prepare=True).fetchall()
    return [Announcement(*row) for row in rows]


def acknowledge(conn: Connection, subscriber: str, announcement: Announcement) -> None:
    conn.execute(
        "SELECT upc.acknowledge("
        " subscriber => %s::text, symbol => %s::text, announcement_id => %s::bigint)",
        (subscriber, announcement.symbol, announcement.announcement_id),
        prepare=True,
    )


def announce_silence(conn: Connection) -> None:
    """A tick that is dead announces nothing: this does, once for each outage."""
    conn.execute("SELECT FROM upc.announce_silence()", prepare=True)


def _value(cursor: psycopg.Cursor[tuple[Any, ...]]) -> Any:
    row = cursor.fetchone()
    return None if row is None else row[0]
