"""The build: additive, correctable, and in the end what a build in one go makes."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.candle_changes import write_candles
from tests.support.engine import (
    NIGHTS,
    Candles,
    Connection,
    assert_up_to_date,
    build,
    everything,
    flat,
    minute,
    put,
    stored_candles,
    walk,
)

# Each example builds several times; the fixture is safe to share since every example rolls back.
PROPERTY = settings(
    max_examples=12,
    deadline=None,
    # Without shrinking, which would build for minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

SIZE = len(NIGHTS.minutes)
cuts = st.lists(st.integers(1, SIZE - 1), max_size=4, unique=True).map(sorted)


def built_at_once(conn: Connection, candles: Candles) -> list[list[tuple[str]]]:
    """The state after a build of a whole history; nothing of it stays."""
    with conn.transaction(force_rollback=True):
        put(conn, "BTC", candles)
        build(conn)
        return everything(conn)


def pieces(ends: list[int]) -> list[Candles]:
    places = np.arange(SIZE)
    bounds = zip([0, *ends], [*ends, SIZE], strict=True)
    return [NIGHTS.where((places >= first) & (places < end)) for first, end in bounds]


@pytest.mark.slow
@PROPERTY
@given(ends=cuts, data=st.data())
def test_in_pieces_in_any_order(conn: Connection, ends: list[int], data: st.DataObject) -> None:
    parts = data.draw(st.permutations(pieces(ends)))
    builds = data.draw(st.lists(st.booleans(), min_size=len(parts), max_size=len(parts)))
    expected = built_at_once(conn, NIGHTS)
    with conn.transaction(force_rollback=True):
        for part, is_built in zip(parts, builds, strict=True):
            put(conn, "BTC", part)
            if is_built:
                build(conn)
        build(conn)
        assert everything(conn) == expected
        assert_up_to_date(conn, NIGHTS)


CHANGES = {
    "delete": "DELETE FROM upc_data.candle WHERE opened_at BETWEEN %(first)s AND %(last)s",
    "correct": """
        UPDATE upc_data.candle
        SET close = round((close * 1.001)::numeric, 2),
            high = greatest(high, round((close * 1.001)::numeric, 2))
        WHERE opened_at BETWEEN %(first)s AND %(last)s
        """,
    "move": """
        UPDATE upc_data.candle SET opened_at = opened_at + interval '5 days'
        WHERE opened_at BETWEEN %(first)s AND %(last)s
        """,
    "upsert": """
        INSERT INTO upc_data.candle
        SELECT 'BTC', at, 1, 41000, 1, 41000, 0
        FROM generate_series(%(first)s, %(last)s, interval '1 minute') AS at
        ON CONFLICT ON CONSTRAINT candle_symbol_opened_at_pkey DO UPDATE
        SET high = excluded.high, low = excluded.low, close = excluded.close
        """,
}


def change(conn: Connection, kind: str, first: int, length: int) -> None:
    """Do something to the candles from one place of NIGHTS to another."""
    last = min(SIZE - 1, first + length)
    bounds = (datetime.fromtimestamp(60 * int(NIGHTS.minutes[k]), UTC) for k in (first, last))
    write_candles(conn, CHANGES[kind], dict(zip(("first", "last"), bounds, strict=True)))


@PROPERTY
@given(
    changes=st.lists(
        st.tuples(
            st.sampled_from(sorted(CHANGES)),
            st.integers(0, SIZE - 1),
            st.integers(0, 80),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda one: one[0],
    )
)
def test_after_any_corrections(conn: Connection, changes: list[tuple[str, int, int, bool]]) -> None:
    with conn.transaction(force_rollback=True):
        put(conn, "BTC", NIGHTS)
        build(conn)
        for kind, first, length, is_built in changes:
            change(conn, kind, first, length)
            if is_built:
                build(conn)
        build(conn)
        assert_up_to_date(conn, stored_candles(conn))
        corrected = everything(conn)
        conn.execute("SELECT upc.reset_fingerprints('BTC')")
        build(conn)
        assert everything(conn) == corrected


def test_taken_away_and_brought_back(conn: Connection) -> None:
    expected = built_at_once(conn, NIGHTS)
    put(conn, "BTC", NIGHTS)
    build(conn)
    conn.execute("CREATE TEMPORARY TABLE kept ON COMMIT DROP AS TABLE upc_data.candle")
    write_candles(conn, "DELETE FROM upc_data.candle WHERE extract(minute FROM opened_at) < 20")
    build(conn)
    assert everything(conn) != expected
    write_candles(conn, "INSERT INTO upc_data.candle TABLE kept ON CONFLICT DO NOTHING")
    build(conn)
    assert everything(conn) == expected


def test_returns_the_days_counted_and_then_nothing(conn: Connection) -> None:
    put(conn, "BTC", walk(22, "2026-03-02T12:00", 60))
    assert build(conn) == 1
    before = everything(conn)
    assert build(conn) == 0
    write_candles(conn, "INSERT INTO upc_data.candle TABLE upc_data.candle ON CONFLICT DO NOTHING")
    put(conn, "BTC", flat([], []))
    assert build(conn) == 0
    assert everything(conn) == before


@pytest.mark.slow
def test_a_correction_counts_its_own_days_only(conn: Connection) -> None:
    put(conn, "BTC", walk(23, "2026-03-02", 4 * 1440))
    assert build(conn) == 6  # the candles reach an hour back and half an hour on
    write_candles(conn, "DELETE FROM upc_data.candle WHERE opened_at = '2026-03-04 12:00+00'")
    assert build(conn) == 1
    write_candles(conn, "DELETE FROM upc_data.candle WHERE opened_at = '2026-03-04 00:10+00'")
    assert build(conn) == 2
    assert_up_to_date(conn, stored_candles(conn))


@pytest.mark.parametrize(
    "moment",
    ["22:30", "23:00", "23:29", "23:30", "23:59", "00:00", "00:29", "00:30", "00:59", "01:00"],
)
def test_a_correction_near_midnight_reaches_the_neighbouring_day(
    conn: Connection, moment: str
) -> None:
    put(conn, "BTC", NIGHTS)
    build(conn)
    night = "2026-01-01" if moment < "12" else "2025-12-31"
    write_candles(
        conn, "DELETE FROM upc_data.candle WHERE opened_at = %s", (f"{night} {moment}+00",)
    )
    assert build(conn) >= 1
    assert_up_to_date(conn, NIGHTS.where(NIGHTS.minutes != minute(f"{night}T{moment}")))


def test_pieces_counted_one_by_one(conn: Connection) -> None:
    """A piece takes away the notes of its own days and no others."""
    put(conn, "BTC", NIGHTS)
    conn.execute("SELECT upc.begin_build('BTC')")
    query = "SELECT days FROM upc.build_pieces('BTC')"
    counted = 0
    while rows := conn.execute(query).fetchall():
        conn.execute("SELECT upc.count_days('BTC', %s)", rows[-1])
        counted += 1
    assert counted == 2
    conn.execute("SELECT upc.complete_build('BTC')")
    conn.execute("SELECT upc.refresh_fingerprints()")
    assert_up_to_date(conn, NIGHTS)
