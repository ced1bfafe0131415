"""PostgreSQL hangs, or is killed, while `pyupc tick` runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cluster import Server
from tests.support.running_tick import running_tick

pytestmark = pytest.mark.slow


def test_a_server_that_hangs(server: Server, tmp_path: Path) -> None:
    with running_tick(server, tmp_path) as running:
        server.freeze()
        shown = running.shows("answer")
        assert shown.exit_code == 3
        server.thaw()
        running.heals()


def test_a_server_that_is_killed(server: Server, tmp_path: Path) -> None:
    with running_tick(server, tmp_path) as running:
        server.kill()
        shown = running.shows("lost")
        assert shown.exit_code == 3
        server.start()
        running.heals()
