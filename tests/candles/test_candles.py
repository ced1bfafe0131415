"""`pyupc candles load`: files as people have them, and everything that may be wrong with them."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

import psycopg
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyupc.candles import files as candle_files
from pyupc.cli import main
from pyupc.database.connect import connect
from tests.support.warm_process import COMMAND, Pyupc

ROOT = Path(__file__).parents[2]
HEADER = "timestamp,open,high,low,close,volume"
START = datetime(2024, 1, 1, tzinfo=UTC)

Rows = list[tuple[Any, ...]]


def load(*arguments: str | Path, symbol: str | None = "BTC") -> Result:
    options = [] if symbol is None else ["--symbol", symbol]
    return CliRunner().invoke(main, ["candles", "load", *map(str, arguments), *options])


def total(*arguments: str | Path) -> dict[str, Any]:
    result = load("--json", *arguments)
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert set(document) == {"symbol", "files", "total"}
    outcome = document["total"]
    assert isinstance(outcome, dict)
    return outcome


def stored(dsn: str) -> Rows:
    with connect(dsn) as conn:
        return conn.execute("TABLE upc_data.candle ORDER BY symbol, opened_at").fetchall()


def notes(dsn: str) -> int:
    with connect(dsn) as conn:
        row = conn.execute("SELECT count(*) FROM upc_data.candle_change").fetchone()
    assert row is not None
    return int(row[0])


def candle(offset: int, close: float = 100.0) -> str:
    at = START + timedelta(minutes=offset)
    return f"{at:%Y-%m-%dT%H:%M:%SZ},100,200,50,{close},1.5"


def row(offset: int, close: float = 100.0) -> tuple[Any, ...]:
    return ("BTC", START + timedelta(minutes=offset), 100.0, 200.0, 50.0, close, 1.5)


@pytest.fixture
def fresh(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    return fresh_db


@pytest.fixture
def shared(shared_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database for tests that load nothing, and leave no candle if they do."""
    monkeypatch.setenv("PYUPC_DSN", shared_database)
    yield shared_database
    with connect(shared_database) as conn:
        conn.execute("TRUNCATE upc_data.candle, upc_data.candle_change, upc_data.counted_day")


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(*lines: str, name: str = "candles.csv", end: str = "\n") -> Path:
        path = tmp_path / name
        path.write_bytes("".join(line + end for line in (HEADER, *lines)).encode())
        return path

    return write


def refused(result: Result, code: int = 1) -> None:
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    *_, message, hint = result.stderr.splitlines()
    assert message.startswith("pyupc: ")
    assert hint.startswith("hint: ")


def positions(result: Result, path: Path) -> list[int]:
    """The numbers in FILE:LINE: reason."""
    prefix = f"{path}:"
    lines = [line for line in result.stderr.splitlines() if line.startswith(prefix)]
    return [int(line.removeprefix(prefix).partition(":")[0]) for line in lines]


# Loaded files


def test_a_file(shared: str, write: Any) -> None:
    path = write(candle(0), candle(1, 101.5), candle(4))
    assert total(path) == {
        "new": 3,
        "changed": 0,
        "unchanged": 0,
        "rejected": 0,
        "gaps": 1,
        "missing_minutes": 2,
        "first": "2024-01-01T00:00:00Z",
        "last": "2024-01-01T00:04:00Z",
    }
    assert stored(shared) == [row(0), row(1, 101.5), row(4)]


def test_loading_twice_changes_nothing(shared: str, write: Any) -> None:
    path = write(candle(0), candle(1))
    total(path)
    before = stored(shared), notes(shared)
    again = total(path)
    assert (again["new"], again["changed"], again["unchanged"]) == (0, 0, 2)
    assert (stored(shared), notes(shared)) == before
    assert notes(shared) > 0


def test_a_correction_replaces_a_candle(shared: str, write: Any) -> None:
    total(write(candle(0), candle(1)))
    outcome = total(write(candle(1, 150)))
    assert (outcome["new"], outcome["changed"], outcome["unchanged"]) == (0, 1, 0)
    assert stored(shared) == [row(0), row(1, 150)]


def test_the_outcome_of_each_file(shared: str, write: Any) -> None:
    first = write(candle(0), candle(1), name="first.csv")
    second = write(candle(1), candle(5), name="second.csv")
    result = load("--json", first, second)
    document = json.loads(result.stdout)
    counts = [
        [outcome[key] for key in ("new", "unchanged", "gaps", "missing_minutes")]
        for outcome in (*document["files"], document["total"])
    ]
    assert counts == [[2, 0, 1, 3], [1, 1, 1, 3], [3, 1, 1, 3]]
    assert [outcome["file"] for outcome in document["files"]] == [str(first), str(second)]


def test_the_summary_is_on_stdout(shared: str, write: Any) -> None:
    path = write(candle(0))
    result = load(path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) == 1
    assert len(load(path, path).stdout.splitlines()) == 3


QUOTED_HEADER, QUOTED_CANDLE = (
    ",".join(f'"{field}"' for field in line.split(",")) for line in (HEADER, candle(0))
)


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n{candle(0)}\n{candle(1)}\n",
        f"{HEADER}\n{candle(0)}\n{candle(1)}",
        f"{HEADER}\r\n{candle(0)}\r\n{candle(1)}\r\n",
        f"\ufeff{HEADER}\n{candle(0)}\n{candle(1)}\n\n \n\r\n",
        f"{HEADER},note\n{candle(0)},\n{candle(1)},naïve ☃ \\N \\t\n",
        f'{HEADER},note\n{candle(0)},"1,234"\n{candle(1)},"1,5"\n',
        f"{QUOTED_HEADER}\n{QUOTED_CANDLE}\n{candle(1)}\n",
        f'{HEADER},note\n{candle(0)},"a, ""b"""\n{candle(1)}, "c"\n',
        " Volume , close,LOW,High,open,TimeStamp\n"
        "1.5,100,50,200,100,2024-01-01 00:00\n1.5,1e2,50,200,100,1704067260000\n",
        f"{HEADER}\n2024-01-01 00:00:00 , 100, 200,50 ,\t100,1.5\n{candle(1)}\n",
        f"{HEADER}\n{candle(1)}\n{candle(0)}\n{candle(1)}\n",
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_files_as_people_have_them(shared: str, tmp_path: Path, text: str, pack: Any) -> None:
    # The name does not decide what is in it.
    path = tmp_path / "candles.dat"
    path.write_bytes(pack(text.encode()))
    result = load(path)
    assert result.exit_code == 0, result.stderr
    assert stored(shared) == [row(0), row(1)]


def test_gzip_in_parts(shared: str, tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    parts = [f"{HEADER}\n{candle(0)}\n2024-01-01T00:0", "1:00Z,100,200,50,100,1.5\n"]
    path.write_bytes(b"".join(gzip.compress(part.encode(), mtime=0) for part in parts))
    assert total(path)["new"] == 2


def test_blocks_of_any_size(shared: str, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [candle(offset) for offset in range(20)]
    path = write(*lines[:10], "", "", *lines[10:], "bad", "", end="\r\n")
    for size in (1, 2, 7, 64, 1000):
        monkeypatch.setattr(candle_files, "BLOCK_BYTES", size)
        result = load(path)
        refused(result)
        assert positions(result, path) == [12, 13, 24]
    assert total(path, "--skip-bad")["new"] == 20


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 2)), min_size=1, max_size=30, unique=True
    ),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_any_split_and_order_of_the_lines_gives_the_same_table(
    shared: str, tmp_path: Path, minutes: list[tuple[int, int]], parts: int, rng: random.Random
) -> None:
    # Two lines with one offset contradict each other.
    offsets = [offset for offset, _ in minutes]
    good = sorted(m for m in minutes if offsets.count(m[0]) == 1)
    shuffled = [m for m in minutes for _ in range(rng.randint(1, 2))]
    rng.shuffle(shuffled)
    # Each file has one line at least.
    paths = []
    for part in range(min(parts, len(shuffled))):
        path = tmp_path / f"{part}.csv"
        lines = [candle(offset, 100 + close) for offset, close in shuffled[part::parts]]
        path.write_text("\n".join([HEADER, *lines]))
        paths.append(path)
    with connect(shared) as conn:
        conn.execute("TRUNCATE upc_data.candle")
    assert load(*paths).exit_code == (0 if len(good) == len(minutes) else 1)
    load("--skip-bad", *paths)
    assert stored(shared) == [row(offset, 100 + close) for offset, close in good]


# Refused files and rows


@pytest.mark.parametrize(
    "line",
    [
        "2024-01-01T00:01:00Z,100,200,50,100",
        "2024-01-01T00:01:00Z,100,200,50,100,1.5,",
        '2024-01-01T00:01:00Z,100,200,50,100,"1.5',
        '2024-01-01T00:01:00Z,100,200,50,"100"0,1.5',
        "2024-01-01T00:01:00Z,100,200,50,1e400,1.5",
        "2024-01-01T00:01:00Z,100,200,50,naïve,1.5",
        "2024-01-01T00:01:00Z,100,200,50,\\N,1.5",
        "2024-01-01T00:01:00Z,100,200,50,\x1b[31m,1.5",
        "infinity,100,200,50,100,1.5",
        "2999-01-01T00:00:00Z,100,200,50,100,1.5",
        "2024-01-01T00:01:00Z,250,200,50,100,1.5",
        "2024-01-01T00:01:00Z,100,200,50,49,1.5",
        HEADER,
        "",
    ],
)
def test_a_bad_line(shared: str, write: Any, line: str) -> None:
    path = write(candle(0), line, candle(1))
    result = load(path)
    refused(result)
    assert positions(result, path) == [3]
    assert "\x1b" not in result.stderr
    assert stored(shared) == []

    outcome = total("--skip-bad", path)
    assert (outcome["new"], outcome["rejected"]) == (2, 1)
    assert stored(shared) == [row(0), row(1)]


def test_a_bad_line_keeps_all_files_out(shared: str, write: Any) -> None:
    good = write(candle(0), name="good.csv")
    bad = write(candle(1), "bad", name="bad.csv")
    refused(load(good, bad))
    assert stored(shared) == []
    assert total("--skip-bad", good, bad)["new"] == 2


def test_a_contradiction_between_files(shared: str, write: Any) -> None:
    first = write(candle(0), candle(1), name="first.csv")
    second = write(candle(1, 101), candle(2), name="second.csv")
    result = load(first, second)
    refused(result)
    assert (positions(result, first), positions(result, second)) == ([3], [2])
    assert total("--skip-bad", first, second)["rejected"] == 2
    assert stored(shared) == [row(0), row(2)]


def test_the_first_twenty_bad_lines_are_shown(shared: str, write: Any) -> None:
    path = write(*["bad"] * 25)
    result = load(path)
    refused(result)
    assert positions(result, path) == list(range(2, 22))
    assert len(result.stderr.splitlines()) == 20 + 1 + 2
    refused(load("--skip-bad", path))


COMPRESSED = gzip.compress("\n".join([HEADER, *map(candle, range(2000))]).encode(), mtime=0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        f"{HEADER}\n".encode(),
        HEADER.encode(),
        f"{HEADER}\n\n\r\n  \n".encode(),
        gzip.compress(b"", mtime=0),
        f"{candle(0)}\n".encode(),
        f"{HEADER.replace('volume', 'amount')}\n{candle(0)}\n".encode(),
        f"{HEADER},Close\n{candle(0)},1\n".encode(),
        f'{HEADER},"x\n{candle(0)},1\n'.encode(),
        f"{HEADER}\n{candle(0)}\n".replace(",", ":").encode(),
        f"{HEADER}\n{candle(0)}\n".encode("utf-16"),
        f"{HEADER}\n{candle(0)}\n".encode("utf-16-le"),
        f"{HEADER},note\n{candle(0)},na\xefve\n".encode("latin-1"),
        f"{HEADER}\n{candle(0)}\n\0".encode(),
        f"{HEADER}\n{candle(0)}\n".encode() + b"\0" * 3_000_000,
        f"{HEADER}\n{candle(0)}\n".encode() + b"9" * 3_000_000,
        bytes(range(256)) * 1000,
        b"PK\x03\x04" + bytes(100),
        COMPRESSED[:-1],
        COMPRESSED[:-8],
        COMPRESSED[: len(COMPRESSED) // 2],
        COMPRESSED[:2],
        COMPRESSED[:5000] + b"\xff\xff\xff" + COMPRESSED[5003:],
        COMPRESSED[:-6] + b"\xff\xff" + COMPRESSED[-4:],
        COMPRESSED + b"garbage",
    ],
)
@pytest.mark.parametrize("options", [[], ["--skip-bad"]])
def test_a_file_that_cannot_be_read(
    shared: str, tmp_path: Path, write: Any, data: bytes, options: list[str]
) -> None:
    path = tmp_path / "broken.csv.gz"
    path.write_bytes(data)
    result = load(write(candle(0)), path, *options)
    refused(result)
    assert str(path) in result.stderr.replace("\n", "")
    assert stored(shared) == []


def test_a_problem_of_the_text_is_given_with_its_line(shared: str, tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    lines = [HEADER.encode(), *(candle(i).encode() for i in range(30_000))]
    for what in (b"\xff", b"\0", b"\xc3"):
        path.write_bytes(b"\n".join([*lines[:25_000], lines[25_000] + what, *lines[25_001:]]))
        result = load(path)
        refused(result)
        assert f"{path}:25001:" in result.stderr


def test_a_missing_file_and_a_folder(shared: str, write: Any, tmp_path: Path) -> None:
    good = write(candle(0))
    refused(load(good, tmp_path / "missing.csv"))
    refused(load(good, tmp_path))
    assert stored(shared) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file(shared: str, write: Any) -> None:
    path = write(candle(0))
    path.chmod(0)
    refused(load(path))


# Symbols and usage


def test_the_symbol_is_registered(shared: str, write: Any) -> None:
    path = write(candle(0))
    for symbol in ("XYZ", "*"):
        result = load(path, symbol=symbol)
        refused(result)
        assert "BTC, ETH" in result.stderr
    assert load(path, symbol=" eth ").exit_code == 0
    assert [symbol for symbol, *_ in stored(shared)] == ["ETH"]


def test_the_symbol_may_be_left_out_if_there_is_one_only(fresh: str, write: Any) -> None:
    path = write(candle(0))
    refused(load(path, symbol=None), 2)
    with connect(fresh) as conn:
        conn.execute("DELETE FROM upc_data.symbol WHERE symbol <> 'BTC'")
    assert load(path, symbol=None).exit_code == 0
    assert stored(fresh) == [row(0)]
    with connect(fresh) as conn:
        conn.execute("DELETE FROM upc_data.symbol")
    refused(load(path, symbol=None))
    refused(load(path))


def test_usage(shared: str, write: Any) -> None:
    path = write(candle(0))
    refused(load(path, "--symbol", "ETH"), 2)
    refused(load(), 2)
    refused(load(path, "--nonsense"), 2)


def test_an_old_schema_exits_with_4(fresh: str, write: Any) -> None:
    with connect(fresh) as conn:
        conn.execute("UPDATE upc_data.alembic_version SET version_num = '0000'")
    refused(load(write(candle(0))), 4)


def test_settings_of_the_database_do_not_matter(
    fresh: str, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = "-c DateStyle=SQL,DMY -c TimeZone=Asia/Kolkata -c extra_float_digits=-15"
    isolation = r"-c default_transaction_isolation=repeatable\ read -c lock_timeout=1"
    monkeypatch.setenv("PGOPTIONS", f"{options} {isolation}")
    path = write("2024-01-01 00:00,100,200,50,100,1.5", candle(1))
    assert total(path)["first"] == "2024-01-01T00:00:00Z"
    monkeypatch.delenv("PGOPTIONS")
    assert stored(fresh) == [row(0), row(1)]


# Two at once, and ends that come early


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    return Pyupc(
        [*COMMAND, "candles", "load", *map(str, arguments), "--symbol", "BTC"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(conn: psycopg.Connection[Any], query: str) -> None:
    deadline = time.monotonic() + 20
    while conn.execute(query).fetchone() == (0,):
        assert time.monotonic() < deadline, query
        time.sleep(0.02)


OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type LIKE 'client%'
"""


def test_two_loads_at_once(fresh: str, write: Any) -> None:
    first = write(*map(candle, range(100)), name="first.csv")
    second = write(*(candle(i, 110) for i in range(50, 150)), name="second.csv")
    with connect(fresh, autocommit=False) as blocker:
        blocker.execute("SELECT upc.lock_candle_load('BTC')")
        loads = [start(first, "--json"), start(second, "--json")]
        waiting = f"SELECT (({OTHERS} AND wait_event = 'advisory') = 2)::integer"
        # A transaction sees the activity of one moment only.
        with connect(fresh) as observer:
            wait_until(observer, waiting)
    outcomes = []
    for process in loads:
        out, errors = process.communicate(timeout=30)
        assert process.returncode == 0, errors
        assert errors
        outcomes.append(json.loads(out)["total"])
    assert [outcome["new"] for outcome in outcomes] in ([100, 50], [50, 100])
    assert sum(outcome["changed"] for outcome in outcomes) == 50
    offsets = [at for _, at, *_ in stored(fresh)]
    assert offsets == [START + timedelta(minutes=i) for i in range(150)]
    last = 110 if outcomes[0]["new"] == 100 else 100
    assert {r[5] for r in stored(fresh)[50:100]} == {last}


def writing_end(pipe: Path, reader: subprocess.Popen[str]) -> TextIO:
    """Opened as soon as the reader has its own end; plain `open` waits for a dead one too."""
    while reader.poll() is None:
        try:
            end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.02)
        else:
            os.set_blocking(end, True)
            return os.fdopen(end, "w")
    pytest.fail(f"it ended early: {reader.communicate()[1]}")


@pytest.fixture
def half_way(fresh: str, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """A load in the middle of a pipe that it reads, and the pipe's other end."""
    pipe = tmp_path / "candles.csv"
    os.mkfifo(pipe)
    with start(pipe) as process:
        try:
            with writing_end(pipe, process) as end:
                end.write("\n".join([HEADER, *map(candle, range(30_000))]) + "\n")
                end.flush()
                with connect(fresh) as conn:
                    wait_until(conn, f"{OTHERS} AND query LIKE '%COPY%' AND state = 'active'")
                yield process, end
        finally:
            process.kill()


def test_an_interrupt_leaves_nothing(fresh: str, half_way: Any) -> None:
    process, _ = half_way
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert (out, "Traceback" in errors) == ("", False)
    assert stored(fresh) == []


def test_a_lost_server_exits_with_3(fresh: str, half_way: Any) -> None:
    process, end = half_way
    with connect(fresh) as conn:
        conn.execute(OTHERS.replace("count(*)", "pg_terminate_backend(pid)"))
        wait_until(conn, f"SELECT (({OTHERS}) = 0)::integer")
    end.write(candle(40_000) + "\n")
    end.close()
    out, errors = process.communicate(timeout=30)
    assert process.returncode == 3, errors
    assert (out, "Traceback" in errors) == ("", False)
    assert stored(fresh) == []


def test_a_pipe_is_read_to_its_end(fresh: str, half_way: Any) -> None:
    process, end = half_way
    end.close()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert len(stored(fresh)) == 30_000


def test_help_has_examples() -> None:
    for arguments in (["candles"], ["candles", "load"]):
        result = CliRunner().invoke(main, [*arguments, "--help"])
        assert result.exit_code == 0
        assert "Examples:" in result.stdout


# Real data


@pytest.mark.slow
def test_three_years_of_real_candles(fresh: str, shared_data: Path) -> None:
    path = shared_data / "btc_1m_2022_2024.csv.gz"
    outcome = total(path)
    assert outcome == {
        "new": 1_578_160,
        "changed": 0,
        "unchanged": 0,
        "rejected": 0,
        "gaps": 1,
        "missing_minutes": 80,
        "first": "2022-01-01T00:00:00Z",
        "last": "2024-12-31T23:59:00Z",
    }
    with connect(fresh) as conn:
        counted = conn.execute(
            "SELECT count(*), count(*) FILTER (WHERE (opened_at AT TIME ZONE 'UTC')::date"
            " = '2023-03-24') FROM upc_data.candle"
        ).fetchone()
        before = notes(fresh)
        assert counted == (1_578_160, 1440 - 80)
    again = total(path)
    assert (again["new"], again["changed"], again["unchanged"]) == (0, 0, 1_578_160)
    assert notes(fresh) == before
