"""Progress: a bar on a terminal, nothing but lines elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyupc.errors import PyupcError
from pyupc.runtime.packages import missing, require

WORK = """
import sys
from pyupc.runtime.progress import counting, progress, working

with progress("counting", "days", rate=lambda rate: "at a rate", has_end=True) as shown:
    shown.start(4)
    shown.advance(1, "first")
    shown.say("a line \\x1b[2J")
    shown.start(2, "second")
    shown.advance(2)
    shown.describe("done")
with progress("reading") as shown:
    shown.start(2_000_000)
    shown.advance(1_000_000)
with counting("writing", "files") as reach:
    reach(3, 5)
with working("waiting") as describe:
    describe("still waiting")
print("rich" in sys.modules)
"""
REPOSITORY = Path(__file__).parents[2]


def start(stderr: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm", "COLUMNS": "120"}
    command = [sys.executable, "-c", WORK]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=stderr, env=environment, text=True
    )


def test_without_a_terminal_there_are_lines_alone() -> None:
    with start(subprocess.PIPE) as process:
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (0, "False\n")
    assert stderr.splitlines() == ["a line \N{REPLACEMENT CHARACTER}[2J"]


def test_a_terminal_shows_a_bar() -> None:
    ours, theirs = os.openpty()
    shown = b""
    with start(theirs) as process:
        os.close(theirs)
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:
            # The terminal is closed with the process.
            pass
        stdout, _ = process.communicate(timeout=60)
    os.close(ours)
    assert (process.returncode, stdout) == (0, "True\n")
    text = shown.decode()
    for each in ("a line \N{REPLACEMENT CHARACTER}[2J", "done", "2/2", "3/5", "1.0/2.0 MB"):
        assert each in text


def test_packages_that_are_missing_are_named_with_their_extra() -> None:
    require(("json", "psycopg"), "web", "the page")
    assert missing(("json", "no_such_package")) == ["no_such_package"]
    with pytest.raises(PyupcError) as caught:
        require(("json", "no_such_package"), "web", "the page")
    assert "no_such_package" in caught.value.message
    assert "json" not in caught.value.message
    assert "pyupc[web]" in (caught.value.hint or "")
