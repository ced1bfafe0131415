"""The ladder of each event and the bets above it, in a browser, beside the documents."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from pyupc.database.connect import connect
from tests.support.contract_rows import Contract, Event
from tests.support.engine import open_db
from tests.support.market import going, read, until
from tests.support.price_feed import Feed, feeding
from tests.support.times_of_day import next_hour
from tests.web.browser import Visit, assert_accessible, browsing, keep, visiting
from tests.web.serving import Served, serving

SMALL = {"width": 360, "height": 740}
TABS = ["15min", "hour", "range", "day"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as found:
        yield found


def quoted(name: str, lower: int | None, upper: int | None, cents: int) -> Contract:
    ask = Decimal(cents) / 100
    low, high = (None if each is None else Decimal(each) for each in (lower, upper))
    return Contract(name, low, high, yes_ask=ask, yes_bid=ask - Decimal("0.03"))


@contextmanager
def until_priced(feed: Feed) -> Iterator[None]:
    until(lambda: feed.acknowledged() != [])
    yield


@pytest.fixture(scope="module")
def desk(
    market_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Served, Path]]:
    """A server beside a live tick of BTC, with an event of each kind around the price."""
    folder = tmp_path_factory.mktemp("desk")
    hour = next_hour(90)
    # Quotes that do not grow old while the tests go on.
    read_at = datetime.now(UTC) + timedelta(hours=1)
    with open_db(market_dsn) as conn:
        query = "SELECT upc.simulated_price('BTC', clock_timestamp())"
        [(price,)] = conn.execute(query).fetchall()
        middle = 250 * round(price / 250)
        above = [
            quoted(f"H{k}", middle + 250 * k, None, max(4, min(97, 50 - 3 * k)))
            for k in range(-15, 16)
        ]
        ranges = [quoted("R-", None, middle - 500, 20), quoted("R+", middle + 500, None, 30)]
        ranges += [
            quoted(f"R{k}", middle + 250 * k, middle + 250 * k + 250, 25) for k in range(-2, 2)
        ]
        day = [quoted(f"D{k}", middle + 500 * k, None, 50) for k in (-1, 0, 1)]
        events = (
            ("KXBTC15M-Q", "KXBTC15M", hour, [quoted("Q", middle - 1000, None, 70)]),
            ("KXBTCD-H", "KXBTCD", hour, above),
            ("KXBTC-R", "KXBTC", hour, ranges),
            ("KXBTCD-D", "KXBTCD", hour + timedelta(hours=4), day),
        )
        for ticker, series, closes_at, contracts in events:
            Event(ticker, series, closes_at, read_at, tuple(contracts)).put(conn)
    with (
        feeding(market_dsn, folder / "prices", "BTC") as feed,
        until_priced(feed),
        going(market_dsn, "tick", "--feed", "database", "--symbol", "BTC", "--out", folder),
        serving(market_dsn) as served,
    ):
        until((folder / "btc_contracts.json").exists)
        yield served, folder


def at_once(visit: Visit, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Contents of the page, and the document of the same tick."""
    for _ in range(40):
        seen, document = visit.snapshot(), read(folder, "BTC", "contracts")
        if seen["last_updated"] == document["timestamp"]:
            return seen, document
        time.sleep(0.1)
    raise AssertionError("the page and the file are never of the same tick")


def choose(visit: Visit, tab: str) -> None:
    visit.page.click(f"#event-tabs [data-event='{tab}']")


def low(row: dict[str, Any]) -> float:
    return float(max(row["yes_edge_low"], row["no_edge_low"]))


def test_a_tab_for_each_event(browser: Browser, desk: tuple[Served, Path]) -> None:
    served, folder = desk
    with visiting(browser, served.address, timezone_id="Asia/Tokyo") as visit:
        until(lambda: visit.freshness() == "fresh")
        page = visit.page
        tabs = page.eval_on_selector_all(
            "#event-tabs button", "(all) => all.map((b) => b.dataset.event)"
        )
        assert tabs == TABS
        # The hourly one: eleven strikes to either side of the price, and all of them if asked.
        seen, document = at_once(visit, folder)
        assert seen["event"] == "KXBTCD-H"
        strikes = [
            row["lower"] for row in document["contracts"] if row["event_ticker"] == "KXBTCD-H"
        ]
        price = document["current_price"]
        over = [strike for strike in strikes if strike > price][:11]
        under = [strike for strike in strikes if strike <= price][-11:]
        assert [row["strike"] for row in seen["rows"]] == [*under, *over][::-1]
        page.click("#all-rows")
        assert [row["strike"] for row in at_once(visit, folder)[0]["rows"]] == strikes[::-1]
        # UTC, New York, and here.
        closes = datetime.fromisoformat(document["contracts"][0]["closes_at"])
        line = page.inner_text("#event-line")
        assert re.search(r"\d{1,2}:00 [AP]M E[SD]T", line)
        assert f"{closes:%H:%M} UTC" in line
        assert f"{closes + timedelta(hours=9):%H:%M} here" in line
        link = page.get_attribute("#event-link", "href")
        assert link == "https://kalshi.com/markets/kxbtcd/kxbtcd-h"
        simulated = page.evaluate(
            "import('/static/links.js').then((links) => links.marketLink('SIMBTCD', 'SIMBTCD-H'))"
        )
        assert simulated is None

        keep(visit, "desk")
        choose(visit, "range")
        until(lambda: visit.snapshot()["event"] == "KXBTC-R")
        labels = [row["label"] for row in visit.snapshot()["rows"]]
        assert labels[0].startswith("\N{GREATER-THAN OR EQUAL TO} ")
        assert labels[-1].startswith("< ")
        assert all(re.fullmatch(r"[\d,]+\N{EN DASH}[\d,]+", label) for label in labels[1:-1])
        assert "event=range" in page.url
        page.click("#sort-edge")
        seen, document = at_once(visit, folder)
        rows = [row for row in document["contracts"] if row["event_ticker"] == "KXBTC-R"]
        by_edge = [low({r["lower"] or 0: r for r in rows}[row["strike"]]) for row in seen["rows"]]
        assert by_edge == sorted(by_edge, reverse=True)
        page.click("#more-columns")
        assert page.is_visible("#ladder th[data-key=yes_edge_low]")
        assert visit.complaints == []


def test_a_bet_is_selected_and_its_line_copied(
    browser: Browser, desk: tuple[Served, Path], market_dsn: str
) -> None:
    served, folder = desk
    options = {"permissions": ["clipboard-read", "clipboard-write"]}
    with visiting(browser, served.address, **options) as visit:
        until(lambda: visit.freshness() == "fresh")
        seen, document = at_once(visit, folder)
        best = [(bet["ticker"], bet["side"]) for bet in document["bets"][:3]]
        assert [(bet["ticker"], bet["side"]) for bet in seen["bets"]] == best
        # One that is not of the event that is shown.
        place = next(k for k, bet in enumerate(document["bets"][:3]) if bet["series"] != "KXBTCD")
        bet = document["bets"][place]
        visit.page.click(f"#bets-list li:nth-child({place + 1}) button")
        until(lambda: visit.snapshot()["event"] == bet["event_ticker"])
        selected = "#ladder tr[aria-current]"
        assert visit.page.get_attribute(selected, "data-ticker") == bet["ticker"]
        copied = visit.page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith(
            f"pyupc trades open --ticker {bet['ticker']} --side {bet['side']} "
        )
        with connect(market_dsn) as conn:
            conn.execute("SELECT upc.set_rule('suggest_bets', 'off')")
        try:
            until(lambda: visit.page.inner_text("#bets-none") == "Suggestions are off.")
            assert visit.snapshot()["bets"] == []
        finally:
            with connect(market_dsn) as conn:
                conn.execute("SELECT upc.unset_rule('suggest_bets')")
        assert visit.complaints == []


def test_a_small_screen(browser: Browser, desk: tuple[Served, Path]) -> None:
    """Four strikes to either side of the price; nothing is wider than the screen."""
    served, folder = desk
    with visiting(browser, served.address, viewport=SMALL, is_mobile=True, has_touch=True) as visit:
        until(lambda: visit.freshness() == "fresh")
        seen, document = at_once(visit, folder)
        strikes = [row["strike"] for row in seen["rows"]]
        price = document["current_price"]
        assert [
            sum(strike > price for strike in strikes),
            sum(strike <= price for strike in strikes),
        ] == [4, 4]
        keep(visit, "desk_phone", full=True)
        assert_accessible(visit)
        for tab in TABS:
            choose(visit, tab)
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]
        assert visit.complaints == []


PAST = """
    INSERT INTO upc_data.tick (
        symbol, tick_id, ticked_at, feed, state, market_at, price, priced_at, ttc_seconds, method,
        model, settlement, fingerprint, strikes, prob_above
    )
    SELECT
        'BTC', -k, at, 'database', 'fresh', at, 100000 + k, at, 60, 'linear', 'volatility',
        'average', 'f', '{1}', '{99}'
    FROM generate_series(20, 900, 7) AS k
    CROSS JOIN LATERAL (SELECT clock_timestamp() - make_interval(secs => k)) AS t (at)
"""

CONTRACTS_OF_PAST = """
    INSERT INTO upc_data.contract_log (
        symbol, logged_at, tick_id, event_ticker, is_minute, price, model, tickers, probabilities,
        yes_bids, yes_asks, no_bids, no_asks, yes_bid_sizes, yes_ask_sizes, no_bid_sizes,
        no_ask_sizes
    )
    SELECT
        'BTC', clock_timestamp() - make_interval(mins => k), -k, 'KXBTCD-H', true, 1e5,
        'volatility', '{H0,H1}', ARRAY[40 + k, 30 + k], ARRAY[0.40, NULL]::numeric[],
        ARRAY[0.45, 0.36]::numeric[], ARRAY[0.55, 0.64]::numeric[], ARRAY[0.60, NULL]::numeric[],
        '{}', '{}', '{}', '{}'
    FROM generate_series(2, 12) AS k
"""

# What the page keeps, by its own modules.
KEPT = """() => import("/static/history.js").then((its) => ({
    prices: its.prices().map((point) => [point.at, point.price]),
    contract: its.contractHistory("H0").map((p) => [p.at, p.probability, p.bid, p.ask]),
}))"""

LOGGED = """
    SELECT DISTINCT ON (floor(extract(epoch FROM t.ticked_at) / 10))
        extract(epoch FROM t.ticked_at)::float, t.price
    FROM upc_data.tick AS t
    WHERE t.symbol = 'BTC' AND t.ticked_at <= to_timestamp(%s)
    ORDER BY floor(extract(epoch FROM t.ticked_at) / 10), t.ticked_at
"""

LOGGED_CONTRACT = """
    SELECT
        extract(epoch FROM c.logged_at)::float, c.probability, (100 * c.yes_bid)::float,
        (100 * c.yes_ask)::float
    FROM upc.logged_contracts('BTC', now() - interval '1 hour', now(), 'H0') AS c
    WHERE c.is_minute AND c.logged_at <= to_timestamp(%s)
    ORDER BY c.logged_at
"""


def test_the_last_hour_is_that_of_the_log(
    browser: Browser, desk: tuple[Served, Path], market_dsn: str
) -> None:
    served, _ = desk
    with connect(market_dsn) as conn:
        conn.execute(PAST)
        conn.execute(CONTRACTS_OF_PAST)
    asked: list[str] = []
    with visiting(browser, served.address) as visit:
        page = visit.page
        page.on("request", lambda each: asked.append(each.url) if "/history/" in each.url else None)
        until(lambda: page.is_visible("#past canvas") and page.is_visible("#course canvas"))
        assert page.locator("#ladder tr[aria-current] .spark path[d*=L]").count() > 0
        read_once = page.evaluate(KEPT)
        # Another step of ten seconds, which comes from the stream.
        until(lambda: len(page.evaluate(KEPT)["prices"]) > len(read_once["prices"]), 15)
        seen = page.evaluate(KEPT)
        with connect(market_dsn) as conn:
            logged = conn.execute(LOGGED, [seen["prices"][-1][0] + 1e-3]).fetchall()
            contract = conn.execute(LOGGED_CONTRACT, [seen["prices"][-1][0] + 1e-3]).fetchall()
        assert seen["prices"] == [pytest.approx(row, abs=1e-5) for row in logged]
        # Documents have two decimals of a probability, the log has all.
        assert seen["contract"] == [pytest.approx(row, abs=0.0051) for row in contract]
        assert len(asked) == 1
        assert visit.complaints == []


# An event that closed an hour ago, with a trade, and what was said of its contracts before.
CLOSED = """
    INSERT INTO upc_data.market_event (
        symbol, event_ticker, series_ticker, title, closes_at, read_at, expiration_value
    )
    SELECT 'BTC', 'KXBTCD-C', 'KXBTCD', 'closed', at, at, 100123.45
    FROM (SELECT date_trunc('hour', now() - interval '1 hour')) AS t (at);
    INSERT INTO upc_data.market_quote (symbol, event_ticker, ticker, lower, status, result)
    VALUES
        ('BTC', 'KXBTCD-C', 'C0', 100000, 'finalized', 'yes'),
        ('BTC', 'KXBTCD-C', 'C1', 100250, 'finalized', 'no');
    INSERT INTO upc_data.contract_log (
        symbol, logged_at, tick_id, event_ticker, is_minute, price, model, tickers, probabilities,
        yes_bids, yes_asks, no_bids, no_asks, yes_bid_sizes, yes_ask_sizes, no_bid_sizes,
        no_ask_sizes
    )
    SELECT
        'BTC', e.closes_at - interval '15.5 minutes', -99, 'KXBTCD-C', true, 1e5, 'volatility',
        '{C0,C1}', '{61.5,20}', '{0.56,0.28}', '{0.58,0.30}', '{0.42,0.70}', '{0.44,0.72}', '{}',
        '{}', '{}', '{}'
    FROM upc_data.market_event AS e
    WHERE e.event_ticker = 'KXBTCD-C';
    INSERT INTO upc_data.trade (
        symbol, event_ticker, ticker, side, lower, kind, closes_at, buy_price, position, buy_fee,
        opened_at, status, ended_at, end_price, end_fee, result
    )
    SELECT
        'BTC', 'KXBTCD-C', 'C0', 'yes', 100000, 'above', closes_at, 0.55, 10, 0.18,
        closes_at - interval '20 minutes', 'settled', closes_at, 1, 0, 'yes'
    FROM upc_data.market_event
    WHERE event_ticker = 'KXBTCD-C'
"""

GREY = "(each) => getComputedStyle(each).filter.includes('grayscale')"


def dead(visit: Visit, path: str) -> None:
    visit.page.route(path, lambda route: route.fulfill(status=503, json={}))


def test_what_cannot_be_read_is_grey_and_nothing_else(
    browser: Browser, desk: tuple[Served, Path], market_dsn: str
) -> None:
    served, _ = desk
    with connect(market_dsn) as conn:
        conn.execute(CLOSED)
    with visiting(browser, served.address) as visit:
        page = visit.page
        until(lambda: page.is_visible("#past canvas") and page.is_visible("#profit canvas"))
        price = visit.color_of("#price")
        [cells] = page.eval_on_selector_all(
            "#events tbody tr", "(all) => all.map((row) => [...row.cells].map((c) => c.innerText))"
        )
        # (0.615 - 1)² and 0.2² on one side, (0.57 - 1)² and 0.29² on the other.
        assert cells[1:] == [
            *("above", "100,123.45", "$100,000", "61.5", "57.0", "yes", "0.094", "0.135", "+4.32")
        ]
        assert "+4.32 $ after fees, of 1 trade" in page.inner_text("#profit-summary")
        keep(visit, "desk_past", full=True)
        assert_accessible(visit)

        dead(visit, "**/api/history/**")
        choose(visit, "range")
        until(lambda: page.eval_on_selector("#past", GREY))
        assert "cannot be read" in page.inner_text("#past-hint")
        assert not any(page.eval_on_selector(each, GREY) for each in ("#curve", "#profit"))
        assert (visit.freshness(), visit.color_of("#price")) == ("fresh", price)
        page.unroute("**/api/history/**")
        dead(visit, "**/api/events/**")
        # Another symbol and back, by its letter.
        page.keyboard.press("e")
        until(lambda: "symbol=ETH" in page.url)
        page.keyboard.press("b")
        until(lambda: "cannot be read" in page.inner_text("#events-hint"))
        until(lambda: page.is_visible("#past") and not page.eval_on_selector("#past", GREY))
        assert page.inner_text("#past-hint") == ""
        assert (visit.freshness(), visit.color_of("#price")) == ("fresh", price)
        page.unroute("**/api/events/**")
        until(lambda: page.locator("#events tbody tr").count() == 1)
        assert "cannot" not in page.inner_text("#events-hint")


# What the help does not tell of: labels of panels, columns and numbers.
UNTOLD = """() => {
    const known = document.getElementById("help").textContent.toLowerCase();
    const labels = "main :is(dt, h2:not(:has(span)), thead th, .switches button)";
    return [...document.querySelectorAll(labels)]
        .map((each) => each.textContent.trim().toLowerCase())
        .filter((words) => words && !known.includes(words.replace(/ \\d+$/, "")));
}"""


def test_keys_and_their_help(browser: Browser, desk: tuple[Served, Path]) -> None:
    served, _ = desk
    with visiting(browser, served.address) as visit:
        page = visit.page
        until(lambda: visit.freshness() == "fresh")
        shown = [row["strike"] for row in visit.snapshot()["rows"]]

        def selected() -> float:
            text = page.get_attribute("#ladder tr[aria-current]", "data-strike")
            return float(text or "nan")

        place = shown.index(selected())
        page.keyboard.press("j")
        page.keyboard.press("j")
        assert selected() == shown[place + 2]
        page.keyboard.press("k")
        assert selected() == shown[place + 1]
        page.keyboard.press("/")
        page.keyboard.type(f"{shown[2] + 60:,.0f}")
        page.keyboard.press("Enter")
        assert selected() == shown[2]
        assert f"strike={shown[2]:.0f}" in page.url
        assert not page.is_visible("#find-strike")
        page.keyboard.press("?")
        assert page.is_visible("#help")
        assert page.evaluate(UNTOLD) == []
        assert visit.complaints == []
