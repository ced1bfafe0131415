"""The log of contracts: once a minute and at every stop, beside numpy and what was put in."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from tests.support.between_reference import Question, stepwise_candles
from tests.support.contract_rows import Contract, Event, expected
from tests.support.engine import Connection, instant, scalar
from tests.support.readings import PRICE, Row
from tests.support.trading import put_price, table, tick

BUILT = {"BTC": stepwise_candles(190)}
AT = instant("2026-03-06T00:00") + timedelta(seconds=20)
MINUTE = timedelta(minutes=1)
HOUR, QUARTER = instant("2026-03-06T01:00"), instant("2026-03-06T00:15")
TOO_FAR = instant("2026-03-07T01:00")
D = Decimal
STRIKES = [D(int(PRICE)) + 100 * k for k in range(-5, 6)]
NOBODY: dict[str, Any] = {"yes_bid": None, "yes_ask": None}
ABOVE = Event(
    *("KXBTCD-A", "KXBTCD", HOUR, AT),
    tuple(
        # Of every third there is no quote at all, of the one after it only an ask.
        Contract(
            f"A{k}", strike, **(NOBODY if k % 3 == 0 else {"yes_bid": None} if k % 3 == 1 else {})
        )
        for k, strike in enumerate(STRIKES)
    ),
)
RANGES = Event(
    *("KXBTC-R", "KXBTC", HOUR, AT),
    tuple(
        Contract(f"R{k}", lower, upper, yes_bid=D("0.0025") * k, yes_ask=D("0.0725") * (k + 1))
        for k, (lower, upper) in enumerate(pairwise([None, *STRIKES, None]))
    ),
)
UP = Event("KXBTC15M-U", "KXBTC15M", QUARTER, AT, (Contract("U", D("99987.43")),))
FAR = Event("KXBTCD-F", "KXBTCD", TOO_FAR, AT, (Contract("F", D(100_000)),))
ALL = (ABOVE, RANGES, UP, FAR)
QUOTED = {
    each.ticker: (event, each)
    for event in ALL
    for each in event.contracts
    if each.yes_bid is not None or each.yes_ask is not None
}


def put(conn: Connection, *events: Event) -> None:
    for event in events:
        event.put(conn)
        conn.execute("SELECT upc._sum_up_event('BTC', %s)", (event.ticker,))


@pytest.fixture
def market(conn: Connection) -> Connection:
    """All events, with quotes that are as new as the clock."""
    put(conn, *ALL)
    return conn


def second(conn: Connection, at: datetime, **more: Any) -> Row:
    """A tick with a price and quotes of its instant."""
    put_price(conn, PRICE + (at - AT).total_seconds() / 1000, at)
    conn.execute("UPDATE upc_data.market_event SET read_at = %s", (at,))
    kinds = {"model": None, "method": None, "settlement": None}
    return tick(conn, at, **{**kinds, **more})


def logged(conn: Connection, ticker: str | None = None, symbol: str = "BTC") -> list[Row]:
    query = "SELECT * FROM upc.logged_contracts(%s, %s, %s, %s)"
    since, until = AT - timedelta(days=9), AT + timedelta(days=9)
    return table(conn, query, (symbol, since, until, ticker))


def instants(conn: Connection, symbol: str = "BTC") -> list[tuple[datetime, bool]]:
    found = table(
        conn,
        "SELECT DISTINCT logged_at, is_minute FROM upc_data.contract_log WHERE symbol = %s "
        "ORDER BY logged_at",
        (symbol,),
    )
    return [(row["logged_at"], row["is_minute"]) for row in found]


def test_every_number(market: Connection) -> None:
    row = second(market, AT)
    found = logged(market)
    assert [each["contract_ticker"] for each in found] == sorted(
        QUOTED, key=lambda name: (QUOTED[name][0].ticker, int(name[1:] or 0))
    )
    for each in found:
        event, contract = QUOTED[each["contract_ticker"]]
        assert (each["logged_at"], each["tick_id"], each["is_minute"]) == (AT, row["tick_id"], True)
        assert (each["event_ticker"], each["price"]) == (event.ticker, PRICE)
        quotes = ("yes_bid", "yes_ask", "no_bid", "no_ask")
        # Nobody bids for nothing, and an empty side has no size.
        for name in quotes:
            quote = getattr(contract, name)
            is_none = quote is None or (name.endswith("bid") and quote == 0) or quote == 1
            assert each[name] == (None if is_none else quote), name
        size = {"yes_bid": "bid", "no_ask": "bid", "yes_ask": "ask", "no_bid": "ask"}
        for name, side in size.items():
            there = each[name] is not None
            assert each[f"{name}_size"] == (getattr(contract, f"{side}_size") if there else None)
        if event is FAR:
            assert each["probability"] is each["model"] is None
            continue
        ttc = int((event.closes_at - AT).total_seconds())
        question = Question(ttc, "volatility", "linear", "average", momentum=row["momentum"])
        numbers = expected(market, replace(event, contracts=(contract,)), question)
        assert each["probability"] == pytest.approx(
            numbers[contract.ticker]["probability"], abs=1e-9
        )
        assert each["model"] == "volatility"


def test_the_numbers_are_those_of_the_contract_table(market: Connection) -> None:
    for kinds in ({}, {"model": "momentum", "method": "nearest", "settlement": "close"}):
        at = AT + MINUTE * len(kinds)
        row = second(market, at, **kinds)
        named = {"momentum": row["momentum"], "price": row["price"], **kinds}
        query = ", ".join(f"{name} => %({name})s" for name in named)
        rows = table(
            market, f"SELECT * FROM upc.contract_table('BTC', %(at)s, {query})", {**named, "at": at}
        )
        ends = ("prob_low", "prob_high")
        names = ("probability", "yes_bid", "yes_ask", "no_bid", "no_ask", "model", *ends)
        expected_rows = {
            each["ticker"]: tuple(each[name] for name in names)
            for each in rows
            if any(each[name] is not None for name in names[1:5])
        }
        found = {
            each["contract_ticker"]: tuple(each[name] for name in names)
            for each in logged(market)
            if each["logged_at"] == at
        }
        assert found == expected_rows


def test_once_a_minute(market: Connection) -> None:
    """At every 20 ms, by one process and another, and one that begins anew."""
    step = timedelta(milliseconds=20)
    start = AT + timedelta(seconds=39)
    for k in range(110):
        holder = f"holder {k // 40}"
        second(market, start + k * step, holder=holder)
        if k % 40 == 39:
            market.execute("SELECT upc.release_lease('BTC', %s)", (holder,))
    assert instants(market) == [(start, True), (start + 50 * step, True)]
    for each in ("A1", "R3", "U"):
        assert len(logged(market, each)) == 2


def test_a_clock_that_is_put_back(market: Connection) -> None:
    """No minute is logged twice."""
    for k, minutes in enumerate((0, 1, 2, 0, 1, 3, 2)):
        second(market, AT + minutes * MINUTE + timedelta(seconds=k))
    firsts = ((0, 0), (1, 1), (2, 2), (3, 5))
    expected_minutes = [AT + m * MINUTE + timedelta(seconds=k) for m, k in firsts]
    assert instants(market) == [(each, True) for each in expected_minutes]


def test_every_stop(market: Connection) -> None:
    market.execute("SELECT set_config('upc.stop_verify', 'off', true)")
    market.execute("SELECT set_config('upc.stop_probability', '100', true)")
    second(market, AT)
    buy = "SELECT upc.open_trade(%s, 'yes', 0.5, 1, at => %s)"
    for ticker in ("A4", "R3"):
        market.execute(buy, (ticker, AT))
    stop = AT + timedelta(seconds=1)
    row = second(market, stop)
    assert row["announced"].count('"stop"') == 2
    # Both stops are of one instant; without a further one nothing is logged.
    second(market, AT + timedelta(seconds=2))
    assert instants(market) == [(AT, True), (stop, False)]
    assert {each["contract_ticker"] for each in logged(market)} == QUOTED.keys()
    assert len(logged(market)) == 2 * len(QUOTED)
    # In a minute that begins with a stop one log is enough.
    market.execute(buy, ("U", AT))
    second(market, AT + MINUTE)
    assert instants(market)[2:] == [(AT + MINUTE, True)]


@pytest.mark.parametrize("feed", ["simulated", "replay"])
def test_made_up_prices_are_not_logged(market: Connection, feed: str) -> None:
    second(market, AT, feed=feed)
    assert logged(market) == []


def test_without_quotes_nothing_is_logged(market: Connection) -> None:
    put_price(market, PRICE, AT)
    market.execute("UPDATE upc_data.market_event SET read_at = %s", (AT - timedelta(minutes=2),))
    tick(market, AT)
    assert logged(market) == []


def test_a_halted_price_has_quotes_and_no_probability(market: Connection) -> None:
    put_price(market, PRICE, AT - timedelta(minutes=5))
    tick(market, AT)
    found = logged(market)
    assert {each["contract_ticker"] for each in found} == QUOTED.keys()
    assert {each["probability"] for each in found} == {None}


def test_filters(market: Connection) -> None:
    for minutes in range(3):
        second(market, AT + minutes * MINUTE)
    query = "SELECT logged_at FROM upc.logged_contracts('BTC', %s, %s, 'U')"
    found = table(market, query, (AT, AT + 2 * MINUTE))
    assert [row["logged_at"] for row in found] == [AT, AT + MINUTE]
    assert logged(market, "no such contract") == []
    with pytest.raises(psycopg.Error) as caught:
        logged(market, symbol="XYZ")
    assert caught.value.sqlstate == "UP002"


@pytest.fixture
def refusing(market: Connection) -> Connection:
    """A log that takes nothing of up or down."""
    market.execute(
        "ALTER TABLE upc_data.contract_log ADD CONSTRAINT no CHECK (event_ticker <> 'KXBTC15M-U')"
    )
    return market


def test_a_tick_whose_contracts_cannot_be_logged_fails(refusing: Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation), refusing.transaction():
        second(refusing, AT)
    for log in ("tick", "contract_log", "tick_count"):
        assert scalar(refusing, f"SELECT count(*) FROM upc_data.{log}") == 0


def batch(conn: Connection, at: datetime) -> dict[str, str | None]:
    for symbol, price in (("BTC", PRICE), ("ETH", 3000.0)):
        put_price(conn, price, at, symbol)
    query = "SELECT symbol, sqlstate FROM upc.tick_all('{BTC,ETH}', 'database', %s)"
    return {row["symbol"]: row["sqlstate"] for row in table(conn, query, (at,))}


@pytest.fixture
def two(market: Connection) -> Connection:
    """ETH has a market, too, and BTC's fingerprints."""
    market.execute("UPDATE upc_data.series SET settlement = 'average' WHERE symbol = 'ETH'")
    Event("KXETH15M-U", "KXETH15M", QUARTER, AT, (Contract("E", D(3000)),)).put(market, "ETH")
    return market


def test_a_batch_logs_each_symbol(two: Connection) -> None:
    for seconds in (0, 1, 60):
        at = AT + timedelta(seconds=seconds)
        two.execute("UPDATE upc_data.market_event SET read_at = %s", (at,))
        assert batch(two, at) == {"BTC": None, "ETH": None}
    for symbol, ticker in (("BTC", "U"), ("ETH", "E")):
        assert [at for at, _ in instants(two, symbol)] == [AT, AT + MINUTE]
        assert len(logged(two, ticker, symbol)) == 2


def test_in_a_batch_one_that_fails_harms_no_other(two: Connection) -> None:
    two.execute("ALTER TABLE upc_data.contract_log ADD CONSTRAINT no CHECK (symbol <> 'BTC')")
    assert batch(two, AT) == {"BTC": "23514", "ETH": None}
    assert scalar(two, "SELECT array_agg(DISTINCT symbol) FROM upc_data.tick") == ["ETH"]
    assert (instants(two), len(instants(two, "ETH"))) == ([], 1)


# Days and retention


def partitions(conn: Connection) -> list[str]:
    query = (
        "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = 'upc_data.contract_log'::regclass ORDER BY 1"
    )
    return [name for (name,) in conn.execute(query.encode()).fetchall()]


def delete(conn: Connection, at: datetime, **rules: str) -> list[Row]:
    """Until nothing is left to do."""
    for name, value in rules.items():
        conn.execute("SELECT set_config('upc.' || %s, %s, true)", (name, value))
    done: list[Row] = []
    while True:
        [row] = table(conn, "SELECT * FROM upc.delete_expired(100, %s)", (at,))
        if not any(row.values()):
            return done
        done.append(row)


def test_a_day_has_a_partition(market: Connection) -> None:
    second(market, AT)
    assert partitions(market) == ["contract_log_default"]
    assert scalar(market, "SELECT count(*) FROM upc_data.contract_log_default") == 4
    market.execute("SELECT upc.make_partitions(1, %s)", (AT,))
    assert partitions(market)[:2] == ["contract_log_20260306", "contract_log_20260307"]
    # Rows of the day move into its partition.
    assert scalar(market, "SELECT count(*) FROM upc_data.contract_log_20260306") == 4
    second(market, AT + MINUTE)
    assert scalar(market, "SELECT count(*) FROM upc_data.contract_log_20260306") == 8
    assert len(logged(market, "U")) == 2


@pytest.mark.parametrize("has_partition", [False, True])
@pytest.mark.parametrize(
    ("rules", "days", "is_kept"),
    [
        ({}, 30, True),
        ({}, 32, False),
        ({"keep_contracts": "3 days"}, 2, True),
        ({"keep_contracts": "3 days"}, 5, False),
        ({"keep_contracts": "infinity"}, 400, True),
    ],
)
def test_kept_for(
    market: Connection, has_partition: bool, rules: dict[str, str], days: int, is_kept: bool
) -> None:
    if has_partition:
        market.execute("SELECT upc.make_partitions(0, %s)", (AT,))
    second(market, AT)
    market.execute("ANALYZE upc_data.contract_log")
    at = AT + timedelta(days=days)
    # Their events stay as long, since these have the results.
    market.execute("DELETE FROM upc_data.tick")
    rows = delete(market, at, **rules, keep_events="2 days")
    assert len(logged(market, "U")) == is_kept
    assert sum(row["contracts"] for row in rows) == (0 if is_kept else 4)
    events = scalar(market, "SELECT array_agg(event_ticker) FROM upc_data.market_event")
    assert ("KXBTC15M-U" in (events or [])) is is_kept
    assert ("contract_log_20260306" in partitions(market)) is (has_partition and is_kept)


@pytest.mark.parametrize("value", ["23 hours", "0", "soon", "-1 day"])
def test_less_than_a_day_is_refused(conn: Connection, value: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        delete(conn, AT, keep_contracts=value)
    assert caught.value.sqlstate == "22023"
