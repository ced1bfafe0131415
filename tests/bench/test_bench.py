"""`pyupc bench`: every row of a short run, and the counting that it is compared with."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner

from pyupc.bench import figures, numpy_build, run
from pyupc.bench.scratch import DATABASE
from pyupc.cli import bench, main
from pyupc.database.connect import connect
from pyupc.errors import PyupcError

ROOT = Path(__file__).parents[2]


def database_exists(dsn: str) -> bool:
    with connect(dsn) as conn:
        query = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s)"
        return conn.execute(query, [DATABASE]).fetchone() == (True,)


@pytest.mark.slow
def test_a_quick_run_has_every_row(server_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYUPC_DSN", server_dsn)
    result = CliRunner().invoke(main, ["bench", "--quick", "--years", "0.1", "--json"])
    assert result.exit_code == 0, result.stderr
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert list(rows) == [
        "build_numpy",
        "build_loop",
        "disk",
        "day",
        "strikes_one",
        "strikes_constants",
        "strikes_griddata",
        "strikes_griddata_at_once",
        "tick_simulated",
        "tick_replay",
        "market_tick",
        "market_quotes",
        "contracts_three",
        "contracts_unfollowed",
        "process_cpu",
        "process_memory",
        "symbols_1",
        "symbols_10",
    ]
    assert all(row["value"] >= 0 for row in rows.values())
    assert all(
        row["ratio"] == pytest.approx(row["value"] / row["other"])
        for row in rows.values()
        if row["other"]
    )
    # 37 days of minutes with 60 later ones each, without those that lie behind the end.
    built = rows["build_numpy"]["details"]
    assert built["pairs"] == sum(37 * 1440 - t for t in range(1, 61))
    assert (built["agrees"], built["same_pairs"]) == (True, True)
    assert rows["strikes_griddata"]["details"]["differing"] == 0
    assert not database_exists(server_dsn)


def test_an_interrupted_run_drops_its_database(server_dsn: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "pyupc", "bench"],
        cwd=ROOT,
        env={**os.environ, "PYUPC_DSN": server_dsn},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        # The first line is logged once the schema exists; candles are generated next.
        assert process.stderr.readline()
        assert database_exists(server_dsn)
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=30)
    assert process.returncode == 130, log
    assert not database_exists(server_dsn)


def test_a_database_that_is_not_the_benchs_is_left_alone(
    server_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYUPC_DSN", server_dsn)
    with connect(server_dsn) as conn:
        conn.execute(f"CREATE DATABASE {DATABASE}")
        try:
            assert CliRunner().invoke(main, ["bench", "--quick"]).exit_code == 1
            assert database_exists(server_dsn)
        finally:
            conn.execute(f"DROP DATABASE {DATABASE}")


def test_without_numpy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYUPC_DSN", "host=/nowhere")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["bench", "--quick"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["pyupc", "hint"]


@pytest.mark.parametrize("arguments", [["--only", "x"], ["--years", "0"], ["--candles", "/none"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, ["bench", *arguments]).exit_code == 2


def test_the_figures_are_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        figures.Row("a", "one, two", 2.0, "ms", "it", 0.5, details={"same": True, "of": [1, 2]}),
        figures.Row("b", "three", 3.0, "s"),
    ]
    monkeypatch.setenv("PYUPC_DSN", "host=/nowhere")
    monkeypatch.setattr(run, "run", lambda *_: iter(found))
    printed = {
        option: CliRunner().invoke(main, ["bench", option]).stdout
        for option in ("--json", "--nl", "--csv")
    }
    rows = json.loads(printed["--json"])
    assert [(row["name"], row["ratio"]) for row in rows] == [("a", 4.0), ("b", None)]
    assert rows[0]["details"] == {"same": True, "of": [1, 2]}
    assert [json.loads(line) for line in printed["--nl"].splitlines()] == rows
    first, second = csv.DictReader(printed["--csv"].splitlines())
    assert json.loads(first.pop("details")) == rows[0].pop("details")
    assert first == {name: str(value) for name, value in rows[0].items()}
    assert (second["what"], second["ratio"], second["details"]) == ("three", "", "{}")


def test_a_part_that_fails_is_a_row_and_the_others_go_on(
    server_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is printed as it ends: what follows has seen what came before."""
    monkeypatch.setenv("PYUPC_DSN", server_dsn)
    monkeypatch.setattr(run, "scratch_database", lambda server: nullcontext(server))
    for name in ("_require_numpy", "fill", "build"):
        monkeypatch.setattr(run, name, lambda *_: None)
    monkeypatch.setattr("pyupc.bench.run.migrate.upgrade", lambda dsn: None)

    def fails(plan: object) -> Iterator[figures.Row]:
        yield figures.Row("first", "before it failed", 1.0, "ms")
        with connect(server_dsn) as conn:
            conn.execute(
                "DO $$ BEGIN RAISE SQLSTATE '53200'"
                " USING HINT = 'You might need to increase \"max_locks_per_transaction\".'; END $$"
            )

    def is_wrong(plan: object) -> Iterator[figures.Row]:
        raise ZeroDivisionError
        yield

    monkeypatch.setattr("pyupc.bench.run.strikes.strikes", fails)
    monkeypatch.setattr("pyupc.bench.run.ticks.ticks", is_wrong)
    monkeypatch.setattr(
        "pyupc.bench.run.markets.markets",
        lambda plan: iter([figures.Row("last", "well", 2.0, "ms")]),
    )
    only = [part for name in ("strikes", "tick", "market") for part in ("--only", name)]
    for option in ("--json", "--nl", "--csv", "-t", None):
        chosen = [] if option is None else [option]
        result = CliRunner().invoke(main, ["bench", "--quick", *only, *chosen])
        assert result.exit_code == 1
        assert "53200" in result.stdout
        if option == "--json":
            rows = json.loads(result.stdout)
            assert [row["name"] for row in rows] == ["first", "strikes", "tick", "last"]
            assert [row["value"] for row in rows] == [1.0, None, None, 2.0]
            assert rows[1]["details"]["sqlstate"] == "53200"
            assert "max_locks_per_transaction" in rows[1]["details"]["hint"]
            assert rows[2]["details"]["sqlstate"] is None
        if option == "--nl":
            assert [json.loads(line) for line in result.stdout.splitlines()] == rows
        if option == "--csv":
            assert len(list(csv.DictReader(result.stdout.splitlines()))) == 4


def test_a_row_is_printed_before_the_next_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def measured(*_: object) -> Iterator[figures.Row]:
        for name in ("a", "b"):
            yield figures.Row(name, name, 1.0, "ms")
            seen.append(capsys.readouterr().out)
        raise PyupcError("no more")

    monkeypatch.setenv("PYUPC_DSN", "host=/nowhere")
    monkeypatch.setattr(run, "run", measured)
    for option in ("--json", "--nl", "--csv", None):
        seen.clear()
        with pytest.raises(SystemExit):
            main(["bench", *([option] if option else [])], standalone_mode=False)
        assert all(seen)
        if option == "--json":
            rest = capsys.readouterr().out
            assert [row["name"] for row in json.loads("".join([*seen, rest]))] == ["a", "b"]


def test_the_help_names_every_measurement() -> None:
    assert bench.NAMES == run.NAMES


def test_percentiles() -> None:
    times = [k / 1000 for k in range(100, 0, -1)]
    assert figures.milliseconds(times) == pytest.approx({"p50": 51, "p99": 100})


def test_numpy_decides_a_move_of_exactly_five_hundredths() -> None:
    """1000.00 up to 1000.50 is +0.05 %; a cent less is not."""
    import numpy as np

    closes = np.array([1000.0, 1000.5, 1000.0, 1000.49, 1000.0, 999.5])
    counts, years = numpy_build.count(numpy_build.Candles(0, closes, np.zeros(len(closes))))
    assert years == [1970]
    ones = counts[0, 61, 0]
    # 0.00 % of 1000.50 down is not quite 0.05: three falls, of which only the last is one.
    assert {int(b): int(ones[b]) for b in np.flatnonzero(ones)} == {59: 2, 58: 1, 61: 1, 62: 1}
