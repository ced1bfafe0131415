"""compute_strikes and probability on imported fingerprints: all columns, and what is refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import psycopg
import pytest

from tests.support import brute_force
from tests.support.engine import Connection, build, open_db, put, scalar, walk
from tests.support.imported import coded, import_set, use
from tests.support.nearest_by_brute_force import NAMES, Expected, Question, ask

FOUND = coded([-31, -12, -11, 0, 7, 31], [1, 15, 60], ["0", "0.05", "0.25", "1.65", "1.75", "2.5"])
EXPECTED = Expected.imported(FOUND)
ONLY_BASELINE = coded([], [5, 50], ["0.1", "0.2"])

Row = tuple[Any, ...]


@pytest.fixture(scope="module")
def imported(module_dsn: str) -> str:
    with open_db(module_dsn) as connection:
        import_set(connection, FOUND)
    return module_dsn


@pytest.fixture
def conn(conn: Connection, imported: str) -> Connection:
    return conn


def strikes(conn: Connection, price: float, **arguments: Any) -> list[Row]:
    named = "".join(f", {name} => %({name})s" for name in arguments)
    query = f"SELECT {NAMES} FROM upc.compute_strikes(%(price)s{named})"
    return conn.execute(query.encode(), {"price": price, **arguments}).fetchall()


def test_by_hand(conn: Connection) -> None:
    """15 minutes to close and a momentum of 6.6: bucket 7. 97,000 and three steps from it."""
    up, down = ([float(x) for x in side] for side in FOUND.curves[7, 15])
    name = "btc_fingerprint_directional_momentum_007"
    # 1510 below is 1.557 %, nearest to 1.65 %; 10 is 0.0103 %: none at all; 1490 above is 1.536 %.
    expected = []
    for strike, buffer, column in ((95_500, 1510, 3), (97_000, 10, 0), (98_500, 1490, 3)):
        positive, negative = up[column], down[column]
        is_above = strike > 97_010
        beyond = positive if is_above else negative
        expected.append(
            (
                *(strike, buffer, 100 * buffer / 97_010, "above" if is_above else "below"),
                *(beyond, 100 - beyond, positive, negative),
                *(positive if is_above else 100 - negative, None, name),
            )
        )
    found = strikes(conn, 97_010, momentum=6.6, ttc_seconds=900, step=500, levels=3)
    assert [row[0] for row in found] == [95_500 + 500.0 * k for k in range(7)]
    assert [found[0], found[3], found[6]] == expected


def test_all_columns(conn: Connection) -> None:
    dice = np.random.default_rng(64)
    for price, momentum, ttc, step, levels in zip(
        dice.uniform(300, 200_000, 60).tolist(),
        dice.uniform(-60, 60, 60).tolist(),
        dice.integers(0, 4000, 60).tolist(),
        dice.choice([0.5, 20, 100, 250, 3000], 60).tolist(),
        dice.choice([0, 1, 10, 60], 60).tolist(),
        strict=True,
    ):
        for score in (momentum, None):
            found = strikes(conn, price, momentum=score, ttc_seconds=ttc, step=step, levels=levels)
            assert found == EXPECTED.strikes(price, score, ttc, step=step, levels=levels)


def test_the_symbols_own_step(conn: Connection) -> None:
    import_set(conn, ONLY_BASELINE, "ETH")
    expected = Expected.imported(ONLY_BASELINE, "eth").strikes(3410.5, 4, 1651, step=20)
    assert strikes(conn, 3410.5, momentum=4, symbol="ETH", ttc_seconds=1651) == expected
    assert len(expected) == 21
    assert {row[9] for row in expected} == {None}
    assert {row[10] for row in expected} == {"eth_fingerprint_directional_baseline"}


def test_time_to_close_defaults_to_the_next_full_hour(conn: Connection) -> None:
    default, given = conn.execute(
        """
        SELECT
            (SELECT positive_prob FROM upc.compute_strikes(97250, levels => 0)),
            (SELECT positive_prob FROM upc.compute_strikes(
                97250, levels => 0, ttc_seconds => upc._seconds_to_hour(statement_timestamp())))
        """
    ).fetchall()[0]
    assert default == given


def test_a_set_may_have_no_buckets(conn: Connection) -> None:
    import_set(conn, ONLY_BASELINE)
    expected = Expected.imported(ONLY_BASELINE)
    for momentum in (None, 0, 7, -98, 1e6):
        found = strikes(conn, 97_250, momentum=momentum, ttc_seconds=1650)
        assert found == expected.strikes(97_250, momentum, 1650)


def test_without_a_baseline_the_pool_answers_where_no_momentum_is_given(conn: Connection) -> None:
    """Buckets of an imported set answer; the pool is of built fingerprints, and its own."""
    found = coded([-3, 8], [5, 30], ["0.1", "0.4"], with_baseline=False)
    import_set(conn, found)
    assert strikes(conn, 97_250, momentum=2, ttc_seconds=0) == Expected.imported(found).strikes(
        97_250, 2, 0
    )
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        strikes(conn, 97_250)
    assert caught.value.sqlstate == "UP006"
    candles = walk(65, "2026-02-01", 200, price=3000)
    put(conn, "ETH", candles)
    build(conn, "ETH")
    pool = brute_force.pooled([(brute_force.histogram(candles.minutes, candles.closes), 2026)])
    expected = Expected.built(pool, "pooled").strikes(97_250, None, 1200)
    assert strikes(conn, 97_250, ttc_seconds=1200) == expected


def test_imported_sets_never_enter_the_pool(conn: Connection) -> None:
    candles = walk(66, "2026-02-01", 200)
    put(conn, "BTC", candles)
    build(conn)
    pool = brute_force.pooled([(brute_force.histogram(candles.minutes, candles.closes), 2026)])
    expected = Expected.built(pool, "pooled").strikes(3000, None, 700, step=20)
    assert expected[0][9] == 188
    for origin in ("imported", "built", "imported"):
        use(conn, origin)
        assert strikes(conn, 3000, momentum=5, symbol="ETH", ttc_seconds=700) == expected


@pytest.mark.parametrize("momentum", [None, 5])
def test_another_symbols_set_answers_for_nobody_else(
    conn: Connection, momentum: float | None
) -> None:
    for query in ("compute_strikes(3000", "probability(3000, 3020"):
        with pytest.raises(psycopg.Error) as caught, conn.transaction():
            conn.execute(
                f"SELECT * FROM upc.{query}, momentum => %s, symbol => 'ETH')".encode(), (momentum,)
            )
        assert caught.value.sqlstate == "UP006"
        assert caught.value.diag.message_detail
        assert caught.value.diag.message_hint


@pytest.mark.parametrize(
    ("sqlstate", "wrong"),
    [
        ("UP001", {"price": 0}),
        ("UP001", {"price": float("nan")}),
        ("UP002", {"symbol": "XYZ"}),
        ("UP002", {"symbol": None}),
        ("UP003", {"step": -1}),
        ("UP004", {"levels": 501}),
        ("UP005", {"method": "cubic"}),
        ("UP007", {"momentum": float("inf")}),
        ("UP008", {"ttc_seconds": -1}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_what_is_refused_does_not_depend_on_the_origin(
    conn: Connection, sqlstate: str, wrong: dict[str, Any]
) -> None:
    with pytest.raises(psycopg.Error) as caught:
        strikes(conn, **{"price": 97_250, **wrong})
    assert caught.value.sqlstate == sqlstate
    assert caught.value.diag.message_hint


def test_hot_swap_of_buckets(conn: Connection) -> None:
    """Momentum changes from call to call; the bucket of each call's own momentum answers."""
    found = coded(range(-31, 32), [1, 7, 30], ["0.05", "0.1", "0.3", "0.35", "1"])
    import_set(conn, found)
    expected = Expected.imported(found)
    walked = [k / 4 for k in range(-160, 161)]
    seen: list[str] = []
    for momentum in [*walked, *reversed(walked)]:
        ttc = int(1000 + 13 * momentum)
        table = strikes(conn, 97_310, momentum=momentum, ttc_seconds=ttc)
        assert table == expected.strikes(97_310, momentum, ttc)
        seen.append(table[0][10])
    # Of 63 buckets each is left for the next one, on the way up and on the way down.
    changes = sum(one != other for one, other in pairwise(seen))
    assert changes == 2 * 62
    assert seen[0].endswith("-31")
    assert seen[len(walked)].endswith("_031")


def test_probability_and_strikes_are_one_answer(conn: Connection) -> None:
    dice = np.random.default_rng(67)
    cases = [
        Question(strike, momentum, ttc)
        for strike, momentum, ttc in zip(
            dice.uniform(96_000, 104_000, 300).tolist(),
            dice.uniform(-40, 40, 300).tolist(),
            dice.integers(0, 3700, 300).tolist(),
            strict=True,
        )
    ]
    answers = ask(conn, cases)
    assert answers == [EXPECTED.answer(question) for question in cases]
    query = "SELECT prob_above FROM upc.compute_strikes(100000, %s, 'BTC', %s, %s, 0)"
    for question, answer in zip(cases[:50], answers[:50], strict=True):
        # A step of the strike itself makes it the nearest multiple.
        assert scalar(conn, query, question.momentum, question.ttc, question.strike) == answer.above
