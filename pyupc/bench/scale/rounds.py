"""Rounds of `pyupc tick` at 1 Hz, as an installation runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pyupc.bench.scale.figures import Figure
from pyupc.bench.scale.parts import Scale
from pyupc.errors import PyupcError

# The first rounds take leases and read everything for the first time.
_SETTLING_SECONDS = 5.0
_FIRST_ROUND_SECONDS = 120.0
_END_SECONDS = 60.0
_ENDED = re.compile(r"ended after (\d+) ticks, (\d+) missed, (\d+) failed")


def rounds(scale: Scale) -> Iterator[Figure]:
    """Server and client a round, and the rounds missed."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as log:
        command = [sys.executable, "-m", "pyupc", "tick", "--feed", "simulated", "--no-files"]
        environment = {**os.environ, "PYUPC_DSN": scale.dsn, "PYUPC_LOG_FORMAT": "text"}
        so_far = _ticks(scale)
        child = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=log
        )
        try:
            _wait_for_a_round(scale, so_far + len(scale.names), child, log)
            time.sleep(_SETTLING_SECONDS)
            began, spent = _ticks(scale), _cpu_seconds(child.pid)
            with scale.meter.measuring() as used:
                time.sleep(scale.seconds)
            ended, client = _ticks(scale), _cpu_seconds(child.pid) - spent
            peak = _peak_megabytes(child.pid)
            child.send_signal(signal.SIGTERM)
            child.wait(_END_SECONDS)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        found = _ENDED.search(_text(log))
    if found is None:
        raise PyupcError("pyupc tick did not say how many rounds it missed")
    count = (ended - began) / len(scale.names)
    note = f"{count:,.0f} rounds at 1 Hz, simulated feed, no markets, no files"
    details = {"seconds": used.seconds, "rounds": count, "failed": int(found[3])}
    yield scale.figure(
        "round", "a round of ticks in the server", 1e3 * used.cpu / count, "ms", note, **details
    )
    yield scale.figure(
        "round_client",
        "the same in pyupc tick",
        1e3 * client / count,
        "ms",
        note,
        peak_megabytes=peak,
    )
    yield scale.figure("round_missed", "rounds missed", float(found[2]), "", note, **details)


def _ticks(scale: Scale) -> int:
    row = scale.conn.execute("SELECT count(*) FROM upc_data.tick").fetchone()
    return row[0] if row else 0


def _wait_for_a_round(
    scale: Scale, ticks: int, child: subprocess.Popen[bytes], log: IO[str]
) -> None:
    """Until every symbol has been ticked."""
    until = time.monotonic() + _FIRST_ROUND_SECONDS
    while _ticks(scale) < ticks:
        if child.poll() is not None:
            lines = _text(log).strip().splitlines()
            raise PyupcError(f"pyupc tick has ended: {lines[-1] if lines else 'without a message'}")
        if time.monotonic() > until:
            raise PyupcError(f"no round of ticks was over after {_FIRST_ROUND_SECONDS:.0f} s")
        time.sleep(0.1)


def _text(log: IO[str]) -> str:
    log.seek(0)
    return log.read()


def _cpu_seconds(pid: int) -> float:
    """Of all threads; nanoseconds on a CPU are the first number of each."""
    files = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


def _peak_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
