"""The same counting as a plain Python loop over rows."""

from __future__ import annotations

import time
from collections.abc import Sequence

_WEIGHTS = ((1, 0.30), (2, 0.25), (3, 0.20), (4, 0.15), (15, 0.05), (30, 0.05))


def seconds_a_start(closes: Sequence[float], starts: int) -> float:
    """Count that many starting minutes and return the time that each took."""
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
