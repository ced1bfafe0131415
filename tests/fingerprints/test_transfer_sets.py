"""Sets of any shape: imported, answering, validated, exported as they were."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyupc.database.connect import connect
from tests.support.databases import Databases
from tests.support.legacy_files import (
    ABOVE,
    BASELINE,
    BELOW,
    BUCKETS,
    MINUTES,
    THRESHOLDS,
    as_floats,
    contents,
    document,
    done,
    dump,
    file_name,
    numbers,
    percent,
    refused,
    run,
    shifted,
    stored,
    text,
    titles,
    write,
)
from tests.support.market import on_terminal, rows

CELLS = len(BUCKETS) * len(MINUTES) * 2 * len(THRESHOLDS)


@pytest.fixture(scope="module")
def module_db(databases: Databases) -> Iterator[str]:
    with databases.clone("empty") as dsn:
        yield dsn


def comes_through(dsn: str, folder: Path, out: Path) -> None:
    """Numbers right, validated without a difference, exported as they came."""
    expected = as_floats(numbers(folder))
    assert stored(dsn) == expected
    total = document("validate", folder)["total"]
    assert total == {
        "compared": len(expected),
        "differing": 0,
        "missing": 0,
        "largest": 0.0,
        "mean": 0.0,
    }
    done("export", out, "--symbol", "BTC")
    assert contents(out) == contents(folder)


# 64 files of 120 columns

WIDE = tuple(f"{Decimal(k) / 20:.2f}" for k in range(60))


@pytest.fixture(scope="module")
def wide(module_db: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wide")
    buckets = (*range(-31, 32), BASELINE)
    return write(folder, buckets=buckets, header=titles(WIDE), minutes=range(1, 61))


@pytest.mark.slow
def test_64_files_of_120_columns(fresh: str, wide: Path, tmp_path: Path) -> None:
    found = document("import", wide, "--symbol", "BTC", "--strict")
    assert (found["fingerprints"], found["minutes"], found["thresholds"]) == (64, 60, 60)
    assert found["cells"] == 64 * 60 * 120
    comes_through(fresh, wide, tmp_path / "out")

    cells = numbers(wide)
    for momentum, bucket in ((31, 31), (-31, -31), (40, 31), (-40.2, -31), (30.4, 30), (None, 99)):
        answers = rows(
            fresh,
            "SELECT strike, positive_prob, negative_prob, fingerprint"
            " FROM upc.compute_strikes(100000, %s, 'BTC', 900, 250, 5)",
            momentum,
        )
        assert len(answers) == 11
        for strike, positive, negative, fingerprint in answers:
            threshold = Decimal(str(abs(strike - 100000))) / 1000
            assert positive == float(cells[bucket, 15, ABOVE, threshold])
            assert negative == float(cells[bucket, 15, BELOW, threshold])
            assert fingerprint == file_name(bucket).removesuffix(".csv")

    for bucket, name in ((31, "momentum_031"), (-31, "momentum_-31")):
        columns = ", ".join(
            f"{way}_{threshold.replace('.', '_')}" for threshold in WIDE for way in ("pos", "neg")
        )
        shown = rows(
            fresh,
            f"SELECT minutes_to_close, time_to_close, {columns}"
            f' FROM analytics."btc_fingerprint_directional_{name}" ORDER BY 1',
        )
        assert [row[:2] for row in shown] == [(m, f"{m:02d}m TTC") for m in range(1, 61)]
        for minutes, _, *found_cells in shown:
            assert found_cells == [
                Decimal(cells[bucket, minutes, direction, Decimal(threshold)])
                for threshold in WIDE
                for direction in (ABOVE, BELOW)
            ]


# Any thresholds, minutes, buckets, orders and spellings


@pytest.mark.slow
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    buckets=st.sets(st.integers(-98, 98), max_size=5),
    thresholds=st.lists(
        st.decimals(0, 100, places=3).map(lambda number: f"{number:.3f}")
        | st.integers(0, 100).map(str)
        | st.integers(0, 59).map(lambda k: f"{k / 20:.2f}"),
        min_size=1,
        max_size=7,
        unique_by=Decimal,
    ),
    minutes=st.lists(st.integers(0, 1440), min_size=1, max_size=15, unique=True),
    rng=st.randoms(use_true_random=False),
)
def test_any_set_comes_through(
    module_db: str,
    monkeypatch: pytest.MonkeyPatch,
    buckets: set[int],
    thresholds: list[str],
    minutes: list[int],
    rng: random.Random,
) -> None:
    def spell(bucket: int, minute: int, direction: str, place: int) -> str:
        number = percent(bucket, minute, direction, place)
        match rng.randrange(6):
            case 0:
                return f"{float(number):.2f}"
            case 1:
                return f"{float(number):.1f}"
            case 2:
                return f"{float(number):.0f}"
            case 3:
                return f"{float(number):.2f}00123456789012"
            case 4 if place == len(thresholds) - 1:
                return rng.choice(["3e-05", "1.2345678901234567e-06", "0.0", "0"])
            case _:
                return number

    monkeypatch.setenv("PYUPC_DSN", module_db)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        folder.mkdir()
        for bucket in (*buckets, BASELINE):
            header = titles(thresholds)
            rng.shuffle(header)
            rng.shuffle(minutes)
            content = text(bucket, header=header, minutes=minutes, spell=spell)
            (folder / file_name(bucket)).write_text(content)
        # Two examples may happen to be the same set.
        document("import", folder)
        comes_through(module_db, folder, Path(name) / "out")
        assert document("import", Path(name) / "out")["is_changed"] is False


def test_the_order_of_columns_and_rows_is_kept_for_each_file(fresh: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "in")
    assert document("import", folder)["is_changed"] is True
    before = dump(fresh)
    # The same numbers in another order are another set, since an export shows it.
    other = write(tmp_path / "other", header=titles(THRESHOLDS)[::-1], minutes=MINUTES[::-1])
    assert numbers(other) == numbers(folder)
    assert document("import", other)["is_changed"] is True
    assert stored(fresh) == as_floats(numbers(folder))
    done("export", tmp_path / "out")
    assert contents(tmp_path / "out") == contents(other)
    assert document("import", folder)["is_changed"] is True
    # The curves themselves never changed.
    for table in ("upc_data.fingerprint_curve", "upc_data.fingerprint_grid"):
        assert dump(fresh)[table] == before[table]


@pytest.mark.parametrize(("cell", "other"), [("5.0", "5.00"), ("5.0", "5"), ("0.00003", "3e-05")])
def test_another_spelling_of_a_number_is_another_set(
    fresh: str, tmp_path: Path, cell: str, other: str
) -> None:
    for name, spelling in (("one", cell), ("two", other), ("one", cell)):
        # All numbers of five decimals, where one is to be written without an exponent.
        neighbour = "50.00000" if cell == "0.00003" and spelling == cell else "50.0"
        (tmp_path / name).mkdir(exist_ok=True)
        content = f",>= +0.05%,<= -0.05%\n7m TTC,{neighbour},{spelling}\n"
        (tmp_path / name / file_name(BASELINE)).write_text(content)
        assert document("import", tmp_path / name)["is_changed"] is True
        comes_through(fresh, tmp_path / name, tmp_path / f"out-{spelling}")


def test_each_file_spells_its_thresholds_its_own_way(fresh: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for bucket, spelled in ((-1, "0.5"), (0, "0.50"), (1, "0.500"), (BASELINE, "0.5000")):
        header = [f">= +{spelled}%", "<= -1%", ">= +1.00%", "<= -0.5%"]
        write(folder, buckets=[bucket], header=header)
    assert document("import", folder)["thresholds"] == 2
    comes_through(fresh, folder, tmp_path / "out")
    assert document("import", folder)["is_changed"] is False


# Several sets side by side


def test_one_set_replaces_the_other_of_its_symbol_only(fresh: str, tmp_path: Path) -> None:
    btc = write(tmp_path / "btc")
    eth = write(tmp_path / "eth", symbol="ETH", buckets=(0, 99), spell=shifted)
    done("import", btc)
    done("import", eth)
    kept = stored(fresh)
    assert kept == as_floats(numbers(btc))
    assert stored(fresh, "ETH") == as_floats(numbers(eth))

    other = write(tmp_path / "other", symbol="ETH", buckets=(3, 99), header=titles(["0.5", "1"]))
    assert document("import", other)["replaced"] == 2
    assert stored(fresh, "ETH") == as_floats(numbers(other))
    assert stored(fresh) == kept
    assert rows(
        fresh,
        "SELECT bucket FROM upc_data.imported_fingerprint WHERE symbol = 'ETH' ORDER BY 1",
    ) == [(3,), (99,)]


def test_what_is_printed(fresh: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "in")
    found = document("import", folder, "--symbol", "BTC")
    assert found.pop("seconds") >= 0
    assert found == {
        "symbol": "BTC",
        "source": str(folder),
        "fingerprints": len(BUCKETS),
        "minutes": len(MINUTES),
        "thresholds": len(THRESHOLDS),
        "cells": CELLS,
        "is_changed": True,
        "replaced": 0,
        "in_use": "imported",
        "warnings": 0,
    }
    assert rows(fresh, "SELECT source FROM upc_data.fingerprint_import") == [(str(folder),)]
    result = run("import", folder)
    assert (result.exit_code, result.stderr) == (0, "")


def test_on_a_terminal(fresh: str, tmp_path: Path) -> None:
    """Progress on a terminal leaves nothing but the result behind."""
    folder = write(tmp_path / "in", minutes=[7])
    for command, where in (
        ("import", folder),
        ("import", folder),
        ("validate", folder),
        ("export", tmp_path / "out"),
    ):
        code, screen = on_terminal(fresh, 100, 30, "fingerprints", command, where)
        assert code == 0, screen
        assert "6" in screen
    assert contents(tmp_path / "out") == contents(folder)
    (folder / file_name(1)).write_text("")
    code, screen = on_terminal(fresh, 100, 30, "fingerprints", "import", folder)
    assert code == 1
    assert file_name(1) in screen


def test_a_set_beside_a_built_one_is_there_but_does_not_answer(fresh: str, tmp_path: Path) -> None:
    with connect(fresh) as conn:
        conn.execute(
            "INSERT INTO upc_data.candle"
            " SELECT * FROM upc.simulated_candles('BTC', '2024-03-01Z', '2024-03-02Z')"
        )
        conn.execute("SELECT upc.build_fingerprints('BTC')")
    folder = write(tmp_path / "in")
    answer = "SELECT * FROM upc.compute_strikes(100000, 0, 'BTC', 420, 250, 3)"
    before = rows(fresh, answer)
    assert document("import", folder)["in_use"] == "built"
    assert rows(fresh, answer) == before
    assert stored(fresh) == as_floats(numbers(folder))
    done("use", "imported", "--symbol", "BTC")
    assert rows(fresh, answer) != before
    assert document("import", folder)["in_use"] == "imported"


def test_other_files_of_a_folder_are_passed_over(fresh: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "in")
    for name in ("README.md", "notes.txt", ".btc_fingerprint_directional_momentum_009.csv.swp"):
        (folder / name).write_text("words")
    (folder / "older").mkdir()
    write(folder / "older", spell=shifted)
    (folder / ".git").mkdir()
    assert document("import", folder)["fingerprints"] == len(BUCKETS)
    assert stored(fresh) == as_floats({c: n for c, n in numbers(folder).items()})


def test_a_folder_may_have_any_name(fresh: str, tmp_path: Path) -> None:
    for name in ("two words", "naïve ☃", "line\nbreak", "\udcff\udcfe"):
        folder = write(tmp_path / name, spell=shifted if name == "two words" else percent)
        assert document("import", folder)["cells"] == CELLS
        assert document("validate", folder)["total"]["differing"] == 0
        (folder / file_name(98)).write_text("")
        refused(run("import", folder), 1, file_name(98))
        refused(run("import", tmp_path / name / "below"), 1)
        out = document("export", tmp_path / "out" / name)
        assert out["written"] == len(BUCKETS)
        assert run("export", tmp_path / "out" / name).exit_code == 0
        assert run("export", folder).exit_code == 0
        # A file with other contents is not replaced.
        (folder / file_name(BASELINE)).write_text("other")
        refused(run("export", folder), 1, file_name(BASELINE))
    with connect(fresh) as conn:
        conn.execute("DELETE FROM upc_data.fingerprint_import")
    assert document("import", tmp_path / "out" / "\udcff\udcfe")["is_changed"] is True


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["import"], 2),
        (["validate"], 2),
        (["export"], 2),
        (["import", "FOLDER", "--from-dsn", "dbname=x"], 2),
        (["import", "FOLDER", "--symbol", "BTC", "--symbol", "ETH"], 2),
        (["import", "FOLDER", "FOLDER"], 2),
        (["import", "FOLDER", "--nonsense"], 2),
        (["import", "FOLDER", "--symbol", ""], 2),
        (["validate", "FOLDER", "--against", "nothing"], 2),
        (["export", "FOLDER", "--origin", "nothing"], 2),
        (["export", "FOLDER"], 2),
        (["export", "FOLDER", "--symbol", "DOGE"], 1),
        (["import", "FOLDER", "--symbol", "ETH"], 1),
        (["validate", "FOLDER"], 1),
    ],
)
def test_arguments_that_do_not_fit(
    fresh: str, tmp_path: Path, arguments: list[str], code: int
) -> None:
    folder = str(write(tmp_path / "in"))
    before = dump(fresh)
    refused(run(*(folder if each == "FOLDER" else each for each in arguments)), code)
    assert dump(fresh) == before


@pytest.mark.parametrize("command", ["import", "validate", "export"])
def test_a_database_without_schema_exits_with_4(
    empty_db: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    monkeypatch.setenv("PYUPC_DSN", empty_db)
    refused(run(command, write(tmp_path / "in")), 4)
    monkeypatch.setenv("PYUPC_DSN", "host=127.0.0.1 port=1 connect_timeout=2")
    refused(run(command, tmp_path / "in"), 3)
