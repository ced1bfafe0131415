"""The stop by momentum, driven through prices; settings that make no sense; a stop fires once."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.engine import Connection, open_db, scalar
from tests.support.trading import (
    BELOW,
    CLOSE,
    FINE,
    NO,
    NOW,
    STRIKE,
    YES,
    announced,
    beyond,
    live,
    open_trade,
    outbox,
    put_price,
    read_quotes,
    refused,
    run,
    seconds,
    set_to,
    status_of,
    tick,
    ticker_of,
    trade,
)

STOPPED = ("stopped", "momentum")
OPEN = ("open", None)

BASE = 100_000.0
UP = 100_350.0  # 35 basis points
DOWN = 99_650.0
LAGS = (1, 2, 3, 4, 15, 30)


@pytest.fixture(scope="module")
def module_dsn(trading_dsn: str) -> str:
    with open_db(trading_dsn) as connection:
        # Momentum is what these are about.
        connection.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET upc.stop_on_probability = off',"
            " current_database()); END $$"
        )
    return trading_dsn


def come_from(
    conn: Connection, price: float = BASE, at: datetime = NOW, *, lags: tuple[int, ...] = LAGS
) -> None:
    """Log the price 1 to 30 minutes before that instant, for 20 seconds each."""
    for lag in sorted(lags, reverse=True):
        for second in range(0, 20, 4):
            when = at - timedelta(minutes=lag) + seconds(second)
            put_price(conn, price, when, exchange="kraken")


def at_price(conn: Connection, price: float, at: datetime = NOW, **more: Any) -> Any:
    """One exact price, without the wiggle, and a tick."""
    put_price(conn, price, at)
    read_quotes(conn, at)
    return tick(conn, at, **more)


def test_up_it_stops_every_no_and_no_yes(conn: Connection) -> None:
    """Exactly at 35 basis points, whatever the strike and the probability."""
    strikes = (STRIKE - 1000, STRIKE, STRIKE + 1000)
    nos = [open_trade(conn, NO, strike) for strike in strikes]
    yeses = [open_trade(conn, YES, strike) for strike in strikes]
    come_from(conn)
    row = at_price(conn, UP)
    assert row["momentum"] == pytest.approx(35, abs=1e-9)
    assert [status_of(conn, each) for each in nos] == [STOPPED] * 3
    assert [status_of(conn, each) for each in yeses] == [OPEN] * 3
    assert [each["document"]["id"] for each in announced(row)] == nos


def test_down_it_stops_every_yes_and_no_no(conn: Connection) -> None:
    strikes = (STRIKE - 1000, STRIKE, STRIKE + 1000)
    nos = [open_trade(conn, NO, strike) for strike in strikes]
    yeses = [open_trade(conn, YES, strike) for strike in strikes]
    come_from(conn)
    row = at_price(conn, DOWN)
    assert row["momentum"] == pytest.approx(-35, abs=1e-9)
    assert [status_of(conn, each) for each in yeses] == [STOPPED] * 3
    assert [status_of(conn, each) for each in nos] == [OPEN] * 3
    numbers = trade(conn, yeses[0])["stop_numbers"]
    assert numbers["momentum_bps"] == row["momentum"]
    assert (numbers["reason"], numbers["limits"]) == ("momentum", {"momentum_bps": 35})


@pytest.mark.parametrize("base", [20_100, 61_400, 98_600, 131_200, 198_000])
@pytest.mark.parametrize(("direction", "side"), [(1, NO), (-1, YES)])
def test_prices_that_are_35_apart_are_enough(
    conn: Connection, base: int, direction: int, side: str
) -> None:
    """Their momentum as a binary number is a hair less."""
    trade_id = open_trade(conn, side)
    come_from(conn, base)
    at_price(conn, base + direction * base * 35 / 10_000)
    assert status_of(conn, trade_id) == STOPPED


@pytest.mark.parametrize("momentum", [34.99, 34.9999, -34.99, 20, 0])
def test_below_the_limit_it_does_not(conn: Connection, momentum: float) -> None:
    yes, no = open_trade(conn, YES), open_trade(conn, NO)
    come_from(conn)
    row = at_price(conn, BASE * (1 + momentum / 10_000))
    assert row["momentum"] == pytest.approx(momentum, abs=1e-7)
    assert (status_of(conn, yes), status_of(conn, no)) == (OPEN, OPEN)


@pytest.mark.parametrize("missing", LAGS)
def test_momentum_that_is_not_known_stops_nothing(conn: Connection, missing: int) -> None:
    yes, no = open_trade(conn, YES), open_trade(conn, NO)
    come_from(conn, lags=tuple(lag for lag in LAGS if lag != missing))
    for price in (BASE * 1.05, BASE * 0.95):
        assert at_price(conn, price)["momentum"] is None
        conn.execute("DELETE FROM upc_data.price WHERE received_at = %s", (NOW,))
    assert (status_of(conn, yes), status_of(conn, no)) == (OPEN, OPEN)


def test_switched_off_it_does_not(conn: Connection) -> None:
    set_to(conn, stop_on_momentum="off")
    trade_id = open_trade(conn, NO)
    come_from(conn)
    at_price(conn, UP * 1.01)
    assert status_of(conn, trade_id) == OPEN


@pytest.mark.parametrize(("limit", "fires"), [("35.01", False), ("35.000001", False), ("2", True)])
def test_another_limit(conn: Connection, limit: str, fires: bool) -> None:
    set_to(conn, stop_momentum=limit)
    trade_id = open_trade(conn, NO)
    come_from(conn)
    at_price(conn, UP)
    assert status_of(conn, trade_id) == (STOPPED if fires else OPEN)


@pytest.mark.parametrize(("age", "fires"), [(15, True), (29, True), (30, False), (44, False)])
def test_it_acts_on_prices_that_are_fresh_enough(conn: Connection, age: float, fires: bool) -> None:
    trade_id = open_trade(conn, NO)
    come_from(conn, at=NOW + seconds(age))
    put_price(conn, UP)
    assert tick(conn, NOW + seconds(age))["momentum"] == pytest.approx(35)
    assert status_of(conn, trade_id) == (STOPPED if fires else OPEN)


def test_in_the_last_minute_it_does(conn: Connection) -> None:
    """Only the probability waits for no close; after it nothing fires."""
    before, after = open_trade(conn, NO), open_trade(conn, YES)
    come_from(conn, at=CLOSE - seconds(5))
    come_from(conn, at=CLOSE + seconds(60))
    at_price(conn, UP, CLOSE - seconds(5))
    at_price(conn, DOWN * 0.99, CLOSE + seconds(60))
    assert (status_of(conn, before), status_of(conn, after)) == (STOPPED, OPEN)


def test_verification_is_not_for_momentum(conn: Connection) -> None:
    set_to(conn, stop_verify="on")
    trade_id = open_trade(conn, NO)
    come_from(conn)
    at_price(conn, UP)
    assert status_of(conn, trade_id) == STOPPED


@pytest.mark.parametrize("feed", ["replay", "simulated"])
def test_other_prices_stop_nothing(conn: Connection, feed: str) -> None:
    conn.execute(
        "INSERT INTO upc_data.candle"
        " SELECT 'BTC', %(at)s::timestamptz + i * interval '1 minute', p, p, p, p, 1"
        " FROM generate_series(-60, 60) AS i, LATERAL (SELECT 50000 + i * 500 AS p) AS p",
        {"at": NOW},
    )
    set_to(conn, stop_momentum="0.001")
    yes, no = open_trade(conn, YES), open_trade(conn, NO)
    for second in range(0, 200, 20):
        row = tick(conn, NOW + seconds(second), feed=feed)
        assert row["momentum"] is not None
    assert (status_of(conn, yes), status_of(conn, no)) == (OPEN, OPEN)


# Settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stop_probability", "abc"),
        ("stop_probability", "-1"),
        ("stop_probability", "100.001"),
        ("stop_probability", "NaN"),
        ("stop_probability", "Infinity"),
        ("stop_probability", "1e400"),
        ("stop_momentum", "0"),
        ("stop_momentum", "-35"),
        ("stop_momentum", "NaN"),
        ("stop_momentum", "Infinity"),
        ("stop_momentum", "35 bp"),
        ("stop_ttc", "-1 s"),
        ("stop_ttc", "soon"),
        ("stop_ttc", "99999999999999 years"),
        ("stop_verify_for", "-15 s"),
        ("stop_verify_for", "15 x"),
        ("stop_verify", "perhaps"),
        ("stop_on_probability", "2"),
        ("stop_on_momentum", "ja"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(conn: Connection, name: str, value: str) -> None:
    set_to(conn, stop_verify="on")
    set_to(conn, **{name: value})
    assert refused(conn, "SELECT * FROM upc._stop_rules()") == "22023"
    open_trade(conn)
    put_price(conn, FINE)
    query = "SELECT upc.tick('BTC', 'database', %s)"
    assert refused(conn, query, NOW) == "22023"
    # An empty one is none.
    set_to(conn, **{name: ""})
    conn.execute(query.encode(), (NOW,))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stop_probability", "0"),
        ("stop_probability", "100"),
        ("stop_ttc", "0"),
        ("stop_ttc", "1 h"),
    ],
)
def test_limits_of_what_makes_sense(conn: Connection, name: str, value: str) -> None:
    set_to(conn, **{name: value})
    conn.execute("SELECT * FROM upc._stop_rules()")


def test_stop_rules_in_force(conn: Connection) -> None:
    conn.execute("SET upc.stop_on_probability = ''")
    row = conn.execute("SELECT * FROM upc._stop_rules()").fetchone()
    assert row == (True, 40, seconds(60), None, True, 35)
    conn.execute("SELECT upc.unset_rule('stop_verify')")
    assert scalar(conn, "SELECT verify_for FROM upc._stop_rules()") == seconds(15)


# Once


def test_the_first_stop_that_fires_is_the_one(conn: Connection) -> None:
    """No second stop follows, of either kind, even after a recovery."""
    set_to(conn, stop_on_probability="on")
    trade_id = open_trade(conn, YES)
    assert run(conn, BELOW, 0, 0) == [(0, "stop", "trade")]
    stopped = trade(conn, trade_id)
    run(conn, FINE, 1, 20)
    come_from(conn, beyond(-2), NOW + seconds(60))
    row = at_price(conn, BELOW, NOW + seconds(60))
    assert row["momentum"] < -35
    run(conn, BELOW, 61, 62)
    for name in ("status", "stopped_at", "stop_reason", "stop_numbers"):
        assert trade(conn, trade_id)[name] == stopped[name]
    assert len(outbox(conn, "stop")) == 1


def test_and_the_other_way_round(conn: Connection) -> None:
    set_to(conn, stop_on_probability="on")
    trade_id = open_trade(conn, YES)
    come_from(conn, beyond(-2))
    at_price(conn, FINE)
    assert status_of(conn, trade_id) == STOPPED
    run(conn, BELOW, 1, 5)
    assert status_of(conn, trade_id) == STOPPED
    assert len(outbox(conn, "stop")) == 1


def test_the_probability_is_looked_at_first(conn: Connection) -> None:
    set_to(conn, stop_on_probability="on")
    trade_id = open_trade(conn, YES)
    come_from(conn, beyond(-2))
    at_price(conn, BELOW)
    assert status_of(conn, trade_id) == ("stopped", "probability")


def test_what_a_stop_leaves_behind(conn: Connection) -> None:
    """The same numbers with the trade, in the outbox, in what the tick returns and in its JSON."""
    set_to(conn, stop_on_probability="on")
    trade_id = open_trade(conn, YES, price="0.85", count="12.5")
    opened = NOW + seconds(70.5)
    row = at_price(conn, BELOW, opened)
    numbers = trade(conn, trade_id)["stop_numbers"]
    assert numbers == {
        "id": trade_id,
        "ticker": ticker_of(),
        "side": "yes",
        "strike": STRIKE,
        "lower": STRIKE,
        "upper": None,
        "kind": "above",
        "position": 12.5,
        "reason": "probability",
        "price": BELOW,
        "probability": 39.99,
        "momentum_bps": None,
        "ttc_seconds": 1129,
        "buffer": pytest.approx(BELOW - STRIKE, abs=1e-9),
        "close_price": 0.58,
        # 12.5 contracts: 10.625 and 0.1116 are 10.74 paid, 7.25 less 0.2132 would be 7.03.
        "pnl_after_fees": pytest.approx(7.03 - 10.74),
        "below_since": "2026-06-01T14:41:10.500000+00:00",
        "limits": {"probability": 40, "ttc_seconds": 60, "verify_for_seconds": None},
    }
    [announcement] = announced(row)
    [kept] = outbox(conn)
    assert (kept["symbol"], kept["kind"], kept["subject"]) == ("BTC", "stop", "trade")
    assert (kept["document"], kept["announced_at"]) == (numbers, opened)
    assert announcement == {
        name: kept[name]
        for name in ("announcement_id", "symbol", "kind", "subject", "message", "document")
    }
    for word in (ticker_of(), "12.5", "39.99", "yes"):
        assert word in kept["message"]
    for document in (
        json.loads(row["active_trades"]),
        scalar(conn, "SELECT active_trades FROM upc_data.document"),
    ):
        [shown] = document["active_trades"]
        assert (shown["state"], shown["stop_reason"]) == ("stopped", "probability")
        assert shown["stopped_at"] == "2026-06-01T14:41:10.500000+00:00"
    # It is still held, and stays so.
    [shown] = json.loads(at_price(conn, FINE, opened + seconds(1))["active_trades"])[
        "active_trades"
    ]
    assert (shown["state"], shown["stop_reason"]) == ("stopped", "probability")
    assert shown["current_probability"] == 95


def test_a_second_that_is_quiet_announces_nothing(conn: Connection) -> None:
    open_trade(conn, YES)
    assert at_price(conn, FINE)["announced"] is None
    assert live(conn, FINE, NOW + seconds(1)) == []
