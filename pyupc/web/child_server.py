"""The page beside another command: a process of its own, which ends with it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pyupc.errors import PyupcError
from pyupc.web.settings import PORT

END_SECONDS = 5.0


@contextmanager
def serving_beside(dsn: str, port: int | None, is_legacy: bool = False) -> Iterator[str]:
    """The address of a page that shows what that database ticks.

    Without a port it is the usual one, or another one if that is taken. Raises PyupcError if it
    does not start.
    """
    process, address = _started(dsn, port, is_legacy)
    try:
        yield address
    finally:
        _end(process)


def _started(dsn: str, port: int | None, is_legacy: bool) -> tuple[subprocess.Popen[str], str]:
    options = ["--attached", *(["--legacy"] if is_legacy else [])]
    for attempt in (PORT, 0) if port is None else (port,):
        process = subprocess.Popen(
            [sys.executable, "-m", "pyupc", "-q", "serve", *options, "--port", str(attempt)],
            env={**os.environ, "PYUPC_DSN": dsn, "PYUPC_LOG_FORMAT": "text"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Ctrl-C is for the command that it is beside of.
            start_new_session=True,
        )
        assert process.stdout is not None
        last_words: deque[str] = deque(maxlen=10)
        ear = threading.Thread(target=_listen, args=(process, last_words), daemon=True)
        ear.start()
        if said := process.stdout.readline().split():
            return process, said[-1]
        process.wait()
        ear.join(1.0)
    words = dict(line.strip().split(": ", 1) for line in last_words if ": " in line)
    raise PyupcError(words.get("pyupc", "the page has not started"), words.get("hint"))


def _listen(process: subprocess.Popen[str], last_words: deque[str]) -> None:
    """Empty its pipe: a full one would block it."""
    assert process.stderr is not None
    last_words.extend(process.stderr)


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
