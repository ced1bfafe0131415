"""A market for a whole module, and a server that shows it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import cluster_template, server, server_folder
from tests.support.market import clone, fill
from tests.support.ticking import FROM
from tests.web.serving import Served, serving

# Fixtures of those who hurt a server are wanted here, too.
__all__ = ["cluster_template", "server", "server_folder"]


@pytest.fixture(scope="session")
def market_template(server_dsn: str, name_prefix: str, template: str) -> Iterator[str]:
    """A database with two made-up markets and their fingerprints, to be copied."""
    name = f"{name_prefix}_{secrets.token_hex(4)}"
    with clone(server_dsn, template, name) as dsn:
        fill(dsn)
        yield name


@pytest.fixture(scope="module")
def market_dsn(server_dsn: str, name_prefix: str, market_template: str) -> Iterator[str]:
    with clone(server_dsn, market_template, f"{name_prefix}_{secrets.token_hex(4)}") as dsn:
        yield dsn


@pytest.fixture(scope="module")
def served(market_dsn: str) -> Iterator[Served]:
    """A server that anybody on this machine may ask as often as he likes."""
    with serving(market_dsn, "--rate", "10000") as found:
        yield found


@pytest.fixture
def replay() -> tuple[str, ...]:
    """Ticks of a stored afternoon."""
    return ("tick", "--feed", "replay", "--from", FROM)


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """Where the JSON files of a test go."""
    return tmp_path / "live"
