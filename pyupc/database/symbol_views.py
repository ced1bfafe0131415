"""Work of an upgrade that grows with the symbols, before and after it, a symbol per transaction.

It is about named views of symbols beyond BTC and ETH, and about curves that are not published.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row, tuple_row

from pyupc.database import foreign_objects, rebuild, schema

logger = logging.getLogger(__name__)

Open = Callable[[], psycopg.Connection[Any]]

# Up to here every symbol of a database from before named views were made on request keeps them.
FEW_SYMBOLS = 10
_ON_REQUEST = "0016"

# Those of BTC and ETH are dropped and made with the rest of the code.
_SYMBOLS_WITH_VIEWS = r"""
    SELECT DISTINCT v.symbol
    FROM (
        SELECT pg_catalog.substring(
            c.relname::pg_catalog.text,
            '^([a-z0-9]+)_(?:fingerprint_directional|volatility)_(?:baseline|momentum_-?[0-9]+)$'
        ) AS symbol
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = 'analytics' AND c.relkind = 'v'
    ) AS v
    WHERE v.symbol NOT IN ('btc', 'eth', 'pooled')
    ORDER BY 1
"""

# Names of a symbol's views, and how they are recorded as the engine's own.
_VIEWS = r"""
    SELECT c.relname::pg_catalog.text, object.type || ' ' || object.identity
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL pg_catalog.pg_identify_object(
        'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, 0
    ) AS object
    WHERE n.nspname = 'analytics' AND c.relkind = 'v'
        AND c.relname::pg_catalog.text ~ pg_catalog.format(
            '^%%s_(fingerprint_directional|volatility)_(baseline|momentum_-?[0-9]+)$', %s::text
        )
    ORDER BY 1
"""

_WITHOUT_VIEWS = """
    SELECT s.symbol
    FROM upc_data.symbol AS s
    WHERE s.has_views AND pg_catalog.to_regclass(
        pg_catalog.format('analytics.%I', upc.fingerprint_name(s.symbol, 99))
    ) IS NULL
    ORDER BY 1
"""

_UNPUBLISHED = """
    SELECT s.symbol
    FROM upc_data.symbol AS s
    WHERE upc.unpublished_part(s.symbol) IS NOT NULL
    ORDER BY 1
"""


def drop(open_connection: Open, lock_timeout: float, *, is_downgrade: bool) -> None:
    """Drop the named views beyond BTC's and ETH's, if the code is about to be dropped.

    All at once would need more locks than a server has by default.
    """
    with open_connection() as conn:
        symbols = _column(conn, _SYMBOLS_WITH_VIEWS)
        before = None
        for symbol in symbols:
            with conn.transaction():
                rebuild.begin(conn, lock_timeout)
                found = schema.revision(conn), foreign_objects.schema_comments(conn)
                if before is None:
                    if not is_downgrade and not _is_outdated(conn):
                        return
                    foreign_objects.refuse_foreign_schemas(found[1])
                    foreign_objects.refuse_strangers(conn)
                elif found != before:
                    # Another upgrade came between two transactions.
                    return
                before = found
                _drop_views(conn, symbol)
        if before is not None:
            _report(conn, before[0], symbols)


def restore(open_connection: Open, lock_timeout: float) -> None:
    """Make requested views that are missing, and publish curves that lack what is counted."""
    with open_connection() as conn:
        if schema.revision(conn) != schema.HEAD:
            return
        for symbol in _column(conn, _WITHOUT_VIEWS):
            with conn.transaction():
                rebuild.begin(conn, lock_timeout)
                conn.execute("SELECT upc.create_named_views(%s)", (symbol,))
        symbols = _column(conn, _UNPUBLISHED)
        for symbol in symbols:
            conn.execute("SELECT upc.refresh_fingerprints(%s)", (symbol,))
        if symbols:
            conn.execute("SELECT upc.refresh_pool() WHERE upc.is_pool_due()")


def _is_outdated(conn: psycopg.Connection[Any]) -> bool:
    """False where an upgrade has nothing to do, or would be refused."""
    found = schema.revision(conn)
    if found is None or found > schema.HEAD:
        return False
    return found != schema.HEAD or not rebuild.is_current(conn)


def _drop_views(conn: psycopg.Connection[Any], symbol: str) -> None:
    with conn.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(_VIEWS.encode(), (symbol,)).fetchall()
    if rows:
        names = sql.SQL(", ").join(sql.Identifier("analytics", name) for name, _ in rows)
        conn.execute(sql.SQL("DROP VIEW {}").format(names))
        conn.execute(
            "DELETE FROM upc_data.engine_object WHERE identity = ANY (%s)",
            ([identity for _, identity in rows],),
        )


def _report(conn: psycopg.Connection[Any], revision: str | None, symbols: list[str]) -> None:
    if revision is None or revision >= _ON_REQUEST:
        return
    [registered] = _column(conn, "SELECT count(*) FROM upc_data.symbol")
    if registered > FEW_SYMBOLS:
        logger.warning(
            "dropped the named views of %d symbols beyond BTC and ETH; for one of them:"
            " SELECT create_named_views('%s')",
            len(symbols),
            symbols[0].upper(),
        )


def _column(conn: psycopg.Connection[Any], query: str) -> list[Any]:
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(query.encode()).fetchall()
