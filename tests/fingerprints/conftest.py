"""Folders of the predecessor's files, and databases to import them into or to read them from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import Databases
from tests.support.legacy_files import execute, make_tables, write


@pytest.fixture
def fresh(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of the test's own, which commands find."""
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    return fresh_db


@pytest.fixture(scope="module")
def legacy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of fingerprints of BTC."""
    return write(tmp_path_factory.mktemp("legacy"))


@pytest.fixture(scope="module")
def their_database(databases: Databases) -> Iterator[str]:
    with databases.new() as dsn:
        yield dsn


@pytest.fixture
def theirs(their_database: str, legacy: Path) -> Iterator[str]:
    """Another database, with the tables of the folder in the schema analytics."""
    make_tables(their_database, legacy)
    yield their_database
    execute(their_database, "DROP SCHEMA analytics CASCADE")
