"""Contracts of the day by what they mean, and as Kalshi writes that.

What a contract asks comes first here, and its `floor_strike`, `cap_strike`, type, ticker and sub
title follow from it: nothing reads bounds out of a market.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Bound = Decimal | None
Fields = dict[str, Any]


@dataclass(frozen=True)
class Contract:
    """`flaw`: why it is left out, as far as it is. `structure`: of its prices."""

    ticker: str
    lower: Bound
    upper: Bound
    fields: Fields = field(default_factory=dict)
    flaw: str | None = None
    structure: str = "linear_cent"


def usd(value: Decimal) -> str:
    """As in Kalshi's titles: $118,500, $53,199.99, $1.3799."""
    text = f"{value.normalize():,f}"
    return f"${text}"


def number(value: Decimal) -> float | int:
    """A JSON number that has exactly these digits."""
    found = int(value) if value == int(value) else float(value)
    assert Decimal(repr(found)) == value
    return found


def greater(event: str, lower: Decimal, unit: Decimal, **fields: Any) -> Contract:
    floor = lower - unit
    return Contract(
        f"{event}-T{floor.normalize():f}",
        lower,
        None,
        {
            "strike_type": "greater",
            "floor_strike": number(floor),
            "yes_sub_title": f"{usd(lower)} or above",
            **fields,
        },
    )


def at_least(event: str, lower: Decimal) -> Contract:
    return Contract(
        f"{event}-G{lower.normalize():f}",
        lower,
        None,
        {"strike_type": "greater_or_equal", "floor_strike": number(lower)},
    )


def less(event: str, upper: Decimal, unit: Decimal) -> Contract:
    return Contract(
        f"{event}-T{upper.normalize():f}",
        None,
        upper,
        {
            "strike_type": "less",
            "cap_strike": number(upper),
            "yes_sub_title": f"{usd(upper - unit)} or below",
        },
    )


def at_most(event: str, upper: Decimal, unit: Decimal) -> Contract:
    return Contract(
        f"{event}-L{upper.normalize():f}",
        None,
        upper,
        {
            "strike_type": "less_or_equal",
            "cap_strike": number(upper - unit),
            "yes_sub_title": f"{usd(upper - unit)} or below",
        },
    )


def between(event: str, lower: Decimal, upper: Decimal, unit: Decimal) -> Contract:
    return Contract(
        f"{event}-B{((lower + upper) / 2).normalize():f}",
        lower,
        upper,
        {
            "strike_type": "between",
            "floor_strike": number(lower),
            "cap_strike": number(upper - unit),
            "yes_sub_title": f"{usd(lower)} to {(upper - unit).normalize():,f}",
        },
    )


def custom(event: str, lower: Decimal, unit: Decimal) -> Contract:
    """As all of Dogecoin's: the strike is in the ticker and in the sub title alone."""
    return Contract(
        f"{event}-T{(lower - unit).normalize():f}",
        lower,
        None,
        {
            "strike_type": "custom",
            "floor_strike": None,
            "custom_strike": {"Price": f"{lower.normalize():f}"},
            "yes_sub_title": f"{usd(lower)} or above",
        },
    )


def left_out(event: str, unit: Decimal, step: Decimal, known: Contract) -> list[Contract]:
    """Markets that nobody may trade on: each is to be named, none to be shown."""
    assert known.lower is not None
    other = greater(event, known.lower + 7 * step, unit)
    wrong = {**other.fields, "yes_sub_title": f"{usd(known.lower)} or above"}
    title = {**other.fields, "yes_sub_title": "Bitcoin to the moon, 118,500"}
    return [
        Contract(f"{event}-X1", None, None, wrong, "a sub title of another strike"),
        Contract(f"{event}-X2", None, None, title, "a sub title that cannot be read"),
        Contract(
            f"{event}-X3",
            None,
            None,
            {"strike_type": "functional", "functional_strike": "x^2"},
            "strike_type functional",
        ),
        Contract(f"{event}-X4", None, None, {"strike_type": "greater"}, "no floor_strike"),
        Contract(
            f"{event}-X5",
            None,
            None,
            {"strike_type": "between", "floor_strike": 3, "cap_strike": 2},
            "bounds that cross",
        ),
        # Behind the one that it is like, by its ticker.
        Contract(f"{known.ticker}-X", known.lower, None, known.fields, "the bounds of another"),
    ]
