"""`pyupc bench scale`: the figures of a short run, and the copies that they are measured with."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from pyupc.bench.scale import copies, cpu, room, run
from pyupc.bench.scale.figures import Figure
from pyupc.bench.scratch import DATABASE, Connection, simulate
from pyupc.cli import main
from pyupc.cli.bench import scale
from pyupc.database.connect import connect
from pyupc.errors import PyupcError
from pyupc.fingerprints.build import build
from pyupc.runtime.progress import Progress

ROOT = Path(__file__).parents[2]

# Parts that a short run has at every number of symbols, by their rows.
PARTS = {
    "refresh": ("refresh", "day"),
    "hour": ("hour",),
    "ticks": ("round", "round_client", "round_missed"),
    "upgrade": ("upgrade", "upgrade_time", "upgrade_locks"),
    "disk": ("disk",),
    "catalogue": ("catalogue",),
    "dump": ("dump", "dump_size"),
}


def database_exists(dsn: str) -> bool:
    with connect(dsn) as conn:
        query = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s)"
        return conn.execute(query, [DATABASE]).fetchone() == (True,)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_short_run_has_every_figure(server_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYUPC_DSN", server_dsn)
    options = ["--symbols", "3,2", "--days", "4", "--seconds", "2", "--rounds", "1", "--json"]
    result = CliRunner().invoke(main, ["bench", "scale", *options])
    assert result.exit_code == 0, (result.stderr, result.stdout)
    rows = json.loads(result.stdout)
    parts = [name for own in PARTS.values() for name in own]
    assert [(row["symbols"], row["name"]) for row in rows] == [
        *((2, name) for name in parts),
        (3, "register"),
        *((3, name) for name in parts),
    ]
    assert all(row["value"] >= 0 for row in rows)
    at_two = {row["name"]: row["value"] for row in rows if row["symbols"] == 2}
    for row in rows:
        is_later = row["symbols"] == 3 and row["name"] != "register"
        assert row["other"] == (at_two[row["name"]] if is_later else None)
        if is_later and row["other"]:
            assert row["ratio"] == pytest.approx(row["value"] / row["other"])
    assert not database_exists(server_dsn)


def test_the_help_names_every_part() -> None:
    assert scale.NAMES == run.NAMES == ("register", *PARTS)


@pytest.fixture
def copied(fresh_db: str) -> Iterator[Connection]:
    """A counted symbol of three days, and two copies of it."""
    end = datetime(2024, 8, 4, tzinfo=UTC)
    with connect(fresh_db) as conn:
        simulate(conn, copies.ORIGINAL, end - timedelta(days=3), end)
        build(fresh_db, [copies.ORIGINAL], Progress())
        tables = copies.counted_tables(conn)
        others = copies.names(4)[2:]
        assert copies.register(conn, others) == 2
        copies.copy(fresh_db, tables, others, lambda done, total: None)
        yield conn


def test_copies_answer_as_the_original(copied: Connection) -> None:
    """The same rows but for the name of the fingerprint, with every model."""
    for model, method in (("momentum", "nearest"), ("volatility", "linear")):
        answers = [
            copied.execute(
                "SELECT * FROM upc.compute_strikes(100000.5, %s, %s, %s, 250, method => %s,"
                " model => %s, volatility => %s)",
                [momentum, symbol, ttc, method, model, 0.4 if model == "volatility" else None],
            ).fetchall()
            for symbol in ("BTC", "S0003", "S0004")
            for momentum in (None, -30, 3)
            for ttc in (60, 1700)
        ]
        own = answers[:6]
        assert all(len(rows) == 21 for rows in own)
        for copy in (answers[6:12], answers[12:]):
            assert [[_unnamed(row) for row in rows] for rows in copy] == [
                [_unnamed(row) for row in rows] for rows in own
            ]


def _unnamed(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        re.sub("^(btc|s000[34])_", "", value) if isinstance(value, str) else value for value in row
    )


def test_a_copy_has_all_rows_and_nothing_to_count(copied: Connection, fresh_db: str) -> None:
    tables = {table.name for table in copies.counted_tables(copied)}
    assert {"candle", "counted_day", "fingerprint_histogram", "volatility_histogram"} <= tables
    for table in tables:
        counts = copied.execute(
            f"SELECT count(*) FROM upc_data.{table} AS t"
            " WHERE t.symbol IN ('BTC', 'S0003', 'S0004') GROUP BY t.symbol"
        ).fetchall()
        assert len(counts) == 3, table
        assert len(set(counts)) == 1, table
    assert build(fresh_db, ["S0003", "S0004"], Progress()).days == 0


def test_the_names_are_those_of_the_schema_and_others() -> None:
    assert copies.names(4) == ["BTC", "ETH", "S0003", "S0004"]
    assert len(set(copies.names(10_000))) == 10_000


def test_the_meter_counts_work_and_not_waiting(fresh_db: str) -> None:
    meter = cpu.Meter(fresh_db)
    with connect(fresh_db) as conn:
        with meter.measuring() as waiting:
            conn.execute("SELECT pg_sleep(0.3)")
        with meter.measuring() as working:
            conn.execute("SELECT count(*) FROM generate_series(1, 3000000) AS k WHERE k % 7 = 0")
    with meter.measuring(ending=True) as ended, connect(fresh_db) as conn:
        conn.execute("SELECT count(*) FROM generate_series(1, 3000000) AS k WHERE k % 7 = 0")
    meter.close()
    assert waiting.seconds >= 0.3
    assert 0 <= waiting.cpu < 0.1
    assert 0.1 < working.cpu <= working.seconds
    # Its CPU between the last look and its end is lost.
    assert ended.cpu > working.cpu / 4


@pytest.mark.parametrize(
    "arguments",
    [
        ["--symbols", "0"],
        ["--symbols", "1"],
        ["--symbols", "a"],
        ["--symbols", ""],
        ["--symbols", ","],
        ["--symbols", "2,"],
        ["--symbols", "2,2"],
        ["--symbols", "-2"],
        ["--symbols", "2.5"],
        ["--symbols", "٣"],
        ["--symbols", "100000"],
        ["--symbols", "9" * 5000],
        ["--days", "1"],
        ["--seconds", "0"],
        ["--rounds", "0"],
        ["--only", "x"],
        ["--candles", "/none"],
        ["--candles", str(Path(__file__)), "--days", "3"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, ["bench", "scale", *arguments])
    assert result.exit_code == 2
    assert result.stdout == ""


def test_an_option_of_the_other_bench_is_refused() -> None:
    assert CliRunner().invoke(main, ["bench", "--quick", "scale"]).exit_code == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_drops_its_database(server_dsn: str, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "pyupc", "bench", "scale", "--symbols", "2,3"],
        cwd=ROOT,
        env={**os.environ, "PYUPC_DSN": server_dsn},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        # The first line is logged once the schema exists; candles are generated next.
        assert process.stderr.readline()
        assert database_exists(server_dsn)
        process.send_signal(number)
        _, log = process.communicate(timeout=30)
    assert process.returncode == 130, log
    assert not database_exists(server_dsn)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_made(
    server_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYUPC_DSN", server_dsn)
    monkeypatch.setattr("pyupc.database.migrate.upgrade", lambda dsn: pytest.fail("it went on"))
    monkeypatch.setattr(room, "_free", lambda conn: 5_000_000_000)
    result = CliRunner().invoke(main, ["bench", "scale", "--symbols", "2,1000", "--json"])
    assert (result.exit_code, result.stdout) == (1, "[]\n")
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["pyupc", "hint"]
    assert not database_exists(server_dsn)


def test_a_memory_that_is_too_small_is_refused(
    server_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_read", lambda conn, path: "MemTotal: 9 kB\nMemAvailable: 1000 kB\n")
    with connect(server_dsn) as conn, pytest.raises(PyupcError):
        room.require_memory(conn, 2)


def test_a_disk_on_another_machine_is_not_asked_for() -> None:
    elsewhere: Any = SimpleNamespace(info=SimpleNamespace(host="db.example.org"))
    room.require_disk(elsewhere, 10_000, 10**12)


def test_a_role_that_may_not_read_the_times_is_refused(server_dsn: str) -> None:
    with connect(server_dsn) as conn, conn.transaction(force_rollback=True):
        conn.execute("CREATE ROLE scale_without_rights")
        conn.execute("SET LOCAL ROLE scale_without_rights")
        with pytest.raises(PyupcError) as caught, conn.transaction():
            cpu.require(conn)
    assert caught.value.hint


def figures(*_: object) -> Iterator[Figure]:
    yield Figure("refresh", "a refresh", 20.0, "ms", symbols=2, details={"cpu": [0.02]})
    yield Figure("refresh", "a refresh", 25.0, "ms", "2 symbols", 20.0, symbols=10)
    details = {"sqlstate": "53200", "hint": "more"}
    yield Figure("upgrade", "it failed", None, "", note="no room", details=details, symbols=10)


def test_figures_are_rows_and_a_failed_one_is_the_exit_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYUPC_DSN", "host=/nowhere")
    monkeypatch.setattr(run, "run", figures)
    result = CliRunner().invoke(main, ["bench", "scale", "--json"])
    assert result.exit_code == 1
    rows = json.loads(result.stdout)
    assert [(row["symbols"], row["name"], row["value"], row["ratio"]) for row in rows] == [
        (2, "refresh", 20.0, None),
        (10, "refresh", 25.0, 1.25),
        (10, "upgrade", None, None),
    ]
    assert list(rows[0]) == list(scale._COLUMNS)


def test_the_table_has_a_column_for_each_number_of_symbols(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYUPC_DSN", "host=/nowhere")
    monkeypatch.setattr(run, "run", figures)
    lines = CliRunner().invoke(main, ["bench", "scale"]).stdout.splitlines()
    assert lines[0].split() == ["2", "symbols", "10", "symbols"]
    assert lines[1].split() == ["a", "refresh,", "ms", "20", "25"]
    assert lines[2].split() == ["it", "failed", "53200"]
    assert "no room" in lines[3]


def test_what_was_measured_before_an_interruption_is_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> Iterator[Figure]:
        yield next(figures())
        raise KeyboardInterrupt

    monkeypatch.setenv("PYUPC_DSN", "host=/nowhere")
    monkeypatch.setattr(run, "run", interrupted)
    result = CliRunner().invoke(main, ["bench", "scale"])
    assert result.exit_code == 130
    assert "20" in result.stdout
