"""Times of a call: of compute_strikes, and of griddata as the predecessor called it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from scipy.interpolate import griddata

from pyupc.bench.compare import database
from pyupc.bench.compare.predecessor import Array, Files, Grid, asked_points
from pyupc.bench.compare.samples import Sample
from pyupc.bench.figures import interleaved, milliseconds
from pyupc.fingerprints.transfer.store import Connection

# griddata makes a tree of all points in every call, and for linear a net of triangles.
NEAREST_ROUNDS = 50
LINEAR_ROUNDS = 5
_TURN = 5

OURS = "compute_strikes"

_Call = Callable[[int], object]
_Way = Callable[[Grid, Array], object]


@dataclass(frozen=True)
class Time:
    """The median over so many samples; `beside_ms` is that of compute_strikes in the same turns."""

    name: str
    rounds: int
    p50_ms: float
    beside_ms: float

    @property
    def ratio(self) -> float:
        """Multiple of the time of compute_strikes."""
        return self.p50_ms / self.beside_ms


def measure(conn: Connection, files: Files, samples: Sequence[Sample]) -> list[Time]:
    """The times for the strikes of a sample in both directions; compute_strikes comes first.

    The arrays that the predecessor held in memory, the numbers of the files, are there before the
    clock starts. No row for linear where no file asked has a grid of two by two points.
    """
    nearest = {"nearest_one_by_one": _one_by_one, "nearest_at_once": _at_once("nearest")}
    linear = {"linear_at_once": _at_once("linear")}
    with_area = [sample for sample in samples if files.grid(files.chosen(sample.momentum)).has_area]
    return [
        *_in_turns(conn, files, samples[:NEAREST_ROUNDS], nearest, with_ours=True),
        *_in_turns(conn, files, with_area[:LINEAR_ROUNDS], linear),
    ]


def _one_by_one(grid: Grid, at: Array) -> object:
    return [
        griddata(grid.points, values, point, method="nearest")
        for point in at
        for values in grid.values
    ]


def _at_once(method: str) -> _Way:
    def call(grid: Grid, at: Array) -> object:
        return [griddata(grid.points, values, at, method=method) for values in grid.values]

    return call


def _in_turns(
    conn: Connection,
    files: Files,
    samples: Sequence[Sample],
    ways: Mapping[str, _Way],
    *,
    with_ours: bool = False,
) -> list[Time]:
    if not samples:
        return []
    strikes = [database.ask(conn, files.symbol, sample).strikes for sample in samples]
    grids = [files.grid(files.chosen(sample.momentum)) for sample in samples]

    def ours(k: int) -> object:
        return database.rows(conn, files.symbol, samples[k % len(samples)])

    def theirs(way: _Way) -> _Call:
        def call(k: int) -> object:
            k %= len(samples)
            return way(grids[k], asked_points(samples[k], strikes[k]))

        return call

    calls: dict[str, _Call] = {OURS: ours, **{name: theirs(way) for name, way in ways.items()}}
    turns = interleaved(calls, len(samples), block=_TURN)
    medians = {name: milliseconds(times)["p50"] for name, times in turns.items()}
    return [
        Time(name, len(samples), median, medians[OURS])
        for name, median in medians.items()
        if with_ours or name != OURS
    ]
