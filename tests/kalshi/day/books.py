"""Quotes of a contract at an instant: both sides of its book, or one, or none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import erf
from zlib import crc32

import numpy as np

from tests.kalshi.day.coins import DAY

Bound = Decimal | None
CENT = Decimal("0.01")
TENTH = Decimal("0.001")
# No tick that is known, but prices have up to six decimals.
FINEST = Decimal("0.000001")


@dataclass(frozen=True)
class Book:
    """As Kalshi writes it: a side on which nobody bids is 0, and 1 as the other side's ask."""

    yes_bid: Decimal
    yes_ask: Decimal
    bid_size: Decimal
    ask_size: Decimal
    volume: Decimal

    @property
    def no_bid(self) -> Decimal:
        return 1 - self.yes_ask

    @property
    def no_ask(self) -> Decimal:
        return 1 - self.yes_bid


def dice_of(*names: object) -> np.random.Generator:
    """The same numbers for the same names, whatever was asked before."""
    return np.random.default_rng(crc32(repr(names).encode()))


def tick_of(price: Decimal, structure: str) -> Decimal:
    if structure == "tapered_deci_cent":
        return CENT if Decimal("0.1") <= price <= Decimal("0.9") else TENTH
    return FINEST if structure == "finest" else CENT


def on_tick(value: float, structure: str) -> Decimal:
    price = Decimal(min(0.999, max(0.001, value))).quantize(FINEST)
    tick = tick_of(price, structure)
    return min(1 - tick, max(tick, (price / tick).to_integral_value() * tick))


def book(
    ticker: str, at: datetime, price: float, lower: Bound, upper: Bound, left: float, structure: str
) -> Book:
    """`left`: seconds to the close. The crowd's guess is a bell, and a little off."""
    dice = dice_of(ticker, int((at - DAY).total_seconds()))
    spread = max(price * 0.00011 * max(left, 20) ** 0.5, 1e-12)

    def above(bound: Bound, without: float) -> float:
        if bound is None:
            return without
        return 0.5 - 0.5 * erf((float(bound) - price) / spread / 2**0.5)

    fair = above(lower, 1.0) - above(upper, 0.0) + dice.normal(0, 0.02)
    width = dice.choice([0.002, 0.01, 0.03, 0.05])
    bid, ask = on_tick(fair - width, structure), on_tick(fair + width, structure)
    if ask <= bid:
        ask = min(Decimal(1), bid + tick_of(bid, structure))
    empty = dice.random()
    if empty < 0.18 or fair < 0.01:
        bid = Decimal(0)
    if 0.12 < empty < 0.3 or fair > 0.99:
        ask = Decimal(1)
    bid_size, ask_size = (Decimal(int(n)) / 100 for n in dice.integers(1, 2_000_000, 2))
    volume = Decimal(int(dice.integers(0, 400_000))) / 100
    return Book(bid, ask, bid_size, ask_size, volume)
