"""The state after a restore that was not completed, and its repair."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyupc.database import foreign_objects, rebuild
from pyupc.database.migrate import upgrade
from pyupc.fingerprints.build import build as build_all
from pyupc.health.doctor import lease, server
from pyupc.runtime.progress import Progress
from tests.support.databases import Databases
from tests.support.engine import Connection, build, everything, open_db, put, scalar
from tests.support.volatile_candles import everything as everything_standardised
from tests.support.volatile_candles import volatile_candles

CURVES = ["fingerprint_curve", "fingerprint_grid", "volatility_curve"]
ANSWER = "SELECT prob_above FROM upc.compute_strikes(40000, 7, ttc_seconds => 900, model => %s)"


@pytest.fixture(scope="module")
def volatile_dsn(module_dsn: str) -> str:
    with open_db(module_dsn) as conn:
        put(conn, "BTC", volatile_candles(32, "2026-03-01", 3000))
        build(conn)
    return module_dsn


@pytest.fixture
def built(databases: Databases, volatile_dsn: str) -> Iterator[str]:
    with databases.clone_of(volatile_dsn) as dsn:
        yield dsn


def all_of_it(conn: Connection) -> list[object]:
    answers = [conn.execute(ANSWER, (model,)).fetchall() for model in ("momentum", "volatility")]
    return [everything(conn), everything_standardised(conn), answers]


def repaired(dsn: str, by: str) -> None:
    if by == "upgrade":
        upgrade(dsn)
    elif by == "sql":
        with open_db(dsn) as conn:
            assert build(conn) == 0
    else:
        assert build_all(dsn, (), Progress()).days == 0


def judged(conn: Connection) -> tuple[str, str]:
    """The finding of doctor about BTC's fingerprints, and the light of its status."""
    found = lease.status(conn, "BTC")
    return lease.fingerprints(conn, found).state, found["light"]


@pytest.mark.parametrize(
    ("table", "by"),
    [
        *((table, "command") for table in CURVES),
        ("all", "command"),
        pytest.param("all", "upgrade", marks=pytest.mark.slow),
        ("all", "sql"),
    ],
)
def test_a_table_that_lacks_what_is_stored(built: str, table: str, by: str) -> None:
    tables = CURVES if table == "all" else [table]
    with open_db(built) as conn:
        before = all_of_it(conn)
        assert judged(conn)[0] == "ok"
        for each in tables:
            conn.execute(f"DELETE FROM upc_data.{each}".encode())
        assert judged(conn)[0] == "fail"
        is_red = scalar(conn, "SELECT f.is_red FROM upc.fingerprint_problem('BTC') AS f")
        assert is_red is (table != "volatility_curve")
    repaired(built, by)
    with open_db(built) as conn:
        assert judged(conn)[0] == "ok"
        assert all_of_it(conn) == before


@pytest.mark.parametrize("by", ["command", "sql"])
def test_the_pool_is_computed_after_an_upgrade(built: str, by: str) -> None:
    """An upgrade leaves the view without rows, and the pool goes on answering."""
    with open_db(built) as conn:
        before = all_of_it(conn)
        conn.execute("REFRESH MATERIALIZED VIEW upc.pooled_curve WITH NO DATA")
        conn.execute("DROP INDEX upc.pooled_curve_minutes_key")
        assert all_of_it(conn) == before
        assert judged(conn)[0] == "ok"
        conn.execute("DELETE FROM upc_data.curve_refresh WHERE symbol = '*'")
        assert scalar(conn, "SELECT upc.is_pool_due()")
    if by == "sql":
        with open_db(built) as conn:
            conn.execute("SELECT upc.refresh_pool()")
    else:
        repaired(built, by)
    with open_db(built) as conn:
        assert not scalar(conn, "SELECT upc.is_pool_due()")
        assert scalar(conn, "SELECT count(*) FROM upc.pooled_curve") == 60
        assert all_of_it(conn) == before
    # The index comes back.
    upgrade(built)
    with open_db(built) as conn:
        assert rebuild.is_current(conn)
        assert all_of_it(conn) == before


def test_a_symbol_that_answers_from_a_missing_pool(built: str) -> None:
    with open_db(built) as conn:
        conn.execute("SELECT upc.add_symbol('SOL', 1)")
        query = "SELECT count(*) FROM upc.compute_strikes(150, symbol => 'SOL')"
        assert scalar(conn, query) == 21
        conn.execute("DELETE FROM upc_data.fingerprint_curve WHERE symbol = '*'")
        conn.execute("DELETE FROM upc_data.fingerprint_grid WHERE symbol = 'SOL'")
        problem = "SELECT is_red FROM upc.fingerprint_problem(%s)"
        assert scalar(conn, problem, "SOL") is True
        assert scalar(conn, problem, "BTC") is None
    build_all(built, ("SOL",), Progress())
    with open_db(built) as conn:
        assert scalar(conn, query) == 21
        assert scalar(conn, problem, "SOL") is None


def test_an_upgrade_makes_what_is_gone(built: str) -> None:
    with open_db(built) as conn:
        before = all_of_it(conn)
        conn.execute("DROP VIEW upc.fingerprint_grid CASCADE")
        conn.execute("DROP FUNCTION upc.trade_fee CASCADE")
    upgrade(built)
    with open_db(built) as conn:
        assert judged(conn)[0] == "ok"
        assert all_of_it(conn) == before
        assert foreign_objects.lost(conn) == []
        assert rebuild.is_current(conn)


def test_the_only_materialized_view(db: Connection) -> None:
    query = "SELECT relname FROM pg_class WHERE relkind = 'm'"
    assert [name for (name,) in db.execute(query)] == ["pooled_curve"]


def test_tables_without_their_keys(built: str) -> None:
    with open_db(built) as conn:
        assert server.tables(conn).state == "ok"
        conn.execute("ALTER TABLE upc_data.document DROP CONSTRAINT document_symbol_pkey")
        assert server.tables(conn).state == "fail"
