"""Ticks of a symbol with one event and with several: what a contract costs the server."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from pyupc.bench.figures import Row
from pyupc.bench.markets import log_prices
from pyupc.bench.scale.cpu import Meter, require
from pyupc.bench.scratch import Connection, Plan
from pyupc.database.connect import connect

PRICE = 97_250.0
STEP = 100
ONE, THREE = 75, 400

# Series, contracts and hours to the close of each event; the first one is the hourly one.
_EVENTS = (("KXBTCD", ONE, 1), ("KXBTC", 188, 1), ("KXBTC", THREE - ONE - 188, 5))
_TICK = (
    "SELECT * FROM upc.tick('BTC', 'bench', holder => 'bench', model => 'volatility',"
    " method => 'linear', settlement => NULL)"
)
# Of the last day, for the forecast; the history ends years ago.
_CANDLES = """
    INSERT INTO upc_data.candle (symbol, opened_at, open, high, low, close, volume)
    SELECT 'BTC', g.at, %(price)s, 1.001 * %(price)s, 0.999 * %(price)s,
        %(price)s * (1 + (random() - 0.5) / 2000), 1
    FROM generate_series(
        date_trunc('minute', now()) - interval '1500 minutes',
        date_trunc('minute', now()) - interval '1 minute',
        interval '1 minute'
    ) AS g (at)
"""
_REMOVE = """
    DELETE FROM upc_data.candle WHERE symbol = 'BTC' AND opened_at > now() - interval '2 days';
    DELETE FROM upc_data.market_quote WHERE event_ticker LIKE '%-CONTRACTS-%';
    DELETE FROM upc_data.market_event WHERE event_ticker LIKE '%-CONTRACTS-%';
    UPDATE upc_data.series SET is_followed = true WHERE symbol = 'BTC'
"""
_FOLLOW = "UPDATE upc_data.series SET is_followed = series = ANY (%s) WHERE symbol = 'BTC'"
_BLOCK = 10


def contracts(plan: Plan) -> Iterator[Row]:
    """Blocks of ticks in turns, each with another choice of the series that are followed."""
    dice = random.Random(1)
    choices = {ONE: ["KXBTCD"], THREE: ["KXBTCD", "KXBTC"], 0: list[str]()}
    times: dict[int, list[float]] = {count: [] for count in choices}
    with connect(plan.dsn) as conn, closing(Meter(plan.dsn)) as meter:
        require(conn)
        log_prices(conn, "BTC", PRICE)
        conn.execute(_CANDLES, {"price": PRICE})
        conn.execute("ANALYZE upc_data.candle, upc_data.price")
        for turn in range(plan.rounds(40, 3)):
            _store(conn, dice)
            conn.execute(
                "SELECT upc.record_price('BTC', 'bench', %s)", [PRICE + dice.uniform(-99, 99)]
            )
            for count, series in choices.items():
                conn.execute(_FOLLOW, [series])
                _ticks(conn, 2)
                with meter.measuring() as used:
                    _ticks(conn, _BLOCK)
                if turn > 0:
                    times[count].append(used.cpu / _BLOCK)
        conn.execute(_REMOVE)
        conn.execute("SELECT upc.release_lease('BTC', 'bench')")
    found = {count: 1e3 * median(own) for count, own in times.items()}
    for name, words, count in (
        ("contracts_three", f"a tick with three events and {THREE} contracts", THREE),
        ("contracts_unfollowed", "a tick with the same events, none of them followed", 0),
    ):
        note = "p50, CPU of the server's process, in turns"
        yield Row(name, words, found[count], "ms", f"one event of {ONE}", found[ONE], note)


def _ticks(conn: Connection, count: int) -> None:
    for _ in range(count):
        conn.execute(_TICK, prepare=True).fetchall()


def _store(conn: Connection, dice: random.Random) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for place, (series, count, hours) in enumerate(_EVENTS):
        document = _event(f"{series}-CONTRACTS-{place}", series, count, dice)
        closes_at = (hour + timedelta(hours=hours)).isoformat()
        for market in document["markets"]:
            market["close_time"] = closes_at
        conn.execute("SELECT upc.load_market(%s::jsonb)", [json.dumps(document)], prepare=True)


def _event(ticker: str, series: str, count: int, dice: random.Random) -> dict[str, Any]:
    lowest = round(PRICE / STEP) * STEP - STEP * (count // 2)
    strikes = [lowest + STEP * k for k in range(count)]
    return {
        "event": {"event_ticker": ticker, "series_ticker": series, "title": "BTC"},
        "markets": [
            {
                "ticker": f"{ticker}-{strike}",
                "status": "active",
                **_bounds(series, strike, strikes),
                **_quotes(dice),
                "volume_fp": "1500.00",
            }
            for strike in strikes
        ],
    }


def _bounds(series: str, strike: int, strikes: Sequence[int]) -> dict[str, Any]:
    if series == "KXBTCD" or strike == strikes[-1]:
        return {"strike_type": "greater", "floor_strike": strike - 0.01}
    if strike == strikes[0]:
        return {"strike_type": "less", "cap_strike": strike + STEP}
    return {"strike_type": "between", "floor_strike": strike, "cap_strike": strike + STEP - 0.01}


def _quotes(dice: random.Random) -> dict[str, str]:
    cents = dice.randint(2, 97)
    return {
        "yes_bid_dollars": f"{(cents - 1) / 100:.4f}",
        "yes_ask_dollars": f"{cents / 100:.4f}",
        "no_bid_dollars": f"{(100 - cents) / 100:.4f}",
        "no_ask_dollars": f"{(101 - cents) / 100:.4f}",
        "yes_bid_size_fp": f"{dice.randint(1, 5000)}.00",
        "yes_ask_size_fp": f"{dice.randint(1, 5000)}.00",
    }
