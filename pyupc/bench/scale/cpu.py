"""CPU time of the server's processes, as the kernel of the server counts it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psycopg

from pyupc.bench.scratch import Connection
from pyupc.database.connect import connect
from pyupc.errors import PyupcError
from pyupc.sql_errors import translate

_POLL_SECONDS = 0.02

# Nanoseconds on a CPU are the first number. A process may end in between.
_READ = """
    SELECT
        a.pid,
        split_part(pg_read_file(format('/proc/%s/schedstat', a.pid), 0, 100, true), ' ', 1)
    FROM pg_catalog.pg_stat_activity AS a
    WHERE a.datname = current_database()
      AND a.backend_type IN ('client backend', 'parallel worker')
      AND a.pid <> pg_backend_pid()
"""


@dataclass
class Used:
    """Seconds on a CPU, and by the clock."""

    cpu: float = 0.0
    seconds: float = 0.0


@dataclass
class Meter:
    """CPU time of all backends of a database but its own."""

    dsn: str
    _since: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._conn: Connection = connect(self.dsn, application_name="pyupc bench meter")

    def close(self) -> None:
        self._conn.close()

    @contextmanager
    def measuring(self, *, ending: bool = False) -> Iterator[Used]:
        """The time used meanwhile. `ending`: by backends, too, that come and go."""
        used = Used()
        before = self._read()
        latest = dict(before)
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(latest, done))
        began = time.perf_counter()
        if ending:
            watcher.start()
        try:
            yield used
        finally:
            used.seconds = time.perf_counter() - began
            done.set()
            if ending:
                watcher.join()
        latest |= self._read()
        used.cpu = sum(each - before.get(pid, 0) for pid, each in latest.items()) / 1e9

    def _watch(self, latest: dict[int, int], done: threading.Event) -> None:
        while not done.wait(_POLL_SECONDS):
            # The work under way may leave the server no room for another statement for a while.
            with suppress(psycopg.errors.OperationalError):
                latest |= self._read()

    def _read(self) -> dict[int, int]:
        rows = self._conn.execute(_READ, prepare=True).fetchall()
        return {pid: int(spent) for pid, spent in rows if spent}


def require(conn: Connection) -> None:
    """Refuse a server whose processes' times cannot be read."""
    hint = (
        "use the embedded server, or a server on Linux and a role that may read its files:"
        " GRANT pg_read_server_files TO …"
    )
    try:
        row = conn.execute(
            "SELECT pg_read_file('/proc/self/schedstat', 0, 100, true) ~ '^[1-9]'"
        ).fetchone()
    except psycopg.Error as error:
        problem = translate(error)
        raise PyupcError(
            f"the CPU time of the server's processes cannot be read: {problem.message}", hint
        ) from error
    if row != (True,):
        raise PyupcError("the server's system does not show the CPU time of its processes", hint)
