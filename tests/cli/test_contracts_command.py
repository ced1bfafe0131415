"""`pyupc contracts`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pyupc.database.connect import connect
from tests.support.contract_rows import Contract, Event
from tests.support.engine import open_db
from tests.support.market import on_terminal, pyupc

PRICE = "97250"


@pytest.fixture(scope="module")
def market(module_market: str) -> Iterator[str]:
    """An hour, a day and the ranges of BTC; one far contract that nobody quotes."""
    now = datetime.now(UTC)
    hour, day = now + timedelta(minutes=50), now + timedelta(hours=9)
    far = Contract("H-FAR", Decimal(200_000), yes_bid=Decimal(0), yes_ask=Decimal(1))
    with open_db(module_market) as conn:
        Event(
            *("KXBTCD-H", "KXBTCD", hour, now),
            (Contract("H-1", Decimal(97_000)), Contract("H-2", Decimal("97500.01")), far),
        ).put(conn)
        Event("KXBTCD-D", "KXBTCD", day, now, (Contract("D-1", Decimal(98_000)),)).put(conn)
        Event(
            *("KXBTC-R", "KXBTC", hour, now),
            (Contract("R-1", None, Decimal(97_000)), Contract("R-2", Decimal(97_000), None)),
        ).put(conn)
        yield module_market
        conn.execute("DELETE FROM upc_data.market_event")


def printed(dsn: str, *arguments: str) -> list[dict[str, Any]]:
    result = pyupc(dsn, "contracts", *arguments, "--json")
    assert result.returncode == 0, result.stderr
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    return rows


def tickers(rows: list[dict[str, Any]]) -> list[str]:
    return [row["ticker"] for row in rows]


def test_rows_are_those_of_the_function(market: str) -> None:
    rows = printed(market, "btc", "--price", PRICE, "--all")
    assert tickers(rows) == ["R-1", "R-2", "H-1", "H-2", "H-FAR", "D-1"]
    assert tickers(printed(market, "--symbol", "BTC", "--price", PRICE, "--all")) == tickers(rows)
    with connect(market) as conn:
        found = conn.execute(
            "SELECT a.attname FROM pg_attribute AS a "
            "WHERE a.attrelid = 'upc._contract_row'::regclass AND a.attnum > 0 "
            "ORDER BY a.attnum"
        ).fetchall()
    assert list(rows[0]) == ["symbol", *(name for (name,) in found)]
    assert {row["symbol"] for row in rows} == {"BTC"}
    assert rows[3]["lower"] == 97_500.01
    # Nothing is forecast from candles of long ago: momentum stands in, for an hour.
    assert [row["model"] for row in rows] == ["momentum"] * 5 + [None]
    assert rows[0]["probability"] + rows[1]["probability"] == pytest.approx(100)


def test_decided_contracts_without_quotes_are_left_out(market: str) -> None:
    rows = printed(market, "BTC", "--price", PRICE)
    assert tickers(rows) == ["R-1", "R-2", "H-1", "H-2", "D-1"]


def test_series_and_edges(market: str) -> None:
    rows = printed(market, "BTC", "--price", PRICE, "--series", "kxbtc")
    assert tickers(rows) == ["R-1", "R-2"]
    every = printed(market, "BTC", "--price", PRICE)
    for least in ("2", "-1000", "1000"):
        rows = printed(market, "BTC", "--price", PRICE, "--min-edge", least)
        assert tickers(rows) == [
            row["ticker"]
            for row in every
            if row["edge_reason"] is None and max(row["yes_edge"], row["no_edge"]) >= float(least)
        ]


def test_legacy(market: str) -> None:
    with connect(market) as conn:
        [(expected,)] = conn.execute(
            "SELECT p.prob_above FROM upc.contract_table(price => %s) AS c CROSS JOIN LATERAL "
            "upc.probability(%s, 97500.01, ttc_seconds => c.ttc_seconds) AS p "
            "WHERE c.ticker = 'H-2'",
            (PRICE, PRICE),
        ).fetchall()
    rows = {row["ticker"]: row for row in printed(market, "BTC", "--price", PRICE, "--legacy")}
    assert rows["H-2"]["probability"] == pytest.approx(expected, abs=0.5)
    assert rows["D-1"]["edge_reason"] == "no_model"


def test_csv_and_text(market: str) -> None:
    result = pyupc(market, "contracts", "BTC", "--price", PRICE, "--csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["ticker"] for row in rows] == ["R-1", "R-2", "H-1", "H-2", "D-1"]
    assert rows[3]["yes_ask"] == "0.4275"
    lines = pyupc(market, "contracts", "BTC", "--price", PRICE).stdout.splitlines()
    assert len(lines) == 6
    assert "97,500.01" in lines[4]
    assert "no_model" in lines[5]


def test_on_a_terminal(market: str) -> None:
    for width in (160, 110, 40):
        code, shown = on_terminal(market, width, 40, "contracts", "BTC", "--price", PRICE)
        assert code == 0
        assert "H-2" in shown


def test_without_a_price(market: str) -> None:
    """Those without one are left out, unless they are named."""
    result = pyupc(market, "contracts", "--json")
    assert (result.returncode, json.loads(result.stdout)) == (0, [])
    assert "BTC" in result.stderr
    result = pyupc(market, "contracts", "BTC")
    assert (result.returncode, result.stdout) == (1, "")
    assert "pyupc feed" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("XYZ", "--price", PRICE), 1),
        (("BTC", "--price", "-1"), 1),
        (("BTC", "--series", "KXNONE"), 1),
        (("BTC", "ETH", "--price", PRICE), 2),
        (("--price", PRICE), 2),
        (("BTC", "--min-edge", "nan"), 2),
        (("BTC", "--min-edge", "two"), 2),
        (("BTC", "--legacy", "--model", "baseline"), 2),
    ],
)
def test_refused(market: str, arguments: tuple[str, ...], code: int) -> None:
    result = pyupc(market, "contracts", *arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr
