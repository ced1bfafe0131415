"""The server of the run, its databases as fixtures, and the order of the test files."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pyupc.database.connect import connect
from pyupc.errors import PyupcError
from tests.support.databases import STRICT, Databases
from tests.support.server import Server, first_that_works

Connection = psycopg.Connection[tuple[Any, ...]]

SERVER = pytest.StashKey[Server]()
PROBLEM = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    # A run that was started in the background may ignore Ctrl-C, and its children would inherit it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # No test may touch the developer's own server, nor start one in their home by mistake.
    os.environ.pop("PYUPC_DSN", None)
    os.environ["PYUPC_HOME"] = "/dev/null/pyupc"
    # Nor may their settings change what a test sees.
    os.environ["PYUPC_CONFIG"] = ""
    handed_over = getattr(config, "workerinput", {}).get("pyupc_server")
    if handed_over is not None:
        config.stash[SERVER] = Server(**handed_over)
    elif not hasattr(config, "workerinput") and not config.option.collectonly:
        try:
            config.stash[SERVER] = first_that_works()
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
    if SERVER in config.stash and not hasattr(config, "workerinput"):
        server = config.stash[SERVER]
        if server.outlives_the_run:
            _databases(server).drop_templates()
        server.stop()


def pytest_report_header(config: pytest.Config) -> str:
    if SERVER in config.stash:
        return f"server: {config.stash[SERVER].name}"
    return f"server: none ({config.stash.get(PROBLEM, 'not needed')})"


def _databases(server: Server) -> Databases:
    return Databases(server.dsn, f"upc_test_{server.token}")


@pytest.fixture(scope="session")
def databases(pytestconfig: pytest.Config) -> Databases:
    """The server of this run, where databases may be created, and the templates on it."""
    if SERVER not in pytestconfig.stash:
        pytest.fail(f"no PostgreSQL for the tests: {pytestconfig.stash.get(PROBLEM, '')}")
    return _databases(pytestconfig.stash[SERVER])


@pytest.fixture(scope="session")
def server_dsn(databases: Databases) -> str:
    return databases.server_dsn


@pytest.fixture(scope="session")
def name_prefix(pytestconfig: pytest.Config, databases: Databases) -> str:
    """Prefix of this process's role and database names."""
    worker = getattr(pytestconfig, "workerinput", {}).get("workerid", "main")
    return f"{databases.prefix}_{worker}"


@pytest.fixture(scope="session")
def template(databases: Databases) -> str:
    """The name of a database at the newest schema, made as `pyupc db upgrade` makes it."""
    return databases.template("empty")


@pytest.fixture(scope="session")
def shared_database(databases: Databases) -> Iterator[str]:
    with databases.clone("empty") as dsn:
        yield dsn


@pytest.fixture
def db(shared_database: str) -> Iterator[Connection]:
    """A connection in a transaction that is rolled back. Nothing committed may come through it."""
    connection = connect(make_conninfo(shared_database, options=STRICT), autocommit=False)
    try:
        yield connection
    finally:
        # With a close alone the server keeps its locks for a moment: the next test would find them.
        if not connection.closed:
            connection.rollback()
        connection.close()


@pytest.fixture
def fresh_db(databases: Databases) -> Iterator[str]:
    """The DSN of a database of the test's own at the newest schema."""
    with databases.clone("empty") as dsn:
        yield dsn


@pytest.fixture
def empty_db(databases: Databases) -> Iterator[str]:
    """The DSN of a new, empty database."""
    with databases.new() as dsn:
        yield dsn


@pytest.fixture
def market(databases: Databases) -> Iterator[str]:
    """The DSN of a database of the test's own with two made-up markets and their fingerprints."""
    with databases.clone("market") as dsn:
        yield dsn


@pytest.fixture
def btc_market(databases: Databases) -> Iterator[str]:
    """The same with BTC alone."""
    with databases.clone("market_btc") as dsn:
        yield dsn


@pytest.fixture(scope="module")
def module_market(databases: Databases) -> Iterator[str]:
    """The DSN of a database with two made-up markets that the tests of a file share."""
    with databases.clone("market") as dsn:
        yield dsn


@pytest.fixture(scope="module")
def module_btc_market(databases: Databases) -> Iterator[str]:
    """The same with BTC alone."""
    with databases.clone("market_btc") as dsn:
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
