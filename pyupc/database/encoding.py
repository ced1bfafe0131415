"""Encoding of a database: pyupc's texts need UTF-8."""

from __future__ import annotations

import logging
from typing import Any

import psycopg

from pyupc.errors import PyupcError

logger = logging.getLogger(__name__)

NEEDED = "UTF8"
# Stores any bytes: pyupc's are UTF-8, those of other clients may not be.
TOLERATED = "SQL_ASCII"

HINT = "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"


def of(conn: psycopg.Connection[Any]) -> str:
    return conn.info.parameter_status("server_encoding") or ""


def judge(conn: psycopg.Connection[Any]) -> None:
    """Raise PyupcError, before a first upgrade, if the database cannot hold pyupc's texts."""
    found = of(conn)
    if found == TOLERATED:
        logger.warning(
            "the database's encoding is SQL_ASCII, which accepts any bytes: better use UTF-8 (%s)",
            HINT,
        )
    elif found != NEEDED:
        raise PyupcError(
            f"the database has to be UTF-8, and its encoding is {found}",
            f"create another one, and set PYUPC_DSN to it: {HINT}",
        )
