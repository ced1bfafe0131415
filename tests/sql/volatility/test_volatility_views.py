"""The named views of standardised moves."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import brute_force
from tests.support.engine import Connection, scalar
from tests.support.volatile_candles import stored_counts, volatile_candles

HISTORY = volatile_candles(120, "2026-03-02", 3 * 1440)
BUCKETS = [*range(-30, 31), 99]


BUILT = {"BTC": HISTORY}


def name(symbol: str, bucket: int) -> str:
    kind = "baseline" if bucket == 99 else f"momentum_{bucket:03d}"
    return f"{symbol}_volatility_{kind}"


def views(conn: Connection, pattern: str) -> set[str]:
    query = "SELECT viewname FROM pg_views WHERE schemaname = 'analytics' AND viewname ~ %s"
    return {found for (found,) in conn.execute(query, (pattern,))}


def test_names(conn: Connection) -> None:
    wanted = {name(symbol, bucket) for symbol in ("btc", "eth") for bucket in BUCKETS}
    assert views(conn, "_volatility_") == wanted
    assert {"btc_volatility_momentum_007", "eth_volatility_momentum_-07"} < wanted


def test_columns(conn: Connection) -> None:
    rows = conn.execute(
        """
        SELECT a.attname, format_type(a.atttypid, a.atttypmod)
        FROM pg_attribute AS a
        WHERE a.attrelid = 'analytics.btc_volatility_momentum_007'::regclass AND a.attnum > 0
        ORDER BY a.attnum
        """
    ).fetchall()
    thresholds = scalar(conn, "SELECT upc.volatility_thresholds()")
    words = [f"{threshold:.3f}".replace(".", "_") for threshold in thresholds]
    assert words[:2] == ["0_000", "0_075"]
    assert words[-1] == "40_000"
    columns = [(f"{side}_{word}", "numeric(5,2)") for word in words for side in ("pos", "neg")]
    assert rows == [("time_to_close", "text"), ("minutes_to_close", "integer"), *columns]


@pytest.mark.parametrize("bucket", [99, 0, 7, -3])
def test_values(conn: Connection, bucket: int) -> None:
    """A bucket's own counts and the baseline's, in the shares of its shrinkage."""
    counts = {key: cell for key, cell in stored_counts(conn).items() if key[1] in (bucket, 99)}
    curves = brute_force.curves(counts, 2026)
    shrinkage: dict[int, float] = dict(
        conn.execute(
            "SELECT minutes, shrinkage FROM upc.volatility_curve "
            "WHERE symbol = 'BTC' AND bucket = %s",
            (bucket,),
        ).fetchall()
    )
    rows = conn.execute(
        f'SELECT * FROM analytics."{name("btc", bucket)}" ORDER BY minutes_to_close'.encode()
    ).fetchall()
    assert [row[:2] for row in rows] == [(f"{m:02d}m TTC", m) for m in range(1, 61)]
    for _, minutes, *values in rows:
        own, base, share = curves[bucket, minutes], curves[99, minutes], shrinkage[minutes]
        assert 0 <= share <= 1
        assert bucket != 99 or share == 1
        for found, mine, theirs in (
            (values[::2], own.positive, base.positive),
            (values[1::2], own.negative, base.negative),
        ):
            wanted = theirs + share * (mine - theirs)
            np.testing.assert_allclose(np.array(found, dtype=float), wanted, atol=0.00501)


def test_effective_sizes_know_that_every_other_minute_is_counted(conn: Connection) -> None:
    """Of a random walk: two indicators k minutes apart have t - k minutes in common."""
    rows = conn.execute(
        "SELECT minutes, sample_size, effective_size, weighted_size FROM upc.volatility_curve "
        "WHERE symbol = 'BTC' AND bucket = 99 ORDER BY minutes"
    ).fetchall()
    assert len(rows) == 60
    for minutes, sample_size, effective_size, weighted_size in rows:
        apart = np.arange(2, minutes, 2)
        overlap = 1 + 2 * (2 / np.pi * np.arcsin(1 - apart / minutes)).sum()
        np.testing.assert_allclose(effective_size, float(sample_size) / overlap, rtol=1e-9)
        np.testing.assert_allclose(weighted_size, sample_size, rtol=1e-12)


def test_a_bucket_that_nothing_was_seen_of_shows_nothing(conn: Connection) -> None:
    seen = {bucket for _, bucket, _ in stored_counts(conn)}
    (unseen, *_) = [bucket for bucket in BUCKETS if bucket not in seen]
    rows = conn.execute(f'SELECT * FROM analytics."{name("btc", unseen)}"'.encode()).fetchall()
    assert len(rows) == 60
    assert all(value is None for row in rows for value in row[2:])


def test_a_new_symbol_gets_its_views(conn: Connection) -> None:
    conn.execute("SELECT upc.add_symbol('SOL', 1, views => true)")
    assert views(conn, "^sol_volatility_") == {name("sol", bucket) for bucket in BUCKETS}
    assert scalar(conn, "SELECT count(*) FROM analytics.sol_volatility_baseline") == 60
    assert scalar(conn, "SELECT upc.create_named_views('SOL')") == 0
