"""Why there is no edge: every reason in a scene of its own, and which comes first."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import product
from typing import Any, get_args

import pytest
from psycopg.types.json import Jsonb

from pyupc.web.schemas import EdgeReason
from tests.support.engine import Connection
from tests.support.trading import (
    BELOW,
    CLOSE,
    EVENT,
    NOW,
    STRIKE,
    STRIKES,
    Row,
    announced,
    event_document,
    live,
    load_event,
    open_trade,
    put_price,
    read_quotes,
    seconds,
    set_to,
    status_of,
    table,
    tick,
    ticker_of,
)

# The first that holds is the reason.
PRECEDENCE = [
    *("closed", "paused", "price_stale", "source_left_out", "quotes_stale", "awaiting_strike"),
    *("rules_unclear", "no_model", "last_minute", "no_offer"),
]

EDGES = ("yes_edge", "no_edge", "yes_diff", "no_diff")
AVERAGE = {"settlement": "average", "method": "linear"}


@pytest.fixture(scope="module")
def module_dsn(trading_dsn: str) -> str:
    return trading_dsn


def shown(conn: Connection, at: datetime = NOW, **more: Any) -> tuple[Row, dict[float, Row]]:
    """The strike table of a tick, and its rows; what holds for all of them is checked here."""
    row = tick(conn, at, min_probability=0, min_differential=-200, **more)
    document, watchlist = json.loads(row["strike_table"]), json.loads(row["watchlist"])
    rows = {each["strike"]: each for each in document["strikes"]}
    for each in rows.values():
        has_edge = each["yes_edge"] is not None or each["no_edge"] is not None
        assert (each["edge_reason"] is None) is has_edge
        assert each["edge_reason"] in (None, *PRECEDENCE)
        for side in ("yes", "no"):
            is_offered = has_edge and each[f"{side}_ask"] is not None
            assert (each[f"{side}_edge"] is not None) is is_offered
            assert (each[f"{side}_diff"] is not None) is is_offered
    reasons = {each["edge_reason"] for each in rows.values()}
    assert (document["edge_reason"] is None) is (None in reasons)
    assert document["edge_reason"] in reasons
    assert watchlist["edge_reason"] == document["edge_reason"]
    for each in watchlist["strikes"]:
        assert each["edge_reason"] is None
        assert each["yes_ask"] is not None
        assert each["no_ask"] is not None
    [logged] = table(conn, "SELECT * FROM upc_data.tick WHERE tick_id = %s", (row["tick_id"],))
    for side in ("yes", "no"):
        asks = dict(zip(logged["strikes"], logged[f"{side}_ask"] or [None] * 21, strict=True))
        for strike, each in rows.items():
            assert (asks[strike] is not None) is (each[f"{side}_edge"] is not None)
    return document, rows


def reasons_of(rows: dict[float, Row]) -> set[str | None]:
    return {each["edge_reason"] for each in rows.values()}


# The list.


def test_the_list_is_closed(conn: Connection) -> None:
    [row] = table(conn, "SELECT upc.edge_reasons() AS reasons")
    assert row["reasons"] == PRECEDENCE
    assert list(get_args(EdgeReason)) == PRECEDENCE


def test_the_first_that_holds(conn: Connection) -> None:
    """All 1024 cases, and those in which something is not known."""
    arguments = ", ".join(f"{name} => c[{k}]" for k, name in enumerate(PRECEDENCE, 1))
    cases: list[tuple[bool | None, ...]] = list(product([False, True], repeat=len(PRECEDENCE)))
    cases += [tuple(None if k != last else True for k in range(10)) for last in range(10)]
    rows = table(
        conn,
        f"SELECT upc.edge_reason({arguments}) AS reason"
        " FROM jsonb_array_elements(%s) WITH ORDINALITY AS j (line, place)"
        " CROSS JOIN LATERAL (SELECT array_agg(e.v::text::boolean ORDER BY e.k) AS c FROM"
        " jsonb_array_elements(nullif(j.line, 'null')) WITH ORDINALITY AS e (v, k)) AS w"
        " ORDER BY j.place",
        (Jsonb([[bool(each) for each in case] for case in cases]),),
    )
    for case, row in zip(cases, rows, strict=True):
        expected = next((name for name, holds in zip(PRECEDENCE, case, strict=True) if holds), None)
        assert row["reason"] == expected
    assert table(conn, "SELECT upc.edge_reason(NULL, NULL, no_offer => NULL) AS reason") == [
        {"reason": None}
    ]


# Scenes.


def test_where_there_is_an_edge_there_is_no_reason(conn: Connection) -> None:
    put_price(conn, STRIKE + 10)
    document, rows = shown(conn)
    assert document["edge_reason"] is None
    for strike, each in rows.items():
        # The event has nine strikes; twelve of the table are not of it.
        assert each["edge_reason"] == (None if strike in STRIKES else "no_offer")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        *[(each, "closed") for each in ("closed", "determined", "disputed", "amended")],
        *[("finalized", "closed"), ("inactive", "paused"), ("initialized", "paused")],
        *[(None, "paused"), ("", "paused"), ("unheard_of", "paused")],
    ],
)
def test_a_market_that_is_not_traded(conn: Connection, status: str | None, reason: str) -> None:
    put_price(conn, STRIKE + 10)
    conn.execute(
        "UPDATE upc_data.market_quote SET status = %s WHERE ticker = %s",
        (status, ticker_of(STRIKE)),
    )
    document, rows = shown(conn)
    assert document["edge_reason"] is None
    assert rows[STRIKE]["edge_reason"] == reason
    assert rows[STRIKE]["yes_ask"] is rows[STRIKE]["ticker"] is None
    assert rows[STRIKE + 250]["edge_reason"] is None
    # It is the stronger reason, also where the price is old and the quotes have halted.
    put_price(conn, STRIKE + 10, NOW + seconds(1))
    document, rows = shown(conn, NOW + seconds(45))
    assert rows[STRIKE]["edge_reason"] == reason
    assert rows[STRIKE + 250]["edge_reason"] == "price_stale"
    put_price(conn, STRIKE + 11, NOW + seconds(90))
    document, rows = shown(conn, NOW + seconds(90))
    assert document["quote_state"] == "halted"
    assert rows[STRIKE]["edge_reason"] == reason
    assert rows[STRIKE + 250]["edge_reason"] == "quotes_stale"


@pytest.mark.parametrize(("status", "reason"), [("closed", "closed"), ("inactive", "paused")])
def test_an_event_that_is_not_traded(conn: Connection, status: str, reason: str) -> None:
    put_price(conn, STRIKE + 10)
    load_event(conn, status=status)
    document, rows = shown(conn)
    assert document["market_status"] == status
    assert document["edge_reason"] == reason
    # Also the strikes that it has no market of.
    assert reasons_of(rows) == {reason}


@pytest.mark.parametrize("status", ["inactive", "closed"])
def test_an_event_that_is_half_open(conn: Connection, status: str) -> None:
    """A market's own status counts."""
    put_price(conn, STRIKE + 10)
    load_event(conn, status=status)
    conn.execute(
        "UPDATE upc_data.market_quote SET status = 'active' WHERE ticker = %s", (ticker_of(),)
    )
    document, rows = shown(conn)
    assert document["edge_reason"] is None
    assert [strike for strike, each in rows.items() if each["edge_reason"] is None] == [STRIKE]


def test_a_strike_with_a_market_that_was_replaced(conn: Connection) -> None:
    """The traded market counts, whichever is first."""
    put_price(conn, STRIKE + 10)
    for name, status in (("A", "closed"), ("Z", "closed")):
        conn.execute(
            "INSERT INTO upc_data.market_quote (symbol, event_ticker, ticker, lower, status)"
            " VALUES ('BTC', %s, %s, %s, %s)",
            (EVENT, name, STRIKE, status),
        )
    document, rows = shown(conn)
    assert len(document["strikes"]) == 21
    assert rows[STRIKE]["edge_reason"] is None
    assert rows[STRIKE]["ticker"] == ticker_of(STRIKE)


@pytest.mark.parametrize(("age", "has_edge"), [(29.5, True), (30.5, False), (61, False)])
def test_an_old_price(conn: Connection, age: float, has_edge: bool) -> None:
    put_price(conn, STRIKE + 10, NOW - seconds(age))
    document, rows = shown(conn)
    assert document["edge_reason"] == (None if has_edge else "price_stale")
    assert reasons_of(rows) == ({None, "no_offer"} if has_edge else {"price_stale"})


@pytest.mark.parametrize(("age", "has_edge"), [(30, True), (30.5, False), (61, False)])
def test_old_quotes(conn: Connection, age: float, has_edge: bool) -> None:
    put_price(conn, STRIKE + 10)
    read_quotes(conn, NOW - seconds(age))
    document, rows = shown(conn)
    assert document["edge_reason"] == (None if has_edge else "quotes_stale")
    assert reasons_of(rows) == ({None, "no_offer"} if has_edge else {"quotes_stale"})


def test_an_old_price_is_the_stronger_reason(conn: Connection) -> None:
    put_price(conn, STRIKE + 10, NOW - seconds(31))
    read_quotes(conn, NOW - seconds(31))
    document, rows = shown(conn)
    assert document["edge_reason"] == "price_stale"
    assert reasons_of(rows) == {"price_stale"}


def test_without_an_event(conn: Connection) -> None:
    put_price(conn, STRIKE + 10)
    conn.execute("DELETE FROM upc_data.market_event WHERE symbol = 'BTC'")
    document, rows = shown(conn)
    assert document["edge_reason"] == "no_offer"
    assert reasons_of(rows) == {"no_offer"}
    put_price(conn, STRIKE + 11, CLOSE - seconds(30))
    document, rows = shown(conn, CLOSE - seconds(30))
    assert document["edge_reason"] == "last_minute"


def test_prices_that_are_not_todays_have_no_market(conn: Connection) -> None:
    document, rows = shown(conn, feed="simulated")
    assert document["edge_reason"] == "no_offer"
    assert reasons_of(rows) == {"no_offer"}


def test_nobody_offers(conn: Connection) -> None:
    put_price(conn, STRIKE + 10)
    empty: Row = {"yes_bid_dollars": "0.0000", "no_bid_dollars": "0.0000"}
    load_event(conn, yes_ask_dollars="1.0000", no_ask_dollars="1.0000", **empty)
    document, rows = shown(conn)
    assert document["edge_reason"] == "no_offer"
    assert reasons_of(rows) == {"no_offer"}
    load_event(conn, yes_ask_dollars="1.0000", volume_fp="5000.00", **empty)
    document, rows = shown(conn)
    assert document["edge_reason"] is None
    for strike in STRIKES:
        assert rows[strike]["edge_reason"] is rows[strike]["yes_edge"] is None
        assert rows[strike]["no_edge"] is not None


def test_no_probability(conn: Connection) -> None:
    """A strike without a probability, as if the model had a hole there."""
    put_price(conn, STRIKE + 10)
    conn.execute(
        "CREATE TEMPORARY TABLE answer ON COMMIT DROP AS"
        " SELECT * FROM upc.compute_strikes(%s, ttc_seconds => 1200)",
        (STRIKE + 10,),
    )
    names = ("prob_beyond", "prob_within", "positive_prob", "negative_prob", "prob_above")
    blank = ", ".join(f"{name} = NULL" for name in (*names, "prob_low", "prob_high"))
    conn.execute(f"UPDATE answer SET {blank} WHERE strike = {STRIKE}")
    [row] = table(
        conn,
        "SELECT pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid)"
        " AS result FROM pg_proc AS p WHERE p.oid = 'upc.compute_strikes'::regproc",
    )
    conn.execute(
        f"CREATE OR REPLACE FUNCTION upc.compute_strikes({row['arguments']})"
        f" RETURNS {row['result']} LANGUAGE plpgsql STABLE ROWS 21"
        " AS $$ BEGIN RETURN QUERY SELECT * FROM answer; END $$"
    )
    rows = {
        each["strike"]: each
        for each in table(conn, "SELECT * FROM upc.strike_table(%s, at => %s)", (STRIKE + 10, NOW))
    }
    assert rows[STRIKE]["edge_reason"] == "no_model"
    assert rows[STRIKE]["yes_ask"] is not None
    assert rows[STRIKE]["yes_edge"] is rows[STRIKE]["no_edge"] is None
    assert rows[STRIKE + 250]["edge_reason"] is None


# The last minute.


def prices(conn: Connection, left: float, before: float, after: float, turn: float) -> None:
    """Every second of the last two minutes until there are so many left."""
    for second in range(120, int(left) - 1, -1):
        # A price that does not move is frozen.
        price = (before if second > turn else after) + second % 2 / 100
        put_price(conn, price, CLOSE - seconds(second))


@pytest.mark.parametrize(
    ("left", "has_edge"), [(61, True), (60, True), (59.999, False), (30, False), (0.5, False)]
)
@pytest.mark.parametrize("arguments", [{}, {"method": "linear"}, AVERAGE])
def test_the_last_minute(
    conn: Connection, left: float, has_edge: bool, arguments: dict[str, str]
) -> None:
    """Of the average nothing has been seen but the last price, so that the close stands in."""
    at = CLOSE - seconds(left)
    put_price(conn, STRIKE + 10, at)
    load_event(conn, read_at=at, volume_fp="5000.00")
    document, rows = shown(conn, at, **arguments)
    assert document["edge_reason"] == (None if has_edge else "last_minute")
    assert reasons_of(rows) == ({None, "no_offer"} if has_edge else {"last_minute"})
    assert rows[STRIKE]["prob_above"] is not None
    assert rows[STRIKE]["yes_ask"] == 60
    # The same of the function alone, whose clock is an argument.
    question = "SELECT DISTINCT edge_reason FROM upc.strike_table(%s, at => %s, levels => 2"
    found = table(conn, f"{question})", (STRIKE + 10, at))
    assert found == [{"edge_reason": document["edge_reason"]}]
    given = (STRIKE + 10, at, STRIKE + 10)
    found = table(conn, f"{question}, settlement => 'average', observed => %s)", given)
    assert found == [{"edge_reason": None}]
    found = table(conn, f"{question}, ttc_seconds => 59)", (STRIKE + 10, at))
    assert found == [{"edge_reason": "last_minute"}]


def test_an_average_that_has_decided_already(conn: Connection) -> None:
    """The price is above the strike, 30 s are left, and what has passed was 2 % below it."""
    at = CLOSE - seconds(30)
    prices(conn, 30, STRIKE * 0.98, STRIKE + 5, 30)
    load_event(conn, read_at=at, yes_ask_dollars="0.3000", volume_fp="5000.00")
    # By default, half of the last minutes end above, which would promise 20 cents.
    document, rows = shown(conn, at)
    assert rows[STRIKE]["prob_above"] > 50
    assert reasons_of(rows) == {"last_minute"}
    document, rows = shown(conn, at, **AVERAGE)
    assert document["edge_reason"] is rows[STRIKE]["edge_reason"] is None
    assert rows[STRIKE]["prob_above"] < 6
    assert rows[STRIKE]["yes_edge"] < -24
    # A price was missing when the minute began: it is not known what has passed.
    conn.execute(
        "DELETE FROM upc_data.price WHERE received_at BETWEEN %s AND %s",
        (CLOSE - seconds(70), CLOSE - seconds(58)),
    )
    document, rows = shown(conn, at, **AVERAGE)
    assert reasons_of(rows) == {"last_minute"}


@pytest.mark.parametrize(("left", "stops"), [(61, True), (60, True), (59, False), (31, False)])
@pytest.mark.parametrize("settlement", ["close", "average"])
def test_no_stop_by_a_probability_of_the_last_minute(
    conn: Connection, left: float, stops: bool, settlement: str
) -> None:
    """Of the average nothing has been seen but the last price, so that the close stands in."""
    set_to(conn, stop_ttc="0 s", stop_verify="off")
    trade_id = open_trade(conn)
    live(conn, BELOW, CLOSE - seconds(left), settlement=settlement)
    assert status_of(conn, trade_id) == (("stopped", "probability") if stops else ("open", None))


def test_a_stop_by_an_average_that_was_seen(conn: Connection) -> None:
    set_to(conn, stop_ttc="0 s", stop_verify="off")
    load_event(conn, strikes=[STRIKE, STRIKE + 100])
    at = CLOSE - seconds(30)
    # The second lies between the strikes of the tick, and is worked out by itself.
    first, second = open_trade(conn), open_trade(conn, strike=STRIKE + 100)
    prices(conn, 30, STRIKE * 0.98, STRIKE * 0.98, 30)
    read_quotes(conn, at)
    announcements = announced(tick(conn, at, step=250, **AVERAGE))
    stops = [each["document"]["id"] for each in announcements if each["kind"] == "stop"]
    assert stops == [first, second]
    assert status_of(conn, second) == ("stopped", "probability")


def test_what_was_stored_as_a_dollar_is_no_offer(conn: Connection) -> None:
    put_price(conn, STRIKE + 10)
    document = event_document(no_ask_dollars="0.4200")
    conn.execute("SELECT upc.load_market(%s, read_at => %s)", (Jsonb(document), NOW))
    conn.execute("UPDATE upc_data.market_quote SET yes_ask = 1, no_bid = 0")
    _, rows = shown(conn)
    assert rows[STRIKE]["yes_ask"] is rows[STRIKE]["yes_edge"] is rows[STRIKE]["yes_diff"] is None
    assert rows[STRIKE]["no_edge"] is not None
