"""One comparison, from the files to the figures."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyupc.bench.compare import database
from pyupc.bench.compare.differences import Differences, find_differences
from pyupc.bench.compare.predecessor import Files
from pyupc.bench.compare.samples import draw
from pyupc.bench.compare.times import Time, measure
from pyupc.fingerprints.transfer.names import BASELINE
from pyupc.fingerprints.transfer.store import Connection

OnSample = Callable[[int, int], None]


@dataclass(frozen=True)
class Source:
    """A folder of files that has been checked, and the buckets that it holds."""

    folder: Path
    buckets: Sequence[int]


@dataclass(frozen=True)
class Comparison:
    """`origin` is where the numbers of compute_strikes come from; no folder: the same, exported."""

    symbol: str
    origin: str
    folder: str | None
    fingerprints: int
    samples: int
    seed: int
    differences: Differences
    times: list[Time]

    def as_json(self) -> dict[str, Any]:
        document = asdict(self)
        document |= document.pop("differences")
        del document["times"]
        times = [{**asdict(each), "ratio": each.ratio} for each in self.times]
        return {**document, "times": times}


def run(
    conn: Connection,
    symbol: str,
    source: Source | None,
    *,
    count: int,
    seed: int,
    progress: AbstractContextManager[OnSample],
) -> Comparison:
    """Compare so many samples; without a source its files are the set in use, every digit of it.

    The connection must be in autocommit mode. UP002: unknown symbol.
    """
    with tempfile.TemporaryDirectory(prefix="pyupc-compare-") as temporary:
        with database.snapshot(conn):
            origin = database.origin_in_use(conn, symbol)
            folder = source.folder if source else Path(temporary)
            buckets = source.buckets if source else database.export(conn, symbol, origin, folder)
            files = Files(folder, symbol, tuple(b for b in buckets if b != BASELINE))
            samples = draw(count, seed, database.strike_step(conn, symbol), files.buckets)
            with progress as on_sample:
                differences = find_differences(
                    lambda sample: database.ask(conn, symbol, sample), files, samples, on_sample
                )
        # Outside of the transaction, and without a bar that is drawn meanwhile.
        times = measure(conn, files, samples)
    return Comparison(
        symbol,
        origin,
        str(source.folder) if source else None,
        len(buckets),
        count,
        seed,
        differences,
        times,
    )
