"""The life of trades, from the command line through real ticks to Kalshi's result."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ccxt", reason="needs the extra feeds")

from pyupc.database.connect import connect
from tests.support import feed_servers
from tests.support.kalshi_server import Listed, in_thread, market
from tests.support.market import ended, going, pyupc, read, rows, until
from tests.support.times_of_day import next_hour

EVENT = "KXBTCD-SOON"
LOW, HIGH = 97_000, 98_000
BETWEEN, BELOW = 97_500.0, 96_500.0


def ticker(strike: int) -> str:
    return f"{EVENT}-T{strike - 1}.99"


@dataclass(frozen=True)
class Place:
    dsn: str
    folder: Path
    log: list[str] = field(default_factory=list)

    def run(self, *arguments: str | Path) -> str:
        done = pyupc(self.dsn, *arguments)
        assert done.returncode == 0, done.stderr
        self.log.extend(done.stderr.splitlines())
        return done.stdout

    def logged(self, *words: str) -> int:
        """Number of lines that contain all words."""
        return sum(all(word in line for word in words) for line in self.log)

    def document(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def load(self, event: Listed) -> None:
        """Load the event with `pyupc market load`, so that its reading is current."""
        file = self.folder / "event.json"
        document = {"event": {**event.document(), "markets": event.markets}}
        file.write_text(json.dumps(document), encoding="utf-8")
        self.run("market", "load", file)

    def tick(self, price: float, rounds: int = 1) -> dict[int, dict[str, Any]]:
        """Real ticks at that price; the trades that are held by then, as the file has them."""
        with connect(self.dsn) as conn:
            conn.execute("SELECT upc.record_price('BTC', 'by hand', %s)", (price,))
        self.run(
            *("tick", "--feed", "database", "--symbol", "BTC", "--interval", "0.05"),
            *("--count", str(rounds), "--out", self.folder / "live"),
        )
        document = read(self.folder / "live", "BTC", "active_trades")
        assert rows(self.dsn, "SELECT active_trades FROM upc_data.document") == [(document,)]
        assert document["count"] == len(document["active_trades"])
        return {each["id"]: each for each in document["active_trades"]}

    def probability(self, strike: int) -> float:
        """Probability in the last tick's strike table."""
        table = read(self.folder / "live", "BTC", "strike_table")
        [found] = [row["probability"] for row in table["strikes"] if row["strike"] == strike]
        return float(found)

    def announced(self) -> list[tuple[str, int]]:
        query = "SELECT kind, (document ->> 'id')::integer FROM upc_data.announcement"
        return rows(self.dsn, f"{query} WHERE subject = 'trade' ORDER BY announcement_id")


@pytest.fixture
def place(btc_market: str, tmp_path: Path) -> Place:
    found = Place(btc_market, tmp_path)
    # A probability stops at once, not after a quarter of a minute.
    found.run("config", "set", "stop_verify", "off")
    return found


def event(closes_at: datetime, **fields: Any) -> Listed:
    markets = [
        market(EVENT, LOW, closes_at, yes_ask_dollars="0.86", no_ask_dollars="0.16", **fields),
        market(EVENT, HIGH, closes_at, yes_ask_dollars="0.22", no_ask_dollars="0.80", **fields),
    ]
    return Listed(EVENT, closes_at - timedelta(hours=1), closes_at, markets)


def open_trade(place: Place, strike: int, side: str, price: str, count: str) -> int:
    arguments = ("--ticker", ticker(strike), "--side", side, "--price", price, "--count", count)
    return int(place.document("trades", "open", *arguments)["trade_id"])


def test_the_life_of_two_trades(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closes_at = next_hour()
    now = datetime.now(UTC).replace(microsecond=0)
    place.load(event(closes_at))
    low = open_trade(place, LOW, "yes", "0.85", "10")
    high = open_trade(place, HIGH, "no", "0.80", "5")

    # Both are on the right side of their strikes.
    held = place.tick(BETWEEN, rounds=3)
    assert {number: each["state"] for number, each in held.items()} == {low: "open", high: "open"}
    assert held[low]["current_probability"] == place.probability(LOW)
    assert held[high]["current_probability"] == place.probability(HIGH)
    assert (held[low]["buffer_from_entry"], held[high]["buffer_from_entry"]) == (500, 500)
    assert held[low]["close_value"] == 0.84
    assert held[low]["pnl"] == pytest.approx(-0.1)
    # A fee of 9 cents to buy, and of 10 to sell.
    assert held[low]["pnl_after_fees"] == pytest.approx(-0.29)
    assert place.announced() == []

    # The price goes through one of the strikes: its stop fires, once.
    held = place.tick(BELOW, rounds=3)
    assert (held[low]["state"], held[low]["stop_reason"]) == ("stopped", "probability")
    assert held[low]["current_probability"] == pytest.approx(100 - place.probability(LOW))
    assert held[low]["current_probability"] < 40
    assert held[low]["buffer_from_entry"] == -500
    assert (held[high]["state"], held[high]["stop_reason"]) == ("open", None)
    place.tick(BELOW + 1)
    place.tick(BETWEEN)
    assert place.announced() == [("stop", low)]
    assert place.logged("stop", f"trade {low}", ticker(LOW), "probability") == 1
    listed = place.document("trades", "list", "--symbol", "BTC")
    assert [(each["trade_id"], each["status"]) for each in listed] == [
        (low, "stopped"),
        (high, "open"),
    ]

    closed = place.document("trades", "close", str(low), "--price", "0.2")
    # 10 · (0.20 - 0.85), and fees of 9 and 12 cents.
    assert closed["pnl_after_fees"] == pytest.approx(-6.71)
    assert set(place.tick(BETWEEN + 1)) == {high}

    # The event is over, and nobody knows yet how it ended.
    closes_at = now - timedelta(minutes=1)
    place.load(event(closes_at, status="closed"))
    held = place.tick(BETWEEN + 2)
    assert (held[high]["current_probability"], held[high]["close_value"]) == (None, None)

    # A feed that never saw it open.
    over = event(closes_at, status="finalized", result="no")
    monkeypatch.setenv("NO_PROXY", "*")
    with (
        feed_servers.serving(feed_servers.Exchange()) as exchange,
        in_thread([over]) as url,
        going(
            place.dsn,
            *("feed", "--no-build", "--symbol", "BTC"),
            *("--exchange-url", exchange.url, "--kalshi", url),
        ) as process,
    ):
        results = "SELECT DISTINCT result FROM upc_data.market_quote"
        until(lambda: rows(place.dsn, results) == [("no",)], 60)
        process.terminate()
        code, log = ended(process)
    assert code == 0
    assert f"{EVENT} has its results" in log

    assert place.tick(BETWEEN + 3) == {}
    assert place.announced() == [("stop", low), ("settled", high)]
    place.tick(BETWEEN + 4)
    assert len(place.announced()) == 2
    assert place.logged(f"trade {high}", ticker(HIGH), "settled") == 1
    last = {each["trade_id"]: each for each in place.document("trades", "list", "--all")}
    assert (last[low]["status"], last[low]["stop_reason"]) == ("closed", "probability")
    assert (last[high]["status"], last[high]["result"]) == ("settled", "no")
    assert (last[high]["close_price"], last[high]["pnl"]) == (1, pytest.approx(1.0))
    # 5 · (1 - 0.80), and the fee of 6 cents that was paid to buy it.
    assert last[high]["pnl_after_fees"] == pytest.approx(0.94)
    assert place.document("trades", "list") == []
