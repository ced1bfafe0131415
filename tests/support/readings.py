"""Helpers shared by the tests of models, methods and settlements."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.engine import Candles, Connection, minute, walk

Floats = NDArray[np.float64]
Row = dict[str, Any]

PRICE = 100_000.0
PLAIN_MODELS = ("momentum", "baseline")
MODELS = (*PLAIN_MODELS, "volatility")
METHODS = ("nearest", "linear")
SETTLEMENTS = ("close", "average")


def table(conn: Connection, query: str, *parameters: Any) -> list[Row]:
    rows = conn.execute(query.encode(), parameters or None)
    names = [column.name for column in rows.description or []]
    return [dict(zip(names, row, strict=True)) for row in rows]


def strikes(conn: Connection, price: float = PRICE, **arguments: Any) -> list[Row]:
    """The rows of compute_strikes; a float where it takes one."""
    named = "".join(f", {name} => %s" for name in arguments)
    query = f"SELECT * FROM upc.compute_strikes(%s{named})"
    return table(conn, query, price, *arguments.values())


def column(rows: list[Row], name: str) -> Floats:
    return np.array([row[name] for row in rows], dtype=np.float64)


def volatile_candles(seed: int, since: str, length: int, *, price: float = PRICE) -> Candles:
    """A random walk whose candles have ranges, more volatile by day than by night."""
    dice = np.random.default_rng(seed)
    closes = walk(seed, since, length, price=price, volatility=0.0006).closes
    minutes = np.arange(minute(since), minute(since) + length, dtype=np.int64)
    day = 1.2 + np.sin(2 * np.pi * (minutes % 1440) / 1440)
    opens = np.concatenate([closes[:1], closes[:-1]])
    wick = 0.0004 * day[:, None] * dice.exponential(1, (length, 2))
    highs = np.round(np.maximum(opens, closes) * (1 + wick[:, 0]), 2)
    lows = np.round(np.minimum(opens, closes) * (1 - wick[:, 1]), 2)
    return Candles(minutes, opens, highs, lows, closes)


def level(curve: Floats, other: Floats, thresholds: Floats) -> Floats:
    """A curve whose two sides meet at no move: half of what does not move is on either side."""
    met = curve.copy()
    if thresholds[0] == 0:
        met[..., 0] = (curve[..., 0] + 100 - other[..., 0]) / 2
    return met
