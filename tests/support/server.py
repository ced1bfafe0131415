"""The PostgreSQL of a run of the tests: found or started once, and handed to the workers.

The first that works: `PYUPC_TEST_DSN`, where databases may be created; a container if a Docker
daemon answers; the embedded wheel. `PYUPC_TEST_PG` is the major version for the last two: any for a
container, 16 or 18 for the wheel.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyupc.database.connect import connect
from pyupc.embedded.cluster import SETTINGS, Cluster
from pyupc.embedded.home import Home
from pyupc.errors import PyupcError

# The data of a test outlives no run. Without autovacuum plans are the same in every run.
TEST_SETTINGS = {
    **SETTINGS,
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "synchronous_commit": "off",
}

ENOUGH_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Server:
    name: str
    dsn: str
    token: str  # keeps the databases of two runs on one server apart
    outlives_the_run: bool = False
    stop: Callable[[], None] = lambda: None


def first_that_works() -> Server:
    major = int(os.environ.get("PYUPC_TEST_PG", "18"))
    if given := os.environ.get("PYUPC_TEST_DSN"):
        return replace(_server("PYUPC_TEST_DSN", given, lambda: None), outlives_the_run=True)
    if not _docker_answers():
        return _embedded(major)
    try:
        return _container(major)
    except Exception as error:
        # An image that cannot be pulled, a daemon that ends: the suite runs nevertheless.
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return _embedded(major, f", since no container starts: {reason[:200]}")


def _server(name: str, dsn: str, stop: Callable[[], None]) -> Server:
    with connect(dsn) as connection:
        version = connection.info.parameter_status("server_version")
    return Server(f"PostgreSQL {version} ({name})", dsn, secrets.token_hex(3), stop=stop)


def _docker_answers() -> bool:
    """`docker` on PATH is no daemon: only an answer of the daemon's own counts."""
    docker = shutil.which("docker")
    if docker is None or importlib.util.find_spec("testcontainers") is None:
        return False
    with suppress(subprocess.TimeoutExpired):
        command = [docker, "version", "--format", "{{.Server.Version}}"]
        return subprocess.run(command, capture_output=True, timeout=3, check=False).returncode == 0
    return False


def _container(major: int) -> Server:
    container = _postgres_container()(f"postgres:{major}-alpine", driver=None)
    container.with_command("postgres -c fsync=off -c autovacuum=off -c jit=off")
    try:
        container.start()
        return _server("container", container.get_connection_url(), container.stop)
    except BaseException:
        with suppress(Exception):
            container.stop()
        raise


def _postgres_container() -> Any:
    """From 4.15 on it is a module of the community's, and the old name of it warns."""
    try:
        module = importlib.import_module("testcontainers.community.postgres")
    except ModuleNotFoundError:
        module = importlib.import_module("testcontainers.postgres")
    return module.PostgresContainer


def _embedded(major: int, remark: str = "") -> Server:
    """A cluster in memory if there is enough of it, else in the folder for temporary files."""
    folders = [Path("/dev/shm"), Path(tempfile.gettempdir())]
    *memory, disk = [path for path in folders if path.is_dir()]
    for folder in memory:
        if shutil.disk_usage(folder).free > ENOUGH_BYTES:
            # A container may mount it so that no program runs from there.
            with suppress(PyupcError):
                return _embedded_in(folder, major, remark)
    return _embedded_in(disk, major, remark)


def _embedded_in(folder: Path, major: int, remark: str) -> Server:
    prefix = f"pyupc-tests-{os.getuid()}-"
    for left_over in folder.glob(f"{prefix}*"):
        if not _is_alive(int(left_over.name.removeprefix(prefix))):
            _remove(Cluster(Home.at(left_over), major))
    cluster = Cluster(Home.at(folder / f"{prefix}{os.getpid()}"), major, TEST_SETTINGS)
    cluster.home.create()
    try:
        with cluster.home.locked(print):
            cluster.start(print)
        return _server(
            f"embedded, {folder}{remark}", cluster.uri("postgres"), lambda: _remove(cluster)
        )
    except BaseException:
        _remove(cluster)
        raise


def _remove(cluster: Cluster) -> None:
    with cluster.home.locked(print):
        cluster.stop(print)
    shutil.rmtree(cluster.home.path)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True
