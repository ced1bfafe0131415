"""Sets of fingerprints to import: made up or read from files, and brought in through SQL alone."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from psycopg import sql

from tests.support.engine import Connection

BASELINE = 99

Numbers = list[str]
Curves = dict[tuple[int, int], tuple[Numbers, Numbers]]  # by bucket, minutes: up, down


@dataclass(frozen=True)
class ImportedSet:
    """Every number as it is written; one for each threshold, percent, ascending."""

    thresholds: Numbers
    curves: Curves

    def without(self, *keys: tuple[int, int]) -> ImportedSet:
        kept = {key: curve for key, curve in self.curves.items() if key not in keys}
        return ImportedSet(self.thresholds, kept)


@dataclass(frozen=True)
class Outcome:
    is_changed: bool
    replaced: int
    in_use: str | None


def coded(
    buckets: Iterable[int],
    minutes: Sequence[int],
    thresholds: Sequence[str],
    *,
    with_baseline: bool = True,
    first: int = 1,
) -> ImportedSet:
    """A set without two equal numbers, so that each number identifies its cell.

    They end in 5 ten-thousandths; `first` sets those of two sets apart.
    """
    numbers = (f"{k // 1000}.{k % 1000:03d}5" for k in count(first))
    curves = {
        (bucket, minute): ([next(numbers) for _ in thresholds], [next(numbers) for _ in thresholds])
        for bucket in [*buckets, *([BASELINE] if with_baseline else [])]
        for minute in minutes
    }
    return ImportedSet(list(thresholds), curves)


def read_set(folder: Path, symbol: str = "btc") -> ImportedSet:
    """The predecessor's files, by nothing but the csv module."""
    thresholds: Numbers = []
    curves: Curves = {}
    for path in sorted(folder.glob("*.csv")):
        kind = path.stem.removeprefix(f"{symbol}_fingerprint_directional_")
        bucket = BASELINE if kind == "baseline" else int(kind.removeprefix("momentum_"))
        with path.open(newline="", encoding="utf-8") as file:
            [_, *header], *rows = csv.reader(file)
        places = {name: place for place, name in enumerate(header)}
        thresholds = [name[len(">= +") : -len("%")] for name in header if name.startswith(">= +")]
        for name, *values in rows:
            up, down = (
                [values[places[f"{way}{size}%"]] for size in thresholds] for way in (">= +", "<= -")
            )
            curves[bucket, int(name.removesuffix("m TTC"))] = (up, down)
    return ImportedSet(thresholds, curves)


def stage(conn: Connection, found: ImportedSet, symbol: str = "BTC") -> None:
    """Stage a set for the rest of the transaction."""
    conn.execute("SELECT upc.begin_fingerprint_import(%s)", (symbol,))
    header = [way.format(size) for size in found.thresholds for way in (">= +{}%", "<= -{}%")]
    layouts: dict[int, list[int]] = {}
    for bucket, minutes in found.curves:
        layouts.setdefault(bucket, []).append(minutes)
    with conn.cursor().copy("COPY staged_fingerprint (bucket, header, minutes) FROM STDIN") as copy:
        for bucket, rows in layouts.items():
            copy.write_row((bucket, header, rows))
    curves = "COPY staged_curve (bucket, minutes, positive, negative) FROM STDIN"
    with conn.cursor().copy(curves) as copy:
        for (bucket, minutes), sides in found.curves.items():
            copy.write_row((bucket, minutes, *(f"{{{','.join(side)}}}" for side in sides)))


def import_set(
    conn: Connection, found: ImportedSet, symbol: str = "BTC", source: str = "a test"
) -> Outcome:
    """Import a set, in a transaction of its own or in the open one."""
    with conn.transaction() if conn.autocommit else nullcontext():
        stage(conn, found, symbol)
        [row] = conn.execute(
            "SELECT i.is_changed, i.replaced, i.in_use "
            "FROM upc.import_fingerprints(%s, %s, %s::numeric[]) AS i",
            (symbol, source, found.thresholds),
        ).fetchall()
    return Outcome(*row)


def use(
    conn: Connection, origin: str | None, symbols: Sequence[str | None] | None = None
) -> list[str]:
    query = "SELECT * FROM upc.use_fingerprints(%s, %s::text[])"
    return [symbol for (symbol,) in conn.execute(query, (origin, symbols))]


def view_names(conn: Connection) -> list[str]:
    query = "SELECT viewname FROM pg_views WHERE schemaname = 'analytics' ORDER BY viewname"
    return [name for (name,) in conn.execute(query) if "_fingerprint_directional_" in name]


def view_rows(conn: Connection, view: str) -> list[tuple[Any, ...]]:
    query = sql.SQL("SELECT * FROM {} ORDER BY minutes_to_close")
    return conn.execute(query.format(sql.Identifier("analytics", view))).fetchall()


def all_views(conn: Connection) -> dict[str, list[tuple[Any, ...]]]:
    return {name: view_rows(conn, name) for name in view_names(conn)}
