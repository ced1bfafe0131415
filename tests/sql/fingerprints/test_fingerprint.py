"""`fingerprint(symbol, bucket)`: the rows of the fingerprint that answers for a bucket."""

from __future__ import annotations

import psycopg
import pytest

from tests.support.engine import Connection, open_db
from tests.support.imported import BASELINE, use
from tests.support.two_sets import CURVES, SETS, build_and_import, fill

THRESHOLDS = [k / 20 for k in range(60)]


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


@pytest.mark.parametrize("symbol", ["BTC", "ETH"])
@pytest.mark.parametrize("bucket", [None, BASELINE, -3, 0, 2])
def test_rows_of_a_built_fingerprint(conn: Connection, symbol: str, bucket: int | None) -> None:
    """Each minute that has a pair equals a brute-force count."""
    wanted = BASELINE if bucket is None else bucket
    expected = {minutes: curve for (own, minutes), curve in CURVES[symbol].items() if own == wanted}
    rows = conn.execute(
        "SELECT minutes, thresholds, positive, negative, sample_size, fingerprint "
        "FROM upc.fingerprint(%s, %s)",
        (symbol, bucket),
    ).fetchall()
    kind = "baseline" if wanted == BASELINE else f"momentum_{wanted:03d}"
    assert [row[0] for row in rows] == sorted(expected)
    assert len(rows) > 10
    for minutes, thresholds, positive, negative, sample_size, name in rows:
        assert thresholds == THRESHOLDS
        assert positive == expected[minutes].positive.tolist()
        assert negative == expected[minutes].negative.tolist()
        assert sample_size == expected[minutes].sample_size
        assert name == f"{symbol.lower()}_fingerprint_directional_{kind}"


@pytest.mark.parametrize(
    ("bucket", "answers"),
    [(-98, -31), (-31, -31), (-20, -9), (-4, 0), (2, 0), (3, 4), (200, 31), (None, BASELINE)],
)
def test_nearest_bucket_of_an_imported_set(
    conn: Connection, bucket: int | None, answers: int
) -> None:
    """On a tie the one nearer to zero."""
    use(conn, "imported", ["BTC"])
    rows = conn.execute(
        "SELECT minutes, thresholds, positive, negative, sample_size, effective_size "
        "FROM upc.fingerprint('BTC', %s)",
        (bucket,),
    ).fetchall()
    expected = {
        minutes: tuple([float(number) for number in way] for way in curve)
        for (own, minutes), curve in SETS["BTC"].curves.items()
        if own == answers
    }
    assert rows == [
        (minutes, [0.05, 0.4, 1.7], *expected[minutes], None, None) for minutes in (5, 20, 55)
    ]


def test_pool_for_a_symbol_without_history(conn: Connection) -> None:
    conn.execute("SELECT upc.add_symbol('XRP', 0.01)")
    query = "SELECT count(*), min(fingerprint) FROM upc.fingerprint('XRP', 5)"
    assert conn.execute(query).fetchone() == (60, "pooled_fingerprint_directional_baseline")


@pytest.mark.parametrize("symbol", ["NONE", "btc", "*", None])
def test_unknown_symbol(conn: Connection, symbol: str | None) -> None:
    with pytest.raises(psycopg.Error) as raised:
        conn.execute("SELECT FROM upc.fingerprint(%s)", (symbol,))
    assert raised.value.sqlstate == "UP002"


def test_nothing_to_answer(db: Connection) -> None:
    with pytest.raises(psycopg.Error) as raised:
        db.execute("SELECT FROM upc.fingerprint('BTC', 7)")
    assert raised.value.sqlstate == "UP006"
