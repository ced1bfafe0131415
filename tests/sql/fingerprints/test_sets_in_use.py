"""Choice of the set where a symbol has both built and imported fingerprints."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
import pytest

from tests.support.engine import Connection, open_db, scalar
from tests.support.imported import BASELINE, all_views, use
from tests.support.two_sets import (
    CURVES,
    SETS,
    assert_in_use,
    build_and_import,
    fill,
    sets_in_use,
    strikes,
)


@pytest.fixture(scope="module")
def filled(module_dsn: str) -> str:
    """Both symbols have both sets; the built ones answer."""
    with open_db(module_dsn) as connection:
        fill(connection)
        build_and_import(connection)
    return module_dsn


@pytest.fixture
def conn(conn: Connection, filled: str) -> Connection:
    return conn


def test_back_and_forth(conn: Connection) -> None:
    for origin in ("imported", "built", "imported", "imported", "built", "built"):
        assert use(conn, origin, ["BTC"]) == ["BTC"]
        assert_in_use(conn, origin, "built")


def test_several_symbols_change_together(conn: Connection) -> None:
    assert use(conn, "imported", ["ETH", "BTC", "ETH"]) == ["BTC", "ETH"]
    assert_in_use(conn, "imported", "imported")
    assert use(conn, "built", ["ETH"]) == ["ETH"]
    assert_in_use(conn, "imported", "built")
    assert use(conn, "imported", ["ETH"]) == ["ETH"]
    assert use(conn, "built", ["BTC"]) == ["BTC"]
    assert_in_use(conn, "built", "imported")


def test_choosing_again_changes_nothing(conn: Connection) -> None:
    use(conn, "imported")
    query = (
        "SELECT g::text, g.ctid::text FROM upc_data.fingerprint_grid AS g ORDER BY symbol, bucket"
    )
    before = conn.execute(query).fetchall()
    assert len(before) > 5
    use(conn, "imported")
    assert conn.execute(query).fetchall() == before


def test_a_rollback_leaves_everything(conn: Connection) -> None:
    before = strikes(conn), all_views(conn), sets_in_use(conn)
    with conn.transaction(force_rollback=True):
        use(conn, "imported")
        assert strikes(conn) != before[0]
        assert_in_use(conn, "imported", "imported")
    assert (strikes(conn), all_views(conn), sets_in_use(conn)) == before


def test_one_symbol_that_is_refused_keeps_the_others_from_changing(conn: Connection) -> None:
    conn.execute("SELECT upc.add_symbol('SOL', 1)")
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        use(conn, "imported", ["BTC", "SOL", "ETH"])
    assert caught.value.sqlstate == "UP013"
    assert_in_use(conn, "built", "built")


# The set in use, by the views.


def test_the_sets(conn: Connection) -> None:
    use(conn, "imported", ["ETH"])
    rows = conn.execute(
        "SELECT symbol, origin, thresholds, source, is_in_use FROM upc.fingerprint_set "
        "ORDER BY symbol, origin"
    ).fetchall()
    twentieths = [k / 20 for k in range(60)]
    sizes = {symbol: [float(size) for size in each.thresholds] for symbol, each in SETS.items()}
    assert rows == [
        ("*", "built", twentieths, "candles", True),
        ("BTC", "built", twentieths, "candles", True),
        ("BTC", "imported", sizes["BTC"], "a test", False),
        ("ETH", "built", twentieths, "candles", False),
        ("ETH", "imported", sizes["ETH"], "a test", True),
    ]


def test_when_they_were_made(conn: Connection) -> None:
    def pairs(query: bytes) -> dict[str, datetime]:
        return dict(conn.execute(query).fetchall())

    made = pairs(b"SELECT symbol || ' ' || origin, made_at FROM upc.fingerprint_set")
    built = pairs(b"SELECT symbol, completed_at FROM upc_data.fingerprint_build")
    imported = pairs(b"SELECT symbol, imported_at FROM upc_data.fingerprint_import")
    assert made == {
        **{f"{symbol} built": at for symbol, at in built.items()},
        **{f"{symbol} imported": at for symbol, at in imported.items()},
        "* built": max(built.values()),
    }
    # In this order they were made.
    order = [made[name] for name in ("BTC built", "BTC imported", "ETH built", "ETH imported")]
    assert order == sorted(order)
    assert len(set(order)) == 4


@pytest.mark.parametrize("origin", ["built", "imported"])
def test_the_list(conn: Connection, origin: str) -> None:
    """Each fingerprint once for each origin that it has numbers of."""
    use(conn, origin, ["BTC"])
    names = ("fingerprint", "bucket", "origin", "is_in_use", "minutes")
    samples = ("smallest_sample", "largest_sample")
    rows = conn.execute(
        f"SELECT {', '.join((*names, *samples))} FROM upc.fingerprint_list "
        "WHERE symbol = 'BTC' ORDER BY bucket, origin".encode()
    ).fetchall()
    expected: list[tuple[Any, ...]] = []
    for bucket in [*range(-31, 32), BASELINE]:
        name = f"btc_fingerprint_directional_momentum_{bucket:03d}"
        if bucket == BASELINE:
            name = "btc_fingerprint_directional_baseline"
        before = len(expected)
        sizes = [curve.sample_size for (b, _), curve in CURVES["BTC"].items() if b == bucket]
        if sizes:
            counted = (len(sizes), min(sizes), max(sizes))
            expected.append((name, bucket, "built", origin == "built", *counted))
        minutes = sum(b == bucket for b, _ in SETS["BTC"].curves)
        if minutes:
            in_use = origin == "imported"
            expected.append((name, bucket, "imported", in_use, minutes, None, None))
        if len(expected) == before and abs(bucket) <= 30:
            expected.append((name, bucket, None, False, 0, None, None))
    assert rows == expected
    assert len([row for row in rows if row[1] == BASELINE]) == 2


def test_the_list_has_build_times(conn: Connection) -> None:
    made = "SELECT DISTINCT symbol, origin, made_at FROM upc.fingerprint_list WHERE minutes > 0"
    sets = "SELECT symbol, origin, made_at FROM upc.fingerprint_set"
    assert sorted(conn.execute(made).fetchall()) == sorted(conn.execute(sets).fetchall())
    empty = "SELECT count(made_at), count(*) FROM upc.fingerprint_list WHERE minutes = 0"
    [(dated, number)] = conn.execute(empty).fetchall()
    assert (dated, number > 0) == (0, True)


def test_the_grid_names_the_origin(conn: Connection) -> None:
    query = "SELECT array_agg(DISTINCT curve_origin) FROM upc.fingerprint_grid WHERE symbol = 'BTC'"
    for origin in ("imported", "built"):
        use(conn, origin)
        assert scalar(conn, query) == [origin]
