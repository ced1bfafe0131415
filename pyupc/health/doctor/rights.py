"""Check of the role's rights: those that ticks, feeds and `pyupc notify` need."""

from __future__ import annotations

from pyupc.health.doctor.finding import Finding
from pyupc.health.doctor.server import Connection

ROLE = "upc_operator"

# Rights needed beside reading everything, as upc.operator_writes() grants them: repeated here for a
# schema that lacks that function. Locking rows needs UPDATE.
WRITES = {
    "announcement": "INSERT, UPDATE, DELETE",
    "announcement_cursor": "INSERT, UPDATE",
    "candle": "INSERT, UPDATE",
    "candle_change": "INSERT, DELETE",
    "candle_hole": "INSERT, DELETE",
    "condition": "INSERT, UPDATE, DELETE",
    "contract_log": "INSERT",
    "counted_day": "INSERT, UPDATE, DELETE",
    "curve_refresh": "INSERT, UPDATE, DELETE",
    "document": "INSERT, UPDATE",
    "exchange_status": "INSERT, UPDATE, DELETE",
    "fill": "INSERT",
    "fingerprint_build": "INSERT, UPDATE",
    "fingerprint_curve": "INSERT, UPDATE, DELETE",
    "fingerprint_grid": "INSERT, UPDATE, DELETE",
    "fingerprint_histogram": "INSERT, UPDATE, DELETE",
    "fit_change": "INSERT, DELETE",
    "horizon_curve": "INSERT, UPDATE, DELETE",
    "horizon_day": "INSERT, UPDATE, DELETE",
    "id_counter": "INSERT, UPDATE",
    "live_answer": "INSERT, DELETE",
    "log_progress": "INSERT, UPDATE",
    "market_event": "INSERT, UPDATE",
    "market_quote": "INSERT, UPDATE, DELETE",
    "minute_variance": "INSERT",
    "paper_trade": "INSERT, UPDATE",
    "price": "INSERT, UPDATE, DELETE",
    "recalibration": "INSERT, DELETE",
    "scheduled_news": "INSERT, UPDATE, DELETE",
    "second_source": "INSERT",
    "series": "UPDATE",
    "settlement_basis": "INSERT",
    "tick": "INSERT, UPDATE, DELETE",
    "tick_count": "INSERT, UPDATE",
    "tick_lease": "INSERT, UPDATE, DELETE",
    "tick_minute": "INSERT, UPDATE, DELETE",
    "trade": "INSERT, UPDATE",
    "volatility_change": "INSERT, DELETE",
    "volatility_curve": "INSERT, UPDATE, DELETE",
    "volatility_day": "INSERT, UPDATE, DELETE",
    "volatility_drift": "INSERT, UPDATE, DELETE",
    "volatility_fit": "INSERT, UPDATE, DELETE",
    "volatility_histogram": "INSERT, UPDATE, DELETE",
    "volatility_month": "INSERT, UPDATE, DELETE",
    "volatility_state": "INSERT, UPDATE, DELETE",
    "write_probe": "INSERT, UPDATE",
}

# Ask for each privilege alone: has_table_privilege is true if any one of several is held.
_MISSING = """
    SELECT w.privilege || ' on upc_data.' || w.name
    FROM (
        SELECT n.name, trim(p.privilege) AS privilege
        FROM unnest(%(tables)s::text[], %(privileges)s::text[]) AS n (name, privileges),
            string_to_table(n.privileges, ',') AS p (privilege)
    ) AS w
    WHERE NOT has_table_privilege(to_regclass('upc_data.' || w.name), w.privilege)
    UNION ALL
    SELECT 'SELECT on ' || n.nspname || '.' || c.relname
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('upc_data', 'upc') AND c.relkind IN ('r', 'v', 'm')
        AND NOT has_table_privilege(c.oid, 'SELECT')
    UNION ALL
    SELECT 'EXECUTE on upc.' || p.proname
    FROM pg_proc AS p
    WHERE p.pronamespace = to_regnamespace('upc') AND NOT has_function_privilege(p.oid, 'EXECUTE')
    ORDER BY 1
"""

# Before PostgreSQL 17, which has a right for it, only the owner can refresh a materialized view.
_UNREFRESHED = """
    SELECT c.relname
    FROM pg_class AS c
    WHERE c.relnamespace = to_regnamespace('upc') AND c.relkind = 'm'
        AND NOT pg_has_role(c.relowner, 'USAGE')
        AND NOT CASE
            WHEN current_setting('server_version_num')::integer >= 170000
            THEN has_table_privilege(c.oid, %s)
            ELSE false
        END
    ORDER BY 1
"""

SHOWN = 4


def rights(conn: Connection) -> Finding:
    [(role, is_lost)] = conn.execute(
        "SELECT current_user, NOT has_schema_privilege('upc_data', 'USAGE')"
        " OR NOT has_schema_privilege('upc', 'USAGE')"
    ).fetchall()
    if is_lost:
        return Finding(
            "rights", "fail", f"{role} may not use the schemas upc_data and upc", _repair(conn)
        )
    found = {"tables": list(WRITES), "privileges": list(WRITES.values())}
    missing = [name for (name,) in conn.execute(_MISSING, found).fetchall()]
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        return Finding(
            "rights", "fail", f"{role} lacks {', '.join(missing[:SHOWN])}{more}", _repair(conn)
        )
    unrefreshed = [name for (name,) in conn.execute(_UNREFRESHED, ("MAINTAIN",)).fetchall()]
    if unrefreshed:
        return Finding(
            "rights",
            "warn",
            f"{role} may tick and feed, but may not refresh {', '.join(unrefreshed)}",
            "feed with --no-build, and build the fingerprints as the owner",
        )
    return Finding("rights", "ok", f"{role} may tick, feed and build")


def _repair(conn: Connection) -> str:
    """Command that gives the role its rights; a member of upc_operator needs an upgrade."""
    query = """
        SELECT
            quote_ident(current_user),
            r.oid IS NOT NULL,
            coalesce(pg_has_role(r.oid, 'USAGE'), false)
        FROM (VALUES (to_regrole(%s)::oid)) AS r (oid)
    """
    [(role, is_there, is_member)] = conn.execute(query, (ROLE,)).fetchall()
    if is_member:
        return "as the owner: pyupc db upgrade"
    grant = f"GRANT {ROLE} TO {role}"
    return grant if is_there else f"CREATE ROLE {ROLE}; as the owner: pyupc db upgrade; {grant}"
