"""Judging and merging staged lines: what is a minute, what is a number, what is written."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Connection = psycopg.Connection[tuple[Any, ...]]

START = datetime(2024, 1, 1, tzinfo=UTC)
COLUMNS = "file, line, problem, timestamp, open, high, low, close, volume"


def value(db: Connection, query: str, *parameters: Any) -> Any:
    row = db.execute(query, parameters).fetchone()
    assert row is not None
    return row[0]


def minute(db: Connection, text: str) -> Any:
    return value(db, "SELECT upc.candle_minute(%s)", text)


def number(db: Connection, text: str) -> Any:
    return value(db, "SELECT upc._candle_number(%s)", text)


def stage(db: Connection, *lines: str, symbol: str = "BTC") -> None:
    """Lines of file 0 from line 2 on: timestamp,open,high,low,close,volume."""
    db.execute("SELECT upc.begin_candle_load(%s)", [symbol])
    for line, text in enumerate(lines, 2):
        db.execute(
            f"INSERT INTO pg_temp.candle_line ({COLUMNS})"
            " VALUES (0, %s, NULL, %s, %s, %s, %s, %s, %s)",
            [line, *text.split(",")],
        )


def rejected(db: Connection, at: datetime = START + timedelta(days=1)) -> list[int]:
    count = value(db, "SELECT upc.reject_candle_lines(%s)", at)
    rows = db.execute("SELECT line, reason FROM upc.rejected_candle_lines()").fetchall()
    assert len(rows) == count
    assert all(reason for _, reason in rows)
    return [line for line, _ in rows]


def merge(db: Connection) -> tuple[Any, ...]:
    """new, changed, unchanged, rejected, gaps, missing minutes of all files."""
    rows = db.execute(
        "SELECT added, changed, unchanged, rejected, gaps, missing_minutes"
        " FROM upc.merge_candle_lines('BTC') WHERE file IS NULL"
    ).fetchall()
    assert len(rows) == 1
    return rows[0]


def candle(offset: int, close: str = "100") -> str:
    at = START + timedelta(minutes=offset)
    return f"{at:%Y-%m-%dT%H:%M:%SZ},100,102,99,{close},1"


# Minutes


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-01T00:00:00Z",
        "2024-01-01t00:00:00z",
        "2024-01-01 00:00:00",
        "2024-01-01T00:00",
        "2024-01-01T00:00Z",
        "2024-01-01 00:00:00.000000",
        "2024-01-01T00:00:00.000000000Z",
        "2024-01-01T00:00:00+00:00",
        "2024-01-01T05:30:00+05:30",
        "2024-01-01T05:30:00+0530",
        "2023-12-31T19:00:00-05",
        "2023-12-31 20:30:00.0-03:30",
        "1704067200",
        "1704067200.0",
        "1704067200.",
        "1704067200000",
        "1704067200000.000",
        "1704067200000000",
        "1704067200000000.0",
        "1704067200000000000",
    ],
)
@pytest.mark.parametrize(("zone", "style"), [("UTC", "ISO, MDY"), ("Asia/Kolkata", "German, DMY")])
def test_a_minute_is_read_whatever_the_settings(
    db: Connection, text: str, zone: str, style: str
) -> None:
    db.execute(
        "SELECT set_config('TimeZone', %s, true), set_config('DateStyle', %s, true)", [zone, style]
    )
    assert value(db, "SELECT upc.candle_minute(%s) = to_timestamp(1704067200)", text) is True


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "infinity",
            "-infinity",
            "now",
            "today",
            "epoch",
            "allballs",
            "NaN",
            "yesterday",
        ),
        *("2024-01-01", "2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z", "2024-01-01T00:00:60Z"),
        *("2024-02-30T00:00:00Z", "2023-02-29T00:00:00Z", "2100-02-29T00:00:00Z"),
        *("2024-04-31T00:00:00Z", "2024-06-31T00:00:00Z", "2024-09-31T00:00:00Z"),
        *("2024-11-31T00:00:00Z", "2024-13-01T00:00:00Z", "2024-00-01T00:00:00Z"),
        *("2024-01-00T00:00:00Z", "2024-01-32T00:00:00Z", "0000-01-01T00:00:00Z"),
        *("2024-01-01T00:00:00Z BC", "2024-01-01 00:00:00 BC", "2024-01-01T00:00:00 UTC"),
        *("2024-01-01T00:00:30Z", "2024-01-01T00:00:00.5Z", "2024-01-01T00:00:00.0000001Z"),
        *("2024-01-01T00:00:00+16:00", "2024-01-01T00:00:00+00:60", "2024-01-01T00:00:00+"),
        *("01/02/2024 00:00", "20240101T000000Z", "20240101000000", "202401060000", "20240101"),
        *("1704067230", "1704067200.5", "1704067200001", "1704067200000001", "1704067230000000"),
        *("1704067200000000001", "17040672000000000000", "20240101000000000"),
        *("-1704067200", "+1704067200", "1.7040672e9", "170406720", "0", "01704067200"),
        *(
            "2024-01-01T00:00:00Z\n",
            "\n2024-01-01T00:00:00Z",
            "\u0662\u0660\u0662\u0664-01-01T00:00:00Z",
        ),
    ],
)
def test_what_is_no_minute(db: Connection, text: str) -> None:
    assert minute(db, text) is None


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.datetimes(datetime(1970, 1, 3), datetime(2099, 12, 30)),
    st.integers(-14 * 60 - 59, 14 * 60 + 59),
)
def test_a_minute_is_that_of_the_standard_library(
    db: Connection, at: datetime, offset: int
) -> None:
    zone = timezone(timedelta(minutes=offset))
    at = at.replace(second=0, microsecond=0, tzinfo=zone)
    assert minute(db, at.isoformat()) == at


# Numbers


@pytest.mark.parametrize(
    "text", ["1", "1.5", "-0", "+2.5", "5.", ".5", "1e5", "1E-5", "4.625e+4", "0" * 60, "9" * 60]
)
def test_a_number_is_that_of_the_standard_library(db: Connection, text: str) -> None:
    assert struct.pack("d", number(db, text)) == struct.pack("d", float(text))


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ".", "-", "e5", "1e", "1e400", "-1e400", "1e-400", "9" * 400, "1.2.3", "1,5"),
        *("NaN", "nan", "inf", "Infinity", "-Infinity", "0x1F", "1_000", "1 2", "1\n", "\u0661"),
        *("one", "$1", "1%"),
    ],
)
def test_what_is_no_number(db: Connection, text: str) -> None:
    assert number(db, text) is None


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.floats(1e-90, 1e90))
def test_every_double_survives_its_text(db: Connection, price: float) -> None:
    assert number(db, repr(price)) == price


# Lines


@pytest.mark.parametrize(
    "line",
    [
        "2024-01-01T00:01:00Z,1,0.5,1,1,1",
        "2024-01-01T00:01:00Z,3,2,1,1,1",
        "2024-01-01T00:01:00Z,0.5,2,1,1,1",
        "2024-01-01T00:01:00Z,1,2,1,3,1",
        "2024-01-01T00:01:00Z,1,2,1,0.5,1",
        "2024-01-01T00:01:00Z,0,1,1,1,1",
        "2024-01-01T00:01:00Z,1,1,0,1,1",
        "2024-01-01T00:01:00Z,1,1,-1,1,1",
        "2024-01-01T00:01:00Z,1,1,1,-0,1",
        "2024-01-01T00:01:00Z,1,1,1,1,-1",
        "2024-01-01T00:01:00Z,1,1,1,1,",
        "2024-01-01T00:01:00Z,1,1,1,NaN,1",
        "2024-01-01T00:01:30Z,1,1,1,1,1",
        "2024-01-02T00:02:00Z,1,1,1,1,1",
        ",1,1,1,1,1",
    ],
)
def test_a_line_that_is_no_candle(db: Connection, line: str) -> None:
    stage(db, candle(0), line, candle(2))
    assert rejected(db) == [3]
    assert merge(db) == (2, 0, 0, 1, 1, 1)


def test_a_candle_is_accepted_up_to_a_minute_ahead(db: Connection) -> None:
    stage(db, candle(0), candle(1), candle(2))
    assert rejected(db, START) == [4]


def test_open_and_close_may_be_high_or_low(db: Connection) -> None:
    stage(db, "2024-01-01T00:01:00Z,2,2,1,1,0", "2024-01-01T00:02:00Z,1,2,1,2,0")
    assert rejected(db) == []


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0, 2.0, 3.0, math.inf, math.nan]), min_size=5))
def test_candles_are_those_of_brute_force(db: Connection, numbers: list[float]) -> None:
    o, h, lo, c, v = numbers[:5]
    finite = all(map(math.isfinite, (o, h, lo, c, v)))
    expected = (
        finite
        and min(o, h, lo, c) > 0
        and v >= 0
        and lo == min(o, h, lo, c)
        and h == max(o, h, lo, c)
    )
    assert value(db, "SELECT upc.is_candle(%s, %s, %s, %s, %s)", o, h, lo, c, v) is expected
    with db.transaction(force_rollback=True):
        query = "INSERT INTO upc_data.candle VALUES ('BTC', %s, %s, %s, %s, %s, %s)"
        try:
            with db.transaction():
                db.execute(query, [START, o, h, lo, c, v])
            is_stored = True
        except psycopg.errors.CheckViolation:
            is_stored = False
    assert is_stored is expected


def test_candles_that_were_stored_before(db: Connection) -> None:
    with db.transaction(force_rollback=True):
        check = "candle_open_high_low_close_check"
        db.execute(f"ALTER TABLE upc_data.candle DROP CONSTRAINT {check}")
        query = "INSERT INTO upc_data.candle VALUES (%s, %s, %s, 3, 2, 2, 1)"
        for symbol, offset, opened in [("BTC", 2, 1), ("BTC", 0, 4), ("BTC", 1, 2), ("ETH", 0, 1)]:
            db.execute(query, [symbol, START + timedelta(minutes=offset), opened])
        found = db.execute("SELECT opened_at FROM upc.impossible_candles('BTC')").fetchall()
        assert [(at - START) // timedelta(minutes=1) for (at,) in found] == [0, 2]
        # A line that is right replaces one.
        stage(db, "2024-01-01T00:00:00Z,2,3,2,2,1")
        assert rejected(db) == []
        assert merge(db)[1] == 1
        assert value(db, "SELECT count(*) FROM upc.impossible_candles('BTC')") == 1


def test_all_lines_of_a_contradiction_are_rejected(db: Connection) -> None:
    stage(db, candle(0), candle(1), candle(0, "101"), candle(1, "100.0"), candle(0))
    assert rejected(db) == [2, 4, 6]
    assert merge(db) == (1, 0, 1, 3, 0, 0)


@pytest.mark.parametrize(
    "other", ["101,102,99,100,1", "100,103,99,100,1", "100,102,98,100,1", "100,102,99,100,2"]
)
def test_one_number_makes_a_contradiction(db: Connection, other: str) -> None:
    stage(db, candle(0), f"2024-01-01T00:00:00Z,{other}", candle(1))
    assert rejected(db) == [2, 3]


def test_the_reasons_are_limited(db: Connection) -> None:
    stage(db, *["now,1,1,1,1,1"] * 5)
    assert len(rejected(db)) == 5
    assert len(db.execute("SELECT FROM upc.rejected_candle_lines(2)").fetchall()) == 2


def test_nothing_staged_merges_nothing(db: Connection) -> None:
    stage(db)
    assert rejected(db) == []
    assert merge(db) == (0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("symbol", ["XYZ", "btc", "", "*", None])
def test_an_unregistered_symbol_is_refused(db: Connection, symbol: str | None) -> None:
    with pytest.raises(psycopg.Error) as caught:
        db.execute("SELECT upc.begin_candle_load(%s)", [symbol])
    assert caught.value.sqlstate == "UP002"
    assert "BTC" in (caught.value.diag.message_hint or "")


# The merge


def notes(db: Connection) -> int:
    return int(value(db, "SELECT count(*) FROM upc_data.candle_change"))


def test_equal_lines_write_nothing(db: Connection) -> None:
    stage(db, candle(0), candle(1))
    rejected(db)
    assert merge(db) == (2, 0, 0, 0, 0, 0)
    before = notes(db)
    rows = db.execute("SELECT ctid, * FROM upc_data.candle ORDER BY opened_at").fetchall()

    stage(db, candle(1), candle(0, "1e2"))
    rejected(db)
    assert merge(db) == (0, 0, 2, 0, 0, 0)
    assert notes(db) == before > 0
    assert db.execute("SELECT ctid, * FROM upc_data.candle ORDER BY opened_at").fetchall() == rows


@pytest.mark.parametrize("column", range(1, 6))
def test_a_difference_in_any_column_is_written(db: Connection, column: int) -> None:
    stage(db, candle(0), candle(1))
    rejected(db)
    merge(db)
    fields = f"{START + timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ},100,101,99,100,1".split(",")
    stage(db, ",".join(fields))
    rejected(db)
    merge(db)
    before = notes(db)
    # Lines that leave a candle.
    fields[column] = {2: "101.5", 3: "98.5"}.get(column, "99.5")
    stage(db, ",".join(fields))
    assert rejected(db) == []
    assert merge(db) == (0, 1, 0, 0, 0, 0)
    assert notes(db) > before
    row = db.execute(
        "SELECT open, high, low, close, volume FROM upc_data.candle WHERE opened_at = %s",
        [START + timedelta(minutes=1)],
    ).fetchone()
    assert row == tuple(float(field) for field in fields[1:])


def test_a_negative_zero_is_stored_as_zero(db: Connection) -> None:
    stage(db, "2024-01-01T00:00:00Z,1,1,1,1,-0")
    rejected(db)
    merge(db)
    assert math.copysign(1, value(db, "SELECT volume FROM upc_data.candle")) == 1


def test_another_symbol_is_left_alone(db: Connection) -> None:
    db.execute("INSERT INTO upc_data.candle VALUES ('ETH', %s, 1, 1, 1, 1, 1)", [START])
    stage(db, candle(0))
    rejected(db)
    assert merge(db) == (1, 0, 0, 0, 0, 0)
    assert value(db, "SELECT close FROM upc_data.candle WHERE symbol = 'ETH'") == 1


# Gaps


def gaps(db: Connection, *bounds: datetime) -> list[tuple[int, int, int]]:
    """Minutes from START of both neighbours, and how many are missing."""
    query = f"SELECT * FROM upc.candle_gaps({', '.join(['%s'] * (len(bounds) + 1))})"
    rows = db.execute(query, ["BTC", *bounds]).fetchall()
    return [
        ((a - START) // timedelta(minutes=1), (b - START) // timedelta(minutes=1), missing)
        for a, b, missing in rows
    ]


def test_gaps_reach_to_the_neighbours_of_a_range(db: Connection) -> None:
    stage(db, *map(candle, [0, 1, 5, 6, 8, 20]))
    rejected(db)
    assert merge(db) == (6, 0, 0, 0, 3, 3 + 1 + 11)
    assert gaps(db) == [(1, 5, 3), (6, 8, 1), (8, 20, 11)]
    assert gaps(db, START + timedelta(minutes=5), START + timedelta(minutes=6)) == [
        (1, 5, 3),
        (6, 8, 1),
    ]
    assert gaps(db, START, START) == []
    # A range without candles lies in the gap around it.
    assert gaps(db, START + timedelta(minutes=10), START + timedelta(minutes=11)) == [(8, 20, 11)]


def test_a_load_counts_the_gap_to_what_was_stored_before(db: Connection) -> None:
    stage(db, *map(candle, [0, 1, 10, 11]))
    rejected(db)
    merge(db)
    stage(db, *map(candle, [4, 5]))
    rejected(db)
    assert merge(db) == (2, 0, 0, 0, 2, 2 + 4)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.sets(st.integers(0, 60), min_size=1))
def test_gaps_are_those_of_brute_force(db: Connection, offsets: set[int]) -> None:
    with db.transaction(force_rollback=True):
        stage(db, *map(candle, offsets))
        rejected(db)
        *_, count, missing = merge(db)
        absent = [i for i in range(min(offsets), max(offsets)) if i not in offsets]
        assert missing == len(absent)
        assert count == sum(1 for i in absent if i - 1 in offsets)
