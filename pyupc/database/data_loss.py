"""Data loss of a downgrade: columns of tables with rows that it would drop."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from pyupc.errors import PyupcError

# Conditions for rows that are a user's data, for tables into which migrations insert rows.
_NO_DATA: dict[str, LiteralString] = {
    "alembic_version": "false",
    "engine_object": "false",
    # Counts on from the highest id of the tables.
    "id_counter": "false",
    # Read again every few seconds.
    "exchange_status": "false",
    # Made from counts and imported sets.
    "curve_refresh": "false",
    "fingerprint_curve": "false",
    "fingerprint_grid": "false",
    "volatility_curve": "false",
    "volatility_drift": "false",
    "volatility_month": "false",
    # Made from candles.
    "horizon_curve": "false",
    "horizon_day": "false",
    # A downgrade puts its rows back into the log of ticks.
    "tick_minute": "false",
    "log_progress": "false",
    "symbol": "symbol NOT IN ('BTC', 'ETH')",
    # Those above a strike stay with their symbol, and an upgrade makes the known ones again.
    "series": "NOT is_followed OR (kind <> 'above' AND symbol NOT IN ('BTC', 'ETH'))",
    # Other fills can be derived from their trade.
    "fill": """
        is_maker OR is_fee_charged OR EXISTS (
            SELECT FROM upc_data.trade AS t
            WHERE t.symbol = fill.symbol AND t.trade_id = fill.trade_id AND t.sold_count > 0
        )
    """,
}

# Conditions for rows whose column differs from its default.
_NO_DEFAULT: dict[tuple[str, str], LiteralString] = {
    # Views of others can be created again.
    ("symbol", "has_views"): "false",
    # The lower bound of what is above a strike goes on as its strike; sizes are read again.
    ("market_quote", "lower"): "lower IS NULL OR upper IS NOT NULL",
    ("market_quote", "upper"): "upper IS NOT NULL",
    ("market_quote", "yes_bid_size"): "false",
    ("market_quote", "yes_ask_size"): "false",
    ("market_quote", "no_bid_size"): "false",
    ("market_quote", "no_ask_size"): "false",
    ("market_quote", "settlement_value"): "result NOT IN ('yes', 'no')",
    # The next tick makes it anew.
    ("document", "contracts"): "false",
    # Made from candles.
    ("volatility_day", "forecasts"): "false",
    ("volatility_day", "version"): "false",
    # Made from the bounds of its markets.
    ("market_event", "strikes"): "false",
    # Read again with the event, as long as it is open.
    ("market_event", "exchange_index"): "false",
    ("market_event", "has_rules"): "false",
    ("market_event", "settlement"): "false",
    ("market_event", "unknown_status"): "false",
    ("market_event", "expiration_value"): "expiration_value IS NOT NULL",
    # The lower bound of what has no other goes on as its strike.
    ("trade", "lower"): "lower IS NULL OR upper IS NOT NULL",
    ("trade", "upper"): "upper IS NOT NULL",
    ("trade", "kind"): "false",
    ("trade", "is_provisional"): "result NOT IN ('yes', 'no')",
    ("fill", "note"): "note IS NOT NULL",
    # A minute may be logged again.
    ("tick_count", "contracts_minute"): "false",
    ("trade", "sold_count"): "sold_count > 0",
    ("trade", "realised_pnl"): "sold_count > 0",
    ("trade", "realised_fee"): "sold_count > 0",
    ("tick", "yes_bid"): "yes_bid IS NOT NULL",
    ("tick", "source"): "false",
    ("tick", "basis"): "basis IS NOT NULL",
    ("tick", "basis_settlements"): "basis IS NOT NULL",
    ("tick", "no_bid"): "no_bid IS NOT NULL",
}

_COLUMNS = """
    SELECT c.relname, a.attname
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
    WHERE n.nspname = 'upc_data'
        AND c.relkind IN ('r', 'p')
        AND NOT c.relispartition
        AND a.attnum > 0
        AND NOT a.attisdropped
"""


def columns(conn: psycopg.Connection[Any]) -> set[tuple[str, str]]:
    """All (table, column) pairs of the schema."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        return set(cursor.execute(_COLUMNS).fetchall())


def columns_with_data(conn: psycopg.Connection[Any]) -> set[tuple[str, str]]:
    """Pairs whose table has a user's rows."""
    found = columns(conn)
    filled = {
        table
        for table in {table for table, _ in found}
        if _has_rows(conn, table, _NO_DATA.get(table, "true"))
    }
    return {
        (table, column)
        for table, column in found
        if table in filled
        and (
            (table, column) not in _NO_DEFAULT or _has_rows(conn, table, _NO_DEFAULT[table, column])
        )
    }


def refuse_loss(conn: psycopg.Connection[Any], before: set[tuple[str, str]]) -> None:
    """Raise if a column of `before` is gone."""
    lost = sorted({table for table, _ in before - columns(conn)})
    if lost:
        raise PyupcError(
            f"this downgrade drops data of {', '.join(f'upc_data.{table}' for table in lost)}",
            "to drop it: repeat the command with --yes",
        )


def _has_rows(conn: psycopg.Connection[Any], table: str, condition: LiteralString) -> bool:
    query = sql.SQL("SELECT EXISTS (SELECT FROM upc_data.{} WHERE {})").format(
        sql.Identifier(table), sql.SQL(condition)
    )
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query).fetchone()
    return row is not None and bool(row[0])
