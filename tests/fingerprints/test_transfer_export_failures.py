"""An export that fails anywhere leaves the folder as it was."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import Databases
from tests.support.legacy_files import (
    BUCKETS,
    contents,
    document,
    done,
    file_name,
    percent,
    refused,
    run,
    shifted,
    state,
    write,
)
from tests.support.warm_process import REPOSITORY

NAMES = sorted(map(file_name, BUCKETS))


def wordy(bucket: int, minutes: int, direction: str, place: int) -> str:
    """Files of different sizes: the buckets have different numbers of decimals."""
    return percent(bucket, minutes, direction, place) + "1" * (bucket % 13)


@pytest.fixture(scope="module")
def legacy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("legacy"), spell=wordy)


@pytest.fixture(scope="module")
def module_db(databases: Databases, legacy: Path) -> Iterator[str]:
    with databases.clone("empty") as dsn:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYUPC_DSN", dsn)
            done("import", legacy)
        yield dsn


@pytest.fixture(autouse=True)
def _imported(module_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYUPC_DSN", module_db)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with older files in the place of most, and one that has nothing to do with them."""
    folder = write(tmp_path / "out", buckets=(*BUCKETS[:4], 30), spell=shifted)
    (folder / "notes").write_text("words")
    return folder


def at(call: int, function: Callable[..., Any], error: BaseException, *, late: bool) -> Any:
    """The function, but for an error at one of its calls: before it does anything, or after."""
    count = 0

    def failing(*arguments: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == call and not late:
            raise error
        try:
            return function(*arguments, **named)
        finally:
            if count == call:
                raise error

    return failing


DISK_FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

# Away what is there, then the new one into its place. Four of the names are taken.
RENAMES = 2 * len(BUCKETS)


@pytest.mark.parametrize("call", range(1, RENAMES + 1))
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("error", "code"),
    [(DISK_FULL, 1), (KeyboardInterrupt(), 130)],
    ids=["disk-full", "interrupt"],
)
def test_a_failure_while_the_files_are_moved_into_place(
    monkeypatch: pytest.MonkeyPatch,
    out: Path,
    call: int,
    late: bool,
    error: BaseException,
    code: int,
) -> None:
    before = state(out)
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", at(call, os.rename, error, late=late))
        result = run("export", out, "--force")
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("pyupc: ")
    assert state(out) == before
    if code == 1:
        refused(result, 1, str(out))


def test_all_renames_are_tried(monkeypatch: pytest.MonkeyPatch, out: Path, legacy: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", at(RENAMES + 1, os.rename, DISK_FULL, late=False))
        assert document("export", out, "--force")["written"] == len(BUCKETS)
    kept = {"notes", file_name(30)}
    assert {name: held for name, held in contents(out).items() if name not in kept} == contents(
        legacy
    )
    assert sorted(os.listdir(out)) == sorted([*NAMES, *kept])


@pytest.mark.parametrize("call", range(1, RENAMES + 1))
def test_what_cannot_be_put_back_is_kept(
    monkeypatch: pytest.MonkeyPatch, out: Path, call: int
) -> None:
    """From one rename on none works any more, not even those that put things back."""
    old = contents(out)
    rename, count = os.rename, 0

    def failing(*arguments: Any) -> None:
        nonlocal count
        count += 1
        if count >= call:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", failing)
        result = run("export", out, "--force")
    refused(result, 1, str(out))
    # Every old file is somewhere, and the message names the place.
    elsewhere = [path for path in out.iterdir() if path.is_dir()]
    kept = contents(out)
    for folder in elsewhere:
        assert str(folder) in result.stderr
        kept |= contents(folder)
    assert {name: kept.get(name) for name in old} == old
    assert bool(elsewhere) == (call > 1)


@pytest.mark.parametrize("call", range(1, len(BUCKETS) + 2))
@pytest.mark.parametrize(
    ("error", "code"),
    [(OSError(errno.EIO, os.strerror(errno.EIO)), 1), (KeyboardInterrupt(), 130)],
    ids=["broken-disk", "interrupt"],
)
def test_a_failure_while_the_files_are_written_through(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    out: Path,
    call: int,
    error: BaseException,
    code: int,
) -> None:
    """The last time it is the folder that is written through."""
    before = state(tmp_path)
    for folder in (out, tmp_path / "new" / "folder"):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", at(call, os.fsync, error, late=False))
            result = run("export", folder, "--force")
        assert (result.exit_code, result.stdout) == (code, "")
        assert state(tmp_path) == before


@pytest.mark.parametrize("call", [1, 2, 3])
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_an_interrupt_while_folders_are_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, out: Path, call: int, late: bool
) -> None:
    before = state(tmp_path)
    # The folder itself, which one has already; the one for the new files; the one for the old.
    for folder in (out, tmp_path / "new"):
        with monkeypatch.context() as patch:
            patch.setattr(os, "mkdir", at(call, os.mkdir, KeyboardInterrupt(), late=late))
            result = run("export", folder, "--force")
        assert result.exit_code == 130
        assert state(tmp_path) == before


# A disk that fills up: the largest file does not fit


def limited(folder: Path, limit: int, *options: str) -> subprocess.CompletedProcess[str]:
    """The command in a process that cannot write a file of more bytes."""
    program = (
        "import resource, sys; from pyupc.cli import main;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        "main(sys.argv[1:])"
    )
    return subprocess.run(
        [sys.executable, "-c", program, "fingerprints", "export", str(folder), *options],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
def test_a_full_disk(tmp_path: Path, out: Path, legacy: Path) -> None:
    sizes = sorted(path.stat().st_size for path in legacy.iterdir())
    assert len(set(sizes)) > 3
    before = state(tmp_path)
    for folder in (out, tmp_path / "new" / "folder"):
        for limit in (0, sizes[0], sizes[3], sizes[-1] - 1):
            result = limited(folder, limit, "--force")
            assert (result.returncode, result.stdout) == (1, ""), result.stderr
            assert [line.partition(":")[0] for line in result.stderr.splitlines()] == [
                "pyupc",
                "hint",
            ]
            assert str(folder) in result.stderr
            assert state(tmp_path) == before
    assert limited(out, sizes[-1], "--force").returncode == 0
    assert {name: contents(out)[name] for name in NAMES} == contents(legacy)


def test_ctrl_c_of_a_running_export(tmp_path: Path, out: Path, module_db: str) -> None:
    """The process waits in its third file, for a signal that comes for certain."""
    program = (
        "import os, signal, sys; from pyupc.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "fsync, count = os.fsync, 0\n"
        "def waiting(descriptor):\n"
        "    global count\n"
        "    count += 1\n"
        "    if count == 3:\n"
        "        print('waiting', flush=True)\n"
        "        signal.pause()\n"
        "    fsync(descriptor)\n"
        "os.fsync = waiting\n"
        "main(sys.argv[1:])\n"
    )
    before = state(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", program, "fingerprints", "export", str(out), "--force"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        during = state(tmp_path)
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=30)
    assert (process.returncode, printed, errors) == (130, "", "pyupc: interrupted\n")
    assert state(tmp_path) == before
    # Until then nothing had the name of a file that a reader looks for.
    assert {name: held for name, held in during.items() if "/." not in name} == before
