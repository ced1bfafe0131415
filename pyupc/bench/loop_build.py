"""The same counting as a plain Python loop over rows."""

from __future__ import annotations

import time
from collections.abc import Sequence

_WEIGHTS = ((1, 0.30), (2, 0.25), (3, 0.20), (4, 0.15), (15, 0.05), (30, 0.05))


# Closes before the first starting minute and after the last one.
MARGIN = 30 + 60


def seconds_a_start(closes: Sequence[float]) -> float:
    """Count all starting minutes that have a momentum and 60 later closes: the time of each."""
    starts = len(closes) - MARGIN
    positive = [[[0] * 60 for _ in range(60)] for _ in range(61)]
    negative = [[[0] * 60 for _ in range(60)] for _ in range(61)]
    began = time.perf_counter()
    for i in range(30, 30 + starts):
        price = closes[i]
        momentum = 0.0
        for minutes, weight in _WEIGHTS:
            momentum += weight * (price - closes[i - minutes]) / closes[i - minutes]
        slot = 30 + round(max(-30.0, min(30.0, 10000 * momentum)))
        for t in range(60):
            move = 2000 * (closes[i + 1 + t] - price) / price
            counts = positive if move >= 0 else negative
            counts[slot][t][min(59, int(abs(move)))] += 1
    return (time.perf_counter() - began) / starts
