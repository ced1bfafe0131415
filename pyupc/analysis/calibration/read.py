"""The database calls of `pyupc calibration`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

Connection = psycopg.Connection[tuple[Any, ...]]
Row = dict[str, Any]

_SPAN = """(
        symbol => s.symbol,
        since => coalesce(%(since)s::timestamptz, '-infinity'),
        until => coalesce(%(until)s::timestamptz, 'infinity'){}
    )"""

_COUNTED = ",\n        every_tick => %(every_tick)s::boolean"

_SCORES = f"""
    SELECT s.symbol, c.*
    FROM (SELECT %(symbol)s::text) AS s (symbol)
    CROSS JOIN LATERAL upc.calibration{_SPAN.format(_COUNTED)} AS c
"""

_EDGES = f"""
    SELECT s.symbol, e.*
    FROM (SELECT %(symbol)s::text) AS s (symbol)
    CROSS JOIN LATERAL upc.edge_outcomes{_SPAN.format(_COUNTED)} AS e
"""

_BASIS = f"""
    SELECT s.symbol, b.*
    FROM (SELECT %(symbol)s::text) AS s (symbol)
    CROSS JOIN LATERAL upc.basis_outcomes{_SPAN.format("")} AS b
"""

_UNJUDGED = f"""
    SELECT count(*)
    FROM (SELECT %(symbol)s::text) AS s (symbol)
    CROSS JOIN LATERAL upc.unjudged_closes{_SPAN.format("")} AS u
"""


class Reader:
    """Reads the outcomes of the ticks of a span; None leaves it open on that side.

    `every_tick` counts every tick that is kept, else one a minute.
    """

    def __init__(
        self,
        conn: Connection,
        since: datetime | None,
        until: datetime | None,
        *,
        every_tick: bool = False,
    ) -> None:
        self._conn = conn
        self._every_tick = every_tick
        self._since = since
        self._until = until
        self.columns: Sequence[str] = ()

    def scores(self, symbol: str) -> list[Row]:
        """Rows of upc.calibration."""
        return self._rows(_SCORES, symbol)

    def edges(self, symbol: str) -> list[Row]:
        """Rows of upc.edge_outcomes."""
        return self._rows(_EDGES, symbol)

    def basis(self, symbol: str) -> list[Row]:
        """Rows of upc.basis_outcomes."""
        return self._rows(_BASIS, symbol)

    def unjudged(self, symbol: str) -> int:
        """Number of past closes without a known outcome."""
        row = self._conn.execute(_UNJUDGED.encode(), self._parameters(symbol)).fetchone()
        assert row is not None
        return int(row[0])

    def _rows(self, query: str, symbol: str) -> list[Row]:
        with self._conn.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(query.encode(), self._parameters(symbol)).fetchall()
            self.columns = [column.name for column in cursor.description or []]
        return rows

    def _parameters(self, symbol: str) -> Row:
        return {
            "symbol": symbol,
            "since": self._since,
            "until": self._until,
            "every_tick": self._every_tick,
        }
