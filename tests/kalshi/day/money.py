"""Fees, costs and edges in Decimal, by Kalshi's documentation of fee rounding."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal

ORDER = Decimal(10)
CENT = Decimal("0.01")
UNIT = Decimal("0.0001")
TAKER = Decimal("0.07")


def model_fee(price: Decimal, count: Decimal, multiplier: Decimal) -> Decimal:
    return (multiplier * TAKER * count * price * (1 - price)).quantize(UNIT, ROUND_CEILING)


def paid(price: Decimal, count: Decimal, multiplier: Decimal) -> Decimal:
    """USD for so many contracts: up to a cent."""
    whole = price * count + model_fee(price, count, multiplier)
    return whole.quantize(CENT, ROUND_CEILING)


def received(price: Decimal, count: Decimal, multiplier: Decimal) -> Decimal:
    """USD for so many contracts that are sold: down to a cent."""
    whole = price * count - model_fee(price, count, multiplier)
    return whole.quantize(CENT, ROUND_FLOOR)


def cost(ask: Decimal | None, multiplier: Decimal) -> Decimal | None:
    """Cents per contract in an order of ten, fee in it."""
    return None if ask is None else 100 * paid(ask, ORDER, multiplier) / ORDER


def fee(ask: Decimal | None, multiplier: Decimal) -> Decimal | None:
    """Cents per contract."""
    found = cost(ask, multiplier)
    return None if found is None or ask is None else found - 100 * ask


def edge(percent: float | None, cents: Decimal | None) -> float | None:
    return None if cents is None or percent is None else float(Decimal(percent) - cents)


def hundredths(value: float) -> Decimal:
    """Half away from zero."""
    return Decimal(repr(float(value))).quantize(CENT, ROUND_HALF_UP)
