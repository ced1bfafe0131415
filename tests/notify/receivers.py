"""A receiver of announcements on the loopback, in the moods that such a service has."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.market import rows
from tests.support.warm_process import COMMAND, REPOSITORY, Pyupc

SECRET = "hunter2secret"


@dataclass
class Receiver:
    """`refuses` is how many messages it does not take. `gate` is what an answer waits for."""

    refuses: int = 0
    port: int = 0
    messages: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"json://someone:{SECRET}@127.0.0.1:{self.port}/"

    @property
    def bodies(self) -> list[str]:
        """The first lines of what it took."""
        return [message["message"].splitlines()[0] for message in list(self.messages)]

    def take(self, message: dict[str, Any]) -> int:
        """The status of the answer."""
        with self._lock:
            if self.refuses > 0:
                self.refuses -= 1
                self.refused.append(message)
                return 503
            self.messages.append(message)
        self.gate.wait(30)
        return 200


@contextmanager
def receiving(receiver: Receiver | None = None) -> Iterator[Receiver]:
    """A receiver at a port, which it keeps when it comes back after having been dead."""
    there = receiver or Receiver()
    there.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            status = there.take(json.loads(self.rfile.read(length)))
            # The client may have been killed.
            with suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """The output of a test is its own."""

    server = ThreadingHTTPServer(("127.0.0.1", there.port), Handler)
    server.daemon_threads = True
    there.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield there
    finally:
        there.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()


class Running:
    """`pyupc notify` under way, and what it logs."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def logged(self, part: str) -> int:
        return sum(part in line for line in self.log.splitlines())

    @property
    def is_ready(self) -> bool:
        """True once it sends every announcement from now on."""
        return self.logged("passing on") > 0

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(20)
        assert "Traceback" not in self.log
        assert SECRET not in self.log
        return code


@contextmanager
def notifying(dsn: str, folder: Path, *arguments: str) -> Iterator[Running]:
    """The command under way; killed at the end unless it has ended by then."""
    path = folder / f"notify-{len(list(folder.glob('notify-*')))}.log"
    with path.open("w") as log:
        process: subprocess.Popen[str] = Pyupc(
            [*COMMAND, "notify", *arguments],
            env=environment(dsn),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            text=True,
        )
    try:
        yield Running(process, path)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


def environment(dsn: str) -> dict[str, str]:
    return {**os.environ, "PYUPC_DSN": dsn, "PYTHONPATH": str(REPOSITORY), "NO_PROXY": "*"}


def announce(dsn: str, message: str, kind: str = "stop", symbol: str = "BTC") -> int:
    """Announce like a tick, in a transaction of its own."""
    document = {
        "symbol": symbol,
        "probability": 38.25,
        "price": 97_250.5,
        "count": 10,
        "side": None,
    }
    query = "SELECT upc._announce(%s, %s, 'trade', %s, %s, clock_timestamp())"
    [(announced,)] = rows(dsn, query, symbol, kind, message, json.dumps(document))
    return int(announced["announcement_id"])


def cursors(dsn: str) -> dict[tuple[str, str], int]:
    """Last acknowledged number, by subscriber and symbol."""
    query = "SELECT subscriber, symbol, announcement_id FROM upc_data.announcement_cursor"
    return {(subscriber, symbol): number for subscriber, symbol, number in rows(dsn, query)}


def until(condition: Callable[[], object], seconds: float = 30) -> float:
    """Wait for something; how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began
