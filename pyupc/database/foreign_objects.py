"""Obstacles to dropping the schemas upc and analytics: objects that pyupc did not create."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import scalar_row

from pyupc.database.schema import CODE_SCHEMAS, DATA_SCHEMA, is_marked
from pyupc.errors import PyupcError

NAMED_AT_MOST = 10

# The same walk as in upc.engine_object_candidates. An upgrade cannot call that one: the schema that
# it is about to drop may be damaged or older.
WALK = """
    WITH RECURSIVE part (classid, objid, objsubid) AS (
        SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid, n.oid, 0
        FROM pg_catalog.pg_namespace AS n
        WHERE n.nspname IN ('upc', 'analytics')

        UNION

        SELECT next.classid, next.objid, next.objsubid
        FROM part
        CROSS JOIN LATERAL (
            SELECT d.classid, d.objid, d.objsubid
            FROM pg_catalog.pg_depend AS d
            WHERE d.refclassid = part.classid
                AND d.refobjid = part.objid
                AND part.objsubid IN (0, d.refobjsubid)

            UNION ALL

            SELECT d.refclassid, d.refobjid, d.refobjsubid
            FROM pg_catalog.pg_depend AS d
            WHERE d.classid = part.classid
                AND d.objid = part.objid
                AND d.deptype = 'i'
        ) AS next
    )
"""

STRANGERS = f"""
    {WALK}
    SELECT DISTINCT object.type || ' ' || object.identity
    FROM part
    CROSS JOIN LATERAL
        pg_catalog.pg_identify_object(part.classid, part.objid, part.objsubid) AS object
    WHERE part.classid <> 'pg_catalog.pg_namespace'::pg_catalog.regclass
        AND object.identity IS NOT NULL
        AND object.schema IS DISTINCT FROM 'pg_toast'
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_depend AS d
            WHERE d.classid = part.classid AND d.objid = part.objid AND d.deptype = 'i'
        )
        AND NOT EXISTS (
            SELECT FROM upc_data.engine_object AS recorded
            WHERE recorded.identity = object.type || ' ' || object.identity
        )
        -- Default privileges are carried over.
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_default_acl AS a
            WHERE part.classid = 'pg_catalog.pg_default_acl'::pg_catalog.regclass
                AND a.oid = part.objid
                AND pg_catalog.pg_has_role(a.defaclrole, 'USAGE')
        )
    ORDER BY 1
"""

# Objects of an upgrade that no longer exist: dropped by hand, or not restored.
LOST = f"""
    {WALK},
    found AS MATERIALIZED (
        SELECT object.type || ' ' || object.identity AS identity
        FROM part
        CROSS JOIN LATERAL
            pg_catalog.pg_identify_object(part.classid, part.objid, part.objsubid) AS object
    )
    SELECT recorded.identity
    FROM upc_data.engine_object AS recorded
    WHERE NOT EXISTS (SELECT FROM found WHERE found.identity = recorded.identity)
    ORDER BY 1
"""

# Alembic's table is dropped with the schema, after our last table. Default privileges are dropped
# with their schema.
LEFTOVERS = """
    SELECT object.type || ' ' || object.identity
    FROM pg_catalog.pg_depend AS d
    CROSS JOIN LATERAL
        pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) AS object
    WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
        AND d.refobjid = (
            SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'upc_data'
        )
        AND object.identity IS DISTINCT FROM 'upc_data.alembic_version'
        AND d.classid <> 'pg_catalog.pg_default_acl'::pg_catalog.regclass
    ORDER BY 1
"""

COMMENTS = """
    SELECT n.nspname, pg_catalog.obj_description(n.oid, 'pg_namespace')
    FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname IN ('upc_data', 'upc', 'analytics')
"""


def schema_comments(conn: psycopg.Connection[Any]) -> dict[str, str | None]:
    """Comments of the three schemas, where they exist."""
    with conn.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        return dict(cursor.execute(COMMENTS).fetchall())


def refuse_foreign_schemas(comments: dict[str, str | None]) -> None:
    """Refuse a schema with one of our names but without our marker: it is not ours."""
    for schema in (DATA_SCHEMA, *CODE_SCHEMAS):
        if schema in comments and not is_marked(comments[schema]):
            raise PyupcError(
                f'the database has a schema "{schema}" that pyupc did not create',
                f"rename it: ALTER SCHEMA {schema} RENAME TO {schema}_old;",
            )


def lost(conn: psycopg.Connection[Any]) -> list[str]:
    """Recorded objects of ours that no longer exist."""
    return _names(conn, LOST)


def refuse_strangers(conn: psycopg.Connection[Any]) -> None:
    """Refuse to drop our schemas while objects of others would go with them."""
    strangers = _names(conn, STRANGERS)
    if strangers:
        raise PyupcError(
            f"objects that pyupc did not create are in its schemas or depend on them: "
            f"{_enumerate(strangers)}",
            "move or drop them, upgrade, then create them again; pyupc rebuilds the schemas upc "
            "and analytics with every upgrade",
        )


def refuse_leftovers(conn: psycopg.Connection[Any]) -> None:
    """Refuse to drop the schema of the tables while it holds objects of others."""
    leftovers = _names(conn, LEFTOVERS)
    if leftovers:
        raise PyupcError(
            f'schema "{DATA_SCHEMA}" holds objects that pyupc did not create: '
            f"{_enumerate(leftovers)}",
            "move them: ALTER TABLE ... SET SCHEMA public;",
        )


@contextmanager
def dependents_named() -> Iterator[None]:
    """Name a user's views on a table of ours when a migration fails to drop it."""
    try:
        yield
    except psycopg.errors.DependentObjectsStillExist as error:
        names = (error.diag.message_detail or "").splitlines()
        raise PyupcError(
            f"objects that pyupc did not create depend on its tables: {_enumerate(names)}",
            "drop them, then try again",
        ) from error


def _names(conn: psycopg.Connection[Any], query: str) -> list[str]:
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(query).fetchall()


def _enumerate(names: list[str]) -> str:
    more = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
