"""The predecessor's paths and folders: keys, units and texts as its consumers read them, frozen."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from pyupc.database.connect import connect
from pyupc.web import schemas
from tests.support.market import pyupc
from tests.support.times_of_day import next_hour
from tests.web.serving import Served

EVENT = "KXBTCD-SOON"

# Path, and the keys that its consumers read.
FROZEN = {
    "/core": {
        *("date", "time", "ttc_seconds", "btc_price", "latest_db_price", "timestamp", "status"),
        *("delta_1m", "delta_2m", "delta_3m", "delta_4m", "delta_15m", "delta_30m"),
        *("weighted_momentum_score", "volScore", "volSpike", "kalshi_markets"),
        *("change1h", "change3h", "change1d"),
    },
    "/btc_price_changes": {"change1h", "change3h", "change1d"},
    "/api/momentum": {"status", "momentum_score"},
    "/api/momentum_score": {"status", "momentum_score", "weighted_score"},
    "/api/ttc": {"ttc_seconds"},
    "/api/live_probabilities": {"timestamp", "current_price", "strikes", "probabilities"},
    "/api/strike_table": {"symbol", "current_price", "ttc", "strikes", "momentum"},
    "/api/strike_tables/btc": {"symbol", "current_price", "ttc", "strikes", "momentum"},
    "/api/unified_ttc/btc": {"ttc_seconds"},
    "/api/btc_price": {"price", "source"},
    "/api/current_fingerprint": {
        *("symbol", "current_momentum_bucket", "last_used_momentum_bucket"),
        *("fingerprint", "fingerprint_file", "available_buckets"),
    },
    "/kalshi_market_snapshot": {"markets"},
    "/api/active_trades": {"timestamp", "active_trades", "count"},
}


def market(strike: int, **fields: Any) -> dict[str, Any]:
    return {
        "ticker": f"{EVENT}-T{strike - 0.01:.2f}",
        "status": "active",
        "strike_type": "greater",
        "floor_strike": strike - 0.01,
        "volume_fp": "1234.50",
        **fields,
    }


@pytest.fixture(scope="module", autouse=True)
def ticked(market_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BTC has ticked on made-up prices of a day and Kalshi's way to write an event; its files."""
    closes_at = next_hour().isoformat()
    now = datetime.now(UTC)
    markets = [
        market(93_500, yes_ask_dollars="0.8550", yes_bid_dollars="0.8450", close_time=closes_at),
        market(
            94_000,
            yes_bid_dollars="0.0000",
            no_ask_dollars="1.0000",
            yes_ask_dollars="0.0100",
            no_bid_dollars="0.9900",
            close_time=closes_at,
        ),
    ]
    event = {"event_ticker": EVENT, "series_ticker": "KXBTCD", "markets": markets}
    with connect(market_dsn) as conn:
        conn.execute("SELECT upc.load_market(%s::jsonb)", (json.dumps({"event": event}),))
        # For ten minutes of tests: a price that is more than 5 s older is not taken.
        for hours, price in ((24, 90_000), (3, 100_000)):
            conn.execute(
                "SELECT upc.record_price('BTC', 'made up', %s, at, at)"
                " FROM generate_series(%s, %s + interval '10 minutes', interval '4 s') AS at",
                (float(price), *2 * [now - timedelta(hours=hours, seconds=1)]),
            )
        query = "SELECT upc.record_price('BTC', 'made up', %s, %s, %s)"
        conn.execute(query, (93_600.0, now, now))
    folder = tmp_path_factory.mktemp("data")
    done = pyupc(
        market_dsn, "tick", "--feed", "database", "--symbol", "BTC", "--once", "--out", folder,
        "--legacy-layout",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def set_age(dsn: str, seconds: float) -> None:
    """Set the age of tick, price and quotes."""
    with connect(dsn) as conn:
        conn.execute(
            "UPDATE upc_data.tick SET ticked_at = clock_timestamp() - make_interval(secs => %s)",
            (seconds,),
        )


@pytest.mark.parametrize("path", FROZEN)
def test_the_keys_are_there(served: Served, market_dsn: str, path: str) -> None:
    set_age(market_dsn, 1)
    document = served.document(path)
    assert document.keys() >= FROZEN[path]


def test_the_paths_have_their_shapes(served: Served, market_dsn: str) -> None:
    set_age(market_dsn, 1)
    for path, shape in (
        ("/core", schemas.LegacyCore),
        ("/btc_price_changes", schemas.LegacyPriceChanges),
        ("/api/momentum", schemas.LegacyMomentumNow),
        ("/api/current_fingerprint", schemas.LegacyFingerprint),
        ("/kalshi_market_snapshot", schemas.MarketSnapshot),
    ):
        shape.model_validate(served.document(path))


def test_changes_are_percent_and_null_where_nobody_knows(served: Served, market_dsn: str) -> None:
    set_age(market_dsn, 0)
    for path in ("/btc_price_changes", "/core"):
        document = served.document(path)
        # 93,600 of 100,000 and of 90,000; an hour ago nobody looked.
        assert document["change1h"] is None
        assert document["change3h"] == pytest.approx(-6.4)
        assert document["change1d"] == pytest.approx(4.0)
    core = served.document("/core")
    assert (core["btc_price"], core["status"]) == (93_600, "online")
    assert core["delta_1m"] is None
    assert core["time"].split(" ")[2] in ("EST", "EDT")


def test_the_snapshot_is_in_cents(served: Served, market_dsn: str, ticked: Path) -> None:
    set_age(market_dsn, 1)
    document = served.document("/kalshi_market_snapshot")
    assert document["event_ticker"] == EVENT
    first, second = document["markets"]
    assert first == {
        "ticker": f"{EVENT}-T93499.99",
        "floor_strike": 93_499.99,
        "status": "active",
        "yes_ask": 86,
        "no_ask": None,
        "yes_bid": 84,
        "no_bid": None,
        "volume": 1234,
    }
    # An ask of a dollar is no offer, and a bid of nothing is none.
    assert (second["yes_ask"], second["no_ask"]) == (1, None)
    assert (second["yes_bid"], second["no_bid"]) == (None, 99)
    file = json.loads((ticked / "kalshi" / "latest_market_snapshot.json").read_text())
    assert file["markets"] == document["markets"]


def test_the_layout_is_the_predecessors(ticked: Path) -> None:
    for name, target in {
        "live_probabilities/btc_live_probabilities.json": "btc_live_probabilities.json",
        "strike_tables/btc_strike_table.json": "btc_strike_table.json",
        "strike_tables/btc_watchlist.json": "btc_watchlist.json",
        "active_trades/active_trades.json": "btc_active_trades.json",
        "kalshi/latest_market_snapshot.json": "btc_market_snapshot.json",
    }.items():
        assert (ticked / name).read_bytes() == (ticked / target).read_bytes()


def test_a_folder_that_is_somebody_elses(market_dsn: str, tmp_path: Path) -> None:
    (tmp_path / "active_trades").mkdir()
    theirs = tmp_path / "active_trades" / "active_trades.json"
    theirs.write_text("{}")
    done = pyupc(
        market_dsn, "tick", "--feed", "database", "--symbol", "BTC", "--once", "--out", tmp_path,
        "--legacy-layout",
    )  # fmt: skip
    assert done.returncode == 1
    assert "hint: " in done.stderr
    assert theirs.read_text() == "{}"


@pytest.mark.parametrize("age", [1, 20, 40, 61])
def test_what_is_halted_has_no_row(served: Served, market_dsn: str, age: float) -> None:
    """The old page throws at a null, and would keep its buttons; ours keeps the rows."""
    set_age(market_dsn, age)
    is_halted = age > 60
    for path in ("/api/strike_table", "/api/strike_tables/BTC", "/api/live_probabilities"):
        document = served.document(path)
        assert (document["strikes"] == []) is is_halted, path
        assert (document.get("probabilities") == []) is (is_halted and "prob" in path)
    assert (served.document("/kalshi_market_snapshot")["markets"] == []) is is_halted
    for path in ("/api/strike_table/BTC", "/api/live_probabilities/BTC"):
        assert served.document(path)["strikes"]
    core = served.document("/core")
    assert (core["btc_price"] is None) is is_halted
    if is_halted:
        assert served.document("/btc_price_changes")["change1d"] is None
    assert core["status"] == ("offline" if is_halted else "online")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path", ["/trades", "/trades/7", "/api/account/balance", "/api/db/fills", "/api/set_auto_stop"]
)
def test_what_is_not_ours_says_so(served: Served, method: str, path: str) -> None:
    response = httpx.request(method, served.address + path, timeout=20)
    assert response.status_code == 501
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["hint"]
