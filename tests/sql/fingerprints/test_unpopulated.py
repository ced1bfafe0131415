"""The state after a restore that was not completed, and its repair."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from pyupc.database import foreign_objects, rebuild
from pyupc.database.migrate import upgrade
from pyupc.fingerprints.build import build as build_all
from pyupc.health.doctor import lease, server
from pyupc.runtime.progress import Progress
from pyupc.sql_errors import translate
from tests.support.databases import Databases
from tests.support.engine import Connection, build, everything, open_db, put, scalar
from tests.support.volatile_candles import everything as everything_standardised
from tests.support.volatile_candles import volatile_candles

VIEWS = ["fingerprint_curve", "fingerprint_grid", "volatility_curve"]
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
        assert build_all(dsn, ("BTC",), Progress()).days == 0


def judged(conn: Connection) -> tuple[str, str]:
    """The finding of doctor about BTC's fingerprints, and the light of its status."""
    found = lease.status(conn, "BTC")
    return lease.fingerprints(conn, found).state, found["light"]


@pytest.mark.parametrize(
    ("view", "by"),
    [
        *((view, "command") for view in VIEWS),
        ("all", "command"),
        pytest.param("all", "upgrade", marks=pytest.mark.slow),
        ("all", "sql"),
    ],
)
def test_a_view_without_data(built: str, view: str, by: str) -> None:
    views = VIEWS if view == "all" else [view]
    with open_db(built) as conn:
        before = all_of_it(conn)
        assert judged(conn)[0] == "ok"
        for each in views:
            conn.execute(f"REFRESH MATERIALIZED VIEW upc.{each} WITH NO DATA".encode())
            if by == "upgrade":
                # Indexes come last in a restore.
                conn.execute(f"DROP INDEX upc.{index_of(conn, each)}".encode())
        model = "volatility" if view == "volatility_curve" else "momentum"
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as caught:
            conn.execute(ANSWER, (model,))
        assert translate(caught.value).hint == "pyupc fingerprints build"
        assert judged(conn) == ("fail", "red")
        document = scalar(conn, "SELECT upc.status_document()::json ->> 'state'")
        assert document == "red"
    repaired(built, by)
    with open_db(built) as conn:
        assert judged(conn)[0] == "ok"
        assert all_of_it(conn) == before


def test_an_upgrade_makes_what_is_gone(built: str) -> None:
    with open_db(built) as conn:
        before = all_of_it(conn)
        conn.execute("DROP MATERIALIZED VIEW upc.fingerprint_grid CASCADE")
        conn.execute("DROP FUNCTION upc.trade_fee CASCADE")
    upgrade(built)
    with open_db(built) as conn:
        assert judged(conn)[0] == "ok"
        assert all_of_it(conn) == before
        assert foreign_objects.lost(conn) == []
        assert rebuild.is_current(conn)


def index_of(conn: Connection, view: str) -> str:
    query = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = %s::regclass"
    return str(scalar(conn, query, f"upc.{view}")).removeprefix("upc.")


# Views, and the table to empty so that a view looks refreshed before the table was filled.
EMPTIED = {
    "fingerprint_curve": "upc_data.fingerprint_histogram",
    "volatility_curve": "upc_data.volatility_histogram",
    "fingerprint_grid": "upc_data.symbol",
}


@pytest.mark.parametrize("view", EMPTIED)
def test_a_view_that_lacks_what_is_stored(built: str, view: str) -> None:
    with open_db(built) as conn:
        before = all_of_it(conn)
        table = EMPTIED[view]
        conn.execute("SET session_replication_role = replica")
        conn.execute(f"CREATE TABLE public.kept AS TABLE {table}; DELETE FROM {table}".encode())
        conn.execute("SELECT upc._refresh_view(%s)", (view,))
        conn.execute(f"INSERT INTO {table} TABLE public.kept; DROP TABLE public.kept".encode())
        if view == "fingerprint_curve":
            conn.execute("SELECT upc._refresh_grid()")
        state, light = judged(conn)
        assert state == "fail"
        assert light == "red"
    repaired(built, "command")
    with open_db(built) as conn:
        assert judged(conn)[0] == "ok"
        assert all_of_it(conn) == before


def test_no_view_is_overlooked(db: Connection) -> None:
    query = (
        "SELECT relname FROM pg_class WHERE relkind = 'm' AND relnamespace = 'upc'::regnamespace"
    )
    assert sorted(name for (name,) in db.execute(query)) == VIEWS


def test_tables_without_their_keys(built: str) -> None:
    with open_db(built) as conn:
        assert server.tables(conn).state == "ok"
        conn.execute("ALTER TABLE upc_data.document DROP CONSTRAINT document_symbol_pkey")
        assert server.tables(conn).state == "fail"
