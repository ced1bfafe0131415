"""Queries of `pyupc bets`: the rows of best_bets, for each symbol."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import click
import psycopg
from psycopg.rows import dict_row

from pyupc.sql_errors import translate

Row = dict[str, Any]

# Columns as best_bets returns them, behind the symbol.
COLUMNS = (
    *("symbol", "rank", "side", "contract", "series", "kind", "event_ticker", "closes_at"),
    *("ttc_seconds", "ticker", "lower", "upper", "probability", "prob_low", "prob_high"),
    *("ask", "offered", "fee", "edge", "edge_low", "edge_high", "volume", "count", "cost"),
    *("limited_by", "news", "command"),
)

_NEVER_TICKED = "UP023"

_REGISTERED = "SELECT s.symbol FROM upc_data.symbol AS s ORDER BY s.symbol"

_BETS = """
    SELECT %(symbol)s::text AS symbol, b.*
    FROM upc.best_bets(symbol => %(symbol)s::text, most => %(most)s::integer) AS b
    ORDER BY b.rank
"""

_DOCUMENT = "SELECT upc.bets_document(symbol => %(symbol)s::text, most => 0)"


@dataclass(frozen=True)
class Bets:
    """Bets of a symbol, and its document without them, which has the best of the rest."""

    symbol: str
    rows: list[Row]
    document: Row


def bets(conn: psycopg.Connection[Any], symbols: tuple[str, ...], most: int) -> list[Bets]:
    """Bets of the named symbols, or of all registered ones that have been ticked."""
    names = symbols or tuple(row[0] for row in conn.execute(_REGISTERED))
    found = []
    for name in names:
        asked = {"symbol": name, "most": most}
        try:
            with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
                rows = cursor.execute(_BETS, asked).fetchall()
                [(text,)] = conn.execute(_DOCUMENT, asked).fetchall()
        except psycopg.Error as error:
            if symbols or error.sqlstate != _NEVER_TICKED:
                raise
            click.echo(f"{name}: {translate(error).message}", err=True)
        else:
            found.append(Bets(name, rows, json.loads(text)))
    return found
