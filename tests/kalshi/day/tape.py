"""Logged prices of a coin: what is known of its price at an instant, by the tape alone."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.kalshi.day.prices import Market
from tests.support.engine import minute

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
# Minutes that momentum looks back, and what each move weighs.
WEIGHTS = {1: 0.30, 2: 0.25, 3: 0.20, 4: 0.15, 15: 0.05, 30: 0.05}
FRESH, WARN, STALE = 15 * SECOND, 30 * SECOND, 60 * SECOND
FROZEN = 30 * SECOND


@dataclass(frozen=True)
class Price:
    received_at: datetime
    exchange_at: datetime
    price: float


@dataclass(frozen=True)
class Seen:
    """The price of an instant, its state, and momentum with its deltas where it is known."""

    price: float
    state: str
    momentum: float | None
    deltas: dict[int, float | None]


def freshness(age: timedelta) -> str:
    if age <= FRESH:
        return "fresh"
    if age <= WARN:
        return "warn"
    return "stale" if age <= STALE else "halted"


@dataclass
class Tape:
    market: Market
    prices: list[Price] = field(default_factory=list)

    def _last(self, at: datetime) -> int:
        """How many came in by then."""
        return bisect_right(self.prices, at, key=lambda each: each.received_at)

    def seen(self, at: datetime) -> Seen:
        count = self._last(at)
        newest = self.prices[count - 1]
        state = freshness(at - min(newest.received_at, newest.exchange_at))
        same = newest
        for each in reversed(self.prices[:count]):
            if (
                each.price != newest.price
                or newest.received_at - each.received_at >= 60 * 60 * SECOND
            ):
                break
            same = each
        if at - same.received_at >= FROZEN and state != "halted":
            state = "stale"
        earlier = {lag: self._earlier(at - lag * 60 * SECOND) for lag in WEIGHTS}
        deltas = {
            lag: None if before is None else 100 * (newest.price - before) / before
            for lag, before in earlier.items()
        }
        known = [delta for delta in deltas.values() if delta is not None]
        momentum = None
        if len(known) == len(WEIGHTS):
            momentum = 100 * sum(
                weight * delta for weight, delta in zip(WEIGHTS.values(), known, strict=True)
            )
        return Seen(newest.price, state, momentum, deltas)

    def _earlier(self, at: datetime) -> float | None:
        """The logged price, at most 5 s older, else the last close, at most a minute older."""
        count = self._last(at)
        if count and self.prices[count - 1].received_at >= at - 5 * SECOND:
            return self.prices[count - 1].price
        return self.close(at)

    def close(self, at: datetime) -> float | None:
        """Of the last candle closed by an instant: the price at its end."""
        ends_at = at.replace(second=0, microsecond=0)
        history = self.market.before
        if minute(ends_at.strftime("%Y-%m-%dT%H:%M")) - 1 <= int(history.minutes[-1]):
            place = minute(ends_at.strftime("%Y-%m-%dT%H:%M")) - 1 - int(history.minutes[0])
            return float(history.closes[place])
        return self.market.at(ends_at)

    def average(self, closes_at: datetime, at: datetime) -> float | None:
        """The mean since a minute before the close, each price for as long as it was the newest."""
        since = closes_at - 60 * SECOND
        first, last = self._last(since - 5 * SECOND), self._last(at)
        window = self.prices[first:last]
        if not window or window[0].received_at > since or at <= since:
            return None
        ends = [*(each.received_at for each in window[1:]), at]
        pairs = list(zip(window, ends, strict=True))
        if any(end - each.received_at > FRESH for each, end in pairs):
            return None
        lasted = [
            max(timedelta(0), end - max(each.received_at, since)).total_seconds()
            for each, end in pairs
        ]
        total = sum(each.price * seconds for each, seconds in zip(window, lasted, strict=True))
        return total / sum(lasted) if sum(lasted) else None
