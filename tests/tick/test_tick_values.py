"""Values written by a tick, one by one, and the prices that it uses."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.market import (
    DOCUMENTS,
    SYMBOLS,
    pyupc,
    read,
    rows,
)
from tests.support.ticking import (
    FROM,
    REPLAY,
    SIMULATED,
    instant,
    two_decimals,
)

WEIGHTS = {1: 0.30, 2: 0.25, 3: 0.20, 4: 0.15, 15: 0.05, 30: 0.05}


# Contents of the files


def test_every_value_of_a_tick_follows_from_the_candles_and_compute_strikes(
    market: str, tmp_path: Path
) -> None:
    result = pyupc(market, *REPLAY, "--once", "--from", FROM, "--symbol", "btc", "--out", tmp_path)
    assert (result.returncode, result.stdout) == (0, "")
    live, table, watchlist = (read(tmp_path, "BTC", name) for name in DOCUMENTS)

    candles = {
        row[0]: row[1:]
        for row in rows(
            market, "SELECT opened_at, low, close FROM upc_data.candle WHERE symbol = 'BTC'"
        )
    }
    at = instant(FROM)
    # From the 15th to the 30th second a replay shows the low.
    price = candles[at.replace(second=0)][0]
    # The candle closed by 11:58:20 opened at 11:57.
    earlier = {k: candles[at.replace(second=0) - timedelta(minutes=k + 1)][1] for k in WEIGHTS}
    deltas = {k: 100 * (price - close) / close for k, close in earlier.items()}
    momentum = sum(weight * deltas[k] for k, weight in WEIGHTS.items())
    ttc = 3600 - 20

    assert live["current_price"] == table["current_price"] == price
    assert live["base_strike"] == 250 * round(price / 250)
    assert live["ttc_seconds"] == table["ttc"] == ttc
    assert live["momentum_score"] == pytest.approx(momentum, abs=1e-12)
    assert live["momentum_bps"] == pytest.approx(100 * momentum, abs=1e-10)
    assert table["momentum"]["weighted_score"] == live["momentum_score"]
    assert table["momentum"]["deltas"] == {
        f"delta_{k}m": pytest.approx(delta, abs=1e-12) for k, delta in deltas.items()
    }
    assert instant(live["market_at"]) == at
    assert abs(datetime.now(UTC) - instant(live["timestamp"])) < timedelta(minutes=1)
    assert (live["feed"], live["state"], live["method"]) == ("replay", "fresh", "linear")
    assert (live["model"], live["settlement"]) == ("volatility", "average")
    assert live["fingerprint_csv"] == f"{live['fingerprint']}.csv"
    assert (table["symbol"], table["broker"], table["strike_tier"]) == ("BTC", "Kalshi", 250)

    strikes = rows(
        market,
        "SELECT strike, buffer, move_percent, direction, prob_beyond, positive_prob, negative_prob,"
        " prob_above, sample_size, prob_low, prob_high"
        " FROM upc.compute_strikes(%s, %s, 'BTC', %s, model => 'volatility', method => 'linear',"
        " settlement => 'average', variances => upc._known_variances('BTC', %s))",
        price,
        live["momentum_bps"],
        ttc,
        at,
    )
    expected = []
    further = {}
    for strike, buffer, move, direction, beyond, positive, negative, *others in strikes:
        above, size, low, high = others
        further[strike] = {
            "prob_above": two_decimals(above),
            "sample_size": size,
            "prob_low": two_decimals(low),
            "prob_high": two_decimals(high),
        }
        expected.append(
            {
                "strike": strike,
                "buffer": two_decimals(buffer),
                "move_percent": two_decimals(move),
                "prob_beyond": two_decimals(beyond),
                "prob_within": float(100 - Decimal(str(two_decimals(beyond)))),
                "direction": direction,
                "positive_prob": two_decimals(positive),
                "negative_prob": two_decimals(negative),
            }
        )
    assert len(expected) == 21
    assert live["probabilities"] == expected
    assert live["strikes"] == [row["strike"] for row in expected]
    assert all(isinstance(strike, int) for strike in live["strikes"])

    by_distance = sorted(expected, key=lambda row: (abs(row["strike"] - price), row["strike"]))
    unknown = (
        *("yes_ask", "no_ask", "yes_diff", "no_diff", "volume", "ticker", "yes_edge", "no_edge"),
        *(f"{side}_{kind}_dollars" for side in ("yes", "no") for kind in ("ask", "bid")),
    )
    assert table["strikes"] == [
        {
            "strike": row["strike"],
            "buffer": row["buffer"],
            "buffer_pct": two_decimals(abs(row["strike"] - price) / 250),
            "probability": row["prob_within"],
            **dict.fromkeys(unknown),
            "active_side": "no" if row["strike"] > price else "yes",
            **further[row["strike"]],
            "edge_reason": "no_offer",
        }
        for row in by_distance
    ]
    assert watchlist == {**table, "strikes": []}


def test_the_keys_are_those_of_the_predecessor(
    market: str, tmp_path: Path, shared_data: Path
) -> None:
    assert pyupc(market, *SIMULATED, "--once", "--out", tmp_path).returncode == 0
    for name in DOCUMENTS:
        old = json.loads((shared_data / "json" / f"btc_{name}.json").read_text())
        for symbol in SYMBOLS:
            new = read(tmp_path, symbol, name)
            assert [key for key in new if key in old] == list(old)
            for rows_of in ("strikes", "probabilities"):
                for row in new.get(rows_of, []):
                    # Whole strikes of the list are plain numbers.
                    if isinstance(row, dict):
                        first = list(old[rows_of][0])
                        assert list(row)[: len(first)] == first


def test_from_halted_on_probabilities_are_null_and_files_have_no_rows(
    market: str, tmp_path: Path
) -> None:
    options = ("--once", "--from", "2026-03-06T00:01:01Z", "--symbol", "BTC", "--out", tmp_path)
    assert pyupc(market, *REPLAY, *options).returncode == 0
    [(stored,)] = rows(market, "SELECT live_probabilities FROM upc_data.document")
    assert stored["state"] == "halted"
    assert len(stored["strikes"]) == len(stored["probabilities"]) == 21
    assert {row["prob_within"] for row in stored["probabilities"]} == {None}
    written = read(tmp_path, "BTC", "live_probabilities")
    assert written == stored | {"strikes": [], "probabilities": []}


def test_json_prints_the_last_round(market: str, tmp_path: Path) -> None:
    options = ("--count", "2", "--interval", "0.05", "--json", "--out", tmp_path)
    result = pyupc(market, *SIMULATED, *options)
    documents = json.loads(result.stdout)
    assert documents == [read(tmp_path, symbol, "live_probabilities") for symbol in SYMBOLS]


# Replay and simulation.


def test_a_replay_has_the_given_start_and_speed(market: str, tmp_path: Path) -> None:
    options = ("--count", "4", "--interval", "0.1", "--speed", "600", "--out", tmp_path)
    assert pyupc(market, *REPLAY, *options, "--from", "2026-03-05T12:00Z").returncode == 0
    for symbol in SYMBOLS:
        seen = rows(
            market,
            "SELECT market_at FROM upc_data.tick WHERE symbol = %s ORDER BY tick_id",
            symbol,
        )
        steps = [(row[0] - instant("2026-03-05T12:00Z")).total_seconds() for row in seen]
        assert len(steps) == 4
        assert steps[0] == 0
        # A minute a round; more where the machine was too busy for one.
        assert all((after - before) % 60 == 0 < after - before for before, after in pairwise(steps))


def test_by_default_a_replay_shows_this_minute_of_the_latest_hour(
    market: str, tmp_path: Path
) -> None:
    before = datetime.now(UTC)
    assert pyupc(market, *REPLAY, "--once", "--out", tmp_path).returncode == 0
    shown = {
        instant(read(tmp_path, symbol, "live_probabilities")["market_at"]) for symbol in SYMBOLS
    }
    after = datetime.now(UTC)
    assert len(shown) == 1
    at = shown.pop()
    end = datetime(2026, 3, 6, tzinfo=UTC)
    assert end - timedelta(hours=1) <= at < end
    assert (at - before) % timedelta(hours=1) <= after - before


def test_a_seed_names_a_path_of_prices(market: str, tmp_path: Path) -> None:
    prices = {}
    for seed in ("7", "8"):
        options = ("--seed", seed, "--once", "--symbol", "BTC", "--out", tmp_path)
        assert pyupc(market, *SIMULATED, *options).returncode == 0
        live = read(tmp_path, "BTC", "live_probabilities")
        query = "SELECT upc.simulated_price('BTC', %s, s) FROM generate_series(7, 8) AS s"
        prices[seed] = live["current_price"]
        again = [row[0] for row in rows(market, query, live["market_at"])]
        assert again[0] != again[1]
        assert prices[seed] == again[int(seed) - 7]
