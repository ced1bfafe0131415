"""The probability between two bounds in numpy, from the curves as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.support.engine import Candles, Connection, scalar
from tests.support.readings import PRICE, Floats, Row, table, volatile_candles
from tests.support.volatility_reference import LONG

Z2 = 3.841458820694124  # of 95 percent
Bound = float | None
# Close together where most moves end; then each 15 % further, up to 40.
Z_THRESHOLDS = np.array(
    [0.075 * k for k in range(40)] + [round(3 * (40 / 3) ** (k / 19), 3) for k in range(20)]
)
MOVE_THRESHOLDS = np.arange(60, dtype=np.float64) / 20


@dataclass(frozen=True)
class Question:
    """As probability_between takes it, with the time to the close."""

    ttc: int
    model: str
    method: str
    settlement: str
    momentum: float | None = None
    volatility: float | None = None
    observed: float | None = None
    price: float = PRICE

    def named(self) -> dict[str, Any]:
        return {
            "momentum": self.momentum,
            "ttc_seconds": self.ttc,
            "model": self.model,
            "method": self.method,
            "settlement": self.settlement,
            "volatility": self.volatility,
            "observed": self.observed,
        }


def stepwise_candles(seed: int) -> Candles:
    """Candles whose prices are multiples of 20: many minutes end where they began."""
    found = volatile_candles(seed, "2026-03-02", 4 * 1440)
    prices = (found.opens, found.highs, found.lows, found.closes)
    return Candles(found.minutes, *(np.round(column / 20) * 20 for column in prices))


def between(
    conn: Connection, question: Question, pairs: Sequence[tuple[Bound, Bound]]
) -> list[Row]:
    """The answers of probability_between, pair by pair."""
    named = "".join(f", {name} => %s" for name in question.named())
    return table(
        conn,
        "SELECT b.* FROM unnest(%s::float8[], %s::float8[]) WITH ORDINALITY AS p (lower, upper, k) "
        f"CROSS JOIN LATERAL upc.probability_between(%s, p.lower, p.upper{named}) AS b "
        "ORDER BY p.k",
        [lower for lower, _ in pairs],
        [upper for _, upper in pairs],
        question.price,
        *question.named().values(),
    )


@dataclass(frozen=True)
class Side:
    """Curves of both directions, and what they count as in starting minutes."""

    up: Floats
    down: Floats
    effective: float
    weighted: float

    def to(self, other: Side, share: float, *, of_weighted: float | None = None) -> Side:
        """`share` of the way to the other."""
        rest = 1 - share
        return Side(
            rest * self.up + share * other.up,
            rest * self.down + share * other.down,
            rest * self.effective + share * other.effective,
            self.weighted
            + (share if of_weighted is None else of_weighted) * (other.weighted - self.weighted),
        )


def ahead(ttc: int, settlement: str) -> tuple[int, float]:
    """How many of the 60 values that settle are ahead, and after how many seconds the price itself
    has the variance of their mean."""
    if settlement == "close":
        return 60, float(ttc)
    seconds = np.arange(max(1, ttc - 59), ttc + 1)
    return len(seconds), float(np.minimum.outer(seconds, seconds).mean()) if ttc else 0.0


def above(conn: Connection, question: Question, bounds: Floats) -> tuple[Floats, float, float]:
    """P(value >= bound) in percent, and the sizes of the curve, infinite where all is known."""
    q = question
    left, seconds = ahead(q.ttc, q.settlement)
    deciding = bounds
    if q.settlement == "average" and q.ttc < 60:
        assert q.observed is not None
        if not left:
            return np.where(q.observed >= bounds, 100.0, 0.0), np.inf, np.inf
        deciding = (60 * bounds - (60 - left) * q.observed) / left
    elif q.ttc == 0 and (q.method == "linear" or q.model == "volatility"):
        return np.where(q.price >= bounds, 100.0, 0.0), np.inf, np.inf
    moves = 100 * (deciding - q.price) / q.price
    side, unit, thresholds = curve(conn, q, seconds)
    met = (side.up[0] + 100 - side.down[0]) / 2
    up, down = side.up.copy(), side.down.copy()
    up[0], down[0] = met, 100 - met
    x = moves / unit
    if q.method == "linear":
        found = np.where(x > 0, np.interp(x, thresholds, up), 100 - np.interp(-x, thresholds, down))
    else:
        place = np.abs(np.abs(x)[:, None] - thresholds).argmin(axis=1)
        found = np.where(x > 0, up[place], 100 - down[place])
    return found, side.effective, side.weighted


def curve(conn: Connection, q: Question, seconds: float) -> tuple[Side, float, Floats]:
    """The curve of a time, what moves in percent are divided by, and its thresholds."""
    if q.model == "volatility" and seconds > 3600:
        return long_side(conn, q, seconds), deviation(conn, q, seconds), Z_THRESHOLDS
    minutes = min(60.0, max(1.0, seconds / 60))
    if q.method == "nearest":
        minutes = float(np.ceil(minutes - 0.5))
    whole = int(minutes)
    share = minutes - whole
    bucket = 99 if q.momentum is None else int(np.clip(np.rint(q.momentum), -30, 30))
    if q.model == "volatility":
        rows = stored(conn, "volatility_curve", bucket)
        side = rows[whole].to(rows[min(60, whole + 1)], share, of_weighted=0)
        return side, deviation(conn, q, seconds), Z_THRESHOLDS
    own = stored(conn, "fingerprint_curve", 99 if q.model == "baseline" else bucket)
    side = own[whole].to(own[min(60, whole + 1)], share)
    is_short = q.method == "linear" and seconds < 60
    return side, float(np.sqrt(seconds / 60)) if is_short else 1.0, MOVE_THRESHOLDS


def long_side(conn: Connection, q: Question, seconds: float) -> Side:
    """Between the curves of an hour, of the bucket, and of the longer times, of all minutes."""
    bucket = 99 if q.momentum is None else int(np.clip(np.rint(q.momentum), -30, 30))
    far = {
        row["minutes"]: Side(
            np.array(row["positive"]),
            np.array(row["negative"]),
            row["effective_size"],
            row["weighted_size"],
        )
        for row in table(conn, "SELECT * FROM upc.horizon_curve WHERE symbol = 'BTC'")
    }
    hour = stored(conn, "volatility_curve", bucket)[60]
    if not far:
        return hour
    sides = [hour, *(far[minutes] for minutes in LONG)]
    listed = np.array([60, *LONG])
    place = float(np.interp(min(seconds / 60, 1440), listed, np.arange(10)))
    share = place % 1
    if q.method == "nearest":
        share = float(share > 0.5)
    return sides[int(place)].to(sides[min(9, int(place) + 1)], share)


def stored(conn: Connection, view: str, bucket: int) -> dict[int, Side]:
    where = "AND origin = 'built'" if view == "fingerprint_curve" else ""
    return {
        row["minutes"]: Side(
            np.array(row["positive"]),
            np.array(row["negative"]),
            row["effective_size"],
            row["weighted_size"],
        )
        for row in table(
            conn, f"SELECT * FROM upc.{view} WHERE symbol = 'BTC' {where} AND bucket = %s", bucket
        )
    }


def deviation(conn: Connection, q: Question, seconds: float) -> float:
    """Percent; of a volatility that is given, the share that the forecast has of that time."""
    variances = np.array(scalar(conn, "SELECT upc._known_variances('BTC')"))

    def variance(time: float) -> float:
        # In straight lines from nothing to a day or an hour, beyond in proportion to time.
        known = np.array([*range(61), *LONG])[: 1 + len(variances)]
        variance = np.interp(time / 60, known, np.concatenate([[0.0], variances]))
        return float(variance * max(1, time / 60 / known[-1]))

    if q.volatility is None:
        return 100 * float(np.sqrt(variance(seconds)))
    return q.volatility * float(np.sqrt(variance(seconds) / variance(q.ttc)))


def interval(percent: Floats, effective: float, weighted: float) -> tuple[Floats, Floats]:
    """Wilson's interval, as textbooks have it, with z² over the number of independent minutes."""
    p = percent / 100
    middle = (2 * p - 1) / (1 + Z2 / effective)
    spread = Z2 / weighted + (Z2 / effective - Z2 / weighted) * (1 - middle**2) ** (1 / 6)
    centre = (p + spread / 2) / (1 + spread)
    reach = np.sqrt(spread * p * (1 - p) + spread**2 / 4) / (1 + spread)
    return 100 * (centre - reach), 100 * (centre + reach)
