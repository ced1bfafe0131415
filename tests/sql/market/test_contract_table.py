"""contract_table beside numpy on the stored curves and Decimal on the quotes, put in by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.between_reference import Question, stepwise_candles
from tests.support.contract_rows import Contract, Event, by_ticker, contract_rows, expected
from tests.support.engine import Connection, instant
from tests.support.readings import METHODS, MODELS, PLAIN_MODELS, PRICE, Row

BUILT = {"BTC": stepwise_candles(190)}
AT = instant("2026-03-06T00:00") + timedelta(seconds=20)
READ = AT - timedelta(seconds=1)
COLUMNS = [
    *("series", "kind", "event_ticker", "closes_at", "ttc_seconds", "ticker", "lower", "upper"),
    *("state", "probability", "prob_low", "prob_high", "yes_bid", "yes_ask", "no_bid", "no_ask"),
    *("yes_bid_size", "yes_ask_size", "no_bid_size", "no_ask_size", "yes_fee", "no_fee"),
    *("yes_edge", "no_edge", "yes_edge_low", "no_edge_low", "edge_reason", "model", "volume"),
]
NUMBERS = COLUMNS[COLUMNS.index("yes_fee") : COLUMNS.index("edge_reason")]
EDGES = [name for name in NUMBERS if "edge" in name]
HOUR, QUARTER = instant("2026-03-06T01:00"), instant("2026-03-06T00:15")
DAILY, TOO_FAR = instant("2026-03-06T22:00"), instant("2026-03-07T01:00")


def quotes(place: int) -> dict[str, Any]:
    """Asks from 0.0025 to 0.9725, some of them no whole cents."""
    ask = Decimal("0.0025") + Decimal("0.0485") * place
    return {
        "yes_ask": ask,
        "yes_bid": max(Decimal("0.0010"), ask - Decimal("0.02")),
        "bid_size": Decimal(place) + Decimal("0.25"),
    }


STRIKES = [Decimal(int(PRICE)) + 100 * k for k in range(-10, 11)]
ABOVE = Event(
    *("KXBTCD-A", "KXBTCD", HOUR, READ),
    tuple(Contract(f"A{k}", strike, **quotes(k)) for k, strike in enumerate(STRIKES)),
)
RANGES = Event(
    *("KXBTC-R", "KXBTC", HOUR, READ),
    tuple(
        Contract(f"R{k}", lower, upper, **quotes(k % 21))
        for k, (lower, upper) in enumerate(pairwise([None, *STRIKES, None]))
    ),
)
UP = Event("KXBTC15M-U", "KXBTC15M", QUARTER, READ, (Contract("U", Decimal("99987.43")),))
DAY = Event(
    *("KXBTCD-D", "KXBTCD", DAILY, READ),
    tuple(Contract(f"D{k}", strike + 500) for k, strike in enumerate(STRIKES)),
)
FAR = Event("KXBTCD-F", "KXBTCD", TOO_FAR, READ, (Contract("F", Decimal(100_000)),))
ALL = (ABOVE, RANGES, UP, DAY, FAR)


def put(conn: Connection, *events: Event) -> None:
    for event in events:
        event.put(conn)


def ask(conn: Connection, at: datetime = AT, **arguments: Any) -> list[Row]:
    return contract_rows(conn, at, **{"price": PRICE, "momentum": 2.2, **arguments})


def only(conn: Connection, contract: Contract, **arguments: Any) -> Row:
    """The row of the only contract of the hour."""
    put(conn, replace(ABOVE, contracts=(contract,)))
    [row] = ask(conn, **arguments)
    return row


def assert_numbers(row: Row, numbers: Row) -> None:
    for name, number in numbers.items():
        assert row[name] == (None if number is None else pytest.approx(number, abs=1e-9)), name


def test_columns_and_order(conn: Connection) -> None:
    put(conn, *reversed(ALL))
    rows = ask(conn)
    assert list(rows[0]) == COLUMNS
    tickers = [each.ticker for event in (UP, RANGES, ABOVE, DAY, FAR) for each in event.contracts]
    assert [row["ticker"] for row in rows] == tickers


def seconds(event: Event, at: datetime = AT) -> int:
    return int((event.closes_at - at).total_seconds())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_every_number(conn: Connection, model: str, method: str) -> None:
    put(conn, *ALL)
    rows = by_ticker(ask(conn, model=model, method=method))
    for event in ALL:
        ttc = seconds(event)
        is_far = ttc > 3600 and (model != "volatility" or ttc > 86_400)
        numbers = (
            {}
            if is_far
            else expected(conn, event, Question(ttc, model, method, "average", momentum=2.2))
        )
        for each in event.contracts:
            row = rows[each.ticker]
            assert_numbers(row, numbers.get(each.ticker, dict.fromkeys(EDGES)))
            assert row["edge_reason"] == ("no_model" if is_far else None)
            assert row["model"] == (None if is_far else model)
            assert (row["ttc_seconds"], row["closes_at"]) == (ttc, event.closes_at)
            assert (row["series"], row["event_ticker"]) == (event.series, event.ticker)
            assert (row["lower"], row["upper"], row["state"]) == (each.lower, each.upper, "active")
            assert (row["yes_bid"], row["yes_ask"]) == (each.yes_bid, each.yes_ask)
            assert (row["no_bid"], row["no_ask"]) == (each.no_bid, each.no_ask)
            assert (row["yes_bid_size"], row["no_ask_size"]) == (each.bid_size, each.bid_size)
            assert (row["yes_ask_size"], row["no_bid_size"]) == (each.ask_size, each.ask_size)
    assert {row["kind"] for row in rows.values()} == {"above", "range", "updown"}


def test_coherent(conn: Connection) -> None:
    """Ranges sum to 100, and each is the difference of two aboves of the same close."""
    put(conn, ABOVE, RANGES)
    for model in MODELS:
        for method in METHODS:
            rows = by_ticker(ask(conn, model=model, method=method))
            ranges = [rows[each.ticker]["probability"] for each in RANGES.contracts]
            aboves = [rows[each.ticker]["probability"] for each in ABOVE.contracts]
            assert sum(ranges) == pytest.approx(100, abs=1e-9)
            differences = [a - b for a, b in pairwise([100, *aboves, 0])]
            assert ranges == pytest.approx(differences, abs=1e-9)


def test_as_the_strike_table(conn: Connection) -> None:
    """Where both have a row they have the same numbers."""
    put(conn, ABOVE)
    rows = by_ticker(ask(conn, model="volatility", method="linear", settlement="average"))
    strikes = conn.execute(
        "SELECT ticker, prob_above, prob_low, prob_high, yes_edge, no_edge FROM upc.strike_table("
        "%s, 2.2, at => %s, step => 100, model => 'volatility', method => 'linear', "
        "settlement => 'average') WHERE ticker IS NOT NULL",
        (PRICE, AT),
    ).fetchall()
    assert len(strikes) > 10
    for ticker, *numbers in strikes:
        row = rows[ticker]
        names = ("probability", "prob_low", "prob_high", "yes_edge", "no_edge")
        assert [row[name] for name in names] == pytest.approx(numbers, abs=1e-9)


@pytest.mark.parametrize("settlement", ["close", "average", "trimmed", None])
def test_settlement_of_the_series(conn: Connection, settlement: str | None) -> None:
    """The trimmed mean is answered as the mean; what is not clear has no edge."""
    conn.execute("UPDATE upc_data.series SET settlement = %s WHERE symbol = 'BTC'", (settlement,))
    put(conn, ABOVE)
    rows = by_ticker(ask(conn))
    used = "close" if settlement == "close" else "average"
    question = Question(seconds(ABOVE), "volatility", "linear", used, momentum=2.2)
    for ticker, numbers in expected(conn, ABOVE, question).items():
        row = rows[ticker]
        assert row["probability"] == pytest.approx(numbers["probability"], abs=1e-9)
        assert row["edge_reason"] == ("rules_unclear" if settlement is None else None)
        assert (row["yes_edge"] is None) is (settlement is None)


@pytest.mark.parametrize(
    ("settlement", "given", "reason"),
    [
        ("average", None, None),
        ("trimmed", None, "last_minute"),
        ("close", None, "last_minute"),
        ("average", "close", "last_minute"),
        ("trimmed", "average", "last_minute"),
        (None, None, "rules_unclear"),
    ],
)
def test_last_minute(
    conn: Connection, settlement: str | None, given: str | None, reason: str | None
) -> None:
    """An edge only where the average decides and its part so far has been seen."""
    conn.execute("UPDATE upc_data.series SET settlement = %s WHERE symbol = 'BTC'", (settlement,))
    put(conn, UP)
    at = QUARTER - timedelta(seconds=25)
    conn.execute("UPDATE upc_data.market_event SET read_at = %s", (at,))
    variances = [1e-8 * k for k in range(1, 61)]
    arguments: Row = {"settlement": given, "variances": variances}
    [row] = ask(conn, at, observed=PRICE - 3, **arguments)
    assert row["edge_reason"] == reason
    assert row["ttc_seconds"] == 25
    assert (row["yes_edge"] is None) is (reason is not None)
    assert row["probability"] is not None
    # An average that nobody has seen is not known: the close stands in.
    [unseen] = ask(conn, at, **arguments)
    assert unseen["edge_reason"] == (reason or "last_minute")
    assert unseen["probability"] is not None


def test_seen_in_the_log(conn: Connection) -> None:
    """The part of the last minute that has passed is the log's, where it is not given."""
    put(conn, UP)
    at = QUARTER - timedelta(seconds=25)
    conn.execute("UPDATE upc_data.market_event SET read_at = %s", (at,))
    for second in range(40):
        conn.execute(
            "SELECT upc.record_price('BTC', 'one', %s, NULL, %s)",
            (PRICE + 5, QUARTER - timedelta(seconds=60 - second)),
        )
    variances = [1e-8 * k for k in range(1, 61)]
    [logged] = ask(conn, at=at, variances=variances)
    [given] = ask(conn, at=at, variances=variances, observed=PRICE + 5)
    assert logged["edge_reason"] is None
    assert logged["probability"] == pytest.approx(given["probability"], abs=1e-9)


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        ("active", "active", None),
        ("inactive", "paused", "paused"),
        ("halted_by_somebody", "paused", "paused"),
        (None, "paused", "paused"),
        ("initialized", "initialized", "paused"),
        ("closed", "closed", "closed"),
    ],
)
def test_states(conn: Connection, status: str | None, state: str, reason: str | None) -> None:
    row = only(conn, Contract("S", Decimal(100_100), status=status))
    assert (row["state"], row["edge_reason"]) == (state, reason)
    assert row["probability"] is not None
    assert (row["yes_ask"] is None) is (status != "active")


@pytest.mark.parametrize("status", ["determined", "disputed", "amended", "finalized", "settled"])
def test_what_is_decided_is_not_open(conn: Connection, status: str) -> None:
    put(conn, replace(ABOVE, contracts=(Contract("S", Decimal(100_100), status=status),)))
    assert ask(conn) == []


def test_awaiting_strike(conn: Connection) -> None:
    row = only(conn, Contract("S", None))
    assert (row["edge_reason"], row["probability"]) == ("awaiting_strike", None)
    assert row["yes_ask"] == Decimal("0.4275")
    assert {row[name] for name in EDGES} == {None}


def test_not_yet_open_and_without_bounds(conn: Connection) -> None:
    put(conn, replace(ABOVE, contracts=(Contract("S", None, status="initialized"),)))
    assert ask(conn) == []


@pytest.mark.parametrize(
    ("bid", "offer", "side"),
    [
        (None, Decimal("0.30"), "yes"),
        (Decimal(0), Decimal("0.30"), "yes"),
        (Decimal("0.20"), None, "no"),
        (Decimal("0.20"), Decimal(1), "no"),
        (None, None, None),
        (Decimal(0), Decimal(1), None),
    ],
)
def test_empty_sides(
    conn: Connection, bid: Decimal | None, offer: Decimal | None, side: str | None
) -> None:
    """An empty side is no offer: no price, no size, no fee, no edge."""
    row = only(conn, Contract("S", Decimal(100_100), yes_bid=bid, yes_ask=offer))
    for name in ("yes", "no"):
        is_offered = name == side
        other = "no" if name == "yes" else "yes"
        for column in (
            *(f"{name}_ask", f"{name}_ask_size", f"{name}_fee", f"{name}_edge"),
            *(f"{name}_edge_low", f"{other}_bid", f"{other}_bid_size"),
        ):
            assert (row[column] is not None) is is_offered, column
    assert row["edge_reason"] == (None if side else "no_offer")


@pytest.mark.parametrize(
    ("price_state", "is_known", "has_edge"),
    [
        ("fresh", True, True),
        ("warn", True, True),
        ("stale", True, False),
        ("halted", False, False),
    ],
)
def test_age_of_the_price(
    conn: Connection, price_state: str, is_known: bool, has_edge: bool
) -> None:
    row = only(conn, Contract("S", Decimal(100_100)), price_state=price_state)
    assert (row["probability"] is not None) is is_known
    assert row["edge_reason"] == (None if has_edge else "price_stale")
    assert (row["yes_edge"] is not None) is has_edge
    assert row["yes_ask"] is not None


@pytest.mark.parametrize(
    ("age", "is_quoted", "has_edge"),
    [(1, True, True), (20, True, True), (45, True, False), (70, False, False)],
)
def test_age_of_the_quotes(conn: Connection, age: int, is_quoted: bool, has_edge: bool) -> None:
    put(conn, replace(ABOVE, read_at=AT - timedelta(seconds=age)), UP)
    rows = by_ticker(ask(conn))
    assert rows["U"]["edge_reason"] is None
    row = rows["A10"]
    assert row["probability"] is not None
    assert (row["yes_ask"] is not None) is is_quoted
    assert row["edge_reason"] == (None if has_edge else "quotes_stale")


def test_fees_of_the_series(conn: Connection) -> None:
    """By its multiplier; another formula than the known ones has no fee, and no edge."""
    conn.execute(
        "UPDATE upc_data.series SET fee_multiplier = 0.5 WHERE series = 'KXBTCD';"
        "UPDATE upc_data.series SET fee_type = 'flat' WHERE series = 'KXBTC'"
    )
    put(conn, ABOVE, RANGES)
    rows = by_ticker(ask(conn))
    question = Question(seconds(ABOVE), "volatility", "linear", "average", momentum=2.2)
    for ticker, numbers in expected(conn, ABOVE, question, Decimal("0.5")).items():
        assert_numbers(rows[ticker], numbers)
    for each in RANGES.contracts:
        row = rows[each.ticker]
        assert row["edge_reason"] == "rules_unclear"
        assert {row[name] for name in NUMBERS} == {None}
        assert row["probability"] is not None


def test_asks_of_six_decimals(conn: Connection) -> None:
    contract = Contract("S", Decimal(100_100), yes_ask=Decimal("0.333333"))
    row = only(conn, contract)
    question = Question(seconds(ABOVE), "volatility", "linear", "average", momentum=2.2)
    event = replace(ABOVE, contracts=(contract,))
    assert_numbers(row, expected(conn, event, question)["S"])


def test_other_series_and_symbols(conn: Connection) -> None:
    """Series that nobody follows, closed events and other symbols have no row."""
    conn.execute("UPDATE upc_data.series SET is_followed = false WHERE series = 'KXBTC'")
    put(conn, UP, RANGES, replace(ABOVE, closes_at=AT))
    replace(DAY, series="KXETHD").put(conn, "ETH")
    assert [row["ticker"] for row in ask(conn)] == ["U"]


def test_what_the_log_knows(conn: Connection) -> None:
    """Price, momentum and state are the log's, where no price is given."""
    put(conn, UP)
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        contract_rows(conn, AT)
    assert caught.value.sqlstate == "UP011"
    assert caught.value.diag.message_hint
    for age in range(3, -1, -1):
        at = AT - timedelta(seconds=age)
        conn.execute("SELECT upc.record_price('BTC', 'one', %s, NULL, %s)", (PRICE - age, at))
    [(momentum,)] = conn.execute(
        "SELECT momentum FROM upc.momentum('BTC', %s, %s)", (AT, PRICE)
    ).fetchall()
    assert momentum is not None
    assert contract_rows(conn, AT) == ask(conn, momentum=momentum)
    [old] = contract_rows(conn, AT + timedelta(seconds=14))
    assert old["edge_reason"] is None
    [stale] = contract_rows(conn, AT + timedelta(seconds=45))
    assert stale["edge_reason"] == "price_stale"


def test_without_a_forecast(conn: Connection) -> None:
    """Momentum stands in for the default; what was asked for by name is refused."""
    put(conn, UP, DAY)
    conn.execute("DELETE FROM upc_data.volatility_state")
    conn.execute(
        "DELETE FROM upc_data.candle WHERE opened_at > %s AND opened_at <> %s",
        (AT - timedelta(minutes=5), AT - timedelta(seconds=80)),
    )
    rows = by_ticker(ask(conn))
    assert rows["U"]["model"] == "momentum"
    assert rows["D0"]["edge_reason"] == "no_model"
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        ask(conn, model="volatility")
    assert caught.value.sqlstate == "UP020"


def test_without_curves(conn: Connection) -> None:
    """A forecast alone is not enough: there is nothing that it could be looked up on."""
    replace(UP, series="KXETH15M").put(conn, "ETH")
    common: Row = {"symbol": "ETH", "variances": [1e-8 * k for k in range(1, 61)]}
    [row] = ask(conn, **common)
    assert (row["model"], row["edge_reason"]) == ("momentum", None)
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        ask(conn, model="volatility", **common)
    assert caught.value.sqlstate == "UP020"


@pytest.mark.parametrize(("file", "count"), [("KXBTC", 188), ("KXETH", 75)])
def test_real_ranges_sum_to_100(conn: Connection, shared_data: Path, file: str, count: int) -> None:
    """Kalshi's own lists of ranges, with both open ends."""
    document = (shared_data / f"kalshi/{file}_hourly_range_active.json").read_text()
    [(symbol, event, closes_at)] = conn.execute(
        "SELECT event_symbol, event_ticker, closes_at FROM upc.load_market(%s::jsonb)", (document,)
    ).fetchall()
    [(low, high)] = conn.execute(
        "SELECT min(lower), max(upper) FROM upc_data.market_quote WHERE event_ticker = %s",
        (event,),
    ).fetchall()
    at = closes_at - timedelta(minutes=30)
    for model in (None, *PLAIN_MODELS):
        rows = ask(conn, at, symbol=symbol, price=float(low + high) / 2, model=model)
        assert len(rows) == count
        assert sum(row["probability"] for row in rows) == pytest.approx(100, abs=1e-9)
        assert max(row["probability"] for row in rows) > 5


@pytest.mark.parametrize(
    ("sqlstate", "wrong"),
    [
        ("UP001", {"price": -1.0}),
        ("UP002", {"symbol": "XYZ"}),
        ("UP005", {"method": "cubic"}),
        ("UP007", {"momentum": float("nan")}),
        ("UP018", {"model": "gaussian"}),
        ("UP019", {"settlement": "open"}),
        ("UP020", {"variances": [1.0]}),
        ("UP001", {"observed": 0.0}),
    ],
)
def test_refused(conn: Connection, sqlstate: str, wrong: Row) -> None:
    """With a contract, and without one."""
    for events in ((), (UP,)):
        put(conn, *events)
        with pytest.raises(psycopg.Error) as caught, conn.transaction():
            ask(conn, **wrong)
        assert caught.value.sqlstate == sqlstate
        assert caught.value.diag.message_hint


def test_many_contracts(conn: Connection) -> None:
    """400 of them, whose ranges sum to 100."""
    strikes = [Decimal(80_000) + 100 * k for k in range(400)]
    pairs: Sequence[tuple[Decimal | None, Decimal | None]] = list(pairwise([None, *strikes, None]))
    put(
        conn,
        replace(
            RANGES,
            contracts=tuple(Contract(f"M{k:03}", *pair) for k, pair in enumerate(pairs)),
        ),
    )
    rows = ask(conn)
    assert len(rows) == 401
    assert sum(row["probability"] for row in rows) == pytest.approx(100, abs=1e-9)
