"""Switching between two sets while they are read: every answer is wholly of one of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import cycle, pairwise
from threading import Barrier, Event
from typing import Any

import psycopg
import pytest

from tests.support import brute_force
from tests.support.engine import Connection, build, instant, open_db, put, walk
from tests.support.imported import coded, import_set, use, view_rows
from tests.support.nearest_by_brute_force import NAMES, Expected

SWITCHES = 100
LONGEST = 2.0  # seconds
PRICE = 97_333.0
VIEW = "btc_fingerprint_directional_baseline"

HISTORY = walk(180, "2026-03-02", 1500)
CURVES = brute_force.fingerprints(HISTORY.minutes, HISTORY.closes)
FOUND = coded([-31, -12, -3, 0, 1, 5, 31], [1, 4, 30, 55], ["0.05", "0.12", "0.3", "1", "1.7"])
SETS = {"built": Expected.built(CURVES), "imported": Expected.imported(FOUND)}

# All of them on the grid of neither set.
QUESTIONS = [
    (momentum, ttc) for momentum in (None, -40.0, -11.2, 0.4, 3.6, 33.0) for ttc in (7, 1000, 3333)
]

Rows = list[tuple[Any, ...]]


@pytest.fixture
def both(fresh_db: str) -> Iterator[Connection]:
    """BTC has both sets; the built one answers."""
    with open_db(fresh_db) as connection:
        put(connection, "BTC", HISTORY)
        build(connection)
        import_set(connection, FOUND)
        yield connection


def strikes(conn: Connection, momentum: float | None, ttc: int) -> Rows:
    query = (
        f"SELECT {NAMES} "
        "FROM upc.compute_strikes(%s::float8, %s::float8, ttc_seconds => %s::integer)"
    )
    return conn.execute(query.encode(), (PRICE, momentum, ttc), prepare=True).fetchall()


def tables() -> dict[str, dict[tuple[float | None, int], Rows]]:
    return {
        origin: {question: each.strikes(PRICE, *question) for question in QUESTIONS}
        for origin, each in SETS.items()
    }


def test_the_two_sets_cannot_be_confused() -> None:
    built, imported = (
        {x for row in each.cells.values() for x in (*row.positive, *row.negative)}
        for each in SETS.values()
    )
    assert not built & imported
    for question in QUESTIONS:
        one, other = (table[question] for table in tables().values())
        assert {row[9] for row in other} == {None}
        assert not {row[6] for row in one} & {row[6] for row in other}
        assert len({row[6] for row in other}) > 2


@dataclass
class Reader:
    """Asks again and again until it is stopped, and once more after that."""

    ask: Callable[[int], str]  # the origin that the answer is wholly of
    seen: list[str] = field(default_factory=list)
    longest: float = 0.0

    def run(self, ready: Barrier, stop: Event) -> None:
        is_last = False
        while not is_last:
            is_last = stop.is_set()
            began = time.monotonic()
            self.seen.append(self.ask(len(self.seen)))
            self.longest = max(self.longest, time.monotonic() - began)
            if len(self.seen) == 1:
                ready.wait(30)


def origin_of(found: Any, wanted: dict[str, Any]) -> str:
    [origin] = [name for name, each in wanted.items() if each == found]
    return origin


@contextmanager
def tables_and_view(dsn: str, views: dict[str, Rows]) -> Iterator[Reader]:
    """compute_strikes by itself; and beside a view and the list of sets at one point in time."""
    wanted = tables()
    with open_db(dsn) as alone, open_db(dsn) as together:
        together.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

        def ask(k: int) -> str:
            question = QUESTIONS[k % len(QUESTIONS)]
            expected = {name: each[question] for name, each in wanted.items()}
            if k % 2:
                return origin_of(strikes(alone, *question), expected)
            with together.transaction():
                origin = origin_of(strikes(together, *question), expected)
                assert origin_of(view_rows(together, VIEW), views) == origin
                query = "SELECT origin FROM upc.fingerprint_set WHERE symbol = 'BTC' AND is_in_use"
                assert together.execute(query).fetchall() == [(origin,)]
            return origin

        yield Reader(ask)


@contextmanager
def ticks(dsn: str) -> Iterator[Reader]:
    start = instant("2026-03-09T10:00:30")
    logged = "SELECT strikes, prob_above, fingerprint FROM upc_data.tick WHERE tick_id = %s"
    with open_db(dsn) as conn:

        def ask(k: int) -> str:
            [(tick_id, price, momentum, ttc, document)] = conn.execute(
                "SELECT tick_id, price, momentum, ttc_seconds, live_probabilities "
                "FROM upc.tick('BTC', 'simulated', %s)",
                (start + timedelta(seconds=23 * k),),
                prepare=True,
            ).fetchall()
            [row] = conn.execute(logged, (tick_id,)).fetchall()
            wanted = {}
            for name, each in SETS.items():
                table = each.strikes(price, momentum, ttc)
                wanted[name] = ([r[0] for r in table], [r[8] for r in table], table[0][10])
            assert json.loads(document)["fingerprint_csv"] == f"{row[2]}.csv"
            return origin_of(row, wanted)

        yield Reader(ask)


@pytest.mark.slow
def test_a_hundred_switches_under_readers(fresh_db: str, both: Connection) -> None:
    views = {}
    for origin in ("imported", "built"):
        use(both, origin)
        views[origin] = view_rows(both, VIEW)
    with (
        tables_and_view(fresh_db, views) as one,
        ticks(fresh_db) as other,
        ThreadPoolExecutor(max_workers=2) as pool,
    ):
        ready, stop = Barrier(3), Event()
        futures = [pool.submit(reader.run, ready, stop) for reader in (one, other)]
        try:
            ready.wait(30)
            turns = cycle(("imported", "built"))
            # One more, so that the last answers come from another set than the first.
            for _ in range(SWITCHES + 1):
                use(both, next(turns), ["BTC"])
        finally:
            stop.set()
            ready.abort()
            for future in futures:
                future.result(timeout=30)
    for reader in (one, other):
        assert (reader.seen[0], reader.seen[-1]) == ("built", "imported")
        assert reader.longest < LONGEST
        # Both sets in turn, and not just at the ends.
        changes = sum(a != b for a, b in pairwise(reader.seen))
        assert changes > 3


def test_an_old_connection_sees_the_switch_in_its_next_call(
    fresh_db: str, both: Connection
) -> None:
    """Prepared statements and cached plans know nothing of the set."""
    wanted, question = tables(), (0.4, 1000)
    with open_db(fresh_db) as old, open_db(fresh_db, autocommit=False) as within:
        for origin in ("built", "imported", "built", "imported"):
            use(both, origin)
            for _ in range(8):
                assert strikes(old, *question) == wanted[origin][question]
                # Also amid a transaction that began before it.
                assert strikes(within, *question) == wanted[origin][question]


def test_an_old_snapshot_keeps_its_set(fresh_db: str, both: Connection) -> None:
    wanted, question = tables(), (3.6, 3333)
    with open_db(fresh_db) as old:
        old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with old.transaction():
            assert strikes(old, *question) == wanted["built"][question]
            use(both, "imported")
            assert strikes(old, *question) == wanted["built"][question]
        assert strikes(old, *question) == wanted["imported"][question]


def test_a_set_imported_in_place_of_another_is_seen_at_once(
    fresh_db: str, both: Connection
) -> None:
    """Other buckets, other minutes and another number of thresholds."""
    use(both, "imported")
    with open_db(fresh_db) as old:
        for sizes, minutes in ((["0.2"], [3, 50]), (["0", "0.1", "0.2", "0.4", "0.8", "1.6"], [9])):
            found = coded([-7, 2], minutes, sizes, first=7000)
            import_set(both, found)
            for question in QUESTIONS:
                table = Expected.imported(found).strikes(PRICE, *question)
                assert strikes(old, *question) == table


def test_neither_waits_for_a_switch_that_is_not_committed(fresh_db: str, both: Connection) -> None:
    wanted, question = tables(), (0.4, 1000)
    with open_db(fresh_db, autocommit=False) as switcher:
        use(switcher, "imported")
        both.execute("SET lock_timeout = '100ms'")
        assert strikes(both, *question) == wanted["built"][question]
        tick = "SELECT fingerprint FROM upc.tick('BTC', 'simulated')"
        assert len(both.execute(tick).fetchall()) == 1
        # Another switch does wait.
        with pytest.raises(psycopg.errors.LockNotAvailable):
            use(both, "built")
        switcher.commit()
    assert strikes(both, *question) == wanted["imported"][question]
