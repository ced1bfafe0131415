"""Refreshes: the tables of curves after each kind of change, and what others see meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from pyupc.fingerprints.build import build as build_all
from pyupc.health.doctor import lease
from pyupc.runtime.progress import Progress
from tests.support import brute_force
from tests.support.candle_changes import write_candles
from tests.support.engine import (
    Connection,
    assert_equal,
    build,
    open_db,
    put,
    scalar,
    stored_curves,
    wait_until_blocked,
    walk,
)
from tests.support.imported import coded, import_set, use
from tests.support.volatile_candles import volatile_candles

TABLES = {
    "fingerprint_curve": "upc._fingerprint_curve_query(false)",
    "volatility_curve": (
        "'SELECT v.*, NULL::float8[] AS p, NULL::float8[] AS n FROM ('"
        " || upc._volatility_curve_query(false) || ') AS v'"
    ),
    "fingerprint_grid": "upc._fingerprint_grid_query(false)",
}
POOL = "upc._curve_query(upc._fingerprint_counts(false, is_pool => true))"


def rows(conn: Connection, query: str) -> list[tuple[str]]:
    """Rows as text, whose digits name each double."""
    return sorted(conn.execute(f"SELECT t::text FROM ({query}) AS t".encode()).fetchall())


def stored(conn: Connection) -> dict[str, list[tuple[str]]]:
    return {
        table: rows(conn, f"SELECT * FROM upc_data.{table} WHERE symbol <> '*'") for table in TABLES
    }


def computed(conn: Connection) -> dict[str, list[tuple[str]]]:
    """Answers of the queries for all symbols at once."""
    return {table: rows(conn, scalar(conn, f"SELECT {text}")) for table, text in TABLES.items()}


def assert_published(conn: Connection) -> None:
    expected = computed(conn)
    assert stored(conn) == expected
    assert (
        rows(conn, "SELECT * FROM upc.fingerprint_curve WHERE symbol <> '*'")
        == (expected["fingerprint_curve"])
    )
    columns = "minutes, sample_size, positive, negative, weighted_size, effective_size, shrinkage"
    pool = rows(conn, f"SELECT {columns} FROM upc.fingerprint_curve WHERE symbol = '*'")
    assert pool == rows(conn, f"SELECT {columns} FROM ({scalar(conn, f'SELECT {POOL}')}) AS p")


def places(conn: Connection, symbol: str) -> dict[str, list[Any]]:
    """Where each row is and which transaction wrote it."""
    return {
        table: conn.execute(
            f"SELECT ctid::text, xmin::text FROM upc_data.{table} "
            "WHERE symbol = %s ORDER BY 1".encode(),
            (symbol,),
        ).fetchall()
        for table in TABLES
    }


@pytest.fixture(scope="module")
def filled(module_dsn: str) -> str:
    with open_db(module_dsn) as connection:
        put(connection, "BTC", volatile_candles(70, "2025-12-30", 1500))
        put(connection, "ETH", walk(71, "2025-12-30T12:00", 200, price=2500))
        build(connection)
        build(connection, "ETH")
    return module_dsn


@pytest.fixture
def conn(conn: Connection, filled: str) -> Connection:
    return conn


def add_a_day(conn: Connection) -> None:
    put(conn, "BTC", volatile_candles(72, "2025-12-31T01:00", 200))
    build(conn)


def correct_a_candle(conn: Connection) -> None:
    write_candles(
        conn,
        "UPDATE upc_data.candle SET high = high * 1.02, close = high * 1.02 "
        "WHERE symbol = 'BTC' AND opened_at = '2025-12-30 05:00+00'",
    )
    build(conn)


def delete_candles(conn: Connection) -> None:
    write_candles(
        conn,
        "DELETE FROM upc_data.candle WHERE symbol = 'BTC' AND opened_at >= '2025-12-30 04:00+00'",
    )
    build(conn)


def begin_a_new_year(conn: Connection) -> None:
    """Every weight changes, of years that are not counted again."""
    put(conn, "BTC", volatile_candles(73, "2026-01-01T00:00", 100))
    build(conn)


def import_a_set(conn: Connection) -> None:
    import_set(conn, coded([-31, -5, 0, 31], [1, 10, 60], ["0.00", "0.05", "1.7"]))


def use_the_imported_set(conn: Connection) -> None:
    import_a_set(conn)
    use(conn, "imported", ["BTC"])


def import_a_smaller_set(conn: Connection) -> None:
    use_the_imported_set(conn)
    import_set(conn, coded([0], [10], ["0.05"]))


def reset(conn: Connection) -> None:
    conn.execute("SELECT upc.reset_fingerprints('BTC')")
    conn.execute("SELECT upc.refresh_fingerprints('BTC')")
    assert scalar(conn, "SELECT count(*) FROM upc.fingerprint_curve WHERE symbol = 'BTC'") == 0
    conn.execute("SELECT upc.refresh_pool()")


def reset_and_build(conn: Connection) -> None:
    conn.execute("SELECT upc.reset_fingerprints('BTC')")
    build(conn)


def lose_all_candles(conn: Connection) -> None:
    write_candles(conn, "DELETE FROM upc_data.candle WHERE symbol = 'BTC'")
    build(conn)


def register_another(conn: Connection) -> None:
    conn.execute("SELECT upc.add_symbol('SOL', 2)")
    conn.execute("SELECT upc.add_symbol('XRP', 0.01)")
    put(conn, "XRP", walk(74, "2026-01-05", 90, price=2))
    build(conn, "XRP")


@pytest.mark.parametrize(
    "change",
    [
        add_a_day,
        correct_a_candle,
        delete_candles,
        begin_a_new_year,
        import_a_set,
        use_the_imported_set,
        import_a_smaller_set,
        reset,
        reset_and_build,
        lose_all_candles,
        register_another,
    ],
)
def test_tables_hold_the_rows_of_the_query(
    conn: Connection, change: Callable[[Connection], None]
) -> None:
    before = stored(conn), places(conn, "ETH")
    assert_published(conn)
    change(conn)
    assert_published(conn)
    assert (stored(conn) == before[0]) == (change is reset_and_build)
    assert places(conn, "ETH") == before[1], "a symbol is refreshed alone"


def test_what_is_equal_stays_where_it_is(conn: Connection) -> None:
    before = places(conn, "BTC"), places(conn, "*")
    for _ in range(2):
        conn.execute("SELECT upc.refresh_fingerprints()")
        conn.execute("SELECT upc.refresh_fingerprints('BTC')")
        conn.execute("SELECT upc.refresh_pool()")
    assert (places(conn, "BTC"), places(conn, "*")) == before


def test_only_what_differs_is_written(conn: Connection) -> None:
    conn.execute(
        "UPDATE upc_data.fingerprint_curve SET shrinkage = '-0' "
        "WHERE symbol = 'BTC' AND bucket = 0 AND minutes = 7"
    )
    conn.execute("DELETE FROM upc_data.volatility_curve WHERE symbol = 'BTC' AND minutes = 7")
    conn.execute(
        "INSERT INTO upc_data.fingerprint_curve "
        "(symbol, origin, bucket, minutes, positive, negative) "
        "VALUES ('BTC', 'imported', 5, 5, '{1}', '{1}')"
    )
    damaged = places(conn, "BTC")
    conn.execute("SELECT upc.refresh_fingerprints('BTC')")
    assert_published(conn)
    repaired = places(conn, "BTC")
    assert len(set(repaired["fingerprint_curve"]) - set(damaged["fingerprint_curve"])) == 1
    assert set(repaired["volatility_curve"]) > set(damaged["volatility_curve"])
    assert repaired["fingerprint_grid"] == damaged["fingerprint_grid"]


def test_an_unknown_symbol(conn: Connection) -> None:
    for symbol in ("DOGE", "*", "btc", ""):
        with pytest.raises(psycopg.Error) as raised, conn.transaction():
            conn.execute("SELECT upc.refresh_fingerprints(%s)", (symbol,))
        assert raised.value.sqlstate == "UP002"


def test_a_symbol_depends_on_itself_alone(conn: Connection) -> None:
    """Also where it has no two candles a minute apart, as others have."""
    candles = walk(75, "2026-01-05", 300, price=2)
    even = candles.where(candles.minutes % 2 == 0)
    conn.execute("SELECT upc.add_symbol('XRP', 0.01)")
    put(conn, "XRP", even)
    build(conn, "XRP")
    assert_published(conn)
    query = "SELECT * FROM upc.fingerprint_curve WHERE symbol = 'XRP'"
    among_others = rows(conn, query)
    assert_equal(stored_curves(conn, "XRP"), brute_force.fingerprints(even.minutes, even.closes))
    sizes = "SELECT bool_and(effective_size <= weighted_size) FROM upc.fingerprint_curve AS c"
    assert scalar(conn, f"{sizes} WHERE symbol = 'XRP'")
    for table in ("fingerprint_histogram", "counted_day", "fingerprint_build"):
        conn.execute(f"DELETE FROM upc_data.{table} WHERE symbol IN ('BTC', 'ETH')".encode())
    conn.execute("SELECT upc.refresh_fingerprints('XRP')")
    assert rows(conn, query) == among_others


def test_constants_have_all_their_digits(conn: Connection) -> None:
    before = stored(conn), scalar(conn, "SELECT upc.curve_hash()")
    conn.execute("SET LOCAL extra_float_digits = -15")
    conn.execute("SELECT upc.refresh_fingerprints('BTC')")
    assert scalar(conn, "SELECT upc._hash_curves()") == before[1]
    conn.execute("RESET extra_float_digits")
    assert stored(conn) == before[0]


# The pool


def test_the_pool_follows_when_it_is_told(conn: Connection) -> None:
    query = "SELECT * FROM upc.fingerprint_curve WHERE symbol = '*'"
    before = rows(conn, query)
    put(conn, "ETH", walk(76, "2025-12-31T12:00", 100, price=2500))
    conn.execute("SELECT upc.build_fingerprints('ETH', with_pool => false)")
    assert rows(conn, query) == before
    assert scalar(conn, "SELECT upc.is_pool_due()")
    conn.execute("SELECT upc.refresh_pool()")
    assert rows(conn, query) != before
    assert not scalar(conn, "SELECT upc.is_pool_due()")
    assert_published(conn)


def test_symbols_of_the_pool_follow_its_minutes(conn: Connection) -> None:
    conn.execute("SELECT upc.add_symbol('SOL', 2)")
    grid = "SELECT DISTINCT minutes FROM upc.fingerprint_grid WHERE symbol = 'SOL'"
    assert scalar(conn, grid) == list(range(1, 61))
    for symbol in ("BTC", "ETH"):
        write_candles(conn, "DELETE FROM upc_data.candle WHERE symbol = %s", (symbol,))
    put(conn, "ETH", walk(77, "2026-01-05", 31, price=2500))
    for symbol in ("BTC", "ETH"):
        build(conn, symbol)
    assert scalar(conn, grid) == list(range(1, 31))
    assert_published(conn)
    # Without anything to answer from it answers no more.
    write_candles(conn, "DELETE FROM upc_data.candle WHERE symbol = 'ETH'")
    build(conn, "ETH")
    assert conn.execute(grid.encode()).fetchall() == []
    assert_published(conn)
    put(conn, "BTC", walk(78, "2026-01-05", 91))
    build(conn)
    assert scalar(conn, grid) == list(range(1, 61))
    assert_published(conn)


# Others meanwhile


@pytest.fixture
def shared(own: Connection, fresh_db: str) -> str:
    put(own, "BTC", volatile_candles(79, "2026-01-05", 1500))
    put(own, "ETH", walk(80, "2026-01-05", 150, price=2500))
    for symbol in ("BTC", "ETH"):
        build(own, symbol)
    return fresh_db


ANSWERS = (
    "SELECT s::text FROM upc.compute_strikes(40000, 1, ttc_seconds => 900) AS s",
    "SELECT v::text FROM analytics.btc_fingerprint_directional_baseline AS v",
    "SELECT v::text FROM analytics.btc_volatility_baseline AS v",
    "SELECT f::text FROM upc.fingerprint('BTC', 0) AS f",
    "SELECT l::text FROM upc.fingerprint_list AS l ORDER BY 1",
    "SELECT g::text FROM upc.fingerprint_grid AS g ORDER BY 1",
    "SELECT c::text FROM upc.fingerprint_curve AS c ORDER BY 1",
)


def answers(conn: Connection) -> list[list[tuple[str]]]:
    return [conn.execute(query.encode()).fetchall() for query in ANSWERS]


def test_readers_see_one_state_or_the_other(shared: str, own: Connection) -> None:
    with (
        open_db(shared) as reader,
        open_db(shared, autocommit=False) as writer,
        open_db(shared, autocommit=False) as patient,
    ):
        reader.execute("SET statement_timeout = '20s'; SET lock_timeout = '1ms'")
        before = answers(reader)
        # A transaction that began before goes on with what it saw.
        patient.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert answers(patient) == before
        put(writer, "BTC", volatile_candles(81, "2026-01-06T01:00", 300))
        for step in ("build_fingerprints('BTC')", "refresh_fingerprints()", "refresh_pool()"):
            writer.execute(f"SELECT upc.{step}".encode())
            assert answers(reader) == before
        writer.commit()
        after = answers(reader)
        assert all(old != new for old, new in zip(before, after, strict=True) if old)
        assert answers(patient) == before
        assert_published(own)


def test_a_second_refresh_waits_and_sees_the_first(shared: str, own: Connection) -> None:
    with (
        open_db(shared, autocommit=False) as first,
        open_db(shared) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        put(first, "BTC", volatile_candles(82, "2026-01-06T01:00", 100))
        build(first)
        late = pool.submit(second.execute, "SELECT upc.refresh_fingerprints('BTC')")
        wait_until_blocked(own, second, late)
        first.commit()
        late.result()
    assert_published(own)


def test_two_symbols_are_refreshed_side_by_side(shared: str, own: Connection) -> None:
    with open_db(shared, autocommit=False) as first, open_db(shared) as second:
        second.execute("SET lock_timeout = '1ms'")
        put(first, "BTC", volatile_candles(83, "2026-01-06T01:00", 100))
        first.execute("SELECT upc.build_fingerprints('BTC', with_pool => false)")
        put(second, "ETH", walk(84, "2026-01-06", 100, price=2500))
        second.execute("SELECT upc.build_fingerprints('ETH', with_pool => false)")
        first.commit()
    own.execute("SELECT upc.refresh_pool()")
    assert_published(own)


def test_the_pool_waits_for_a_symbol_and_sees_it(shared: str, own: Connection) -> None:
    """The symbol loses its curves, and answers from the pool, whose minutes change meanwhile."""
    write_candles(own, "DELETE FROM upc_data.candle WHERE symbol = 'ETH'")
    put(own, "ETH", walk(85, "2026-01-05", 31, price=2500))
    own.execute("SELECT upc.build_fingerprints('ETH', with_pool => false)")
    with (
        open_db(shared, autocommit=False) as first,
        open_db(shared) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        write_candles(first, "DELETE FROM upc_data.candle WHERE symbol = 'BTC'")
        first.execute("SELECT upc.build_fingerprints('BTC', with_pool => false)")
        late = pool.submit(second.execute, "SELECT upc.refresh_pool()")
        wait_until_blocked(own, second, late)
        first.commit()
        late.result()
    assert_published(own)
    grid = "SELECT DISTINCT minutes FROM upc.fingerprint_grid WHERE symbol = 'BTC'"
    assert scalar(own, grid) == list(range(1, 31))


def test_a_refresh_that_is_killed_leaves_all_as_it_was(shared: str, own: Connection) -> None:
    before = answers(own), stored(own)
    with open_db(shared, autocommit=False) as victim:
        put(victim, "BTC", volatile_candles(86, "2026-01-06T01:00", 200))
        build(victim)
        own.execute("SELECT pg_terminate_backend(%s)", (victim.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError):
            victim.execute("SELECT 1")
    assert (answers(own), stored(own)) == before
    own.execute("SELECT upc.refresh_fingerprints()")
    assert_published(own)


# Formulas of before


def test_curves_of_other_formulas_go_on_answering(shared: str, own: Connection) -> None:
    before = answers(own)
    problem = "SELECT is_red, problem IS NOT NULL FROM upc.fingerprint_problem('BTC')"
    assert own.execute(problem).fetchall() == [(None, False)]
    own.execute("UPDATE upc_data.curve_refresh SET made_by = 'another'")
    assert own.execute(problem).fetchall() == [(False, True)]
    assert scalar(own, "SELECT upc.has_outdated_curves('BTC') AND upc.is_pool_due()")
    assert not scalar(own, "SELECT upc.has_outdated_curves('DOGE')")
    assert answers(own) == before
    finding = lease.fingerprints(own, lease.status(own, "BTC"))
    assert (finding.state, finding.repair) == ("warn", "pyupc fingerprints build --symbol BTC")
    assert build(own) == 0
    assert not scalar(own, "SELECT upc.has_outdated_curves('BTC') OR upc.is_pool_due()")
    assert scalar(own, "SELECT upc.has_outdated_curves('ETH')")
    build_all(shared, ("ETH",), Progress())
    assert not scalar(own, "SELECT upc.has_outdated_curves('ETH')")
    assert answers(own) == before
