"""`pyupc bets`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.support.contract_rows import Contract, Event
from tests.support.engine import open_db
from tests.support.market import pyupc


@pytest.fixture(scope="module")
def market(module_market: str) -> Iterator[str]:
    """A live tick of BTC: a strike far below the price at 41 to 42.75 cents."""
    now = datetime.now(UTC)
    event = Event(
        *("KXBTCD-H", "KXBTCD", now + timedelta(minutes=50), now),
        (Contract("H-1", Decimal(90_000)), Contract("H-2", Decimal(110_000))),
    )
    with open_db(module_market) as conn:
        event.put(conn)
        conn.execute("SELECT upc.record_price('BTC', 'one', 100000)")
        conn.execute("SELECT upc.tick('BTC', 'database')")
        yield module_market
        conn.execute("DELETE FROM upc_data.market_event")


def test_the_table_and_its_rows(market: str) -> None:
    result = pyupc(market, "bets")
    assert result.returncode == 0, result.stderr
    head, *lines = result.stdout.splitlines()
    assert head.split()[:3] == ["symbol", "buy", "ask"]
    # Certain on either side: 100 less 42.75 and 59 cents, and a fee of 1.8 or so.
    assert [line.split()[:6] for line in lines] == [
        ["BTC", "Yes", "$90,000", "or", "above", "42.75¢"],
        ["BTC", "No", "$110,000", "or", "above", "59¢"],
    ]
    assert "+55.50" in lines[0]
    assert result.stderr.startswith("ETH: nothing has ticked ETH")
    printed = pyupc(market, "bets", "btc", "--most", "1", "--json")
    [row] = json.loads(printed.stdout)
    assert (row["symbol"], row["rank"], row["ticker"]) == ("BTC", 1, "H-1")
    [read] = csv.DictReader(
        io.StringIO(pyupc(market, "bets", "BTC", "--most", "1", "--csv").stdout)
    )
    assert list(read) == list(row)
    assert (read["ticker"], float(read["edge_low"])) == (row["ticker"], row["edge_low"])
    assert row["command"] == "pyupc trades open --ticker H-1 --side yes --price 0.4275 --count 3"


def test_without_a_bet_the_reason_is_named(market: str) -> None:
    with open_db(market) as conn:
        conn.execute("UPDATE upc_data.market_quote SET yes_ask = 0.9999, no_ask = 0.9999")
        conn.execute("UPDATE upc_data.market_event SET read_at = clock_timestamp()")
        conn.execute("SELECT upc.tick('BTC', 'database')")
    result = pyupc(market, "bets", "BTC")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr.startswith(
        "BTC: nothing worth buying; best is Yes $90,000 or above at 99.99"
    )
    assert pyupc(market, "config", "set", "suggest_bets", "off").returncode == 0
    with open_db(market) as conn:
        conn.execute("SELECT upc.tick('BTC', 'database')")
    assert "silenced" in pyupc(market, "bets", "BTC").stderr
    missing = pyupc(market, "bets", "ETH")
    assert (missing.returncode, "pyupc tick" in missing.stderr) == (1, True)
