"""Ticks whose momentum moves on: each is answered by the bucket of its own momentum."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
import pytest

from tests.support import brute_force
from tests.support.engine import Candles, Connection, build, instant, minute, open_db, put
from tests.support.imported import coded, import_set, use
from tests.support.nearest_by_brute_force import Expected

SINCE = "2026-03-02"
START = instant(SINCE)
NOW = instant("2026-11-22T17:20:50")
LEVEL = 40_000.0
# All momentum of a block comes from its last minute: 32 flat ones go before it, so that all six
# earlier prices are the level, and a price of 4 USD more is a basis point more.
BLOCK = 33
STEPS = range(-40, 40)
# The prices that a replay shows in turn, basis points above the step; just no halves, where the
# bucket hangs on the last bit.
QUARTERS = {"opens": 0.25, "lows": 0.0, "highs": 0.75, "closes": 0.4}
SHOWN = {0: "opens", 14: "opens", 15: "lows", 29: "lows", 30: "highs", 44: "highs", 45: "closes"}

FOUND = coded(range(-31, 32), [1, 20, 45], ["0", "0.05", "0.3", "0.8", "1.65", "1.75"])


def stairs() -> Candles:
    """Minutes of which every 33rd jumps, each time a basis point higher than the last time."""
    length = BLOCK * len(STEPS)
    jumps = np.zeros(length)
    jumps[BLOCK - 1 :: BLOCK] = 1
    steps = np.repeat(np.array(STEPS, dtype=np.float64), BLOCK)
    prices = {name: LEVEL + 4 * jumps * (steps + more) for name, more in QUARTERS.items()}
    return Candles(np.arange(length, dtype=np.int64) + minute(SINCE), **prices)


CANDLES = stairs()
SETS = {
    "built": Expected.built(brute_force.fingerprints(CANDLES.minutes, CANDLES.closes)),
    "imported": Expected.imported(FOUND),
}


@dataclass(frozen=True)
class Moment:
    at: datetime
    momentum: float

    @property
    def price(self) -> float:
        return LEVEL + 4 * self.momentum

    @property
    def ttc(self) -> int:
        return 3600 - (60 * self.at.minute + self.at.second)


def moments() -> Iterator[Moment]:
    """Seconds on both sides of every change of the price."""
    for k, step in enumerate(STEPS):
        jump = datetime.fromtimestamp(60 * (minute(SINCE) + BLOCK * k + BLOCK - 1), UTC)
        yield Moment(jump - timedelta(seconds=1), 0)
        for second, quarter in SHOWN.items():
            yield Moment(jump + timedelta(seconds=second), step + QUARTERS[quarter])


@pytest.fixture(scope="module")
def both(module_dsn: str) -> str:
    with open_db(module_dsn) as connection:
        put(connection, "BTC", CANDLES)
        build(connection)
        import_set(connection, FOUND)
    return module_dsn


@pytest.fixture
def conn(conn: Connection, both: str) -> Connection:
    return conn


def tick(conn: Connection, at: datetime) -> tuple[Any, ...]:
    [row] = conn.execute(
        "SELECT tick_id, market_at, price, momentum, ttc_seconds, fingerprint, live_probabilities "
        "FROM upc.tick('BTC', 'replay', %s, replay_from => %s, elapsed => %s)",
        (NOW, START, at - START),
    ).fetchall()
    return row


def two_decimals(value: float) -> float:
    return float(Decimal(f"{value:.15g}").quantize(Decimal("0.01"), ROUND_HALF_UP))


def assert_answered(conn: Connection, expected: Expected, moment: Moment) -> str:
    """The whole of a tick; which fingerprint it was."""
    tick_id, at, price, momentum, ttc, name, document = tick(conn, moment.at)
    assert (at, price, ttc) == (moment.at, pytest.approx(moment.price, abs=1e-9), moment.ttc)
    assert momentum == pytest.approx(moment.momentum, abs=1e-9)
    table = expected.strikes(price, momentum, ttc)
    assert name == expected.name(momentum) == table[0][10]

    [(score, logged_name, strikes, above)] = conn.execute(
        "SELECT momentum, fingerprint, strikes, prob_above FROM upc_data.tick WHERE tick_id = %s",
        (tick_id,),
    ).fetchall()
    assert (score, logged_name) == (momentum, name)
    assert (strikes, above) == ([row[0] for row in table], [row[8] for row in table])

    live = json.loads(document)
    assert (live["fingerprint"], live["fingerprint_csv"]) == (name, f"{name}.csv")
    assert (live["momentum_bps"], live["ttc_seconds"]) == (momentum, ttc)
    published = [
        (row["strike"], row["prob_beyond"], row["positive_prob"], row["negative_prob"])
        for row in live["probabilities"]
    ]
    assert published == [(row[0], *map(two_decimals, (row[4], *row[6:8]))) for row in table]
    return str(name)


@pytest.mark.slow
@pytest.mark.parametrize(("origin", "outermost"), [("built", 30), ("imported", 31)])
def test_a_momentum_that_moves_to_another_bucket_is_answered_from_it_at_once(
    conn: Connection, origin: str, outermost: int
) -> None:
    use(conn, origin)
    names = [assert_answered(conn, SETS[origin], moment) for moment in moments()]
    # From the bottom to the top, and clamped there.
    buckets = range(-outermost, outermost + 1)
    walked = [f"btc_fingerprint_directional_momentum_{bucket:03d}" for bucket in buckets]
    jumps = [name for k, name in enumerate(names) if k % (1 + len(SHOWN))]
    assert list(dict.fromkeys(jumps)) == walked
    assert (jumps[0], jumps[-1]) == (walked[0], walked[-1])
    # A second before each jump nothing has moved.
    assert set(names[:: 1 + len(SHOWN)]) == {walked[outermost]}


def test_a_switch_between_two_ticks(conn: Connection) -> None:
    """The second tick of a minute answers from the other set, and its bucket of that second."""
    chosen = list(moments())[1 :: 4 * (1 + len(SHOWN))]
    for k, moment in enumerate(chosen):
        for seconds, origin in ((0, ("built", "imported")[k % 2]), (15, "imported"), (30, "built")):
            use(conn, origin)
            more = list(QUARTERS.values())[seconds // 15] - QUARTERS["opens"]
            later = Moment(moment.at + timedelta(seconds=seconds), moment.momentum + more)
            assert_answered(conn, SETS[origin], later)


def test_without_momentum_the_baseline_of_the_set_in_use_answers(conn: Connection) -> None:
    at = instant(f"{SINCE}T00:10:50")
    for origin in ("built", "imported", "built"):
        use(conn, origin)
        tick_id, _, price, momentum, ttc, name, _ = tick(conn, at)
        assert (momentum, name) == (None, "btc_fingerprint_directional_baseline")
        query = "SELECT prob_above FROM upc_data.tick WHERE tick_id = %s"
        [(above,)] = conn.execute(query, (tick_id,)).fetchall()
        assert above == [row[8] for row in SETS[origin].strikes(price, None, ttc)]
