"""Results of measurements, and the taking of times."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyupc.errors import PyupcError


@dataclass(frozen=True)
class Row:
    """`value` in `unit`, beside `other` of the same unit, that of `against`.

    A part that has failed has no value: `details` has the SQLSTATE then, and `note` the reason.
    """

    name: str
    what: str
    value: float | None
    unit: str
    against: str | None = None
    other: float | None = None
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        return self.value / self.other if self.other and self.value is not None else None

    @property
    def has_failed(self) -> bool:
        return self.value is None

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "what": self.what,
            "value": self.value,
            "unit": self.unit,
            "against": self.against,
            "other": self.other,
            "ratio": self.ratio,
            "note": self.note,
            "details": dict(self.details),
        }


def failed(name: str, problem: PyupcError) -> Row:
    """The row of a part that could not be measured."""
    details = {"sqlstate": problem.sqlstate, "hint": problem.hint}
    return Row(name, f"{name} has failed", None, "", note=problem.message, details=details)


def percentile(times: Sequence[float], share: float) -> float:
    """The time that so large a share of the calls stays below."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def milliseconds(times: Sequence[float]) -> dict[str, float]:
    return {"p50": 1e3 * percentile(times, 0.5), "p99": 1e3 * percentile(times, 0.99)}


def interleaved(
    calls: Mapping[str, Callable[[int], object]], rounds: int, block: int = 20
) -> dict[str, list[float]]:
    """The times in seconds of every call, in turns, so that all meet the same machine.

    A turn is `block` calls in a row: each is measured warm, whatever the others left in the caches.
    A call gets the number of the round. The first turn of each is not counted.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for first in range(-block, rounds, block):
        for name, call in calls.items():
            for k in range(first, min(first + block, rounds)):
                began = time.perf_counter()
                call(k)
                took = time.perf_counter() - began
                if k >= 0:
                    times[name].append(took)
    return times
