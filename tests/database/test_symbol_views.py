"""Upgrades with many symbols: locks, named views on request, and the curves of the older layout."""

from __future__ import annotations

import logging
from typing import Any

import psycopg
import pytest

from pyupc.database import rebuild, schema
from pyupc.database.connect import connect
from pyupc.database.migrate import downgrade, upgrade
from pyupc.errors import PyupcError
from tests.database.test_migrations import make_outdated
from tests.support.engine import Connection, build, open_db, put, scalar, walk
from tests.support.imported import coded, import_set
from tests.support.volatile_candles import volatile_candles

BEFORE = "0015"
MATERIALIZED = ("fingerprint_curve", "volatility_curve", "fingerprint_grid")

ANSWERS = (
    *(
        f"SELECT c::text FROM upc.{view} AS c WHERE symbol !~ '^X' ORDER BY 1"
        for view in MATERIALIZED
    ),
    "SELECT v::text FROM analytics.btc_fingerprint_directional_baseline AS v",
    "SELECT v::text FROM analytics.pooled_fingerprint_directional_baseline AS v",
    "SELECT s::text FROM upc.compute_strikes(40000, 1, ttc_seconds => 900) AS s",
    "SELECT s::text FROM upc.compute_strikes(150, symbol => 'SOL', ttc_seconds => 900) AS s",
)


def answers(dsn: str) -> list[list[Any]]:
    with open_db(dsn) as conn:
        return [conn.execute(query.encode()).fetchall() for query in ANSWERS]


def views_of(conn: Connection, symbol: str) -> int:
    query = "SELECT count(*) FROM pg_views WHERE schemaname = 'analytics' AND viewname ~ %s"
    return int(scalar(conn, query, f"^{symbol}_(fingerprint|volatility)_"))


@pytest.fixture
def filled(fresh_db: str) -> str:
    with open_db(fresh_db) as conn:
        put(conn, "BTC", volatile_candles(90, "2026-01-05", 1500))
        put(conn, "ETH", walk(91, "2026-01-05", 200, price=2500))
        for symbol in ("BTC", "ETH"):
            build(conn, symbol)
        conn.execute("SELECT upc.add_symbol('SOL', 2)")
        import_set(conn, coded([-31, 0, 31], [1, 10, 60], ["0.00", "0.05"]), "ETH")
    return fresh_db


# Locks


def locks_of_an_upgrade(dsn: str) -> int:
    """Locks that the transaction holds before it commits: none is released sooner."""
    with connect(dsn, autocommit=False) as conn:
        rebuild.begin(conn, 2.0)
        rebuild.drop_code(conn, 2.0)
        rebuild.build_code(conn)
        conn.execute("SELECT upc.set_up_rights()")
        count = scalar(conn, "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()")
        conn.rollback()
    return int(count)


def test_an_upgrade_locks_as_much_with_a_thousand_symbols(fresh_db: str) -> None:
    few = locks_of_an_upgrade(fresh_db)
    with open_db(fresh_db) as conn:
        put(conn, "BTC", walk(92, "2026-01-05", 100))
        build(conn)
        conn.execute("SELECT upc.add_symbol('X' || i, 1) FROM generate_series(1, 998) AS i")
        assert scalar(conn, "SELECT count(DISTINCT symbol) FROM upc.fingerprint_grid") == 1000
    assert locks_of_an_upgrade(fresh_db) == few


@pytest.mark.slow
def test_an_upgrade_with_the_views_of_many_symbols(fresh_db: str) -> None:
    """In one transaction a server with its default settings could not lock them."""
    names = [f"X{k}" for k in range(16)]
    with open_db(fresh_db) as conn:
        for name in names:
            conn.execute("SELECT upc.add_symbol(%s, 1, views => true)", (name,))
        found = views_of(conn, "x[0-9]+")
        assert found == 16 * 124
        oids = "SELECT 'analytics.x0_fingerprint_directional_baseline'::regclass::oid"
        before = scalar(conn, oids)
    make_outdated(fresh_db)
    upgrade(fresh_db)
    with open_db(fresh_db) as conn:
        assert views_of(conn, "x[0-9]+") == found
        assert scalar(conn, oids) != before
        assert rebuild.is_current(conn)


# Views on request


def test_requested_views_survive_an_upgrade(filled: str) -> None:
    with open_db(filled) as conn:
        assert scalar(conn, "SELECT upc.create_named_views('SOL')") == 124
        assert scalar(conn, "SELECT upc.create_named_views('SOL')") == 0
    before = answers(filled)
    for _ in range(2):
        make_outdated(filled)
        upgrade(filled)
        with open_db(filled) as conn:
            assert views_of(conn, "sol") == 124
            assert rebuild.is_current(conn)
    assert answers(filled) == before
    with open_db(filled) as conn:
        assert scalar(conn, "SELECT upc.drop_named_views('SOL')") == 124
        assert scalar(conn, "SELECT upc.drop_named_views('SOL')") == 0
    make_outdated(filled)
    upgrade(filled)
    with open_db(filled) as conn:
        assert views_of(conn, "sol") == 0
        assert views_of(conn, "btc") == 124
        assert views_of(conn, "eth") == 126, "two buckets beyond those of candles"


def test_an_upgrade_that_was_stopped_makes_the_views_the_next_time(filled: str) -> None:
    with open_db(filled) as conn:
        conn.execute("SELECT upc.create_named_views('SOL')")
        conn.execute("SELECT upc.drop_named_views('SOL')")
        conn.execute("UPDATE upc_data.symbol SET has_views = true WHERE symbol = 'SOL'")
    upgrade(filled)
    with open_db(filled) as conn:
        assert views_of(conn, "sol") == 124


def test_views_that_somebody_depends_on_are_kept_and_named(filled: str) -> None:
    with open_db(filled) as conn:
        conn.execute("SELECT upc.create_named_views('SOL')")
        conn.execute(
            "CREATE VIEW public.mine AS"
            " SELECT * FROM analytics.sol_fingerprint_directional_baseline"
        )
    make_outdated(filled)
    with pytest.raises(PyupcError, match=r"view public\.mine"):
        upgrade(filled)
    with open_db(filled) as conn:
        assert views_of(conn, "sol") == 124


# The older layout: materialized views in upc, and named views of every symbol


def make_older(dsn: str, symbols: int = 0) -> None:
    """Take a database back to the older tables, with its answers in materialized views.

    `symbols` more have a named view, as all had then.
    """
    with open_db(dsn) as conn:
        for view in MATERIALIZED:
            conn.execute(f"CREATE TABLE public.kept_{view} AS TABLE upc.{view}".encode())
        conn.execute(
            "ALTER TABLE public.kept_volatility_curve "
            "DROP recalibrated_positive, DROP recalibrated_negative"
        )
        # The counts that are left could not make the curves again.
        for table in ("fingerprint_histogram", "volatility_histogram"):
            conn.execute(f"DELETE FROM upc_data.{table} WHERE bucket = 0".encode())
    downgrade(dsn, BEFORE)
    with connect(dsn, autocommit=False) as conn:
        marker = f"Made from another text [pyupc {BEFORE} {'0' * 64}]"
        for name in schema.CODE_SCHEMAS:
            conn.execute(f"CREATE SCHEMA {name}; COMMENT ON SCHEMA {name} IS '{marker}'".encode())
        for view in MATERIALIZED:
            conn.execute(
                f"CREATE MATERIALIZED VIEW upc.{view} AS TABLE public.kept_{view}".encode()
            )
            _record(conn, f"materialized view upc.{view}")
        for k in range(symbols):
            conn.execute(
                "INSERT INTO upc_data.symbol (symbol, strike_step) VALUES (%s, 1)", (f"X{k}",)
            )
            name = f"analytics.x{k}_fingerprint_directional_baseline"
            conn.execute(f"CREATE VIEW {name} AS SELECT 1 AS one".encode())
            _record(conn, f"view {name}")


def _record(conn: psycopg.Connection[Any], identity: str) -> None:
    conn.execute("INSERT INTO upc_data.engine_object VALUES (%s)", (identity,))


def test_answers_are_carried_over(filled: str) -> None:
    before = answers(filled)
    assert all(before)
    make_older(filled)
    upgrade(filled)
    assert answers(filled) == before
    with open_db(filled) as conn:
        assert rebuild.is_current(conn)
        assert conn.execute(
            "SELECT symbol, made_by = upc.curve_hash() FROM upc_data.curve_refresh ORDER BY 1"
        ).fetchall() == [("*", True), ("BTC", True), ("ETH", True), ("SOL", True)]
        # Few symbols keep their views.
        assert [views_of(conn, name) for name in ("btc", "eth", "sol")] == [124, 126, 124]


def test_many_symbols_lose_their_views_and_keep_their_answers(
    filled: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = answers(filled)
    make_older(filled, symbols=12)
    with caplog.at_level(logging.WARNING):
        upgrade(filled)
    assert "create_named_views('X0')" in caplog.text
    assert answers(filled) == before
    with open_db(filled) as conn:
        assert [views_of(conn, name) for name in ("btc", "eth", "sol", "x0")] == [124, 126, 0, 0]
        assert scalar(conn, "SELECT upc.create_named_views('X0')") == 124


def test_without_rows_to_carry_over_they_are_computed(filled: str) -> None:
    before = answers(filled)
    downgrade(filled, BEFORE)
    upgrade(filled)
    # The older layout forecasts by other formulas: standardised moves are counted anew.
    place = next(k for k, query in enumerate(ANSWERS) if "volatility_curve" in query)
    found = answers(filled)
    assert found[:place] + found[place + 1 :] == before[:place] + before[place + 1 :]
    with open_db(filled) as conn:
        for symbol in ("BTC", "ETH"):
            build(conn, symbol)
    assert answers(filled) == before
