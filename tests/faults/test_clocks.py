"""Clocks jump by an hour: the server's, the one of the tick, or the whole machine's."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from pyupc.database.connect import connect
from tests.support.cluster import Server, Template
from tests.support.faketime_clock import Clock
from tests.support.price_feed import EXCHANGE
from tests.support.processes import more_ticks, until
from tests.support.running_tick import running_tick

pytestmark = pytest.mark.slow

JUMPS = pytest.mark.parametrize("seconds", [3600, -3600])

# Of the time before the test, so that an hour ago is no beginning.
EARLIER = """
    INSERT INTO upc_data.price (symbol, exchange, received_at, price)
    SELECT 'BTC', %s, g.at, upc.simulated_price('BTC', g.at)
    FROM generate_series(now() - interval '2 hours', now(), interval '2 s') AS g (at)
"""


@pytest.fixture
def clock(server_folder: Path) -> Iterator[Clock]:
    running = Clock.at(server_folder / "clock")
    yield running
    running.remove()


@pytest.fixture
def turned(cluster_template: Template, server_folder: Path, clock: Clock) -> Iterator[Server]:
    """A server that goes by that clock."""
    server = Server(cluster_template, server_folder / "server", environment=clock.environment)
    server.create()
    server.start()
    try:
        with connect(server.dsn()) as conn:
            conn.execute(EARLIER, (EXCHANGE,))
        yield server
    finally:
        server.stop()


@JUMPS
def test_the_clock_of_the_server(
    turned: Server, clock: Clock, tmp_path: Path, seconds: int
) -> None:
    with running_tick(turned, tmp_path) as running:
        clock.turn(seconds)
        running.shows("clock")
        # The newest price is an hour old by this clock, or comes in an hour.
        more_ticks(running.reader)
        assert running.reader.newest["state"] != "fresh"
        clock.turn(0)
        running.heals(seconds=10)
        until(lambda: running.reader.newest["state"] == "fresh")


@JUMPS
def test_the_clock_of_the_process_that_ticks(
    server: Server, clock: Clock, tmp_path: Path, seconds: int
) -> None:
    with running_tick(server, tmp_path, more=clock.environment) as running:
        before = running.reader.times[-1]
        clock.turn(seconds)
        running.shows("clock")
        clock.turn(0)
        running.heals()
        # The server's clock is the one that counts: nothing is an hour late or early.
        gaps = [(b - a).total_seconds() for a, b in pairwise(running.reader.times) if a >= before]
        assert max(gaps) < 5


@JUMPS
def test_the_clock_of_the_machine(
    turned: Server, clock: Clock, tmp_path: Path, seconds: int
) -> None:
    environment = clock.environment
    with running_tick(turned, tmp_path, more=environment, feed_more=environment) as running:
        clock.turn(seconds)
        running.shows("clock")
        # Prices come by the same clock, between those that the log has of that hour.
        more_ticks(running.reader)
        until(lambda: running.reader.newest["state"] == "fresh")
        clock.turn(0)
        running.heals(seconds=10)
