"""Databases for a whole module: a build is worth keeping, and its tests roll back what they do."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.support.engine import Connection, open_db


@pytest.fixture(scope="module")
def module_dsn(server_dsn: str, name_prefix: str, template: str) -> Iterator[str]:
    """A database of the module's own at the newest schema, as its DSN."""
    name = f"{name_prefix}_{secrets.token_hex(4)}"
    new, old = sql.Identifier(name), sql.Identifier(template)
    with open_db(server_dsn) as server:
        server.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(new, old)
        )
    try:
        yield make_conninfo(server_dsn, dbname=name)
    finally:
        with open_db(server_dsn) as server:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(new))


@pytest.fixture
def conn(module_dsn: str) -> Iterator[Connection]:
    """The module's database in a transaction that is rolled back."""
    with open_db(module_dsn, autocommit=False) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def own(fresh_db: str) -> Iterator[Connection]:
    """A database of the test's own; every statement commits."""
    with open_db(fresh_db) as connection:
        yield connection
