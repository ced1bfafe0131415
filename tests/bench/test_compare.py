"""`pyupc compare`: its figures computed again, and what it refuses."""

from __future__ import annotations

import csv
import json
import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from click.testing import CliRunner, Result
from scipy.interpolate import griddata

from pyupc.bench.compare.predecessor import Files
from pyupc.bench.compare.run import run
from pyupc.bench.compare.samples import Sample, draw
from pyupc.cli import main
from pyupc.database.connect import connect

Connection = psycopg.Connection[tuple[Any, ...]]

# Minutes, thresholds in cents, and then the numbers of both directions by row and column.
Table = dict[str, dict[tuple[int, int], float]]

MINUTES = (1, 2, 3, 5, 10, 20, 60)
CENTS = (0, 5, 10, 15, 30, 60, 100)
BUCKETS = (-2, -1, 1, 4)
NAMES = ["compute_strikes", "nearest_one_by_one", "nearest_at_once", "linear_at_once"]


def pyupc(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def document(*arguments: str, code: int = 0) -> dict[str, Any]:
    result = pyupc("compare", *arguments, "--json")
    assert result.exit_code == code, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def file_of(folder: Path, bucket: int | None) -> Path:
    kind = "baseline" if bucket is None else f"momentum_{bucket:03d}"
    return folder / f"btc_fingerprint_directional_{kind}.csv"


def write(
    folder: Path,
    minutes: tuple[int, ...] = MINUTES,
    cents: tuple[int, ...] = CENTS,
    buckets: tuple[int, ...] = BUCKETS,
) -> Path:
    """Files of random numbers, less likely for larger moves."""
    dice = random.Random(7)
    folder.mkdir()
    header = [f"{way}{c / 100:.2f}%" for c in cents for way in (">= +", "<= -")]
    for bucket in (*buckets, None):
        lines = [",".join(["", *header])]
        for minute in minutes:
            ways = [sorted((dice.uniform(0, 60) for _ in cents), reverse=True) for _ in range(2)]
            cells = [f"{p:.2f}" for pair in zip(*ways, strict=True) for p in pair]
            lines.append(",".join([f"{minute}m TTC", *cells]))
        file_of(folder, bucket).write_text("\n".join(lines) + "\n")
    return folder


def read(path: Path) -> Table:
    """Read a table by column and by row, without pandas."""
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    table: Table = {"+": {}, "-": {}}
    for name, *cells in rows:
        for title, cell in zip(header[1:], cells, strict=True):
            place = int(name.removesuffix("m TTC")), round(100 * float(title[4:-1]))
            table[title[3]][place] = float(cell)
    return table


def points_of(table: Table) -> tuple[Any, list[Any]]:
    """The points and both columns of values as griddata takes them."""
    places = sorted(table["+"])
    points = np.array([(60.0 * minute, cent / 100) for minute, cent in places])
    return points, [np.array([table[way][place] for place in places]) for way in "+-"]


@pytest.fixture
def conn(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    with connect(fresh_db) as conn:
        yield conn


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "files")


@pytest.fixture
def imported(conn: Connection, folder: Path) -> Connection:
    """A database where the set of the folder is the only one."""
    bring_in(folder)
    return conn


def bring_in(folder: Path) -> None:
    result = pyupc("fingerprints", "import", str(folder))
    assert result.exit_code == 0, result.stderr


def build(conn: Connection) -> None:
    conn.execute(
        """
        INSERT INTO upc_data.candle
        SELECT * FROM upc.simulated_candles('BTC', '2024-03-01Z', '2024-03-03Z')
        """
    )
    conn.execute("SELECT upc.build_fingerprints('BTC')")


def answers(conn: Connection, sample: Sample) -> list[tuple[float, float, float]]:
    """Strike and both probabilities."""
    return conn.execute(
        """
        SELECT strike, positive_prob, negative_prob
        FROM upc.compute_strikes(%s, %s, 'BTC', ttc_seconds => %s)
        """,
        (sample.price, sample.momentum, sample.ttc_seconds),
    ).fetchall()


# Figures


def test_the_imported_set_agrees_with_its_own_export(imported: Connection) -> None:
    found = document("--samples", "400")
    assert (found["symbol"], found["origin"], found["folder"]) == ("BTC", "imported", None)
    assert (found["fingerprints"], found["samples"], found["values"]) == (5, 400, 42 * 400)
    nearest, linear = found["nearest"], found["linear"]
    assert (nearest["differing"], nearest["largest"], found["other_fingerprint"]) == (0, 0, 0)
    assert nearest["compared"] + nearest["ties"] == 42 * 400
    assert linear["compared"] + linear["outside"] == 42 * 400
    assert [(each["name"], each["rounds"]) for each in found["times"]] == list(
        zip(NAMES, (50, 50, 50, 5), strict=True)
    )
    for each in found["times"]:
        assert each["ratio"] == each["p50_ms"] / each["beside_ms"] > 0


def test_its_own_folder_gives_the_same_figures(imported: Connection, folder: Path) -> None:
    own, exported = document(str(folder), "--samples", "30"), document("--samples", "30")
    assert own.pop("folder") == str(folder)
    for each in (own, exported):
        del each["times"]
        each.pop("folder", None)
    assert own == exported


def test_the_figures_are_those_of_griddata(imported: Connection, folder: Path) -> None:
    samples = draw(60, 5, 250, BUCKETS)
    # The middles between the rows, in seconds, and between the columns, in percent.
    rows, columns = (
        [(a + b) / 2 for a, b in pairwise(edges)]
        for edges in ([60 * m for m in MINUTES], [c / 100 for c in CENTS])
    )
    off_tie: list[float] = []
    from_linear: list[float] = []
    ties = outside = 0
    for sample in samples:
        nearby = {b: abs(b - round(sample.momentum or 0)) for b in BUCKETS}
        bucket = min(nearby, key=lambda b: (nearby[b], abs(b)))
        points, values = points_of(
            read(file_of(folder, None if sample.momentum is None else bucket))
        )
        strikes, *both = np.array(answers(imported, sample)).T
        moves = 100 * np.abs(sample.price - strikes) / sample.price
        at = np.column_stack([np.full(len(moves), float(sample.ttc_seconds)), moves])
        is_tie = np.array(
            [
                sample.ttc_seconds in rows or any(abs(move - c) <= 1e-9 for c in columns)
                for move in moves
            ]
        )
        for ours, theirs in zip(both, values, strict=True):
            ties += int(is_tie.sum())
            nearest = griddata(points, theirs, at, method="nearest")
            off_tie += np.abs(ours - nearest)[~is_tie].tolist()
            linear = griddata(points, theirs, at, method="linear")
            is_outside = np.isnan(linear)
            outside += int(is_outside.sum())
            from_linear += np.abs(ours - linear)[~is_outside].tolist()
    found = document("--samples", "60", "--seed", "5")
    assert found["nearest"] == {
        "compared": len(off_tie),
        "differing": 0,
        "largest": max(off_tie),
        "ties": ties,
        "ties_differing": found["nearest"]["ties_differing"],
    }
    assert max(off_tie) == 0
    assert found["linear"] == {
        "compared": len(from_linear),
        "outside": outside,
        "mean": pytest.approx(sum(from_linear) / len(from_linear), rel=1e-12),
        "p99": pytest.approx(np.quantile(from_linear, 0.99), rel=1e-12),
        "largest": pytest.approx(max(from_linear), rel=1e-12),
    }


def test_ties_are_counted_apart(imported: Connection, folder: Path) -> None:
    """A price of 50,000 with a strike 62.50 away is 0.125 %, between 0.10 and 0.15."""
    imported.execute("UPDATE upc_data.symbol SET strike_step = 62.5 WHERE symbol = 'BTC'")
    imported.execute("SELECT upc.refresh_fingerprints('BTC')")
    grid = Files(folder, "BTC", BUCKETS).grid(4)
    strikes = np.array([strike for strike, *_ in answers(imported, Sample(50_000, 4, 1000))])
    for ttc, expected in ((1000, 2), (90, 21), (91, 2)):
        moves = 100 * np.abs(50_000 - strikes) / 50_000
        is_tie = grid.is_tie(np.column_stack([np.full(21, float(ttc)), moves]))
        assert int(is_tie.sum()) == expected
    moves = np.array([0.125 - 2e-9, 0.125 - 1e-10, 0.125 + 1e-10, 0.125 + 2e-9])
    near = np.column_stack([np.full(4, 1000.0), moves])
    assert grid.is_tie(near).tolist() == [False, True, True, False]


def test_one_changed_number_is_found(imported: Connection, folder: Path, tmp_path: Path) -> None:
    """The cell that answers from 40 minutes on for the largest moves, without momentum."""
    changed = tmp_path / "changed"
    shutil.copytree(folder, changed)
    path = file_of(changed, None)
    before = read(path)["+"][60, 100]
    lines = path.read_text().splitlines()
    cells = lines[-1].split(",")
    cells[-2] = f"{before / 2:.4f}"
    path.write_text("\n".join([*lines[:-1], ",".join(cells)]) + "\n")

    found = document(str(changed), "--samples", "200", code=1)
    expected = sum(
        100 * abs(sample.price - strike) / sample.price > 0.8
        for sample in draw(200, 1, 250, BUCKETS)
        if sample.momentum is None and sample.ttc_seconds > 2400
        for strike, *_ in answers(imported, sample)
    )
    assert found["nearest"]["differing"] == expected > 0
    assert found["nearest"]["largest"] == abs(before - float(cells[-2]))

    result = pyupc("compare", str(changed), "--samples", "200")
    assert result.exit_code == 1
    assert f"{expected:,}" in result.stdout
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["pyupc", "hint"]
    assert f"{changed} --symbol BTC --against imported" in result.stderr


@pytest.mark.slow
def test_built_fingerprints_agree_to_the_last_bit(conn: Connection, folder: Path) -> None:
    build(conn)
    found = document("--samples", "300")
    assert (found["origin"], found["folder"]) == ("built", None)
    assert (found["nearest"]["differing"], found["other_fingerprint"]) == (0, 0)
    assert found["nearest"]["compared"] > 300 * 40
    # Many digits: rounded to two, hardly any of them would be equal.
    assert any(value not in (0, 100) and round(value, 2) != value for value in built_values(conn))

    bring_in(folder)
    assert document("--samples", "20")["origin"] == "built"
    beside = document(str(folder), "--samples", "20", code=1)
    assert (beside["origin"], beside["folder"]) == ("built", str(folder))
    assert beside["other_fingerprint"] > 0


def built_values(conn: Connection) -> list[float]:
    rows = conn.execute(
        "SELECT unnest(c.positive) FROM upc.fingerprint_curve AS c WHERE c.bucket = 99"
    ).fetchall()
    return [value for (value,) in rows]


def test_another_set_comes_into_use_meanwhile(imported: Connection) -> None:
    """All questions are asked of one moment, that of the export."""
    build(imported)
    pyupc("fingerprints", "use", "imported", "--symbol", "BTC")

    @contextmanager
    def meddling() -> Iterator[Any]:
        def on_sample(done: int, total: int) -> None:
            if done == 3:
                with connect() as other:
                    other.execute("SELECT upc.use_fingerprints('built', '{BTC}')")

        yield on_sample

    with connect() as own:
        done = run(own, "BTC", None, count=6, seed=1, progress=meddling())
    assert (done.origin, done.differences.nearest.differing) == ("imported", 0)
    in_use = "SELECT origin FROM upc.fingerprint_set WHERE symbol = 'BTC' AND is_in_use"
    assert imported.execute(in_use).fetchall() == [("built",)]


@pytest.mark.slow
def test_the_predecessors_own_files(conn: Connection, shared_data: Path) -> None:
    legacy = shared_data / "legacy" / "btc"
    bring_in(legacy)
    for found in (document("--samples", "300"), document(str(legacy), "--samples", "300")):
        assert (found["fingerprints"], found["origin"]) == (62, "imported")
        assert (found["nearest"]["differing"], found["other_fingerprint"]) == (0, 0)
        assert found["nearest"]["compared"] > 300 * 40
        assert 0 < found["linear"]["mean"] < found["linear"]["p99"] < found["linear"]["largest"]


def test_files_on_a_line_have_no_linear_answer(conn: Connection, tmp_path: Path) -> None:
    for minutes, cents in (((7,), CENTS), (MINUTES, (10,))):
        folder = write(tmp_path / f"{len(minutes)}", minutes, cents, ())
        bring_in(folder)
        found = document("--samples", "10")
        assert found["nearest"]["differing"] == 0
        nothing = {"compared": 0, "mean": None, "p99": None, "largest": None}
        assert found["linear"] == {**nothing, "outside": 420}
        assert [each["name"] for each in found["times"]] == NAMES[:3]
        assert pyupc("compare", "--samples", "10").exit_code == 0


def test_text_has_the_figures(imported: Connection) -> None:
    found = document("--samples", "20")
    result = pyupc("compare", "--samples", "20")
    assert (result.exit_code, result.stderr) == (0, "")
    rows = {line.split("  ")[0].split(":")[0]: line.split() for line in result.stdout.splitlines()}
    assert rows["nearest"][1:2] == [f"{found['nearest']['ties']:,}"]
    assert f"{found['linear']['compared']:,}" in result.stdout
    assert f"{found['linear']['outside']:,}" in rows["linear"]
    assert len([name for name in rows if name.startswith("griddata")]) == 3


def test_nothing_is_left_behind(
    imported: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    document("--samples", "2")
    assert list(temporary.iterdir()) == []


# Parts


def test_prepared_interpolators_are_griddata(folder: Path) -> None:
    dice = np.random.default_rng(3)
    at = np.column_stack([dice.integers(0, 3700, 500), dice.uniform(0, 1.2, 500)])
    files = Files(folder, "BTC", BUCKETS)
    for bucket in (*BUCKETS, 99):
        points, values = points_of(read(file_of(folder, None if bucket == 99 else bucket)))
        grid = files.grid(bucket)
        for method, found in (("nearest", grid.nearest(at)), ("linear", grid.linear(at))):
            for column, own in zip(found.T, values, strict=True):
                expected = griddata(points, own, at, method=method)
                np.testing.assert_array_equal(column, expected)
        assert np.isnan(grid.linear(at)).any()


@pytest.mark.parametrize(
    ("momentum", "bucket"),
    [
        *[(None, 99), (-1e9, -2), (-2.5, -2), (-1.5, -2), (-0.5, -1), (0, -1), (0.5, -1)],
        *[(0.51, 1), (1.5, 1), (2, 1), (2.5, 1), (2.51, 4), (3, 4), (98.7, 4), (1e9, 4)],
    ],
)
def test_the_file_that_answers(
    imported: Connection, folder: Path, momentum: float | None, bucket: int
) -> None:
    assert Files(folder, "BTC", BUCKETS).chosen(momentum) == bucket
    row = imported.execute(
        "SELECT fingerprint FROM upc.probability(97250, 97500, %s::float8)", [momentum]
    ).fetchone()
    assert row == (file_of(folder, None if bucket == 99 else bucket).stem,)


def test_without_momentum_buckets_the_baseline_answers(folder: Path) -> None:
    assert Files(folder, "BTC", ()).chosen(4.0) == 99


def test_rows_and_columns_may_be_in_any_order(folder: Path) -> None:
    path = file_of(folder, 4)
    before = Files(folder, "BTC", BUCKETS).grid(4)
    header, *rows = [line.split(",") for line in path.read_text().splitlines()]
    order = [0, *random.Random(1).sample(range(1, len(header)), len(header) - 1)]
    shuffled = [[line[place] for place in order] for line in (header, *reversed(rows))]
    path.write_text("".join(",".join(line) + "\n" for line in shuffled))
    after = Files(folder, "BTC", BUCKETS).grid(4)
    for name in ("minutes", "thresholds", "positive", "negative"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))


def test_samples_cover_what_may_be_asked() -> None:
    samples = draw(5000, 1, 20, (-30, 0, 30))
    assert samples == draw(5000, 1, 20, (-30, 0, 30)) != draw(5000, 2, 20, (-30, 0, 30))
    prices = sorted(sample.price for sample in samples)
    assert 1600 <= prices[0] < 1700 < 4000 < prices[2500] < 4800 < 11_000 < prices[-1] <= 12_000
    times = {sample.ttc_seconds for sample in samples}
    assert (min(times), max(times)) == (0, 3600)
    momenta = [sample.momentum for sample in samples if sample.momentum is not None]
    assert 300 < 5000 - len(momenta) < 700
    assert -33 <= min(momenta) < -32 < 32 < max(momenta) <= 33
    for share in (1, 2):
        assert sum(share * m % 1 == 0 for m in momenta) > 500 * share


# Refusals


@pytest.mark.parametrize("name", ["pandas", "scipy"])
def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PYUPC_DSN", "host=/nowhere")
    monkeypatch.setattr("importlib.util.find_spec", lambda each: None if each == name else each)
    result = pyupc("compare")
    assert (result.exit_code, result.stdout) == (1, "")
    message, hint = result.stderr.splitlines()
    assert name in message
    assert hint == "hint: pip install 'pyupc[compare]'"


@pytest.mark.parametrize(
    "arguments",
    [
        *[["--samples", "0"], ["--samples", "many"], ["--seed", "x"], ["a", "b"]],
        ["--symbol", "BTC", "--symbol", "ETH"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    result = pyupc("compare", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize("arguments", [[], ["--symbol", "ETH"], ["--symbol", "DOGE"], ["/none"]])
def test_what_does_not_exist_is_refused(conn: Connection, arguments: list[str]) -> None:
    result = pyupc("compare", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["pyupc", "hint"]


def test_a_folder_is_refused_as_an_import_refuses_it(imported: Connection, folder: Path) -> None:
    changes: Mapping[str, tuple[str, str]] = {
        "a number": (",", ",x"),
        "a row": ("10m TTC", "11m TTC"),
        "a column": (">= +0.05%", ">= +0.06%"),
    }
    path = file_of(folder, -2)
    text = path.read_text()
    for old, new in changes.values():
        path.write_text(text.replace(old, new, 2))
        ours = pyupc("compare", str(folder))
        theirs = pyupc("fingerprints", "import", str(folder))
        assert (ours.exit_code, ours.stdout) == (theirs.exit_code, theirs.stdout) == (1, "")
        assert ours.stderr.splitlines()[-1:] == theirs.stderr.splitlines()[-1:]
    path.write_text(text)
    assert pyupc("compare", str(folder), "--symbol", "ETH").exit_code == 1


def test_a_database_without_schema_exits_with_4(
    empty_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYUPC_DSN", empty_db)
    assert pyupc("compare").exit_code == 4


def test_without_a_server_it_exits_with_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYUPC_DSN", "host=/nowhere")
    assert pyupc("compare").exit_code == 3
