"""The status: green when all is well, and each thing that fails in turn."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from tests.support.engine import Connection
from tests.support.healthy_symbol import LEASE, NOW, document, make_healthy, status
from tests.support.imported import import_set
from tests.support.trading import (
    CLOSE,
    EVENT,
    FINE,
    KNOWN,
    NO,
    Row,
    open_trade,
    put_price,
    read_quotes,
    seconds,
    set_to,
    tick,
)


@pytest.fixture(scope="module")
def module_dsn(healthy_dsn: str) -> str:
    return healthy_dsn


@pytest.fixture
def healthy(conn: Connection) -> Connection:
    """BTC as it should be."""
    return make_healthy(conn)


def test_green(healthy: Connection) -> None:
    assert status(healthy) == {
        "symbol": "BTC",
        "light": "green",
        "problems": [],
        "is_expected": True,
        "feed": "database",
        "holder": "one",
        "lease_state": "held",
        "ticked_at": NOW,
        "tick_age_seconds": 0,
        "price_state": "fresh",
        "price_age_seconds": 0,
        "quote_state": "fresh",
        "quote_age_seconds": 0,
        "event_ticker": EVENT,
        "candle_at": NOW,
        "candle_age_seconds": 0,
        "fingerprint_origin": "built",
        "fingerprint_through": date(2026, 6, 1),
        "is_momentum_known": True,
        "open_trades": 0,
        "minute_done": 1,
        "minute_missed": 0,
        "minute_availability": 100,
        "hour_done": 1,
        "hour_missed": 0,
        "hour_availability": 100,
        "day_done": 1,
        "day_missed": 0,
        "day_availability": 100,
        "day_answered": 100,
        "price_source": "coinbase",
        "basis_bps": None,
        "basis_settlements": None,
    }
    found = document(healthy)
    assert (found["state"], found["problems"]) == ("green", [])
    assert found["timestamp"] == "2026-06-01T14:40:00.000000+00:00"


def test_ages_and_counts(healthy: Connection) -> None:
    for second in (1, 3, 4):
        put_price(healthy, FINE + second, NOW + seconds(second))
        tick(healthy, NOW + seconds(second), holder="one", lease=LEASE)
    open_trade(healthy)
    open_trade(healthy, NO)
    healthy.execute("SELECT upc.close_trade(max(trade_id), 0.5, %s) FROM upc_data.trade", (NOW,))
    row = status(healthy, NOW + seconds(5.25))
    assert (row["tick_age_seconds"], row["price_age_seconds"]) == (1.25, 1.25)
    assert (row["quote_age_seconds"], row["candle_age_seconds"]) == (5.25, 5.25)
    assert (row["minute_done"], row["minute_missed"], row["minute_availability"]) == (4, 1, 80)
    assert (row["day_done"], row["day_missed"], row["day_answered"]) == (4, 1, 80)
    assert row["open_trades"] == 1
    assert row["light"] == "green"


# Each thing that fails: what is done to it, when it is looked at, its light and a word about it.

Deed = Callable[[Connection], object]


def sql(*statements: str) -> Deed:
    def do(conn: Connection) -> None:
        for statement in statements:
            conn.execute(statement.encode())

    return do


def fed(until: float, *, price: bool = True, quotes: bool = True, ticks: bool = True) -> Deed:
    """All goes on until then, but for some of it."""

    def do(conn: Connection) -> None:
        at = NOW + seconds(until)
        if price:
            put_price(conn, FINE + 2, at)
        if quotes:
            read_quotes(conn, at)
        if ticks:
            tick(conn, at, holder="one", lease=LEASE)

    return do


FAILURES: dict[str, tuple[Deed, float, str, str]] = {
    "nothing ticks": (sql("SELECT upc.release_lease('BTC', 'one')"), 0, "red", "nothing"),
    "the lease has expired": (
        sql("UPDATE upc_data.tick_lease SET expires_at = '2026-06-01T14:39:59Z'"),
        0,
        "red",
        "one",
    ),
    "the last tick is old": (fed(3.5, ticks=False), 3.5, "red", "last tick"),
    "no tick at all": (
        sql("DELETE FROM upc_data.tick", "DELETE FROM upc_data.tick_count"),
        0,
        "red",
        "no tick",
    ),
    "the clock was put back": (sql(), -3.5, "red", "last tick"),
    "the price is in warn": (fed(16, price=False), 16, "yellow", "price is warn"),
    "the price is stale": (fed(31, price=False), 31, "yellow", "price is stale"),
    "the price is halted": (fed(61, price=False), 61, "red", "price is halted"),
    "no price": (sql("DELETE FROM upc_data.price"), 0, "red", "no price"),
    "quotes in warn": (fed(16, quotes=False), 16, "yellow", "quotes are warn"),
    "stale quotes": (fed(31, quotes=False), 31, "yellow", "quotes are stale"),
    "halted quotes": (fed(61, quotes=False), 61, "yellow", "quotes are halted"),
    "the event has closed and none follows": (
        sql("UPDATE upc_data.market_event SET closes_at = '2026-06-01T14:39:59Z'"),
        20,
        "yellow",
        "quotes are warn",
    ),
    "momentum is not known": (
        sql("UPDATE upc_data.tick SET momentum = NULL"),
        0,
        "yellow",
        "momentum",
    ),
    "old candles": (
        sql("DELETE FROM upc_data.candle WHERE opened_at >= '2026-06-01T14:34:00Z'"),
        0,
        "yellow",
        "candle",
    ),
    "no candles": (sql("DELETE FROM upc_data.candle"), 0, "yellow", "no candles"),
    "no fingerprint": (
        sql("TRUNCATE upc_data.fingerprint_histogram", "SELECT upc.refresh_fingerprints()"),
        0,
        "red",
        "fingerprint",
    ),
    "old fingerprints": (
        sql("UPDATE upc_data.counted_day SET day = '2026-05-30'"),
        0,
        "yellow",
        "2026-05-30",
    ),
    "files cannot be written": (
        sql("SELECT upc.report_problem('BTC', 'one', 'live/btc.json: No space left on device')"),
        0,
        "yellow",
        "No space left",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_each_failure_is_reported_and_not_green(healthy: Connection, name: str) -> None:
    deed, age, light, word = FAILURES[name]
    deed(healthy)
    at = NOW + seconds(age)
    if age > 0:
        healthy.execute("UPDATE upc_data.tick_lease SET expires_at = %s", (at + seconds(1),))
    if name == "the event has closed and none follows":
        fed(20, quotes=False)(healthy)
        healthy.execute("UPDATE upc_data.tick_lease SET expires_at = %s", (at + seconds(1),))
    row = status(healthy, at)
    assert row["light"] == light, row["problems"]
    assert any(word in problem for problem in row["problems"]), row["problems"]
    for problem in row["problems"]:
        assert "  " not in problem
        assert len(problem) < 120
    found = document(healthy, "BTC", at=at)
    assert found["state"] == light
    assert found["problems"] == [f"BTC: {problem}" for problem in row["problems"]]
    assert [each["symbol"] for each in found["symbols"]] == ["BTC"]
    assert set(found["symbols"][0]) == set(row)


@pytest.mark.parametrize(
    ("every", "age", "light"),
    [(1, 3, "green"), (1, 3.001, "red"), (5, 15, "green"), (5, 16, "red")],
)
def test_how_old_a_tick_may_be(healthy: Connection, every: int, age: float, light: str) -> None:
    healthy.execute(
        "UPDATE upc_data.tick_lease SET every = %s, expires_at = %s", (seconds(every), CLOSE)
    )
    healthy.execute("UPDATE upc_data.tick_count SET every = %s", (seconds(every),))
    fed(age, ticks=False)(healthy)
    row = status(healthy, NOW + seconds(age))
    assert (row["light"], row["tick_age_seconds"]) == (light, age)


@pytest.mark.parametrize(("missing", "light"), [(0, "green"), (3, "green"), (4, "yellow")])
def test_how_many_ticks_may_be_missed(healthy: Connection, missing: int, light: str) -> None:
    """Three of sixty are 95 percent."""
    for second in range(1, 121):
        put_price(healthy, FINE + second, NOW + seconds(second))
        if not 80 <= second < 80 + missing:
            tick(healthy, NOW + seconds(second), holder="one", lease=LEASE, levels=0)
    at = NOW + seconds(120)
    read_quotes(healthy, at)
    healthy.execute("UPDATE upc_data.tick_lease SET expires_at = %s", (CLOSE,))
    row = status(healthy, at)
    assert (row["minute_done"], row["minute_missed"]) == (60 - missing, missing)
    assert row["light"] == light, row["problems"]
    assert row["hour_missed"] == missing


@pytest.mark.parametrize(("minutes", "light"), [(5, "green"), (5.01, "yellow")])
def test_how_old_candles_may_be(healthy: Connection, minutes: float, light: str) -> None:
    at = 60 * minutes
    fed(at)(healthy)
    healthy.execute("UPDATE upc_data.tick_lease SET expires_at = %s", (CLOSE,))
    healthy.execute("UPDATE upc_data.tick SET momentum = 0, missed_count = 0")
    healthy.execute("UPDATE upc_data.tick_count SET missed = 0, every = '5 min'")
    row = status(healthy, NOW + seconds(at))
    assert (row["light"], len(row["problems"])) == (light, int(light == "yellow")), row["problems"]


@pytest.mark.parametrize(("missed", "light"), [(3, "green"), (4, "yellow")])
def test_how_many_ticks_of_a_young_log_may_be_missed(
    healthy: Connection, missed: int, light: str
) -> None:
    """Three per minute, the cost of a take-over and a restart of the server."""
    at = 1 + missed
    put_price(healthy, FINE, NOW + seconds(at))
    tick(healthy, NOW + seconds(at), holder="one", lease=LEASE)
    row = status(healthy, NOW + seconds(at))
    assert (row["minute_done"], row["minute_missed"], row["light"]) == (2, missed, light)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York", "Pacific/Kiritimati"])
@pytest.mark.parametrize(("day", "light"), [("2026-05-31", "green"), ("2026-05-30", "yellow")])
def test_the_day_of_the_fingerprints_is_one_of_utc(
    healthy: Connection, zone: str, day: str, light: str
) -> None:
    healthy.execute("SELECT set_config('timezone', %s, true)", (zone,))
    healthy.execute("UPDATE upc_data.counted_day SET day = %s", (day,))
    assert status(healthy)["light"] == light


def test_the_worst_comes_first(healthy: Connection) -> None:
    FAILURES["files cannot be written"][0](healthy)
    FAILURES["old candles"][0](healthy)
    FAILURES["nothing ticks"][0](healthy)
    row = status(healthy)
    assert len(row["problems"]) >= 3 - 1
    assert "nothing" in row["problems"][0]
    assert row["light"] == "red"


def test_an_imported_set_counts_no_candles(healthy: Connection) -> None:
    healthy.execute("UPDATE upc_data.counted_day SET day = '2026-01-01'")
    assert status(healthy)["light"] == "yellow"
    import_set(healthy, KNOWN)
    healthy.execute("SELECT upc.use_fingerprints('imported', ARRAY['BTC'])")
    row = status(healthy)
    assert (row["fingerprint_origin"], row["light"]) == ("imported", "green")


def test_without_quotes_ever_none_are_missed(healthy: Connection) -> None:
    healthy.execute("DELETE FROM upc_data.market_event")
    row = status(healthy)
    assert (row["quote_state"], row["quote_age_seconds"], row["light"]) == (None, None, "green")


def test_who_has_read_quotes_wants_them_for_a_week(healthy: Connection) -> None:
    """An open trade needs quotes for as long as that."""
    closed = "UPDATE upc_data.market_event SET closes_at = %s"
    open_trade(healthy)
    healthy.execute(closed, (NOW - timedelta(days=6, hours=23),))
    read_quotes(healthy, NOW - timedelta(days=7))
    row = status(healthy)
    assert (row["quote_state"], row["event_ticker"], row["light"]) == ("halted", None, "yellow")
    healthy.execute(closed, (NOW - timedelta(days=7),))
    assert status(healthy)["light"] == "yellow"
    healthy.execute("SELECT upc.close_trade(t.trade_id, 0.5, %s) FROM upc_data.trade AS t", (NOW,))
    assert status(healthy)["light"] == "green"


def test_an_exchange_of_its_own(healthy: Connection) -> None:
    """The price is that of the feed that is ticked from, and no other."""
    healthy.execute("UPDATE upc_data.tick_lease SET feed = 'kraken'")
    assert status(healthy)["price_state"] is None
    put_price(healthy, FINE, NOW - seconds(20), exchange="kraken")
    row = status(healthy)
    assert (row["price_state"], row["price_age_seconds"], row["light"]) == ("warn", 20, "yellow")


def test_a_frozen_price_is_stale(conn: Connection) -> None:
    for second in range(31):
        put_price(conn, FINE + 1, NOW + seconds(second))
    assert status(conn, NOW + seconds(30))["price_state"] == "stale"


def test_a_replay(healthy: Connection) -> None:
    """It depends on stored candles only; where they are missing it is not green."""
    healthy.execute("DELETE FROM upc_data.tick_lease")
    healthy.execute("DELETE FROM upc_data.price")
    healthy.execute(
        "DELETE FROM upc_data.candle WHERE opened_at BETWEEN %s AND %s",
        (
            NOW - timedelta(minutes=20),
            NOW - timedelta(minutes=10),
        ),
    )
    more: Row = {"feed": "replay", "holder": "one", "lease": LEASE}
    tick(healthy, NOW, replay_from=NOW - timedelta(minutes=40), **more)
    row = status(healthy)
    assert (row["feed"], row["price_state"], row["quote_state"]) == ("replay", "fresh", None)
    assert row["light"] == "green"
    tick(healthy, NOW, replay_from=NOW - timedelta(minutes=15), **more)
    row = status(healthy)
    assert (row["light"], row["price_state"]) == ("red", "halted")
    assert "price is halted" in row["problems"][0]


def test_other_settings_of_freshness(healthy: Connection) -> None:
    set_to(healthy, fresh_for="1 s")
    fed(1.5, price=False)(healthy)
    healthy.execute("UPDATE upc_data.tick_lease SET expires_at = %s", (CLOSE,))
    assert "price is warn" in status(healthy, NOW + seconds(1.5))["problems"][0]
