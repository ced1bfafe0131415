"""Files are replaced as a whole or stay as they are."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyupc.errors import PyupcError
from pyupc.tick.files import Folder, file_name
from pyupc.tick.folder_lock import LOCK_FILE

AS_ROOT = os.geteuid() == 0


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != LOCK_FILE)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few pages."""
    if not AS_ROOT:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounts are not allowed here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_the_name_says_symbol_and_document() -> None:
    assert file_name("BTC", "watchlist") == "btc_watchlist.json"


def test_the_folder_is_created_and_holds_nothing_but_the_files(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "a" / "b")
    folder.prepare()
    assert names(folder.path) == []
    folder.write("ETH", {"watchlist": "[1]", "strike_table": "[2]"})
    folder.write("ETH", {"watchlist": "[3]"})
    assert names(folder.path) == ["eth_strike_table.json", "eth_watchlist.json"]
    assert (folder.path / "eth_watchlist.json").read_text() == "[3]"
    assert (folder.problem, folder.failed) == (None, 0)


def test_others_may_read_the_files_as_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        Folder(tmp_path).write("BTC", {"watchlist": "[]"})
    finally:
        os.umask(before)
    assert (tmp_path / "btc_watchlist.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_an_unusable_folder_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PyupcError) as caught:
        Folder(tmp_path / path).prepare()
    assert caught.value.exit_code == 1
    assert caught.value.hint is not None


@pytest.mark.skipif(AS_ROOT, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PyupcError):
        Folder(tmp_path).prepare()


def test_a_file_that_cannot_be_replaced_leaves_no_temporary_file(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    obstacle = tmp_path / "btc_strike_table.json"
    obstacle.mkdir()
    folder.write("BTC", {"strike_table": "[1]", "watchlist": "[2]"})
    assert names(tmp_path) == ["btc_strike_table.json", "btc_watchlist.json"]
    assert (folder.problem is None, folder.failed) == (False, 1)
    obstacle.rmdir()
    folder.write("BTC", {"strike_table": "[3]", "watchlist": "[4]"})
    assert obstacle.read_text() == "[3]"
    assert (folder.problem is None, folder.failed) == (True, 1)


def test_a_removed_folder_comes_back(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "live")
    folder.prepare()
    folder.write("BTC", {"watchlist": "[0]"})
    shutil.rmtree(folder.path)
    folder.write("BTC", {"watchlist": "[1]"})
    assert names(folder.path) == ["btc_watchlist.json"]
    assert folder.problem is None


def test_a_full_disk_keeps_the_old_file_whole_and_heals(small_disk: Path) -> None:
    folder = Folder(small_disk)
    folder.prepare()
    old = "[" + "1" * 10_000 + "]"
    folder.write("BTC", {"watchlist": old})
    blob = small_disk / "blob"
    with pytest.raises(OSError) as caught:  # noqa: PT011
        blob.write_bytes(bytes(200_000))
    assert caught.value.errno == errno.ENOSPC
    # Room for a part of it.
    os.truncate(blob, blob.stat().st_size - 4096)
    folder.write("BTC", {"watchlist": "[" + "2" * 10_000 + "]"})
    assert folder.failed == 1
    assert folder.problem is not None
    assert (small_disk / "btc_watchlist.json").read_text() == old
    assert names(small_disk) == ["blob", "btc_watchlist.json"]

    blob.unlink()
    new = "[" + "3" * 10_000 + "]"
    folder.write("BTC", {"watchlist": new})
    assert (small_disk / "btc_watchlist.json").read_text() == new
    assert folder.problem is None


def test_what_a_killed_process_left_behind_is_removed_once_it_is_old(tmp_path: Path) -> None:
    old, new = tmp_path / ".btc_watchlist.json.00.tmp", tmp_path / ".btc_watchlist.json.11.tmp"
    foreign = tmp_path / "mine.tmp"
    for path in (old, new, foreign):
        path.touch()
    for path in (old, foreign):
        os.utime(path, (1, 1))
    Folder(tmp_path).prepare()
    assert names(tmp_path) == [new.name, foreign.name]


def test_two_writers_of_one_file_never_mix(tmp_path: Path) -> None:
    texts = ["a" * 50_000, "b" * 70_000]
    writers = [Folder(tmp_path), Folder(tmp_path)]
    for writer, text in zip(writers, texts, strict=True):
        writer.write("BTC", {"watchlist": text})

    def write(writer: Folder, text: str) -> None:
        for _ in range(100):
            writer.write("BTC", {"watchlist": text})

    threads = [
        threading.Thread(target=write, args=pair) for pair in zip(writers, texts, strict=True)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert (tmp_path / "btc_watchlist.json").read_text() in texts
    for thread in threads:
        thread.join()
    assert [writer.failed for writer in writers] == [0, 0]
