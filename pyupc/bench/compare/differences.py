"""Differences between the answers of compute_strikes and of scipy, in percentage points."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pyupc.bench.compare.database import Answer
from pyupc.bench.compare.predecessor import Array, Files, Grid, asked_points
from pyupc.bench.compare.samples import Sample
from pyupc.fingerprints.transfer.names import stem


@dataclass(frozen=True)
class Nearest:
    """Beside griddata's nearest, which has to be equal to the last bit.

    `ties` lie in the middle between two cells: scipy's answer depends on the order of its tree
    there, so they are neither `compared` nor `differing`; `ties_differing` of them differ.
    `largest` is None if nothing was compared.
    """

    compared: int
    differing: int
    largest: float | None
    ties: int
    ties_differing: int


@dataclass(frozen=True)
class Linear:
    """Distance of the nearest cell from griddata's linear, where that has an answer.

    `outside` of the points it has none. The others are None if `compared` is 0.
    """

    compared: int
    outside: int
    mean: float | None
    p99: float | None
    largest: float | None


@dataclass(frozen=True)
class Differences:
    """`values` is two for each strike; for `other_fingerprint` samples another file was chosen."""

    values: int
    nearest: Nearest
    linear: Linear
    other_fingerprint: int


def find_differences(
    ask: Callable[[Sample], Answer],
    files: Files,
    samples: Sequence[Sample],
    on_sample: Callable[[int, int], None],
) -> Differences:
    """Ask both for every strike of every sample; `on_sample` gets those done, and all."""
    by_bucket: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_bucket[files.chosen(sample.momentum)].append(sample)

    tally = _Tally()
    done = 0
    for bucket in sorted(by_bucket):
        answers: list[tuple[Sample, Answer]] = []
        for sample in by_bucket[bucket]:
            answers.append((sample, ask(sample)))
            done += 1
            on_sample(done, len(samples))
        own_name = stem(files.symbol, bucket)
        tally.other_fingerprint += sum(answer.fingerprint != own_name for _, answer in answers)
        tally.add(
            files.grid(bucket),
            np.concatenate([asked_points(sample, answer.strikes) for sample, answer in answers]),
            np.concatenate([answer.both for _, answer in answers]),
        )
    return tally.differences()


class _Tally:
    """The differences file by file; only those from linear are kept one by one."""

    def __init__(self) -> None:
        self.other_fingerprint = 0
        self._values = 0
        self._compared = 0
        self._differing = 0
        self._largest = 0.0
        self._ties = 0
        self._ties_differing = 0
        self._from_linear: list[Array] = []

    def add(self, grid: Grid, at: Array, ours: Array) -> None:
        from_nearest = np.abs(ours - grid.nearest(at))
        is_tie = grid.is_tie(at)
        on_tie, off_tie = from_nearest[is_tie], from_nearest[~is_tie]
        self._values += ours.size
        self._compared += off_tie.size
        self._differing += int(np.count_nonzero(off_tie))
        self._largest = max(self._largest, float(off_tie.max(initial=0)))
        self._ties += on_tie.size
        self._ties_differing += int(np.count_nonzero(on_tie))

        from_linear = np.abs(ours - grid.linear(at)).ravel()
        self._from_linear.append(from_linear[~np.isnan(from_linear)])

    def differences(self) -> Differences:
        return Differences(
            self._values,
            Nearest(
                self._compared,
                self._differing,
                self._largest if self._compared else None,
                self._ties,
                self._ties_differing,
            ),
            self._linear(),
            self.other_fingerprint,
        )

    def _linear(self) -> Linear:
        found = np.concatenate(self._from_linear)
        outside = self._values - found.size
        if not found.size:
            return Linear(0, outside, None, None, None)
        mean, p99, largest = found.mean(), np.percentile(found, 99), found.max()
        return Linear(found.size, outside, float(mean), float(p99), float(largest))
