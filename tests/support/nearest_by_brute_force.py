"""Reference for probability and compute_strikes: brute force over all cells of a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import Any

from tests.support import brute_force
from tests.support.engine import Connection
from tests.support.imported import BASELINE, ImportedSet

HAIR = Fraction(1, 10**9)
PRICE = 100_000.0

# The columns of compute_strikes that do not depend on how a set came about.
NAMES = (
    "strike, buffer, move_percent, direction, prob_beyond, prob_within, positive_prob, "
    "negative_prob, prob_above, sample_size, fingerprint"
)

ASK = """
    SELECT p.positive_prob, p.negative_prob, p.prob_above, p.move_percent, p.sample_size,
        p.fingerprint
    FROM unnest(%s::float8[], %s::float8[], %s::text[], %s::integer[])
        WITH ORDINALITY AS q (strike, momentum, symbol, ttc, i)
    CROSS JOIN LATERAL upc.probability(%s, q.strike, q.momentum, q.symbol, q.ttc) AS p
    ORDER BY q.i
"""


@dataclass(frozen=True)
class Question:
    strike: float
    momentum: float | None
    ttc: int
    symbol: str = "BTC"


@dataclass(frozen=True)
class Answer:
    positive: float
    negative: float
    above: float
    move: float
    sample_size: int | None
    fingerprint: str


def ask(conn: Connection, questions: Sequence[Question]) -> list[Answer]:
    """All at once, of `probability` at a price of 100,000."""
    asked = (
        [float(question.strike) for question in questions],
        [None if q.momentum is None else float(q.momentum) for q in questions],
        [question.symbol for question in questions],
        [question.ttc for question in questions],
    )
    return [Answer(*row) for row in conn.execute(ASK, (*asked, PRICE))]


@dataclass(frozen=True)
class Cells:
    """A row of a fingerprint: an element per threshold."""

    positive: Sequence[float]
    negative: Sequence[float]
    sample_size: int | None


def nearest_bucket(buckets: set[int], momentum: float) -> int:
    """The nearest to the rounded momentum; a tie goes towards zero, then down."""
    asked = round(momentum)
    return min(buckets, key=lambda bucket: (abs(bucket - asked), abs(bucket), bucket))


def nearest_row(minutes: Sequence[int], ttc: int) -> int:
    """A tie goes to the shorter time."""
    return min(minutes, key=lambda minute: (abs(60 * minute - ttc), minute))


def nearest_column(thresholds: Sequence[Fraction], move: float) -> int:
    """A tie within a hair goes to the smaller move.

    Exact: everything is multiplied by the denominators, and whole numbers are compared.
    """
    numerator, denominator = move.as_integer_ratio()
    common = lcm(*(threshold.denominator for threshold in thresholds), HAIR.denominator)
    asked = numerator * common
    distances = [abs(asked - int(threshold * common) * denominator) for threshold in thresholds]
    best = min(distances) + 2 * int(HAIR * common) * denominator
    return next(column for column, distance in enumerate(distances) if distance <= best)


@dataclass(frozen=True)
class Expected:
    """The set that answers for a symbol."""

    thresholds: Sequence[Fraction]
    cells: Mapping[tuple[int, int], Cells]  # by bucket, minutes
    symbol: str = "btc"

    @classmethod
    def imported(cls, found: ImportedSet, symbol: str = "btc") -> Expected:
        cells = {
            key: Cells([float(x) for x in up], [float(x) for x in down], None)
            for key, (up, down) in found.curves.items()
        }
        return cls([Fraction(size) for size in found.thresholds], cells, symbol)

    @classmethod
    def built(cls, curves: brute_force.Curves, symbol: str = "btc") -> Expected:
        cells = {
            key: Cells(curve.positive.tolist(), curve.negative.tolist(), curve.sample_size)
            for key, curve in curves.items()
        }
        return cls([Fraction(k, 20) for k in range(60)], cells, symbol)

    @cached_property
    def minutes(self) -> dict[int, list[int]]:
        """Minutes, by bucket."""
        layout: dict[int, list[int]] = {}
        for bucket, minutes in self.cells:
            layout.setdefault(bucket, []).append(minutes)
        return layout

    def bucket(self, momentum: float | None) -> int:
        buckets = self.minutes.keys() - {BASELINE}
        return BASELINE if momentum is None or not buckets else nearest_bucket(buckets, momentum)

    def row(self, momentum: float | None, ttc: int) -> Cells:
        bucket = self.bucket(momentum)
        return self.cells[bucket, nearest_row(self.minutes[bucket], ttc)]

    def name(self, momentum: float | None) -> str:
        bucket = self.bucket(momentum)
        kind = "baseline" if bucket == BASELINE else f"momentum_{bucket:03d}"
        return f"{self.symbol}_fingerprint_directional_{kind}"

    def answer(self, question: Question) -> Answer:
        row = self.row(question.momentum, question.ttc)
        move = 100 * abs(PRICE - question.strike) / PRICE
        column = nearest_column(self.thresholds, move)
        up, down = row.positive[column], row.negative[column]
        above = up if question.strike > PRICE else 100 - down
        return Answer(up, down, above, move, row.sample_size, self.name(question.momentum))

    def strikes(
        self,
        price: float,
        momentum: float | None,
        ttc: int,
        *,
        step: float = 250,
        levels: int = 10,
    ) -> list[tuple[Any, ...]]:
        """All rows of compute_strikes, their columns those of NAMES."""
        row, name, base = self.row(momentum, ttc), self.name(momentum), round(price / step)
        table: list[tuple[Any, ...]] = []
        for k in range(-levels, levels + 1):
            strike = (base + k) * step
            if strike <= 0:
                continue
            buffer = abs(price - strike)
            move = 100 * buffer / price
            column = nearest_column(self.thresholds, move)
            up, down = row.positive[column], row.negative[column]
            is_above = strike > price
            beyond = up if is_above else down
            table.append(
                (
                    *(strike, buffer, move, "above" if is_above else "below"),
                    *(beyond, 100 - beyond, up, down, up if is_above else 100 - down),
                    *(row.sample_size, name),
                )
            )
        return table
