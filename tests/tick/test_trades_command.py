"""`pyupc trades open` and `close`: what is taken, exactly, and what is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pyupc.cli import main
from pyupc.database.connect import connect
from tests.support.kalshi_server import market
from tests.support.market import ended, rows, start, until
from tests.support.times_of_day import next_hour

TICKER = "KXBTCD-SOON-T97499.99"
YES = ("--ticker", TICKER, "--side", "yes")

STORED = "SELECT buy_price, position, buy_fee, symbol, side, status FROM upc_data.trade"


@dataclass(frozen=True)
class Place:
    dsn: str

    def run(self, *arguments: str) -> Result:
        # A number is what a shell would pass: text.
        environment = {"PYUPC_DSN": self.dsn}
        return CliRunner().invoke(main, ["trades", *arguments], env=environment)

    def accepted(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout

    def document(self, *arguments: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.accepted(*arguments, "--json"))
        return document

    def refused(self, code: int, *arguments: str) -> str:
        """The refusal: a line and a hint, and nothing on stdout."""
        result = self.run(*arguments)
        assert (result.exit_code, result.stdout) == (code, "")
        message, hint = result.stderr.splitlines()
        assert message.startswith("pyupc: ")
        assert hint.startswith("hint: ")
        return str(result.stderr)

    def trades(self) -> list[tuple[Any, ...]]:
        return rows(self.dsn, f"{STORED} ORDER BY trade_id")


@pytest.fixture
def place(fresh_db: str) -> Place:
    """Two markets that close at the next full hour: 97,500 and 97,750."""
    closes_at = next_hour()
    markets = [
        market("KXBTCD-SOON", 97_500, closes_at, yes_ask_dollars="0.86", no_ask_dollars="0.16"),
        market("KXBTCD-SOON", 97_750, closes_at, yes_ask_dollars="", no_ask_dollars=""),
    ]
    event = {"event_ticker": "KXBTCD-SOON", "series_ticker": "KXBTCD", "markets": markets}
    with connect(fresh_db) as conn:
        conn.execute("SELECT upc.load_market(%s::jsonb)", (json.dumps({"event": event}),))
    return Place(fresh_db)


def test_what_was_bought(place: Place) -> None:
    line = place.accepted("open", *YES, "--price", "0.85", "--count", "10")
    assert len(line.splitlines()) == 1
    # 7 cents on 10 contracts at 0.85 · 0.15, rounded up.
    assert place.trades() == [(Decimal("0.85"), 10, Decimal("0.09"), "BTC", "yes", "open")]
    for part in ("trade 1:", "10 yes", TICKER, "8.50 USD", "0.09"):
        assert part in line


def test_what_was_bought_as_json(place: Place) -> None:
    before = datetime.now(UTC)
    arguments = ("--side", "NO", "--price", "0.375", "--count", "2.5", "--symbol", "btc")
    document = place.document("open", "--ticker", TICKER, *arguments)
    opened_at = datetime.fromisoformat(document.pop("opened_at"))
    closes_at = datetime.fromisoformat(document.pop("closes_at"))
    assert before <= opened_at < closes_at <= before + timedelta(hours=1)
    assert document == {
        "trade_id": 1,
        "symbol": "BTC",
        "event_ticker": "KXBTCD-SOON",
        "ticker": TICKER,
        "side": "no",
        "strike": 97_500,
        "kind": "above",
        "lower": 97_500,
        "upper": None,
        "status": "open",
        "position": 2.5,
        "buy_price": 0.375,
        "cost": 0.9375,
        "buy_fee": 0.0425,
        "sold_count": 0,
        "realised_pnl": 0,
        "realised_fee": 0,
        "fill_kind": "buy",
        "fill_price": 0.375,
        "fill_count": 2.5,
        "fill_amount": 0.9375,
        "fill_fee": 0.0425,
        **dict.fromkeys(
            (
                "stop_reason",
                "stopped_at",
                "ended_at",
                "end_price",
                "proceeds",
                "end_fee",
                "pnl_after_fees",
            )
        ),
    }


def test_every_digit_is_kept(place: Place) -> None:
    price, count = "0.123456789012", "98765432109.87654321"
    line = place.accepted("open", *YES, "--price", price, "--count", count)
    [(stored_price, stored_count, *_)] = place.trades()
    assert (stored_price, stored_count) == (Decimal(price), Decimal(count))
    assert price in line
    # The product has twenty decimals, and none is lost either.
    cost = "12,193,263,113.66803839644487120852"
    assert f"{cost} USD" in line


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("0.85", "0.85"),
        (".85", "0.85"),
        ("+0.85", "0.85"),
        (" 0.85 ", "0.85"),
        ("0.8500", "0.85"),
        ("85c", "0.85"),
        ("85C", "0.85"),
        ("85¢", "0.85"),
        ("85 ¢", "0.85"),
        ("99.9c", "0.999"),
        ("1c", "0.01"),
        ("0.001", "0.001"),
    ],
)
def test_a_price_may_be_written_so(place: Place, text: str, price: str) -> None:
    place.accepted("open", *YES, "--price", text, "--count", "1")
    [(stored, *_)] = place.trades()
    assert stored == Decimal(price)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("85", 1),
        ("1", 1),
        ("0", 1),
        ("0.00", 1),
        ("-0.85", 1),
        # Dollars or cents: nobody knows.
        ("0.85c", 2),
        ("0c", 2),
        ("100c", 2),
        ("-85c", 2),
        ("0,85", 2),
        ("$0.85", 2),
        ("8.5e-1", 2),
        ("0_1", 2),
        ("\N{FULLWIDTH DIGIT ZERO}.85", 2),
        ("nan", 2),
        ("Infinity", 2),
        (".", 2),
        ("", 2),
        ("0." + "1" * 1000, 2),
    ],
)
def test_a_price_may_not_be_written_so(place: Place, text: str, code: int) -> None:
    errors = place.refused(code, "open", *YES, "--price", text, "--count", "1")
    assert "0.85" in errors
    assert place.trades() == []


@pytest.mark.parametrize(
    ("text", "code"),
    [("0", 1), ("-10", 1), ("10,000", 2), ("1e3", 2), ("ten", 2), ("nan", 2), ("1_0", 2), ("", 2)],
)
def test_a_count_that_is_none(place: Place, text: str, code: int) -> None:
    place.refused(code, "open", *YES, "--price", "0.85", "--count", text)
    assert place.trades() == []


def test_what_cannot_be_bought(place: Place) -> None:
    paid = ("--price", "0.85", "--count", "10")
    for arguments in (
        ("--ticker", "KXBTCD-SOON", "--side", "yes"),
        ("--ticker", TICKER.lower(), "--side", "yes"),
        ("--ticker", "", "--side", "yes"),
    ):
        place.refused(1, "open", *arguments, *paid)
    for symbol in ("ETH", "XYZ"):
        place.refused(1, "open", *YES, *paid, "--symbol", symbol)
    place.refused(2, "open", *paid, "--ticker", TICKER, "--side", "maybe")
    place.refused(2, "open", *paid, "--ticker", TICKER)
    place.refused(2, "open", *paid, "--side", "yes")
    place.refused(2, "open", *YES, *paid, "--symbol", "BTC", "--symbol", "ETH")
    place.refused(2, "open", *YES, "--price", "0.85")
    place.refused(2, "open", *YES, "--count", "10")
    with connect(place.dsn) as conn:
        conn.execute("UPDATE upc_data.market_event SET closes_at = clock_timestamp()")
    place.refused(1, "open", *YES, *paid)
    assert place.trades() == []


def test_what_it_brought(place: Place) -> None:
    for _ in range(2):
        place.accepted("open", *YES, "--price", "0.85", "--count", "10")
    line = place.accepted("close", "1", "--price", "91c")
    assert len(line.splitlines()) == 1
    # 0.60 less 9 cents and 6 cents.
    for part in ("trade 1:", "10 yes", TICKER, "9.10 USD", "0.06", "0.45"):
        assert part in line
    document = place.document("close", "2", "--price", "0")
    assert datetime.now(UTC) - datetime.fromisoformat(document["ended_at"]) < timedelta(minutes=1)
    names = ("trade_id", "status", "end_price", "proceeds", "end_fee", "pnl_after_fees")
    assert [document[name] for name in names] == [2, "closed", 0, 0, 0, -8.59]


def test_without_a_price_it_is_what_the_other_side_asks(place: Place) -> None:
    place.accepted("open", *YES, "--price", "0.85", "--count", "10")
    document = place.document("close", "1")
    assert (document["end_price"], document["end_fee"]) == (0.84, 0.10)
    assert document["pnl_after_fees"] == pytest.approx(-0.10 - 0.09 - 0.10)
    # Nobody asks anything for the other market.
    other = ("--ticker", "KXBTCD-SOON-T97749.99", "--side", "yes")
    place.accepted("open", *other, "--price", "0.85", "--count", "10")
    assert "--price" in place.refused(1, "close", "2")
    with connect(place.dsn) as conn:
        conn.execute("UPDATE upc_data.market_event SET read_at = read_at - interval '2 minutes'")
    place.accepted("open", *YES, "--price", "0.85", "--count", "10")
    place.refused(1, "close", "3")
    place.accepted("close", "3", "--price", "0.5")


def test_a_trade_ends_once(place: Place) -> None:
    place.accepted("open", *YES, "--price", "0.85", "--count", "10")
    place.accepted("close", "1", "--price", "0.9")
    ended = "SELECT ended_at, end_price FROM upc_data.trade"
    before = rows(place.dsn, ended)
    place.refused(1, "close", "1", "--price", "0.1")
    place.refused(1, "close", "1")
    assert rows(place.dsn, ended) == before


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("2", 1),
        ("0", 1),
        ("-5", 1),
        ("999999999999999999", 1),
        ("9" * 40, 2),
        ("one", 2),
        ("1.0", 2),
        ("1_0", 2),
        ("", 2),
        ("-1e1", 1),
    ],
)
def test_a_trade_that_is_none(place: Place, number: str, code: int) -> None:
    place.accepted("open", *YES, "--price", "0.85", "--count", "10")
    place.refused(code, "close", number, "--price", "0.9")


def test_what_a_trade_is_comes_from_nowhere_else(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is a price of yesterday taken for that of today."""
    for name, value in (("TICKER", TICKER), ("SIDE", "yes"), ("PRICE", "0.5")):
        monkeypatch.setenv(f"PYUPC_TRADES_OPEN_{name}", value)
        monkeypatch.setenv(f"PYUPC_TRADES_CLOSE_{name}", value)
    place.refused(2, "open", "--count", "1")
    place.refused(2, "open", *YES, "--count", "1")
    place.accepted("open", *YES, "--price", "0.85", "--count", "10")
    result = place.run("close", "1", "--json")
    assert json.loads(result.stdout)["end_price"] == 0.84


@pytest.mark.parametrize("price", ["85", "1.01", "-0.1"])
def test_it_cannot_have_brought_that(place: Place, price: str) -> None:
    place.accepted("open", *YES, "--price", "0.85", "--count", "10")
    assert "0.85" in place.refused(1, "close", "1", "--price", price)
    assert place.trades()[0][-1] == "open"


def test_of_two_at_once_one_closes_it(place: Place) -> None:
    place.accepted("open", *YES, "--price", "0.85", "--count", "10")
    waiting = (
        "SELECT FROM pg_stat_activity WHERE application_name = 'pyupc trades'"
        " AND datname = current_database() AND wait_event_type = 'Lock'"
    )
    with connect(place.dsn, autocommit=False) as conn:
        conn.execute("SELECT FROM upc_data.trade FOR UPDATE")
        prices = ("0.1", "0.9")
        both = [start(place.dsn, "trades", "close", "1", "--price", price) for price in prices]
        until(lambda: len(rows(place.dsn, waiting)) == 2, 60)
        conn.rollback()
    codes = [ended(process)[0] for process in both]
    assert sorted(codes) == [0, 1]
    stored = rows(place.dsn, "SELECT end_price FROM upc_data.trade")
    assert stored == [(Decimal(prices[codes.index(0)]),)]


def test_two_at_once_open_two(place: Place) -> None:
    arguments = ("trades", "open", *YES, "--price", "0.85", "--count", "10", "--json")
    both = [start(place.dsn, *arguments) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in both]
    assert {json.loads(stdout)["trade_id"] for stdout, _ in outputs} == {1, 2}
    assert len(place.trades()) == 2


@pytest.mark.parametrize(
    "arguments",
    [("open", *YES, "--price", "0.85", "--count", "10"), ("close", "1"), ("list",)],
    ids=lambda arguments: str(arguments[0]),
)
def test_no_server_and_another_schema(
    empty_db: str, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    Place("host=/nowhere dbname=nothing").refused(3, *arguments)
    Place(empty_db).refused(4, *arguments)


# Fills


def test_a_part_is_sold(place: Place) -> None:
    place.accepted("open", *YES, "--price", "0.85", "--count", "10", "--fee", "8c")
    line = place.accepted("close", "1", "--price", "0.91", "--count", "4", "--fee", "0.02")
    for part in ("trade 1:", "4 yes", "3.64 USD", "fee 0.02", "6 still held"):
        assert part in line
    document = place.document("close", "1", "--price", "0.80", "--maker")
    assert (document["status"], document["position"], document["sold_count"]) == ("closed", 6, 4)
    # 4 · 0.06 and 6 · -0.05; a maker's fee of 0.0175 · 6 · 0.16 is 0.0168, and 4.7832 are 4.78.
    assert (document["proceeds"], document["fill_fee"]) == (8.44, 0.02)
    assert document["pnl_after_fees"] == pytest.approx(0.24 - 0.30 - 0.08 - 0.02 - 0.02, abs=1e-12)
    listed = json.loads(place.accepted("fills", "1", "--json"))
    assert [
        (
            f["fill"],
            f["kind"],
            f["count"],
            f["amount"],
            f["fee"],
            f["is_fee_charged"],
            f["is_maker"],
        )
        for f in listed
    ] == [
        (1, "buy", 10, 8.5, 0.08, True, False),
        (2, "sale", 4, 3.64, 0.02, True, False),
        (3, "sale", 6, 4.8, 0.02, False, True),
    ]
    lines = place.accepted("fills").splitlines()
    assert [each.split()[2] for each in lines[1:]] == ["buy", "sale", "sale"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--count", "11"), 1),
        (("--count", "0"), 1),
        (("--count", "-1"), 1),
        (("--count", "nan"), 2),
        (("--count", ""), 2),
        (("--fee", "-0.01"), 1),
        (("--fee", "nan"), 2),
        (("--fee", "1e3"), 2),
    ],
)
def test_what_cannot_be_sold(place: Place, arguments: tuple[str, ...], code: int) -> None:
    place.accepted("open", *YES, "--price", "0.85", "--count", "10")
    place.refused(code, "close", "1", "--price", "0.91", *arguments)
    [(_, position, *_, status)] = place.trades()
    assert (position, status) == (10, "open")


def test_nobody_bids(place: Place) -> None:
    """Kalshi writes it as an ask of a dollar."""
    place.accepted("open", *YES, "--price", "0.85", "--count", "10")
    with connect(place.dsn) as conn:
        conn.execute("UPDATE upc_data.market_quote SET yes_bid = 0, no_ask = 1")
    assert "--price" in place.refused(1, "close", "1")
    assert place.trades()[0][-1] == "open"
    place.accepted("close", "1", "--price", "0")


def test_no_fill(place: Place) -> None:
    result = place.run("fills")
    assert (result.exit_code, result.stdout) == (0, "")
