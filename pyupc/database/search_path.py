"""search_path of the database, so that psql finds compute_strikes()."""

from __future__ import annotations

import logging
from typing import Any

import psycopg

logger = logging.getLogger(__name__)

_CHANGE = """
DO $do$
DECLARE
    v_schema text;
    v_old text;
    v_new text;
BEGIN
    SELECT pg_catalog.substr(entry.setting, pg_catalog.length('search_path=') + 1)
    INTO v_old
    FROM pg_catalog.pg_db_role_setting AS stored
    JOIN pg_catalog.pg_database AS database ON database.oid = stored.setdatabase
    CROSS JOIN pg_catalog.unnest(stored.setconfig) AS entry (setting)
    WHERE database.datname = pg_catalog.current_database()
        AND stored.setrole = 0
        AND pg_catalog.starts_with(entry.setting, 'search_path=');
{body}
END;
$do$
"""

# FROM CURRENT stores the list as it is, so nothing has to be quoted again.
ADD = _CHANGE.format(
    body="""
    v_new := coalesce(v_old, '"$user", public');
    FOREACH v_schema IN ARRAY ARRAY['upc', 'analytics'] LOOP
        IF v_new !~ ('(^|,) *' || v_schema || ' *(,|$)') THEN
            v_new := v_new || ', ' || v_schema;
        END IF;
    END LOOP;

    IF v_new IS DISTINCT FROM v_old THEN
        PERFORM pg_catalog.set_config('search_path', v_new, true);
        EXECUTE pg_catalog.format(
            'ALTER DATABASE %I SET search_path FROM CURRENT', pg_catalog.current_database());
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    END IF;"""
)

REMOVE = _CHANGE.format(
    body="""
    v_new := v_old;
    FOREACH v_schema IN ARRAY ARRAY['upc', 'analytics'] LOOP
        v_new := pg_catalog.regexp_replace(v_new, '(^|,) *' || v_schema || ' *(?=,|$)', '');
    END LOOP;
    v_new := pg_catalog.ltrim(v_new, ', ');

    IF v_new IN ('', '"$user", public') THEN
        EXECUTE pg_catalog.format(
            'ALTER DATABASE %I RESET search_path', pg_catalog.current_database());
    ELSIF v_new IS DISTINCT FROM v_old THEN
        PERFORM pg_catalog.set_config('search_path', v_new, true);
        EXECUTE pg_catalog.format(
            'ALTER DATABASE %I SET search_path FROM CURRENT', pg_catalog.current_database());
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    END IF;"""
)


def add(conn: psycopg.Connection[Any]) -> None:
    """Append upc and analytics to the database's list, keeping the user's entries."""
    _change(conn, ADD, "ALTER DATABASE ... SET search_path = ..., upc, analytics")


def remove(conn: psycopg.Connection[Any]) -> None:
    """Remove our entries; a list without others is reset."""
    _change(conn, REMOVE, "ALTER DATABASE ... RESET search_path")


def _change(conn: psycopg.Connection[Any], statement: str, by_hand: str) -> None:
    try:
        with conn.transaction():
            conn.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        logger.warning(
            "this role may not change the database's search_path; its owner may run: %s", by_hand
        )
