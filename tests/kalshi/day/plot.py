"""The plot of the day: every event of every coin with its story."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from tests.kalshi.day.books import dice_of
from tests.kalshi.day.coins import DAY
from tests.kalshi.day.events import (
    DAILY,
    HOUR,
    QUARTER,
    SECOND,
    Event,
    Story,
    above_event,
    range_event,
    updown_event,
)
from tests.kalshi.day.prices import Market

# Trading is paused in the middle of these; `halted` is a status that nobody knows yet.
NOON = DAY + 12 * HOUR
STOPPED = (NOON + 20 * 60 * SECOND, NOON + 32 * 60 * SECOND, "inactive")
UNKNOWN = (NOON + 32 * 60 * SECOND, NOON + 40 * 60 * SECOND, "halted")

ENDS = ("plain", "plain", "amended", "scalar", "plain", "void")


def hourly_story(closes_at: datetime, name: str) -> Story:
    dice = dice_of("story", name)
    number = (closes_at.hour + int(dice.integers(0, 6))) % len(ENDS)
    return Story(
        paused=(STOPPED, UNKNOWN) if number % 2 else (),
        early=closes_at - 17 * 60 * SECOND if closes_at.hour % 8 == 5 else None,
        early_market=closes_at - 30 * 60 * SECOND if closes_at.hour % 4 == 3 else None,
        ends=ENDS[number],
        disputed=bool(number % 3),
    )


def quarter_story(closes_at: datetime, name: str) -> Story:
    dice = dice_of("story", name, closes_at)
    return Story(
        paused=(STOPPED, UNKNOWN),
        early=closes_at - 4 * 60 * SECOND if dice.random() < 0.1 else None,
        known_after=int(dice.integers(2, 40)) * SECOND,
        changes_after=60 * SECOND if dice.random() < 0.3 else None,
        cut=bool(dice.random() < 0.4),
        title_off=-1 if dice.random() < 0.3 else 0,
        round_digits=bool(dice.random() < 0.5),
        ends=ENDS[int(dice.integers(0, len(ENDS)))],
        disputed=bool(dice.random() < 0.5),
        timer=48 * SECOND,
    )


def events_of(market: Market) -> Iterator[Event]:
    coin = market.coin
    for hour in range(1, 24):
        closes_at = DAY + hour * HOUR
        for make, series in ((above_event, coin.above_series), (range_event, coin.range_series)):
            yield make(market, closes_at, hourly_story(closes_at, series))
    for quarter in range(1, 24 * 4):
        closes_at = DAY + quarter * QUARTER
        yield updown_event(market, closes_at, quarter_story(closes_at, coin.symbol))


def daily_of(events: list[Event]) -> list[Event]:
    return [event for event in events if event.closes_at == DAILY and event.kind == "above"]
