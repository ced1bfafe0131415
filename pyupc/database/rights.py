"""Rights of PUBLIC and of the two roles, after an upgrade and after the last downgrade."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

logger = logging.getLogger(__name__)

SET_UP = "SELECT upc.set_up_rights()"

# Grants to PUBLIC the rights that upc.revoke_public_rights noted in the comment on upc_data, and no
# others: a superuser runs this, and the owner of the schema can write any comment. lo_import, which
# reads the server's files, is not granted to PUBLIC by default.
GIVE_BACK = """
DO $do$
DECLARE
    v_taken text[] := pg_catalog.string_to_array(
        (
            SELECT pg_catalog.substring(
                pg_catalog.obj_description(n.oid, 'pg_namespace'),
                '\\. Taken from PUBLIC: (.*) \\[pyupc data\\]$'
            )
            FROM pg_catalog.pg_namespace AS n
            WHERE n.nspname = 'upc_data'
        ),
        '; '
    );
    v_right record;
BEGIN
    FOR v_right IN
        SELECT o.privilege, o.object
        FROM (
            SELECT
                p.privilege, p.privilege || ' ON DATABASE', d.datdba,
                pg_catalog.format('DATABASE %I', d.datname)
            FROM pg_catalog.pg_database AS d
            CROSS JOIN (VALUES ('TEMPORARY'), ('CREATE')) AS p (privilege)
            WHERE d.datname = pg_catalog.current_database()

            UNION ALL

            SELECT 'CREATE', 'CREATE ON SCHEMA public', n.nspowner, 'SCHEMA public'
            FROM pg_catalog.pg_namespace AS n
            WHERE n.nspname = 'public'

            UNION ALL

            SELECT
                'EXECUTE', p.proname, p.proowner,
                'FUNCTION ' || p.oid::pg_catalog.regprocedure
            FROM pg_catalog.pg_proc AS p
            WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
                AND p.proname IN (
                    'lo_creat', 'lo_create', 'lo_from_bytea', 'lo_put',
                    'lo_truncate', 'lo_truncate64', 'lo_unlink', 'lowrite'
                )
        ) AS o (privilege, note, owner, object)
        WHERE o.note = ANY (v_taken)
            AND pg_catalog.pg_has_role(o.owner, 'USAGE')
    LOOP
        EXECUTE pg_catalog.format('GRANT %s ON %s TO PUBLIC', v_right.privilege, v_right.object);
    END LOOP;

    -- Revoke what upc.set_up_rights() granted outside our schemas, so that the role can be dropped.
    IF EXISTS (
        SELECT
        FROM pg_catalog.pg_database AS d
        CROSS JOIN LATERAL pg_catalog.aclexplode(d.datacl) AS e
        WHERE d.datname = pg_catalog.current_database()
            AND pg_catalog.pg_has_role(d.datdba, 'USAGE')
            AND e.grantee = pg_catalog.to_regrole('upc_operator')
            AND e.privilege_type = 'TEMPORARY'
    ) THEN
        EXECUTE pg_catalog.format(
            'REVOKE TEMPORARY ON DATABASE %I FROM upc_operator', pg_catalog.current_database());
    END IF;
END;
$do$
"""

# Store default privileges of the dropped schemas as statements, and run them after the rebuild. A
# setting of the transaction holds them, since printed SQL has no other storage.
KEEP_DEFAULTS = """
SELECT pg_catalog.set_config('upc.kept_default_privileges', coalesce(
    (
        SELECT pg_catalog.string_agg(
            pg_catalog.format(
                'ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT %s ON %s TO %s%s;',
                pg_catalog.pg_get_userbyid(a.defaclrole),
                n.nspname,
                e.privilege_type,
                CASE a.defaclobjtype
                    WHEN 'r' THEN 'TABLES'
                    WHEN 'S' THEN 'SEQUENCES'
                    WHEN 'f' THEN 'FUNCTIONS'
                    WHEN 'T' THEN 'TYPES'
                END,
                CASE e.grantee
                    WHEN 0 THEN 'PUBLIC'
                    ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(e.grantee))
                END,
                CASE WHEN e.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
            ),
            ''
        )
        FROM pg_catalog.pg_default_acl AS a
        JOIN pg_catalog.pg_namespace AS n ON n.oid = a.defaclnamespace
        CROSS JOIN LATERAL pg_catalog.aclexplode(a.defaclacl) AS e
        WHERE n.nspname IN ('upc', 'analytics')
            AND pg_catalog.pg_has_role(a.defaclrole, 'USAGE')
    ),
    ''
), true)
"""

BRING_DEFAULTS = """
DO $do$
BEGIN
    EXECUTE coalesce(pg_catalog.current_setting('upc.kept_default_privileges', true), '');
    PERFORM pg_catalog.set_config('upc.kept_default_privileges', '', true);
END;
$do$
"""


def set_up(conn: psycopg.Connection[Any]) -> None:
    """Set up roles and rights; log a warning if this role may not do all of it."""
    try:
        with _warnings_logged(conn), conn.transaction():
            conn.execute(SET_UP)
    except psycopg.errors.InsufficientPrivilege:
        logger.warning("this role may not grant rights; run as the owner: pyupc db upgrade")


def give_back(conn: psycopg.Connection[Any]) -> None:
    """Grant PUBLIC again what upgrades revoked, before our last schema is dropped."""
    conn.execute(GIVE_BACK)


@contextmanager
def _warnings_logged(conn: psycopg.Connection[Any]) -> Iterator[None]:
    def log(notice: psycopg.errors.Diagnostic) -> None:
        hint = f" ({notice.message_hint})" if notice.message_hint else ""
        logger.warning("%s%s", notice.message_primary, hint)

    conn.add_notice_handler(log)
    try:
        yield
    finally:
        conn.remove_notice_handler(log)
