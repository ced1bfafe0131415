"""Columns of files of recorded quotes: what a header says that a file holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pyupc.errors import PyupcError

# Names of each column: ours, then those of recorders and of Kalshi.
NAMES: dict[str, tuple[str, ...]] = {
    "observed_at": ("observed_at", "captured_at", "exchange_ts_ms", "second_utc", "ts"),
    "ticker": ("ticker", "market_ticker"),
    "event": ("event", "event_ticker"),
    "closes_at": ("closes_at", "close_time"),
    "strike_type": ("strike_type",),
    "floor_strike": ("floor_strike",),
    "cap_strike": ("cap_strike",),
    "lower": ("lower",),
    "upper": ("upper",),
    "yes_bid": ("yes_bid",),
    "yes_ask": ("yes_ask",),
    "later_yes_ask": ("later_yes_ask",),
    "later_no_ask": ("later_no_ask",),
    "price": ("price", "coinbase_price"),
    "value": ("value", "expiration_value"),
    "result": ("result",),
}

# Names of a column in a file of one-second candles alone: the close of the second that begins then.
_SECOND = "second_utc"
_CLOSE = "close"

INSTANTS = ("observed_at", "closes_at")
QUOTES = ("yes_bid", "yes_ask", "later_yes_ask", "later_no_ask")
AMOUNTS = ("price", "value")
BOUNDS = ("floor_strike", "cap_strike", "lower", "upper")
TEXTS = ("ticker", "event", "strike_type", "result")

HINT = "quotes have the columns observed_at, ticker, yes_bid and yes_ask; see docs/market.md"


@dataclass(frozen=True)
class Shape:
    """Places of a file's columns by our names, and how many columns there are.

    `delay` is what lies between the instant that is written and the one at which it was known.
    """

    places: dict[str, int]
    width: int
    delay: timedelta

    @property
    def has_quotes(self) -> bool:
        return {"observed_at", "ticker", "yes_bid", "yes_ask"} <= self.places.keys()

    @property
    def has_prices(self) -> bool:
        return {"observed_at", "price"} <= self.places.keys() and not self.has_quotes

    @property
    def has_facts(self) -> bool:
        """Of events or contracts, without quotes."""
        facts = {"closes_at", "value", "result", *BOUNDS}
        return bool({"ticker", "event"} & self.places.keys() and facts & self.places.keys())


def recognise(path: Path, header: Sequence[str]) -> Shape:
    """Shape of the file with that header; refused where it is none of ours."""
    given = [name.strip().lower() for name in header]
    places = {
        ours: given.index(name)
        for ours, names in NAMES.items()
        for name in [next((name for name in names if name in given), None)]
        if name is not None
    }
    delay = timedelta()
    if _SECOND in given and _CLOSE in given:
        places["price"] = given.index(_CLOSE)
        delay = timedelta(seconds=1)
    shape = Shape(places, len(given), delay)
    if not (shape.has_quotes or shape.has_prices or shape.has_facts):
        raise PyupcError(f"{path}: there are no quotes, prices or settlements in its columns", HINT)
    return shape
