"""Random questions, the same for the same seed."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

# Strikes are above zero everywhere. A step is a larger part of a lower price: near the lowest the
# outer strikes are far beyond every threshold, near the highest all lie between the first ones.
LOWEST_STEPS = 80
HIGHEST_STEPS = 600

LONGEST_SECONDS = 3600
BEYOND = 3
_BASELINE_SHARE = 0.1


@dataclass(frozen=True)
class Sample:
    """Price in USD, momentum in basis points (None asks the baseline), seconds to the close."""

    price: float
    momentum: float | None
    ttc_seconds: int


def draw(count: int, seed: int, step: float, buckets: Sequence[int]) -> list[Sample]:
    """Draw `count` samples for a symbol with `step` USD between strikes and these momentum buckets.

    Prices are spread evenly on a logarithmic scale. Momentum reaches a little beyond the buckets;
    half of the time it is a whole or a half number, where rounding has to decide.
    """
    dice = random.Random(seed)
    low, high = min(buckets, default=0) - BEYOND, max(buckets, default=0) + BEYOND

    def momentum() -> float | None:
        if dice.random() < _BASELINE_SHARE:
            return None
        if dice.random() < 0.5:
            return dice.randint(2 * low, 2 * high) / 2
        return dice.uniform(low, high)

    def price() -> float:
        return step * math.exp(dice.uniform(math.log(LOWEST_STEPS), math.log(HIGHEST_STEPS)))

    return [Sample(price(), momentum(), dice.randint(0, LONGEST_SECONDS)) for _ in range(count)]
