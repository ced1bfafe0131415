"""A filled cluster to copy, and a server of the test's own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyupc.database.connect import connect
from pyupc.database.migrate import upgrade
from tests.support.cluster import Server, Template

SYMBOLS = ("BTC", "ETH")


def _fill(dsn: str) -> None:
    """Candles of the simulated price up to now, and fingerprints."""
    upgrade(dsn)
    with connect(dsn) as conn:
        for symbol in SYMBOLS:
            conn.execute(
                "INSERT INTO upc_data.candle SELECT c.* FROM upc.simulated_candles("
                " %s, now() - interval '3 days', date_trunc('minute', now())) AS c",
                (symbol,),
            )
            conn.execute("SELECT upc.build_fingerprints(%s)", (symbol,))


@contextmanager
def _reachable_folder() -> Iterator[Path]:
    """A new folder, in memory if there is some, that the server's account reaches."""
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="pyupc-faults-", dir=parent))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster_template() -> Iterator[Template]:
    if not Path("/proc/self/stat").exists():
        pytest.skip("the processes of a server are found in /proc, which there is not")
    with _reachable_folder() as folder:
        yield Template.make(folder / "template", _fill)


@pytest.fixture
def server_folder() -> Iterator[Path]:
    with _reachable_folder() as folder:
        yield folder


@pytest.fixture
def server(cluster_template: Template, server_folder: Path) -> Iterator[Server]:
    """Started, on a copy of the filled cluster."""
    started = Server(cluster_template, server_folder / "server")
    started.create()
    started.start()
    try:
        yield started
    finally:
        started.stop()
