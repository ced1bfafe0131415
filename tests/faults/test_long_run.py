"""Many rounds in a row, fast: every one is done or counted, and no memory is kept.

PYUPC_LONG_ROUNDS says how many, 3600 being as many as an hour has seconds, PYUPC_LONG_INTERVAL how
many seconds apart.
"""

from __future__ import annotations

import math
import os
import re
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.cluster import Server
from tests.support.market import rows
from tests.support.price_feed import feeding
from tests.support.processes import Reader, Ticker, reading, ticking, until
from tests.support.running_tick import lost_ticks

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("PYUPC_LONG_ROUNDS", "1200"))
INTERVAL = float(os.environ.get("PYUPC_LONG_INTERVAL", "0.02"))

# The first minute's worth: by then everything is imported, prepared and connected.
WARM = 60
GROWTH_KB = 1024

# Of a round: how far the times of question and tick may be apart.
UNSURE = 0.25


def resident(pid: int) -> int:
    """Kilobytes."""
    [line] = [
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    ]
    return int(line.split()[1])


def await_more(reader: Reader, tick: Ticker) -> None:
    enough = reader.count() + 100
    until(lambda: reader.count() > enough or not tick.is_running)


@pytest.mark.timeout(60 + 3 * ROUNDS * INTERVAL)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc here")
def test_many_rounds(server: Server, tmp_path: Path) -> None:
    dsn, live = server.dsn(), tmp_path / "live"
    sizes = []
    with (
        feeding(dsn, tmp_path / "prices", "BTC", markets=True) as feed,
        reading(live) as reader,
    ):
        until(lambda: rows(dsn, "SELECT FROM upc_data.market_event") and feed.acknowledged())
        options = ("--count", str(ROUNDS))
        with ticking(dsn, live, tmp_path / "log", *options, interval=INTERVAL) as tick:
            until(lambda: reader.count() >= WARM)
            while tick.is_running:
                # It may end at any moment.
                with suppress(ValueError, OSError):
                    sizes.append(resident(tick.process.pid))
                await_more(reader, tick)
            assert tick.ended() == 0
            totals = re.search(r"ended after (\d+) ticks, (\d+) missed", tick.lines[-1][1])
        assert tick.problems == []
    assert totals is not None
    query = "SELECT ticked_at FROM upc_data.tick WHERE symbol = 'BTC' ORDER BY ticked_at"
    stored = [row[0] for row in rows(dsn, query)]
    missed = int(totals[2])
    print(f"{len(stored)} ticks, {missed} missed, {sizes[0]} -> {max(sizes)} kB of memory")
    assert len(stored) == int(totals[1]) == ROUNDS
    assert lost_ticks(dsn, reader.times) == []
    # The grid of the rounds: how far the last one is from the first says how many there were. Of
    # two that are close together one began late.
    rounds = (stored[-1] - stored[0]).total_seconds() / INTERVAL + 1
    assert rounds == pytest.approx(ROUNDS + missed, abs=1)
    assert max(sizes) - sizes[0] < GROWTH_KB

    query = "SELECT hour_done, hour_missed FROM upc.status('BTC', %s)"
    [(done, not_done)] = rows(dsn, query, stored[-1])
    gaps = [(b - a).total_seconds() / INTERVAL for a, b in pairwise(stored)]
    print(f"{not_done} missed by the status, longest gap {max(gaps):.2f} rounds")
    assert done == ROUNDS
    # The process measures the gap too, from question to question, and the shorter one counts: at
    # this pace a few milliseconds are a good part of a round.
    assert due(gaps, 0.5 + UNSURE) <= not_done <= due(gaps, 0.5)


def due(gaps: list[float], grace: float) -> int:
    """Count the rounds due in between; one late by less than `grace` is in time."""
    return sum(max(0, math.floor(gap - grace)) for gap in gaps)
