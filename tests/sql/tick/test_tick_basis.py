"""Prices less their basis: ticks, tables, log and replay, beside the price corrected by hand."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.support.contract_rows import Contract, Event, by_ticker, contract_rows
from tests.support.engine import Connection, instant, scalar
from tests.support.readings import PRICE, Row, strikes, table, volatile_candles
from tests.support.settlements import MINUTE, put_flat_candle, put_minute, settle

BUILT = {"BTC": volatile_candles(190, "2026-03-02", 4 * 1440)}
HOUR = timedelta(hours=1)
CLOSE = instant("2026-03-05T15:00")
AT = CLOSE - timedelta(minutes=10)
BASIS = 0.0007
VALUE = 100_000.0
ASKED: Row = {"model": "volatility", "method": "linear", "settlement": "average"}
EVENT = Event(
    *("KXBTCD-A", "KXBTCD", CLOSE, AT),
    tuple(Contract(f"A{k}", Decimal(int(PRICE)) + 100 * k) for k in range(-10, 11)),
)


@pytest.fixture(autouse=True)
def published(conn: Connection) -> None:
    """Curves and forecast long before the ticks, and an event whose rules are known."""
    conn.execute("UPDATE upc_data.curve_refresh SET refreshed_at = '2026-01-01'")
    conn.execute("UPDATE upc_data.volatility_fit SET completed_at = '2026-01-01'")
    EVENT.put(conn)


def learn(conn: Connection, count: int = 12, **shares: float) -> None:
    """Closes every quarter of an hour at which the sources lay that share above the value."""
    for k in range(count, 0, -1):
        closes_at = CLOSE - k * timedelta(minutes=15)
        for source, share in (shares or {"one": BASIS}).items():
            if source == "candles":
                put_flat_candle(conn, closes_at, VALUE * (1 + share))
            else:
                put_minute(conn, closes_at, [VALUE * (1 + share)] * 60, source)
        settle(conn, closes_at, VALUE, series="KXBTC15M")


def log(conn: Connection, at: Any = AT, price: float = PRICE, exchange: str = "one") -> None:
    conn.execute("SELECT upc.record_price('BTC', %s, %s, NULL, %s)", (exchange, price, at))


def tick(conn: Connection, at: Any = AT, feed: str = "one", **arguments: Any) -> Row:
    named = "".join(f", {name} => %s" for name in arguments)
    query = f"SELECT * FROM upc.tick('BTC', %s, %s{named})"
    [row] = table(conn, query, feed, at, *arguments.values())
    return row


def logged(conn: Connection) -> Row:
    return table(conn, "SELECT * FROM analytics.logged_tick ORDER BY tick_id DESC LIMIT 1")[0]


def by_strike(conn: Connection, price: float, row: Row, **more: Any) -> dict[float, float]:
    """What compute_strikes says of the price, at the strikes of a logged tick."""
    rows = strikes(
        conn,
        price,
        momentum=row["momentum"],
        symbol="BTC",
        ttc_seconds=row["ttc_seconds"],
        strikes=row["strikes"],
        variances=scalar(conn, "SELECT upc._known_variances('BTC', %s)", row["market_at"]),
        **{**ASKED, **more},
    )
    return {each["strike"]: each["prob_above"] for each in rows}


def probabilities(row: Row) -> dict[float, float]:
    return dict(zip(row["strikes"], row["prob_above"], strict=True))


def assert_same(found: dict[Any, float], expected: dict[Any, float]) -> None:
    assert found.keys() == expected.keys()
    assert [found[key] for key in expected] == pytest.approx(list(expected.values()), abs=1e-9)


def test_twelve_settlements_correct_a_tick(conn: Connection) -> None:
    """Raw are price and momentum; strikes, probabilities and buffers are of the price less it."""
    learn(conn)
    price = 100_150.0
    log(conn, price=price)
    found = tick(conn, **ASKED)
    row = logged(conn)
    assert (row["price"], found["price"]) == (price, price)
    assert (row["source"], row["basis_settlements"]) == ("one", 12)
    assert row["basis"] == pytest.approx(BASIS, abs=1e-12)
    momentum = scalar(conn, "SELECT momentum FROM upc.momentum('BTC', %s, %s)", AT, price)
    assert row["momentum"] == momentum
    asked = price / (1 + BASIS)
    assert_same(probabilities(row), by_strike(conn, asked, row))
    raw = by_strike(conn, price, row)
    assert max(abs(raw[each] - prob) for each, prob in probabilities(row).items()) > 2
    live, shown = json.loads(found["live_probabilities"]), json.loads(found["strike_table"])
    contracts, watched = json.loads(found["contracts"]), json.loads(found["watchlist"])
    for document in (live, shown, contracts, watched):
        assert document["current_price"] == price
        assert document["basis_bps"] == pytest.approx(7, abs=1e-8)
        assert document["basis_settlements"] == 12
    assert live["base_strike"] == 100_000
    [shown_by_status] = table(conn, "SELECT * FROM upc.status('BTC', %s)", AT)
    assert (shown_by_status["price_source"], shown_by_status["basis_settlements"]) == ("one", 12)
    assert shown_by_status["basis_bps"] == pytest.approx(7, abs=1e-8)
    for each in shown["strikes"]:
        assert each["buffer"] == pytest.approx(abs(each["strike"] - asked), abs=0.006)


@pytest.mark.parametrize(
    ("count", "source", "rule"), [(11, "one", "on"), (12, "two", "on"), (12, "one", "off")]
)
def test_what_leaves_a_price_as_it_is(conn: Connection, count: int, source: str, rule: str) -> None:
    """Eleven settlements, twelve of another exchange, and the switch."""
    learn(conn, count, **{source: BASIS})
    conn.execute("SELECT upc.set_rule('use_basis', %s)", [rule])
    log(conn)
    document = json.loads(tick(conn, **ASKED)["strike_table"])
    row = logged(conn)
    assert (row["source"], row["basis"], row["basis_settlements"]) == ("one", None, None)
    assert (document["basis_bps"], document["basis_settlements"]) == (None, None)
    assert_same(probabilities(row), by_strike(conn, PRICE, row))
    asked = contract_rows(conn, AT, model="volatility", method="linear", settlement="average")
    raw = contract_rows(conn, AT, price=PRICE, momentum=row["momentum"], **ASKED)
    assert [each["probability"] for each in asked] == [each["probability"] for each in raw]


def test_two_exchanges(conn: Connection) -> None:
    """Each price has the basis of the exchange that it is of."""
    learn(conn, one=BASIS, two=-0.0003)
    log(conn)
    log(conn, AT + timedelta(seconds=1), exchange="two")
    at = AT + timedelta(seconds=1)
    for feed, source, share in (
        ("one", "one", BASIS),
        ("two", "two", -0.0003),
        ("database", "two", -0.0003),
    ):
        tick(conn, at, feed, **ASKED)
        row = logged(conn)
        assert (row["source"], row["basis"]) == (source, pytest.approx(share, abs=1e-12))
        assert_same(probabilities(row), by_strike(conn, PRICE / (1 + share), row))


def test_tables_and_tick_agree(conn: Connection) -> None:
    learn(conn)
    log(conn)
    found = tick(conn, **ASKED)
    row = logged(conn)
    expected = probabilities(row)
    momentum = row["momentum"]
    bounds = {f"A{k}": PRICE + 100 * k for k in range(-10, 11)}
    # Of the log it is corrected, of the caller only if that is asked for.
    for given in ({}, {"basis": True}, {"price": PRICE, "momentum": momentum, "basis": True}):
        rows = by_ticker(contract_rows(conn, AT, **ASKED, **given))
        of_contracts = {bounds[name]: each["probability"] for name, each in rows.items()}
        assert_same(
            {each: of_contracts[each] for each in expected if each in of_contracts},
            {each: prob for each, prob in expected.items() if each in of_contracts},
        )
        named = "".join(f", {name} => %s" for name in {**ASKED, **given})
        of_table = table(
            conn,
            f"SELECT strike, prob_above FROM upc.strike_table(at => %s{named})",
            *(AT, *{**ASKED, **given}.values()),
        )
        assert_same({each["strike"]: each["prob_above"] for each in of_table}, expected)
    shown = {
        bounds[each["ticker"]]: each["probability"]
        for each in json.loads(found["contracts"])["contracts"]
    }
    for each, prob in expected.items():
        if each in shown:
            assert shown[each] == pytest.approx(prob, abs=0.006)
    raw = by_strike(conn, PRICE, row)
    for given in ({"price": PRICE, "momentum": momentum}, {"basis": False}):
        rows = by_ticker(contract_rows(conn, AT, **ASKED, **given))
        for name, its in rows.items():
            if bounds[name] in raw:
                assert its["probability"] == pytest.approx(raw[bounds[name]], abs=1e-9)


def test_the_last_minute(conn: Connection) -> None:
    """What was seen of it is less the basis, too, of the exchange of the price; all agree."""
    learn(conn)
    at = CLOSE - timedelta(seconds=20)
    for second in range(61, 19, -1):
        log(conn, CLOSE - timedelta(seconds=second), PRICE + second)
        # Heard last, and of no use to the other.
        log(conn, CLOSE - timedelta(seconds=second - 0.5), 2 * PRICE, "two")
    conn.execute("UPDATE upc_data.market_event SET read_at = %s", (at,))
    tick(conn, at, **ASKED)
    row = logged(conn)
    assert (row["settlement"], row["source"], row["price"]) == ("average", "one", PRICE + 20)
    # From the price of 60 seconds before the close to the one of 21, a second each.
    seen = sum(PRICE + second for second in range(21, 61)) / 40 / (1 + BASIS)
    expected = by_strike(conn, (PRICE + 20) / (1 + BASIS), row, observed=seen)
    assert_same(probabilities(row), expected)
    conn.execute("DELETE FROM upc_data.price WHERE exchange = 'two'")
    rows = by_ticker(contract_rows(conn, at, **ASKED))
    for k in range(-10, 11):
        if PRICE + 100 * k in expected:
            assert rows[f"A{k}"]["probability"] == pytest.approx(
                expected[PRICE + 100 * k], abs=1e-9
            )
    entered = {
        each["probability"]
        for each in table(
            conn, "SELECT probability FROM upc.logged_contracts('BTC', %s, %s)", at, CLOSE
        )
    }
    assert entered == {each["probability"] for each in rows.values()}


def test_a_replay_reproduces_corrected_ticks(conn: Connection) -> None:
    """Of logged prices and of candles, the last minute too; settlements known later do nothing."""
    learn(conn, 13, one=BASIS, candles=-0.0002)
    for second in range(90, 0, -3):
        at = CLOSE - timedelta(seconds=second)
        log(conn, at, PRICE + second % 7)
        if second <= 75:
            tick(conn, at, **ASKED)
    for seconds in (100, 30, 5):
        at = CLOSE - timedelta(seconds=seconds)
        tick(conn, at, "replay", replay_from=at, **ASKED)
        assert (logged(conn)["source"], logged(conn)["basis_settlements"]) == ("candles", 12)
    settle(conn, CLOSE, VALUE)
    query = "SELECT upc.replay_document('BTC', %s, %s)"
    found = json.loads(scalar(conn, query, CLOSE - 5 * MINUTE, CLOSE + HOUR))
    assert (found["logged"], found["differences"], found["not_compared"]) == (28, 0, {})


def test_trades_follow_the_corrected_price(conn: Connection) -> None:
    learn(conn)
    log(conn)
    conn.execute(
        "SELECT upc.open_trade(ticker => 'A-5', side => 'yes', price => 0.5, count => 10,"
        " at => %s)",
        (AT - MINUTE,),
    )
    found = tick(conn, **ASKED)
    row = logged(conn)
    [entry] = json.loads(found["active_trades"])["active_trades"]
    assert entry["current_symbol_price"] == PRICE
    assert entry["current_probability"] == pytest.approx(probabilities(row)[PRICE - 500], abs=0.006)
    assert entry["buffer_from_entry"] == pytest.approx(
        PRICE / (1 + BASIS) - (PRICE - 500), abs=0.01
    )
    [listed] = table(
        conn,
        "SELECT symbol_price, probability FROM upc.trade_list('BTC', at => %s, model =>"
        " 'volatility', method => 'linear', settlement => 'average')",
        AT,
    )
    assert listed["symbol_price"] == PRICE
    assert listed["probability"] == pytest.approx(probabilities(row)[PRICE - 500], abs=1e-9)


def test_made_up_prices_have_none(conn: Connection) -> None:
    learn(conn, candles=BASIS)
    tick(conn, feed="simulated", **ASKED)
    row = logged(conn)
    assert (row["source"], row["basis"]) == (None, None)
