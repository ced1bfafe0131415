"""`pyupc tick` as a process of its own, and what tests wait for."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from tests.support.market import SYMBOLS, WRITTEN, going, rows
from tests.support.waiting import until as until

FROM = "2026-03-05T12:00:20Z"

SIMULATED = ("tick", "--feed", "simulated")
REPLAY = ("tick", "--feed", "replay")


# The command under way.
ticking = going


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    stdout, stderr = process.communicate(timeout=30)
    assert "Traceback" not in stderr
    return process.returncode, stdout


def count(dsn: str, table: str = "tick") -> int:
    return int(rows(dsn, f"SELECT count(*) FROM upc_data.{table}")[0][0])


def in_place(folder: Path, symbols: tuple[str, ...] = SYMBOLS) -> bool:
    names = (f"{symbol.lower()}_{name}.json" for symbol in symbols for name in WRITTEN)
    return all((folder / name).exists() for name in names)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def two_decimals(value: float) -> float:
    """Round like PostgreSQL's cast to numeric: fifteen digits, then half away from zero."""
    return float(Decimal(f"{value:.15g}").quantize(Decimal("0.01"), ROUND_HALF_UP))


@contextmanager
def home_of_its_own() -> Iterator[Path]:
    """The home of an embedded server of the test's own."""
    from pyupc import embedded

    base = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="pyupc-tick-", dir=base if base.is_dir() else None))
    folder.chmod(0o711)
    try:
        yield folder / "home"
    finally:
        embedded.stop(folder / "home")
        shutil.rmtree(folder)


def kill_server(home: Path) -> None:
    pid = int((home / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
