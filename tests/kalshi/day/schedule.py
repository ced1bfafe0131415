"""The instants of the day at which everything is compared, and what the tape holds around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.kalshi.day.books import dice_of
from tests.kalshi.day.coins import DAY
from tests.kalshi.day.tape import WEIGHTS

SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Way:
    """How probabilities are asked for. None: the default."""

    model: str | None = None
    method: str | None = None
    settlement: str | None = None


DEFAULT = Way()
LEGACY = Way("momentum", "nearest", "close")
WAYS = (
    DEFAULT,
    LEGACY,
    Way("momentum", "linear", "average"),
    Way("baseline", "linear", None),
    Way("volatility", "nearest", "average"),
    Way("baseline", "nearest", "average"),
)


@dataclass(frozen=True)
class Instant:
    """`price_age`, `quote_age`: seconds since the last price came, and since quotes were read.

    `way` is that of the tick. `seen_for`: how far before the instant the tape begins, seconds.
    `frozen`: for so many seconds the exchange has reported one price. `looks_ahead`: events that
    are yet to open are read, too. `reads_status`: that of the exchange is read.
    `trades`: contracts are bought.
    """

    at: datetime
    price_age: float = 0
    quote_age: float = 1
    way: Way = DEFAULT
    seen_for: float = 4
    frozen: float = 0
    looks_ahead: bool = False
    reads_status: bool = True
    trades: bool = False


def _at(text: str) -> datetime:
    hours, minutes, seconds = text.split(":")
    return DAY + timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds))


def instants() -> list[Instant]:
    """Just before and after each close, in last minutes, in pauses, right after roll-over, before
    the price to beat is known, and after amendments."""
    plain = {
        # The tape of the day before has ended: momentum is that of candles.
        "0:05:10": {},
        "5:03:20": {"way": LEGACY},
        # The pause of Thursday.
        "8:00:05": {},
        "9:31:07.5": {"way": WAYS[2]},
        "9:45:00": {},
        # What the exchange said more than a minute ago says nothing any more.
        "9:46:30": {"reads_status": False},
        "11:59:02": {"looks_ahead": True},
        "11:59:59.5": {},
        "12:00:00": {"quote_age": 0},
        "12:00:02.25": {"quote_age": 0.2},
        "12:00:09": {"way": LEGACY},
        "12:00:50": {},
        "12:01:45": {"way": WAYS[3], "trades": True},
        "12:03:00": {},
        "12:04:30": {},
        "12:07:00": {"way": WAYS[3]},
        "12:14:05": {},
        "12:14:30.25": {"way": WAYS[4]},
        "12:14:59.9": {},
        "12:15:01": {},
        "12:25:00": {},
        "12:35:30": {"way": WAYS[5]},
        "12:42:59.75": {"trades": True},
        "12:43:04": {},
        "12:43:30": {"way": LEGACY},
        "12:45:20": {},
        "12:59:00": {},
        "12:59:30": {"way": WAYS[2]},
        "12:59:59": {"way": LEGACY},
        "13:00:03": {},
        "13:05:30": {"way": WAYS[5]},
        "14:29:50": {"looks_ahead": True, "trades": True},
        "14:30:03": {},
        "14:30:30": {"way": WAYS[3]},
        # Half of the last minute has not been seen.
        "14:44:40": {"seen_for": 20},
        # Prices and quotes of every age.
        "15:10:00": {"price_age": 18},
        "15:12:00": {"price_age": 40},
        "15:14:00": {"price_age": 75},
        "15:16:00": {"quote_age": 22},
        "15:18:00": {"quote_age": 45, "way": WAYS[2]},
        "15:20:00": {"quote_age": 70},
        "15:22:00": {"frozen": 33},
        "20:59:59": {"way": WAYS[2]},
        "21:00:00": {},
        "21:31:00": {"way": WAYS[4], "trades": True},
        "21:59:20": {"looks_ahead": True, "way": LEGACY},
        "22:00:01": {},
        "22:06:00": {},
    }
    return [Instant(_at(text), **options) for text, options in plain.items()]  # type: ignore[arg-type]


def is_last_minute(at: datetime) -> bool:
    return at.minute % 15 == 14


def _silent(chosen: list[Instant]) -> set[int]:
    """Seconds without a price, and those before the day."""
    found = set(range(-3600, 0))
    for instant in chosen:
        since = int((instant.at - DAY).total_seconds())
        found.update(range(since - int(instant.price_age) + 1, since + 1))
    return found


def logged(symbol: str, chosen: list[Instant]) -> Iterator[tuple[datetime, datetime, int]]:
    """Every second that the tape has, when its price came in, and the second whose price it is."""
    seconds: dict[int, int] = {}
    for place, instant in enumerate(chosen):
        since = int((instant.at - DAY).total_seconds())
        if place % 2:
            # Half of the momenta find their earlier prices on the tape, the others among candles.
            earlier = [since - 60 * lag - back for lag in WEIGHTS for back in (1, 3)]
            seconds.update({each: each for each in earlier if each not in seconds})
        seen = 66.0 if is_last_minute(instant.at) and instant.seen_for == 4 else instant.seen_for
        seen = max(seen, instant.frozen)
        last = int((instant.at - DAY).total_seconds() - instant.price_age)
        for second in range(int(last - seen), last + 1):
            # Prices come as they like; at times there is none for some seconds.
            if second > last - 4 or instant.frozen or dice_of(second).random() < 0.4:
                seconds[second] = last if instant.frozen else second
    for second in sorted(seconds.keys() - _silent(chosen)):
        exchange_at = DAY + second * SECOND
        delay = float(dice_of(symbol, "delay", second).uniform(0.02, 0.9))
        received_at = exchange_at + timedelta(microseconds=round(1e6 * delay))
        yield exchange_at, received_at, seconds[second]
