"""Retiring a symbol: every row of it goes, and nobody leaves one behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.support.databases import Databases
from tests.support.engine import Connection, open_db, put, scalar, walk

SYMBOL = "SOL"

# Rows for the tables of candles and fingerprints, prices, markets, ticks and trades.
FILL = (
    "SELECT upc.add_symbol('SOL', 2, kalshi_series => '{KXSOLD}')",
    "SELECT upc.record_price('SOL', 'kraken', 150, now(), now())",
    """
    SELECT upc.load_market(jsonb_build_object(
        'event', '{"event_ticker": "E", "series_ticker": "KXSOLD"}'::jsonb,
        'markets', jsonb_build_array(jsonb_build_object(
            'ticker', 'E-T1', 'close_time', now() + interval '20 minutes', 'status', 'active',
            'strike_type', 'greater', 'floor_strike', 149.99, 'yes_ask_dollars', '0.56'
        ))
    ))
    """,
    "SELECT upc.open_trade('E-T1', 'yes', 0.56, 10)",
    "SELECT upc._announce('SOL', 'stale', 'price', 'old', '{}', now())",
    "SELECT upc.build_fingerprints('SOL')",
    "SELECT * FROM upc.tick('SOL', 'simulated')",
    "SELECT upc.subscribe('phone')",
)

# Partitions apart.
TABLES = """
    SELECT c.relname
    FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'symbol'
    WHERE c.relnamespace = 'upc_data'::regnamespace
        AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    ORDER BY 1
"""


@pytest.fixture(scope="module")
def filled(databases: Databases) -> Iterator[str]:
    """A database with rows of SOL beside those of BTC."""
    with databases.clone("market_btc") as dsn:
        with open_db(dsn) as conn:
            conn.execute(FILL[0].encode())
            put(conn, SYMBOL, walk(41, "2026-03-02", 2 * 1440, price=150))
            for query in FILL[1:]:
                conn.execute(query.encode())
        yield dsn


@pytest.fixture
def own_dsn(databases: Databases, filled: str) -> Iterator[str]:
    with databases.clone_of(filled) as dsn:
        yield dsn


@pytest.fixture
def conn(own_dsn: str) -> Iterator[Connection]:
    with open_db(own_dsn) as connection:
        yield connection


def tables(conn: Connection) -> list[str]:
    return [name for (name,) in conn.execute(TABLES) if name != "retirement"]


def counted(conn: Connection, symbol: str = SYMBOL) -> dict[str, int]:
    """Rows of a symbol by table, of those that have some."""
    found = {
        table: scalar(conn, f"SELECT count(*) FROM upc_data.{table} WHERE symbol = %s", symbol)
        for table in tables(conn)
    }
    return {table: count for table, count in found.items() if count}


def others(conn: Connection) -> dict[str, Any]:
    """Contents of the tables beside the rows of the symbol and of the pool."""
    return {
        table: scalar(
            conn,
            f"SELECT md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM upc_data.{table} AS t"
            " WHERE symbol NOT IN (%s, '*')",
            SYMBOL,
        )
        for table in tables(conn)
    }


def retired(conn: Connection, batch: int = 1000) -> dict[str, int]:
    conn.execute("SELECT upc.begin_retirement(%s)", (SYMBOL,))
    removed: dict[str, int] = {"symbol": 1}
    while True:
        row = conn.execute("SELECT * FROM upc.retire_batch(%s, %s)", (SYMBOL, batch)).fetchone()
        assert row is not None
        name, count = row
        if count == 0:
            break
        assert count <= batch
        removed[name] = removed.get(name, 0) + count
    total = scalar(conn, "SELECT upc.end_retirement(%s)", SYMBOL)
    # The rows that begin_retirement removes itself come on top.
    assert all(total[table] >= count for table, count in removed.items())
    return dict(total)


def refusal(conn: Connection, query: str) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(query.encode())
    return caught.value


@pytest.mark.parametrize("batch", [100, 1_000_000])
def test_every_row_goes(conn: Connection, batch: int) -> None:
    before = counted(conn)
    # Enough tables for the test to mean something.
    assert len(before) > 15, before
    assert dict(conn.execute("SELECT * FROM upc.symbol_rows('SOL')").fetchall()) == before
    rest = others(conn)
    assert retired(conn, batch) == before
    assert counted(conn) == {}
    assert others(conn) == rest
    assert conn.execute("SELECT * FROM upc_data.retirement").fetchall() == []
    views = "SELECT count(*) FROM pg_views WHERE schemaname = 'analytics' AND viewname ~ '^sol_'"
    assert scalar(conn, views) == 0
    assert refusal(conn, "SELECT * FROM upc.tick('SOL', 'simulated')").sqlstate == "UP002"
    assert refusal(conn, "SELECT upc.begin_retirement('SOL')").sqlstate == "UP002"


def test_no_table_is_forgotten(conn: Connection) -> None:
    """Those of the catalogue, and tables that do not exist yet."""
    found = {name for (name,) in conn.execute("SELECT name FROM upc._symbol_tables()")}
    assert found == set(tables(conn)) - {"symbol"}
    conn.execute(
        """
        CREATE TABLE upc_data.novelty (symbol text, at date, PRIMARY KEY (symbol, at));
        CREATE TABLE upc_data.novel_note (
            symbol text, at date, FOREIGN KEY (symbol, at) REFERENCES upc_data.novelty
        );
        CREATE TABLE upc_data.by_day (symbol text, at date) PARTITION BY RANGE (at);
        CREATE TABLE upc_data.by_day_1 PARTITION OF upc_data.by_day
            FOR VALUES FROM ('2026-01-01') TO ('2026-01-02');
        CREATE TABLE upc_data.by_day_2 PARTITION OF upc_data.by_day
            FOR VALUES FROM ('2026-01-02') TO ('2026-01-03');
        INSERT INTO upc_data.novelty VALUES ('SOL', '2026-01-01'), ('BTC', '2026-01-01');
        INSERT INTO upc_data.novel_note VALUES ('SOL', '2026-01-01'), ('BTC', '2026-01-01');
        INSERT INTO upc_data.by_day VALUES
            ('SOL', '2026-01-01'), ('BTC', '2026-01-01'),
            ('SOL', '2026-01-02'), ('SOL', '2026-01-02')
        """
    )
    removed = retired(conn)
    assert (removed["novelty"], removed["novel_note"], removed["by_day"]) == (1, 1, 3)
    for table in ("novelty", "novel_note", "by_day"):
        assert scalar(conn, f"SELECT string_agg(symbol, '') FROM upc_data.{table}") == "BTC"


def test_it_can_be_added_again(conn: Connection) -> None:
    retired(conn)
    conn.execute("SELECT upc.add_symbol('SOL', 5)")
    assert counted(conn).keys() <= {"symbol", "series", "fingerprint_grid", "curve_refresh"}
    put(conn, SYMBOL, walk(42, "2026-03-02", 1440, price=150))
    assert scalar(conn, "SELECT upc.build_fingerprints('SOL')") > 0
    assert scalar(conn, "SELECT count(*) FROM upc.compute_strikes(150, 0, 'SOL')") == 21
    conn.execute("SELECT * FROM upc.tick('SOL', 'simulated')")


def test_nobody_finds_it_from_the_first_moment(conn: Connection) -> None:
    conn.execute("SELECT upc.begin_retirement('SOL')")
    conn.execute("SELECT upc.begin_retirement('SOL')")
    for query in (
        "SELECT * FROM upc.tick('SOL', 'simulated')",
        "SELECT upc.record_price('SOL', 'kraken', 150, now(), now())",
        "SELECT upc.begin_candle_load('SOL')",
        "SELECT upc.build_fingerprints('SOL')",
        "SELECT * FROM upc.compute_strikes(150, 0, 'SOL')",
    ):
        caught = refusal(conn, query)
        assert caught.sqlstate == "UP002", query
    assert "retire" in (refusal(conn, "SELECT upc.require_symbol('SOL')").diag.message_hint or "")
    assert refusal(conn, "SELECT upc.add_symbol('SOL', 1)").sqlstate == "UP030"
    assert scalar(conn, "SELECT is_retiring FROM upc.symbol_list('{SOL}')")
    # Rows are left.
    assert scalar(conn, "SELECT upc.end_retirement('SOL')") is None


@pytest.mark.parametrize("call", ["retire_batch", "end_retirement"])
def test_what_is_not_being_retired(conn: Connection, call: str) -> None:
    for name in ("'SOL'", "'DOGE'", "'*'", "NULL"):
        assert refusal(conn, f"SELECT upc.{call}({name})").sqlstate == "UP002"
    for name in ("'DOGE'", "'*'", "NULL"):
        assert refusal(conn, f"SELECT upc.begin_retirement({name})").sqlstate == "UP002"
        assert refusal(conn, f"SELECT upc.symbol_rows({name})").sqlstate == "UP002"


@pytest.mark.parametrize(
    "write",
    [
        "SELECT * FROM upc.tick('SOL', 'simulated')",
        "SELECT upc.record_candles('SOL', '{2026-05-01}', '{9}', '{9}', '{9}', '{9}', '{9}')",
    ],
)
def test_a_writer_under_way_leaves_nothing(own_dsn: str, conn: Connection, write: str) -> None:
    """It has found the symbol before, and writes and commits when all other rows are gone."""
    with open_db(own_dsn, autocommit=False) as writer:
        writer.execute("SELECT upc.require_symbol('SOL')")
        conn.execute("SELECT upc.begin_retirement('SOL')")
        while scalar(conn, "SELECT removed FROM upc.retire_batch('SOL')"):
            pass
        assert scalar(conn, "SELECT upc.end_retirement('SOL')") is None
        pid = writer.info.backend_pid
        assert scalar(conn, "SELECT pid FROM upc.retirement_blockers('SOL')") == pid
        with pytest.raises(psycopg.Error) as caught:
            writer.execute(write.encode())
        assert caught.value.sqlstate == "UP002"
        writer.rollback()
    assert scalar(conn, "SELECT upc.end_retirement('SOL')") is not None
    assert counted(conn) == {}


def test_rows_of_a_writer_under_way_are_removed(own_dsn: str, conn: Connection) -> None:
    with open_db(own_dsn, autocommit=False) as writer:
        writer.execute("SELECT * FROM upc.tick('SOL', 'simulated')")
        conn.execute("SELECT upc.begin_retirement('SOL')")
        conn.execute("SET lock_timeout = '5s'")
        # The tick's own rows are still locked, or not to be seen.
        conn.execute("SELECT upc.retire_batch('SOL', 1)")
        assert scalar(conn, "SELECT upc.end_retirement('SOL')") is None
        writer.commit()
    while scalar(conn, "SELECT removed FROM upc.retire_batch('SOL')"):
        pass
    assert scalar(conn, "SELECT upc.end_retirement('SOL')") is not None
    assert counted(conn) == {}


def test_a_build_is_not_cut_off(own_dsn: str, conn: Connection) -> None:
    with open_db(own_dsn) as builder:
        builder.execute("SELECT pg_advisory_lock(upc.build_lock_key('SOL'))")
        assert refusal(conn, "SELECT upc.begin_retirement('SOL')").sqlstate == "55P03"
        builder.execute("SELECT pg_advisory_unlock(upc.build_lock_key('SOL'))")
    conn.execute("SELECT upc.begin_retirement('SOL')")


def test_a_view_of_a_user_is_not_dropped(conn: Connection) -> None:
    if scalar(conn, "SELECT to_regproc('upc.create_named_views') IS NOT NULL"):
        conn.execute("SELECT upc.create_named_views('SOL')")
    conn.execute("CREATE VIEW public.mine AS SELECT * FROM analytics.sol_volatility_baseline")
    before = counted(conn)
    assert refusal(conn, "SELECT upc.begin_retirement('SOL')").sqlstate == "2BP01"
    assert counted(conn) == before
    conn.execute("DROP VIEW public.mine")
    retired(conn)


def test_the_first_symbols_can_go_too(conn: Connection) -> None:
    for symbol in ("BTC", "ETH"):
        conn.execute("SELECT upc.begin_retirement(%s)", (symbol,))
        while scalar(conn, "SELECT removed FROM upc.retire_batch(%s)", symbol):
            pass
        assert scalar(conn, "SELECT upc.end_retirement(%s)", symbol)["symbol"] == 1
        assert counted(conn, symbol) == {}
    assert scalar(conn, "SELECT string_agg(symbol, '') FROM upc_data.symbol") == "SOL"
    # The pool is of those that are left.
    query = (
        "SELECT sample_size FROM upc.fingerprint_curve WHERE symbol = %s AND bucket = 99"
        " ORDER BY minutes"
    )
    assert conn.execute(query, ("*",)).fetchall() == conn.execute(query, ("SOL",)).fetchall()
