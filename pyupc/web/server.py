"""The run of `pyupc serve`: a socket, uvicorn on it, until a signal comes."""

from __future__ import annotations

import errno
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn

from pyupc.errors import Busy, PyupcError
from pyupc.runtime.clock import SYSTEM
from pyupc.runtime.outage import DatabaseOutage
from pyupc.runtime.stop import Received
from pyupc.web.app import create_app
from pyupc.web.database import check
from pyupc.web.protocol import Impatient
from pyupc.web.settings import WILDCARDS, Settings

logger = logging.getLogger("pyupc.serve")

END_SECONDS = 3
RETRY_SECONDS = 0.5

_REASONS = {
    errno.EADDRINUSE: "another program listens there",
    errno.EACCES: "this user may not listen there",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


def run(settings: Settings, listening: Callable[[str], None], *, is_attached: bool = False) -> int:
    """Serve until SIGTERM or Ctrl-C; the exit code. `listening` gets the page's address.

    With `is_attached` it ends with its standard input, also when its parent was killed.

    Raises PyupcError if there is no database, schema or role, or if the address is taken.
    """
    _wait_for(settings.dsn)
    _allow_many_connections()
    # Once, and not when the first stranger asks: a resolver may be slow.
    settings.is_ours("")
    with _bound(settings) as listener:
        server = _Server(settings)
        if is_attached:
            threading.Thread(target=server.end_with_stdin, daemon=True).start()
        # Their messages are logged here in one line, or sent to the client.
        for name in ("uvicorn", "psycopg"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        listening(address_of(listener, settings.host))
        server.run([listener])
    if server.has_failed:
        return 1
    return Received(server.received).exit_code


class _Server(uvicorn.Server):
    """Ends its streams, which would go on for ever, before it waits for its answers."""

    def __init__(self, settings: Settings) -> None:
        self.received: int | None = None
        self.has_failed = False
        self._app = create_app(settings, self._fail)
        super().__init__(
            uvicorn.Config(
                self._app,
                http=Impatient,
                # Proxies whose X-Forwarded-For counts; none by default.
                proxy_headers=settings.proxy is not None,
                forwarded_allow_ips=settings.proxy or "",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=END_SECONDS,
                timeout_keep_alive=15,
                lifespan="on",
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """uvicorn's own would raise the signal again once it has ended, and hide the exit code."""
        self._app.state.server.hub.close()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True
        self.received = sig

    def end_with_stdin(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            while os.read(sys.stdin.fileno(), 512):
                pass
        # An earlier signal would find no handler for an orderly end.
        while not self.started:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    def _fail(self) -> None:
        self.has_failed = True
        self.should_exit = True


def _wait_for(dsn: str) -> None:
    """Check the database; one that is busy is waited for."""
    outage = DatabaseOutage(logger.name, SYSTEM.monotonic)
    while True:
        try:
            check(dsn)
        except Busy as problem:
            outage.lost(problem)
        else:
            outage.back()
            return
        time.sleep(RETRY_SECONDS)


def _allow_many_connections() -> None:
    """Raise the limit of open files to the hard limit: a shell's default is for programs."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def address_of(listener: socket.socket, host: str) -> str:
    """Address for a browser."""
    port = listener.getsockname()[1]
    if host in WILDCARDS:
        host = socket.gethostname()
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _bound(settings: Settings) -> socket.socket:
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        raise PyupcError(
            f"cannot listen on {settings.host} port {settings.port}: {reason}",
            "name another one with --port or --host; --port 0 takes one that is free",
        ) from error
