"""Prices, counts and numbers of trades, as people type them: exact, or refused."""

from __future__ import annotations

import re
from decimal import Decimal

import click

from pyupc.errors import UsageProblem

# Twelve digits each way are more than any price or count has.
_DECIMAL = re.compile(r"[+-]?(\d{1,12}(\.\d{0,12})?|\.\d{1,12})", re.ASCII)
_CENTS = re.compile(r"(\d{1,2}(?:\.\d{0,10})?) ?[c¢]", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)


Parameter = click.Parameter


def price(ctx: click.Context, parameter: Parameter, text: str | None) -> Decimal | None:
    """USD per contract: 0.85, or cents that say so. What is out of range the database refuses."""
    if text is None or _DECIMAL.fullmatch(text.strip()):
        return None if text is None else Decimal(text.strip())
    cents = _CENTS.fullmatch(text.strip())
    # Less than a cent is more likely dollars with a letter too many.
    if cents and Decimal(cents[1]) >= 1:
        return Decimal(cents[1]).scaleb(-2)
    raise UsageProblem(f"this is no price: {text!r}", "write 85 cents as 0.85 or as 85c")


def count(ctx: click.Context, parameter: Parameter, text: str | None) -> Decimal | None:
    """Contracts, which may have fractions."""
    if text is None or _DECIMAL.fullmatch(text.strip()):
        return None if text is None else Decimal(text.strip())
    raise UsageProblem(f"this is no number of contracts: {text!r}", "write it as 10, or as 2.5")


def fee(ctx: click.Context, parameter: Parameter, text: str | None) -> Decimal | None:
    """USD, of all contracts of a fill."""
    if text is None or _DECIMAL.fullmatch(text.strip()):
        return None if text is None else Decimal(text.strip())
    cents = _CENTS.fullmatch(text.strip())
    if cents:
        return Decimal(cents[1]).scaleb(-2)
    raise UsageProblem(f"this is no fee: {text!r}", "write 9 cents as 0.09 or as 9c")


def trade_id(ctx: click.Context, parameter: Parameter, text: str | None) -> int | None:
    """What `trades open` told."""
    if text is None or _WHOLE.fullmatch(text):
        return None if text is None else int(text)
    raise UsageProblem(f"this is no number of a trade: {text!r}", "see: pyupc trades list --all")
