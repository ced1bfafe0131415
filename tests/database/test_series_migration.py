"""Upgrades to and downgrades from the revision of series: no row of a market is lost or written."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from pyupc.database.migrate import downgrade, upgrade
from pyupc.errors import PyupcError
from tests.support.engine import open_db, scalar
from tests.support.trading import load_event

OLD = "0020"
MARKET = {"ticker": "E-B5", "close_time": "2026-06-01T15:00:00Z", "status": "active"}
RANGE = {**MARKET, "strike_type": "between", "floor_strike": 100, "cap_strike": 199.99}


def rows(dsn: str, query: str) -> list[Any]:
    with open_db(dsn) as conn:
        return conn.execute(query.encode()).fetchall()


def run(dsn: str, *statements: str) -> None:
    with open_db(dsn) as conn:
        for each in statements:
            conn.execute(each.encode())


def load_range(dsn: str) -> None:
    document = {"event": {"event_ticker": "E", "series_ticker": "KXBTC", "markets": [RANGE]}}
    with open_db(dsn) as conn:
        conn.execute("SELECT upc.load_market(%s)", (psycopg.types.json.Jsonb(document),))


def test_series_of_an_old_database(fresh_db: str) -> None:
    """Lists of series become rows of their kind; a symbol without markets stays without."""
    downgrade(fresh_db, OLD)
    run(
        fresh_db,
        "UPDATE upc_data.symbol SET fee_multiplier = 0.5, kalshi_series = '{KXBTCD,KXOTHER}'"
        " WHERE symbol = 'BTC'",
        "UPDATE upc_data.symbol SET kalshi_series = NULL WHERE symbol = 'ETH'",
        "INSERT INTO upc_data.symbol (symbol, strike_step, kalshi_series)"
        " VALUES ('SOL', 2, '{KXSOLD}'), ('ADA', 1, '{KXETH15M,KXADAD}')",
    )
    upgrade(fresh_db)
    found = rows(
        fresh_db,
        "SELECT symbol, series, kind, fee_multiplier::float8, settlement FROM upc_data.series"
        " ORDER BY 1, 2",
    )
    assert found == [
        ("ADA", "KXADAD", "above", 1.0, None),
        ("ADA", "KXETH15M", "updown", 1.0, "average"),
        ("BTC", "KXBTC", "range", 0.5, "average"),
        ("BTC", "KXBTC15M", "updown", 0.5, "average"),
        ("BTC", "KXBTCD", "above", 0.5, "average"),
        ("BTC", "KXOTHER", "range", 0.5, None),
        ("SOL", "KXSOL15M", "updown", 1.0, "average"),
        ("SOL", "KXSOLD", "above", 1.0, "average"),
        ("SOL", "KXSOLE", "range", 1.0, "average"),
    ]
    downgrade(fresh_db, OLD)
    query = "SELECT symbol, kalshi_series, fee_multiplier::float8 FROM upc_data.symbol ORDER BY 1"
    assert rows(fresh_db, query) == [
        ("ADA", ["KXADAD"], 1.0),
        ("BTC", ["KXBTCD"], 0.5),
        ("ETH", None, 1.0),
        ("SOL", ["KXSOLD"], 1.0),
    ]


def test_what_comes_with_the_schema_is_what_a_symbol_gets(fresh_db: str) -> None:
    for table in ("upc.known_series()", "upc_data.series"):
        found = rows(
            fresh_db, f"SELECT * FROM {table} WHERE symbol IN ('BTC', 'ETH') ORDER BY 1, 2"
        )
        assert [row[1] for row in found] == [
            *("KXBTC", "KXBTC15M", "KXBTCD", "KXETH", "KXETH15M", "KXETHD")
        ]
    query = "SELECT count(*) FROM (SELECT * FROM upc_data.series EXCEPT TABLE known) AS d"
    with open_db(fresh_db) as conn:
        conn.execute("CREATE TEMPORARY TABLE known AS SELECT * FROM upc.known_series()")
        assert scalar(conn, query) == 0


def test_rows_of_markets_stay_where_they_are(fresh_db: str) -> None:
    """The strike goes on as the lower bound, and no row is written again."""
    with open_db(fresh_db) as conn:
        load_event(conn)
    downgrade(fresh_db, OLD)
    places = "SELECT ctid, xmin, {} FROM upc_data.market_quote ORDER BY ctid"
    before = rows(fresh_db, places.format("strike"))
    assert len(before) == 9
    upgrade(fresh_db)
    assert rows(fresh_db, places.format("lower")) == before
    assert rows(fresh_db, "SELECT DISTINCT upper FROM upc_data.market_quote") == [(None,)]


def test_a_downgrade_that_drops_contracts_is_refused_on_request(fresh_db: str) -> None:
    with open_db(fresh_db) as conn:
        load_event(conn)
    downgrade(fresh_db, OLD, keep_data=True)
    upgrade(fresh_db)
    load_range(fresh_db)
    with pytest.raises(PyupcError) as refusal:
        downgrade(fresh_db, OLD, keep_data=True)
    assert "upc_data.market_quote" in refusal.value.message
    downgrade(fresh_db, OLD)
    assert rows(fresh_db, "SELECT count(*) FROM upc_data.market_quote") == [(9,)]
    upgrade(fresh_db)
    assert rows(fresh_db, "SELECT count(*) FROM upc_data.series") == [(6,)]
