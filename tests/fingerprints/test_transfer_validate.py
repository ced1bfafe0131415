"""`pyupc fingerprints validate`: every difference is found, and counted right."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from pyupc.database.connect import connect
from tests.support.legacy_files import (
    ABOVE,
    BASELINE,
    BELOW,
    BUCKETS,
    MINUTES,
    THRESHOLDS,
    as_floats,
    document,
    done,
    dump,
    file_name,
    numbers,
    percent,
    refused,
    run,
    shifted,
    state,
    stored,
    titles,
    write,
)
from tests.support.market import Document, rows

VICTIM = file_name(1).removesuffix(".csv")
CELLS = len(MINUTES) * 2 * len(THRESHOLDS)


@pytest.fixture
def legacy(fresh: str, tmp_path: Path) -> Path:
    """A folder that is imported."""
    folder = write(tmp_path / "legacy")
    done("import", folder)
    return folder


def found_by(result: Result) -> Document:
    found: Document = json.loads(result.stdout)
    return found


def differs(folder: Path, *options: str) -> Document:
    """The document of a validation that ends with a refusal, and changes nothing."""
    result = run("validate", folder, "--json", *options)
    assert result.exit_code == 1
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["pyupc", "hint"]
    return found_by(result)


def of(found: Document, bucket: int) -> Document:
    name = file_name(bucket).removesuffix(".csv")
    (row,) = [row for row in found["fingerprints"] if row["fingerprint"] == name]
    return {key: value for key, value in row.items() if key != "fingerprint"}


def compared(cells: int, differences: list[float], missing: int = 0) -> Document:
    return {
        "compared": cells,
        "differing": sum(d != 0 for d in differences),
        "missing": missing,
        "largest": max(differences, default=0.0) if cells else None,
        "mean": pytest.approx(sum(differences) / cells, rel=1e-12) if cells else None,
    }


def but(changed: dict[tuple[int, int, str, int], str]) -> Callable[..., str]:
    """The numbers of `percent`, but for these."""

    def spell(*cell: Any) -> str:
        return changed.get(cell, percent(*cell))

    return spell


@pytest.mark.parametrize("ulps", [False, True], ids=["much", "hardly"])
def test_one_number_that_differs(fresh: str, legacy: Path, tmp_path: Path, ulps: bool) -> None:
    cell = (1, 7, ABOVE, 2)
    old = percent(*cell)
    # The next double is another number.
    new = repr(math.nextafter(float(old), 100) if ulps else round(float(old) + 0.07, 2))
    difference = abs(float(new) - float(old))
    assert 0 < difference < (1e-13 if ulps else 0.1)
    folder = write(tmp_path / "other", spell=but({cell: new}))
    before, files = dump(fresh), state(tmp_path)
    found = differs(folder)
    assert of(found, 1) == compared(CELLS, [difference])
    for bucket in set(BUCKETS) - {1}:
        assert of(found, bucket) == compared(CELLS, [])
    assert found["total"] == compared(CELLS * len(BUCKETS), [difference])

    result = run("validate", folder)
    assert result.exit_code == 1
    table = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
    assert list(table)[1:-1] == [row["fingerprint"] for row in found["fingerprints"]]
    assert table[VICTIM][:3] == [str(CELLS), "1", "0"]
    assert float(table[VICTIM][3]) == pytest.approx(difference, rel=1e-5)
    assert float(table[VICTIM][4]) == pytest.approx(difference / CELLS, rel=1e-5)
    assert table["all"][:3] == [str(CELLS * len(BUCKETS)), "1", "0"]
    assert (dump(fresh), state(tmp_path)) == (before, files)
    assert run("validate", legacy).exit_code == 0


def test_another_spelling_is_no_difference(legacy: Path, tmp_path: Path) -> None:
    def longer(bucket: int, minutes: int, direction: str, place: int) -> str:
        return percent(bucket, minutes, direction, place) + "000"

    folder = write(tmp_path / "other", header=titles(THRESHOLDS)[::-1], spell=longer)
    assert document("validate", folder)["total"] == compared(CELLS * len(BUCKETS), [])


def test_numbers_that_all_differ(legacy: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "other", spell=shifted)
    found = differs(folder)
    theirs, ours = as_floats(numbers(folder)), as_floats(numbers(legacy))
    for bucket in BUCKETS:
        away = [abs(theirs[cell] - ours[cell]) for cell in ours if cell[0] == bucket]
        assert of(found, bucket) == compared(CELLS, away)
    away = [abs(theirs[cell] - ours[cell]) for cell in ours]
    assert found["total"] == compared(len(ours), away)
    assert found["total"]["differing"] == len(ours)


@pytest.mark.parametrize(
    ("shape", "missing"),
    [
        ({"header": titles([*THRESHOLDS, "0.15"])}, len(MINUTES) * 2),
        ({"header": titles(["0.07"])}, len(MINUTES) * 2),
        ({"minutes": (*MINUTES, 59, 60)}, 2 * 2 * len(THRESHOLDS)),
    ],
    ids=["a-threshold", "all-thresholds", "minutes"],
)
def test_what_the_database_lacks(
    legacy: Path, tmp_path: Path, shape: dict[str, Any], missing: int
) -> None:
    header = shape.get("header", titles(THRESHOLDS))
    ascending = sorted({title[4:-1] for title in header})

    def spell(bucket: int, minutes: int, direction: str, place: int) -> str:
        """Shared columns are equal; a column of one only is as likely as the next smaller move."""
        smaller = [t for t in THRESHOLDS if t <= ascending[place]]
        return percent(bucket, minutes, direction, len(smaller) - 1)

    folder = write(tmp_path / "other", spell=spell, **shape)
    all_cells = len(numbers(folder)) // len(BUCKETS)
    found = differs(folder)
    for bucket in BUCKETS:
        assert of(found, bucket) == compared(all_cells - missing, [], missing)
    total = compared((all_cells - missing) * len(BUCKETS), [], missing * len(BUCKETS))
    assert found["total"] == total


def test_a_fingerprint_that_the_database_lacks(legacy: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "other", buckets=(*BUCKETS, 31))
    found = differs(folder)
    assert of(found, 31) == compared(0, [], CELLS)
    assert found["total"] == compared(CELLS * len(BUCKETS), [], CELLS)
    assert found["only_in_database"] == []


def test_what_the_folder_lacks_is_named(legacy: Path, tmp_path: Path) -> None:
    kept = (0, 1, BASELINE)
    folder = write(
        tmp_path / "other", buckets=kept, minutes=(3, 7), header=titles(THRESHOLDS[::-1])
    )
    lacking = [file_name(b).removesuffix(".csv") for b in BUCKETS if b not in kept]
    found = document("validate", folder)
    assert found["only_in_database"] == lacking
    assert found["total"] == compared(len(kept) * 2 * 2 * len(THRESHOLDS), [])
    text = done("validate", folder)
    assert all(name in text for name in lacking)


def test_a_number_that_was_changed_in_the_database(fresh: str, legacy: Path) -> None:
    with connect(fresh) as conn:
        conn.execute(
            "UPDATE upc_data.imported_curve SET negative[2] = negative[2] + 0.25"
            " WHERE symbol = 'BTC' AND bucket = -2 AND minutes = 7"
        )
        # compute_strikes still reads the old number.
        assert run("validate", legacy).exit_code == 0
        conn.execute("SELECT upc.refresh_fingerprints()")
    old = float(percent(-2, 7, BELOW, 1))
    found = differs(legacy)
    assert of(found, -2) == compared(CELLS, [abs(old - (old + 0.25))])
    assert found["total"]["differing"] == 1

    assert document("import", legacy)["is_changed"] is True
    assert document("validate", legacy)["total"] == compared(CELLS * len(BUCKETS), [])
    assert stored(fresh) == as_floats(numbers(legacy))


def test_a_row_that_was_deleted_in_the_database(fresh: str, legacy: Path) -> None:
    with connect(fresh) as conn:
        conn.execute("DELETE FROM upc_data.imported_curve WHERE bucket = 1 AND minutes = 7")
        conn.execute("DELETE FROM upc_data.imported_fingerprint WHERE bucket = 2")
        conn.execute("SELECT upc.refresh_fingerprints()")
    found = differs(legacy)
    row = 2 * len(THRESHOLDS)
    assert of(found, 1) == compared(CELLS - row, [], row)
    assert of(found, 2) == compared(0, [], CELLS)
    assert document("import", legacy)["is_changed"] is True
    assert run("validate", legacy).exit_code == 0


# Beside fingerprints built from candles


def test_against_built_ones(fresh: str, legacy: Path, tmp_path: Path) -> None:
    refused(run("validate", legacy, "--against", "built"), 1, "BTC")
    with connect(fresh) as conn:
        conn.execute(
            "INSERT INTO upc_data.candle"
            " SELECT * FROM upc.simulated_candles('BTC', '2024-03-01Z', '2024-03-03Z')"
        )
        conn.execute("SELECT upc.build_fingerprints('BTC')")
    folder = write(tmp_path / "other", minutes=(1, 7, 61), header=titles(["0.05", "0.12", "2.95"]))
    built = {
        (bucket, minutes, direction): side
        for bucket, minutes, *sides in rows(
            fresh,
            "SELECT bucket, minutes, positive, negative FROM upc.fingerprint_curve"
            " WHERE symbol = 'BTC' AND origin = 'built'",
        )
        for direction, side in zip((ABOVE, BELOW), sides, strict=True)
    }
    found = document("validate", folder, "--against", "built")
    assert found["against"] == "built"
    differences: list[float] = []
    for bucket in BUCKETS:
        away, missing = [], 0
        for (b, minutes, direction, threshold), number in numbers(folder).items():
            if b != bucket:
                continue
            # The thresholds of a build are 0.00, 0.05, … 2.95.
            place = threshold * 20
            if place % 1 or (bucket, minutes, direction) not in built:
                missing += 1
            else:
                away.append(abs(float(number) - built[bucket, minutes, direction][int(place)]))
        assert len(away) + missing == 18
        assert missing >= 10
        assert of(found, bucket) == compared(len(away), away, missing)
        differences += away
    assert found["total"]["largest"] == max(differences) > 0
    assert found["total"] == compared(
        len(differences), differences, 18 * len(BUCKETS) - len(differences)
    )
    files = {file_name(bucket).removesuffix(".csv") for bucket in BUCKETS}
    names = {file_name(bucket).removesuffix(".csv") for bucket, *_ in built}
    assert set(found["only_in_database"]) == names - files
    result = run("validate", folder, "--against", "built")
    assert (result.exit_code, result.stderr) == (0, "")
    # The imported ones are as they were.
    assert run("validate", legacy).exit_code == 0


def test_without_imported_ones(fresh: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "in")
    for against in ("imported", "built"):
        refused(run("validate", folder, "--against", against), 1, "BTC")
