"""Imports that are refused: broken files, folders and tables, and servers that do not answer.

Each fault is a row of a table in transfer_faults; here is what holds for all of them: the command
ends with its exit code and names what is wrong, and neither the database nor the folder changes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from psycopg.conninfo import make_conninfo

from pyupc.database.connect import connect
from tests.fingerprints.transfer_faults import FAULTS, TABLES, VICTIM, VICTIM_TABLE
from tests.support.databases import Databases
from tests.support.legacy_files import (
    BASELINE,
    BUCKETS,
    MINUTES,
    as_floats,
    document,
    done,
    dump,
    execute,
    file_name,
    numbers,
    percent,
    refused,
    run,
    shifted,
    started,
    state,
    stored,
    text,
    write,
)
from tests.support.market import rows

NEGATIVE_TABLE = file_name(-1).removesuffix(".csv")


@pytest.fixture(scope="module")
def full_and_bare(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """One that has a good set, and one that has none."""
    good = write(tmp_path_factory.mktemp("good"), spell=shifted)
    with (
        databases.clone("empty") as full,
        databases.clone("empty") as bare,
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYUPC_DSN", full)
            done("import", good)
        assert stored(full) == as_floats(numbers(good))
        yield full, bare


@pytest.fixture
def full(full_and_bare: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database with a good set, which must be unchanged afterwards."""
    monkeypatch.setenv("PYUPC_DSN", full_and_bare[0])
    before = dump(full_and_bare[0])
    yield full_and_bare[0]
    assert dump(full_and_bare[0]) == before


@pytest.fixture
def stays(full_and_bare: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Refuse an import and a validation of a folder with these words, and change nothing."""
    commands = ([["import"], ["import", "--strict", "--json"], ["validate"]], [["import"]])

    def check(folder: Path, code: int, *named: str, options: tuple[str, ...] = ()) -> None:
        files = state(folder.parent)
        for dsn, each in zip(full_and_bare, commands, strict=True):
            monkeypatch.setenv("PYUPC_DSN", dsn)
            before = dump(dsn)
            for arguments in each:
                result = run(*arguments, folder, *options)
                refused(result, code, *named)
                fits_a_terminal(result)
            assert dump(dsn) == before
        assert state(folder.parent) == files

    return check


def fits_a_terminal(result: Result) -> None:
    """Nothing on stderr steers a terminal, or fills it."""
    assert all(line.isprintable() for line in result.stderr.splitlines())
    assert len(result.stderr) < 600


# Folders


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_folder(stays: Callable[..., None], tmp_path: Path, name: str) -> None:
    fault = FAULTS[name]
    folder = write(tmp_path / "in")
    fault.spoil(folder)
    named = (each.replace("{folder}", str(folder)) for each in fault.named)
    stays(folder / fault.below, fault.code, *named, options=fault.options)


def test_every_broken_file_is_named_up_to_twenty(full: str, tmp_path: Path) -> None:
    buckets = (*range(-15, 16), 99)
    folder = write(tmp_path / "in", buckets=buckets)
    for count, listed in ((3, 3), (25, 20)):
        for bucket in buckets[:count]:
            (folder / file_name(bucket)).write_text("")
        result = run("import", folder)
        refused(result, 1)
        lines = result.stderr.splitlines()[:-2]
        for name in sorted(file_name(bucket) for bucket in buckets[:count])[:listed]:
            assert any(line.startswith(f"{name}:") for line in lines)
        assert len(lines) == listed + (count > listed)


def test_a_name_cannot_steer_the_terminal(stays: Callable[..., None], tmp_path: Path) -> None:
    folder = write(tmp_path / "in")
    (folder / "btc_fingerprint_\x1b[31m\n.csv").write_text(text(5))
    shown = "btc_fingerprint_\N{REPLACEMENT CHARACTER}[31m"
    stays(folder, 1, shown)
    # Beside another one there is a line for each.
    (folder / file_name(BASELINE)).rename(folder / "other.csv")
    stays(folder, 1)
    lines = run("import", folder).stderr.splitlines()
    assert all(line.isprintable() for line in lines)
    assert [line.startswith(shown) for line in lines] == [True, False, False, False]


def test_a_name_need_not_be_text(stays: Callable[..., None], tmp_path: Path) -> None:
    folder = write(tmp_path / "in")
    path = folder / os.fsdecode(b"btc_fingerprint_\xff.csv")
    path.write_text(text(5))
    stays(folder, 1, "btc_fingerprint_")
    with started(os.environ["PYUPC_DSN"], "import", folder) as process:
        printed, errors = process.communicate(timeout=30)
    assert (process.returncode, printed) == (1, "")
    assert "btc_fingerprint_" in errors
    assert [line.partition(":")[0] for line in errors.splitlines()] == ["pyupc", "hint"]


def test_a_link_to_a_file_is_read(
    full_and_bare: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYUPC_DSN", full_and_bare[0])
    folder = write(tmp_path / "in", spell=shifted)
    (folder / VICTIM).rename(tmp_path / "elsewhere")
    (folder / VICTIM).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(folder)
    found = document("import", tmp_path / "link")
    assert (found["is_changed"], found["fingerprints"]) == (False, len(BUCKETS))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
@pytest.mark.parametrize("name", [VICTIM, ".", ".."])
def test_what_may_not_be_read(
    full_and_bare: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv("PYUPC_DSN", full_and_bare[0])
    folder = write(tmp_path / "in")
    before, files = dump(full_and_bare[0]), state(folder)
    closed = (folder / name).resolve()
    mode = closed.stat().st_mode
    closed.chmod(0)
    try:
        for command in ("import", "validate"):
            refused(run(command, folder), 1, name if name == VICTIM else str(folder))
    finally:
        closed.chmod(mode)
    assert (dump(full_and_bare[0]), state(folder)) == (before, files)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ENOENT])
@pytest.mark.parametrize("name", [VICTIM, ""])
def test_what_fails_when_it_is_read(
    full_and_bare: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    code: int,
) -> None:
    monkeypatch.setenv("PYUPC_DSN", full_and_bare[0])
    folder = write(tmp_path / "in")
    before, files = dump(full_and_bare[0]), state(folder)

    def failing(path: Path) -> bytes:
        if path != folder / name:
            return open_and_read(path)
        raise OSError(code, os.strerror(code), str(path))

    def open_and_read(path: Path) -> bytes:
        with path.open("rb") as file:
            return file.read()

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes" if name else "iterdir", failing)
        for command in ("import", "validate"):
            refused(run(command, folder), 1, name or str(folder))
    assert (dump(full_and_bare[0]), state(folder)) == (before, files)


# Warnings


def rising(bucket: int, minutes: int, direction: str, place: int) -> str:
    """More for -0.20 % than for -0.10 % in two rows of one fingerprint."""
    if (bucket, direction, place) == (1, "<= -", 3) and minutes in (4, 9):
        return "77.7"
    return percent(bucket, minutes, direction, place)


def test_what_rises_is_imported_with_a_warning(
    fresh_db: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    folder = write(tmp_path / "in", spell=rising)
    before = dump(fresh_db)
    refused(run("import", folder, "--strict"), 1, VICTIM, "row 4m TTC", "column <= -0.20%")
    assert dump(fresh_db) == before

    result = run("import", folder)
    assert result.exit_code == 0
    assert [line.split(": ")[:3] for line in result.stderr.splitlines()] == [
        ["warning", VICTIM, f"row {minutes}m TTC, column <= -0.20%"] for minutes in (4, 9)
    ]
    assert stored(fresh_db) == as_floats(numbers(folder))
    assert document("import", folder)["warnings"] == 2
    assert run("validate", folder).exit_code == 0
    # It is there already, and refused all the same.
    before = dump(fresh_db)
    refused(run("import", folder, "--strict"), 1, VICTIM)
    assert dump(fresh_db) == before


def test_a_missing_bucket_is_warned_of(
    fresh_db: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    folder = write(tmp_path / "in", buckets=(-3, -1, 0, 4, BASELINE))
    refused(run("import", folder, "--strict"), 1, file_name(-2))
    result = run("import", folder)
    assert result.exit_code == 0
    assert [line.split(": ")[:2] for line in result.stderr.splitlines()] == [
        ["warning", file_name(bucket)] for bucket in (-2, 1, 2, 3)
    ]
    assert stored(fresh_db) == as_floats(numbers(folder))


def test_twenty_warnings_are_shown(
    fresh_db: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def all_rise(bucket: int, minutes: int, direction: str, place: int) -> str:
        # Not all rows: then the columns would be taken for swapped.
        return "99.9" if place == 3 and minutes > 1 else percent(bucket, minutes, direction, place)

    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    folder = write(tmp_path / "in", spell=all_rise)
    result = run("import", folder)
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    assert len(lines) == 21
    assert all(line.startswith("warning: ") for line in lines[:20])
    count = len(BUCKETS) * (len(MINUTES) - 1) * 2
    assert str(count - 20) in lines[20]
    assert document("import", folder)["warnings"] == count


# Tables


@pytest.mark.parametrize("name", TABLES)
def test_a_broken_table(full: str, theirs: str, name: str) -> None:
    statements, named = TABLES[name]
    execute(theirs, *statements.format(f"analytics.{VICTIM_TABLE}").split(";"))
    for command in ("import", "validate"):
        result = run(command, "--from-dsn", theirs, "--symbol", "BTC")
        refused(result, 1, VICTIM_TABLE, *named)
        fits_a_terminal(result)


@pytest.mark.parametrize(
    "name",
    [
        "btc_fingerprint_directional_momentum_5",
        "btc_fingerprint_directional_momentum_-00",
        "btc_fingerprint_directional_momentum_005_old",
        "BTC_fingerprint_directional_momentum_005",
        "btc_fingerprint_directional_Momentum_005",
    ],
)
def test_a_table_of_another_name(full: str, theirs: str, name: str) -> None:
    execute(theirs, f'CREATE TABLE analytics."{name}" AS TABLE analytics.{VICTIM_TABLE}')
    refused(run("import", "--from-dsn", theirs), 1, name)


def test_no_baseline_table(full: str, theirs: str) -> None:
    execute(theirs, "DROP TABLE analytics.btc_fingerprint_directional_baseline")
    refused(run("import", "--from-dsn", theirs), 1, "btc_fingerprint_directional_baseline")


def test_every_broken_table_is_named(full: str, theirs: str) -> None:
    execute(
        theirs, f"DELETE FROM analytics.{VICTIM_TABLE}", f'DELETE FROM analytics."{NEGATIVE_TABLE}"'
    )
    result = run("import", "--from-dsn", theirs)
    refused(result, 1)
    lines = result.stderr.splitlines()[:-2]
    assert [line.partition(":")[0] for line in lines] == [NEGATIVE_TABLE, VICTIM_TABLE]


def test_no_tables(full: str, theirs: str) -> None:
    for options in (["--schema", "nothing"], ["--symbol", "ETH"], ["--symbol", "DOGE"]):
        refused(run("import", "--from-dsn", theirs, *options), 1, options[1])
    execute(theirs, "CREATE TABLE analytics.doge_fingerprint_directional_baseline (x text)")
    refused(run("import", "--from-dsn", theirs, "--symbol", "DOGE"), 1)


def test_nothing_is_written_there(full: str, theirs: str) -> None:
    execute(
        theirs,
        "CREATE TABLE analytics.log (at timestamptz)",
        """
        CREATE FUNCTION analytics.noted(text) RETURNS text LANGUAGE sql VOLATILE
        AS 'INSERT INTO analytics.log VALUES (now()); SELECT $1'
        """,
        f"ALTER TABLE analytics.{VICTIM_TABLE} RENAME TO kept",
        f"""
        CREATE VIEW analytics.{VICTIM_TABLE} AS
        SELECT analytics.noted(time_to_close) AS time_to_close, pos_0_00, neg_0_00
        FROM analytics.kept
        """,
    )
    refused(run("import", "--from-dsn", theirs), 1)
    assert rows(theirs, "TABLE analytics.log") == []


# The server


def test_a_dead_server(full: str) -> None:
    for command in ("import", "validate"):
        refused(run(command, "--from-dsn", "host=127.0.0.1 port=1"), 3, "--from-dsn")


@pytest.mark.parametrize(
    ("dsn", "code"),
    [
        ("password=hunter2 nonsense", 2),
        ("postgresql://me:hunter2@[::1", 2),
        ("host=/nowhere dbname=x password='hunter2'", 3),
        ("postgresql://me:hunter2@127.0.0.1:1/x", 3),
        ("postgresql://127.0.0.1:1/x?user=me&password=hunter2", 3),
    ],
)
def test_a_password_is_not_shown_where_nobody_answers(full: str, dsn: str, code: int) -> None:
    for command in ("import", "validate"):
        result = run(command, "--from-dsn", dsn)
        refused(result, code)
        assert "hunter2" not in result.output


def test_tables_that_may_not_be_read(
    full: str, theirs: str, server_dsn: str, name_prefix: str
) -> None:
    role = f"{name_prefix}_reader"
    execute(server_dsn, f"CREATE ROLE {role} LOGIN PASSWORD 'hunter2'")
    try:
        dsn = make_conninfo(theirs, user=role, password="hunter2")
        try:
            connect(dsn).close()
        except Exception:
            pytest.skip("the server lets no other role in")
        result = run("import", "--from-dsn", dsn)
        refused(result, 1)
        execute(theirs, f"GRANT USAGE ON SCHEMA analytics TO {role}")
        result = run("import", "--from-dsn", dsn)
        refused(result, 1, "btc_fingerprint_directional")
        assert "hunter2" not in result.output
    finally:
        execute(theirs, f"DROP OWNED BY {role}")
        execute(server_dsn, f"DROP ROLE {role}")
