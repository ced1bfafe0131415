"""Probabilities in numpy, read off the curves and the forecast as raw tables."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from tests.support.engine import Connection, scalar
from tests.support.readings import Floats, table
from tests.support.volatility_reference import LONG

Z2 = 3.841458820694124  # of 95 percent
BASELINE = 99
# Close together where most moves end; then each 15 % further, up to 40.
DEVIATIONS = np.array(
    [0.075 * k for k in range(40)] + [round(3 * (40 / 3) ** (k / 19), 3) for k in range(20)]
)
PERCENTS = np.arange(60, dtype=np.float64) / 20


class Row(NamedTuple):
    """A curve of some minutes, and how many starting minutes it counts as."""

    up: Floats
    down: Floats
    effective: float
    weighted: float
    size: int


Bucket = dict[int, Row]


@dataclass(frozen=True)
class Asked:
    """A question. `observed`: mean of the last minute so far; `sigmas`: percent, of 1 to 60
    minutes and of `LONG`; `bounds_are_coherent`: the two sides of the cell beside the price meet
    in the middle.
    """

    price: float
    momentum: float | None
    ttc: int
    model: str
    method: str
    settlement: str
    observed: float | None
    sigmas: Floats | None
    bounds_are_coherent: bool = True


class Reading(NamedTuple):
    """A row and how to read it. `unit`: percent, by which moves are divided. `decided`: the outcome
    is known."""

    row: Row
    thresholds: Floats
    unit: float
    name: str
    decided: bool


@dataclass
class Curves:
    """All curves of a symbol: they stay as they are all day."""

    symbol: str
    plain: dict[int, Bucket] = field(default_factory=dict)
    volatile: dict[int, Bucket] = field(default_factory=dict)
    far: Bucket = field(default_factory=dict)

    @classmethod
    def read(cls, conn: Connection, symbol: str) -> Curves:
        found = cls(symbol)
        for view, into in (
            ("fingerprint_curve", found.plain),
            ("volatility_curve", found.volatile),
        ):
            for row in table(conn, f"SELECT * FROM upc.{view} WHERE symbol = %s", symbol):
                into.setdefault(row["bucket"], {})[row["minutes"]] = Row(
                    np.array(row["positive"]),
                    np.array(row["negative"]),
                    row["effective_size"],
                    row["weighted_size"],
                    int(row["sample_size"]),
                )
        for row in table(conn, "SELECT * FROM upc.horizon_curve WHERE symbol = %s", symbol):
            found.far[row["minutes"]] = Row(
                np.array(row["positive"]),
                np.array(row["negative"]),
                row["effective_size"],
                row["weighted_size"],
                int(row["sample_size"]),
            )
        assert tuple(sorted(found.far)) == LONG
        assert found.plain.keys() >= {BASELINE}
        assert found.volatile.keys() >= {BASELINE}
        return found

    # The curve that answers.

    def reading(self, q: Asked) -> Reading:
        seconds = deciding_seconds(q)
        is_over = q.ttc == 0 and (
            q.settlement == "average" or q.method == "linear" or q.model == "volatility"
        )
        found = self._volatile(q, seconds) if q.model == "volatility" else self._plain(q, seconds)
        row = found.row
        if q.bounds_are_coherent or q.method == "linear" or q.model == "volatility":
            middle = (row.up[0] + 100 - row.down[0]) / 2
            up, down = row.up.copy(), row.down.copy()
            up[0], down[0] = middle, 100 - middle
            row = row._replace(up=up, down=down)
        return found._replace(row=row, decided=is_over)

    def _plain(self, q: Asked, seconds: float) -> Reading:
        bucket = BASELINE
        if q.model == "momentum" and q.momentum is not None:
            asked = int(np.clip(np.rint(q.momentum), -30, 30))
            known = [each for each in self.plain if each != BASELINE]
            if known:
                bucket = min(known, key=lambda each: (abs(each - asked), abs(each)))
        rows = self.plain[bucket]
        name = f"{self.symbol.lower()}_fingerprint_directional_{label(bucket)}"
        minutes = sorted(rows)
        if q.method == "nearest":
            nearest = min(minutes, key=lambda each: (abs(60 * each - seconds), each))
            return Reading(rows[nearest], PERCENTS, 1.0, name, False)
        if seconds < 60 * minutes[0]:
            unit = float(np.sqrt(seconds / (60 * minutes[0])))
            return Reading(rows[minutes[0]], PERCENTS, unit, name, False)
        place = max(k for k, each in enumerate(minutes) if 60 * each <= seconds)
        row = rows[minutes[place]]
        if place + 1 < len(minutes):
            low, high = minutes[place], minutes[place + 1]
            row = mixed(row, rows[high], (seconds / 60 - low) / (high - low))
        return Reading(row, PERCENTS, 1.0, name, False)

    def _volatile(self, q: Asked, seconds: float) -> Reading:
        assert q.sigmas is not None
        if seconds > 3600:
            name = f"{self.symbol.lower()}_volatility_beyond_hour"
            return Reading(self._far(q, seconds), DEVIATIONS, sigma(q.sigmas, seconds), name, False)
        minutes = min(60.0, max(1.0, seconds / 60))
        if q.method == "nearest":
            minutes = float(np.ceil(minutes - 0.5))
        whole = int(minutes)
        share = minutes - whole
        bucket = BASELINE
        if q.momentum is not None:
            bucket = int(np.clip(np.rint(q.momentum), -30, 30))
        rows = self.volatile.get(bucket, {})
        if whole not in rows or (share > 0 and whole + 1 not in rows):
            bucket, rows = BASELINE, self.volatile[BASELINE]
        row = rows[whole]
        if share > 0:
            size, weighted = row.size, row.weighted
            row = mixed(row, rows[whole + 1], share)._replace(size=size, weighted=weighted)
        name = f"{self.symbol.lower()}_volatility_{label(bucket)}"
        return Reading(row, DEVIATIONS, sigma(q.sigmas, seconds), name, False)

    def _far(self, q: Asked, seconds: float) -> Row:
        bucket = BASELINE
        if q.momentum is not None:
            bucket = int(np.clip(np.rint(q.momentum), -30, 30))
        hour = self.volatile.get(bucket, {}).get(60) or self.volatile[BASELINE][60]
        rows = {60: hour, **self.far}
        listed = sorted(rows)
        if q.method == "nearest":
            return rows[min(listed, key=lambda each: (abs(60 * each - seconds), each))]
        after = next((each for each in listed if 60 * each > seconds), listed[-1])
        before = max(each for each in listed if each < after)
        return mixed(rows[before], rows[after], min(1, (seconds / 60 - before) / (after - before)))

    # Probabilities in percent.

    def above(self, q: Asked, bounds: Floats) -> Floats:
        """That the value is at least each bound."""
        reading = self.reading(q)
        if reading.decided:
            value = q.price if q.settlement == "close" else q.observed
            assert value is not None
            return np.where(value >= bounds, 100.0, 0.0)
        moves = 100 * (deciding_bounds(q, bounds) - q.price) / q.price / reading.unit
        up, down = reading.row.up, reading.row.down
        if q.method == "linear":
            return np.where(
                moves > 0,
                np.interp(moves, reading.thresholds, up),
                100 - np.interp(-moves, reading.thresholds, down),
            )
        place = np.abs(np.abs(moves)[:, None] - reading.thresholds).argmin(axis=1)
        found: Floats = np.where(moves > 0, up[place], 100 - down[place])
        return found

    def interval(self, q: Asked, percent: Floats) -> tuple[Floats, Floats]:
        """Wilson's, as textbooks have it, with z² over the number of independent minutes."""
        reading = self.reading(q)
        if reading.decided:
            return percent, percent
        effective, weighted = reading.row.effective, reading.row.weighted
        p = percent / 100
        middle = (2 * p - 1) / (1 + Z2 / effective)
        spread = Z2 / weighted + (Z2 / effective - Z2 / weighted) * (1 - middle**2) ** (1 / 6)
        centre = (p + spread / 2) / (1 + spread)
        reach = np.sqrt(spread * p * (1 - p) + spread**2 / 4) / (1 + spread)
        return 100 * (centre - reach), 100 * (centre + reach)


def label(bucket: int) -> str:
    """As C's %03d."""
    return "baseline" if bucket == BASELINE else f"momentum_{bucket:03d}"


def mixed(row: Row, other: Row, share: float) -> Row:
    def between(a: Floats, b: Floats) -> Floats:
        return (1 - share) * a + share * b

    return Row(
        between(row.up, other.up),
        between(row.down, other.down),
        (1 - share) * row.effective + share * other.effective,
        (1 - share) * row.weighted + share * other.weighted,
        min(row.size, other.size) if share > 0 else row.size,
    )


def ahead(q: Asked) -> Floats:
    """The seconds from now at which the values come that settle."""
    if q.settlement == "close":
        return np.array([float(q.ttc)])
    return np.arange(max(1, q.ttc - 59), q.ttc + 1, dtype=np.float64)


def deciding_seconds(q: Asked) -> float:
    """After how many seconds the price has the variance of the mean of these values."""
    times = ahead(q)
    return float(np.minimum.outer(times, times).mean()) if len(times) else 0.0


def deciding_bounds(q: Asked, bounds: Floats) -> Floats:
    """The mean of the values ahead with which each bound is just reached."""
    if q.settlement == "close" or q.ttc >= 60:
        return bounds
    assert q.observed is not None
    return (60 * bounds - (60 - q.ttc) * q.observed) / q.ttc


def sigma(sigmas: Floats, seconds: float) -> float:
    """Percent. Variances are straight lines from nothing to a day, then in proportion to time."""
    known = np.concatenate([[0.0], sigmas**2])
    variance = np.interp(seconds / 60, np.array([*range(61), *LONG]), known)
    return float(np.sqrt(variance * max(1, seconds / 86_400)))


def ladder(conn: Connection, symbol: str, at: object) -> Floats | None:
    """The forecast of the standard deviation of 1 to 60 minutes and of `LONG`, percent."""
    found = scalar(
        conn,
        "SELECT array_agg(upc.volatility(%s, %s, 60 * k) ORDER BY k) FROM unnest(%s::integer[]) k",
        symbol,
        at,
        [*range(1, 61), *LONG],
    )
    return None if found[0] is None else np.array(found)


def of_pairs(
    curves: Curves, q: Asked, lowers: Floats, uppers: Floats
) -> tuple[Floats, Floats, Floats]:
    """Probability and interval of each pair of bounds, a NaN where one is missing."""
    low = np.where(np.isnan(lowers), 100.0, curves.above(q, np.nan_to_num(lowers, nan=q.price)))
    high = np.where(np.isnan(uppers), 0.0, curves.above(q, np.nan_to_num(uppers, nan=q.price)))
    percent = np.maximum(low - high, 0)
    return percent, *curves.interval(q, percent)


def without_coherence(q: Asked) -> Asked:
    return replace(q, bounds_are_coherent=False)
