"""Imports beside other imports, beside readers, and imports that end early."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pyupc.database.connect import connect
from tests.support.databases import Databases
from tests.support.legacy_files import (
    ABOVE,
    BASELINE,
    as_floats,
    contents,
    document,
    done,
    dump,
    file_name,
    make_tables,
    numbers,
    refused,
    run,
    shifted,
    started,
    state,
    stored,
    titles,
    write,
)
from tests.support.market import rows

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of another shape, with a bucket that has no view of its own yet."""
    folder = tmp_path_factory.mktemp("other")
    header = titles(["0.00", "0.25", "0.50", "0.75"])
    return write(folder, buckets=(29, 30, 31, BASELINE), header=header, spell=shifted)


@contextmanager
def publishing_held(dsn: str) -> Iterator[None]:
    """Make every process that would publish fingerprints wait until the block ends."""
    with connect(dsn, autocommit=False) as holder:
        holder.execute("SELECT upc._lock_curves('{}', is_pool => true)")
        yield
        holder.rollback()


def wait_for_waiting(dsn: str, count: int, *processes: subprocess.Popen[str]) -> None:
    """Wait until that many connections wait for a lock; the test's time limit ends it otherwise."""
    with connect(dsn) as conn:
        while conn.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone() != (count,):
            for process in processes:
                assert process.poll() is None, process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    printed, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors
    return process.returncode, printed, errors


# At once


def test_two_imports_come_one_after_the_other(fresh: str, one: Path, other: Path) -> None:
    with publishing_held(fresh):
        imports = [started(fresh, "import", folder, "--json") for folder in (one, other)]
        wait_for_waiting(fresh, 2, *imports)
        assert stored(fresh) == {}
    replaced = {}
    for process, folder in zip(imports, (one, other), strict=True):
        code, printed, errors = ended(process)
        assert code == 0, errors
        found = json.loads(printed)
        assert found["is_changed"] is True
        replaced[found["replaced"]] = folder
    first = replaced.pop(0)
    ((count, last),) = replaced.items()
    assert count == len(contents(first))
    assert stored(fresh) == as_floats(numbers(last))
    assert document("validate", last)["only_in_database"] == []
    assert document("import", last)["is_changed"] is False


def test_the_same_import_twice_at_once(fresh: str, one: Path) -> None:
    with publishing_held(fresh):
        imports = [started(fresh, "import", one, "--json") for _ in range(2)]
        wait_for_waiting(fresh, 2, *imports)
    changed = []
    for process in imports:
        code, printed, errors = ended(process)
        assert code == 0, errors
        changed.append(json.loads(printed)["is_changed"])
    assert sorted(changed) == [False, True]
    assert stored(fresh) == as_floats(numbers(one))


def test_imports_of_two_symbols_at_once(fresh: str, one: Path, tmp_path: Path) -> None:
    eth = write(tmp_path / "eth", symbol="ETH", spell=shifted)
    with publishing_held(fresh):
        imports = [started(fresh, "import", folder) for folder in (one, eth)]
        wait_for_waiting(fresh, 2, *imports)
    for process in imports:
        code, _, errors = ended(process)
        assert code == 0, errors
    assert stored(fresh) == as_floats(numbers(one))
    assert stored(fresh, "ETH") == as_floats(numbers(eth))


QUESTION = (
    "SELECT strike, positive_prob, negative_prob, fingerprint"
    " FROM upc.compute_strikes(100000, %s, 'BTC', 420, 250, 3)"
)


def test_readers_never_wait_and_never_see_a_mixture(fresh: str, one: Path, other: Path) -> None:
    done("import", one)
    before = rows(fresh, QUESTION, 31)
    done("import", other)
    after = rows(fresh, QUESTION, 31)
    cells = as_floats(numbers(other))
    assert {row[3] for row in before} == {file_name(2).removesuffix(".csv")}
    assert {row[3] for row in after} == {file_name(31).removesuffix(".csv")}
    for strike, positive, *_ in after:
        threshold = next(t for b, m, d, t in cells if t * 1000 == abs(int(strike) - 100000))
        assert positive == cells[31, 7, ABOVE, threshold]

    seen: list[list[tuple[Any, ...]]] = []
    problems: list[Exception] = []
    stop = threading.Event()

    def read() -> None:
        # A reader that waits longer than this for an import fails.
        with connect(fresh) as conn:
            conn.execute("SET lock_timeout = '500ms'")
            while not stop.is_set():
                try:
                    seen.append(conn.execute(QUESTION, [31]).fetchall())
                except Exception as error:
                    problems.append(error)
                    return

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(5):
            done("import", one)
            done("import", other)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert problems == []
    assert all(answer in (before, after) for answer in seen)
    assert before in seen
    assert after in seen


def test_an_open_transaction_keeps_nobody_waiting(fresh: str, one: Path, other: Path) -> None:
    done("import", one)
    with connect(fresh, autocommit=False) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        before = reader.execute(QUESTION, [1]).fetchall()
        done("import", other)
        assert reader.execute(QUESTION, [1]).fetchall() == before
    assert rows(fresh, QUESTION, 1) != before


def test_an_export_is_of_one_moment(
    fresh: str, one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The set is replaced after an export has begun to read it."""
    done("import", one)
    longer = write(tmp_path / "longer", minutes=range(1, 31), spell=shifted)
    with connect(fresh, autocommit=False) as holder:
        holder.execute("LOCK TABLE upc_data.imported_curve IN ACCESS EXCLUSIVE MODE")
        process = started(fresh, "export", tmp_path / "out")
        wait_for_waiting(fresh, 1, process)
        # Do the work of an import in the transaction that the export waits for.
        holder.execute("DELETE FROM upc_data.imported_fingerprint WHERE bucket <> 99")
        holder.execute(
            "UPDATE upc_data.imported_curve SET positive = negative, minutes = minutes + 100"
        )
        holder.execute("UPDATE upc_data.imported_fingerprint SET header = '{}', minutes = '{}'")
        holder.commit()
    code, _, errors = ended(process)
    assert code == 0, errors
    assert contents(tmp_path / "out") == contents(one)
    assert document("import", longer)["replaced"] == 1


# Early ends


@pytest.fixture
def held(fresh: str, one: Path, other: Path) -> Iterator[subprocess.Popen[str]]:
    """An import in the place of another one, with all its rows sent, that waits to publish."""
    done("import", one)
    before = dump(fresh)
    with publishing_held(fresh):
        process = started(fresh, "import", other)
        wait_for_waiting(fresh, 1, process)
        yield process
        process.kill()
        process.wait()
    assert dump(fresh) == before
    assert document("import", other)["is_changed"] is True
    assert stored(fresh) == as_floats(numbers(other))


def test_an_interrupt_changes_nothing(held: subprocess.Popen[str]) -> None:
    held.send_signal(signal.SIGINT)
    code, printed, errors = ended(held)
    assert (code, printed, errors) == (130, "", "pyupc: interrupted\n")


def test_a_kill_changes_nothing(held: subprocess.Popen[str]) -> None:
    held.kill()
    assert ended(held)[0] == -signal.SIGKILL


def test_a_lost_server_exits_with_3(fresh: str, held: subprocess.Popen[str]) -> None:
    with connect(fresh) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'pyupc fingerprints'"
        )
    code, printed, errors = ended(held)
    assert (code, printed) == (3, "")
    assert [line.partition(":")[0] for line in errors.splitlines()] == ["pyupc", "hint"]


def test_a_cancelled_statement_exits_with_1(fresh: str, held: subprocess.Popen[str]) -> None:
    with connect(fresh) as conn:
        conn.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'pyupc fingerprints'"
        )
    code, printed, errors = ended(held)
    assert (code, printed) == (1, "")
    assert [line.partition(":")[0] for line in errors.splitlines()] == ["pyupc", "hint"]


def test_a_publication_that_fails_changes_nothing(fresh: str, one: Path, other: Path) -> None:
    done("import", one)
    before = dump(fresh)
    with connect(fresh) as conn:
        conn.execute(
            "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$"
        )
        conn.execute(
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON upc_data.imported_curve"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.refuse()"
        )
        refused(run("import", other), 1)
        assert dump(fresh) == before
        conn.execute("DROP TRIGGER refuse ON upc_data.imported_curve")
    done("import", other)
    assert stored(fresh) == as_floats(numbers(other))


def test_a_server_that_is_lost_while_its_tables_are_read(
    fresh: str, databases: Databases, one: Path, other: Path
) -> None:
    done("import", other)
    before = dump(fresh)
    with databases.new() as theirs:
        make_tables(theirs, one)
        for ending in ("terminate", "cancel", "interrupt"):
            with connect(theirs, autocommit=False) as holder:
                holder.execute(
                    "LOCK TABLE analytics.btc_fingerprint_directional_momentum_001"
                    " IN ACCESS EXCLUSIVE MODE"
                )
                process = started(fresh, "import", "--from-dsn", theirs)
                wait_for_waiting(theirs, 1, process)
                if ending == "interrupt":
                    process.send_signal(signal.SIGINT)
                else:
                    with connect(theirs) as conn:
                        conn.execute(
                            f"SELECT pg_{ending}_backend(pid) FROM pg_stat_activity"
                            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                        )
                code, printed, errors = ended(process)
            assert (code, printed) == ({"terminate": 3, "cancel": 1, "interrupt": 130}[ending], "")
            assert errors.startswith("pyupc: ")
            assert dump(fresh) == before


def test_an_interrupt_while_files_are_read(
    fresh: str, one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done("import", one)
    before, files = dump(fresh), state(one)
    read_bytes = Path.read_bytes

    def interrupted(path: Path) -> bytes:
        if path.name == file_name(1):
            raise KeyboardInterrupt
        return read_bytes(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", interrupted)
        result = run("import", one)
    assert (result.exit_code, result.stdout) == (130, "")
    assert (dump(fresh), state(one)) == (before, files)
