"""Documents of Kalshi that are not as they should be, read over HTTP.

What is wrong is named and left out, or refused; all else is there as before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from pyupc.errors import PyupcError
from pyupc.kalshi.api import Kalshi
from tests.kalshi.day import plot, prices
from tests.kalshi.day.coins import BY_SYMBOL
from tests.kalshi.day.events import HOUR, SECOND, Event, Story
from tests.kalshi.day.exchange import Exchange
from tests.kalshi.day.playing import exact
from tests.support import feed_parts
from tests.support.databases import Databases
from tests.support.engine import open_db, scalar
from tests.support.kalshi_server import Server
from tests.support.readings import Row, table

AT = plot.NOON + 600 * SECOND
Document = dict[str, Any]
Change = Callable[[Document], Document]
MARKET = prices.make(BY_SYMBOL["BTC"])
EVENTS = [replace(each, story=Story()) for each in plot.events_of(MARKET)]


def event_of(kind: str) -> Event:
    [found] = [
        each
        for each in EVENTS
        if each.kind == kind and each.closes_at == plot.NOON + HOUR and each.opens_at <= AT
    ] or [each for each in EVENTS if each.kind == kind and each.opens_at <= AT < each.closes_at][:1]
    return found


ABOVE, RANGE = event_of("above"), event_of("range")


@dataclass
class Outcome:
    """`rows`: of the contract table by ticker; `problem`: what the reading was refused with."""

    rows: dict[str, Row]
    documents: dict[str, Document]
    log: str
    problem: PyupcError | None
    title: str


@pytest.fixture(scope="module")
def dsn(databases: Databases) -> Iterator[str]:
    with databases.clone("market_btc") as found:
        yield found


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def read(dsn: str, caplog: pytest.LogCaptureFixture) -> Callable[[Event, Change], Outcome]:
    """Read an event as it should be, then as it is changed, and tick."""
    caplog.set_level(logging.WARNING, "pyupc.feed")

    def outcome(event: Event, change: Change) -> Outcome:
        with open_db(dsn) as conn:
            conn.execute("DELETE FROM upc_data.market_event")
            problem = feed_parts.run(_read(dsn, event, change, caplog))
            at, price = AT + SECOND, MARKET.at(AT)
            conn.execute("SELECT upc.record_price('BTC', 'coinbase', %s, %s, %s)", (price, at, at))
            [tick] = table(
                conn, "SELECT * FROM upc.tick('BTC', 'database', at => %s, model => NULL)", at
            )
            rows = table(conn, "SELECT * FROM upc.contract_table('BTC', %s)", at)
            names = ("live_probabilities", "strike_table", "watchlist", "contracts")
            return Outcome(
                {row["ticker"]: row for row in rows},
                {name: exact(tick[name]) for name in names},
                caplog.text,
                problem,
                scalar(conn, "SELECT max(title) FROM upc_data.market_event"),
            )

    return outcome


async def _read(
    dsn: str, event: Event, change: Change, caplog: pytest.LogCaptureFixture
) -> PyupcError | None:
    now = [AT]
    exchange = Exchange(EVENTS, lambda: now[0])
    async with (
        Server(exchange) as server,
        Kalshi(server.url, now=lambda: now[0]) as client,
        feed_parts.storing(dsn) as store,
    ):
        reading = await client.event(event.ticker)
        assert await store.market("BTC", reading.text, reading.received_at)
        exchange.replaced[event.ticker] = change
        now[0] += timedelta(milliseconds=500)
        caplog.clear()
        try:
            reading = await client.event(event.ticker)
            await store.market("BTC", reading.text, reading.received_at)
        except PyupcError as problem:
            return problem
    return None


def changed(place: int, **fields: Any) -> Change:
    """One market of the event with other fields; None takes one away."""

    def change(document: Document) -> Document:
        market = document["event"]["markets"][place]
        market.update(fields)
        for name in [name for name, value in fields.items() if value is None]:
            del market[name]
        return document

    return change


def tickers(event: Event) -> list[str]:
    return [each.ticker for each in event.contracts if each.flaw is None]


@pytest.mark.parametrize(
    ("event", "fields", "reason"),
    [
        (RANGE, {"cap_strike": None}, "no cap_strike"),
        (RANGE, {"cap_strike": 1}, "bounds that cross"),
        (RANGE, {"floor_strike": None}, "no floor_strike"),
        (RANGE, {"strike_type": "structured"}, "strike_type structured"),
        (RANGE, {"yes_sub_title": "x" * 1_000_000}, "a sub title that cannot be read"),
        (RANGE, {"event_ticker": "KXBTC-OTHER"}, "of another event"),
        (ABOVE, {"floor_strike": None}, "no floor_strike"),
        (ABOVE, {"yes_sub_title": "$1 or above"}, "a sub title of another strike"),
        (ABOVE, {"strike_type": "less", "cap_strike": 1}, "not above a strike"),
    ],
)
def test_one_market_is_left_out_and_named(
    read: Callable[[Event, Change], Outcome], event: Event, fields: Document, reason: str
) -> None:
    found = read(event, changed(5, **fields))
    [first, *_] = [each for each in event.contracts if each.ticker == tickers(event)[5]]
    assert found.problem is None
    assert f"{first.ticker}: {reason}" in found.log
    assert list(found.rows) == [each for each in sorted_tickers(event) if each != first.ticker]


def sorted_tickers(event: Event) -> list[str]:
    known = [each for each in event.contracts if each.flaw is None]
    known.sort(key=lambda each: (each.lower is not None, each.lower or 0))
    return [each.ticker for each in known]


def test_what_is_left_out_is_named_once_for_each_event(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Two events of a symbol are read by turns."""
    caplog.set_level(logging.WARNING, "pyupc.feed")

    async def read_by_turns() -> None:
        exchange = Exchange(EVENTS, lambda: AT)
        exchange.replaced[RANGE.ticker] = changed(5, cap_strike=None)
        exchange.replaced[ABOVE.ticker] = changed(5, floor_strike=None)
        async with (
            Server(exchange) as server,
            Kalshi(server.url, now=lambda: AT) as client,
            feed_parts.storing(dsn) as store,
        ):
            for event in 3 * [ABOVE, RANGE]:
                await store.market("BTC", (await client.event(event.ticker)).text, AT)
            exchange.replaced[RANGE.ticker] = changed(6, cap_strike=None)
            await store.market("BTC", (await client.event(RANGE.ticker)).text, AT)

    with open_db(dsn) as conn:
        conn.execute("DELETE FROM upc_data.market_event")
    feed_parts.run(read_by_turns())
    named = [record.getMessage() for record in caplog.records]
    assert [ABOVE.ticker in line for line in named] == [True, False, False]
    assert [RANGE.ticker in line for line in named] == [False, True, True]


def test_equal_strikes_twice(read: Callable[[Event, Change], Outcome]) -> None:
    def twice(document: Document) -> Document:
        markets = document["event"]["markets"]
        markets.append({**markets[5], "ticker": f"{markets[5]['ticker']}-Z"})
        return document

    found = read(RANGE, twice)
    assert list(found.rows) == sorted_tickers(RANGE)
    assert f"{RANGE.contracts[5].ticker}-Z: the bounds of another" in found.log


def many(document: Document) -> Document:
    first = document["event"]["markets"][5]
    document["event"]["markets"] = [
        {**first, "ticker": f"{first['ticker']}-{k}", "floor_strike": 50_000 + k}
        for k in range(2001)
    ]
    return document


def of_another(document: Document) -> Document:
    document["event"]["series_ticker"] = "KXETHD"
    return document


@pytest.mark.parametrize(
    "change",
    [
        many,
        of_another,
        changed(5, yes_ask_dollars="nan"),
        changed(5, yes_ask_dollars="1.0100"),
        changed(5, yes_bid_size_fp="-3.00"),
        changed(5, volume_fp="1e400"),
        changed(5, close_time="soon"),
        changed(5, close_time="infinity"),
    ],
    ids=["2001 markets", "another symbol", "nan", "above 1", "size", "volume", "soon", "endless"],
)
def test_a_reading_that_is_refused_leaves_the_one_before(
    read: Callable[[Event, Change], Outcome], change: Change
) -> None:
    found = read(ABOVE, change)
    assert isinstance(found.problem, PyupcError)
    assert list(found.rows) == sorted_tickers(ABOVE)
    assert found.documents["strike_table"]["event_ticker"] == ABOVE.ticker


def test_markets_that_are_none_are_asked_for_again(
    read: Callable[[Event, Change], Outcome],
) -> None:
    found = read(ABOVE, lambda document: {"event": {**document["event"], "markets": [1, None]}})
    # Kalshi is asked for them on their own, then.
    assert found.problem is None
    assert list(found.rows) == sorted_tickers(ABOVE)


def test_a_market_that_changes_its_strike(read: Callable[[Event, Change], Outcome]) -> None:
    lower = ABOVE.contracts[5].lower
    assert lower is not None
    moved = lower + 7
    fields = {"floor_strike": float(moved - Decimal("0.01")), "yes_sub_title": f"${moved} or above"}
    found = read(ABOVE, changed(5, **fields))
    assert found.rows[ABOVE.contracts[5].ticker]["lower"] == moved


@pytest.mark.parametrize("status", ["determined", "disputed", "amended", "finalized"])
def test_a_contract_that_is_over_has_no_row(
    read: Callable[[Event, Change], Outcome], status: str
) -> None:
    found = read(ABOVE, changed(13, status=status, result="yes"))
    gone = ABOVE.contracts[13]
    assert list(found.rows) == [each for each in sorted_tickers(ABOVE) if each != gone.ticker]
    strikes = found.documents["strike_table"]["strikes"]
    [row] = [each for each in strikes if each["strike"] == gone.lower]
    assert (row["edge_reason"], row["ticker"], row["yes_ask"]) == ("closed", None, None)


def test_names_with_quotes_and_a_title_of_a_megabyte(
    read: Callable[[Event, Change], Outcome],
) -> None:
    name = """E-"'\\{},%s:name-T1"""

    def change(document: Document) -> Document:
        document["event"]["title"] = 'a "title" ' * 100_000
        return changed(5, ticker=name)(document)

    found = read(RANGE, change)
    assert found.rows[name]["lower"] == RANGE.contracts[5].lower
    assert name in [each["ticker"] for each in found.documents["contracts"]["contracts"]]
    assert len(found.title) == 300
