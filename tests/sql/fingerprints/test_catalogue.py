"""The 125 named views: their names, columns and values, and how they change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
import pytest
from psycopg import sql

from tests.support import brute_force
from tests.support.engine import Connection, build, open_db, put, walk

BUCKETS = [f"momentum_{k:03d}" for k in range(-30, 31)]
NAMES = {
    f"{symbol}_fingerprint_directional_{kind}"
    for symbol in ("btc", "eth")
    for kind in ["baseline", *BUCKETS]
} | {"pooled_fingerprint_directional_baseline"}
COLUMNS = [
    f"{direction}_{cents // 100}_{cents % 100:02d}"
    for cents in range(0, 300, 5)
    for direction in ("pos", "neg")
]
# Long enough for most buckets, and an evening so short that late minutes have no pair.
BTC = walk(50, "2025-12-31T12:00", 2000)
ETH = walk(51, "2026-01-05", 45, price=2500)


BUILT = {"BTC": BTC, "ETH": ETH}


def view_names(conn: Connection) -> set[str]:
    query = "SELECT viewname FROM pg_views WHERE schemaname = 'analytics'"
    return {name for (name,) in conn.execute(query) if "_fingerprint_directional_" in name}


def rows_of(conn: Connection, view: str) -> list[tuple[Any, ...]]:
    query = sql.SQL("SELECT * FROM {} ORDER BY minutes_to_close")
    return conn.execute(query.format(sql.Identifier("analytics", view))).fetchall()


def two_decimals(value: float) -> Decimal:
    return Decimal(f"{value:.15g}").quantize(Decimal("0.01"), ROUND_HALF_UP)


def expected_rows(curves: brute_force.Curves, bucket: int) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for minutes in range(1, 61):
        curve = curves.get((bucket, minutes))
        values: list[Decimal | None] = [None] * 120
        if curve is not None:
            pairs = np.stack([curve.positive, curve.negative], axis=1)
            values = [two_decimals(value) for value in pairs.ravel().tolist()]
        rows.append((f"{minutes:02d}m TTC", minutes, *values))
    return rows


def test_names(conn: Connection) -> None:
    assert len(NAMES) == 125
    assert view_names(conn) == NAMES
    for name in (
        "btc_fingerprint_directional_momentum_007",
        "btc_fingerprint_directional_momentum_000",
        "eth_fingerprint_directional_momentum_-27",
        "pooled_fingerprint_directional_baseline",
    ):
        assert name in NAMES
    catalogue = conn.execute("SELECT fingerprint FROM upc.fingerprint_catalogue").fetchall()
    assert sorted(name for (name,) in catalogue) == sorted(NAMES)


def test_columns(conn: Connection) -> None:
    assert COLUMNS[:4] == ["pos_0_00", "neg_0_00", "pos_0_05", "neg_0_05"]
    assert COLUMNS[-2:] == ["pos_2_95", "neg_2_95"]
    assert len(COLUMNS) == 120
    expected = [("time_to_close", "text"), ("minutes_to_close", "integer")]
    expected += [(column, "numeric(5,2)") for column in COLUMNS]
    for name in NAMES:
        columns = conn.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
            (f'analytics."{name}"',),
        )
        assert columns.fetchall() == expected


@pytest.mark.parametrize(("symbol", "candles"), [("btc", BTC), ("eth", ETH)])
def test_values(conn: Connection, symbol: str, candles: Any) -> None:
    curves = brute_force.fingerprints(candles.minutes, candles.closes)
    for bucket in range(-30, 31):
        view = f"{symbol}_fingerprint_directional_momentum_{bucket:03d}"
        assert rows_of(conn, view) == expected_rows(curves, bucket)
    baseline = rows_of(conn, f"{symbol}_fingerprint_directional_baseline")
    assert baseline == expected_rows(curves, brute_force.BASELINE)


def test_values_of_the_pool(conn: Connection) -> None:
    cells = [brute_force.histogram(each.minutes, each.closes) for each in (BTC, ETH)]
    curves = brute_force.pooled((each, 2026) for each in cells)
    pool = rows_of(conn, "pooled_fingerprint_directional_baseline")
    assert pool == expected_rows(curves, brute_force.BASELINE)


def test_no_pair_is_no_number(conn: Connection) -> None:
    """45 candles have pairs up to 44 minutes apart."""
    rows = rows_of(conn, "eth_fingerprint_directional_baseline")
    assert len(rows) == 60
    assert [row[0] for row in rows][::59] == ["01m TTC", "60m TTC"]
    for _, minutes, *values in rows:
        assert (None in values) == (minutes > 44)
        assert (set(values) == {None}) == (minutes > 44)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes(inner)


@pytest.mark.parametrize("is_analyzed", [False, True])
@pytest.mark.parametrize(
    "name", ["btc_fingerprint_directional_momentum_-27", "pooled_fingerprint_directional_baseline"]
)
def test_one_minute_is_an_index_scan(conn: Connection, is_analyzed: bool, name: str) -> None:
    if is_analyzed:
        conn.execute("ANALYZE upc_data.fingerprint_curve, upc_data.fingerprint_grid")
    query = sql.SQL("EXPLAIN (FORMAT JSON) SELECT * FROM {} WHERE minutes_to_close = 15")
    [(answer,)] = conn.execute(query.format(sql.Identifier("analytics", name))).fetchall()
    scans = [node for node in nodes(answer[0]["Plan"]) if "Scan" in node["Node Type"]]
    assert "Seq Scan" not in [node["Node Type"] for node in scans]
    indexes = [node["Index Name"] for node in scans if "Index Name" in node]
    # The grid knows the set in use; the pool has only one.
    grid = [] if name.startswith("pooled") else ["fingerprint_grid_symbol_bucket_pkey"]
    assert indexes == [*grid, "fingerprint_curve_symbol_origin_bucket_minutes_pkey"]
    [(_, minutes, *_)] = conn.execute(
        sql.SQL("SELECT * FROM {} WHERE minutes_to_close = 15").format(
            sql.Identifier("analytics", name)
        )
    ).fetchall()
    assert minutes == 15


def test_all_change_together_on_commit(fresh_db: str, own: Connection) -> None:
    def all_values() -> dict[str, list[tuple[Any, ...]]]:
        return {name: rows_of(own, name) for name in sorted(NAMES)}

    empty = all_values()
    assert {value for rows in empty.values() for row in rows for value in row[2:]} == {None}
    with open_db(fresh_db, autocommit=False) as builder:
        for symbol, candles in (("BTC", BTC), ("ETH", ETH)):
            put(builder, symbol, candles)
            build(builder, symbol)
        assert all_values() == empty
        builder.commit()
    found = all_values()
    curves = brute_force.fingerprints(BTC.minutes, BTC.closes)
    for bucket in range(-30, 31):
        view = f"btc_fingerprint_directional_momentum_{bucket:03d}"
        assert found[view] == expected_rows(curves, bucket)
    changed = {name for name in NAMES if found[name] != empty[name]}
    assert "eth_fingerprint_directional_baseline" in changed
    assert "pooled_fingerprint_directional_baseline" in changed


def test_a_new_symbol_brings_its_views_on_request(conn: Connection) -> None:
    conn.execute("SELECT upc.add_symbol('SOL', 1, views => true)")
    sol = {f"sol_fingerprint_directional_{kind}" for kind in ["baseline", *BUCKETS]}
    assert len(sol) == 62
    assert view_names(conn) == NAMES | sol
    candles = walk(52, "2026-01-05", 100, price=150)
    put(conn, "SOL", candles)
    build(conn, "SOL")
    curves = brute_force.fingerprints(candles.minutes, candles.closes)
    rows = rows_of(conn, "sol_fingerprint_directional_baseline")
    assert rows == expected_rows(curves, brute_force.BASELINE)


@pytest.mark.parametrize("symbol", ["BTC", "ETH"])
def test_the_function_has_the_columns_and_numbers_of_the_view(
    conn: Connection, symbol: str
) -> None:
    columns = ", ".join(["time_to_close", "minutes_to_close", *COLUMNS])
    query = f"SELECT fingerprint, {columns} FROM upc.fingerprint(%s, %s)"
    seen = 0
    for bucket in [*range(-30, 31), 99]:
        kind = "baseline" if bucket == 99 else f"momentum_{bucket:03d}"
        view = f"{symbol.lower()}_fingerprint_directional_{kind}"
        found = {
            row[2]: row[1:]
            for row in conn.execute(query.encode(), (symbol, bucket)).fetchall()
            if row[0] == view
        }
        seen += len(found)
        nothing: list[None] = [None] * 120
        assert rows_of(conn, view) == [
            found.get(minutes, (f"{minutes:02d}m TTC", minutes, *nothing))
            for minutes in range(1, 61)
        ]
    assert seen > 100


def test_a_query_shows_what_the_view_would(conn: Connection) -> None:
    conn.execute("SELECT upc.add_symbol('SOL', 1)")
    put(conn, "SOL", walk(52, "2026-01-05", 100, price=150))
    build(conn, "SOL")
    names = [
        f"sol_{kind}_{which}"
        for kind in ("fingerprint_directional", "volatility")
        for which in ("baseline", "momentum_-02")
    ]
    found = []
    for name in names:
        [(query,)] = conn.execute("SELECT upc.named_view_query(%s)", (name,)).fetchall()
        found.append(conn.execute(query).fetchall())
        assert len(found[-1]) == 60
    assert view_names(conn) == NAMES
    conn.execute("SELECT upc.create_named_views('SOL')")
    assert [rows_of(conn, name) for name in names] == found
    unknown = conn.execute("SELECT upc.named_view_query('doge_fingerprint_directional_baseline')")
    assert unknown.fetchall() == [(None,)]


def test_new_views_belong_to_the_engine(conn: Connection) -> None:
    """Otherwise the next upgrade would take them for somebody else's and refuse."""
    conn.execute("SELECT upc.add_symbol('SOL', 1, views => true)")
    missing = conn.execute(
        "SELECT c.identity FROM upc.engine_object_candidates() AS c "
        "EXCEPT SELECT o.identity FROM upc_data.engine_object AS o"
    )
    assert missing.fetchall() == []


def test_two_symbols_of_one_statement(conn: Connection) -> None:
    conn.execute("SELECT upc.add_symbol('SOL', 1, views => true), upc.add_symbol('XRP', 2)")
    assert len(view_names(conn)) == 125 + 62
    strikes = conn.execute(
        "SELECT strike FROM upc.compute_strikes(10.2, symbol => 'XRP', levels => 1)"
    )
    assert strikes.fetchall() == [(8.0,), (10.0,), (12.0,)]
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert conn.execute("SELECT upc.simulated_price('SOL', %s)", (at,)).fetchone()
