"""Databases for a whole module: a build is worth keeping, and its tests roll back what they do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.databases import Databases
from tests.support.engine import Connection, build, open_db, put


@pytest.fixture(scope="module")
def module_dsn(databases: Databases, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of the module's own at the newest schema, as its DSN.

    It has the candles that the module calls BUILT, by symbol, and fingerprints of them.
    """
    with databases.clone("empty") as dsn:
        with open_db(dsn) as connection:
            for symbol, candles in getattr(request.module, "BUILT", {}).items():
                put(connection, symbol, candles)
                build(connection, symbol)
        yield dsn


@pytest.fixture(scope="module")
def trading_dsn(databases: Databases) -> Iterator[str]:
    """The same with probabilities and strikes to trade at."""
    with databases.clone("trading") as dsn:
        yield dsn


@pytest.fixture(scope="module")
def healthy_dsn(databases: Databases) -> Iterator[str]:
    """The same with all that the green light of a symbol depends on."""
    with databases.clone("healthy") as dsn:
        yield dsn


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
