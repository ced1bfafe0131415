"""Availability, against a count of its own over the instants of the ticks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.engine import Connection, open_db, scalar
from tests.support.trading import FINE, NOW, Row, put_price, seconds, table, tick

MICRO = timedelta(microseconds=1)
SECOND = seconds(1)


@pytest.fixture(scope="module")
def module_dsn(trading_dsn: str) -> str:
    with open_db(trading_dsn) as connection:
        # Old enough to be the newest price of every test, so that all ticks are halted.
        put_price(connection, FINE, NOW - timedelta(days=30))
    return trading_dsn


@dataclass(frozen=True)
class Count:
    done: int
    missed: int


def missed_at(ticks: Sequence[datetime], until: datetime, every: timedelta) -> list[datetime]:
    """Times at which each missing tick was late by half of its interval.

    After a tick one is due at every interval, up to the next tick or to the end.
    """
    late = []
    for last, following in pairwise([*ticks, until]):
        k = 1
        while last + every * k + every / 2 <= following:
            late.append(last + every * k + every / 2)
            k += 1
    return late


def count(
    ticks: Sequence[datetime], over_last: timedelta, at: datetime, every: timedelta = SECOND
) -> Count | None:
    """Counts by definition: a tick, even a late one, belongs to the window in which it happens."""
    ticks = sorted(when for when in ticks if when <= at)
    if not ticks:
        return None
    since = at - over_last
    late = missed_at(ticks, at, every)
    return Count(sum(when > since for when in ticks), sum(when > since for when in late))


def availability(
    conn: Connection, over_last: timedelta, at: datetime, symbol: str = "BTC"
) -> Count | None:
    [row] = table(conn, "SELECT * FROM upc.availability(%s, %s, %s)", (symbol, over_last, at))
    if row["done"] is None:
        assert set(row.values()) == {None}
        return None
    if row["done"] + row["missed"]:
        share = 100 * Fraction(row["done"], row["done"] + row["missed"])
        assert row["available"] == pytest.approx(float(share), rel=1e-12)
        assert 0 <= row["available"] <= 100
    else:
        assert row["available"] is None
    assert at - over_last <= row["since"] <= at
    assert 0 <= row["answered"] <= row["done"]
    return Count(row["done"], row["missed"])


def tick_at(conn: Connection, *instants: datetime, **more: Any) -> None:
    more.setdefault("levels", 0)
    for at in instants:
        tick(conn, at, **more)


def windows(ticks: Sequence[datetime], seed: int) -> list[tuple[timedelta, datetime]]:
    """At ticks, a hair beside them, in gaps, and with edges that are ticks themselves."""
    dice = random.Random(seed)
    chosen = []
    for _ in range(150):
        at = dice.choice(ticks) + dice.choice([0, 0, 1, -1]) * MICRO
        at += seconds(dice.choice([0, 0, 0.5, 1, 1.5, 2.25, 70, 4000]))
        edge = dice.choice(ticks) + dice.choice([0, 0, 1, -1]) * MICRO
        length = dice.choice([seconds(60), seconds(7.5), timedelta(hours=1), at - edge])
        if length > timedelta(0):
            chosen.append((length, at))
    return chosen


@pytest.mark.parametrize("every", [1, 0.2, 5])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_against_the_definition(conn: Connection, seed: int, every: float) -> None:
    dice = random.Random(seed)
    ticks, at = [], NOW
    for _ in range(120):
        steps = dice.choice([1, 1, 1, 1, 1.3, 0.7, 1.499999, 1.5, 2, 2.6, 4, 40])
        at += seconds(every * steps) + dice.choice([0, 0, 1, -1]) * MICRO
        ticks.append(at)
    tick_at(conn, *ticks, every=seconds(every))
    differing = set()
    for over_last, until in windows(ticks, seed):
        expected = count(ticks, over_last, until, seconds(every))
        assert availability(conn, over_last, until) == expected, (over_last, until)
        differing.add(expected)
    assert len(differing) > 30


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(gap=st.integers(0, 10**8), every=st.integers(1, 10**7))
def test_missed_ticks(conn: Connection, gap: int, every: int) -> None:
    """A gap is round(gap / every) - 1, where half an interval rounds up, and never below zero."""
    expected = max(0, (2 * gap + every) // (2 * every) - 1)
    query = "SELECT upc._missed_ticks(%s, %s, %s)"
    assert scalar(conn, query, NOW, NOW + gap * MICRO, every * MICRO) == expected
    assert scalar(conn, query, NOW, NOW - gap * MICRO, every * MICRO) == 0


def test_a_perfect_minute(conn: Connection) -> None:
    ticks = [NOW + seconds(second) for second in range(100)]
    tick_at(conn, *ticks)
    assert availability(conn, seconds(60), ticks[-1]) == Count(60, 0)
    # A second in which a tick is still due is not missed.
    assert availability(conn, seconds(60), ticks[-1] + seconds(1.4)) == Count(59, 0)
    assert availability(conn, seconds(60), ticks[-1] + seconds(1.5)) == Count(59, 1)
    assert availability(conn, seconds(60), ticks[-1] + seconds(61.4)) == Count(0, 60)
    # A minute without any is nothing at all of it, and not unknown.
    assert scalar(
        conn,
        "SELECT available FROM upc.availability('BTC', '1 min', %s)",
        ticks[-1] + seconds(100),
    ) == pytest.approx(0)


def test_a_younger_log_counts_from_its_first_tick(conn: Connection) -> None:
    ticks = [NOW + seconds(second) for second in (0, 1, 2, 5, 6)]
    tick_at(conn, *ticks)
    assert availability(conn, timedelta(hours=1), ticks[-1]) == Count(5, 2)
    assert (
        scalar(conn, "SELECT since FROM upc.availability('BTC', '1 h', %s)", ticks[-1]) == ticks[0]
    )


def test_without_ticks_it_is_not_known(conn: Connection) -> None:
    assert availability(conn, SECOND, NOW) is None
    tick_at(conn, NOW)
    assert availability(conn, timedelta(hours=1), NOW - MICRO) is None
    assert availability(conn, timedelta(hours=1), NOW, "ETH") is None


def test_every_symbol_counts_its_own(conn: Connection) -> None:
    put_price(conn, FINE, NOW, "ETH")
    for second in range(10):
        tick_at(conn, NOW + seconds(second))
        if second % 3 == 0:
            tick_at(conn, NOW + seconds(second), symbol="ETH")
    assert availability(conn, seconds(60), NOW + seconds(9)) == Count(10, 0)
    assert availability(conn, seconds(60), NOW + seconds(9), "ETH") == Count(4, 6)


def test_other_feeds_in_between_do_not_count(conn: Connection) -> None:
    conn.execute(
        "INSERT INTO upc_data.candle"
        " SELECT 'BTC', %s::timestamptz - i * interval '1 minute', 1e5, 1e5, 1e5, 1e5, 1"
        " FROM generate_series(1, 200) AS i",
        (NOW,),
    )
    live = [NOW + seconds(second) for second in (0, 1, 5, 6)]
    tick_at(conn, *live[:2])
    tick_at(conn, *(NOW + seconds(second) for second in (2, 3)), feed="replay")
    tick_at(conn, NOW + seconds(4), feed="simulated")
    tick_at(conn, *live[2:])
    tick_at(conn, NOW + seconds(7), feed="replay")
    for second in range(1, 12):
        at = NOW + seconds(second)
        expected = count(live, seconds(4), at)
        assert availability(conn, seconds(4), at) == expected
    query = "SELECT done_count, missed_count, answered_count FROM upc_data.tick ORDER BY ticked_at"
    assert conn.execute(query.encode()).fetchall() == [
        (1, 0, 0),
        (2, 0, 0),
        *[(None, None, None)] * 3,
        (3, 3, 0),
        (4, 3, 0),
        (None, None, None),
    ]
    # A symbol that was replayed only has none.
    put_price(conn, FINE, NOW, "ETH")
    tick_at(conn, NOW, symbol="ETH", feed="simulated")
    assert availability(conn, seconds(60), NOW, "ETH") is None


def test_answered(conn: Connection) -> None:
    """Only ticks whose price is not halted have probabilities."""
    put_price(conn, FINE)
    instants = [NOW + seconds(second) for second in (0, 10, 59, 61, 62)]
    tick_at(conn, *instants, every=seconds(10))
    query = "SELECT answered, done FROM upc.availability('BTC', %s, %s)"
    # The first is that of a younger log, and counts; in a shorter window it is the one before.
    assert conn.execute(query, (seconds(600), instants[-1])).fetchall() == [(3, 5)]
    assert conn.execute(query, (seconds(62), instants[-1])).fetchall() == [(2, 4)]
    assert conn.execute(query, (seconds(3), instants[-1])).fetchall() == [(0, 2)]


def test_over_a_restart_and_a_takeover(conn: Connection) -> None:
    """Only the times of ticks count, not their holders."""
    ended: Row = {"lease": timedelta(0)}
    ticks = [NOW + seconds(second) for second in (0, 1, 2, 4.2, 5.2, 20, 21)]
    tick_at(conn, *ticks[:3], holder="one", **ended)
    tick_at(conn, *ticks[3:5], holder="two", **ended)
    tick_at(conn, *ticks[5:], holder="three", **ended)
    for over_last in (1, 2, 5, 10, 16, 19.5, 60):
        at = ticks[-1] + seconds(0.3)
        expected = count(ticks, seconds(over_last), at)
        assert availability(conn, seconds(over_last), at) == expected
    # 1 in the hand-over, 14 in the restart.
    assert availability(conn, seconds(60), ticks[-1]) == Count(7, 15)


def test_another_interval_counts_from_then_on(conn: Connection) -> None:
    """A gap is counted by the interval of the tick that ends it, now by the last one's."""
    slow = [NOW + seconds(10 * k) for k in range(5)]
    quick = [slow[-1] + seconds(k) for k in range(1, 31)]
    tick_at(conn, *slow, every=seconds(10))
    tick_at(conn, *quick)
    assert availability(conn, timedelta(hours=1), quick[-1]) == Count(35, 0)
    assert availability(conn, seconds(25), quick[-1] + seconds(2.5)) == Count(23, 2)
    tick_at(conn, quick[-1] + seconds(20), every=seconds(5))
    assert availability(conn, timedelta(hours=1), quick[-1] + seconds(20)) == Count(36, 3)


@pytest.mark.parametrize("every", ["0", "-1 s", None])
def test_an_interval_of_nothing_is_refused(conn: Connection, every: str | None) -> None:
    tick_at(conn, NOW)
    with pytest.raises(psycopg.IntegrityError), conn.transaction():
        tick_at(conn, NOW + SECOND, every=every)
    assert availability(conn, seconds(60), NOW) == Count(1, 0)


@pytest.mark.parametrize("deleted", [1, 3, 50, 99])
def test_after_the_beginning_of_the_log_was_deleted(conn: Connection, deleted: int) -> None:
    dice = random.Random(9)
    ticks, at = [], NOW
    for _ in range(100):
        at += seconds(dice.choice([1, 1, 1, 2, 3.2]))
        ticks.append(at)
    tick_at(conn, *ticks)
    conn.execute("DELETE FROM upc_data.tick WHERE ticked_at < %s", (ticks[deleted],))
    for over_last in (seconds(5), seconds(60), timedelta(hours=1)):
        for until in (ticks[-1], ticks[-1] + seconds(4.4)):
            expected = count(ticks[deleted:], over_last, until)
            assert availability(conn, over_last, until) == expected


def test_after_the_whole_log_was_deleted(conn: Connection) -> None:
    tick_at(conn, NOW, NOW + SECOND)
    conn.execute("DELETE FROM upc_data.tick")
    assert availability(conn, seconds(60), NOW + SECOND) is None


def test_a_clock_that_is_put_back(conn: Connection) -> None:
    """Ticks of before it lie behind now: they are neither the last ones nor less than none."""
    first = [NOW + seconds(second) for second in range(200)]
    again = [NOW + seconds(second - 0.4) for second in range(100, 110)]
    tick_at(conn, *first, *again)
    for late in (0, 0.4, 1, 5, 30):
        at = again[-1] + seconds(late)
        for over_last in (5, 20, 60, 3600):
            found = availability(conn, seconds(over_last), at)
            assert found is not None
            assert found.missed == len(missed_at(again[-1:], at, SECOND))
            assert found.done >= min(over_last - late, len(again)) - 1


def test_a_clock_that_is_put_forward(conn: Connection) -> None:
    """The instants in between never existed; nothing records that, so they count as missed."""
    ticks = [NOW, NOW + SECOND, NOW + timedelta(hours=1), NOW + timedelta(hours=1, seconds=1)]
    tick_at(conn, *ticks)
    assert availability(conn, seconds(60), ticks[-1]) == count(ticks, seconds(60), ticks[-1])
    assert availability(conn, timedelta(hours=2), ticks[-1]) == Count(4, 3598)


@pytest.mark.parametrize(
    ("since_last", "missed"),
    [(None, 3599), (1, 0), (1.499, 0), (1.5, 1), (10, 9), (3600, 3599), (7200, 3599)],
)
def test_who_ticks_may_know_that_only_the_clock_went_forward(
    conn: Connection, since_last: float | None, missed: int
) -> None:
    """By a clock of its own, and never more than the server's clock says."""
    tick_at(conn, NOW)
    known = None if since_last is None else seconds(since_last)
    tick_at(conn, NOW + timedelta(hours=1), since_last=known)
    assert scalar(conn, "SELECT missed FROM upc_data.tick_count") == missed
    tick_at(conn, NOW + timedelta(hours=1, seconds=1))
    assert scalar(conn, "SELECT missed FROM upc_data.tick_count") == missed
