"""A real PostgreSQL for the tests, a template database on it, and clones of that template.

The server is the first that works: `PYUPC_TEST_DSN`, where databases may be created; a container
if a Docker daemon answers; the embedded wheel. `PYUPC_TEST_PG` is the major version for the last
two: any for a container, 16 or 18 for the wheel. It is started once per run, also under xdist.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pyupc.database.connect import connect
from pyupc.embedded.cluster import SETTINGS, Cluster
from pyupc.embedded.home import Home
from pyupc.errors import PyupcError

Connection = psycopg.Connection[tuple[Any, ...]]

# Reports as an error what PL/pgSQL otherwise lets pass: shadowed names, SELECT INTO of many rows.
STRICT = "-c plpgsql.extra_errors=all"

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
    stop: Callable[[], None] = lambda: None


SERVER = pytest.StashKey[Server]()
PROBLEM = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    # A run that was started in the background may ignore Ctrl-C, and its children would inherit it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # No test may touch the developer's own server, nor start one in his home by mistake.
    os.environ.pop("PYUPC_DSN", None)
    os.environ["PYUPC_HOME"] = "/dev/null/pyupc"
    # Nor may his settings change what a test sees.
    os.environ["PYUPC_CONFIG"] = ""
    handed_over = getattr(config, "workerinput", {}).get("pyupc_server")
    if handed_over is not None:
        config.stash[SERVER] = Server(**handed_over)
    elif not hasattr(config, "workerinput") and not config.option.collectonly:
        try:
            config.stash[SERVER] = _first_that_works()
        except (PyupcError, OSError) as error:
            config.stash[PROBLEM] = str(error)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long first: none is then left over for one worker at the end.

    By how many tests are left of each when `-m` and `-k` have chosen. A slow one counts for many,
    and so does one of a file that starts processes or waits for them.
    """
    weights: Counter[Path] = Counter()
    for item in items:
        names = vars(getattr(item, "module", None) or object).keys()
        waits = bool({"subprocess", "going", "until"} & names)
        slow = item.get_closest_marker("slow") is not None
        weights[item.path] += 30 if slow else 10 if waits else 1
    items.sort(key=lambda item: (-weights[item.path], item.path))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the one server to a worker of xdist."""
    if SERVER in node.config.stash:
        server = node.config.stash[SERVER]
        handed_over = {"name": server.name, "dsn": server.dsn, "token": server.token}
        node.workerinput["pyupc_server"] = handed_over


def pytest_unconfigure(config: pytest.Config) -> None:
    if SERVER in config.stash:
        config.stash[SERVER].stop()


def pytest_report_header(config: pytest.Config) -> str:
    if SERVER in config.stash:
        return f"server: {config.stash[SERVER].name}"
    return f"server: none ({config.stash.get(PROBLEM, 'not needed')})"


def _first_that_works() -> Server:
    major = int(os.environ.get("PYUPC_TEST_PG", "18"))
    if given := os.environ.get("PYUPC_TEST_DSN"):
        return _server("PYUPC_TEST_DSN", given, lambda: None)
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
    return Server(f"PostgreSQL {version} ({name})", dsn, secrets.token_hex(3), stop)


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


@contextmanager
def _database(server_dsn: str, name: str, template: str = "template0") -> Iterator[str]:
    """A database for a while, as its DSN."""
    new, old = sql.Identifier(name), sql.Identifier(template)
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(new, old)
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(new)
    with connect(server_dsn) as server:
        server.execute(create)
    try:
        yield make_conninfo(server_dsn, dbname=name)
    finally:
        with connect(server_dsn) as server:
            server.execute(drop)


@pytest.fixture(scope="session")
def server_dsn(pytestconfig: pytest.Config) -> str:
    """The server of this run, where databases may be created."""
    if SERVER not in pytestconfig.stash:
        pytest.fail(f"no PostgreSQL for the tests: {pytestconfig.stash.get(PROBLEM, '')}")
    return pytestconfig.stash[SERVER].dsn


@pytest.fixture(scope="session")
def name_prefix(pytestconfig: pytest.Config) -> str:
    """What the names of all databases of this process begin with."""
    worker = getattr(pytestconfig, "workerinput", {}).get("workerid", "main")
    return f"upc_test_{pytestconfig.stash[SERVER].token}_{worker}"


@pytest.fixture(scope="session")
def template(server_dsn: str, name_prefix: str) -> Iterator[str]:
    """The name of a database at the newest schema, made as `pyupc db upgrade` makes it."""
    from pyupc.database.migrate import upgrade

    name = f"{name_prefix}_template"
    with _database(server_dsn, name) as dsn:
        upgrade(make_conninfo(dsn, options=STRICT))
        yield name


@pytest.fixture(scope="session")
def shared_database(server_dsn: str, name_prefix: str, template: str) -> Iterator[str]:
    with _database(server_dsn, f"{name_prefix}_shared", template) as dsn:
        yield dsn


@pytest.fixture
def db(shared_database: str) -> Iterator[Connection]:
    """A connection in a transaction that is rolled back. Nothing committed may come through it."""
    connection = connect(make_conninfo(shared_database, options=STRICT), autocommit=False)
    try:
        yield connection
    finally:
        connection.close()


@pytest.fixture
def fresh_db(server_dsn: str, name_prefix: str, template: str) -> Iterator[str]:
    """The DSN of a database of the test's own at the newest schema."""
    with _database(server_dsn, f"{name_prefix}_{secrets.token_hex(4)}", template) as dsn:
        yield dsn


@pytest.fixture
def empty_db(server_dsn: str, name_prefix: str) -> Iterator[str]:
    """The DSN of a new, empty database."""
    with _database(server_dsn, f"{name_prefix}_{secrets.token_hex(4)}") as dsn:
        yield dsn


@pytest.fixture(scope="session")
def shared_data(pytestconfig: pytest.Config) -> Path:
    """The folder of real market data, which the project does not ship."""
    given = os.environ.get("PYUPC_SHARED")
    shared = Path(given) if given else pytestconfig.rootpath.parent / "shared"
    folder = shared / "data" if (shared / "data").is_dir() else shared
    if not (folder / "legacy").is_dir():
        pytest.skip(f"no shared data in {folder}: set PYUPC_SHARED")
    return folder
