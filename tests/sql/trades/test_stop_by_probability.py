"""The stop by probability, driven through prices: when it fires, and each way it must not."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta

import pytest

from tests.support.engine import Connection, scalar
from tests.support.trading import (
    AT_LIMIT,
    BAD_FOR_NO,
    BELOW,
    CLOSE,
    ETH_EVENT,
    FINE,
    LATER,
    NO,
    NOW,
    STRIKE,
    YES,
    announced,
    beyond,
    live,
    load_event,
    open_trade,
    outbox,
    put_price,
    read_quotes,
    run,
    seconds,
    set_to,
    status_of,
    table,
    tick,
    trade,
)

STOPPED = ("stopped", "probability")
OPEN = ("open", None)


@pytest.fixture(scope="module")
def module_dsn(trading_dsn: str) -> str:
    return trading_dsn


def test_it_fires_below_40_percent(conn: Connection) -> None:
    trade_id = open_trade(conn)
    assert run(conn, FINE, 0, 3) == []
    assert run(conn, AT_LIMIT, 4, 6) == []
    assert status_of(conn, trade_id) == OPEN
    assert run(conn, BELOW, 7, 8) == [(7, "stop", "trade")]
    assert status_of(conn, trade_id) == STOPPED
    assert trade(conn, trade_id)["stopped_at"] == NOW + seconds(7)


def test_each_side_has_its_own_probability(conn: Connection) -> None:
    """A price that is bad for a no is good for a yes at the same strike."""
    yes, no = open_trade(conn, YES), open_trade(conn, NO)
    run(conn, BAD_FOR_NO, 0, 1)
    assert (status_of(conn, yes), status_of(conn, no)) == (OPEN, STOPPED)
    run(conn, BELOW, 2, 3)
    assert (status_of(conn, yes), status_of(conn, no)) == (STOPPED, STOPPED)


@pytest.mark.parametrize("side", [YES, NO])
def test_exactly_at_the_limit_it_does_not(conn: Connection, side: str) -> None:
    trade_id = open_trade(conn, side)
    run(conn, AT_LIMIT if side == YES else beyond(-0.2), 0, 20)
    assert trade(conn, trade_id)["below_since"] is None
    assert status_of(conn, trade_id) == OPEN


@pytest.mark.parametrize(
    ("left", "status"), [(62, STOPPED), (61, STOPPED), (60.999, OPEN), (60, OPEN), (59, OPEN)]
)
def test_in_the_last_minute_it_does_not(
    conn: Connection, left: float, status: tuple[str, str | None]
) -> None:
    """Whole seconds count, rounded down: 60.999 seconds are 60."""
    trade_id = open_trade(conn)
    live(conn, BELOW, CLOSE - seconds(left))
    assert status_of(conn, trade_id) == status
    for second in range(math.ceil(left), 0, -7):
        live(conn, BELOW, CLOSE - seconds(min(left, second) - 0.5))
    assert status_of(conn, trade_id) == status


def test_after_the_close_it_does_not(conn: Connection) -> None:
    trade_id = open_trade(conn)
    for second in (0, 0.001, 1, 120):
        live(conn, BELOW, CLOSE + seconds(second))
    assert status_of(conn, trade_id) == OPEN
    # There is no probability, and what is not known is not below.
    assert trade(conn, trade_id)["below_since"] is None


def test_switched_off_it_does_not(conn: Connection) -> None:
    set_to(conn, stop_on_probability="off")
    trade_id = open_trade(conn)
    assert run(conn, BELOW, 0, 20) == []
    assert status_of(conn, trade_id) == OPEN
    # It is known all the same since when it has been so.
    assert trade(conn, trade_id)["below_since"] == NOW
    set_to(conn, stop_on_probability="on")
    assert run(conn, BELOW, 21, 22) == [(21, "stop", "trade")]


@pytest.mark.parametrize(("limit", "fires"), [("39.99", False), ("39.991", True), ("0", False)])
def test_another_limit(conn: Connection, limit: str, fires: bool) -> None:
    set_to(conn, stop_probability=limit)
    trade_id = open_trade(conn)
    run(conn, BELOW, 0, 2)
    assert status_of(conn, trade_id) == (STOPPED if fires else OPEN)


def test_other_last_seconds(conn: Connection) -> None:
    set_to(conn, stop_ttc="2 min")
    trade_id = open_trade(conn)
    live(conn, BELOW, CLOSE - seconds(120))
    assert status_of(conn, trade_id) == OPEN
    set_to(conn, stop_ttc="119 s")
    live(conn, BELOW, CLOSE - seconds(119.5))
    assert status_of(conn, trade_id) == OPEN
    set_to(conn, stop_ttc="59 s")
    live(conn, BELOW, CLOSE - seconds(60))
    assert status_of(conn, trade_id) == STOPPED


# Verification: below for the whole of 15 seconds.


@pytest.fixture
def verified(conn: Connection) -> Connection:
    set_to(conn, stop_verify="on")
    return conn


def test_only_after_the_whole_period(verified: Connection) -> None:
    trade_id = open_trade(verified)
    assert run(verified, BELOW, 0, 14) == []
    assert live(verified, BELOW, NOW + seconds(14.999)) == []
    assert run(verified, BELOW, 15, 17) == [(15, "stop", "trade")]
    numbers = trade(verified, trade_id)["stop_numbers"]
    assert numbers["below_since"] == "2026-06-01T14:40:00.000000+00:00"
    assert numbers["limits"]["verify_for_seconds"] == 15


def test_another_period(verified: Connection) -> None:
    set_to(verified, stop_verify_for="3 s")
    open_trade(verified)
    assert run(verified, BELOW, 0, 4) == [(3, "stop", "trade")]


@pytest.mark.parametrize("price", [FINE, AT_LIMIT])
def test_a_recovery_starts_again(verified: Connection, price: float) -> None:
    trade_id = open_trade(verified)
    run(verified, BELOW, 0, 13)
    run(verified, price, 14, 14)
    assert trade(verified, trade_id)["below_since"] is None
    assert run(verified, BELOW, 15, 31) == [(30, "stop", "trade")]


@pytest.mark.parametrize(("gap", "fires_at"), [(15, 20), (15.001, None)])
def test_a_gap_starts_again_if_a_price_would_not_be_fresh_over_it(
    verified: Connection, gap: float, fires_at: int | None
) -> None:
    trade_id = open_trade(verified)
    run(verified, BELOW, 0, 5)
    announcements = live(verified, BELOW, NOW + seconds(5 + gap))
    assert [each["kind"] for each in announcements] == (["stop"] if fires_at else [])
    since = trade(verified, trade_id)["below_since"]
    assert since == (NOW if fires_at else NOW + seconds(5 + gap))


def test_what_is_a_gap_follows_the_setting(verified: Connection) -> None:
    set_to(verified, fresh_for="2 s")
    open_trade(verified)
    run(verified, BELOW, 0, 5)
    assert run(verified, BELOW, 8, 24) == [(23, "stop", "trade")]


def test_stale_prices_in_between_start_again(verified: Connection) -> None:
    trade_id = open_trade(verified)
    run(verified, BELOW, 0, 5)
    # Ticks go on without prices.
    states = []
    for second in range(6, 40):
        read_quotes(verified, NOW + seconds(second))
        states.append(tick(verified, NOW + seconds(second))["state"])
    assert states == ["fresh"] * 15 + ["warn"] * 14 + ["stale"] * 5
    assert trade(verified, trade_id)["stopped_at"] == NOW + seconds(15)

    other = open_trade(verified)
    for second in range(40, 45):
        tick(verified, NOW + seconds(second))
    assert trade(verified, other)["below_since"] is None
    live(verified, BELOW, NOW + seconds(46))
    assert trade(verified, other)["below_since"] == NOW + seconds(46)


def test_a_clock_that_is_put_back_starts_again(verified: Connection) -> None:
    trade_id = open_trade(verified)
    run(verified, BELOW, 1000, 1010)
    # Nothing of the first pass is seen from before it.
    assert run(verified, BELOW, 500, 514) == []
    assert trade(verified, trade_id)["below_since"] == NOW + seconds(500)
    assert run(verified, BELOW, 515, 516) == [(515, "stop", "trade")]


# Prices without a probability.


@pytest.mark.parametrize(
    ("age", "state", "fires"),
    [
        (15, "fresh", True),
        (29.5, "warn", True),
        (30, "stale", False),
        (60, "stale", False),
        (60.5, "halted", False),
    ],
)
def test_it_acts_on_prices_that_are_fresh_enough(
    conn: Connection, age: float, state: str, fires: bool
) -> None:
    trade_id = open_trade(conn)
    put_price(conn, BELOW)
    row = tick(conn, NOW + seconds(age))
    assert row["state"] == state
    assert [each["kind"] for each in announced(row) if each["subject"] == "trade"] == (
        ["stop"] if fires else []
    )
    assert status_of(conn, trade_id) == (STOPPED if fires else OPEN)
    assert (trade(conn, trade_id)["below_since"] is not None) is fires


def test_not_on_a_frozen_price(conn: Connection) -> None:
    set_to(conn, stop_on_probability="off")
    trade_id = open_trade(conn)
    for second in range(35):
        put_price(conn, BELOW, NOW + seconds(second))
        tick(conn, NOW + seconds(second))
    set_to(conn, stop_on_probability="on")
    put_price(conn, BELOW, NOW + seconds(35))
    assert tick(conn, NOW + seconds(35))["state"] == "stale"
    assert status_of(conn, trade_id) == OPEN


@pytest.mark.parametrize("feed", ["replay", "simulated"])
def test_other_prices_stop_nothing(conn: Connection, feed: str) -> None:
    """A replay of the very prices that would."""
    conn.execute(
        "INSERT INTO upc_data.candle"
        " SELECT 'BTC', %(at)s::timestamptz + i * interval '1 minute',"
        " %(price)s, %(price)s, %(price)s, %(price)s, 1 FROM generate_series(-60, 60) AS i",
        {"at": NOW, "price": BELOW},
    )
    # A simulated price is far above: bad for a no there, as it is below here.
    price = scalar(conn, "SELECT upc.simulated_price('BTC', %s, 1)", NOW)
    strike = STRIKE if feed == "replay" else round(price * 1.01, 2)
    if feed == "simulated":
        load_event(conn, strikes=[strike])
    trade_id = open_trade(conn, YES, strike)
    before = trade(conn, trade_id)
    for second in range(20):
        row = tick(conn, NOW + seconds(second), feed=feed)
        assert row["announced"] is None
        assert '"active_trades" : []' in row["active_trades"]
    assert trade(conn, trade_id) == before
    assert outbox(conn) == []


# Supervised trades


def test_a_trade_of_another_symbol_is_not_touched(conn: Connection) -> None:
    eth = open_trade(conn, event=ETH_EVENT)
    before = trade(conn, eth)
    btc = open_trade(conn)
    run(conn, BELOW, 0, 3)
    assert status_of(conn, btc) == STOPPED
    assert trade(conn, eth) == before
    assert run(conn, BELOW, 4, 5, symbol="ETH") == [(4, "stop", "trade")]
    assert [row["symbol"] for row in outbox(conn)] == ["BTC", "ETH"]


def test_a_later_event_has_its_own_time_to_close(conn: Connection) -> None:
    """With 40 minutes to go the row of an hour answers, with other numbers; beyond an hour none."""
    load_event(conn, LATER, closes_at=CLOSE + timedelta(minutes=20))
    now, later = open_trade(conn), open_trade(conn, event=LATER)
    far = "KXBTCD-26JUN0113"
    load_event(conn, far, closes_at=CLOSE + timedelta(minutes=50))
    farther = open_trade(conn, event=far)
    set_to(conn, stop_probability="40.2")
    run(conn, AT_LIMIT, 0, 1)
    assert [status_of(conn, each) for each in (now, later, farther)] == [STOPPED, OPEN, OPEN]
    numbers = trade(conn, now)["stop_numbers"]
    assert (numbers["probability"], numbers["ttc_seconds"]) == (40, 20 * 60)
    # In the last minute of the one the other has twenty more to go.
    live(conn, BELOW, NOW + seconds(9 * 60))
    numbers = trade(conn, later)["stop_numbers"]
    assert (numbers["probability"], numbers["ttc_seconds"]) == (39.5, 31 * 60)
    assert trade(conn, farther)["below_since"] is None
    live(conn, BELOW, NOW + seconds(10 * 60))
    numbers = trade(conn, farther)["stop_numbers"]
    assert (numbers["probability"], numbers["ttc_seconds"]) == (39.5, 60 * 60)


@pytest.mark.parametrize("strike", [STRIKE - 50_000, STRIKE + 50_000, 99_999.5, 100_100])
def test_a_strike_outside_of_the_table(conn: Connection, strike: float) -> None:
    load_event(conn, strikes=[strike, *range(99_000, 101_001, 250)])
    yes, no = open_trade(conn, YES, strike), open_trade(conn, NO, strike)
    # The other side of each is in the money.
    run(conn, strike * 0.98, 0, 1)
    assert (status_of(conn, yes), status_of(conn, no)) == (STOPPED, OPEN)
    assert trade(conn, yes)["stop_numbers"]["probability"] == 5
    run(conn, strike * 1.02, 2, 3)
    assert status_of(conn, no) == STOPPED


def test_a_trade_that_has_ended_is_left_alone(conn: Connection) -> None:
    trade_id = open_trade(conn)
    conn.execute("SELECT upc.close_trade(%s, 0.5, %s)", (trade_id, NOW))
    before = trade(conn, trade_id)
    assert run(conn, BELOW, 1, 3) == []
    assert trade(conn, trade_id) == before


def test_one_that_closes_far_ahead_stops_no_tick(conn: Connection) -> None:
    far = datetime.fromisoformat("2226-01-01T15:00:00+00:00")
    load_event(conn, LATER, closes_at=far)
    trade_id = open_trade(conn, event=LATER)
    assert run(conn, BELOW, 0, 1) == []
    [row] = table(conn, "SELECT probability FROM upc.trade_list(at => %s)", (NOW,))
    assert row["probability"] is None
    document = json.loads(tick(conn, NOW + seconds(1))["active_trades"])
    assert document["active_trades"][0]["ttc_seconds"] == 2**31 - 1
    assert status_of(conn, trade_id) == OPEN
