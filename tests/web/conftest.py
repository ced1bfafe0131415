"""A market for a whole module, and a server that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import cluster_template, server, server_folder
from tests.support.ticking import FROM
from tests.web.serving import Served, serving

# The fixtures for tests that hurt a server.
__all__ = ["cluster_template", "server", "server_folder"]


@pytest.fixture(scope="module")
def market_dsn(module_market: str) -> str:
    return module_market


@pytest.fixture(scope="module")
def served(market_dsn: str) -> Iterator[Served]:
    """A server that anybody on this machine may ask as often as they like."""
    with serving(market_dsn, "--rate", "10000") as found:
        yield found


@pytest.fixture
def replay() -> tuple[str, ...]:
    """Ticks of a stored afternoon."""
    return ("tick", "--feed", "replay", "--from", FROM)


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """Folder of the test's JSON files."""
    return tmp_path / "live"
