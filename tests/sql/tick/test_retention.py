"""Retention: what is too old is deleted in batches, and nothing else.

Of days without a partition; those with one: test_thinning.py. Ticks older than two days are
a minute or more apart, so that thinning keeps each.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.engine import Connection, open_db, scalar
from tests.support.trading import (
    EVENT,
    FINE,
    NOW,
    live,
    open_trade,
    prepare,
    refused,
    set_to,
    table,
)

DAY = timedelta(days=1)
MICRO = timedelta(microseconds=1)
KEPT_PRICES, KEPT_TICKS = 45 * DAY, 90 * DAY


@pytest.fixture(scope="module")
def module_dsn(trading_dsn: str) -> str:
    return trading_dsn


def put_prices(conn: Connection, *ages: timedelta, symbol: str = "BTC", **more: str) -> None:
    exchange = more.get("exchange", "coinbase")
    conn.cursor().executemany(
        "INSERT INTO upc_data.price VALUES (%s, %s, %s, 1e5, NULL)",
        [(symbol, exchange, NOW - age) for age in ages],
    )


def put_ticks(conn: Connection, *ages: timedelta, symbol: str = "BTC") -> None:
    conn.cursor().executemany(
        "INSERT INTO upc_data.tick (symbol, tick_id, ticked_at, feed, state, market_at, price,"
        " priced_at, ttc_seconds, method, fingerprint, strikes, prob_above, done_count,"
        " missed_count, answered_count)"
        " VALUES (%(symbol)s, upc._next_id(%(symbol)s, 'tick'), %(at)s, 'database', 'fresh',"
        " %(at)s, 1e5, %(at)s, 60, 'nearest', 'f', '{1}', '{1}', 1, 0, 1)",
        [{"symbol": symbol, "at": NOW - age} for age in ages],
    )


def put_announcements(conn: Connection, *ages: timedelta, symbol: str = "BTC") -> None:
    for age in ages:
        conn.execute(
            "SELECT upc._announce(%s, 'stop', 'trade', 'm', '{}', %s)", (symbol, NOW - age)
        )


def delete(conn: Connection, batch: int | None = 5000, at: datetime = NOW) -> tuple[int, int, int]:
    query = "SELECT prices, ticks, announcements FROM upc.delete_expired(%s, %s)"
    [row] = conn.execute(query.encode(), (batch, at)).fetchall()
    return row


TIMES = {"price": "received_at", "tick": "ticked_at", "announcement": "announced_at"}


def ages(conn: Connection, name: str, symbol: str = "BTC") -> list[timedelta]:
    """Ages of the remaining rows, oldest first."""
    place = "analytics.logged_tick" if name == "tick" else f"upc_data.{name}"
    query = f"SELECT %s - {TIMES[name]} AS age FROM {place} WHERE symbol = %s ORDER BY 1 DESC"
    return [row["age"] for row in table(conn, query, (NOW, symbol))]


def test_what_is_older_than_it_is_kept_for(conn: Connection) -> None:
    """45 days of prices, 90 of ticks and announcements, to the microsecond."""
    prices = [KEPT_PRICES * 3, KEPT_PRICES + MICRO, KEPT_PRICES, KEPT_PRICES - MICRO, DAY * 0]
    ticks = [KEPT_TICKS * 3, KEPT_TICKS + MICRO, KEPT_TICKS, KEPT_TICKS - DAY, DAY * 0]
    put_prices(conn, *prices)
    put_ticks(conn, *ticks)
    put_announcements(conn, *ticks)
    assert delete(conn) == (2, 2, 2)
    assert ages(conn, "price") == prices[2:]
    assert ages(conn, "tick") == ages(conn, "announcement") == ticks[2:]
    assert delete(conn) == (0, 0, 0)


def test_in_batches_and_the_oldest_first(conn: Connection) -> None:
    dates = [KEPT_TICKS + DAY * k for k in range(10, 0, -1)]
    put_prices(conn, *reversed(dates))
    put_ticks(conn, *reversed(dates))
    put_announcements(conn, *dates)
    assert delete(conn, 4) == (4, 4, 4)
    for name in TIMES:
        assert ages(conn, name) == dates[4:]
    assert delete(conn, 4) == (4, 4, 4)
    assert delete(conn, 4) == (2, 2, 2)
    assert delete(conn, 4) == (0, 0, 0)
    put_prices(conn, *dates)
    assert delete(conn, 0) == (0, 0, 0)


def test_a_batch_is_one_of_each_symbol(conn: Connection) -> None:
    """A batch holds all exchanges of a symbol together."""
    dates = [KEPT_PRICES + DAY * k for k in range(1, 6)]
    put_prices(conn, *dates)
    put_prices(conn, *(age + DAY / 2 for age in dates), exchange="kraken")
    put_prices(conn, *dates[:3], DAY, symbol="ETH")
    assert delete(conn, 4) == (7, 0, 0)
    assert len(ages(conn, "price")) == 6
    assert ages(conn, "price", "ETH") == [DAY]


def test_other_times(conn: Connection) -> None:
    set_to(conn, keep_prices="2 days", keep_ticks="3 days")
    for put in (put_prices, put_ticks, put_announcements):
        put(conn, 4 * DAY, 3 * DAY, 2 * DAY + MICRO, 2 * DAY, DAY)
    assert delete(conn) == (3, 1, 1)
    assert ages(conn, "price") == [2 * DAY, DAY]
    assert ages(conn, "tick")[0] == ages(conn, "announcement")[0] == 3 * DAY


@pytest.mark.parametrize("name", ["keep_prices", "keep_ticks"])
@pytest.mark.parametrize("value", ["infinity", "Infinity", "INFINITY"])
def test_kept_for_ever(conn: Connection, name: str, value: str) -> None:
    set_to(conn, **{name: value})
    for put in (put_prices, put_ticks, put_announcements):
        put(conn, 4000 * DAY)
    assert delete(conn) == ((0, 1, 1) if name == "keep_prices" else (1, 0, 0))


@pytest.mark.parametrize("name", ["keep_prices", "keep_ticks"])
@pytest.mark.parametrize(
    ("value", "sqlstate"),
    [
        ("47:59:59.999999", "22023"),
        ("1 day", "22023"),
        ("0", "22023"),
        ("-30 days", "22023"),
        ("soon", "22023"),
        ("30 dayz", "22023"),
    ],
)
def test_less_than_two_days_is_refused(
    conn: Connection, name: str, value: str, sqlstate: str
) -> None:
    for put in (put_prices, put_ticks, put_announcements):
        put(conn, 4000 * DAY)
    set_to(conn, **{name: value})
    assert refused(conn, "SELECT upc.delete_expired(5000, %s)", NOW) == sqlstate
    for table_name in TIMES:
        assert len(ages(conn, table_name)) == 1
    set_to(conn, **{name: ""})
    assert delete(conn) == (1, 1, 1)


@pytest.mark.parametrize("at", ["infinity", "-infinity", None])
def test_a_time_without_end_is_refused(conn: Connection, at: str | None) -> None:
    for put in (put_prices, put_ticks, put_announcements):
        put(conn, DAY)
    assert refused(conn, "SELECT upc.delete_expired(5000, %s)", at) == "22023"
    for table_name in TIMES:
        assert len(ages(conn, table_name)) == 1


def test_what_somebody_has_still_to_pass_on_stays(conn: Connection) -> None:
    put_announcements(conn, KEPT_TICKS + 2 * DAY, KEPT_TICKS + DAY)
    conn.execute("SELECT upc.subscribe('mail', true)")
    conn.execute("UPDATE upc_data.announcement_cursor SET moved_at = %s", (NOW - DAY,))
    first = scalar(conn, "SELECT min(announcement_id) FROM upc_data.announcement")
    assert delete(conn) == (0, 0, 0)
    conn.execute("SELECT upc.acknowledge('mail', 'BTC', %s)", (first,))
    assert delete(conn) == (0, 0, 1)
    # A subscriber silent for that long is not waited for.
    conn.execute("UPDATE upc_data.announcement_cursor SET moved_at = %s", (NOW - KEPT_TICKS - DAY,))
    assert delete(conn) == (0, 0, 1)


def test_the_symbols_that_nobody_reads_are_cleared_too(conn: Connection) -> None:
    put_announcements(conn, KEPT_TICKS + DAY)
    put_announcements(conn, KEPT_TICKS + DAY, symbol="ETH")
    conn.execute("SELECT upc.subscribe('mail', true)")
    conn.execute(
        "UPDATE upc_data.announcement_cursor SET moved_at = %s,"
        " announcement_id = CASE symbol WHEN 'ETH' THEN 1000000 ELSE 0 END",
        (NOW,),
    )
    assert delete(conn) == (0, 0, 1)
    assert len(ages(conn, "announcement")) == 1


def test_trades_and_what_else_there_is_stay(conn: Connection) -> None:
    conn.execute(
        "INSERT INTO upc_data.candle VALUES ('BTC', %s, 1, 1, 1, 1, 1)", (NOW - 4000 * DAY,)
    )
    open_trade(conn)
    live(conn, FINE)
    names = ("candle", "trade", "document", "tick_count", "symbol")
    counted = {name: scalar(conn, f"SELECT count(*) FROM upc_data.{name}") for name in names}
    results = "SELECT * FROM upc_data.market_quote WHERE event_ticker = %s ORDER BY ticker"
    quotes = table(conn, results, (EVENT,))
    for _ in range(2):
        delete(conn, at=NOW + 400 * DAY)
    for name, number in counted.items():
        assert scalar(conn, f"SELECT count(*) FROM upc_data.{name}") == number
    assert ages(conn, "tick") == []
    [left] = table(conn, "SELECT event_ticker FROM upc_data.market_event")
    assert left["event_ticker"] == EVENT
    assert table(conn, results, (EVENT,)) == quotes != []


def put_event(conn: Connection, name: str, age: timedelta, symbol: str = "BTC") -> None:
    conn.execute(
        "INSERT INTO upc_data.market_event"
        " (symbol, event_ticker, series_ticker, closes_at, read_at) VALUES (%s, %s, 'S', %s, %s)",
        (symbol, name, NOW - age, NOW - age),
    )
    conn.execute(
        "INSERT INTO upc_data.market_quote (symbol, event_ticker, ticker, lower, result)"
        " VALUES (%s, %s, 'M', 1, 'yes')",
        (symbol, name),
    )


def events(conn: Connection) -> set[str]:
    rows = table(
        conn,
        "SELECT e.event_ticker FROM upc_data.market_event AS e"
        " JOIN upc_data.market_quote AS q USING (symbol, event_ticker)"
        " WHERE e.series_ticker = 'S'",
    )
    return {row["event_ticker"] for row in rows}


def delete_events(conn: Connection, at: datetime = NOW) -> int:
    return int(scalar(conn, "SELECT events FROM upc.delete_expired(5000, %s)", at))


def test_events_that_nobody_needs_go(conn: Connection) -> None:
    """Those that were ticked stay as long as the tick is kept: every one, or one a minute."""
    kept = 30 * DAY
    put_event(conn, "OLD", kept + MICRO)
    put_event(conn, "EXACT", kept)
    put_event(conn, "TICKED", kept + DAY)
    put_event(conn, "OTHERS", kept + DAY, symbol="ETH")
    put_ticks(conn, kept + DAY + timedelta(minutes=20))
    conn.execute("UPDATE upc_data.tick SET event_ticker = 'TICKED'")
    assert delete_events(conn) == 2
    assert events(conn) == {"EXACT", "TICKED"}
    # The tick is among those of the minutes by now.
    assert delete_events(conn, NOW + DAY) == 1
    assert events(conn) == {"TICKED"}
    # It goes when its tick has gone, and not before.
    delete_events(conn, NOW + 58 * DAY)
    assert events(conn) == {"TICKED"}
    for _ in range(3):
        delete_events(conn, NOW + 61 * DAY)
    assert events(conn) == set()


def test_events_are_kept_for_as_long_as_the_rule_says(conn: Connection) -> None:
    put_event(conn, "OLD", 400 * DAY)
    set_to(conn, keep_events="infinity")
    assert delete_events(conn) == 0
    set_to(conn, keep_events="1 day")
    assert refused(conn, "SELECT upc.delete_expired(5000, %s)", NOW) == "22023"
    set_to(conn, keep_events="401 days")
    assert delete_events(conn) == 0
    set_to(conn, keep_events="399 days")
    assert delete_events(conn) == 1


# Beside ticks


@pytest.fixture
def prepared_own(own: Connection) -> Connection:
    prepare(own)
    own.execute("SET lock_timeout = '5s'")
    return own


def test_ticks_and_prices_go_on_meanwhile(fresh_db: str, prepared_own: Connection) -> None:
    put_prices(prepared_own, *(KEPT_PRICES + DAY * k for k in range(1, 50)))
    put_ticks(prepared_own, *(KEPT_TICKS + DAY * k for k in range(1, 50)))
    with open_db(fresh_db, autocommit=False) as deleting:
        assert delete(deleting) == (49, 49, 0)
        live(prepared_own, FINE)
        deleting.commit()
    assert ages(prepared_own, "price") == ages(prepared_own, "tick") == [timedelta(0)]


def test_two_who_delete_at_once_share_the_work(fresh_db: str, prepared_own: Connection) -> None:
    put_prices(prepared_own, *(KEPT_PRICES + DAY * k for k in range(1, 11)))
    with open_db(fresh_db, autocommit=False) as deleting:
        assert delete(deleting, 4) == (4, 0, 0)
        assert delete(prepared_own, 4) == (4, 0, 0)
        deleting.commit()
    assert delete(prepared_own, 4) == (2, 0, 0)


def test_a_batch_is_found_by_its_index(prepared_own: Connection) -> None:
    put_prices(prepared_own, *(timedelta(seconds=k) for k in range(20_000)))
    put_ticks(prepared_own, *(timedelta(seconds=k) for k in range(20_000)))
    prepared_own.execute("VACUUM ANALYZE")
    before = scans(prepared_own)
    assert delete(prepared_own) == (0, 0, 0)
    assert scans(prepared_own) == before


def scans(conn: Connection) -> list[tuple[Any, ...]]:
    """Sequential scans in the server's current statistics."""
    conn.execute("SELECT pg_stat_force_next_flush()")
    return conn.execute(
        "SELECT relname, seq_scan FROM pg_stat_user_tables"
        " WHERE relname IN ('price', 'tick') ORDER BY relname"
    ).fetchall()
