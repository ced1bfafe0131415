"""Refusals of use_fingerprints: each error has a SQLSTATE of its own, a detail and a hint."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pytest

from tests.support.engine import Connection, build, open_db
from tests.support.imported import use
from tests.support.two_sets import answers, fill


@pytest.fixture(scope="module")
def filled(module_dsn: str) -> str:
    """BTC is built, and nothing is imported."""
    with open_db(module_dsn) as connection:
        fill(connection)
        build(connection)
    return module_dsn


@pytest.fixture
def conn(conn: Connection, filled: str) -> Connection:
    return conn


@pytest.mark.parametrize(
    ("origin", "symbols", "sqlstate"),
    [
        (None, ["BTC"], "UP012"),
        ("", ["BTC"], "UP012"),
        ("Imported", ["BTC"], "UP012"),
        ("other", None, "UP012"),
        ("imported", None, "UP013"),
        ("imported", [], "UP013"),
        ("built", [], "UP013"),
        ("imported", ["BTC"], "UP013"),
        ("built", ["ETH"], "UP013"),
        ("built", ["BTC", "ETH"], "UP013"),
        ("built", ["*"], "UP002"),
        ("built", ["btc"], "UP002"),
        ("built", ["BTC", "XYZ"], "UP002"),
        ("built", [None], "UP002"),
    ],
)
def test_refusals(
    conn: Connection, origin: str | None, symbols: Sequence[str | None] | None, sqlstate: str
) -> None:
    before = answers(conn)
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        use(conn, origin, symbols)
    assert caught.value.sqlstate == sqlstate
    for sentence in (caught.value.diag.message_detail, caught.value.diag.message_hint):
        assert sentence
        assert sentence.endswith(".")
    assert answers(conn) == before
