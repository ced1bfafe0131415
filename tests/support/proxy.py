"""A network between a program and PostgreSQL that can be made bad."""

from __future__ import annotations

import queue
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

_CHUNK = 65536
_LOOK_SECONDS = 0.02


@dataclass
class Proxy:
    """Listens on a port of the loopback and passes everything on to a socket of the server.

    `delay`: every answer comes so many seconds later. `rate`: bytes of an answer a second.
    `is_hole`: nothing passes, and nothing is closed; what came in meanwhile passes afterwards.
    """

    upstream: Path
    delay: float = 0.0
    rate: float | None = None
    is_hole: bool = False
    port: int = 0
    accepted: int = 0
    _listener: socket.socket | None = None
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Proxy:
        self.accept()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.refuse()
        self.cut()

    def accept(self) -> None:
        """Take connections, always on the same port."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def refuse(self) -> None:
        """Take no new connections; those that are open stay so."""
        if self._listener is not None:
            with suppress(OSError):
                # Wakes the thread that waits in accept.
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def cut(self) -> None:
        """End every connection."""
        with self._lock:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        pair = {client, server}
        with client, server:
            with self._lock:
                self._open |= pair
            self._wait_for_passage()
            with suppress(OSError):
                server.connect(str(self.upstream))
                back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
                back.start()
                self._pump(client, server)
                back.join()
            with self._lock:
                self._open -= pair

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        """Read at once, and pass on when it is due: what comes later does not wait longer."""
        parts: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        is_answer = source.family == socket.AF_UNIX
        passing = threading.Thread(target=self._pass_on, args=(parts, target, is_answer))
        passing.daemon = True
        passing.start()
        with suppress(OSError):
            while part := source.recv(_CHUNK):
                parts.put((time.monotonic(), part))
        parts.put((time.monotonic(), b""))
        passing.join()
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _pass_on(
        self,
        parts: queue.SimpleQueue[tuple[float, bytes]],
        target: socket.socket,
        is_answer: bool,
    ) -> None:
        with suppress(OSError):
            while True:
                came_at, part = parts.get()
                if not part:
                    return
                if is_answer:
                    time.sleep(max(0.0, came_at + self.delay - time.monotonic()))
                    if self.rate is not None:
                        time.sleep(len(part) / self.rate)
                self._wait_for_passage()
                target.sendall(part)

    def _wait_for_passage(self) -> None:
        while self.is_hole:
            time.sleep(_LOOK_SECONDS)
