"""A clock that a test turns, for a process of its own: libfaketime, which Debian packages."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = "libfaketime"


def library() -> Path:
    """The shared library; skips the test where it is not installed."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        pytest.skip(f"no libfaketime: apt-get install {PACKAGE}")
    return found[0]


@dataclass(frozen=True)
class Clock:
    """Time of day of a process started with `environment`.

    Durations are measured by another clock, which is left alone.
    """

    path: Path

    @classmethod
    def at(cls, path: Path) -> Clock:
        clock = cls(path)
        clock.turn(0)
        return clock

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self.path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def remove(self) -> None:
        """Delete the shared memory that the library left for killed processes."""
        for path in Path("/dev/shm").glob("*faketime_s*_*"):
            if not Path("/proc", path.name.rpartition("_")[2]).exists():
                path.unlink(missing_ok=True)

    def turn(self, seconds: int) -> None:
        """Set the offset from the true time in seconds; it counts from the next look on."""
        new = self.path.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.chmod(0o644)
        os.replace(new, self.path)
