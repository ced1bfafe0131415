"""The page in a browser: it shows the files' values, and at once that they are old."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from pyupc.database.connect import connect
from tests.support.cluster import Server
from tests.support.market import going, pyupc, read, rows, until
from tests.support.price_feed import Feed, feeding
from tests.support.ticking import FROM
from tests.web.browser import (
    PHONE,
    WIDE,
    Visit,
    assert_accessible,
    browsing,
    keep,
    visiting,
)
from tests.web.serving import serving

# Between the kill of a tick and a page that nobody can take for alive.
GREY_SECONDS = 5.0


# A live tick of a contract that has closed since, at a price known from a candle.
JUDGED = """
    INSERT INTO upc_data.tick (
        symbol, tick_id, ticked_at, feed, state, market_at, price, priced_at, ttc_seconds, method,
        fingerprint, strikes, prob_above, closes_at
    )
    SELECT
        'BTC', upc._next_id('BTC', 'tick'), c.opened_at, 'made_up', 'fresh', c.opened_at, c.close,
        c.opened_at, 60, 'nearest', 'f', ARRAY[1, 1e9], ARRAY[90, 20],
        c.opened_at + interval '1 minute'
    FROM upc_data.candle AS c
    WHERE c.symbol = 'BTC'
        AND c.opened_at = date_trunc('minute', now()) - interval '2 hours'
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as found:
        yield found


def is_current(visit: Visit) -> bool:
    return visit.freshness() == "fresh"


def same_second(visit: Visit, folder: Path, symbol: str = "BTC") -> tuple[dict[str, Any], ...]:
    """Contents of the page, and the files of the same tick."""
    for _ in range(40):
        seen = visit.snapshot()
        table = read(folder, symbol, "strike_table")
        live = read(folder, symbol, "live_probabilities")
        contracts = read(folder, symbol, "contracts")
        times = {table["last_updated"], live["timestamp"], contracts["timestamp"]}
        if times == {seen["last_updated"]}:
            return seen, table, live, contracts
        time.sleep(0.1)
    raise AssertionError(f"the page shows {seen['last_updated']}, the file {table['last_updated']}")


# For a reason why there is no edge, where it would stand.
WORDS = {
    **{"closed": "closed", "paused": "paused", "price_stale": "old price", "no_model": "no model"},
    **{"quotes_stale": "old ask", "last_minute": "last min", "no_offer": "no offer"},
}


def number(text: str) -> float | None:
    """Parse a displayed number: thousands separated, a sign, a dash for nothing."""
    plain = text.replace(",", "").replace("\N{MINUS SIGN}", "-").lstrip("+▲▼★ ")
    return None if plain in ("", "\N{EM DASH}") else float(plain)


def tenths(value: float) -> float:
    """Rounded as the page does it: half away from zero, by what the double is."""
    return float(Decimal(value).quantize(Decimal("0.1"), ROUND_HALF_UP))


def assert_the_same(
    seen: dict[str, Any], table: dict[str, Any], live: dict[str, Any], contracts: dict[str, Any]
) -> None:
    assert number(seen["price"]) == round(table["current_price"], 2)
    assert number(seen["momentum"]) == round(live["momentum_bps"], 2)
    assert seen["fingerprint"] == table["fingerprint"]
    assert seen["state"] == table["state"]
    assert seen["event_ticker"] == (table["event_ticker"] or "\N{EM DASH}")
    minutes, seconds = seen["ttc"].split(":")
    assert 0 <= table["ttc"] - (60 * int(minutes) + int(seconds)) <= 2
    event = [row for row in contracts["contracts"] if row["event_ticker"] == seen["event"]]
    if event:
        assert_contracts(seen, event)
    else:
        assert_strikes(seen, table, live)
    assert_bets(seen, contracts)


def assert_strikes(seen: dict[str, Any], table: dict[str, Any], live: dict[str, Any]) -> None:
    """Without a market the rows are those of the strike table."""
    expected = sorted(table["strikes"], key=lambda row: -row["strike"])
    assert [row["strike"] for row in seen["rows"]] == [row["strike"] for row in expected]
    moves = {row["strike"]: row["move_percent"] for row in live["probabilities"]}
    for shown, row in zip(seen["rows"], expected, strict=True):
        values = {
            **{key: row[key] for key in ("buffer", "prob_low", "prob_high")},
            **{"probability": row["prob_above"], "move_percent": moves[row["strike"]]},
        }
        for key, expected_value in values.items():
            value, text = shown["cells"][key]
            assert float(value) == expected_value, key
            if key.startswith("prob"):
                expected_value = tenths(expected_value)
            assert number(text) == expected_value, (key, text, row)


def assert_contracts(seen: dict[str, Any], event: list[dict[str, Any]]) -> None:
    assert [row["strike"] for row in seen["rows"]] == [row["lower"] for row in reversed(event)]
    for shown, row in zip(seen["rows"], reversed(event), strict=True):
        for key in ("probability", "yes_ask", "no_ask", "yes_edge", "no_edge", "volume"):
            value, text = shown["cells"][key]
            assert (float(value) if value else None) == row[key], key
            if row[key] is None:
                words = WORDS[row["edge_reason"] or "no_offer"]
                assert text == (words if key.endswith("_edge") else "\N{EM DASH}")
            elif key.endswith("_ask"):
                assert number(text) == pytest.approx(100 * row[key], abs=1e-9)
            else:
                assert number(text) == tenths(row[key]), (key, text, row)
        # Green is what is worth buying: for sure where the low end is, else a paler one.
        for side in ("yes", "no"):
            edge, low = row[f"{side}_edge"], row[f"{side}_edge_low"]
            sure = "maybe" if edge is not None and edge >= 0.05 else None
            wanted = "sure" if low is not None and low > 0 else sure
            assert shown["worth"].get(f"{side}_edge") == wanted, (side, row)


def assert_bets(seen: dict[str, Any], contracts: dict[str, Any]) -> None:
    best = contracts["bets"][:3]
    assert [(bet["ticker"], bet["side"]) for bet in seen["bets"]] == [
        (bet["ticker"], bet["side"]) for bet in best
    ]
    for shown, bet in zip(seen["bets"], best, strict=True):
        assert shown["text"]["what"] == f"Buy {bet['side'].capitalize()} {bet['contract']}"
        assert number(shown["text"]["ask"][:-1]) == pytest.approx(100 * bet["ask"])
        assert number(shown["text"]["edge"].removeprefix("edge ")) == tenths(bet["edge"])
        ends = shown["text"]["range"].strip("()").split("\N{HORIZONTAL ELLIPSIS}")
        assert [number(end.strip()) for end in ends] == [
            tenths(bet[key]) for key in ("edge_low", "edge_high")
        ]


def assert_trade(visit: Visit, folder: Path) -> None:
    """The page shows the only trade as in the file of the same tick."""
    for _ in range(40):
        seen = visit.snapshot()
        shown = visit.page.eval_on_selector_all(
            "#trades tr[data-trade] [data-key]",
            "(cells) => Object.fromEntries(cells.map((c) => [c.dataset.key, c.dataset.value]))",
        )
        document = read(folder, "BTC", "active_trades")
        if seen["last_updated"] == document["timestamp"] == visit.snapshot()["last_updated"]:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("the page and the file are never of the same tick")
    [trade] = document["active_trades"]
    assert shown["contract_side"] == trade["contract_side"] == "yes"
    for key in ("id", "strike_price", "current_probability", "close_value", "buffer_from_entry"):
        assert float(shown[key]) == float(trade[key]), key
    assert float(shown["pnl_after_fees"]) == float(trade["pnl_after_fees"])


# In Chromium a text that does not fit makes its cell wider within than it is.
_CUT_OFF = """() => [...document.querySelectorAll("#ladder :is(th, td)[data-key]")]
    .filter((cell) => cell.offsetWidth > 0 && cell.scrollWidth > cell.clientWidth)
    .map((cell) => `${cell.dataset.key}: ${cell.textContent}`)"""


def cut_off(visit: Visit) -> list[str]:
    """Cells of the ladder that have no room for their numbers or words."""
    found: list[str] = visit.page.evaluate(_CUT_OFF)
    return found


def test_a_replayed_hour(browser: Browser, market_dsn: str, live: Path) -> None:
    tick = ("tick", "--feed", "replay", "--from", FROM, "--out", live)
    with (
        serving(market_dsn) as served,
        going(market_dsn, *tick) as ticking,
        visiting(browser, served.address) as visit,
    ):
        until(lambda: is_current(visit))
        for _ in range(3):
            assert_the_same(*same_second(visit, live))
            visit.page.wait_for_timeout(1100)
        for chart in ("curve", "heatmap"):
            visit.page.wait_for_selector(f"#{chart} canvas, #{chart} svg")
        assert visit.page.inner_text("#stand-in") == ""
        assert cut_off(visit) == []
        # Replayed prices are not the market's, and nobody can take them for it.
        assert "REPLAY" in visit.page.inner_text("#feed-label")
        keep(visit, "wide")
        assert_accessible(visit)

        # Another symbol without a reload, in the address, and back again.
        visit.page.evaluate("window.isTheSamePage = true")
        visit.page.click("#symbols [data-symbol=ETH]")
        until(lambda: number(visit.snapshot()["price"] or "") is not None)
        assert_the_same(*same_second(visit, live, "ETH"))
        assert "symbol=ETH" in visit.page.url
        visit.page.go_back()
        until(lambda: "symbol=ETH" not in visit.page.url)
        until(lambda: is_current(visit))
        assert_the_same(*same_second(visit, live, "BTC"))
        assert visit.page.evaluate("window.isTheSamePage")

        alive = visit.color_of("#price")
        ticking.kill()
        ticking.wait()
        took = until(lambda: visit.banner() is not None and not is_current(visit))
        print(f"grey {took:.1f} s after the tick was killed")
        assert took < GREY_SECONDS
        assert visit.color_of("#price") != alive
        assert "\N{WARNING SIGN}" in visit.page.title()
        keep(visit, "stale")
        assert_accessible(visit)
        with going(market_dsn, *tick):
            until(lambda: is_current(visit) and visit.banner() is None)
            assert visit.color_of("#price") == alive
        assert visit.complaints == []


@pytest.mark.parametrize(
    ("name", "options", "model"),
    [
        ("phone", {"viewport": PHONE, "is_mobile": True, "has_touch": True}, "momentum"),
        ("dark", {"viewport": WIDE, "color_scheme": "dark"}, "volatility"),
        (
            "phone_dark",
            {"viewport": PHONE, "color_scheme": "dark", "reduced_motion": "reduce"},
            "volatility",
        ),
    ],
)
def test_other_screens(
    browser: Browser,
    market_dsn: str,
    live: Path,
    name: str,
    options: dict[str, Any],
    model: str,
) -> None:
    """A line names the model if it is not the default one."""
    with (
        serving(market_dsn) as served,
        going(market_dsn, "tick", "--feed", "simulated", "--model", model, "--out", live),
        visiting(browser, served.address, **options) as visit,
    ):
        until(lambda: is_current(visit))
        visit.page.wait_for_selector("#heatmap canvas, #heatmap svg")
        # The page may show the last tick of the run before, of another model, for a moment.
        until(
            lambda: (
                ("momentum" in visit.page.inner_text("#stand-in").lower()) is (model == "momentum")
            )
        )
        assert cut_off(visit) == []
        keep(visit, name, full=name.startswith("phone"))
        assert_accessible(visit)
        width = visit.page.evaluate("document.documentElement.scrollWidth")
        assert width <= options["viewport"]["width"]
        assert visit.complaints == []


@contextmanager
def until_fed(dsn: str, feed: Feed) -> Iterator[None]:
    """Prices and events: a tick without an event would close with the hour."""
    until(lambda: {symbol for symbol, _ in feed.acknowledged()} == {"BTC", "ETH"})
    until(lambda: len(rows(dsn, "SELECT FROM upc_data.market_event")) == 2)
    yield


def test_a_live_market_through_all_that_fails(
    browser: Browser, server: Server, tmp_path: Path, live: Path
) -> None:
    """The tick, PostgreSQL and the server itself: each is killed, and the page heals by itself."""
    dsn = server.dsn()
    with connect(dsn) as conn:
        conn.execute(JUDGED)
    with (
        feeding(dsn, tmp_path / "prices", "BTC", "ETH", markets=True) as feed,
        until_fed(dsn, feed),
        going(dsn, "tick", "--feed", "database", "--out", live),
        serving(dsn) as served,
        visiting(browser, served.address) as visit,
    ):
        visit.page.evaluate("window.isTheSamePage = true")
        until(lambda: is_current(visit))
        seen, table, probabilities, contracts = same_second(visit, live)
        assert table["event_ticker"]
        assert any(row["yes_ask"] is not None for row in table["strikes"])
        assert any(row["yes_edge"] is not None for row in table["strikes"])
        assert_the_same(seen, table, probabilities, contracts)
        assert len(seen["bets"]) == 2

        ticker = table["strikes"][0]["ticker"]
        bought = ("--side", "yes", "--price", "0.50", "--count", "10")
        done = pyupc(dsn, "trades", "open", "--ticker", ticker, *bought)
        assert done.returncode == 0, done.stderr
        until(lambda: visit.page.locator("#trades tr[data-trade]").count() == 1)
        assert_trade(visit, live)
        # One that was certain to pay and given 90 %, one that could not and was given 20 %.
        until(lambda: "2 questions of 1 closes" in visit.page.inner_text("#reliability-summary"))
        visit.page.wait_for_selector("#reliability canvas, #reliability svg")
        assert cut_off(visit) == []
        keep(visit, "live", full=True)
        assert_accessible(visit)

        server.kill()
        until(lambda: visit.banner() is not None and not is_current(visit))
        # Nobody is told to buy by old numbers.
        assert visit.snapshot()["bets"] == []
        assert "old" in visit.page.inner_text("#bets-none")
        server.start()
        took = until(lambda: is_current(visit) and visit.banner() is None, 30)
        print(f"well {took:.1f} s after PostgreSQL was started again")

        served.process.kill()
        served.process.wait()
        took = until(lambda: visit.banner() is not None and not is_current(visit))
        print(f"grey {took:.1f} s after the server was killed")
        assert took < GREY_SECONDS
        with serving(dsn, port=urlsplit(served.address).port or 0):
            took = until(lambda: is_current(visit) and visit.banner() is None, 30)
            print(f"well {took:.1f} s after it was started again")
            assert_the_same(*same_second(visit, live))
        assert visit.page.evaluate("window.isTheSamePage")


def test_a_page_behind_a_token(browser: Browser, market_dsn: str, tmp_path: Path) -> None:
    token = "correct-horse-battery-staple"
    (tmp_path / "token").write_text(token)
    with (
        serving(market_dsn, "--token-file", tmp_path / "token") as served,
        visiting(browser, f"{served.address}/?symbol=ETH") as visit,
    ):
        page = visit.page
        assert "/login" in page.url
        assert_accessible(visit)
        page.fill("input[name=token]", "wrong wrong wrong wrong")
        page.keyboard.press("Enter")
        page.wait_for_url("**failed**")
        assert page.is_visible("text=/token/i")
        page.fill("input[name=token]", token)
        page.keyboard.press("Enter")
        page.wait_for_url("**symbol=ETH**")
        until(lambda: page.locator("#symbols [data-symbol]").count() == 2)
        assert json.loads(page.evaluate("fetch('/api/symbols').then((r) => r.text())"))["symbols"]


# Model, method, settlement and event of the answer, and the replacements.
ANSWERS = [
    (("volatility", "linear", "average", "E"), []),
    (("volatility", "linear", "close", None), []),
    (("momentum", "linear", "average", "E"), ["momentum"]),
    (("volatility", "linear", "close", "E"), ["close"]),
    (("momentum", "linear", "close", "E"), ["momentum", "close"]),
    (("momentum", "nearest", "close", "E"), []),
]


def test_replacements_are_shown(browser: Browser, market_dsn: str) -> None:
    with serving(market_dsn) as served, visiting(browser, served.address) as visit:
        for (model, method, settlement, ticker), words in ANSWERS:
            live = {"model": model, "method": method, "settlement": settlement}
            text = visit.page.evaluate(
                "async ([live, ticker]) =>"
                " (await import('/static/stand_in.js')).standIn(live, ticker)",
                [live, ticker],
            )
            assert [each for each in ("momentum", "close") if each in text.lower()] == words
            assert bool(text) is bool(words)
