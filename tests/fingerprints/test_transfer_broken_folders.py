"""Folders that are no whole set: names, files that cannot be read, numbers that rise."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyupc.fingerprints.transfer.csv_file import LARGEST_BYTES
from tests.support.databases import Databases
from tests.support.legacy_files import (
    BASELINE,
    BUCKETS,
    MINUTES,
    as_floats,
    document,
    dump,
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
    titles,
    write,
)

VICTIM = file_name(1)


@pytest.fixture(scope="module")
def full_and_bare(
    databases: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, str]]:
    """One that has a good set, and one that has none."""
    good = write(tmp_path_factory.mktemp("good"), spell=shifted)
    with (
        databases.clone("empty") as full,
        databases.clone("empty") as bare,
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYUPC_DSN", full)
            assert run("import", good).exit_code == 0
        assert stored(full) == as_floats(numbers(good))
        yield full, bare


@pytest.fixture
def stays(full_and_bare: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Refuse an import and a validation of a folder with these words, and change nothing."""

    def check(folder: Path, code: int, *named: str, options: tuple[str, ...] = ()) -> None:
        files = state(folder.parent)
        for dsn in full_and_bare:
            monkeypatch.setenv("PYUPC_DSN", dsn)
            before = dump(dsn)
            for command in ("import", "validate"):
                refused(run(command, folder, *options), code, *named)
            assert dump(dsn) == before
        assert state(folder.parent) == files

    return check


# Names


@pytest.mark.parametrize(
    "name",
    [
        "btc_fingerprint_directional_momentum_5.csv",
        "btc_fingerprint_directional_momentum_01.csv",
        "btc_fingerprint_directional_momentum_-1.csv",
        "btc_fingerprint_directional_momentum_-001.csv",
        "btc_fingerprint_directional_momentum_-00.csv",
        "btc_fingerprint_directional_momentum_0.csv",
        "btc_fingerprint_directional_momentum_099.csv",
        "btc_fingerprint_directional_momentum_-99.csv",
        "btc_fingerprint_directional_momentum_1e1.csv",
        "btc_fingerprint_directional_momentum_nan.csv",
        "btc_fingerprint_directional_momentum_.csv",
        "btc_fingerprint_directional_momentum_005 (1).csv",
        "btc_fingerprint_directional_momentum_005 .csv",
        "btc_fingerprint_directional_momentum_005.csv.bak",
        "btc_fingerprint_directional_momentum_005.txt",
        "btc_fingerprint_directional_momentum_005",
        "btc_fingerprint_directional_momentum_005.CSV",
        "btc_fingerprint_directional_momentum_005.csv.gz",
        "BTC_FINGERPRINT_DIRECTIONAL_MOMENTUM_005.csv",
        "Btc_fingerprint_directional_momentum_005.csv",
        "btc_fingerprint_directional_Baseline.csv",
        "btc_fingerprint_momentum_005.csv",
        "_fingerprint_directional_momentum_005.csv",
        "eth_fingerprint_directional_momentum_005.csv",
        "pooled_fingerprint_directional_baseline.csv",
        "summary.csv",
        ",.csv",
    ],
)
def test_a_file_of_another_name(stays: Callable[..., None], tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "in")
    (folder / name).write_text(text(5))
    stays(folder, 1, name, options=("--symbol", "BTC"))


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
        printed, said = process.communicate(timeout=30)
    assert (process.returncode, printed) == (1, "")
    assert "btc_fingerprint_" in said
    assert [line.partition(":")[0] for line in said.splitlines()] == ["pyupc", "hint"]


def test_files_of_two_symbols(stays: Callable[..., None], tmp_path: Path) -> None:
    folder = write(write(tmp_path / "in"), symbol="ETH")
    stays(folder, 2, "BTC", "ETH")
    stays(folder, 1, file_name(BASELINE, "ETH"), options=("--symbol", "BTC"))
    stays(folder, 1, file_name(BASELINE), options=("--symbol", "ETH"))


def test_files_of_another_symbol(stays: Callable[..., None], tmp_path: Path) -> None:
    stays(write(tmp_path / "in"), 1, file_name(BASELINE), "BTC", "ETH", options=("--symbol", "ETH"))


def test_an_unknown_symbol(stays: Callable[..., None], tmp_path: Path) -> None:
    stays(write(tmp_path / "in", symbol="DOGE"), 1, "DOGE", options=("--symbol", "DOGE"))
    stays(tmp_path / "in", 1, "DOGE")


def test_no_baseline(stays: Callable[..., None], tmp_path: Path) -> None:
    stays(write(tmp_path / "in", buckets=range(-2, 3)), 1, file_name(BASELINE))


def test_one_file_with_other_thresholds(stays: Callable[..., None], tmp_path: Path) -> None:
    folder = write(tmp_path / "in")
    other = titles(["0.00", "0.05", "0.15", "0.20"])
    (folder / VICTIM).write_text(text(1, header=other))
    stays(folder, 1, VICTIM, "column >= +0.10%")


def test_one_file_with_other_minutes(stays: Callable[..., None], tmp_path: Path) -> None:
    folder = write(tmp_path / "in")
    (folder / VICTIM).write_text(text(1, minutes=(*MINUTES[:-1], 60)))
    stays(folder, 1, VICTIM, f"row {MINUTES[-1]}m TTC")


# What is no folder of files


def test_an_empty_folder(stays: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    stays(tmp_path / "in", 1, str(tmp_path / "in"))
    (tmp_path / "in" / ".btc_fingerprint_directional_baseline.csv").write_text(text())
    (tmp_path / "in" / "README.md").write_text("words")
    stays(tmp_path / "in", 1, str(tmp_path / "in"))


def test_no_folder(stays: Callable[..., None], tmp_path: Path) -> None:
    stays(tmp_path / "in", 1, str(tmp_path / "in"))
    (tmp_path / "in").symlink_to(tmp_path / "gone")
    stays(tmp_path / "in", 1, str(tmp_path / "in"))


@pytest.mark.parametrize("below", ["", "below"])
def test_a_file_instead_of_a_folder(stays: Callable[..., None], tmp_path: Path, below: str) -> None:
    (tmp_path / "in").write_text(text())
    stays(tmp_path / "in" / below, 1, str(tmp_path / "in"))


# What is no file, or cannot be read


def pipe(path: Path) -> None:
    os.mkfifo(path)


def bound_socket(path: Path) -> None:
    # The whole path may be longer than an address of a socket.
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)


def too_large(path: Path) -> None:
    path.touch()
    os.truncate(path, LARGEST_BYTES + 1)


def sparse_terabyte(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "make",
    [
        Path.mkdir,
        pipe,
        bound_socket,
        too_large,
        sparse_terabyte,
        lambda path: path.symlink_to("gone"),
        lambda path: path.symlink_to(path.name),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to("."),
    ],
    ids=[
        "folder",
        "named-pipe",
        "socket",
        "too-large",
        "sparse-terabyte",
        "dangling-link",
        "link-to-itself",
        "link-to-a-device",
        "link-to-a-folder",
    ],
)
@pytest.mark.parametrize("name", [VICTIM, "summary.csv"])
def test_what_is_no_file(
    stays: Callable[..., None], tmp_path: Path, make: Callable[[Path], Any], name: str
) -> None:
    folder = write(tmp_path / "in")
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    stays(folder, 1, name)


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


# What is warned of


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
