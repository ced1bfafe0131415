"""Two ticks at 1 Hz while PostgreSQL, the feed and the first of the two are killed again and again.

PYUPC_CHAOS_SECONDS says how long, PYUPC_CHAOS_SEED repeats the order and the pauses of a run. From
five minutes on each is killed five times, else twice.
"""

from __future__ import annotations

import math
import os
import random
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from pyupc.errors import PyupcError
from tests.support.cluster import Server
from tests.support.market import rows
from tests.support.price_feed import Feed, feeding, lost
from tests.support.processes import Reader, Ticker, reading, ticking, until
from tests.support.running_tick import lost_ticks
from tests.support.status_readers import ask, becomes

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("PYUPC_CHAOS_SECONDS", "60"))
SEED = int(os.environ.get("PYUPC_CHAOS_SEED", "0")) or random.randrange(1, 10**6)
EACH = 5 if SECONDS >= 300 else 2
INTERVAL = 1.0

# In a gap of g intervals g - 0.5 ticks were due, rounded down, so that up to here it is two.
LONGEST_GAP = 3.5 * INTERVAL

STOPPED_SECONDS = 4.0

HOLDER = "SELECT holder FROM upc_data.tick_lease WHERE symbol = 'BTC'"
OPEN = """
    SELECT upc.open_trade(
        ticker => q.ticker, side => 'yes'::text, price => 0.5::numeric, count => 1::numeric,
        symbol => 'BTC'::text
    )
    FROM (
        SELECT m.ticker
        FROM upc_data.market_quote AS m
        JOIN upc_data.market_event AS e USING (symbol, event_ticker)
        WHERE m.symbol = 'BTC' AND e.closes_at > clock_timestamp()
        ORDER BY e.closes_at, m.lower
        LIMIT 1
    ) AS q
"""


@dataclass
class Trader:
    """Opens a trade every few seconds, and keeps the numbers of those that were acknowledged."""

    dsn: str
    opened: list[int] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._stop.wait(2):
            with (
                suppress(psycopg.Error, PyupcError),
                psycopg.connect(self.dsn, autocommit=True, connect_timeout=2) as conn,
            ):
                self.opened += [row[0] for row in conn.execute(OPEN).fetchall()]

    @contextmanager
    def at_work(self) -> Iterator[Trader]:
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()


@dataclass
class Chaos:
    server: Server
    feed: Feed
    reader: Reader
    live: Path
    logs: Path
    stack: ExitStack
    tickers: list[Ticker] = field(default_factory=list)
    down: list[tuple[datetime, datetime]] = field(default_factory=list)
    """Spans from each kill of PostgreSQL until it took connections again."""
    killed: list[datetime] = field(default_factory=list)
    """Times at which a process that could be in the middle of a tick was killed."""
    started: int = 0

    def start_ticker(self) -> None:
        self.started += 1
        log = self.logs / f"tick-{self.started}"
        process = ticking(self.server.dsn(), self.live, log, "--standby", interval=INTERVAL)
        self.tickers.append(self.stack.enter_context(process))

    def first(self) -> Ticker:
        """The ticking process of the two."""
        [(holder,)] = rows(self.server.dsn(), HOLDER)
        found = re.search(r":(\d+) ", holder)
        assert found is not None, holder
        [ticker] = [each for each in self.tickers if each.process.pid == int(found[1])]
        return ticker

    def kill_database(self) -> None:
        at = datetime.now(UTC)
        self.killed.append(at)
        self.server.kill()
        self.server.start()
        self.down.append((at, datetime.now(UTC)))

    def kill_feed(self) -> None:
        self.feed.kill()
        self.feed.start()

    def kill_first(self) -> None:
        first = self.first()
        self.killed.append(datetime.now(UTC))
        first.kill()
        self.tickers.remove(first)
        self.start_ticker()

    def stop_first(self) -> None:
        """It hangs for a while: the other one ticks by then, and goes on to be the only one."""
        first = self.first()
        self.killed.append(datetime.now(UTC))
        first.signal(signal.SIGSTOP)
        time.sleep(STOPPED_SECONDS)
        assert self.first() is not first
        first.signal(signal.SIGCONT)
        self.settle(5)
        assert self.first() is not first
        if not first.is_running:
            assert first.ended() == 1
            self.tickers.remove(first)
            self.start_ticker()

    def settle(self, ticks: int) -> None:
        """Wait for that many more ticks."""
        enough = self.reader.count() + ticks
        until(lambda: self.reader.count() >= enough, 20 + 2 * ticks)

    def run(self) -> None:
        """Every fault in an order and after pauses that the seed decides."""
        faults = EACH * [self.kill_database, self.kill_feed, self.kill_first] + [self.stop_first]
        chance = random.Random(SEED)
        chance.shuffle(faults)
        began = time.monotonic()
        for k, fault in enumerate(faults):
            # The standby of a moment ago has to be up before it is needed.
            self.settle(3)
            due = began + SECONDS * (k + chance.random()) / len(faults)
            until(lambda due=due: time.monotonic() >= due, SECONDS)  # type: ignore[misc]
            print(f"{datetime.now(UTC):%H:%M:%S.%f} {fault.__name__}")
            fault()
        self.settle(4)
        until(lambda: time.monotonic() >= began + SECONDS, SECONDS)


def missed(times: list[datetime]) -> int:
    """Count the ticks due in between from the times alone; half an interval late is in time."""
    gaps = [(b - a).total_seconds() / INTERVAL for a, b in pairwise(times)]
    return sum(max(0, math.floor(gap - 0.5)) for gap in gaps)


def too_long(times: list[datetime], down: list[tuple[datetime, datetime]]) -> list[str]:
    """Gaps of more than two ticks, not counting the time in which there was no PostgreSQL."""
    found, longest = [], 0.0
    for a, b in pairwise(times):
        without = sum((up - at for at, up in down if a <= up and at <= b), timedelta())
        longest = max(longest, (b - a - without).total_seconds())
        if (b - a - without).total_seconds() > LONGEST_GAP:
            found.append(f"{a} -> {b}, {without} of it without PostgreSQL")
    print(f"longest gap: {longest:.3f} s")
    return found


@pytest.mark.timeout(SECONDS + 240)
def test_nothing_is_lost_and_each_fault_costs_two_ticks_at_most(
    server: Server, tmp_path: Path
) -> None:
    print(f"PYUPC_CHAOS_SECONDS={SECONDS:g} PYUPC_CHAOS_SEED={SEED}")
    dsn, live = server.dsn(), tmp_path / "live"
    trader = Trader(dsn)
    with (
        feeding(dsn, tmp_path / "prices", "BTC", markets=True) as feed,
        reading(live) as reader,
        ExitStack() as stack,
    ):
        until(lambda: rows(dsn, "SELECT FROM upc_data.market_event") and feed.acknowledged())
        chaos = Chaos(server, feed, reader, live, tmp_path, stack)
        chaos.start_ticker()
        until(reader.count)
        chaos.start_ticker()
        with trader.at_work():
            chaos.run()
            becomes(dsn, live, healthy=True)
        for ticker in chaos.tickers:
            assert ticker.stop() == 0
    seen = reader.times
    assert [datetime.fromisoformat(text) for text in reader.ticks] == seen

    query = "SELECT ticked_at FROM upc_data.tick WHERE symbol = 'BTC' ORDER BY ticked_at"
    stored = [row[0] for row in rows(dsn, query)]
    assert lost(dsn, feed.acknowledged()) == []
    assert lost_ticks(dsn, seen) == []
    query = "SELECT trade_id FROM upc_data.trade WHERE symbol = 'BTC'"
    assert trader.opened
    assert not set(trader.opened) - {row[0] for row in rows(dsn, query)}

    # A process killed between the commit and the file has ticked, but no reader saw it.
    unseen = sorted(set(stored) - set(seen))
    moment = timedelta(seconds=0.5)
    assert all(any(abs(at - kill) < moment for kill in chaos.killed) for at in unseen), unseen

    assert too_long(seen, chaos.down) == []
    counted(dsn, sorted({*seen, *unseen}))


def counted(dsn: str, times: list[datetime]) -> None:
    """Availability is what the times say, as of the last tick and as of now."""
    query = "SELECT hour_done, hour_missed, hour_availability FROM upc.status('BTC', %s)"
    [as_of_the_last] = rows(dsn, query, times[-1])
    _, document = ask(dsn)
    [row] = [each for each in document["symbols"] if each["symbol"] == "BTC"]
    for (done, not_done, availability), at in (
        (as_of_the_last, times[-1]),
        (
            (row["hour_done"], row["hour_missed"], row["hour_availability"]),
            datetime.fromisoformat(document["timestamp"]),
        ),
    ):
        expected = missed([*times, at])
        print(f"{done} done, {not_done} missed, {availability:.3f} %")
        assert (done, not_done) == (len(times), expected)
        assert availability == pytest.approx(100 * done / (done + expected), abs=1e-9)
