"""Prices of a coin, second by second of the day, and its candles: of the day and of days before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import numpy as np

from tests.kalshi.day.coins import COINS, DAY, Coin
from tests.support.engine import Candles, minute
from tests.support.readings import Floats
from tests.support.volatile_candles import volatile_candles

# Enough for a forecast, which wants a day of candles behind each of its starting minutes.
DAYS_BEFORE = 3
SECONDS = 86_400


@dataclass(frozen=True)
class Market:
    """`seconds`: the price at each second of the day, the first of them its beginning."""

    coin: Coin
    before: Candles
    seconds: Floats

    def at(self, instant: datetime) -> float:
        return float(self.seconds[int((instant - DAY).total_seconds())])

    def candles(self, since: datetime, until: datetime) -> Candles:
        """Those of the day that open in [since, until)."""
        first = int((since - DAY).total_seconds()) // 60
        last = int((until - DAY).total_seconds()) // 60
        of_minute = np.stack([self.seconds[60 * m : 60 * m + 61] for m in range(first, last)])
        return Candles(
            minute(DAY.strftime("%Y-%m-%dT%H:%M")) + np.arange(first, last),
            of_minute[:, 0],
            of_minute.max(axis=1),
            of_minute.min(axis=1),
            of_minute[:, -1],
        )

    def settlement(self, closes_at: datetime) -> Decimal:
        """The mean of the sixty prices before an instant, with the digits of the series."""
        last = int((closes_at - DAY).total_seconds())
        sixty = [Decimal(repr(float(price))) for price in self.seconds[last - 59 : last + 1]]
        return (sum(sixty, Decimal(0)) / 60).quantize(self.coin.unit, ROUND_HALF_UP)


def make(coin: Coin) -> Market:
    seed = 1600 + COINS.index(coin)
    since = DAY - timedelta(days=DAYS_BEFORE)
    history = volatile_candles(seed, since.strftime("%Y-%m-%dT%H:%M"), DAYS_BEFORE * 1440)
    factor = coin.price / float(history.closes[-1])
    before = Candles(
        history.minutes,
        *(
            np.round(factor * column, coin.decimals)
            for column in (history.opens, history.highs, history.lows, history.closes)
        ),
    )
    dice = np.random.default_rng(seed)
    # Volatility comes and goes within an hour or two; now and then there is a jump.
    calm = np.exp(0.5 * np.sin(np.arange(SECONDS + 1) / 900 + seed))
    steps = 0.00008 * calm * dice.standard_t(5, SECONDS + 1)
    path = coin.price * np.exp(steps.cumsum())
    return Market(coin, before, np.round(path, coin.decimals))
