"""The predecessor's real folder: into the database, compared, and out again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.databases import Databases
from tests.support.legacy_files import (
    ABOVE,
    BELOW,
    as_floats,
    contents,
    document,
    done,
    dump,
    make_tables,
    numbers,
    run,
    shifted,
    state,
    stored,
    write,
)
from tests.support.market import rows

FILES, MINUTES, COLUMNS = 62, 60, 80
CELLS = FILES * MINUTES * COLUMNS


@pytest.fixture(scope="module")
def legacy(shared_data: Path) -> Path:
    return shared_data / "legacy" / "btc"


@pytest.fixture(scope="module")
def imported_in(databases: Databases, legacy: Path) -> Iterator[tuple[str, float]]:
    """A database with the real set, and how long it took to import."""
    with databases.clone("empty") as dsn:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYUPC_DSN", dsn)
            began = time.monotonic()
            done("import", legacy, "--symbol", "BTC")
            took = time.monotonic() - began
        yield dsn, took


@pytest.fixture
def imported(imported_in: tuple[str, float], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PYUPC_DSN", imported_in[0])
    return imported_in[0]


def test_every_number_is_the_one_of_the_files(imported: str, legacy: Path) -> None:
    expected = as_floats(numbers(legacy))
    assert len(expected) == CELLS == 297_600
    assert stored(imported) == expected
    counted = "SELECT count(*) FROM upc_data.imported_fingerprint"
    assert rows(imported, counted) == [(FILES,)]


def test_it_takes_seconds(imported_in: tuple[str, float]) -> None:
    assert imported_in[1] < 10


def test_it_validates_without_a_difference(imported: str, legacy: Path) -> None:
    found = document("validate", legacy)
    assert found["symbol"] == "BTC"
    assert found["against"] == "imported"
    assert found["only_in_database"] == []
    expected = {"compared": CELLS, "differing": 0, "missing": 0, "largest": 0.0, "mean": 0.0}
    assert found["total"] == expected
    each = {**expected, "compared": CELLS // FILES}
    names = [path.stem for path in legacy.glob("*.csv")]
    assert sorted(row["fingerprint"] for row in found["fingerprints"]) == sorted(names)
    for row in found["fingerprints"]:
        assert {key: row[key] for key in each} == each


def test_it_comes_out_byte_for_byte(imported: str, legacy: Path, tmp_path: Path) -> None:
    found = document("export", tmp_path / "out")
    assert (found["origin"], found["fingerprints"], found["written"]) == ("imported", FILES, FILES)
    assert contents(tmp_path / "out") == contents(legacy)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(contents(legacy))


def test_the_same_again_rewrites_nothing(imported: str, legacy: Path, tmp_path: Path) -> None:
    before = dump(imported)
    found = document("import", legacy)
    assert (found["is_changed"], found["replaced"], found["cells"]) == (False, 0, CELLS)
    assert dump(imported) == before
    # From another folder too, which is not noted.
    done("export", tmp_path / "copy")
    assert document("import", tmp_path / "copy", "--symbol", "btc")["is_changed"] is False
    assert dump(imported) == before


def test_the_real_curves_never_rise(imported: str, legacy: Path) -> None:
    """The real curves never rise, so that they stand the strict reading."""
    result = run("import", legacy, "--strict")
    assert (result.exit_code, result.stderr) == (0, "")


def test_tables_of_the_files_are_the_same_set(
    imported: str, legacy: Path, databases: Databases
) -> None:
    before = dump(imported)
    with databases.new() as theirs:
        assert len(make_tables(theirs, legacy)) == FILES
        found = document("import", "--from-dsn", theirs, "--symbol", "BTC")
        assert (found["is_changed"], found["cells"]) == (False, CELLS)
        total = document("validate", "--from-dsn", theirs)["total"]
    assert (total["compared"], total["differing"], total["missing"]) == (CELLS, 0, 0)
    assert dump(imported) == before


def test_named_views_show_the_files(imported: str, legacy: Path) -> None:
    cells = numbers(legacy)
    shown = [("pos_0_05", ABOVE, "0.05"), ("neg_0_05", BELOW, "0.05"), ("neg_1_75", BELOW, "1.75")]
    for bucket, name in ((-27, "momentum_-27"), (7, "momentum_007"), (99, "baseline")):
        found = rows(
            imported,
            "SELECT minutes_to_close, pos_0_05, neg_0_05, neg_1_75, pos_1_70, pos_2_95"
            f' FROM analytics."btc_fingerprint_directional_{name}"',
        )
        assert sorted(row[0] for row in found) == list(range(1, MINUTES + 1))
        for minutes, *values, pos_1_70, pos_2_95 in found:
            for value, (_, direction, threshold) in zip(values, shown, strict=True):
                number = cells[bucket, minutes, direction, Decimal(threshold)]
                assert f"{value}" == f"{float(number):.2f}"
            # The predecessor's files have no such columns.
            assert (pos_1_70, pos_2_95) == (None, None)


def test_another_folder_replaces_it_completely(
    fresh_db: str, monkeypatch: pytest.MonkeyPatch, legacy: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    done("import", legacy)
    real = dump(fresh_db, with_versions=False)
    other = write(tmp_path / "other", buckets=(-31, 5, 99), minutes=(5, 15), spell=shifted)
    before = state(legacy)
    found = document("import", other)
    assert (found["is_changed"], found["replaced"]) == (True, FILES)
    assert stored(fresh_db) == as_floats(numbers(other))
    assert document("validate", other)["total"]["missing"] == 0

    assert document("import", legacy)["replaced"] == 3
    assert stored(fresh_db) == as_floats(numbers(legacy))
    again = dump(fresh_db, with_versions=False)
    # The time of the import differs.
    del real["upc_data.fingerprint_import"], again["upc_data.fingerprint_import"]
    assert again == real
    assert state(legacy) == before
