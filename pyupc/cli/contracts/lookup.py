"""Queries of `pyupc contracts`: the rows of contract_table, for each symbol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click
import psycopg
from psycopg.rows import dict_row

from pyupc.errors import PyupcError
from pyupc.sql_errors import translate
from pyupc.symbols.names import some

Row = dict[str, Any]

# Columns as contract_table returns them, behind the symbol.
COLUMNS = (
    *("symbol", "series", "kind", "event_ticker", "closes_at", "ttc_seconds", "ticker"),
    *("lower", "upper", "state", "probability", "prob_low", "prob_high"),
    *("yes_bid", "yes_ask", "no_bid", "no_ask"),
    *("yes_bid_size", "yes_ask_size", "no_bid_size", "no_ask_size"),
    *("yes_fee", "no_fee", "yes_edge", "no_edge", "yes_edge_low", "no_edge_low"),
    *("edge_reason", "model", "volume"),
)

_NO_PRICE = "UP011"

_REGISTERED = "SELECT s.symbol FROM upc_data.symbol AS s ORDER BY s.symbol"

_UNKNOWN = """
    SELECT array_agg(n.name ORDER BY n.name)
    FROM unnest(%s::text[]) AS n (name)
    WHERE NOT EXISTS (SELECT FROM upc_data.series AS s WHERE s.series = n.name)
"""

_CONTRACTS = """
    SELECT %(symbol)s::text AS symbol, c.*
    FROM upc.contract_table(
        symbol => %(symbol)s::text,
        at => clock_timestamp(),
        price => %(price)s::double precision,
        model => %(model)s::text,
        method => %(method)s::text,
        settlement => %(settlement)s::text
    ) AS c
    WHERE (%(series)s::text[] = '{}' OR c.series = ANY (%(series)s::text[]))
      AND (
          %(min_edge)s::double precision IS NULL
          OR greatest(c.yes_edge, c.no_edge) >= %(min_edge)s::double precision
      )
      AND (
          %(has_all)s::boolean
          OR coalesce(c.yes_bid, c.yes_ask, c.no_bid, c.no_ask) IS NOT NULL
          OR c.probability BETWEEN 0.5 AND 99.5
      )
"""


@dataclass(frozen=True)
class Choice:
    """Contracts to print: of these series or of all, with an edge of so many cents or any."""

    series: tuple[str, ...]
    min_edge: float | None
    has_all: bool


def contracts(
    conn: psycopg.Connection[Any], symbols: tuple[str, ...], choice: Choice, options: Row
) -> list[Row]:
    """Rows of the named symbols, or of all registered ones that have a price.

    PyupcError for a series that no symbol has.
    """
    unknown = conn.execute(_UNKNOWN, [list(choice.series)]).fetchall()[0][0]
    if unknown:
        raise PyupcError(
            f"no symbol has the series {some(unknown)}", "pyupc symbols list shows the series"
        )
    names = symbols or tuple(row[0] for row in conn.execute(_REGISTERED))
    found: list[Row] = []
    for name in names:
        parameters = {"symbol": name, **vars(choice), "series": list(choice.series), **options}
        try:
            with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
                found += cursor.execute(_CONTRACTS, parameters).fetchall()
        except psycopg.Error as error:
            if symbols or error.sqlstate != _NO_PRICE:
                raise
            click.echo(f"{name}: {translate(error).message}", err=True)
    return found
