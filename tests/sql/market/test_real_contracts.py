"""Real events of Kalshi: bounds, settlement values and results, by a parser of the test's own."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.contracts import NOW, load, load_all, market, rows, stored
from tests.support.engine import Connection

Row = dict[str, Any]
Bounds = tuple[Decimal | None, Decimal | None]

CENT = Decimal("0.01")


def number(text: str) -> Decimal:
    return Decimal(text.replace(",", "").replace("$", ""))


def titled(title: str) -> Bounds:
    """Bounds that a sub title in cents names."""
    if found := re.fullmatch(r"(\$[\d,.]+) or above", title):
        return number(found[1]), None
    if found := re.fullmatch(r"(\$[\d,.]+) or below", title):
        return None, number(found[1]) + CENT
    if found := re.fullmatch(r"(\$[\d,.]+) to ([\d,.]+)", title):
        return number(found[1]), number(found[2]) + CENT
    if found := re.fullmatch(r"Target Price: (\$[\d,.]+)", title):
        return number(found[1]), None
    raise AssertionError(title)


def title_of(row: Row) -> str:
    """The sub title that Kalshi writes to such strikes."""
    floor, cap = row["floor_strike"], row["cap_strike"]
    if row["strike_type"] == "between":
        return f"${Decimal(floor):,f} to {Decimal(cap):,f}"
    if row["strike_type"] == "less":
        return f"${Decimal(cap) - CENT:,f} or below"
    return f"${Decimal(floor) + CENT:,f} or above"


@pytest.fixture
def folder(shared_data: Path) -> Path:
    return shared_data / "kalshi"


def document(path: Path) -> Any:
    return json.loads(path.read_text())


def table(path: Path) -> Iterator[Row]:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    yield from csv.DictReader(text.decode().splitlines())


def bounds(conn: Connection, event: str) -> dict[str, Bounds]:
    return {row["ticker"]: (row["lower"], row["upper"]) for row in stored(conn, event)}


def pays(value: Decimal, its: Bounds) -> bool:
    lower, upper = its
    return (lower is None or lower <= value) and (upper is None or value < upper)


@pytest.mark.parametrize(
    ("name", "count", "symbol"),
    [
        ("KXBTC_hourly_range_active.json", 188, "BTC"),
        ("KXETH_hourly_range_active.json", 75, "ETH"),
        ("KXBTC15M_market_active.json", 1, "BTC"),
        ("KXBTCD_market_active.json", 1, "BTC"),
        ("KXETH_market_active.json", 1, "ETH"),
    ],
)
def test_bounds_are_those_of_the_sub_titles(
    conn: Connection, folder: Path, name: str, count: int, symbol: str
) -> None:
    given = document(folder / name)
    row = load(conn, given)
    assert (row["markets"], row["left_out"], row["event_symbol"]) == (count, [], symbol)
    markets = given.get("markets") or [given["market"]]
    expected = {each["ticker"]: titled(each["yes_sub_title"]) for each in markets}
    found = bounds(conn, row["event_ticker"])
    assert found == expected
    if count > 1:
        # An event of ranges leaves no gap, and nothing is in two of them.
        ends = sorted(found.values(), key=lambda each: each[0] or Decimal(0))
        assert ends[0][0] is ends[-1][1] is None
        assert all(before[1] == after[0] for before, after in pairwise(ends))


def test_sizes_of_a_real_market(conn: Connection, folder: Path) -> None:
    given = document(folder / "KXBTC15M_market_active.json")["market"]
    load(conn, {"market": given})
    [row] = stored(conn, given["event_ticker"])
    assert row["yes_bid_size"] == row["no_ask_size"] == Decimal(given["yes_bid_size_fp"])
    assert row["yes_ask_size"] == row["no_bid_size"] == Decimal(given["yes_ask_size_fp"])
    assert row["volume"] == Decimal(given["volume_fp"])


def test_fragments_are_refused_or_named(conn: Connection, folder: Path) -> None:
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        load(conn, document(folder / "KXBTC15M_market_finalized_2.json"))
    assert caught.value.sqlstate == "UP014"
    row = load(conn, document(folder / "KXBTC15M_market_finalized_partial.json"))
    assert row["markets"] == 0
    assert row["left_out"] == ["KXBTC15M-26JUL290015-15: no status"]


def test_the_daily_event_of_2025(conn: Connection, folder: Path) -> None:
    snapshot = document(folder / "event_snapshot_2025.json")
    row = load(conn, snapshot, None)
    assert (row["markets"], row["left_out"]) == (75, [])
    markets = snapshot["data"]["markets"]
    expected = {each["ticker"]: titled(each["yes_sub_title"]) for each in markets}
    assert bounds(conn, row["event_ticker"]) == expected


def test_the_settled_events_of_ranges(conn: Connection, folder: Path) -> None:
    """Their one winner is the contract whose bounds hold the settlement value, in all of them."""
    quoted: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in table(folder / "markets" / "kalshi_hourly_brackets_quotes_2026-07.csv.gz"):
        quoted[row["event_ticker"]].setdefault(row["ticker"], row)
    settled = [
        row
        for row in table(folder / "markets" / "kalshi_hourly_brackets_settled_2026-07.csv")
        if row["event_ticker"] in quoted
    ]
    assert len(settled) == 254
    for event in settled:
        name = event["event_ticker"]
        its = [
            {
                **{k: row[k] or None for k in ("ticker", "floor_strike", "cap_strike")},
                **{k: row[k] for k in ("event_ticker", "close_time", "strike_type")},
                "status": "finalized",
                "yes_sub_title": title_of(row),
                "result": "yes" if row["ticker"] in event["yes_tickers"].split() else "no",
                "expiration_value": event["expiration_value"],
            }
            for row in quoted[name].values()
        ]
        load(conn, {"event": {"event_ticker": name, "markets": its}})
    found = rows(
        conn,
        "SELECT q.event_ticker, q.ticker, q.lower, q.upper, q.result, e.expiration_value"
        " FROM upc_data.market_quote AS q JOIN upc_data.market_event AS e USING"
        " (symbol, event_ticker)",
    )
    assert len(found) == sum(len(quoted[each["event_ticker"]]) for each in settled)
    values = {each["event_ticker"]: Decimal(each["expiration_value"]) for each in settled}
    for row in found:
        assert row["expiration_value"] == values[row["event_ticker"]]
        is_winner = pays(row["expiration_value"], (row["lower"], row["upper"]))
        assert (row["result"] == "yes") is is_winner, row["ticker"]
    winners = [row["event_ticker"] for row in found if row["result"] == "yes"]
    assert sorted(winners) == sorted(values)


def fifteen_minutes(folder: Path) -> list[Row]:
    """The markets with strike, settlement value and result."""
    results = {
        row["market_ticker"]: row["result"]
        for row in table(folder / "markets" / "kalshi_kxbtc15m_markets_2026-05.csv")
    }
    return [
        {**row, "result": results[row["market_ticker"]]}
        for row in table(folder / "markets" / "kalshi_kxbtc15m_settled_2026-04.csv")
        if row["floor_strike"]
        and row["expiration_value"]
        and results.get(row["market_ticker"]) in ("yes", "no")
    ]


def test_the_settled_markets_of_15_minutes(conn: Connection, folder: Path) -> None:
    """Strikes are in cents, and a tie pays; the sub title may be a cent too low."""
    markets = fifteen_minutes(folder)
    assert len(markets) == 806
    given = [
        {
            "ticker": row["market_ticker"],
            "event_ticker": row["market_ticker"].rpartition("-")[0],
            **{k: row[k] for k in ("close_time", "floor_strike", "status", "result")},
            **{k: row[k] for k in ("expiration_value", "yes_sub_title")},
            "strike_type": "greater_or_equal",
        }
        for row in markets
    ]
    taken = load_all(conn, {"markets": given, "cursor": ""})
    assert [row for row in taken if row["left_out"]] == []
    assert sum(row["markets"] for row in taken) == 806
    found = {
        row["ticker"]: row
        for row in rows(
            conn,
            "SELECT q.ticker, q.lower, q.upper, q.result, e.expiration_value"
            " FROM upc_data.market_quote AS q JOIN upc_data.market_event AS e USING"
            " (symbol, event_ticker)",
        )
    }
    for row in markets:
        its = found[row["market_ticker"]]
        strike = Decimal(row["floor_strike"]).quantize(CENT, ROUND_HALF_UP)
        assert (its["lower"], its["upper"]) == (strike, None)
        assert its["expiration_value"] == Decimal(row["expiration_value"])
        assert (its["result"] == "yes") is pays(its["expiration_value"], (strike, None))


# Lists of markets


def test_a_list_has_markets_of_several_events(conn: Connection) -> None:
    above = {"strike_type": "greater", "title": "Price?"}
    listed = [
        {**market("A", "KXBTCD-1", floor_strike=100, **above), "event_ticker": "KXBTCD-1"},
        {**market("B", "KXETHD-1", floor_strike=200, **above), "event_ticker": "KXETHD-1"},
        {**market("C", "KXBTCD-1", floor_strike=300, **above), "event_ticker": "KXBTCD-1"},
    ]
    found = load_all(conn, {"cursor": "", "markets": listed})
    assert [(row["event_ticker"], row["event_symbol"], row["markets"]) for row in found] == [
        ("KXBTCD-1", "BTC", 2),
        ("KXETHD-1", "ETH", 1),
    ]
    titles = rows(conn, "SELECT DISTINCT title FROM upc_data.market_event")
    assert titles == [{"title": "Price?"}]


def test_a_part_of_an_event_deletes_nothing(conn: Connection) -> None:
    """Nor does it make what it says nothing of look newly read."""
    above = {"strike_type": "greater", "event_ticker": "KXBTCD-1"}
    first, second = (market(k, "KXBTCD-1", floor_strike=100, **above) for k in "AB")
    second["floor_strike"] = 200
    load(conn, {"markets": [first, second]})
    read_at = "SELECT read_at FROM upc_data.market_event"
    later = NOW.replace(second=30)
    changed = {**first, "yes_bid_dollars": "0.1200", "close_time": "2026-06-01T16:00:00Z"}
    assert load(conn, {"market": changed}, later)["markets"] == 1
    found = stored(conn, "KXBTCD-1")
    assert [row["yes_bid"] for row in found] == [Decimal("0.12"), None]
    assert rows(conn, read_at) == [{"read_at": NOW}]
    assert load(conn, {"markets": [changed, second]}, later)["markets"] == 2
    assert rows(conn, read_at) == [{"read_at": later}]
    assert load(conn, {"market": changed})["is_stored"] is False


@pytest.mark.parametrize(
    "wrong",
    [
        {"markets": []},
        {"markets": [{"ticker": "A"}]},
        {"markets": [7]},
        {"markets": "all"},
        {"market": []},
        {"market": {}},
        {"market": {"event_ticker": "KXBTCD-1"}},
        {"market": market("A", "KXBTCD-1", event_ticker="KXBTCD-1", floor_strike="x")},
        {"market": market("A", "KXBTCD-1", event_ticker="KXBTCD-1", close_time=None)},
    ],
)
def test_what_is_no_list_is_refused(conn: Connection, wrong: Row) -> None:
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        load(conn, wrong)
    assert caught.value.sqlstate == "UP014"
    assert rows(conn, "SELECT * FROM upc_data.market_event") == []
