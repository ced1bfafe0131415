"""The outbox: what is announced of prices and quotes, and how it is passed on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from tests.support.engine import Connection, open_db, scalar, wait_until_blocked
from tests.support.trading import (
    BELOW,
    CLOSE,
    EVENT,
    FINE,
    LATER,
    NOW,
    Row,
    announced,
    live,
    load_event,
    open_trade,
    outbox,
    prepare,
    put_price,
    read_quotes,
    run,
    seconds,
    table,
    tick,
)

ALL = ["stop", "settled", "stale", "halted", "recovered"]
Announcements = list[tuple[float, str, str]]


@pytest.fixture(scope="module")
def module_dsn(trading_dsn: str) -> str:
    return trading_dsn


def announce(conn: Connection, symbol: str = "BTC", kind: str = "stop", **more: Any) -> int:
    query = "SELECT upc._announce(%s, %s, 'trade', 'a message', %s::json, %s)"
    announcement = scalar(
        conn, query, symbol, kind, more.get("document", "{}"), more.get("at", NOW)
    )
    return int(announcement["announcement_id"])


def subscribe(conn: Connection, subscriber: str = "phone", is_from_start: bool = False) -> None:
    conn.execute("SELECT upc.subscribe(%s, %s)", (subscriber, is_from_start))


def coming(
    conn: Connection, subscriber: str = "phone", kinds: list[str] | None = None, count: int = 100
) -> list[int]:
    query = "SELECT announcement_id FROM upc.next_announcements(%s, %s, %s)"
    return [row[0] for row in conn.execute(query, (subscriber, kinds or ALL, count))]


def acknowledge(
    conn: Connection, number: int, symbol: str = "BTC", subscriber: str = "phone"
) -> None:
    conn.execute("SELECT upc.acknowledge(%s, %s, %s)", (subscriber, symbol, number))


# Announcements over time


def without_prices(conn: Connection, start: int, stop: int) -> Announcements:
    announcements: Announcements = []
    for second in range(start, stop + 1):
        at = NOW + seconds(second)
        read_quotes(conn, at)
        announcements += [(second, a["kind"], a["subject"]) for a in announced(tick(conn, at))]
    return announcements


def test_prices_that_stop_and_come_back(conn: Connection) -> None:
    """A warning is not announced; each of the others is, once."""
    assert run(conn, FINE, 0, 5) == []
    assert without_prices(conn, 6, 80) == [(35, "stale", "price"), (66, "halted", "price")]
    assert run(conn, FINE, 81, 90) == [(81, "recovered", "price")]
    assert without_prices(conn, 91, 119) == []
    # A second outage is news again.
    assert without_prices(conn, 120, 125) == [(120, "stale", "price")]
    stale, halted, recovered, again = outbox(conn)
    assert (stale["document"], stale["announced_at"]) == (
        {"before": "fresh", "age_seconds": 30},
        NOW + seconds(35),
    )
    assert halted["document"] == {"before": "stale", "age_seconds": 61}
    assert recovered["document"] == {
        "before": "halted",
        "since": "2026-06-01T14:40:35.000000+00:00",
    }
    assert again["document"]["before"] == "fresh"
    assert {row["symbol"] for row in outbox(conn)} == {"BTC"}


def test_warn_announces_nothing(conn: Connection) -> None:
    run(conn, FINE, 0, 0)
    assert without_prices(conn, 16, 29) == []
    assert run(conn, FINE, 30, 31) == []
    assert outbox(conn) == []


def test_back_is_also_who_is_in_warn(conn: Connection) -> None:
    """A price comes in again that the exchange made 20 seconds ago."""
    run(conn, FINE, 0, 0)
    assert without_prices(conn, 40, 40) == [(40, "stale", "price")]
    query = "SELECT upc.record_price('BTC', 'coinbase', %s, %s, %s)"
    conn.execute(query, (FINE + 1, NOW + seconds(21), NOW + seconds(41)))
    row = tick(conn, NOW + seconds(41))
    assert row["state"] == "warn"
    assert [(each["kind"], each["subject"]) for each in announced(row)] == [("recovered", "price")]
    assert scalar(conn, "SELECT count(*) FROM upc_data.condition") == 0


def test_a_frozen_price_is_announced(conn: Connection) -> None:
    announcements = []
    for second in range(40):
        put_price(conn, FINE, NOW + seconds(second))
        read_quotes(conn, NOW + seconds(second))
        row = tick(conn, NOW + seconds(second))
        announcements += [(second, a["kind"], a["subject"]) for a in announced(row)]
    assert announcements == [(30, "stale", "price")]
    assert run(conn, FINE + 1, 40, 42) == [(40, "recovered", "price")]


def test_quotes_that_stop_and_come_back(conn: Connection) -> None:
    assert run(conn, FINE, 0, 5) == []
    announcements = run(conn, FINE, 6, 80, quotes=False)
    assert announcements == [(36, "stale", "quotes"), (66, "halted", "quotes")]
    assert run(conn, FINE, 81, 90) == [(81, "recovered", "quotes")]


def test_both_at_once(conn: Connection) -> None:
    run(conn, FINE, 0, 0)
    row = tick(conn, NOW + seconds(61))
    announcements = [(each["kind"], each["subject"]) for each in announced(row)]
    assert sorted(announcements) == [("halted", "price"), ("halted", "quotes")]


def test_without_an_event_there_are_no_quotes_to_miss(conn: Connection) -> None:
    conn.execute("DELETE FROM upc_data.market_event")
    assert run(conn, FINE, 0, 70) == []


@pytest.mark.parametrize("has_next", [True, False])
def test_at_the_close_of_an_event(conn: Connection, has_next: bool) -> None:
    """A feed that has died is missed although its event has closed; a living one is not."""
    last = 20 * 60 - 2
    assert run(conn, FINE, last, last) == []
    if has_next:
        load_event(conn, LATER, closes_at=CLOSE + timedelta(hours=1), read_at=CLOSE)
        assert run(conn, FINE, last + 1, last + 10) == []
        assert scalar(conn, "SELECT event_ticker FROM upc_data.tick ORDER BY tick_id DESC LIMIT 1")
        return
    announcements = run(conn, FINE, last + 1, last + 70, quotes=False)
    assert announcements == [(last + 31, "stale", "quotes"), (last + 61, "halted", "quotes")]
    # An hour later nobody asks for them any more, and nothing was recovered.
    assert run(conn, FINE, last + 3700, last + 3702, quotes=False) == []


@pytest.mark.parametrize("feed", ["replay", "simulated"])
def test_other_prices_announce_nothing(conn: Connection, feed: str) -> None:
    conn.execute(
        "INSERT INTO upc_data.candle"
        " SELECT 'BTC', %s::timestamptz - i * interval '1 minute', 1e5, 1e5, 1e5, 1e5, 1"
        " FROM generate_series(60, 100) AS i",
        (NOW,),
    )
    arguments: Row = {"feed": feed, "replay_from": NOW - timedelta(hours=1, minutes=3)}
    states = {
        tick(conn, NOW + seconds(second), **arguments, elapsed=seconds(second))["state"]
        for second in range(0, 400, 20)
    }
    assert ("halted" in states) is (feed == "replay")
    assert outbox(conn) == []


# Subscribers


def test_in_their_order_until_they_are_acknowledged(conn: Connection) -> None:
    subscribe(conn)
    ids = [announce(conn) for _ in range(5)]
    assert coming(conn) == coming(conn) == ids
    acknowledge(conn, ids[1])
    assert coming(conn) == ids[2:]
    # At least once: what was acknowledged late moves nothing back.
    acknowledge(conn, ids[0])
    assert coming(conn) == ids[2:]
    acknowledge(conn, ids[4])
    assert coming(conn) == []
    moved_at = scalar(conn, "SELECT moved_at FROM upc_data.announcement_cursor LIMIT 1")
    assert moved_at is not None


def test_no_more_than_asked_for(conn: Connection) -> None:
    subscribe(conn)
    ids = [announce(conn) for _ in range(5)]
    assert coming(conn, count=2) == ids[:2]
    assert coming(conn, count=0) == []


def test_kinds(conn: Connection) -> None:
    subscribe(conn)
    ids = {kind: announce(conn, kind=kind) for kind in ALL}
    assert coming(conn, kinds=["stop", "halted"]) == [ids["stop"], ids["halted"]]
    acknowledge(conn, ids["stop"])
    assert coming(conn, kinds=["stop"]) == []
    assert coming(conn, kinds=["recovered"]) == [ids["recovered"]]


def test_everything_that_is_known_comes_along(conn: Connection) -> None:
    subscribe(conn)
    number = announce(conn, "ETH", "halted", document='{"a": 1}')
    [row] = table(conn, "SELECT * FROM upc.next_announcements('phone', %s)", (ALL,))
    assert row == {
        "symbol": "ETH",
        "announcement_id": number,
        "announced_at": NOW,
        "kind": "halted",
        "subject": "trade",
        "message": "a message",
        "document": {"a": 1},
    }


def test_each_subscriber_and_symbol_has_a_cursor(conn: Connection) -> None:
    subscribe(conn)
    subscribe(conn, "mail")
    btc, eth, last = announce(conn), announce(conn, "ETH"), announce(conn)
    acknowledge(conn, last)
    assert coming(conn) == [eth]
    assert coming(conn, "mail") == [btc, eth, last]
    assert coming(conn, "nobody") == []


def test_a_new_subscriber_begins_now_or_at_the_beginning(conn: Connection) -> None:
    old = [announce(conn), announce(conn, "ETH")]
    subscribe(conn)
    subscribe(conn, "archive", is_from_start=True)
    assert coming(conn) == []
    assert coming(conn, "archive") == old
    new = announce(conn)
    assert coming(conn) == [new]
    # Again at every start: it changes nothing.
    for is_from_start in (False, True):
        subscribe(conn, is_from_start=is_from_start)
    assert coming(conn) == [new]


def test_a_symbol_that_is_registered_later(conn: Connection) -> None:
    subscribe(conn)
    conn.execute("SELECT upc.add_symbol('SOL', 1)")
    numbers = [announce(conn, "SOL"), announce(conn, "SOL")]
    assert coming(conn) == []
    subscribe(conn)
    assert coming(conn) == numbers


def test_a_writer_that_is_not_done_is_not_passed_over(fresh_db: str, own: Connection) -> None:
    """A later number of the symbol waits for it; those of others go on."""
    subscribe(own)
    with (
        open_db(fresh_db, autocommit=False) as slow,
        open_db(fresh_db) as quick,
        ThreadPoolExecutor(1) as pool,
    ):
        first = announce(slow)
        other = announce(own, "ETH")
        assert coming(own) == [other]
        acknowledge(own, other, "ETH")
        # A subscriber that comes now has not seen it either.
        subscribe(own, "late")
        future = pool.submit(announce, quick)
        wait_until_blocked(own, quick, future)
        assert coming(own) == []
        slow.commit()
        second = future.result(timeout=20)
    assert coming(own) == coming(own, "late") == [first, second]


def test_a_writer_that_gives_up_leaves_a_gap_only(fresh_db: str, own: Connection) -> None:
    subscribe(own)
    with open_db(fresh_db, autocommit=False) as slow:
        announce(slow)
        slow.rollback()
    number = announce(own)
    assert coming(own) == [number]


# Ticks that have stopped


def silent(conn: Connection, **arguments: Any) -> list[Row]:
    named = ", ".join(f"{name} => %({name})s" for name in arguments)
    query = f"SELECT s FROM upc.announce_silence({named}) AS s"
    return [row["s"] for row in table(conn, query, arguments)]


def now(conn: Connection) -> Any:
    return scalar(conn, "SELECT clock_timestamp()")


def test_silence_is_announced_once_and_the_next_tick_ends_it(conn: Connection) -> None:
    at = now(conn)
    assert live(conn, FINE, at - seconds(30), holder="one") == []
    assert silent(conn, after=seconds(3600)) == []
    [announcement] = silent(conn)
    assert (announcement["kind"], announcement["subject"], announcement["symbol"]) == (
        "halted",
        "tick",
        "BTC",
    )
    assert 30 <= announcement["document"]["age_seconds"] < 90
    assert silent(conn) == []
    assert outbox(conn)[-1]["announcement_id"] == announcement["announcement_id"]
    [back] = live(conn, FINE, now(conn), holder="one")
    assert (back["kind"], back["subject"]) == ("recovered", "tick")
    assert silent(conn) == []
    assert live(conn, FINE, now(conn), holder="one") == []


def test_a_second_silence_is_announced_again(conn: Connection) -> None:
    for expected in (1, 2):
        live(conn, FINE, now(conn) - seconds(30))
        silent(conn)
        kinds = [row["kind"] for row in outbox(conn) if row["subject"] == "tick"]
        assert kinds.count("halted") == expected


def test_who_is_not_expected_is_not_missed(conn: Connection) -> None:
    """Neither what never ticked nor what ticked an hour ago and gave its lease back."""
    assert silent(conn) == []
    live(conn, FINE, now(conn) - timedelta(minutes=61), holder="one")
    assert [each["kind"] for each in silent(conn, symbol="BTC")] == ["halted"]
    conn.execute("DELETE FROM upc_data.condition")
    conn.execute("SELECT upc.release_lease('BTC', 'one')")
    assert silent(conn) == []


def test_replayed_ticks_are_not_missed(conn: Connection) -> None:
    tick(conn, now(conn) - seconds(30), feed="simulated", holder="one")
    assert silent(conn) == []


def test_of_one_symbol(conn: Connection) -> None:
    for symbol in ("BTC", "ETH"):
        live(conn, FINE, now(conn) - seconds(30), symbol=symbol)
    assert [each["symbol"] for each in silent(conn, symbol="ETH")] == ["ETH"]
    assert [each["symbol"] for each in silent(conn)] == ["BTC"]


def test_two_who_ask_at_once_announce_it_once(fresh_db: str, own: Connection) -> None:
    prepare(own)
    live(own, FINE, now(own) - seconds(30), holder="one")
    with (
        open_db(fresh_db, autocommit=False) as first,
        open_db(fresh_db) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        assert len(silent(first)) == 1
        future = pool.submit(silent, second)
        wait_until_blocked(own, second, future)
        first.commit()
        assert future.result(timeout=20) == []
    assert len(outbox(own)) == 1


def test_what_a_stop_and_a_price_announce_comes_in_one_order(conn: Connection) -> None:
    subscribe(conn)
    open_trade(conn)
    announcements = live(conn, BELOW)
    announcements += announced(tick(conn, NOW + seconds(61)))
    assert [each["announcement_id"] for each in announcements] == coming(conn)
    assert [each["kind"] for each in announcements] == ["stop", "halted", "halted"]
    assert EVENT in announcements[0]["message"]
