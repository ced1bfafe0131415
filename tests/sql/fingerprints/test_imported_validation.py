"""validate_fingerprints: every staged cell beside the curves, counted by brute force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import psycopg
import pytest

from tests.support import brute_force
from tests.support.engine import Connection, build, open_db, put, walk
from tests.support.imported import BASELINE, ImportedSet, coded, import_set, stage, use
from tests.support.nearest_by_brute_force import Expected

HISTORY = walk(210, "2026-03-02", 900)
FOUND = coded([-31, -2, 0, 9], [1, 15, 60], ["0", "0.05", "0.3", "1.7"])
SETS = {
    "built": Expected.built(brute_force.fingerprints(HISTORY.minutes, HISTORY.closes)),
    "imported": Expected.imported(FOUND),
}


@dataclass(frozen=True)
class Compared:
    bucket: int | None
    compared: int
    differing: int
    missing: int
    largest: Any  # a number, about a number, or None
    mean: Any


@pytest.fixture(scope="module")
def both(module_dsn: str) -> str:
    with open_db(module_dsn) as connection:
        put(connection, "BTC", HISTORY)
        build(connection)
        import_set(connection, FOUND)
    return module_dsn


@pytest.fixture
def conn(conn: Connection, both: str) -> Connection:
    return conn


def validate(conn: Connection, found: ImportedSet, origin: str | None) -> list[Compared]:
    stage(conn, found)
    rows = conn.execute(
        "SELECT * FROM upc.validate_fingerprints('BTC', %s, %s::numeric[])",
        (origin, found.thresholds),
    )
    return [Compared(*row) for row in rows]


def compared(bucket: int | None, differences: Sequence[float | None]) -> Compared:
    known = [each for each in differences if each is not None]
    return Compared(
        bucket,
        len(known),
        sum(each != 0 for each in known),
        len(differences) - len(known),
        max(known, default=None),
        pytest.approx(sum(known) / len(known), rel=1e-12) if known else None,
    )


def expected(found: ImportedSet, there: Expected) -> list[Compared]:
    by_bucket: dict[int, list[float | None]] = {}
    for key, sides in found.curves.items():
        row = there.cells.get(key)
        for place, size in enumerate(found.thresholds):
            for way, side in zip(("positive", "negative"), sides, strict=True):
                is_there = row is not None and Fraction(size) in there.thresholds
                difference = None
                if is_there:
                    other = getattr(row, way)[there.thresholds.index(Fraction(size))]
                    difference = abs(float(side[place]) - other)
                by_bucket.setdefault(key[0], []).append(difference)
    rows = [compared(bucket, by_bucket[bucket]) for bucket in sorted(by_bucket)]
    return [*rows, compared(None, [each for some in by_bucket.values() for each in some])]


def shuffled(seed: int) -> ImportedSet:
    """Some numbers changed, some cells that the set lacks."""
    dice = np.random.default_rng(seed)
    found = coded([-31, -2, -1, 9], [1, 2, 60], ["0.05", "0.1", "0.3", "2.5"])
    known = {Fraction(size): place for place, size in enumerate(FOUND.thresholds)}
    curves: dict[tuple[int, int], Any] = {}
    for key, sides in found.curves.items():
        old = FOUND.curves.get(key, sides)
        curves[key] = tuple(
            [
                old[way][known[Fraction(size)]]
                if key in FOUND.curves and Fraction(size) in known and dice.random() < 0.7
                else side[place]
                for place, size in enumerate(found.thresholds)
            ]
            for way, side in enumerate(sides)
        )
    return replace(found, curves=curves)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("origin", ["built", "imported"])
def test_every_cell_is_compared(conn: Connection, origin: str, seed: int) -> None:
    found = shuffled(seed)
    rows = validate(conn, found, origin)
    assert rows == expected(found, SETS[origin])
    assert rows[-1].missing > 0
    assert rows[-1].differing > 0
    assert [row.bucket for row in rows] == [-31, -2, -1, 9, BASELINE, None]


def test_which_set_is_in_use_makes_no_difference(conn: Connection) -> None:
    use(conn, "imported")
    for origin, there in SETS.items():
        assert validate(conn, shuffled(3), origin) == expected(shuffled(3), there)


def test_the_set_itself(conn: Connection) -> None:
    *each, total = validate(conn, FOUND, "imported")
    assert total == Compared(None, 5 * 3 * 4 * 2, 0, 0, 0, 0)
    assert each == [Compared(bucket, 3 * 4 * 2, 0, 0, 0, 0) for bucket in (-31, -2, 0, 9, BASELINE)]


def test_a_difference_by_hand(conn: Connection) -> None:
    """One cell by a quarter point, and another by half a point."""
    up, down = FOUND.curves[0, 15]
    other = ([f"{float(up[0]) + 0.25}", *up[1:]], [*down[:3], f"{float(down[3]) + 0.5}"])
    found = replace(FOUND, curves={**FOUND.curves, (0, 15): other})
    rows = {row.bucket: row for row in validate(conn, found, "imported")}
    near = pytest.approx
    assert rows[0] == Compared(0, 24, 2, 0, near(0.5), near(0.75 / 24))
    assert rows[None] == Compared(None, 120, 2, 0, near(0.5), near(0.75 / 120))
    assert rows[9] == Compared(9, 24, 0, 0, 0, 0)


def test_nothing_in_common(conn: Connection) -> None:
    found = coded([50], [70], ["4"], with_baseline=False)
    for origin in SETS:
        assert validate(conn, found, origin) == [
            Compared(bucket, 0, 0, 2, None, None) for bucket in (50, None)
        ]


def test_it_changes_nothing(conn: Connection) -> None:
    query = "SELECT c::text FROM upc_data.imported_curve AS c ORDER BY 1"
    before = conn.execute(query).fetchall()
    validate(conn, shuffled(4), "imported")
    assert conn.execute(query).fetchall() == before


@pytest.mark.parametrize(
    ("symbol", "origin", "sqlstate"),
    [
        ("BTC", "other", "UP012"),
        ("BTC", None, "UP012"),
        ("ETH", "built", "UP013"),
        ("ETH", "imported", "UP013"),
        ("XYZ", "imported", "UP002"),
    ],
)
def test_refusals(conn: Connection, symbol: str, origin: str | None, sqlstate: str) -> None:
    stage(conn, FOUND)
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT * FROM upc.validate_fingerprints(%s, %s, '{0.05}')", (symbol, origin))
    assert caught.value.sqlstate == sqlstate
    assert caught.value.diag.message_detail
    assert caught.value.diag.message_hint
