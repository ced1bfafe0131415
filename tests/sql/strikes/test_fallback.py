"""Fallback to another fingerprint where the history has too little for the requested one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import brute_force
from tests.support.engine import Candles, Connection, build, flat, minute, open_db, put, walk


def jumps(sizes: dict[int, list[int]]) -> Candles:
    """Per size, a minute with that momentum in basis points, and pairs at these distances."""
    minutes, closes = [], []
    for place, (size, distances) in enumerate(sizes.items()):
        start = minute("2026-02-01") + 200 * place
        minutes += [*range(start, start + 31), *(start + 30 + d for d in distances)]
        closes += [10_000.0] * 30 + [10_000.0 + size] * (1 + len(distances))
    return flat(minutes, closes)


@pytest.fixture
def sparse(fresh_db: str) -> Iterator[Connection]:
    """Few buckets with few minutes each."""
    with open_db(fresh_db) as connection:
        put(connection, "BTC", jumps({-20: [7], -4: [5, 20, 50], 2: [5, 9], 10: [40]}))
        build(connection)
        yield connection


def ask(conn: Connection, momentum: float | None, ttc: int, symbol: str = "BTC") -> tuple[str, int]:
    [(name, size)] = conn.execute(
        "SELECT fingerprint, sample_size FROM upc.probability(100000, 100001, %s, %s, %s)",
        (momentum, symbol, ttc),
    ).fetchall()
    return str(name).removeprefix("btc_fingerprint_directional_"), size


@pytest.mark.parametrize(
    ("momentum", "name"),
    [
        *[(-1e6, "-20"), (-31, "-20"), (-12.6, "-20"), (-12.4, "-04"), (-12, "-04"), (-4, "-04")],
        *[(-1.6, "-04"), (-1, "002"), (-0.6, "002"), (0, "002"), (2, "002"), (5.9, "002")],
        *[(6.4, "002"), (6.5, "002"), (6.6, "010"), (30, "010"), (1e6, "010")],
    ],
)
def test_missing_buckets(sparse: Connection, momentum: float, name: str) -> None:
    """Nearest existing one; -12, -1 and 6 are equally far from two, and go towards zero."""
    assert ask(sparse, momentum, 300)[0] == f"momentum_{name}"


def test_missing_minutes_are_passed_over(sparse: Connection) -> None:
    rows = sparse.execute(
        "SELECT curve_bucket, minutes FROM upc.fingerprint_grid WHERE symbol = 'BTC'"
    )
    stored: dict[int, list[int]] = dict(rows.fetchall())
    assert [stored[bucket] for bucket in (-20, -4, 2, 10)] == [[7], [5, 20, 50], [5, 9], [40]]
    # Each row has one pair; give each sample sizes of its own.
    sparse.execute(
        "UPDATE upc_data.fingerprint_histogram SET pairs = pairs + minutes WHERE bucket = -4"
    )
    sparse.execute("SELECT upc.refresh_fingerprints()")
    for ttc, minutes in ((0, 5), (750, 5), (751, 20), (2100, 20), (2101, 50), (9999, 50)):
        assert ask(sparse, -4, ttc) == ("momentum_-04", 1 + minutes)
    for ttc in (0, 420, 3600):
        assert ask(sparse, -25, ttc) == ("momentum_-20", 1)


def test_no_buckets(own: Connection) -> None:
    """Candles five minutes apart have no momentum: the baseline answers, or the pool."""
    put(own, "BTC", flat([minute("2026-02-01") + 5 * k for k in range(20)], [100.0] * 20))
    build(own)
    pool = "pooled_fingerprint_directional_baseline"
    for momentum in (None, 7, -31, 1e6):
        assert ask(own, momentum, 12) == ("baseline", 19)
        assert ask(own, momentum, 450) == ("baseline", 19)
        assert ask(own, momentum, 451) == ("baseline", 18)
        assert ask(own, momentum, 300, "ETH") == (pool, 19)


def test_no_history(own: Connection) -> None:
    """A symbol that is new asks the pool of those that are not, with a step of its own."""
    histories = {"BTC": walk(62, "2026-02-01", 100), "ETH": walk(63, "2026-02-01", 300)}
    for symbol, candles in histories.items():
        put(own, symbol, candles)
        build(own, symbol)
    own.execute("SELECT upc.add_symbol('SOL', 5)")
    rows = own.execute("SELECT * FROM upc.compute_strikes(152, 4, 'SOL', 600, levels => 2)")
    table: list[dict[str, Any]] = [
        dict(zip([column.name for column in rows.description or []], row, strict=True))
        for row in rows
    ]
    assert [row["strike"] for row in table] == [140, 145, 150, 155, 160]
    assert {row["fingerprint"] for row in table} == {"pooled_fingerprint_directional_baseline"}
    assert {row["sample_size"] for row in table} == {90 + 290}
    cells = [brute_force.histogram(each.minutes, each.closes) for each in histories.values()]
    curve = brute_force.pooled((each, 2026) for each in cells)[brute_force.BASELINE, 10]
    # 150 is 1.3158 % below 152: the nearest threshold is 1.30 %.
    assert table[2]["negative_prob"] == curve.negative[26]
    assert table[2]["positive_prob"] == curve.positive[26]


def test_own_history_goes_before_the_pool(own: Connection) -> None:
    put(own, "BTC", jumps({5: [3]}))
    build(own)
    assert ask(own, 5, 180, "ETH")[0] == "pooled_fingerprint_directional_baseline"
    put(own, "ETH", jumps({-9: [3]}))
    build(own, "ETH")
    assert ask(own, 5, 180, "ETH")[0] == "eth_fingerprint_directional_momentum_-09"
    assert ask(own, None, 180, "ETH")[0] == "eth_fingerprint_directional_baseline"


def test_no_momentum_asks_the_baseline(sparse: Connection) -> None:
    assert ask(sparse, None, 420)[0] == "baseline"
    assert ask(sparse, 0, 420)[0] == "momentum_002"
