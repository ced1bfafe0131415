"""PostgreSQL hangs, or is killed, while `pyupc tick` runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cluster import Server
from tests.support.running_tick import scene

pytestmark = pytest.mark.slow


def test_a_server_that_hangs(server: Server, tmp_path: Path) -> None:
    with scene(server, tmp_path) as its:
        server.freeze()
        shown = its.shows("answer")
        assert shown.exit_code == 3
        server.thaw()
        its.heals()


def test_a_server_that_is_killed(server: Server, tmp_path: Path) -> None:
    with scene(server, tmp_path) as its:
        server.kill()
        shown = its.shows("lost")
        assert shown.exit_code == 3
        server.start()
        its.heals()
