"""Two hundred who read along, and one who does not: each tick reaches everybody in time."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pyupc.database.connect import connect
from tests.web.serving import Served, serving

READERS = 200
TICKS = 10
# Of a machine that others use, too, the best of a few.
ROUNDS = 3
LATE_SECONDS = 0.25
MEMORY_BYTES = 150e6

Arrivals = list[dict[int, float]]


@pytest.fixture(scope="module")
def served(market_dsn: str) -> Iterator[Served]:
    with serving(market_dsn) as found:
        yield found


async def read_along(address: str, symbol: str, arrivals: dict[int, float]) -> None:
    """Notes when each tick came in, until it is cancelled."""
    host, port = urlsplit(address).hostname, urlsplit(address).port
    reader, writer = await asyncio.open_connection(host, port, limit=1 << 20)
    try:
        request = f"GET /api/stream/{symbol} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
        writer.write(request.encode())
        while line := await reader.readline():
            if line.startswith(b"id: "):
                arrivals[int(line[4:])] = time.monotonic()
    finally:
        writer.close()


def tick(dsn: str) -> Iterator[tuple[int, float]]:
    """Ticks half a second apart: number, and when it began, which is before its commit."""
    with connect(dsn) as conn:
        while True:
            began = time.monotonic()
            query = "SELECT t.tick_id FROM upc.tick('BTC', 'simulated') AS t"
            row = conn.execute(query).fetchone()
            assert row is not None
            yield row[0], began


async def crowd(address: str, dsn: str) -> list[float]:
    """Latency of each tick to each reader, ascending, seconds."""
    arrivals: Arrivals = [{} for _ in range(READERS)]
    tasks = [asyncio.create_task(read_along(address, "BTC", each)) for each in arrivals]
    ticks = tick(dsn)
    first, _ = await asyncio.to_thread(next, ticks)
    async with asyncio.timeout(30):
        while not all(first in each for each in arrivals):
            await asyncio.sleep(0.1)
    began: dict[int, float] = {}
    for _ in range(TICKS):
        number, at = await asyncio.to_thread(next, ticks)
        began[number] = at
        await asyncio.sleep(0.5)
    await asyncio.sleep(1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return sorted(each[number] - at for each in arrivals for number, at in began.items())


def memory_of(pid: int) -> int:
    """Resident, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError


@pytest.mark.slow
def test_every_tick_reaches_every_reader(served: Served, market_dsn: str) -> None:
    host, port = urlsplit(served.address).hostname, urlsplit(served.address).port
    assert host is not None
    figures = []
    with closing(socket.create_connection((host, port or 0))) as sleeper:
        # It asks, and never takes what it gets.
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sleeper.sendall(f"GET /api/stream/BTC HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        for _ in range(ROUNDS):
            delays = asyncio.run(crowd(served.address, market_dsn))
            # Not one of them was missed, by nobody.
            assert len(delays) == READERS * TICKS
            figures.append(delays[int(0.99 * len(delays))])
            if figures[-1] < LATE_SECONDS:
                break
    memory = memory_of(served.process.pid)
    print(f"p99 {figures} s, {memory / 1e6:.0f} MB")
    assert min(figures) < LATE_SECONDS
    assert memory < MEMORY_BYTES
