"""Schema that this program needs, and the check that a database has it."""

from __future__ import annotations

import hashlib
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from pyupc.errors import SchemaOutOfDate
from pyupc.shipped import folder

HEAD = "0042"

DATA_SCHEMA = "upc_data"
CODE_SCHEMAS = ("upc", "analytics")

UPGRADE_HINT = "run: pyupc db upgrade"
UPDATE_HINT = "update pyupc: pip install --upgrade pyupc"

_MARKER = re.compile(r"\[pyupc ([0-9a-z]+)(?: ([0-9a-f]{64}))?\]$")


def migrations_folder() -> Path:
    return folder("migrations")


def sql_files() -> list[Path]:
    """Files of the engine in loading order: by folder, then by name."""
    root = folder("sql")
    return sorted(root.rglob("*.sql"), key=lambda file: file.relative_to(root).as_posix())


def code_hash() -> str:
    """Hash of all files in `sql/` and of the revision they are written for."""
    digest = hashlib.sha256(HEAD.encode())
    for file in sql_files():
        digest.update(b"\0")
        digest.update(file.read_bytes())
    return digest.hexdigest()


def code_marker() -> str:
    """Comment on the schemas that pyupc may drop and rebuild."""
    return f"Rebuilt by every pyupc upgrade from its sql folder [pyupc {HEAD} {code_hash()}]"


def data_marker() -> str:
    """Comment on the schema of the tables."""
    return "Tables of pyupc, versioned by its migrations [pyupc data]"


def is_marked(comment: str | None) -> bool:
    return comment is not None and _MARKER.search(comment) is not None


def read_hash(comment: str | None) -> str | None:
    """Hash in a code marker."""
    found = _MARKER.search(comment or "")
    return found.group(2) if found else None


def _read(conn: psycopg.Connection[Any], query: str) -> tuple[Any, ...] | None:
    """Read one row; None if there is none, or no such table or schema."""
    idle = conn.info.transaction_status == TransactionStatus.IDLE
    guard = nullcontext() if conn.autocommit and idle else conn.transaction()
    try:
        with guard, conn.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
            return cursor.execute(query).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return None


def revision(conn: psycopg.Connection[Any]) -> str | None:
    """Revision of the database's tables; None before the first upgrade."""
    row = _read(conn, "SELECT version_num FROM upc_data.alembic_version")
    return None if row is None else str(row[0])


def code_identity(conn: psycopg.Connection[Any]) -> int:
    """Number that changes with every rebuild of the functions; 0 without any."""
    row = _read(conn, "SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'upc'")
    return 0 if row is None else int(row[0])


def mismatch(found: str | None) -> SchemaOutOfDate | None:
    """Problem with tables of this revision; None if it is this program's."""
    if found is None:
        return SchemaOutOfDate("the database has no pyupc schema", UPGRADE_HINT)
    if found > HEAD:
        return SchemaOutOfDate(
            f"the database's schema is at revision {found}, newer than this pyupc's {HEAD}",
            UPDATE_HINT,
        )
    if found < HEAD:
        return SchemaOutOfDate(
            f"the database's schema is at revision {found}, this pyupc needs {HEAD}", UPGRADE_HINT
        )
    return None


def check(conn: psycopg.Connection[Any], *, code: bool = True) -> None:
    """Raise SchemaOutOfDate unless tables and functions are this program's.

    With `code=False` only the tables have to be.
    """
    row = _read(
        conn,
        """
        SELECT
            v.version_num,
            (SELECT pg_catalog.obj_description(n.oid, 'pg_namespace')
             FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'upc'),
            (SELECT pg_catalog.obj_description(n.oid, 'pg_namespace')
             FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'analytics')
        FROM upc_data.alembic_version AS v
        """,
    )
    found, *comments = row or (None,)
    if (problem := mismatch(found)) is not None:
        raise problem
    hashes = {read_hash(comment) for comment in comments}
    if None in hashes:
        raise SchemaOutOfDate("the database has pyupc's tables, but no functions", UPGRADE_HINT)
    if code and hashes != {code_hash()}:
        raise SchemaOutOfDate("the database's functions are of another pyupc", UPGRADE_HINT)
