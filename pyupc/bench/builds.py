"""The build of all fingerprints, the day after, and the room that they take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

from pyupc.bench.figures import Row, percentile
from pyupc.bench.scratch import Plan, simulate
from pyupc.database.connect import connect
from pyupc.fingerprints.build import Build
from pyupc.fingerprints.build import build as build_fingerprints
from pyupc.runtime.progress import Progress

# Starting minutes that the plain loop is timed on.
_SAMPLE = 20_000

# Buckets of standardised moves lean on the baseline: sizes are compared, and its curves.
_AGREE = """
    SELECT
        count(*) FILTER (WHERE c.sample_size IS DISTINCT FROM n.sample_size),
        max(greatest(
            (SELECT max(abs(a - b)) FROM unnest(c.positive, n.positive) AS p (a, b)),
            (SELECT max(abs(a - b)) FROM unnest(c.negative, n.negative) AS p (a, b))
        ))
    FROM (
        SELECT 'plain' AS kind, c.bucket, c.minutes, c.sample_size, c.positive, c.negative
        FROM upc.fingerprint_curve AS c
        WHERE c.symbol = 'BTC' AND c.origin = 'built'
        UNION ALL
        SELECT
            'standardised', c.bucket, c.minutes, c.sample_size,
            CASE WHEN c.bucket = 99 THEN c.positive END, CASE WHEN c.bucket = 99 THEN c.negative END
        FROM upc.volatility_curve AS c
        WHERE c.symbol = 'BTC'
    ) AS c
    FULL JOIN (
        SELECT 'plain' AS kind, n.* FROM upc_data.numpy_curve AS n
        UNION ALL
        SELECT 'standardised', n.* FROM upc_data.numpy_volatility AS n
    ) AS n USING (kind, bucket, minutes)
"""

_DISK = """
    SELECT
        pg_total_relation_size('upc_data.fingerprint_curve'),
        pg_indexes_size('upc_data.fingerprint_curve'),
        pg_total_relation_size('upc_data.candle'),
        (SELECT count(*) FROM upc.fingerprint_curve)
"""


def build(plan: Plan, done: Build) -> Iterator[Row]:
    """`done` is the build of BTC that the run began with."""
    from pyupc.bench import loop_build, numpy_build

    (btc,) = done.results
    with connect(plan.dsn) as conn:
        began = time.perf_counter()
        pairs = numpy_build.build(conn)
        numpy_seconds = time.perf_counter() - began
        row = conn.execute(_AGREE).fetchone()
        assert row is not None
        differing, furthest = row
        conn.execute("DROP TABLE upc_data.numpy_curve, upc_data.numpy_volatility")
        rows = conn.execute(
            "SELECT close FROM upc_data.candle WHERE symbol = 'BTC' ORDER BY opened_at LIMIT %s",
            [_SAMPLE + loop_build.MARGIN],
        ).fetchall()
    closes = [close for (close,) in rows]
    sample = len(closes) - loop_build.MARGIN
    loop_seconds = loop_build.seconds_a_start(closes) * pairs / 60
    agrees = differing == 0 and furthest < 1e-9
    what = f"build of {btc.fingerprints} fingerprints, {pairs / 1e6:.1f} M pairs, " + (
        "two connections" if done.is_shared else "one connection"
    )
    details = {
        "pairs": pairs,
        "days": btc.days_in_all,
        "same_pairs": pairs == btc.pairs_in_all,
        "agrees": agrees,
    }
    yield Row(
        "build_numpy",
        what,
        done.seconds,
        "s",
        "vectorised numpy, one process",
        numpy_seconds,
        "it reads candles and fit, counts both kinds of moves and writes back; "
        + ("tables agree" if agrees else f"{differing} rows differ, by up to {furthest}"),
        details,
    )
    yield Row(
        "build_loop",
        what,
        done.seconds,
        "s",
        "a plain Python loop, extrapolated",
        loop_seconds,
        f"{sample:,} starting minutes were timed; the counting alone",
        {**details, "sampled": sample},
    )


def day(plan: Plan, done: Build) -> Iterator[Row]:
    """One more day of both symbols, each on a connection of its own."""
    symbols = ["BTC", "ETH"]
    times = []
    with connect(plan.dsn) as conn:
        row = conn.execute(
            "SELECT max(c.opened_at) FROM upc_data.candle AS c WHERE c.symbol = 'BTC'"
        ).fetchone()
        assert row is not None
        last = row[0] + timedelta(minutes=1)
        for _ in range(plan.rounds(7, 2)):
            for symbol in symbols:
                simulate(conn, symbol, last, last + timedelta(days=1))
            last += timedelta(days=1)
            began = time.perf_counter()
            build_fingerprints(plan.dsn, symbols, Progress())
            times.append(time.perf_counter() - began)
    yield Row(
        "day",
        "one more day of two symbols: counted, and their curves refreshed",
        percentile(times, 0.5),
        "s",
        "the whole build",
        done.seconds,
        f"p50 of {len(times)} days, with connecting; slowest {max(times):.2f} s",
        {"seconds": times},
    )


def disk(plan: Plan) -> Iterator[Row]:
    with connect(plan.dsn) as conn:
        conn.execute("VACUUM upc_data.fingerprint_curve")
        row = conn.execute(_DISK).fetchone()
    assert row is not None
    total, index, candles, rows = row
    yield Row(
        "disk",
        "curves on disk with their index",
        total / 1e6,
        "MB",
        "the candles",
        candles / 1e6,
        f"{rows:,} rows, with what earlier refreshes left behind; the index {index / 1e6:.2f} MB",
        {"index": index / 1e6, "rows": rows},
    )
