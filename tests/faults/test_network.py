"""The network to PostgreSQL delays, cuts and swallows while `pyupc tick` runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cluster import Server
from tests.support.processes import until
from tests.support.proxy import Proxy
from tests.support.running_tick import RunningTick, running_tick
from tests.support.status_readers import becomes

pytestmark = pytest.mark.slow


@contextmanager
def behind_a_proxy(
    server: Server, tmp_path: Path, interval: float = 0.2
) -> Iterator[tuple[RunningTick, Proxy]]:
    """Only the tick goes through the proxy; the feed and the status readers do not."""
    with (
        Proxy(server.socket) as proxy,
        running_tick(
            server, tmp_path, dsn=server.dsn(port=proxy.port), interval=interval
        ) as running,
    ):
        yield running, proxy


def test_a_slow_network_is_no_fault(server: Server, tmp_path: Path) -> None:
    with behind_a_proxy(server, tmp_path, interval=0.6) as (running, proxy):
        proxy.delay = 0.3
        proxy.rate = 200_000
        running.heals(seconds=10)
        assert running.tick.problems == []


def test_answers_that_take_longer_than_three_rounds(server: Server, tmp_path: Path) -> None:
    with behind_a_proxy(server, tmp_path, interval=0.5) as (running, proxy):
        proxy.delay = 1.6
        # A late tick still counts; it exists by the time it is logged as slow.
        until(lambda: running.tick.pace)
        becomes(server.dsn(), running.live, healthy=False)
        assert len(running.tick.pace) == 1
        assert running.tick.problems == []
        proxy.delay = 0
        running.heals(seconds=10)


def test_connections_that_are_cut(server: Server, tmp_path: Path) -> None:
    with behind_a_proxy(server, tmp_path) as (running, proxy):
        proxy.refuse()
        proxy.cut()
        running.shows("lost")
        proxy.accept()
        running.heals()


def test_a_connection_that_is_cut_once_costs_two_ticks_at_most(
    server: Server, tmp_path: Path
) -> None:
    with behind_a_proxy(server, tmp_path, interval=1) as (running, proxy):
        before = running.reader.times
        proxy.cut()
        running.heals(seconds=10)
        after = [at for at in running.reader.times if at > before[-1]]
        assert (after[0] - before[-1]).total_seconds() < 3.5


def test_a_network_that_swallows_everything(server: Server, tmp_path: Path) -> None:
    with behind_a_proxy(server, tmp_path) as (running, proxy):
        proxy.is_hole = True
        running.shows("answer", "timeout", "lost")
        accepted = proxy.accepted
        # It does not wait on a connection that is dead.
        until(lambda: proxy.accepted > accepted)
        proxy.is_hole = False
        running.heals()
