"""Checks of the server: version, encoding, latency, connections, settings, schema, disk."""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import median
from typing import Any

import psycopg

from pyupc.database import schema
from pyupc.database.encoding import HINT, NEEDED, TOLERATED, of
from pyupc.database.rules import rules as stored_rules
from pyupc.health.doctor.finding import Finding, State

Connection = psycopg.Connection[tuple[Any, ...]]

OLDEST, NEWEST = 15, 18

SLOW_SECONDS = 0.1
# A tick each second needs a round trip each second.
TOO_SLOW_SECONDS = 0.5
SLOW_WRITE_SECONDS = 1.0
NEARLY_ALL = 0.8

# Settings that lose data, or let tables grow without end, when off.
_HARMFUL = {
    "fsync": "a power failure may destroy the database",
    "full_page_writes": "a power failure may destroy the database",
    "synchronous_commit": "a power failure loses the last acknowledged prices, ticks and trades",
    "autovacuum": "tables grow without end",
}

# Tables without a primary key, as an incomplete restore leaves them; writes to them fail.
_WITHOUT_KEYS = """
    SELECT CASE WHEN count(*) > 0 THEN format('%s tables, %s first', count(*), min(c.relname)) END
    FROM pg_class AS c
    WHERE c.relnamespace = to_regnamespace('upc_data') AND c.relkind IN ('r', 'p')
        AND NOT EXISTS (
            SELECT FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype = 'p'
        )
"""


def version(conn: Connection) -> Finding:
    number = conn.info.server_version
    text = f"PostgreSQL {conn.info.parameter_status('server_version')}"
    if _one(conn, "SELECT pg_is_in_recovery()"):
        return Finding(
            "server",
            "fail",
            f"{text} is a standby: it accepts no writes",
            "set PYUPC_DSN to the primary",
        )
    if number // 10_000 < OLDEST:
        return Finding("server", "fail", text, f"use PostgreSQL {OLDEST} to {NEWEST}")
    if number // 10_000 > NEWEST:
        return Finding(
            "server",
            "warn",
            f"{text} is newer than any tested version",
            f"use PostgreSQL {OLDEST} to {NEWEST}",
        )
    where = conn.info.host or "local"
    return Finding("server", "ok", f"{text}, database {conn.info.dbname} at {where}")


def encoding(conn: Connection) -> Finding:
    return judge_encoding(of(conn))


def judge_encoding(found: str) -> Finding:
    if found == NEEDED:
        return Finding("encoding", "ok", found)
    state: State = "warn" if found == TOLERATED else "fail"
    seen = f"{found} accepts any bytes" if found == TOLERATED else f"{found}: it has to be UTF-8"
    return Finding("encoding", state, seen, HINT)


def latency(conn: Connection) -> Finding:
    conn.execute("SELECT 1")
    taken = []
    for _ in range(9):
        began = time.perf_counter()
        conn.execute("SELECT 1")
        taken.append(time.perf_counter() - began)
    return judge_latency(median(taken))


def judge_latency(seconds: float) -> Finding:
    seen = f"{1000 * seconds:.2f} ms per round trip, median of 9"
    if seconds <= SLOW_SECONDS:
        return Finding("latency", "ok", seen)
    state: State = "warn" if seconds <= TOO_SLOW_SECONDS else "fail"
    return Finding("latency", state, seen, "run pyupc closer to the server")


def connections(conn: Connection) -> Finding:
    used = _one(conn, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
    usable = _one(
        conn,
        "SELECT sum(CASE name WHEN 'max_connections' THEN setting::integer"
        " ELSE -setting::integer END) FROM pg_settings WHERE name IN"
        " ('max_connections', 'superuser_reserved_connections', 'reserved_connections')",
    )
    return judge_connections(int(used), int(usable))


def judge_connections(used: int, usable: int) -> Finding:
    seen = f"{used} of {usable} connections in use"
    if used < NEARLY_ALL * usable:
        return Finding("connections", "ok", seen)
    state: State = "warn" if used < usable else "fail"
    return Finding("connections", state, seen, "close some, or raise max_connections")


def settings(conn: Connection) -> Finding:
    rows = conn.execute(
        "SELECT name, setting FROM pg_settings WHERE name = ANY (%s)", (list(_HARMFUL),)
    ).fetchall()
    return judge_settings(dict(rows))


def judge_settings(found: Mapping[str, str]) -> Finding:
    harmful = [name for name in _HARMFUL if found.get(name) == "off"]
    if not harmful:
        return Finding("settings", "ok", ", ".join(f"{name} {found[name]}" for name in _HARMFUL))
    seen = "; ".join(f"{name} is off: {_HARMFUL[name]}" for name in harmful)
    repair = "; ".join(f"ALTER SYSTEM SET {name} = on" for name in harmful)
    return Finding("settings", "warn", seen, f"{repair}; SELECT pg_reload_conf()")


def tables(conn: Connection) -> Finding:
    try:
        schema.check(conn)
    except psycopg.errors.InsufficientPrivilege:
        return Finding(
            "schema", "warn", "this role may not read the revision", "repair the rights first"
        )
    without_keys = _one(conn, _WITHOUT_KEYS)
    if without_keys:
        seen = f"without primary keys: {without_keys}"
        return Finding("schema", "fail", seen, "restore the whole backup, with its indexes")
    return Finding("schema", "ok", f"revision {schema.HEAD}, functions of this pyupc")


def rules(conn: Connection) -> Finding:
    """Check stored rules and settings: with an invalid one every tick is refused."""
    found = [rule for rule in stored_rules(conn) if rule.problem]
    if found:
        seen = "; ".join(str(rule.problem) for rule in found)
        repairs = [f"pyupc config unset {rule.name}" for rule in found if rule.set_by is not None]
        repairs += [
            f"ALTER DATABASE|ROLE … RESET upc.{rule.name}"
            for rule in found
            if rule.source == "setting"
        ]
        return Finding("rules", "fail", seen, "; ".join(repairs))
    count = _one(conn, "SELECT count(*) FROM upc_data.rule")
    return Finding("rules", "ok", f"{count} set in upc_data.rule")


def disk(conn: Connection) -> Finding:
    """Commit a write, which replaces the one before."""
    began = time.monotonic()
    conn.execute("SELECT upc.prove_write()")
    seconds = time.monotonic() - began
    seen = f"32 kB written and committed in {1000 * seconds:.0f} ms"
    if seconds > SLOW_WRITE_SECONDS:
        return Finding("disk", "warn", seen, "find what keeps the server's disk busy")
    return Finding("disk", "ok", seen)


def _one(conn: Connection, query: str) -> Any:
    row = conn.execute(query.encode()).fetchone()
    return None if row is None else row[0]
