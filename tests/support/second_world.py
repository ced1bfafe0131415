"""A simulated source of known volatility: candles, and variances of its one-second prices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from tests.support.engine import Candles, Connection, minute

Floats = NDArray[np.float64]

# Jumps: how many in a day, and the standard deviation of their logarithmic size.
JUMPS = 6
JUMP_SIZE = 2e-3


@dataclass(frozen=True)
class World:
    """What is seen of each minute, and the variance that its price was made with, jumps apart."""

    candles: Candles
    variances: Floats
    robust: Floats
    true: Floats

    @property
    def minutes(self) -> NDArray[np.int64]:
        return self.candles.minutes


def _wandering(dice: np.random.Generator, length: int, half_life: float, size: float) -> Floats:
    """A logarithm that returns to 0 by half in so many minutes."""
    share = 0.5 ** (1 / half_life)
    shocks = dice.normal(0, size * np.sqrt(1 - share**2), length)
    found = np.empty(length)
    level = dice.normal(0, size)
    for place, shock in enumerate(shocks.tolist()):
        level = share * level + shock
        found[place] = level
    return found


def _sums(values: Floats, width: int) -> Floats:
    """Of the last so many, fewer at the beginning."""
    total: Floats = np.cumsum(values)
    before: Floats = np.concatenate([np.zeros(width), total[:-width]])
    return total - before


def world(
    seed: int, since: str, days: int, *, fast: float = 20, tick: float = 1e-5, noise: float = 0.8
) -> World:
    """A price a second. The logarithm of the variance of a minute has a day, and two parts that
    wander: one that returns by half in a day, and one in `fast` minutes. Prices are rounded to
    `tick`, a logarithm. Volumes go along with the volatility, and with much else.
    """
    dice = np.random.default_rng(seed)
    length = days * 1440
    start = minute(since)
    minutes = np.arange(start, start + length, dtype=np.int64)
    day = 0.5 * np.cos(2 * np.pi * (minutes % 1440 - 870) / 1440)
    level = day + _wandering(dice, length, 1440, 0.7) + _wandering(dice, length, fast, 0.6)
    true = 2.5e-7 * np.exp(level)
    steps = dice.normal(0, 1, (length, 60)) * np.sqrt(true / 60)[:, None]
    steps += (dice.random((length, 60)) < JUMPS / 86_400) * dice.normal(0, JUMP_SIZE, (length, 60))
    path = np.round(steps.ravel().cumsum() / tick) * tick
    returns = np.diff(path, prepend=0.0).reshape(length, 60)
    path = path.reshape(length, 60)
    closes = path[:, -1]
    opens = np.concatenate([[0.0], closes[:-1]])
    volumes = 1e5 * np.sqrt(true) * np.exp(_wandering(dice, length, 60, 0.5))
    volumes *= dice.lognormal(0, noise, length)
    highs, lows = np.maximum(opens, path.max(axis=1)), np.minimum(opens, path.min(axis=1))
    opens, highs, lows, closes = (40_000 * np.exp(log) for log in (opens, highs, lows, closes))
    candles = Candles(minutes, opens, highs, lows, closes, volumes)
    squares = returns**2
    variances = squares.sum(axis=1)
    level = _sums(variances, 15) / _sums(np.full(length, 60.0), 15)
    robust = np.minimum(squares, 25 * level[:, None]).sum(axis=1)
    return World(candles, variances, robust, true)


def put_seconds(
    conn: Connection,
    minutes: NDArray[np.int64],
    variances: Floats,
    robust: Floats,
    *,
    exchange: str = "x",
    symbol: str = "BTC",
) -> None:
    """COPY realised variances into their table, as noted from a price in every second."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    rows: Any = zip(minutes.tolist(), variances.tolist(), robust.tolist(), strict=True)
    query = (
        b"COPY upc_data.minute_variance (symbol, exchange, minute_at, variance, robust_variance,"
        b" seconds) FROM STDIN (FORMAT BINARY)"
    )
    with conn.cursor().copy(query) as copy:
        copy.set_types(["text", "text", "timestamptz", "float8", "float8", "int2"])
        for at, variance, cut in rows:
            when = epoch + timedelta(minutes=at)
            copy.write_row((symbol, exchange, when, variance, cut, 60))


def true_above(variance: Floats, minutes: int, strikes: Floats) -> Floats:
    """Given the variance that was to come, and any number of jumps."""
    rate = JUMPS * minutes / 1440
    found = np.zeros_like(strikes)
    for jumps in range(6):
        deviation = np.sqrt(variance + jumps * JUMP_SIZE**2)[:, None]
        share = np.exp(-rate) * rate**jumps / factorial(jumps)
        found += share * norm.sf(strikes / deviation)
    return found


def loss(said: Floats, true: Floats) -> Floats:
    """Expected log loss of each place."""
    p = np.clip(said, 1e-4, 1 - 1e-4)
    found: Floats = -(true * np.log(p) + (1 - true) * np.log(1 - p)).mean(axis=1)
    return found
