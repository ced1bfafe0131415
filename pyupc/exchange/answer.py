"""Judging what an exchange answers: which rows are candles that were asked for; what is a price."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

MINUTE = 60_000
"""In milliseconds, the unit of ccxt's times."""

# The last second of the year 9999.
_LATEST = 253_402_300_799


class Candle(NamedTuple):
    """`minute` is the opening time in minutes since 1970; prices are USD."""

    minute: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True)
class Quote:
    """The price of the last trade and its time; None where the exchange sends none."""

    price: float | None
    at: datetime | None


@dataclass(frozen=True)
class Answer:
    """The good candles in order of time; the problems of the other rows, and their minutes."""

    candles: list[Candle]
    problems: list[str]
    refused: set[int]


def judge(rows: Sequence[Any], first: int, after: int) -> Answer:
    """Sort ccxt's rows (milliseconds, open, high, low, close, volume) into candles and others.

    `first` and `after` are minutes since 1970. Of two contradicting rows neither is taken: nothing
    shows which one is right.
    """
    candles: dict[int, Candle] = {}
    problems: list[str] = []
    refused: set[int] = set()
    latest = first
    for row in rows:
        at = row[0] if isinstance(row, (list, tuple)) and row else None
        if type(at) is not int or not first <= at // MINUTE < after:
            problems.append(f"candle {_named(at)} was not asked for")
            continue
        minute = at // MINUTE
        problem = _problem(row)
        if not problem and candles.get(minute) == _candle(row):
            problems.append(f"candle {_named(at)} came twice")
            continue
        if not problem and (minute in candles or minute in refused):
            problem = "came twice, with different values"
        if not problem and minute < latest:
            problem = "came out of order"
        latest = max(latest, minute)
        if problem:
            problems.append(f"candle {_named(at)} {problem}")
            candles.pop(minute, None)
            refused.add(minute)
        else:
            candles[minute] = _candle(row)
    return Answer(list(candles.values()), problems, refused)


def quote_of(ticker: Mapping[str, Any]) -> Quote:
    """The last price of ccxt's ticker."""
    at = ticker.get("timestamp")
    return Quote(
        _price(ticker.get("last")),
        datetime.fromtimestamp(at / 1000, UTC) if isinstance(at, (int, float)) else None,
    )


def is_list(answer: Any) -> bool:
    """True if JSON holds a list, however deep in dictionaries, and is no message instead.

    null is an empty list, and so is an empty dictionary: servers differ.
    """
    return bool(_lists(answer)) or answer == {}


def is_empty(answer: Any) -> bool:
    """True if all lists in it are empty."""
    return not any(_lists(answer))


def _lists(answer: Any) -> list[Any]:
    if isinstance(answer, dict):
        return [each for value in answer.values() for each in _lists(value)]
    return [answer] if answer is None or isinstance(answer, list) else []


def short(value: object) -> str:
    """The value as one line of text, cut after 200 characters."""
    text = " ".join(str(value).split())
    return text if len(text) <= 200 else f"{text[:200]}…"


def _candle(row: Sequence[Any]) -> Candle:
    return Candle(row[0] // MINUTE, *map(float, row[1:6]))


def _problem(row: Sequence[Any]) -> str:
    """The reason why a row is no candle, whatever the others are; empty if it is one."""
    if row[0] % MINUTE:
        return "is not on a minute"
    if len(row) < 6:
        return "lacks values"
    for name, value in zip(Candle._fields[1:], row[1:6], strict=True):
        if not (_is_number(value) and (value > 0 or (value == 0 and name == "volume"))):
            return f"has {name} {short(value)}"
    _, opened, high, low, closed, *_ = row
    if high < low:
        return f"has high {short(high)} below low {short(low)}"
    for name, value in (("open", opened), ("close", closed)):
        if not low <= value <= high:
            return f"has {name} {short(value)} outside of low {short(low)} to high {short(high)}"
    return ""


def _price(value: Any) -> float | None:
    """A finite number above zero, which may be written as text."""
    try:
        price = float(value)
    except (TypeError, ValueError):
        return None
    return price if 0 < price < math.inf else None


def _is_number(value: Any) -> bool:
    """True for a finite number that a float can hold."""
    with suppress(OverflowError):
        return type(value) in (int, float) and math.isfinite(float(value))
    return False


def _named(at: Any) -> str:
    if type(at) is int and 0 <= at // 1000 <= _LATEST:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at // 1000))
    return short(repr(at))
