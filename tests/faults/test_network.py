"""The network to PostgreSQL delays, cuts and swallows while `pyupc tick` runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cluster import Server
from tests.support.processes import until
from tests.support.proxy import Proxy
from tests.support.running_tick import Scene, scene
from tests.support.status_readers import becomes

pytestmark = pytest.mark.slow


@contextmanager
def behind_a_proxy(
    server: Server, tmp_path: Path, interval: float = 0.2
) -> Iterator[tuple[Scene, Proxy]]:
    """Only the tick goes through the proxy; the feed and the status readers do not."""
    with (
        Proxy(server.socket) as proxy,
        scene(server, tmp_path, dsn=server.dsn(port=proxy.port), interval=interval) as its,
    ):
        yield its, proxy


def test_a_slow_network_is_no_fault(server: Server, tmp_path: Path) -> None:
    with behind_a_proxy(server, tmp_path, interval=0.6) as (its, proxy):
        proxy.delay = 0.3
        proxy.rate = 200_000
        its.heals(seconds=10)
        assert its.tick.problems == []


def test_answers_that_take_longer_than_three_rounds(server: Server, tmp_path: Path) -> None:
    with behind_a_proxy(server, tmp_path, interval=0.5) as (its, proxy):
        proxy.delay = 1.6
        # A late tick still counts; it exists by the time it is logged as slow.
        until(lambda: its.tick.pace)
        becomes(server.dsn(), its.live, well=False)
        assert len(its.tick.pace) == 1
        assert its.tick.problems == []
        proxy.delay = 0
        its.heals(seconds=10)


def test_connections_that_are_cut(server: Server, tmp_path: Path) -> None:
    with behind_a_proxy(server, tmp_path) as (its, proxy):
        proxy.refuse()
        proxy.cut()
        its.shows("lost")
        proxy.accept()
        its.heals()


def test_a_connection_that_is_cut_once_costs_two_ticks_at_most(
    server: Server, tmp_path: Path
) -> None:
    with behind_a_proxy(server, tmp_path, interval=1) as (its, proxy):
        before = its.reader.times
        proxy.cut()
        its.heals(seconds=10)
        after = [at for at in its.reader.times if at > before[-1]]
        assert (after[0] - before[-1]).total_seconds() < 3.5


def test_a_network_that_swallows_everything(server: Server, tmp_path: Path) -> None:
    with behind_a_proxy(server, tmp_path) as (its, proxy):
        proxy.is_hole = True
        its.shows("answer", "timeout", "lost")
        accepted = proxy.accepted
        # It does not wait on a connection that is dead.
        until(lambda: proxy.accepted > accepted)
        proxy.is_hole = False
        its.heals()
