"""The encoding of a database: pyupc's texts hold more than one language's letters."""

from __future__ import annotations

import logging
from typing import Any

import psycopg

from pyupc.errors import PyupcError

logger = logging.getLogger(__name__)

NEEDED = "UTF8"
# Stores bytes as they come; ours are UTF-8, those of others may be anything.
TOLERATED = "SQL_ASCII"

HINT = "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"


def of(conn: psycopg.Connection[Any]) -> str:
    return conn.info.parameter_status("server_encoding") or ""


def judge(conn: psycopg.Connection[Any]) -> None:
    """Before a first upgrade: raise PyupcError if the database cannot hold what pyupc writes."""
    found = of(conn)
    if found == TOLERATED:
        logger.warning(
            "the database's encoding is SQL_ASCII, which checks no text: UTF-8 is better (%s)", HINT
        )
    elif found != NEEDED:
        raise PyupcError(
            f"the database has to be UTF-8, and its encoding is {found}",
            f"make another one, and name it in PYUPC_DSN: {HINT}",
        )
