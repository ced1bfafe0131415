"""The missing minutes, against a set of minutes that Python keeps; and the known holes."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.support.engine import Connection, open_db

START = datetime(2024, 3, 30, 23, tzinfo=UTC)

# First missing minute, first after them, how many, and who has not got them.
Row = tuple[int, int, int, list[str] | None]


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def put(db: Connection, minutes: set[int], symbol: str = "BTC") -> None:
    with db.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO upc_data.candle VALUES (%s, %s, 1, 1, 1, 1, 1)",
            [(symbol, at(minute)) for minute in minutes],
        )


def hole(db: Connection, first: int, after: int, exchange: str = "coinbase") -> None:
    query = "SELECT upc.record_candle_hole('BTC', %s, %s, %s)"
    db.execute(query, [exchange, at(first), at(after)])


def forget(db: Connection, first: int, after: int, exchange: str = "coinbase") -> None:
    query = "SELECT upc.forget_candle_holes('BTC', %s, %s, %s)"
    db.execute(query, [exchange, at(first), at(after)])


def holes(db: Connection) -> list[tuple[str, int, int]]:
    rows = db.execute(
        "SELECT exchange, opened_from, opened_until FROM upc_data.candle_hole"
        " WHERE symbol = 'BTC' ORDER BY exchange, opened_from"
    ).fetchall()
    return [(exchange, number(first), number(after)) for exchange, first, after in rows]


def number(moment: datetime) -> int:
    minutes, rest = divmod(moment - START, timedelta(minutes=1))
    assert not rest
    return minutes


def missing(
    db: Connection, since: datetime | str | None = None, until: datetime | str | None = None
) -> list[Row]:
    query = "SELECT * FROM upc.missing_candles('BTC', %s::timestamptz, %s::timestamptz)"
    rows = db.execute(query, [since, until]).fetchall()
    return [(number(first), number(after), minutes, known) for first, after, minutes, known in rows]


def expected(stored: set[int], known: dict[str, set[int]], first: int, after: int) -> list[Row]:
    """Runs of neighbouring missing minutes that the same exchanges have not got."""
    rows: list[Row] = []
    for minute in range(first, after):
        if minute in stored:
            continue
        names = sorted(name for name, minutes in known.items() if minute in minutes) or None
        if rows and rows[-1][1] == minute and rows[-1][3] == names:
            rows[-1] = (rows[-1][0], minute + 1, rows[-1][2] + 1, names)
        else:
            rows.append((minute, minute + 1, 1, names))
    return rows


@pytest.mark.parametrize("seed", range(25))
def test_against_brute_force(db: Connection, seed: int) -> None:
    """Over midnight and a change to daylight saving time, which UTC does not know."""
    dice = random.Random(seed)
    db.execute("SET TimeZone = 'Europe/Berlin'")
    share = dice.choice([0.0, 0.1, 0.5, 0.9, 0.99])
    stored = {minute for minute in range(200) if dice.random() < share}
    put(db, stored)
    put(db, {3, 4}, "ETH")
    known: dict[str, set[int]] = {"coinbase": set(), "kraken": set()}
    for _ in range(dice.randrange(8)):
        exchange = dice.choice(sorted(known))
        first = dice.randrange(-20, 210)
        after = first + dice.randrange(1, 40)
        if dice.random() < 0.3:
            forget(db, first, after, exchange)
            known[exchange] -= set(range(first, after))
        else:
            hole(db, first, after, exchange)
            known[exchange] |= set(range(first, after))
    kept = [
        (exchange, first, after)
        for exchange, minutes in known.items()
        for first, after, _, _ in expected(set(range(-60, 300)) - minutes, {}, -60, 300)
    ]
    assert holes(db) == kept

    first = dice.randrange(-30, 200)
    after = dice.randrange(first - 3, 230)
    assert missing(db, at(first), at(after)) == expected(stored, known, first, after)
    whole = (min(stored), max(stored) + 1) if stored else (0, 0)
    assert missing(db) == expected(stored, known, *whole)
    if stored:
        assert missing(db, at(first)) == expected(stored, known, first, whole[1])
        assert missing(db, None, at(after)) == expected(stored, known, whole[0], after)
        assert missing(db, "-infinity", "infinity") == missing(db)


def test_bounds_between_two_minutes(db: Connection) -> None:
    put(db, {0, 9})
    assert missing(db, at(2.5), at(6.5)) == [(3, 6, 3, None)]
    assert missing(db, at(3), at(6)) == [(3, 6, 3, None)]
    assert missing(db, at(3.1), at(3.9)) == []
    assert missing(db, at(-2), at(12)) == [
        (-2, 0, 2, None),
        (1, 9, 8, None),
        (10, 12, 2, None),
    ]


def test_without_candles_everything_is_missing(db: Connection) -> None:
    assert missing(db) == []
    assert missing(db, at(0), at(7)) == [(0, 7, 7, None)]
    hole(db, 2, 4)
    assert missing(db, at(0), at(7)) == [
        (0, 2, 2, None),
        (2, 4, 2, ["coinbase"]),
        (4, 7, 3, None),
    ]


def test_holes_that_touch_become_one(db: Connection) -> None:
    hole(db, 10, 12)
    hole(db, 14, 16)
    hole(db, 20, 21)
    hole(db, 10, 12, "kraken")
    assert len(holes(db)) == 4
    hole(db, 12, 14)
    assert holes(db) == [("coinbase", 10, 16), ("coinbase", 20, 21), ("kraken", 10, 12)]
    hole(db, 11, 13)
    hole(db, 0, 30)
    assert holes(db) == [("coinbase", 0, 30), ("kraken", 10, 12)]


def test_forgetting_cuts(db: Connection) -> None:
    hole(db, 0, 30)
    hole(db, 0, 30, "kraken")
    forget(db, 10, 12)
    forget(db, 0, 1)
    forget(db, 40, 50)
    assert holes(db) == [("coinbase", 1, 10), ("coinbase", 12, 30), ("kraken", 0, 30)]
    forget(db, 5, 20)
    assert holes(db)[:2] == [("coinbase", 1, 5), ("coinbase", 20, 30)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM upc.missing_candles('XYZ')",
        "SELECT * FROM upc.missing_candles(NULL)",
        "SELECT upc.record_candle_hole('XYZ', 'coinbase', '2024-01-01', '2024-01-02')",
        "SELECT upc.forget_candle_holes('XYZ', 'coinbase', '2024-01-01', '2024-01-02')",
    ],
)
def test_an_unknown_symbol(db: Connection, query: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        db.execute(query.encode())
    assert caught.value.sqlstate == "UP002"


def test_an_empty_hole_is_refused(db: Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        hole(db, 5, 5)
    assert caught.value.diag.constraint_name == "candle_hole_opened_until_check"


def test_two_sessions_record_neighbours(fresh_db: str) -> None:
    """The second waits for the first, and then sees its hole."""
    with open_db(fresh_db, autocommit=False) as first, open_db(fresh_db) as second:
        hole(first, 0, 5)
        second.execute("SET statement_timeout = '200ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            hole(second, 5, 9)
        hole(second, 5, 9, "kraken")
        first.commit()
        hole(second, 5, 9)
        assert holes(second) == [("coinbase", 0, 9), ("kraken", 5, 9)]
