"""The predecessor's calculation: files read with pandas, a grid of points, scipy in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator

from pyupc.bench.compare.samples import Sample
from pyupc.fingerprints.transfer.folder import SUFFIX
from pyupc.fingerprints.transfer.names import BASELINE, parse_row_name, stem

Array = npt.NDArray[np.float64]

# Percentage points within which compute_strikes takes a move for a midpoint.
TIE = 1e-9


@dataclass(frozen=True, eq=False)
class Grid:
    """A file: `positive` and `negative` have a row for each of `minutes`, a column a threshold.

    Minutes and thresholds (percent) ascend; probabilities are percent.
    """

    bucket: int
    minutes: Array
    thresholds: Array
    positive: Array
    negative: Array

    @cached_property
    def points(self) -> Array:
        """Seconds to the close and percent, a row for each number of a direction."""
        axes = np.meshgrid(60 * self.minutes, self.thresholds, indexing="ij")
        return np.column_stack([axis.ravel() for axis in axes])

    @cached_property
    def values(self) -> tuple[Array, Array]:
        """The numbers of both directions in the order of the points."""
        return self.positive.ravel(), self.negative.ravel()

    @property
    def has_area(self) -> bool:
        """False if all points are on one line, with nothing between them."""
        return len(self.minutes) > 1 and len(self.thresholds) > 1

    def nearest(self, at: Array) -> Array:
        """Answers of griddata with method nearest: a column for each direction."""
        return self._as_array(self._nearest(at))

    def linear(self, at: Array) -> Array:
        """Answers of griddata with method linear: NaN outside of the points."""
        if self._linear is None:
            return np.full((len(at), 2), np.nan)
        return self._as_array(self._linear(at))

    def is_tie(self, at: Array) -> npt.NDArray[np.bool_]:
        """True for a point that is as far from one row or column as from the next."""
        seconds, moves = at.T
        between_rows = 30 * (self.minutes[1:] + self.minutes[:-1])
        between_columns = (self.thresholds[1:] + self.thresholds[:-1]) / 2
        distances = np.abs(moves[:, np.newaxis] - between_columns)
        is_tie: npt.NDArray[np.bool_] = np.logical_or(
            np.isin(seconds, between_rows), (distances <= TIE).any(axis=1)
        )
        return is_tie

    # griddata makes these anew with every call.
    @cached_property
    def _nearest(self) -> Any:
        return NearestNDInterpolator(self.points, np.column_stack(self.values))

    @cached_property
    def _linear(self) -> Any:
        if not self.has_area:
            return None
        return LinearNDInterpolator(self.points, np.column_stack(self.values))

    @staticmethod
    def _as_array(answer: Any) -> Array:
        return np.asarray(answer, dtype=np.float64)


@dataclass(frozen=True)
class Files:
    """The files of a symbol in a folder, each read when it is asked for first."""

    folder: Path
    symbol: str
    buckets: tuple[int, ...]  # of momentum, without the baseline
    _grids: dict[int, Grid] = field(default_factory=dict, repr=False, compare=False)

    def chosen(self, momentum: float | None) -> int:
        """The bucket whose file answers: the nearest one, of two the one nearer to zero.

        Where both are as near to zero, as -1 and 1 are, it is the negative one.
        """
        if momentum is None or not self.buckets:
            return BASELINE
        asked = round(momentum)  # half to even
        return min(self.buckets, key=lambda bucket: (abs(bucket - asked), abs(bucket), bucket))

    def grid(self, bucket: int) -> Grid:
        if bucket not in self._grids:
            self._grids[bucket] = _read(
                self.folder / f"{stem(self.symbol, bucket)}{SUFFIX}", bucket
            )
        return self._grids[bucket]


def asked_points(sample: Sample, strikes: Array) -> Array:
    """The points at which the grid is read: seconds, and how far each strike is in percent."""
    moves = 100 * np.abs(sample.price - strikes) / sample.price
    return np.column_stack([np.full(len(strikes), float(sample.ttc_seconds)), moves])


def _read(path: Path, bucket: int) -> Grid:
    # Text: pandas' own parser may miss the double nearest to many digits.
    frame = pd.read_csv(path, index_col=0, dtype=str)
    minutes = np.array([parse_row_name(name) for name in frame.index], dtype=np.float64)
    order = np.argsort(minutes)
    thresholds, positive = _side(frame, ">= +")
    _, negative = _side(frame, "<= -")
    return Grid(bucket, minutes[order], thresholds, positive[order], negative[order])


def _side(frame: Any, prefix: str) -> tuple[Array, Array]:
    """The thresholds of a direction, ascending, and the columns in that order."""
    columns = {
        float(name.removeprefix(prefix).removesuffix("%")): name
        for name in frame.columns
        if name.startswith(prefix)
    }
    thresholds = sorted(columns)
    table = frame[[columns[threshold] for threshold in thresholds]]
    return np.array(thresholds), table.to_numpy(dtype=object).astype(np.float64)
