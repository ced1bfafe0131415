"""Trades of ranges, open ends and up or down: buffers, stops, bounds that move, results."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from tests.support.contracts import market, markets_of
from tests.support.engine import Connection, scalar
from tests.support.trading import (
    CLOSE,
    NO,
    NOW,
    SHARES,
    STRIKE,
    THRESHOLDS,
    YES,
    announced,
    outbox,
    put_price,
    refused,
    seconds,
    set_to,
    status_of,
    table,
    taker_fee,
    tick,
    trade,
)

D = Decimal
EVENT = "KXBTC-26JUN0111"
RANGE, LOW, HIGH = f"{EVENT}-B100050", f"{EVENT}-T99000", f"{EVENT}-T101000.99"
QUARTER = "KXBTC15M-26JUN011500"
UP = f"{QUARTER}-00"
QUOTES = {
    "yes_bid_dollars": "0.3000",
    "yes_ask_dollars": "0.3200",
    "no_bid_dollars": "0.6800",
    "no_ask_dollars": "0.7000",
}
OPEN, STOPPED = ("open", None), ("stopped", "probability")


@pytest.fixture(scope="module")
def module_dsn(trading_dsn: str) -> str:
    return trading_dsn


def ranges(**fields: Any) -> list[dict[str, Any]]:
    fields = {**QUOTES, **fields}
    bounds = {
        RANGE: {"strike_type": "between", "floor_strike": 100_000, "cap_strike": 100_099.99},
        LOW: {"strike_type": "less", "cap_strike": 99_000},
        HIGH: {"strike_type": "greater", "floor_strike": 100_999.99},
    }
    return [
        {**market("X", EVENT), "ticker": ticker, **each, **fields}
        for ticker, each in bounds.items()
    ]


def up_or_down(floor: float | None, **fields: Any) -> dict[str, Any]:
    its = {"strike_type": "greater_or_equal", **QUOTES, **fields}
    its.setdefault("yes_sub_title", "Target price: TBD" if floor is None else None)
    if floor is not None:
        its["floor_strike"] = floor
    return {**market("00", QUARTER), **its}


def load(conn: Connection, event: str, *markets: dict[str, Any], at: datetime = NOW) -> None:
    document = markets_of(event.partition("-")[0], *markets, event=event)
    conn.execute("SELECT upc.load_market(%s, read_at => %s)", (Jsonb(document), at))


def buy(conn: Connection, ticker: str, side: str = YES, count: Any = 10) -> int:
    query = "SELECT upc.open_trade(%s, %s, 0.35, %s, at => %s)"
    return int(scalar(conn, query, ticker, side, count, NOW))


def shown(conn: Connection, at: datetime = NOW) -> dict[int, dict[str, Any]]:
    document = json.loads(tick(conn, at)["active_trades"])
    return {each["trade_id"]: each for each in document["active_trades"]}


def listed(conn: Connection, trade_id: int, at: datetime = NOW) -> dict[str, Any]:
    rows = table(conn, "SELECT * FROM upc.trade_list(at => %s)", (at,))
    [row] = [row for row in rows if row["trade_id"] == trade_id]
    return row


def above(price: float, bound: float) -> float:
    """With 20 minutes to go: the share of the nearest threshold, up and down alike."""
    move = 100 * (bound - price) / price
    place = min(
        range(len(THRESHOLDS)), key=lambda k: (abs(abs(move) - float(THRESHOLDS[k])), float(k))
    )
    share = float(SHARES[1][place])
    return share if move > 0 else 100 - share


def test_the_texts_of_the_bounds(conn: Connection) -> None:
    load(conn, EVENT, *ranges())
    load(conn, QUARTER, up_or_down(99_987.43))
    ids = [buy(conn, each) for each in (RANGE, LOW, HIGH, UP)]
    put_price(conn, STRIKE + 20)
    found = shown(conn)
    expected = [
        ("$100,000 to $100,100", 100_000, 100_100, None, "range"),
        ("below $99,000", None, 99_000, None, "range"),
        ("$101,000 or above", 101_000, None, 101_000, "range"),
        ("$99,987.43", 99_987.43, None, 99_987.43, "updown"),
    ]
    for trade_id, numbers in zip(ids, expected, strict=True):
        keys = ("strike", "lower", "upper", "strike_price", "kind")
        assert tuple(found[trade_id][key] for key in keys) == numbers
        row = listed(conn, trade_id)
        assert (row["lower"], row["upper"], row["strike"], row["kind"]) == (
            *(None if each is None else D(str(each)) for each in numbers[1:4]),
            numbers[4],
        )
        # What it would bring: a dollar less the ask of the other side.
        assert found[trade_id]["close_value"] == 0.3


bound = st.none() | st.decimals(95_000, 105_000, places=2)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lower=bound, upper=bound, price=st.decimals(95_000, 105_000, places=2))
def test_buffers_and_probabilities(
    conn: Connection, lower: Decimal | None, upper: Decimal | None, price: Decimal
) -> None:
    if lower is not None and upper is not None:
        lower, upper = min(lower, upper), max(lower, upper) + D("0.01")
    elif lower is None and upper is None:
        return
    with conn.transaction(force_rollback=True):
        load(conn, EVENT, *ranges())
        conn.execute(
            "UPDATE upc_data.market_quote SET lower = %s, upper = %s WHERE ticker = %s",
            (lower, upper, RANGE),
        )
        yes, no = buy(conn, RANGE), buy(conn, RANGE, NO)
        put_price(conn, float(price))
        found = shown(conn)
        rows = {each: listed(conn, each) for each in (yes, no)}
    distances = [abs(price - each) for each in (lower, upper) if each is not None]
    is_inside = (lower is None or price >= lower) and (upper is None or price <= upper)
    buffer = min(distances) * (1 if is_inside else -1)
    assert found[yes]["buffer_from_entry"] == float(buffer) == -found[no]["buffer_from_entry"]
    percent = (100.0 if lower is None else above(float(price), float(lower))) - (
        0.0 if upper is None else above(float(price), float(upper))
    )
    assert rows[yes]["probability"] == pytest.approx(max(0.0, percent), abs=1e-9)
    both = rows[yes]["probability"] + rows[no]["probability"]
    assert both == pytest.approx(100, abs=1e-9)


# Stops


@pytest.mark.parametrize(
    ("side", "limit", "status"),
    [
        # In the middle of the range, 50 from either end: 100 - 48.125 - 48.125 percent.
        (YES, "3.7", OPEN),
        (YES, "3.8", STOPPED),
        (NO, "96.2", OPEN),
        (NO, "96.3", STOPPED),
    ],
)
def test_the_probability_of_the_side_that_is_held(
    conn: Connection, side: str, limit: str, status: tuple[str, str | None]
) -> None:
    load(conn, EVENT, *ranges())
    set_to(conn, stop_probability=limit)
    trade_id = buy(conn, RANGE, side)
    put_price(conn, STRIKE + 50)
    found = announced(tick(conn))
    assert status_of(conn, trade_id) == status
    if status == STOPPED:
        [news] = found
        numbers = trade(conn, trade_id)["stop_numbers"]
        assert numbers == news["document"]
        yes = 100 - 2 * 48.125
        assert numbers["probability"] == pytest.approx(yes if side == YES else 100 - yes)
        assert (numbers["lower"], numbers["upper"], numbers["strike"]) == (100_000, 100_100, None)
        assert numbers["buffer"] == (50 if side == YES else -50)
        assert "$100,000 to $100,100" in news["message"]


@pytest.mark.parametrize(("ticker", "sides"), [(RANGE, ""), (LOW, ""), (HIGH, ""), (UP, "no")])
def test_momentum_is_against_no_range(conn: Connection, ticker: str, sides: str) -> None:
    """Upwards by 100 basis points: it is against a no, of what pays above a strike alone."""
    load(conn, EVENT, *ranges())
    load(conn, QUARTER, up_or_down(99_987.43))
    set_to(conn, stop_on_probability="off")
    ids = {side: buy(conn, ticker, side) for side in (YES, NO)}
    for minutes in (30, 15, 4, 3, 2, 1):
        put_price(conn, STRIKE * 0.99, NOW - seconds(60 * minutes))
    put_price(conn, STRIKE)
    assert tick(conn)["momentum"] > 90
    stopped = [side for side, each in ids.items() if status_of(conn, each)[0] == "stopped"]
    assert stopped == ([sides] if sides else [])


# Bounds that are awaited, come, change and go


def test_an_awaited_strike(conn: Connection) -> None:
    load(conn, QUARTER, up_or_down(None))
    trade_id = buy(conn, UP)
    set_to(conn, stop_probability="100", stop_momentum="0.001")
    for minutes in (30, 15, 4, 3, 2, 1):
        put_price(conn, STRIKE * 1.01, NOW - seconds(60 * minutes))
    put_price(conn, STRIKE)
    each = shown(conn)[trade_id]
    for key in ("strike", "strike_price", "lower", "upper", "current_probability"):
        assert each[key] is None
    assert each["buffer_from_entry"] is None
    assert each["close_value"] == 0.3
    assert listed(conn, trade_id)["probability"] is None
    assert status_of(conn, trade_id) == OPEN

    load(conn, QUARTER, up_or_down(100_500.25), at=NOW + seconds(1))
    put_price(conn, STRIKE + 1, NOW + seconds(1))
    news = announced(tick(conn, NOW + seconds(1)))
    # The strike itself is no news; with it the stop can fire.
    assert [each["kind"] for each in news] == ["stop"]
    row = trade(conn, trade_id)
    assert (row["lower"], row["upper"]) == (D("100500.25"), None)
    assert row["stop_numbers"]["strike"] == 100_500.25


def test_a_strike_that_changes_is_announced_once(conn: Connection) -> None:
    load(conn, QUARTER, up_or_down(99_987.43))
    trade_id = buy(conn, UP)
    put_price(conn, STRIKE)
    tick(conn)
    kinds = []
    for second in range(1, 5):
        at = NOW + seconds(second)
        load(conn, QUARTER, up_or_down(99_987.43 if second < 2 else 99_999.25), at=at)
        put_price(conn, STRIKE + second, at)
        row = tick(conn, at)
        kinds.append([each["kind"] for each in announced(row)])
        [each] = json.loads(row["active_trades"])["active_trades"]
        assert each["lower"] == (99_987.43 if second < 2 else 99_999.25)
        assert each["buffer_from_entry"] == pytest.approx(STRIKE + second - each["lower"])
    assert kinds == [[], ["changed"], [], []]
    [news] = outbox(conn, "changed")
    assert (news["subject"], news["document"]["id"]) == ("trade", trade_id)
    assert (news["document"]["lower_before"], news["document"]["lower"]) == (99_987.43, 99_999.25)
    assert "$99,987.43" in news["message"]
    assert trade(conn, trade_id)["lower"] == D("99999.25")


def test_a_market_that_cannot_be_read_any_more(conn: Connection) -> None:
    """Its trade keeps the bounds, without quotes; the status names it; its result settles it."""
    load(conn, EVENT, *ranges())
    trade_id = buy(conn, RANGE)
    put_price(conn, STRIKE + 50)
    problems = "SELECT problems FROM upc.status('BTC', %s)"
    assert not any(RANGE in each for each in scalar(conn, problems, NOW))
    [middle, *ends] = ranges()
    for second, markets in enumerate(
        ([{**middle, "cap_strike": None}, *ends], ends, [{**middle, "yes_sub_title": "?"}, *ends]),
        1,
    ):
        at = NOW + seconds(second)
        load(conn, EVENT, *markets, at=at)
        put_price(conn, STRIKE + 49.98 + second / 100, at)
        each = shown(conn, at)[trade_id]
        assert (each["lower"], each["upper"]) == (100_000, 100_100)
        assert each["current_probability"] == 3.75
        assert each["close_value"] is None
        assert any(RANGE in each for each in scalar(conn, problems, at))
        # Nobody can trade it: it is in no table.
        tickers = table(conn, "SELECT ticker FROM upc.contract_table(at => %s)", (at,))
        assert {LOW, HIGH} == {row["ticker"] for row in tickers} & {LOW, HIGH, RANGE}
    assert outbox(conn, "changed") == []

    result = {**middle, "yes_sub_title": "?", "status": "finalized", "result": "yes"}
    load(conn, EVENT, result, *ends, at=NOW + seconds(5))
    put_price(conn, STRIKE, NOW + seconds(5))
    tick(conn, NOW + seconds(5))
    row = trade(conn, trade_id)
    assert (row["status"], row["result"], row["end_price"]) == ("settled", "yes", 1)


def test_a_market_that_is_back(conn: Connection) -> None:
    load(conn, EVENT, *ranges())
    trade_id = buy(conn, RANGE)
    put_price(conn, STRIKE + 50)
    load(conn, EVENT, *ranges()[1:])
    assert shown(conn)[trade_id]["close_value"] is None
    load(conn, EVENT, *ranges())
    assert shown(conn)[trade_id]["close_value"] == 0.3
    assert outbox(conn, "changed") == []


def test_a_market_that_nobody_holds_loses_its_row(conn: Connection) -> None:
    load(conn, EVENT, *ranges())
    trade_id = buy(conn, RANGE)
    conn.execute("SELECT upc.close_trade(%s, 0.5, %s)", (trade_id, NOW))
    load(conn, EVENT, *ranges()[1:])
    query = "SELECT count(*) FROM upc_data.market_quote WHERE ticker = %s"
    assert scalar(conn, query, RANGE) == 0


# Results


@pytest.mark.parametrize("side", [YES, NO])
@pytest.mark.parametrize("ticker", [RANGE, LOW, HIGH, UP])
@pytest.mark.parametrize(
    ("status", "result", "value", "yes"),
    [
        ("finalized", "yes", None, "1"),
        ("finalized", "no", None, "0"),
        ("finalized", "scalar", "0.4210", "0.4210"),
        ("finalized", "void", "0.3500", "0.35"),
        ("determined", "yes", None, "1"),
        ("disputed", "yes", None, None),
    ],
)
@pytest.mark.parametrize("early", [False, True])
def test_settlement(
    conn: Connection,
    side: str,
    ticker: str,
    status: str,
    result: str,
    value: str | None,
    yes: str | None,
    early: bool,
) -> None:
    load(conn, EVENT, *ranges())
    load(conn, QUARTER, up_or_down(99_987.43))
    trade_id = buy(conn, ticker, side, count=20)
    at = NOW + seconds(60) if early else CLOSE + seconds(1)
    fields = {"status": status, "result": result, "settlement_value_dollars": value}
    load(conn, EVENT, *ranges(**fields), at=at)
    load(conn, QUARTER, up_or_down(99_987.43, **fields), at=at)
    put_price(conn, STRIKE, at)
    settled = [each for each in announced(tick(conn, at)) if each["kind"] == "settled"]
    row = trade(conn, trade_id)
    if yes is None:
        assert (row["ended_at"], settled) == (None, [])
        return
    payout = D(yes) if side == YES else 1 - D(yes)
    assert (row["status"], row["result"], row["end_price"]) == ("settled", result, payout)
    assert row["is_provisional"] is (status == "determined")
    [news] = settled
    profit = 20 * (payout - D("0.35")) - taker_fee(D("0.35"), D(20))
    assert D(str(news["document"]["pnl_after_fees"])) == profit


@pytest.mark.parametrize("ticker", ["cap of 0", "strike of 0"])
def test_what_is_decided_at_zero_is_refused(conn: Connection, ticker: str) -> None:
    load(conn, EVENT, *ranges())
    lower, upper = (None, 0) if ticker == "cap of 0" else (0, None)
    conn.execute("UPDATE upc_data.market_quote SET lower = %s, upper = %s", (lower, upper))
    query = "SELECT upc.open_trade(%s, 'yes', 0.35, 1, at => %s)"
    assert refused(conn, query, RANGE, NOW) == "UP015"
