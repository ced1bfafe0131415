"""What everybody and the two roles may do, after an upgrade and after the last downgrade."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

logger = logging.getLogger(__name__)

SET_UP = "SELECT upc.set_up_rights()"

# What upc.revoke_public_rights has noted in the comment on upc_data, and nothing else that such a
# comment may say: a superuser runs this, and whoever owns the schema has written it. lo_import,
# which reads the server's files, was never PUBLIC's by itself.
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

    -- What upc.set_up_rights() has granted beyond our schemas, so that the role can be dropped.
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

# Default privileges in schemas that are dropped, as statements, and how they come again. They are
# kept in a setting of the transaction, since SQL that is printed has no other memory.
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
    """Roles and rights as they should be; a role that may not do all of it is told what is left."""
    try:
        with _warnings_logged(conn), conn.transaction():
            conn.execute(SET_UP)
    except psycopg.errors.InsufficientPrivilege:
        logger.warning("this role may not grant rights; run as the owner: pyupc db upgrade")


def give_back(conn: psycopg.Connection[Any]) -> None:
    """Before the last of our schemas goes: PUBLIC gets again what upgrades have taken from it."""
    conn.execute(GIVE_BACK)


@contextmanager
def _warnings_logged(conn: psycopg.Connection[Any]) -> Iterator[None]:
    def log(said: psycopg.errors.Diagnostic) -> None:
        hint = f" ({said.message_hint})" if said.message_hint else ""
        logger.warning("%s%s", said.message_primary, hint)

    conn.add_notice_handler(log)
    try:
        yield
    finally:
        conn.remove_notice_handler(log)
