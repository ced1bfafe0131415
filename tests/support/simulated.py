"""A database whose market is simulated, as the demo's is."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

MARK = 'pyupc demo: {"simulated": 1}'


def mark(connection: psycopg.Connection[Any], comment: str = MARK) -> None:
    """Comment on the database as the demo does."""
    name = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(comment)))
