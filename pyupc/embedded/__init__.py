"""Embedded PostgreSQL: a real server of the user's own, started when a command needs it.

It lives in one folder (`PYUPC_HOME`), listens on a Unix socket that only the user can reach, still
requires a password, and keeps running after the command that started it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from pyupc.embedded import server_lock
from pyupc.embedded.binaries import wheel_binaries
from pyupc.embedded.cluster import Cluster
from pyupc.embedded.home import Home, Notify
from pyupc.embedded.postmaster import Postmaster
from pyupc.errors import DatabaseUnreachable
from pyupc.json_log import json_line

__all__ = [
    "DATABASE",
    "database_uri",
    "default_home",
    "ensure_running",
    "is_running",
    "program",
    "stop",
]

DATABASE = "pyupc"

_CONNECT_TIMEOUT_SECONDS = 10


def default_home() -> Path:
    """Folder `PYUPC_HOME`; else /var/lib/pyupc for root, the user data folder for others."""
    given = os.environ.get("PYUPC_HOME", "").strip()
    if given:
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/lib/pyupc")
    try:
        import platformdirs
    except ImportError:
        raise DatabaseUnreachable(
            "no folder for the embedded PostgreSQL is known",
            "pip install 'pyupc[embedded]', or set PYUPC_HOME or PYUPC_DSN",
        ) from None
    try:
        return platformdirs.user_data_path("pyupc", appauthor=False).expanduser()
    except RuntimeError:
        raise DatabaseUnreachable(
            f"user id {os.geteuid()} has no home folder, neither in HOME nor in /etc/passwd",
            "set PYUPC_HOME to a folder for the embedded PostgreSQL",
        ) from None


def print_to_stderr(message: str) -> None:
    if os.environ.get("PYUPC_LOG_FORMAT") == "json":
        message = json_line("WARNING", "pyupc.embedded", message)
    print(message, file=sys.stderr, flush=True)


def ensure_running(home: Path | None = None, *, notify: Notify = print_to_stderr) -> str:
    """Start the server if needed; return the URI of the database `pyupc`, created if missing."""
    return database_uri(DATABASE, home, create=True, notify=notify)


def database_uri(
    name: str,
    home: Path | None = None,
    *,
    create: bool = False,
    notify: Notify = print_to_stderr,
) -> str:
    """Start the server if needed; return the URI of a database, created if missing on `create`."""
    cluster = _cluster(home)
    with _clear_errors(cluster.home):
        if cluster.home.password() is not None and _answers(cluster.uri(name)):
            cluster.home.bound_log()
            return cluster.uri(name)
        cluster.home.create()
        with cluster.home.locked(notify):
            cluster.start(notify)
            if create:
                cluster.create_database(name)
        return cluster.uri(name)


def stop(home: Path | None = None, *, notify: Notify = print_to_stderr) -> bool:
    """Shut the server down and wait for its end; False if it was not running."""
    cluster = _cluster(home)
    with _clear_errors(cluster.home):
        if not cluster.home.data.is_dir():
            return False
        with cluster.home.locked(notify):
            return cluster.stop(notify)


def is_running(home: Path | None = None) -> bool:
    """True if a server runs or starts, here or in another container."""
    place = _cluster(home).home
    with _clear_errors(place):
        return Postmaster.of(place.data) is not None or server_lock.is_held(place.server_lock)


def program(name: str) -> Path:
    """Path of a client program of the wheel, such as `psql` or `pg_dump`."""
    return wheel_binaries() / name


def _cluster(home: Path | None) -> Cluster:
    return Cluster(Home.at(home or default_home()))


def _answers(uri: str) -> bool:
    """Try to connect: the only proof that the server found is the right one."""
    try:
        psycopg.connect(uri, connect_timeout=_CONNECT_TIMEOUT_SECONDS).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def _clear_errors(home: Home) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or home.path
        raise DatabaseUnreachable(
            f"the embedded PostgreSQL cannot use {where}: {error.strerror or error}",
            "free space there, or set PYUPC_HOME to a folder of your own",
        ) from error
