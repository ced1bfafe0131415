"""Read the catalogue of fingerprints and the table of one."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from pyupc.errors import PyupcError
from pyupc.fingerprints.pieces import Connection

_NEAREST = 3


@dataclass(frozen=True)
class Table:
    """A fingerprint as its named view shows it; None where no pair of minutes was seen."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


def fingerprints(conn: Connection, symbols: tuple[str, ...]) -> list[dict[str, Any]]:
    """Every fingerprint of the symbols (none: of all, and the pool), the baseline last."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """
            SELECT l.* FROM upc.fingerprint_list AS l
            WHERE %(all)s OR l.symbol = ANY (%(symbols)s)
            ORDER BY l.symbol = '*', l.symbol, l.bucket, l.origin
            """,
            {"all": not symbols, "symbols": list(symbols)},
        ).fetchall()


def states(conn: Connection, symbols: tuple[str, ...]) -> list[dict[str, Any]]:
    """The state of each symbol's build."""
    for symbol in symbols:
        conn.execute("SELECT upc.require_symbol(%s)", [symbol])
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """
            SELECT s.* FROM upc.fingerprint_state AS s
            WHERE %(all)s OR s.symbol = ANY (%(symbols)s)
            ORDER BY s.symbol
            """,
            {"all": not symbols, "symbols": list(symbols)},
        ).fetchall()


def table(conn: Connection, name: str, ttc: int | None) -> Table:
    """A fingerprint's rows, one a minute, or the one of `ttc` minutes."""
    found = conn.execute("SELECT upc.named_view_query(%s)", [name]).fetchone()
    if found is None or found[0] is None:
        raise _unknown(conn, name)
    # Of a symbol without named views, too.
    query = sql.SQL(
        """
        SELECT v.* FROM ({}) AS v
        WHERE %(ttc)s::integer IS NULL OR v.minutes_to_close = %(ttc)s
        ORDER BY v.minutes_to_close
        """
    ).format(sql.SQL(found[0]))
    cursor = conn.execute(query, {"ttc": ttc})
    assert cursor.description is not None
    rows = cursor.fetchall()
    if all(value is None for row in rows for value in row[2:]):
        hint = "load candles, then run: pyupc fingerprints build; or see: pyupc fingerprints list"
        raise PyupcError(f"{name} has no numbers yet", hint)
    return Table([column.name for column in cursor.description], rows)


def _unknown(conn: Connection, name: str) -> PyupcError:
    rows = conn.execute(
        "SELECT f.fingerprint FROM upc.fingerprint_catalogue AS f"
        " UNION ALL SELECT v.fingerprint FROM upc.volatility_catalogue AS v"
    ).fetchall()
    names = [known for (known,) in rows]
    nearest = difflib.get_close_matches(name.lower(), names, _NEAREST, cutoff=0.3)
    hint = f"the nearest: {', '.join(nearest)}" if nearest else "see: pyupc fingerprints list"
    return PyupcError(f"there is no fingerprint {name}", hint)
