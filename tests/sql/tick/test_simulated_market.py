"""The simulated market: one seed, one set of books; results by its own prices; the demo's alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from math import log, sqrt
from typing import Any

import psycopg
import pytest
from scipy.stats import t as student

from tests.support.databases import Databases
from tests.support.engine import Connection, build, instant, open_db, scalar
from tests.support.simulated import mark

AT = instant("2026-03-04T14:20:07")
HOUR = "SIMBTCD-26MAR0410"
RANGE = "SIMBTC-26MAR0410"
DAY = "SIMBTCD-26MAR0417"
QUARTER = "SIMBTC15M-26MAR040930"


@pytest.fixture(scope="module")
def demo_dsn(databases: Databases) -> Iterator[str]:
    """A database that is marked as the demo marks its own, with two days of candles."""
    with databases.clone("empty") as dsn:
        with open_db(dsn) as connection:
            mark(connection)
            connection.execute(
                """
                INSERT INTO upc_data.candle
                SELECT * FROM upc.simulated_candles(
                    'BTC', '2026-03-02 00:00+00', '2026-03-04 00:00+00'
                )
                """
            )
            build(connection, "BTC")
        yield dsn


@pytest.fixture
def market(demo_dsn: str) -> Iterator[Connection]:
    with open_db(demo_dsn, autocommit=False) as connection:
        yield connection
        connection.rollback()


def read(connection: Connection, at: datetime = AT, seed: int = 1) -> None:
    assert scalar(connection, "SELECT upc.simulate_market('BTC', %s, %s)", at, seed) > 100


def quotes(connection: Connection, event: str) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return cursor.execute(
            """
            SELECT * FROM upc_data.market_quote AS q
            WHERE q.event_ticker = %s ORDER BY q.lower NULLS FIRST
            """,
            [event],
        ).fetchall()


def test_the_same_seed_makes_the_same_books(demo_dsn: str) -> None:
    def books(seed: int) -> list[list[dict[str, Any]]]:
        with open_db(demo_dsn, autocommit=False) as connection:
            read(connection, seed=seed)
            found = [quotes(connection, event) for event in (HOUR, RANGE, DAY, QUARTER)]
            connection.rollback()
            return found

    first = books(1)
    assert [len(each) for each in first] == [41, 41, 41, 1]
    assert first == books(1)
    assert first != books(2)


def test_books_are_of_whole_cents_that_do_not_cross(market: Connection) -> None:
    read(market)
    for event in (HOUR, RANGE, DAY, QUARTER):
        for row in quotes(market, event):
            bid, ask = row["yes_bid"], row["yes_ask"]
            for price in (bid, ask, row["no_bid"], row["no_ask"]):
                assert price is None or 100 * price % 1 == 0
            if bid and ask:
                assert Decimal("0.01") <= bid < ask <= Decimal("0.99")
                assert (row["no_ask"], row["no_bid"]) == (1 - bid, 1 - ask)
                assert row["yes_bid_size"] > 0 < row["yes_ask_size"]
            assert row["volume"] >= 0


def test_ranges_share_a_hundred_cents(market: Connection) -> None:
    for minutes in range(0, 40, 8):
        read(market, AT + timedelta(minutes=minutes))
        rows = quotes(market, RANGE)
        assert [row["upper"] for row in rows[:-1]] == [row["lower"] for row in rows[1:]]
        assert rows[0]["lower"] is None is rows[-1]["upper"]
        bids = sum(row["yes_bid"] or 0 for row in rows)
        asks = sum(row["yes_ask"] or 1 for row in rows)
        # To buy or to sell one of each is no gift.
        assert bids < 1 < asks
        assert 0.85 < (bids + asks) / 2 < 1.25


def test_mispricings_come_and_go_around_a_fair_value(market: Connection) -> None:
    """Fair is Student's law about the price, with the forecast volatility."""
    gaps = []
    for minutes in range(0, 36, 3):
        at = AT + timedelta(minutes=minutes)
        read(market, at)
        price = scalar(market, "SELECT upc.simulated_price('BTC', %s)", at)
        left = int((instant("2026-03-04T15:00") - at).total_seconds())
        shorter, longer = (
            scalar(market, "SELECT upc.volatility('BTC', %s, %s)", at, seconds) / 100
            for seconds in (left - 60, left)
        )
        # The average of the last minute has a third of the minute's variance.
        deviation = sqrt((2 * shorter**2 + longer**2) / 3)
        for row in quotes(market, HOUR):
            if row["yes_bid"] and row["yes_ask"]:
                z = log(price / float(row["lower"])) / deviation
                fair = 100 * student.cdf(z * sqrt(1.5), 6)
                gaps.append(50 * float(row["yes_bid"] + row["yes_ask"]) - fair)
    assert max(abs(gap) for gap in gaps) < 20
    assert max(gaps) > 2
    assert min(gaps) < -2
    assert abs(sum(gaps) / len(gaps)) < 5


def averages(connection: Connection, until: str) -> Decimal:
    """The average of sixty simulated prices, in cents."""
    prices = [
        scalar(
            connection,
            "SELECT upc.simulated_price('BTC', %s)",
            instant(until) - timedelta(seconds=back),
        )
        for back in range(60)
    ]
    mean = sum((Decimal(repr(price)) for price in prices), Decimal(0)) / 60
    return mean.quantize(Decimal("0.01"), ROUND_HALF_UP)


def test_events_settle_by_the_path_of_the_price(market: Connection) -> None:
    read(market)
    opening = averages(market, "2026-03-04T14:15")
    assert [row["lower"] for row in quotes(market, QUARTER)] == [opening]

    def states() -> set[Any]:
        return {(row["status"], row["result"] is None) for row in quotes(market, QUARTER)}

    close = instant("2026-03-04T14:30")
    assert states() == {("active", True)}
    read(market, close + timedelta(seconds=2))
    assert states() == {("closed", True)}
    read(market, close + timedelta(seconds=6))
    assert states() == {("finalized", False)}
    settled = averages(market, "2026-03-04T14:30")
    (row,) = quotes(market, QUARTER)
    assert row["result"] == ("yes" if settled >= opening else "no")
    # What it settled at is what the next one has to beat.
    assert [row["lower"] for row in quotes(market, "SIMBTC15M-26MAR040945")] == [settled]

    read(market, instant("2026-03-04T15:00:20"))
    value = averages(market, "2026-03-04T15:00")
    for event in (HOUR, RANGE):
        query = "SELECT expiration_value FROM upc_data.market_event WHERE event_ticker = %s"
        assert scalar(market, query, event) == value
        for row in quotes(market, event):
            inside = (row["lower"] or 0) <= value < (row["upper"] or 10**9)
            assert (row["status"], row["result"]) == ("finalized", "yes" if inside else "no")
            assert row["yes_ask"] is None is row["no_ask"]


@pytest.mark.parametrize(
    ("at", "events"),
    [
        # The hour before 5 pm New York: the day's end is the hour's event, the next day is open.
        ("2026-03-04T21:30", ["15M-26MAR041645", "-26MAR0417", "D-26MAR0417", "D-26MAR0517"]),
        # A quarter of an hour on the second: what closes then is over.
        ("2026-03-04T14:15", ["15M-26MAR040930", "-26MAR0410", "D-26MAR0410", "D-26MAR0417"]),
    ],
)
def test_there_is_always_an_event_of_each_kind(
    market: Connection, at: str, events: list[str]
) -> None:
    read(market, instant(at))
    found = scalar(
        market,
        "SELECT array_agg(event_ticker ORDER BY event_ticker) FROM upc_data.market_event"
        " WHERE closes_at > %s AND title LIKE 'SIMULATED: %%'",
        instant(at),
    )
    assert found == sorted(f"SIMBTC{event}" for event in events)


def test_ticks_have_contracts_a_trade_and_what_came_of_them(market: Connection) -> None:
    since = instant("2026-03-04T12:50")
    until = instant("2026-03-04T14:05")
    assert scalar(market, "SELECT upc.simulate_span('BTC', %s, %s)", since, until) == 16
    events = market.execute(
        "SELECT kind, contracts, results, trades FROM upc.closed_events('BTC', before => %s)",
        [until],
    ).fetchall()
    assert {kind for kind, *_ in events} == {"above", "range", "updown"}
    assert all(results == contracts for _, contracts, results, _ in events)
    assert sum(trades for *_, trades in events) == 2
    ended = "SELECT ended_at IS NOT NULL FROM upc_data.trade ORDER BY opened_at"
    assert [row[0] for row in market.execute(ended)] == [True, True, False]
    paper = "SELECT count(*), count(payout) FROM upc_data.paper_trade WHERE closes_at < %s"
    bought, settled = market.execute(paper, [until]).fetchone() or (0, 0)
    assert bought == settled
    judged = "SELECT count(*), count(yes_ask) FROM upc.judged_strikes('BTC')"
    questions, asked = market.execute(judged).fetchone() or (0, 0)
    assert questions > 14 * 21 / 2
    assert asked > 0

    document = scalar(
        market,
        "SELECT contracts FROM upc.tick('BTC', 'simulated', %s, model => NULL, method => NULL,"
        " settlement => NULL)",
        until,
    )
    contracts = json.loads(document)
    assert contracts["feed"] == "simulated"
    kinds = {(each["series"], each["closes_at"]) for each in contracts["contracts"]}
    assert len(kinds) == 4
    assert all(each["edge_reason"] is None for each in contracts["contracts"])
    assert any(each["yes_edge"] is not None for each in contracts["contracts"])


def refused(connection: Connection, query: str, *arguments: Any) -> str | None:
    with pytest.raises(psycopg.Error) as caught, connection.transaction():
        connection.execute(query, arguments)
    return caught.value.sqlstate


LOAD = """
    SELECT upc.load_market(
        '{"event": {"event_ticker": "KXBTCD-26MAR0410", "series_ticker": "KXBTCD"}, "markets": [
            {"ticker": "KXBTCD-26MAR0410-T1", "close_time": "2026-03-04T15:00:00Z",
             "strike_type": "greater", "floor_strike": 97499.99}]}'
    )
"""
PRICE = "SELECT upc.record_price('BTC', 'coinbase', 97000, %s)"


def test_another_database_is_refused(db: Connection) -> None:
    for call in ("simulate_market('BTC')", "simulate_trade('BTC')"):
        assert refused(db, f"SELECT upc.{call}") == "UP033"
    mark(db, 'pyupc demo: {"exchange": "coinbase"}')
    assert refused(db, "SELECT upc.simulate_market('BTC')") == "UP033"
    mark(db)
    db.execute(LOAD)
    assert refused(db, "SELECT upc.simulate_market('BTC', %s)", AT) == "UP033"


def test_real_prices_and_quotes_have_no_place_beside_it(market: Connection) -> None:
    read(market)
    assert refused(market, LOAD) == "UP002"
    assert refused(market, "SELECT * FROM upc.tick('BTC', 'database', %s)", AT) == "UP033"
    market.execute(PRICE, [AT])
    assert refused(market, "SELECT upc.simulate_market('BTC', %s)", AT) == "UP033"
    assert refused(market, "SELECT * FROM upc.tick('BTC', 'coinbase', %s)", AT) == "UP033"
