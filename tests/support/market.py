"""Two made-up markets with fingerprints, and the command run as a process."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pyupc.database.connect import connect
from tests.support.waiting import until as until
from tests.support.warm_process import COMMAND, REPOSITORY, Pyupc

# Four days of candles, the last of them the one that a replay shows.
SINCE = "2026-03-02 00:00+00"
UNTIL = "2026-03-06 00:00+00"
SYMBOLS = ("BTC", "ETH")
DOCUMENTS = ("live_probabilities", "strike_table", "watchlist")
WRITTEN = (*DOCUMENTS, "active_trades", "contracts")

Document = dict[str, Any]


def fill(dsn: str, symbols: tuple[str, ...] = SYMBOLS) -> None:
    """Candles and fingerprints."""
    with connect(dsn) as conn:
        for symbol in symbols:
            conn.execute(
                "INSERT INTO upc_data.candle SELECT * FROM upc.simulated_candles(%s, %s, %s)",
                (symbol, SINCE, UNTIL),
            )
            conn.execute("SELECT upc.note_candle_changes(%s, %s, %s)", (symbol, SINCE, UNTIL))
            conn.execute("SELECT upc.build_fingerprints(%s)", (symbol,))


def start(dsn: str, *arguments: str | Path, is_cold: bool = False) -> subprocess.Popen[str]:
    """`pyupc …` on that database, without a terminal; from scratch if its memory is measured."""
    popen: type[subprocess.Popen[str]] = subprocess.Popen if is_cold else Pyupc
    return popen(
        [*COMMAND, *map(str, arguments)],
        env={**os.environ, "PYUPC_DSN": dsn, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def pyupc(dsn: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The same, to its end. Nothing that it prints on stderr is a traceback."""
    with start(dsn, *arguments) as process:
        stdout, stderr = process.communicate(timeout=60)
    assert "Traceback" not in stderr
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


@contextmanager
def going(
    dsn: str, *arguments: str | Path, is_cold: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """The command under way; ended at the end unless it has ended by then.

    A tick may release its lease first: the next one on its database would be refused for as long.
    """
    with start(dsn, *arguments, is_cold=is_cold) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                if arguments[0] == "tick":
                    process.terminate()
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(3)
                process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and log."""
    _, stderr = process.communicate(timeout=30)
    assert "Traceback" not in stderr
    return process.returncode, stderr


def on_terminal(
    dsn: str, width: int, height: int, *arguments: str | Path, term: str = "xterm-256color"
) -> tuple[int, str]:
    """The same on a terminal of that size: exit code and all that appears on it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    environment = {"PYUPC_DSN": dsn, "PYTHONPATH": str(REPOSITORY), "TERM": term}
    # Workers of a test run may carry a size of their own, which would win over the terminal's.
    inherited = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    output = b""
    process: subprocess.Popen[bytes] = Pyupc(
        [*COMMAND, *map(str, arguments)],
        env={**inherited, **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    with process:
        os.close(theirs)
        # Linux reports the end of a terminal as an error.
        with suppress(OSError):
            while part := os.read(ours, 65536):
                output += part
        os.close(ours)
    assert b"Traceback" not in output
    return process.returncode, output.decode()


def read(folder: Path, symbol: str, document: str) -> Document:
    text = (folder / f"{symbol.lower()}_{document}.json").read_text(encoding="utf-8")
    result: Document = json.loads(text)
    return result


def rows(dsn: str, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    with connect(dsn) as conn:
        return conn.execute(query.encode(), parameters).fetchall()
