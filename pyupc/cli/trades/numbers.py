"""Prices, counts, fees and numbers of trades as typed: parsed exactly, or refused."""

from __future__ import annotations

import re
from decimal import Decimal

import click

from pyupc.errors import UsageProblem

# No price or count needs more than twelve digits on either side of the point.
_DECIMAL = re.compile(r"[+-]?(\d{1,12}(\.\d{0,12})?|\.\d{1,12})", re.ASCII)
_CENTS = re.compile(r"(\d{1,2}(?:\.\d{0,10})?) ?[c¢]", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)


Parameter = click.Parameter


def price(ctx: click.Context, parameter: Parameter, text: str | None) -> Decimal | None:
    """Parse USD per contract: 0.85, or 85c. The database checks the range."""
    if text is None or _DECIMAL.fullmatch(text.strip()):
        return None if text is None else Decimal(text.strip())
    cents = _CENTS.fullmatch(text.strip())
    # Less than a cent is more likely dollars with a stray letter.
    if cents and Decimal(cents[1]) >= 1:
        return Decimal(cents[1]).scaleb(-2)
    raise UsageProblem(f"invalid price: {text!r}", "write 85 cents as 0.85 or 85c")


def count(ctx: click.Context, parameter: Parameter, text: str | None) -> Decimal | None:
    """Parse a number of contracts, which may have a fraction."""
    if text is None or _DECIMAL.fullmatch(text.strip()):
        return None if text is None else Decimal(text.strip())
    raise UsageProblem(f"invalid number of contracts: {text!r}", "write it as 10 or 2.5")


def fee(ctx: click.Context, parameter: Parameter, text: str | None) -> Decimal | None:
    """Parse a fee in USD, for all contracts of a fill."""
    if text is None or _DECIMAL.fullmatch(text.strip()):
        return None if text is None else Decimal(text.strip())
    cents = _CENTS.fullmatch(text.strip())
    if cents:
        return Decimal(cents[1]).scaleb(-2)
    raise UsageProblem(f"invalid fee: {text!r}", "write 9 cents as 0.09 or 9c")


def trade_id(ctx: click.Context, parameter: Parameter, text: str | None) -> int | None:
    """Parse a trade's number, as `trades open` prints it."""
    if text is None or _WHOLE.fullmatch(text):
        return None if text is None else int(text)
    raise UsageProblem(f"invalid trade number: {text!r}", "list them: pyupc trades list --all")
