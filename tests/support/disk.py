"""A small disk in memory that can be filled up and emptied again."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_BALLAST = "ballast"


@dataclass(frozen=True)
class Disk:
    path: Path

    @property
    def free(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Fill the disk but for that many bytes; a further call fills what became free."""
        with (self.path / _BALLAST).open("ab", buffering=0) as ballast:
            while (room := self.free - leave) > 0:
                try:
                    ballast.write(b"\0" * min(room, 1 << 20))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    return

    def empty(self) -> None:
        """Give the room back."""
        (self.path / _BALLAST).unlink(missing_ok=True)


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Disk]:
    """A disk mounted on a new folder; skips the test where this process may not mount."""
    path.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "pyupc-test", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        problem = done.stderr.strip() if done.returncode else None
    except OSError as error:
        problem = str(error)
    if problem:
        pytest.skip(f"no small disk: {problem}")
    try:
        yield Disk(path)
    finally:
        # Lazily: a process that a failed test left behind may still be in it.
        subprocess.run(["umount", "-l", str(path)], check=True)
