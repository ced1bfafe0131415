"""Differences between what was found and what was worked out, each with its place."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tests.kalshi.day.documents import Rounded

NEAR = 1e-9


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def is_same(found: Any, expected: Any) -> bool:
    """Floats to about nine digits; texts, exact numbers and NULLs as they are."""
    if isinstance(expected, Rounded):
        return _is_number(found) and _is_rounded(Decimal(str(found)), expected)
    if not (_is_number(found) and _is_number(expected)):
        return type(found) is type(expected) and bool(found == expected)
    if isinstance(expected, float):
        return abs(float(found) - expected) <= NEAR * max(1.0, abs(expected))
    return Decimal(str(found)) == Decimal(str(expected))


def _is_rounded(found: Decimal, expected: Rounded) -> bool:
    """Half away from zero; what is half but for its last digits may go either way."""
    digit = Decimal(1).scaleb(-expected.decimals)
    if found == Decimal(repr(float(expected.value))).quantize(digit, ROUND_HALF_UP):
        return True
    is_short = found == found.quantize(digit)
    near = float(digit) / 2 + NEAR * max(1.0, abs(expected.value))
    return is_short and abs(float(found) - expected.value) <= near and _is_half(expected)


def _is_half(expected: Rounded) -> bool:
    places = 10**expected.decimals
    return bool(abs(abs(expected.value * places % 1) - 0.5) < 1e-6)


def differences(where: str, found: Any, expected: Any) -> Iterator[str]:
    """Of objects key by key, of lists place by place."""
    if isinstance(expected, dict) and isinstance(found, dict):
        if found.keys() != expected.keys():
            yield f"{where}: keys {sorted(found.keys() ^ expected.keys())}"
        for key in expected.keys() & found.keys():
            yield from differences(f"{where} {key}", found[key], expected[key])
    elif isinstance(expected, list) and isinstance(found, list):
        if len(found) != len(expected):
            yield f"{where}: {len(found)} instead of {len(expected)}"
        for place, pair in enumerate(zip(found, expected, strict=False)):
            yield from differences(f"{where}[{_name(pair[1], place)}]", *pair)
    elif not is_same(found, expected):
        yield f"{where} is {found!r}, expected {expected!r}"


def _name(row: Any, place: int) -> str:
    """The ticker or strike of a row."""
    if isinstance(row, dict):
        return str(row.get("ticker") or row.get("strike") or place)
    return str(place)
