"""Supervision over restarts and between sessions: nothing is forgotten, nothing happens twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.support.engine import Connection, open_db, scalar, wait_until_blocked
from tests.support.trading import (
    AT_LIMIT,
    BELOW,
    CLOSE,
    FINE,
    NO,
    NOW,
    YES,
    Row,
    announced,
    beyond,
    live,
    load_event,
    open_trade,
    outbox,
    prepare,
    put_price,
    read_quotes,
    refused,
    run,
    seconds,
    set_to,
    status_of,
    tick,
    trade,
)

# The lease of the one that has ended has run out by the time that another comes.
ENDED: Row = {"lease": timedelta(0)}


@pytest.fixture
def first(own: Connection) -> Connection:
    prepare(own)
    return own


@pytest.fixture
def second(fresh_db: str, first: Connection) -> Iterator[Connection]:
    with open_db(fresh_db) as connection:
        yield connection


def test_a_stop_after_a_restart(first: Connection, second: Connection) -> None:
    trade_id = open_trade(first)
    run(first, FINE, 0, 2, holder="one", **ENDED)
    first.close()
    assert run(second, BELOW, 300, 301, holder="two") == [(300, "stop", "trade")]
    assert status_of(second, trade_id) == ("stopped", "probability")


def test_a_stop_is_not_announced_again_after_a_restart(
    first: Connection, second: Connection
) -> None:
    trade_id = open_trade(first)
    assert run(first, BELOW, 0, 1, holder="one", **ENDED) == [(0, "stop", "trade")]
    stopped = trade(first, trade_id)
    first.close()
    assert run(second, BELOW, 300, 303, holder="two", **ENDED) == []
    run(second, FINE, 304, 304, holder="two", **ENDED)
    assert run(second, BELOW, 305, 306, holder="three") == []
    again = trade(second, trade_id)
    assert {**again, "below_since": None} == {**stopped, "below_since": None}
    assert len(outbox(second)) == 1


def test_no_momentum_stop_after_one_by_probability(first: Connection, second: Connection) -> None:
    trade_id = open_trade(first, YES)
    run(first, BELOW, 0, 1, holder="one", **ENDED)
    first.close()
    for lag in (30, 15, 4, 3, 2, 1):
        put_price(second, beyond(-2), NOW + timedelta(minutes=5 - lag), exchange="kraken")
    put_price(second, BELOW, NOW + timedelta(minutes=5))
    read_quotes(second, NOW + timedelta(minutes=5))
    row = tick(second, NOW + timedelta(minutes=5), holder="two")
    assert row["momentum"] < -35
    assert announced(row) == []
    assert status_of(second, trade_id) == ("stopped", "probability")


@pytest.mark.parametrize(("gap", "fires_at"), [(2, 15), (10, 15), (20, 36)])
def test_verification_over_a_restart(
    first: Connection, second: Connection, gap: int, fires_at: int
) -> None:
    """A short one is none; over a long one nobody looked."""
    for conn in (first, second):
        set_to(conn, stop_verify="on")
    trade_id = open_trade(first)
    assert run(first, BELOW, 0, 1, holder="one", **ENDED) == []
    first.close()
    announcements = run(second, BELOW, 1 + gap, 40, holder="two")
    assert announcements == [(fires_at, "stop", "trade")]
    since = trade(second, trade_id)["stop_numbers"]["below_since"]
    assert since == ("2026-06-01T14:40:00" if gap < 15 else "2026-06-01T14:40:21") + ".000000+00:00"


def test_a_recovery_over_a_restart_is_seen(first: Connection, second: Connection) -> None:
    for conn in (first, second):
        set_to(conn, stop_verify="on")
    open_trade(first)
    run(first, BELOW, 0, 10, holder="one", **ENDED)
    first.close()
    run(second, AT_LIMIT, 12, 12, holder="two")
    assert run(second, BELOW, 13, 29, holder="two") == [(28, "stop", "trade")]


def test_settled_once_over_a_restart(first: Connection, second: Connection) -> None:
    won, lost = open_trade(first, YES), open_trade(first, NO)
    run(first, FINE, 0, 1, holder="one", **ENDED)
    first.close()
    # The result comes in while nothing ticks.
    load_event(second, read_at=CLOSE + seconds(195), result="yes", status="finalized")
    announcements = run(second, FINE, 1400, 1402, holder="two", quotes=False)
    assert announcements == [(1400, "settled", "trade")] * 2
    assert [status_of(second, each)[0] for each in (won, lost)] == ["settled"] * 2
    assert len(outbox(second, "settled")) == 2


def test_a_rolled_back_stop_is_not_announced(fresh_db: str, first: Connection) -> None:
    """A stop is announced in the transaction in which it happens, or not at all."""
    trade_id = open_trade(first)
    put_price(first, BELOW)
    with open_db(fresh_db, autocommit=False) as undone:
        assert len(announced(tick(undone))) == 1
        undone.rollback()
    assert status_of(first, trade_id) == ("open", None)
    assert outbox(first) == []
    assert [each["kind"] for each in announced(tick(first))] == ["stop"]


def test_notification(fresh_db: str, first: Connection) -> None:
    stop, settle = open_trade(first), open_trade(first, NO)
    with open_db(fresh_db) as listener:
        listener.execute("LISTEN upc_announcement")
        announcements = live(first, BELOW)
        load_event(first, read_at=CLOSE, result="no")
        announcements += live(first, FINE, CLOSE, quotes=False)
        heard = [json.loads(each.payload) for each in listener.notifies(timeout=10, stop_after=3)]
        heard += [json.loads(each.payload) for each in listener.notifies(timeout=0.2)]
    assert [(each["kind"], each["document"]["id"]) for each in announcements] == [
        ("stop", stop),
        ("settled", stop),
        ("settled", settle),
    ]
    keys = ("symbol", "announcement_id", "kind")
    assert heard == [{name: each[name] for name in keys} for each in announcements]


# Two sessions


CLOSE_TRADE = "SELECT upc.close_trade(%s, 0.5, %s)"


def test_two_sessions_close_at_once(fresh_db: str, first: Connection, second: Connection) -> None:
    trade_id = open_trade(first)
    with (
        open_db(fresh_db, autocommit=False) as closing,
        ThreadPoolExecutor(1) as pool,
    ):
        closing.execute(CLOSE_TRADE, (trade_id, NOW))
        future = pool.submit(refused, second, CLOSE_TRADE, trade_id, NOW + seconds(1))
        wait_until_blocked(first, second, future)
        closing.commit()
        assert future.result(timeout=20) == "UP015"
    assert trade(first, trade_id)["ended_at"] == NOW


def test_who_is_closing_comes_before_the_stop(fresh_db: str, first: Connection) -> None:
    """A tick waits for nobody: if the other thinks better of it, the next one fires."""
    closed, kept = open_trade(first), open_trade(first)
    with (
        open_db(fresh_db, autocommit=False) as closing,
        open_db(fresh_db, autocommit=False) as thinking,
    ):
        closing.execute(CLOSE_TRADE, (closed, NOW))
        thinking.execute(CLOSE_TRADE, (kept, NOW))
        first.execute("SET lock_timeout = '5s'")
        assert run(first, BELOW, 0, 1) == []
        closing.commit()
        thinking.rollback()
    announcements = live(first, BELOW, NOW + seconds(2))
    assert [each["document"]["id"] for each in announcements] == [kept]
    assert status_of(first, closed) == ("closed", None)
    assert status_of(first, kept) == ("stopped", "probability")


def test_who_is_closing_comes_before_the_settlement(fresh_db: str, first: Connection) -> None:
    closed, kept = open_trade(first), open_trade(first)
    run(first, FINE, 0, 0)
    load_event(first, read_at=CLOSE, result="yes")
    first.execute("SET lock_timeout = '5s'")
    with open_db(fresh_db, autocommit=False) as closing:
        closing.execute(CLOSE_TRADE, (closed, CLOSE))
        announcements = live(first, FINE, CLOSE, quotes=False)
        assert [each["document"]["id"] for each in announcements] == [kept]
        closing.commit()
    assert live(first, FINE, CLOSE + seconds(1), quotes=False) == []
    assert (status_of(first, closed)[0], status_of(first, kept)[0]) == ("closed", "settled")
    assert trade(first, closed)["end_price"] == scalar(first, "SELECT 0.5")


def test_closing_waits_for_the_tick_that_stops(fresh_db: str, first: Connection) -> None:
    """The trade keeps its stop, and ends."""
    trade_id = open_trade(first)
    put_price(first, BELOW)
    read_quotes(first, NOW)
    with (
        open_db(fresh_db, autocommit=False) as ticking,
        open_db(fresh_db) as closing,
        ThreadPoolExecutor(1) as pool,
    ):
        assert len(announced(tick(ticking))) == 1
        future = pool.submit(closing.execute, CLOSE_TRADE, (trade_id, NOW))
        wait_until_blocked(first, closing, future)
        ticking.commit()
        future.result(timeout=20)
    row = trade(first, trade_id)
    assert (row["status"], row["stop_reason"], row["stopped_at"]) == ("closed", "probability", NOW)
    assert live(first, BELOW, NOW + seconds(1)) == []


def test_two_ticks_at_once_stop_once(fresh_db: str, first: Connection, second: Connection) -> None:
    """Neither has the lease: the second waits, and sees what the first has done."""
    open_trade(first)
    put_price(first, BELOW)
    with open_db(fresh_db, autocommit=False) as ticking, ThreadPoolExecutor(1) as pool:
        assert len(announced(tick(ticking))) == 1
        future = pool.submit(tick, second)
        wait_until_blocked(first, second, future)
        ticking.commit()
        assert announced(future.result(timeout=20)) == []
    assert len(outbox(first)) == 1
    assert scalar(first, "SELECT done FROM upc_data.tick_count") == 2
