"""Check of names: objects found in place of pyupc's when no schema is given, as in psql."""

from __future__ import annotations

from collections.abc import Sequence

from pyupc.health.doctor.finding import Finding
from pyupc.health.doctor.server import Connection

NAMED_AT_MOST = 5

# Setting of the role in this database, of the role, of the database: the server's order.
_PATH = """
    SELECT coalesce(
        (
            SELECT substr(entry.setting, length('search_path=') + 1)
            FROM pg_db_role_setting AS stored
            CROSS JOIN unnest(stored.setconfig) AS entry (setting)
            WHERE stored.setdatabase IN (
                    0, (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
                )
                AND stored.setrole IN (
                    0, (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = session_user)
                )
                AND starts_with(entry.setting, 'search_path=')
            ORDER BY stored.setrole = 0, stored.setdatabase = 0
            LIMIT 1
        ),
        '"$user", public'
    )
"""

# A function competes with ours if it takes as many arguments, of types that ours could take. Of two
# with the same types the earlier one in the path is called; otherwise it depends on the call.
_SHADOWS = """
    WITH path AS (
        SELECT to_regnamespace(quote_ident(p.name)) AS schema, p.place
        FROM unnest(%(path)s::text[]) WITH ORDINALITY AS p (name, place)
    ),
    ours AS (
        SELECT path.*
        FROM path
        WHERE path.schema IN (to_regnamespace('upc'), to_regnamespace('analytics'))
    ),
    theirs AS (
        SELECT path.* FROM path WHERE path.schema NOT IN (SELECT ours.schema FROM ours)
    )
    SELECT format('%%I.%%I', c.relnamespace::regnamespace::text::name, c.relname)
    FROM theirs
    JOIN pg_class AS c ON c.relnamespace = theirs.schema
    WHERE c.relkind <> 't'
        AND EXISTS (
            SELECT
            FROM ours
            JOIN pg_class AS o ON o.relnamespace = ours.schema
            WHERE o.relname = c.relname AND o.relkind IN ('r', 'v', 'm', 'p', 'c')
                AND theirs.place < ours.place
        )
    UNION ALL
    SELECT format(
        '%%s.%%I(%%s)',
        p.pronamespace::regnamespace, p.proname, pg_get_function_identity_arguments(p.oid)
    )
    FROM theirs
    JOIN pg_proc AS p ON p.pronamespace = theirs.schema
    WHERE EXISTS (
        SELECT
        FROM ours
        JOIN pg_proc AS o ON o.pronamespace = ours.schema AND o.proname = p.proname
        CROSS JOIN LATERAL (
            SELECT
                greatest(o.pronargs - o.pronargdefaults, p.pronargs - p.pronargdefaults) AS fewest,
                CASE WHEN p.provariadic = 0 THEN least(o.pronargs, p.pronargs) ELSE o.pronargs END
                    AS most
        ) AS n
        CROSS JOIN LATERAL (
            SELECT
                coalesce(
                    bool_and(a.typcategory = b.typcategory) FILTER (WHERE k <= n.fewest), true
                ) AS is_taken,
                coalesce(bool_and(a.oid = b.oid), true) AS is_same
            FROM generate_series(1, n.most) AS k
            JOIN pg_type AS a ON a.oid = o.proargtypes[k - 1]
            JOIN pg_type AS b ON b.oid = CASE
                WHEN p.provariadic <> 0 AND k >= p.pronargs THEN p.provariadic
                ELSE p.proargtypes[k - 1]
            END
        ) AS t
        WHERE left(o.proname, 1) <> '_'
            AND n.fewest <= n.most
            AND t.is_taken
            AND NOT (t.is_same AND p.provariadic = 0 AND ours.place < theirs.place)
    )
    ORDER BY 1
"""


def names(conn: Connection) -> Finding:
    """Check with the search_path of a session that sets none, such as a bare psql."""
    row = conn.execute(_PATH).fetchone()
    assert row is not None
    path = row[0]
    with conn.transaction():
        conn.execute("SELECT set_config('search_path', %s, true)", (path,))
        row = conn.execute("SELECT current_schemas(true)::text[]").fetchone()
        assert row is not None
        schemas = row[0]
        conn.execute("SELECT set_config('search_path', 'pg_catalog', true)")
        found = [name for (name,) in conn.execute(_SHADOWS, {"path": schemas}).fetchall()]
    return judge_names(path, schemas, found)


def judge_names(path: str, schemas: Sequence[str], found: Sequence[str]) -> Finding:
    if "upc" not in schemas:
        return Finding(
            "names",
            "warn",
            f"psql does not find compute_strikes: its search_path is {path}",
            "pyupc db upgrade, or write upc.compute_strikes",
        )
    if found:
        more = len(found) - NAMED_AT_MOST
        listed = ", ".join(found[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
        return Finding(
            "names",
            "warn",
            f"without a schema, these may be used in place of pyupc's: {listed}",
            "rename them, or write upc. before pyupc's names, as pyupc itself does",
        )
    return Finding("names", "ok", "psql finds pyupc's objects")
