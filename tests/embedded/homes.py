"""Homes of embedded servers that tests start, and other processes that work with them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pyupc import embedded

START = "from pyupc import embedded; print(embedded.ensure_running())"
REPOSITORY = Path(__file__).parents[2]


def new_home(base: Path | None = None) -> Path:
    """A home that does not exist yet, in a folder that every user can pass through."""
    memory = Path("/dev/shm")
    base = base or (memory if memory.is_dir() else None)
    folder = Path(tempfile.mkdtemp(prefix="pyupc-home-", dir=base))
    folder.chmod(0o711)
    return folder / "home"


def remove(home: Path) -> None:
    embedded.stop(home)
    shutil.rmtree(home.parent)


def command(
    home: Path,
    code: str = START,
    *,
    within: Sequence[str] = (),
    **environment: str,
) -> subprocess.Popen[str]:
    """Another Python process that works with the home, as one of pyupc's commands does."""
    path = os.pathsep.join([environment.pop("first_on_path", ""), str(REPOSITORY)]).strip(":")
    return subprocess.Popen(
        [*within, sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, "PYUPC_HOME": str(home), **environment},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def output(process: subprocess.Popen[str]) -> str:
    with process:
        stdout, _ = process.communicate()
    assert process.returncode == 0
    return stdout.strip()


def server_pid(home: Path) -> int:
    return int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0])
