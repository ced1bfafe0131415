"""Notes of changed candles: who writes them notes their days; a build finds what nobody noted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.engine import (
    NIGHTS,
    Connection,
    assert_up_to_date,
    build,
    everything,
    flat,
    minute,
    put,
    scalar,
    stored_candles,
    walk,
)

MINUTE = timedelta(minutes=1)
START = datetime(2026, 3, 2, tzinfo=UTC)

Notes = dict[str, set[tuple[str, date]]]

# Minutes from a candle to the days that its change touches. A close belongs to windows from 60
# minutes before it to 30 minutes after it, a range to forecasts of a whole day after it.
REACH = {
    "candle_change": (-60, 30),
    "volatility_change": (-60, 7 * 24 * 60),
    "fit_change": (0, 0),
}


def expected_notes(symbol: str, changed: Iterable[datetime]) -> Notes:
    """By brute force: every minute that a changed candle reaches, in steps of half hours."""
    notes: Notes = {table: set() for table in REACH}
    for at in changed:
        half_hour = at - (at - START) % timedelta(minutes=30)
        for table, (first, last) in REACH.items():
            for shift in range(first, last + 1, 30):
                notes[table].add((symbol, (half_hour + shift * MINUTE).date()))
    return notes


def taken_notes(conn: Connection) -> Notes:
    """The notes that there are; they are taken away."""
    return {
        table: set(conn.execute(f"DELETE FROM upc_data.{table} RETURNING symbol, day".encode()))
        for table in REACH
    }


def record(conn: Connection, candles: dict[datetime, float], symbol: str = "BTC") -> None:
    times, closes = list(candles), list(candles.values())
    conn.execute(
        "SELECT upc.record_candles(%s, %s, %s, %s, %s, %s, %s)",
        (symbol, times, closes, closes, closes, closes, [0.0] * len(times)),
    )


def load(conn: Connection, candles: dict[datetime, float], symbol: str = "BTC") -> None:
    """As `pyupc candles load` does."""
    conn.execute("SELECT upc.begin_candle_load(%s)", (symbol,))
    query = "COPY pg_temp.candle_line (file, line, timestamp, open, high, low, close, volume)"
    with conn.cursor().copy(f"{query} FROM STDIN".encode()) as copy:
        for line, (at, close) in enumerate(candles.items()):
            copy.write_row((0, line, f"{at:%Y-%m-%dT%H:%M:%SZ}", *[repr(close)] * 4, "0"))
    assert scalar(conn, "SELECT upc.reject_candle_lines()") == 0
    conn.execute("SELECT * FROM upc.merge_candle_lines(%s)", (symbol,))


minutes = st.integers(0, 4 * 1440).map(lambda k: START + k * MINUTE)
candles = st.dictionaries(minutes, st.sampled_from([90.0, 91.0, 92.5]), min_size=1, max_size=12)


@pytest.mark.parametrize("write", [record, load])
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(before=candles, then=candles)
def test_what_is_written_is_noted(
    conn: Connection,
    write: Callable[[Connection, dict[datetime, float]], None],
    before: dict[datetime, float],
    then: dict[datetime, float],
) -> None:
    """New and different candles are; equal ones are not, nor those of other symbols."""
    with conn.transaction(force_rollback=True):
        write(conn, before)
        assert taken_notes(conn) == expected_notes("BTC", before)
        write(conn, then)
        changed = [at for at, close in then.items() if before.get(at) != close]
        assert taken_notes(conn) == expected_notes("BTC", changed)
        write(conn, then)
        assert taken_notes(conn) == expected_notes("BTC", [])


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(first=minutes, length=st.integers(1, 2000))
def test_a_note_of_ones_own(conn: Connection, first: datetime, length: int) -> None:
    """A span is like each of its candles."""
    with conn.transaction(force_rollback=True):
        # Candles on both sides, between which all is noted.
        record(conn, {START - MINUTE: 90.0, START + 6 * 1440 * MINUTE: 90.0}, "ETH")
        taken_notes(conn)
        until = first + length * MINUTE
        count = scalar(conn, "SELECT upc.note_candle_changes('ETH', %s, %s)", first, until)
        expected = expected_notes("ETH", [first + k * MINUTE for k in range(length)])
        assert taken_notes(conn) == expected
        assert count == len(expected["candle_change"])


def test_nothing_is_noted_where_nothing_is(conn: Connection) -> None:
    query = "SELECT upc.note_candle_changes('BTC', %s, %s)"
    assert scalar(conn, query, START, START + MINUTE) == 0
    record(conn, {START: 90.0})
    taken_notes(conn)
    for since, until in (
        (START, START),
        (START - 9 * MINUTE, START),
        (START + MINUTE, START + 9 * MINUTE),
    ):
        assert scalar(conn, query, since, until) == 0
    assert taken_notes(conn) == expected_notes("BTC", [])
    # Without bounds, or with endless ones: all that there is.
    endless = ((None, None), ("-infinity", "infinity"), ("1900-01-01", "2900-01-01"))
    for bounds in endless:
        assert scalar(conn, query, *bounds) == 2
        assert taken_notes(conn) == expected_notes("BTC", [START])


@pytest.mark.parametrize(
    ("arguments", "sqlstate"),
    [
        (("DOGE", START, START), "UP002"),
        ((None, START, START), "UP002"),
        (("BTC", START, START - MINUTE), "22023"),
    ],
)
def test_what_cannot_be_noted(conn: Connection, arguments: tuple[Any, ...], sqlstate: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT upc.note_candle_changes(%s, %s, %s)", arguments)
    assert caught.value.sqlstate == sqlstate


def test_there_are_no_triggers_on_candles(conn: Connection) -> None:
    query = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'upc_data.candle'::regclass"
    assert conn.execute(f"{query} AND NOT tgisinternal".encode()).fetchall() == []


def test_candles_inserted_by_hand_are_found(conn: Connection) -> None:
    put(conn, "BTC", NIGHTS)
    build(conn)
    other = walk(31, "2026-01-03T10:00", 200) + walk(32, "2026-02-11T00:01", 5)
    for at, close in zip(other.minutes.tolist(), other.closes.tolist(), strict=True):
        conn.execute(
            "INSERT INTO upc_data.candle VALUES ('BTC', to_timestamp(%s), %s, %s, %s, %s, 0)",
            (60 * at, *[close] * 4),
        )
    # Their days, and those on either side, whose windows reach into them.
    assert build(conn) == 6
    assert_up_to_date(conn, NIGHTS + other)
    assert build(conn) == 0


@pytest.mark.parametrize("statement", ["DELETE FROM upc_data.candle", "TRUNCATE upc_data.candle"])
def test_candles_deleted_by_hand_are_missed(conn: Connection, statement: str) -> None:
    put(conn, "BTC", NIGHTS)
    build(conn)
    conn.execute(statement.encode())
    assert build(conn) > 0
    assert [rows for rows in everything(conn) if rows] == []
    assert build(conn) == 0


def test_a_day_that_is_gone(conn: Connection) -> None:
    put(conn, "BTC", NIGHTS)
    build(conn)
    conn.execute("DELETE FROM upc_data.candle WHERE opened_at >= '2026-01-02Z'")
    assert build(conn) > 0
    assert_up_to_date(conn, stored_candles(conn))


def test_a_corrected_day_is_found_when_it_is_noted(conn: Connection) -> None:
    put(conn, "BTC", NIGHTS)
    build(conn)
    conn.execute("UPDATE upc_data.candle SET close = low WHERE opened_at = '2026-01-01 00:10Z'")
    assert build(conn) == 0
    conn.execute("SELECT upc.note_candle_changes('BTC', '2026-01-01 00:10Z', '2026-01-01 00:11Z')")
    assert build(conn) == 2
    assert_up_to_date(conn, stored_candles(conn))


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Auckland"])
def test_days_are_those_of_utc(conn: Connection, zone: str) -> None:
    """Also where clocks go forward in the night, as New York's did on 8 March 2026."""
    conn.execute(f"SET LOCAL timezone = '{zone}'".encode())
    nights = [f"2026-03-{day:02}T{hour}" for day in (7, 8, 9) for hour in ("00:00", "23:59")]
    put(conn, "BTC", flat(map(minute, nights), [90.0] * 6))
    days = {date(2026, 3, day) for day in (7, 8, 9)}
    query = "SELECT * FROM upc._uncounted_days('BTC')"
    assert {day for (day,) in conn.execute(query)} == days
    build(conn)
    assert conn.execute(query).fetchall() == []
    # No minute of a day but its last one is enough, and its first one is.
    conn.execute("DELETE FROM upc_data.candle WHERE opened_at = '2026-03-08 00:00+00'")
    conn.execute("DELETE FROM upc_data.candle WHERE opened_at = '2026-03-09 23:59+00'")
    assert conn.execute(query).fetchall() == []
    conn.execute("DELETE FROM upc_data.candle WHERE opened_at = '2026-03-08 23:59+00'")
    assert conn.execute(query).fetchall() == [(date(2026, 3, 8),)]
