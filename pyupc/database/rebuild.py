"""Rebuild of functions and views from sql/, inside the transaction of an upgrade."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import scalar_row

from pyupc.database import encoding, foreign_objects, rights, search_path
from pyupc.database.schema import (
    CODE_SCHEMAS,
    DATA_SCHEMA,
    code_hash,
    code_marker,
    data_marker,
    read_hash,
    sql_files,
)

# Advisory lock of all schema changes; advisory locks are per database.
UPGRADE_LOCK = 0x7079757063  # "pyupc"

# Wait for the lock of a view, s. Views are locked one after another, in another order than a reader
# locks them. Giving up on one and releasing all well within PostgreSQL's deadlock_timeout avoids a
# deadlock whose victim may be the reader.
MOMENT = 0.1

# Materialized views without their index, as an incomplete restore leaves them. Without rows they
# are as an upgrade leaves them.
_VIEWS_WITHOUT_INDEX = """
    SELECT count(*)
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'upc' AND c.relkind = 'm' AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid AND i.indisunique
    )
"""

CREATE_DATA_SCHEMA = f"""
CREATE SCHEMA {DATA_SCHEMA};
COMMENT ON SCHEMA {DATA_SCHEMA} IS '{data_marker()}';
"""


def begin(conn: psycopg.Connection[Any], lock_timeout: float) -> None:
    """Open the transaction: wait for other upgrades without limit, for other locks briefly.

    A session that is idle in a transaction blocks the upgrade, and every tick would queue behind
    it; a short lock_timeout prevents that.
    """
    conn.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    conn.execute(
        """
        SELECT
            pg_catalog.set_config('lock_timeout', '0', true),
            pg_catalog.set_config('statement_timeout', '0', true),
            pg_catalog.set_config('client_min_messages', 'warning', true),
            pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)
        """
    )
    conn.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [UPGRADE_LOCK])
    _set_lock_timeout(conn, lock_timeout)


def ensure_data_schema(conn: psycopg.Connection[Any]) -> None:
    """Refuse foreign schemas and other encodings, then create the schema of Alembic's table."""
    comments = foreign_objects.schema_comments(conn)
    foreign_objects.refuse_foreign_schemas(comments)
    if DATA_SCHEMA not in comments:
        encoding.judge(conn)
        conn.execute(CREATE_DATA_SCHEMA)


def drop_data_schema(conn: psycopg.Connection[Any]) -> None:
    """Drop the schema after a downgrade to base, when only Alembic's empty table is left."""
    foreign_objects.refuse_leftovers(conn)
    rights.give_back(conn)
    conn.execute("DROP TABLE upc_data.alembic_version")
    conn.execute("DROP SCHEMA upc_data")
    search_path.remove(conn)


def is_current(conn: psycopg.Connection[Any]) -> bool:
    """True if both schemas are complete, readable, and built from this text for these tables."""
    comments = foreign_objects.schema_comments(conn)
    if any(read_hash(comments.get(schema)) != code_hash() for schema in CODE_SCHEMAS):
        return False
    with conn.cursor(row_factory=scalar_row) as cursor:
        if cursor.execute(_VIEWS_WITHOUT_INDEX).fetchone():
            return False
    return not foreign_objects.lost(conn)


def drop_code(
    conn: psycopg.Connection[Any], lock_timeout: float, *, has_steps: bool = False
) -> None:
    """Drop the schemas upc and analytics, unless objects of others would go with them.

    `has_steps`: migrations of the tables follow in this transaction.
    """
    comments = foreign_objects.schema_comments(conn)
    foreign_objects.refuse_foreign_schemas(comments)
    present = [schema for schema in CODE_SCHEMAS if schema in comments]
    if not present:
        return
    deadline = time.monotonic() + lock_timeout
    while True:
        try:
            with conn.transaction():
                foreign_objects.refuse_strangers(conn)
                _set_lock_timeout(conn, min(lock_timeout, MOMENT))
                _lock_tables(conn, present, has_steps)
                conn.execute(rights.KEEP_DEFAULTS)
                conn.execute(f"DROP SCHEMA {', '.join(present)} CASCADE")
            break
        except psycopg.errors.LockNotAvailable:
            if time.monotonic() > deadline:
                raise
        time.sleep(MOMENT)
    _set_lock_timeout(conn, lock_timeout)
    conn.execute("DELETE FROM upc_data.engine_object")


def _lock_tables(conn: psycopg.Connection[Any], schemas: list[str], has_steps: bool) -> None:
    """Lock tables that migrations may change, or that lose triggers, before any view.

    A tick that has read a table waits for a view afterwards: whoever took the view first would wait
    for the table in a circle.
    """
    query = (
        "SELECT c.oid::regclass::text FROM pg_catalog.pg_class AS c"
        " WHERE c.relnamespace = 'upc_data'::regnamespace AND c.relkind IN ('r', 'p')"
        " AND NOT c.relispartition AND (%s OR EXISTS ("
        " SELECT FROM pg_catalog.pg_trigger AS t"
        " JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace"
        " WHERE t.tgrelid = c.oid AND n.nspname = ANY (%s) AND NOT t.tgisinternal"
        ")) ORDER BY 1 DESC"
    )
    with conn.cursor(row_factory=scalar_row) as cursor:
        for table in cursor.execute(query, (has_steps, schemas)).fetchall():
            conn.execute(f"LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE".encode())


def _set_lock_timeout(conn: psycopg.Connection[Any], seconds: float) -> None:
    milliseconds = f"{seconds * 1000:.0f}ms"
    conn.execute("SELECT pg_catalog.set_config('lock_timeout', %s, true)", [milliseconds])


def build_code(conn: psycopg.Connection[Any]) -> None:
    """Create the schemas upc and analytics from the files in sql/."""
    for script in code_scripts():
        script.run(conn.execute)


@dataclass(frozen=True)
class Script:
    """SQL text with the name of its file, which PostgreSQL's error messages lack."""

    name: str
    text: str

    def run(self, execute: Callable[[str], Any]) -> None:
        try:
            execute(self.text)
        except psycopg.Error as error:
            error.add_note(f"in {self.name}")
            raise


def code_scripts() -> list[Script]:
    """Scripts that build the two schemas, in order."""
    create = "".join(
        f"CREATE SCHEMA {schema};\nCOMMENT ON SCHEMA {schema} IS '{code_marker()}';\n"
        for schema in CODE_SCHEMAS
    )
    return [
        Script("schemas", create),
        Script("default privileges", rights.BRING_DEFAULTS),
        *(Script(file.name, file.read_text("utf-8")) for file in sql_files()),
        Script("record", "SELECT upc.record_engine_objects()"),
    ]
