"""Imported fingerprints through upgrades, downgrades, and a dump that is restored."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from pyupc import embedded
from pyupc.database import schema
from pyupc.database.connect import connect
from pyupc.database.migrate import current, downgrade, upgrade
from pyupc.errors import PyupcError
from tests.database.test_migrations import dump, make_outdated
from tests.support.engine import build, open_db, put, walk
from tests.support.imported import coded, import_set, use

TABLES = ("fingerprint_import", "imported_curve", "imported_fingerprint")
# Buckets beyond thirty have views of their own.
FOUND = coded([-31, -5, 0, 31], [1, 10, 60], ["0.00", "0.05", "1.7"])

QUERIES = (
    *(f"SELECT t::text FROM upc_data.{table} AS t ORDER BY 1" for table in TABLES),
    "SELECT c::text FROM upc.fingerprint_curve AS c ORDER BY symbol, origin, bucket, minutes",
    "SELECT g::text FROM upc.fingerprint_grid AS g ORDER BY symbol, bucket",
    "SELECT s::text FROM upc.fingerprint_set AS s ORDER BY symbol, origin",
    "SELECT viewname FROM pg_views WHERE schemaname = 'analytics' ORDER BY 1",
    'SELECT v::text FROM analytics."btc_fingerprint_directional_momentum_-31" AS v',
    "SELECT c::text FROM generate_series(-35, 35) AS m,"
    " upc.compute_strikes(97250, m, ttc_seconds => 700) AS c",
)


def everything(dsn: str) -> list[list[Any]]:
    with open_db(dsn) as conn:
        return [conn.execute(query.encode()).fetchall() for query in QUERIES]


@pytest.fixture(params=["built", "imported"])
def both(fresh_db: str, request: pytest.FixtureRequest) -> str:
    """BTC has both sets, and one or the other answers."""
    with open_db(fresh_db) as conn:
        put(conn, "BTC", walk(200, "2026-03-02", 300))
        build(conn)
        import_set(conn, FOUND)
        use(conn, request.param)
    return fresh_db


@pytest.mark.slow
def test_an_upgrade_keeps_the_set_in_use(both: str) -> None:
    before = everything(both)
    make_outdated(both)
    upgrade(both)
    assert everything(both) == before
    # It could be done again: everything in the schemas is known to be pyupc's.
    make_outdated(both)
    upgrade(both)
    assert everything(both) == before


def test_a_downgrade_that_drops_them_is_refused_on_request(both: str) -> None:
    before = everything(both)
    for revision in ("0002", "base"):
        with pytest.raises(PyupcError) as refusal:
            downgrade(both, revision, keep_data=True)
        assert refusal.value.exit_code == 1
        assert refusal.value.hint
        for table in TABLES:
            assert f"upc_data.{table}" in refusal.value.message
        assert current(both) == schema.HEAD
    assert everything(both) == before


def test_a_downgrade_drops_them_and_nothing_else(both: str) -> None:
    query = "SELECT h::text FROM upc_data.fingerprint_histogram AS h ORDER BY 1"
    with open_db(both) as conn:
        before = conn.execute(query).fetchall()
    downgrade(both, "0002")
    assert current(both) == "0002"
    upgrade(both)
    with open_db(both) as conn:
        assert conn.execute(query).fetchall() == before
        sets = conn.execute("SELECT symbol, origin FROM upc.fingerprint_set ORDER BY 1")
        assert sets.fetchall() == [("*", "built"), ("BTC", "built")]


def test_without_any_there_is_nothing_to_refuse(fresh_db: str) -> None:
    downgrade(fresh_db, "0002", keep_data=True)
    assert current(fresh_db) == "0002"


@pytest.mark.slow
def test_a_dump_brings_them_back(both: str, empty_db: str) -> None:
    try:
        psql = embedded.program("psql")
    except PyupcError:
        pytest.skip("no psql")
    # A newer pg_dump sets what an older server does not know.
    lines = [line for line in dump(both) if not line.startswith("SET transaction_timeout")]
    subprocess.run(
        [psql, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", empty_db],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert everything(empty_db) == everything(both)
    with connect(empty_db) as conn:
        schema.check(conn)
