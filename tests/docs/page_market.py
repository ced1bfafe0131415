"""Events of every kind for a picture of the page: asks around what the tick answers."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

Row = dict[str, Any]

# Of the odds that the tick gives, an ask has as much; a market that knew as much had all.
KNOWN = 0.9


def events(around: float, at: datetime) -> Iterator[Row]:
    """An event of 15 minutes, the hour's strikes and ranges, and those of the day."""
    quarter = _next(at, timedelta(minutes=15))
    hour = _next(at, timedelta(hours=1))
    day = _next(at, timedelta(hours=4)) + timedelta(hours=4)
    middle = 50 * round(around / 50)
    price_to_beat = [{"strike_type": "greater_or_equal", "floor_strike": round(around, 2)}]
    yield _event("KXBTC15M", quarter, "BTC price up in next 15 mins?", price_to_beat)
    strikes = [middle + 50 * k for k in range(-20, 21)]
    above = [{"strike_type": "greater", "floor_strike": strike - 0.01} for strike in strikes]
    yield _event("KXBTCD", hour, "Bitcoin price (simulated)", above)
    bounds = [middle + 25 + 50 * k for k in range(-12, 12)]
    between = [
        {"strike_type": "between", "floor_strike": low, "cap_strike": low + 49.99} for low in bounds
    ]
    ends = (
        {"strike_type": "less", "cap_strike": bounds[0]},
        {"strike_type": "greater", "floor_strike": bounds[-1] + 49.99},
    )
    yield _event("KXBTC", hour, "Bitcoin price range (simulated)", [*between, *ends])
    far = [
        {"strike_type": "greater", "floor_strike": middle + 250 * k - 0.01} for k in range(-9, 10)
    ]
    yield _event("KXBTCD", day, "Bitcoin price today (simulated)", far)


def _next(at: datetime, step: timedelta) -> datetime:
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + step * (math.floor((at - midnight) / step) + 1)


def _event(series: str, closes_at: datetime, title: str, markets: list[Row]) -> Row:
    ticker = f"{series}-{closes_at:%y%b%d%H%M}".upper()
    return {
        "event": {"event_ticker": ticker, "series_ticker": series, "title": title},
        "markets": [
            {
                "ticker": f"{ticker}-{_name(market)}",
                "close_time": f"{closes_at:%Y-%m-%dT%H:%M:%SZ}",
                "status": "active",
                **market,
            }
            for market in markets
        ],
    }


def _name(market: Row) -> str:
    kind = "B" if market["strike_type"] == "between" else "T"
    return f"{kind}{market.get('floor_strike', market.get('cap_strike'))}"


def quoted(event: Row, folder: Path) -> Row:
    """The event with a bid and an ask a cent or two around the tick's probability."""
    try:
        document = json.loads((folder / "btc_contracts.json").read_text())
    except FileNotFoundError:
        return event
    known = {row["ticker"]: row["probability"] for row in document["contracts"]}
    for market in event["markets"]:
        probability = known.get(market["ticker"])
        # The same for as long as there is the contract.
        dice = random.Random(market["ticker"])
        bias, volume = dice.choice((-2, -1, 0, 0, 0, 1, 1.5)), dice.random()
        if probability is None:
            continue
        share = min(max(probability, 0.4), 99.6) / 100
        yes = 100 / (1 + ((1 - share) / share) ** KNOWN) + bias
        bid, ask = max(math.floor(yes - 0.6), 0), min(math.ceil(yes + 0.6), 100)
        market.update(
            yes_bid_dollars=f"{bid / 100:.4f}",
            yes_ask_dollars=f"{ask / 100:.4f}",
            no_bid_dollars=f"{1 - ask / 100:.4f}",
            no_ask_dollars=f"{1 - bid / 100:.4f}",
            yes_bid_size_fp=f"{dice.randrange(3, 900)}.00",
            yes_ask_size_fp=f"{dice.randrange(3, 900)}.00",
            volume_fp=f"{round(9000 * volume * share * (1 - share) * 4)}.00",
        )
    return event
