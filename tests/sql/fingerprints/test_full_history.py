"""Three real years of BTC and one of ETH: every cell, the size on disk, the way to a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import brute_force
from tests.support.candle_changes import write_candles
from tests.support.engine import (
    Candles,
    Connection,
    assert_equal,
    assert_equal_counts,
    build,
    open_db,
    put,
    read_candles,
    scalar,
    stored_curves,
    stored_histogram,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NEWEST = 2024
MEGABYTE = 1024 * 1024

Histories = dict[str, tuple[Candles, brute_force.Histogram]]


@pytest.fixture(scope="module")
def built(module_dsn: str, shared_data: Path) -> Histories:
    files = {"BTC": "btc_1m_2022_2024.csv.gz", "ETH": "eth_1m_2024.csv.gz"}
    histories: Histories = {}
    with open_db(module_dsn) as connection:
        for symbol, name in files.items():
            candles = read_candles(shared_data / name)
            put(connection, symbol, candles)
            build(connection, symbol)
            histories[symbol] = (candles, brute_force.histogram(candles.minutes, candles.closes))
    return histories


@pytest.fixture
def conn(conn: Connection, built: Histories) -> Connection:
    return conn


def test_every_cell(conn: Connection, built: Histories) -> None:
    assert len(built["BTC"][0].minutes) == 1_578_160
    for symbol, (_, cells) in built.items():
        assert_equal_counts(stored_histogram(conn, symbol), cells)
        found = stored_curves(conn, symbol)
        assert len(found) == 62 * 60
        assert_equal(found, brute_force.curves(cells, NEWEST))


def test_the_pool(conn: Connection, built: Histories) -> None:
    expected = brute_force.pooled((cells, NEWEST) for _, cells in built.values())
    assert_equal(stored_curves(conn, "*"), expected)


def test_a_corrected_day_costs_a_day(conn: Connection, built: Histories) -> None:
    """Every cell ends up as after a whole build."""
    candles, _ = built["ETH"]
    is_hit = candles.minutes % 1000 == 7
    day = (candles.minutes // 1440) == candles.minutes[0] // 1440 + 200
    write_candles(
        conn,
        "DELETE FROM upc_data.candle WHERE symbol = 'ETH' AND opened_at >= %s::date "
        "AND opened_at < %s::date + 1 AND (extract(epoch FROM opened_at)::bigint / 60) %% 1000 = 7",
        ("2024-07-19", "2024-07-19"),
    )
    left = candles.where(~(day & is_hit))
    assert 0 < len(candles.minutes) - len(left.minutes) < 3
    assert 1 <= build(conn, "ETH") <= 2
    expected = brute_force.histogram(left.minutes, left.closes)
    assert_equal_counts(stored_histogram(conn, "ETH"), expected)
    assert_equal(stored_curves(conn, "ETH"), brute_force.curves(expected, NEWEST))


def test_size_on_disk(module_dsn: str, built: Histories) -> None:
    with open_db(module_dsn) as connection:
        # A refresh at another time leaves its old rows behind until they are vacuumed.
        connection.execute("VACUUM upc_data.fingerprint_curve")
        rows = scalar(connection, "SELECT count(*) FROM upc.fingerprint_curve")
        size = scalar(connection, "SELECT pg_total_relation_size('upc_data.fingerprint_curve')")
    assert rows == 125 * 60
    assert size <= 11 * MEGABYTE


def test_one_minute_is_an_index_scan(conn: Connection) -> None:
    [(answer,)] = conn.execute(
        'EXPLAIN (FORMAT JSON) SELECT * FROM analytics."btc_fingerprint_directional_momentum_-27" '
        "WHERE minutes_to_close = 15"
    ).fetchall()
    plan: dict[str, Any] = answer[0]["Plan"]
    text = str(plan)
    assert "Seq Scan" not in text
    assert "'Index Name': 'fingerprint_curve_symbol_origin_bucket_minutes_pkey'" in text
