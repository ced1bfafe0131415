"""Prices as people read them."""

from __future__ import annotations

import math


def price_decimals(price: float) -> int:
    """Two; below a dollar as many as four digits of it take. As in the JSON documents."""
    return max(2, 3 - math.floor(math.log10(price))) if 0 < price < 1 else 2


def price_text(price: float) -> str:
    """A price in USD: `118437.50`, `0.4058`."""
    return f"{price:.{price_decimals(price)}f}"


def grouped_price(price: float) -> str:
    """The same with thousands separators: `118,437.50`."""
    return f"{price:,.{price_decimals(price)}f}"
