"""`pyupc status` and `upc_status.json` as read by a health check or a person."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import environment
from tests.support.warm_process import run

# A health check that hangs is as bad as one that lies.
LIMIT_SECONDS = 15.0

# Still reported for a minute after a fault.
_MISSED = "of the last minute were missed"


@dataclass(frozen=True)
class Light:
    """`file` is the valid file's document; None without a folder."""

    exit_code: int
    problems: tuple[str, ...]
    file: dict[str, Any] | None

    @property
    def is_green(self) -> bool:
        """Green by the exit code or by the file."""
        return self.exit_code == 0 or (self.file is not None and self.file["state"] == "green")

    @property
    def is_healed(self) -> bool:
        """Green by both, but for the ticks that were missed meanwhile."""
        problems = [*self.problems, *(self.file["problems"] if self.file is not None else [])]
        is_known = self.exit_code in (0, 1) and (
            self.file is None or self.file["state"] in ("green", "yellow")
        )
        return is_known and all(_MISSED in problem for problem in problems)


def ask(dsn: str) -> tuple[int, dict[str, Any]]:
    """Exit code and document of `pyupc status`; its message if there is no database."""
    done = run("status", "--json", env=environment(dsn), timeout=LIMIT_SECONDS)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1, 3), done.stderr
    if done.returncode == 3:
        return 3, {"problems": [done.stderr.strip()]}
    document: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, document


def light(dsn: str, folder: Path | None = None) -> Light:
    exit_code, document = ask(dsn)
    assert exit_code == 0 or document["problems"]
    return Light(exit_code, tuple(document["problems"]), _file(folder))


def _file(folder: Path | None) -> dict[str, Any] | None:
    if folder is None:
        return None
    path = folder / "upc_status.json"
    try:
        age, text = time.time() - path.stat().st_mtime, path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {"state": "missing", "problems": ["there is no file"]}
    document: dict[str, Any] = json.loads(text)
    if age > document["valid_for_seconds"]:
        return {"state": "old", "problems": [f"the file is {age:.1f} s old"]}
    return document


def becomes(dsn: str, folder: Path | None, *, healthy: bool, seconds: float = 10) -> Light:
    """Poll until it is so; AssertionError with the last answer if it never is."""
    deadline = time.monotonic() + seconds
    while True:
        last = light(dsn, folder)
        if last.is_healed if healthy else not last.is_green:
            return last
        assert time.monotonic() < deadline, f"healthy is not {healthy}: {last}"
