"""The document of the contracts beside numpy on the stored curves, Decimal, and contract_table."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.support.between_reference import Question, stepwise_candles
from tests.support.contract_rows import Contract, Event, contract_rows, expected
from tests.support.engine import Connection, instant
from tests.support.readings import PRICE, Row, table

BUILT = {"BTC": stepwise_candles(190), "ETH": stepwise_candles(191)}
AT = instant("2026-03-06T00:00") + timedelta(seconds=20)
READ = AT - timedelta(seconds=1)
HOUR, QUARTER = instant("2026-03-06T01:00"), instant("2026-03-06T00:15")
DAILY = instant("2026-03-06T22:00")
HEADER = [
    *("symbol", "timestamp", "current_price", "momentum_bps", "state", "feed", "market_at"),
    *("model", "basis_bps", "basis_settlements", "valid_until", "tick_id", "count", "open_count"),
    *("suggest_bets", "bets", "best_of_rest", "contracts"),
]
COLUMNS = [
    *("series", "kind", "event_ticker", "closes_at", "ttc_seconds", "ticker", "lower", "upper"),
    *("state", "probability", "prob_low", "prob_high", "yes_bid", "yes_ask", "no_bid", "no_ask"),
    *("yes_bid_size", "yes_ask_size", "no_bid_size", "no_ask_size", "yes_fee", "no_fee"),
    *("yes_edge", "no_edge", "yes_edge_low", "no_edge_low", "edge_reason", "model", "volume"),
]
PROBABILITIES = ("probability", "prob_low", "prob_high")
EDGES = ("yes_edge", "no_edge", "yes_edge_low", "no_edge_low")
DEFAULT: dict[str, Any] = {"model": "volatility", "method": "linear"}
LEGACY: dict[str, Any] = {"model": "momentum", "method": "nearest", "settlement": "close"}

STRIKES = [Decimal(int(PRICE)) + 100 * k for k in range(-10, 11)]


def quotes(place: int) -> dict[str, Any]:
    """Asks from 0.0025 to 0.9725, some of them no whole cents."""
    ask = Decimal("0.0025") + Decimal("0.0485") * place
    return {
        "yes_ask": ask,
        "yes_bid": max(Decimal("0.0010"), ask - Decimal("0.02")),
        "bid_size": Decimal(place) + Decimal("0.25"),
    }


ABOVE = Event(
    *("KXBTCD-A", "KXBTCD", HOUR, READ),
    tuple(Contract(f"A{k:02}", strike, **quotes(k)) for k, strike in enumerate(STRIKES)),
)
RANGES = Event(
    *("KXBTC-R", "KXBTC", HOUR, READ),
    tuple(
        Contract(f"R{k:02}", lower, upper, **quotes(k % 21))
        for k, (lower, upper) in enumerate(pairwise([None, *STRIKES, None]))
    ),
)
UP = Event("KXBTC15M-U", "KXBTC15M", QUARTER, READ, (Contract("U", Decimal("99987.43")),))
DAY = Event(
    *("KXBTCD-D", "KXBTCD", DAILY, READ),
    tuple(Contract(f"D{k:02}", strike + 500) for k, strike in enumerate(STRIKES)),
)
ALL = (ABOVE, RANGES, UP, DAY)
WITHOUT_QUOTE: dict[str, Any] = {"yes_bid": None, "yes_ask": None}


def put(conn: Connection, *events: Event, symbol: str = "BTC") -> None:
    for event in events:
        event.put(conn, symbol)


def tick(
    conn: Connection, at: datetime = AT, *, symbol: str = "BTC", price_age: float = 0, **asked: Any
) -> Row:
    """The row of a live tick at PRICE."""
    priced_at = at - timedelta(seconds=price_age)
    conn.execute(
        "SELECT upc.record_price(%s, 'one', %s, %s, %s)", (symbol, PRICE, priced_at, priced_at)
    )
    named = "".join(f", {name} => %s" for name in asked)
    query = f"SELECT * FROM upc.tick(%s, 'database', %s{named})"
    [row] = table(conn, query, symbol, at, *asked.values())
    return row


def document(row: Row) -> dict[str, Any]:
    """Its numbers exact."""
    found: dict[str, Any] = json.loads(row["contracts"], parse_float=Decimal, parse_int=Decimal)
    assert list(found) == HEADER
    assert found["count"] == len(found["contracts"])
    assert all(list(each) == COLUMNS for each in found["contracts"])
    return found


def shown(conn: Connection, *events: Event, **asked: Any) -> dict[str, Row]:
    """Contracts of the document by ticker, by the default model."""
    put(conn, *events)
    found = document(tick(conn, **{**DEFAULT, "settlement": None, **asked}))
    return {each["ticker"]: each for each in found["contracts"]}


def assert_near(found: Decimal | None, number: float | None, name: str) -> None:
    """A number with two decimals: what is half to the last digit may go either way."""
    if number is None or found is None:
        assert (found is None) is (number is None), name
        return
    assert found == found.quantize(Decimal("0.01")), name
    assert abs(float(found) - number) <= 0.005 + 1e-9, name


@pytest.mark.parametrize(
    ("asked", "settlement"),
    [({**DEFAULT, "settlement": None}, "average"), (LEGACY, "close")],
    ids=["default", "legacy"],
)
def test_every_number(conn: Connection, asked: dict[str, Any], settlement: str) -> None:
    put(conn, *ALL)
    row = tick(conn, **asked)
    rows = {each["ticker"]: each for each in document(row)["contracts"]}
    for event in ALL:
        ttc = int((event.closes_at - AT).total_seconds())
        is_far = ttc > 3600 and asked["model"] != "volatility"
        question = Question(
            ttc, asked["model"], asked["method"], settlement, momentum=row["momentum"]
        )
        numbers = {} if is_far else expected(conn, event, question)
        for each in event.contracts:
            got = rows[each.ticker]
            wanted = numbers.get(each.ticker, {})
            for name in (*PROBABILITIES, *EDGES):
                assert_near(got[name], wanted.get(name), name)
            assert got["edge_reason"] == ("no_model" if is_far else None)
            for name in ("yes_fee", "no_fee"):
                if not is_far:
                    assert float(got[name]) == pytest.approx(wanted[name], abs=1e-9)
            assert (got["lower"], got["upper"]) == (each.lower, each.upper)
            assert (got["yes_bid"], got["yes_ask"]) == (each.yes_bid, each.yes_ask)
            assert (got["no_bid"], got["no_ask"]) == (each.no_bid, each.no_ask)
            assert (got["yes_bid_size"], got["no_ask_size"]) == (each.bid_size, each.bid_size)
            assert (got["yes_ask_size"], got["no_bid_size"]) == (each.ask_size, each.ask_size)
            assert (got["series"], got["event_ticker"]) == (event.series, event.ticker)
            assert (got["ttc_seconds"], got["state"]) == (ttc, "active")
            assert datetime.fromisoformat(got["closes_at"]) == event.closes_at
    tickers = [each.ticker for event in (UP, RANGES, ABOVE, DAY) for each in event.contracts]
    assert list(rows) == tickers


@pytest.mark.parametrize("asked", [{**DEFAULT, "settlement": None}, LEGACY, {"model": "baseline"}])
@pytest.mark.parametrize("seconds", [0, 14 * 60 + 30, 59 * 60 + 30])
def test_as_the_contract_table(conn: Connection, asked: dict[str, Any], seconds: int) -> None:
    """Also within the last minutes, of which the log has seen a part."""
    at = AT + timedelta(seconds=seconds)
    put(conn, *(replace(event, read_at=at - timedelta(seconds=1)) for event in ALL))
    for second in range(80):
        conn.execute(
            "SELECT upc.record_price('BTC', 'one', %s, NULL, %s)",
            (PRICE + second % 7, at - timedelta(seconds=second)),
        )
    row = tick(conn, at, **asked)
    found = document(row)
    arguments = {"method": "nearest", "settlement": "close", **asked, "model": row["used_model"]}
    known = {name: row[name] for name in ("price", "momentum")}
    rows = contract_rows(conn, at, price_state=row["state"], **known, **arguments)
    assert found["open_count"] == len(rows) > 20
    assert len(found["contracts"]) == len(rows)
    for got, wanted in zip(found["contracts"], rows, strict=True):
        for name, value in wanted.items():
            if name in (*PROBABILITIES, *EDGES):
                assert_near(got[name], value, name)
            elif name == "closes_at":
                assert datetime.fromisoformat(got[name]) == value
            elif isinstance(value, float):
                assert float(got[name]) == value, name
            else:
                assert got[name] == value, name


def test_header(conn: Connection) -> None:
    put(conn, *ALL)
    row = tick(conn, **DEFAULT)
    found = document(row)
    live = json.loads(row["live_probabilities"], parse_float=Decimal, parse_int=Decimal)
    same = [
        *("symbol", "timestamp", "current_price", "momentum_bps", "state", "feed"),
        *("market_at", "model", "valid_until", "tick_id"),
    ]
    assert {name: found[name] for name in same} == {name: live[name] for name in same}
    assert found["open_count"] == sum(len(event.contracts) for event in ALL)
    [kept] = table(conn, "SELECT symbol, tick_id, contracts FROM upc_data.document")
    assert kept == {"symbol": "BTC", "tick_id": row["tick_id"], "contracts": row["contracts"]}


@pytest.mark.parametrize(
    ("quoted", "is_shown"),
    [
        ({}, True),
        ({"yes_bid": None}, True),
        ({"yes_ask": None}, True),
        (WITHOUT_QUOTE, False),
        ({"yes_bid": Decimal(0), "yes_ask": Decimal(1)}, False),
    ],
)
def test_what_is_decided_wants_a_quote(
    conn: Connection, quoted: dict[str, Any], is_shown: bool
) -> None:
    """Far from the price; what is near has a row without any quote."""
    far = Contract("FAR", Decimal(180_000), **quoted)
    near = Contract("NEAR", Decimal(100_000), **WITHOUT_QUOTE)
    put(conn, replace(ABOVE, contracts=(near, far)))
    found = document(tick(conn, **DEFAULT))
    tickers = [each["ticker"] for each in found["contracts"]]
    assert tickers == (["NEAR", "FAR"] if is_shown else ["NEAR"])
    assert found["open_count"] == 2


def test_the_edge_of_the_filter(conn: Connection) -> None:
    """From 0.5 to 99.5 percent, by the numbers of the table."""
    strikes = [Decimal(int(PRICE)) + 100 * k for k in range(-120, 121, 2)]
    bare = tuple(Contract(f"S{k:03}", each, **WITHOUT_QUOTE) for k, each in enumerate(strikes))
    put(conn, replace(ABOVE, contracts=bare))
    row = tick(conn, **DEFAULT, settlement="average")
    question = Question(3580, "volatility", "linear", "average", momentum=row["momentum"])
    numbers = expected(conn, replace(ABOVE, contracts=bare), question)
    wanted = [ticker for ticker, each in numbers.items() if 0.5 <= each["probability"] <= 99.5]
    assert 0 < len(wanted) < len(bare)
    assert [each["ticker"] for each in document(row)["contracts"]] == wanted


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        ("active", "active", None),
        ("inactive", "paused", "paused"),
        ("halted_by_somebody", "paused", "paused"),
        ("initialized", "initialized", "paused"),
        ("closed", "closed", "closed"),
    ],
)
def test_states(conn: Connection, status: str, state: str, reason: str | None) -> None:
    contract = Contract("S", Decimal(100_000), status=status)
    row = shown(conn, replace(ABOVE, contracts=(contract,)))["S"]
    assert (row["state"], row["edge_reason"]) == (state, reason)
    assert (row["yes_ask"] is None) is (status != "active")
    assert (row["yes_edge"] is None) is (reason is not None)


@pytest.mark.parametrize("status", ["determined", "disputed", "amended", "finalized", "settled"])
def test_what_is_determined_is_not_open(conn: Connection, status: str) -> None:
    put(conn, replace(ABOVE, contracts=(Contract("S", Decimal(100_000), status=status),)))
    found = document(tick(conn, **DEFAULT))
    assert (found["contracts"], found["open_count"]) == ([], 0)


@pytest.mark.parametrize(
    ("age", "state", "is_known"),
    [(1, "fresh", True), (20, "warn", True), (40, "stale", True), (90, "halted", False)],
)
def test_age_of_the_price(conn: Connection, age: float, state: str, is_known: bool) -> None:
    put(conn, *ALL)
    found = document(tick(conn, price_age=age, **DEFAULT))
    assert found["state"] == state
    assert len(found["contracts"]) == sum(len(event.contracts) for event in ALL)
    for row in found["contracts"]:
        assert row["yes_ask"] is not None
        assert (row["probability"] is not None) is is_known
        has_edge = state in ("fresh", "warn")
        assert (row["edge_reason"] is None) is has_edge
        assert all((row[name] is not None) is has_edge for name in EDGES)
        assert row["edge_reason"] in (None, "price_stale")


def test_of_a_halted_price_what_has_no_quote_is_left_out(conn: Connection) -> None:
    put(conn, replace(ABOVE, contracts=(Contract("S", Decimal(100_000), **WITHOUT_QUOTE),)))
    assert len(document(tick(conn, **DEFAULT))["contracts"]) == 1
    conn.execute("DELETE FROM upc_data.price")
    found = document(tick(conn, price_age=90, **DEFAULT))
    assert (found["contracts"], found["count"], found["open_count"]) == ([], 0, 1)


def test_old_quotes_are_not_shown(conn: Connection) -> None:
    """Each event by its own reading."""
    rows = shown(conn, replace(ABOVE, read_at=AT - timedelta(seconds=70)), UP)
    assert rows["U"]["edge_reason"] is None
    assert rows["A10"]["edge_reason"] == "quotes_stale"
    quoted = ("yes_bid", "yes_ask", "yes_bid_size", "no_ask_size", "yes_fee", "no_fee")
    assert all(rows["A10"][name] is None for name in quoted)


def test_while_the_exchange_is_paused_there_is_no_quote(conn: Connection) -> None:
    put(conn, ABOVE)
    paused = Jsonb({"exchange_active": True, "trading_active": False})
    conn.execute("SELECT upc.load_exchange_status(%s, %s)", (paused, AT))
    found = document(tick(conn, **DEFAULT))
    assert found["open_count"] == 21
    assert found["contracts"]
    for row in found["contracts"]:
        assert (row["state"], row["edge_reason"]) == ("paused", "paused")
        assert row["probability"] is not None
        assert all(row[name] is None for name in ("yes_bid", "yes_ask", "yes_fee", *EDGES))


def test_without_an_event(conn: Connection) -> None:
    found = document(tick(conn, **DEFAULT))
    assert (found["contracts"], found["count"], found["open_count"]) == ([], 0, 0)


@pytest.mark.parametrize("feed", ["replay", "simulated"])
def test_other_prices_have_no_contracts(conn: Connection, feed: str) -> None:
    put(conn, *ALL)
    [row] = table(conn, "SELECT * FROM upc.tick('BTC', %s, %s)", feed, AT)
    found = document(row)
    assert (found["contracts"], found["open_count"], found["feed"]) == ([], 0, feed)


def test_what_is_not_followed_is_left_out(conn: Connection) -> None:
    put(conn, *ALL)
    conn.execute("UPDATE upc_data.series SET is_followed = false WHERE series = 'KXBTC'")
    found = document(tick(conn, **DEFAULT))
    assert {each["series"] for each in found["contracts"]} == {"KXBTCD", "KXBTC15M"}
    assert found["open_count"] == len(found["contracts"]) == 43


def test_quotes_of_what_is_not_followed_are_not_read(conn: Connection) -> None:
    """They cost nothing, however many there are."""
    put(conn, ABOVE, RANGES)
    conn.execute("UPDATE upc_data.series SET is_followed = false WHERE series = 'KXBTC'")
    # A small table is read as a whole else.
    conn.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
    tick(conn, **DEFAULT)
    reads = (
        "SELECT sum(pg_stat_get_xact_tuples_fetched(i.indexrelid)) AS n FROM pg_index AS i"
        " WHERE i.indrelid = 'upc_data.market_quote'::regclass"
    )
    [first] = table(conn, reads)
    tick(conn, AT + timedelta(seconds=1), **DEFAULT)
    [second] = table(conn, reads)
    put(conn, replace(RANGES, ticker="KXBTC-Q"))
    tick(conn, AT + timedelta(seconds=2), **DEFAULT)
    [third] = table(conn, reads)
    assert second["n"] - first["n"] == third["n"] - second["n"] > 0


def test_without_a_forecast_momentum_answers(conn: Connection) -> None:
    """As in the tick's other documents: nothing is closed before the candles begin."""
    put(conn, ABOVE)
    conn.execute("DELETE FROM upc_data.candle WHERE symbol = 'BTC' AND opened_at > '2026-03-05'")
    conn.execute("DELETE FROM upc_data.volatility_state")
    row = tick(conn, **DEFAULT, settlement="average")
    found = document(row)
    assert (row["used_model"], found["model"]) == ("momentum", "momentum")
    assert {each["model"] for each in found["contracts"]} == {"momentum"}
    question = Question(3580, "momentum", "linear", "average", momentum=row["momentum"])
    numbers = expected(conn, ABOVE, question)
    for each in found["contracts"]:
        assert_near(each["probability"], numbers[each["ticker"]]["probability"], each["ticker"])


def test_tickers_with_quotes(conn: Connection) -> None:
    """And whatever else JSON writes in another way."""
    names = ['say "no"', "back\\slash", "line\nbreak", "percent %s %", "ümläut"]
    contracts = tuple(Contract(name, Decimal(100_000 + k)) for k, name in enumerate(names))
    event = Event('E "1" \\ %s', "KXBTCD", HOUR, READ, contracts)
    assert list(shown(conn, event)) == names


def test_as_many_as_an_event_may_have(conn: Connection) -> None:
    strikes = tuple(Contract(f"S{k:04}", Decimal(90_000 + 10 * k)) for k in range(2000))
    rows = shown(conn, replace(ABOVE, contracts=strikes))
    assert list(rows) == [each.ticker for each in strikes]
    probabilities = [each["probability"] for each in rows.values()]
    assert probabilities == sorted(probabilities, reverse=True)


def test_two_symbols_together(conn: Connection) -> None:
    """tick_all has for each what tick has for it alone."""
    put(conn, ABOVE)
    eth = replace(ABOVE, ticker="KXETHD-A", series="KXETHD", contracts=RANGES.contracts)
    put(conn, eth, symbol="ETH")
    alone = {}
    for symbol in ("BTC", "ETH"):
        with conn.transaction(force_rollback=True):
            alone[symbol] = document(tick(conn, symbol=symbol, **DEFAULT))["contracts"]
    for symbol in ("BTC", "ETH"):
        conn.execute("SELECT upc.record_price(%s, 'one', %s, %s, %s)", (symbol, PRICE, AT, AT))
    rows = table(
        conn,
        "SELECT * FROM upc.tick_all('{ETH,BTC}', 'database', %s, model => 'volatility',"
        " method => 'linear')",
        AT,
    )
    assert [row["symbol"] for row in rows] == ["ETH", "BTC"]
    for row in rows:
        assert document(row)["contracts"] == alone[row["symbol"]]
        assert document(row)["symbol"] == row["symbol"]
    assert len(alone["BTC"]) == 21
    assert len(alone["ETH"]) == 22


def test_readers_get_the_documents_they_name(conn: Connection) -> None:
    put(conn, ABOVE)
    row = tick(conn, **DEFAULT)
    query = "SELECT * FROM upc.latest_documents('BTC', %s, documents => %s)"
    names = ("live_probabilities", "strike_table", "watchlist", "active_trades", "contracts")
    [every] = table(conn, query, AT, None)
    assert {name: every[name] for name in names} == {name: row[name] for name in names}
    [one] = table(conn, query, AT, ["contracts"])
    assert [name for name in names if one[name] is not None] == ["contracts"]
    assert one["contracts"] == row["contracts"]
    [changed] = table(conn, "SELECT * FROM upc.changed_documents('{BTC}', '{0}')")
    assert changed["contracts"] == row["contracts"]


def test_an_event_of_which_nothing_is_shown_leaves_nothing_behind(conn: Connection) -> None:
    """Not even a comma, wherever it stands among the others."""
    far = [Contract(f"F{k}", Decimal(5_000_000 + k), **WITHOUT_QUOTE) for k in range(2)]
    hidden = [
        Event(f"KXBTCD-{k}", "KXBTCD", AT + timedelta(minutes=k), READ, (each,))
        for k, each in ((3, far[0]), (40, far[1]))
    ]
    first, last = hidden
    for events, count in (((first,), 0), ((first, UP, last), 1)):
        assert len(shown(conn, *events)) == count
        conn.execute("DELETE FROM upc_data.market_event")
