"""Candles from an exchange on the loopback to a real PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

pytest.importorskip("ccxt", reason="needs the extra feeds")

from pyupc.database.connect import connect
from pyupc.exchange.answer import Candle
from pyupc.exchange.live import Exchange
from pyupc.feed.minutes import Minutes
from pyupc.feed.minutes import Times as MinuteTimes
from pyupc.feed.store import Store
from pyupc.runtime.outage import Outages
from tests.support import feed_servers
from tests.support.feed_parts import (
    NOON,
    PAIR,
    PRODUCT,
    cut,
    minute_of,
    opened,
    run,
    running,
    storing,
    until,
)
from tests.support.market import rows


class Clock:
    """A time that passes only in sleeps, up to `limit`."""

    def __init__(self, at: datetime, until: datetime) -> None:
        self.at = at
        self._until = until
        self.over = asyncio.Event()

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        if self.at >= self._until:
            self.over.set()
            await asyncio.sleep(3600)
        await asyncio.sleep(0)


async def follow(dsn: str, server: feed_servers.Exchange, at: datetime, until: datetime) -> Outages:
    """Candles from one instant to another."""
    report = Outages("pyupc.feed", time.monotonic)
    clock = Clock(at, until)
    async with opened(server) as exchange, storing(dsn, report) as store:
        minutes = Minutes(exchange, "BTC", PAIR, store, report, now=clock.now, sleep=clock.sleep)
        with running(minutes.run()):
            await asyncio.wait_for(clock.over.wait(), 20)
    return report


def stored(dsn: str) -> list[Candle]:
    query = (
        "SELECT (extract(epoch FROM opened_at) / 60)::integer, open, high, low, close, volume"
        " FROM upc_data.candle WHERE symbol = 'BTC' ORDER BY 1"
    )
    return [Candle(*row) for row in rows(dsn, query)]


def served(server: feed_servers.Exchange, first: datetime, last: datetime) -> list[Candle]:
    return [
        Candle(minute, *server.candle(PRODUCT, minute), 1.5)
        for minute in range(minute_of(first), minute_of(last) + 1)
        if minute not in server.without
    ]


def test_at_the_start_momentum_has_what_it_needs(
    fresh_db: str, server: feed_servers.Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    run(follow(fresh_db, server, NOON, NOON + timedelta(seconds=40)))
    newest = NOON - timedelta(minutes=1)
    assert stored(fresh_db) == served(server, newest - timedelta(minutes=299), newest)
    assert len([r for r in caplog.records if "backfill" in r.message]) == 1

    weights = {1: 0.30, 2: 0.25, 3: 0.20, 4: 0.15, 15: 0.05, 30: 0.05}
    price = 97_123.0
    closes = {
        # Closed by the time 10 seconds past the minute, `lag` minutes ago.
        lag: server.candle(PRODUCT, minute_of(NOON) - lag - 1)[3]
        for lag in weights
    }
    expected = 1e4 * sum(w * (price - closes[lag]) / closes[lag] for lag, w in weights.items())
    [(momentum,)] = rows(fresh_db, "SELECT momentum FROM upc.momentum('BTC', %s, %s)", NOON, price)
    assert momentum == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("age", "count"), [(timedelta(minutes=3), 35), (timedelta(minutes=90), 90)]
)
def test_what_is_missing_since_the_last_candle(
    fresh_db: str,
    server: feed_servers.Exchange,
    caplog: pytest.LogCaptureFixture,
    age: timedelta,
    count: int,
) -> None:
    newest = NOON - timedelta(minutes=1)
    with connect(fresh_db) as conn:
        conn.execute(
            "INSERT INTO upc_data.candle VALUES ('BTC', %s, 1, 1, 1, 1, 0)",
            ((newest - age).replace(second=0),),
        )
    run(follow(fresh_db, server, NOON, NOON + timedelta(seconds=40)))
    expected = served(server, newest - timedelta(minutes=count - 1), newest)
    assert [each for each in stored(fresh_db) if each.volume] == expected
    assert not [r for r in caplog.records if "backfill" in r.message]


def test_each_minute_is_stored_when_it_has_closed(
    fresh_db: str, server: feed_servers.Exchange
) -> None:
    run(follow(fresh_db, server, NOON, NOON + timedelta(minutes=3)))
    last = NOON + timedelta(minutes=2)
    assert stored(fresh_db)[-5:] == served(server, last - timedelta(minutes=4), last)
    asked = [path for _, path in server.requests if "candles" in path]
    assert len(asked) == 4


def test_a_candle_that_is_late_is_waited_for(
    fresh_db: str, server: feed_servers.Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    minute = minute_of(NOON)
    server.without = {minute, minute + 2}

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(later())
            group.create_task(
                follow(fresh_db, server, NOON, NOON + timedelta(minutes=4, seconds=30))
            )

    async def later() -> None:
        """The first is there after three requests, the second never."""
        await until(lambda: server.asked("candles") >= 4)
        server.without.discard(minute)

    run(main())
    last = NOON + timedelta(minutes=3)
    assert stored(fresh_db)[-5:] == served(server, last - timedelta(minutes=5), last)
    assert len([r for r in caplog.records if "no candle" in r.message]) == 1


def test_a_candle_that_cannot_be_is_left_out_and_named_once(
    fresh_db: str,
    server: feed_servers.Exchange,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One from the beginning on, and one that was stored before it was spoiled."""
    bad = minute_of(NOON) + 1
    run(follow(fresh_db, server, NOON, NOON + timedelta(seconds=40)))
    kept = minute_of(NOON) - 2
    right = server.candle

    def spoilt(product: str, minute: int) -> tuple[float, float, float, float]:
        opened, high, low, _ = right(product, minute)
        return (opened, high, low, high + 1) if minute in (bad, kept) else right(product, minute)

    monkeypatch.setattr(server, "candle", spoilt)
    caplog.clear()
    run(follow(fresh_db, server, NOON, NOON + timedelta(minutes=4, seconds=30)))
    monkeypatch.undo()
    last = NOON + timedelta(minutes=3)
    found = [each for each in stored(fresh_db) if each.minute >= kept]
    expected = served(server, NOON - timedelta(minutes=2), last)
    assert found == [each for each in expected if each.minute != bad]
    for minute in (bad, kept):
        name = datetime.fromtimestamp(60 * minute, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert len([r for r in caplog.records if name in r.getMessage()]) == 1
    assert not [r for r in caplog.records if "no candle" in r.getMessage()]


def test_a_candle_that_has_changed_since_is_corrected(
    fresh_db: str, server: feed_servers.Exchange
) -> None:
    run(follow(fresh_db, server, NOON, NOON + timedelta(seconds=40)))
    server.jump = 5
    run(follow(fresh_db, server, NOON, NOON + timedelta(seconds=40)))
    newest = NOON - timedelta(minutes=1)
    assert stored(fresh_db)[-35:] == served(server, newest - timedelta(minutes=34), newest)


def test_a_failing_exchange_or_database_is_asked_again(
    fresh_db: str, server: feed_servers.Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.status = 500

    async def main() -> None:
        report = Outages("pyupc.feed", time.monotonic)
        async with opened_despite(server) as exchange, storing(fresh_db, report) as store:
            times = MinuteTimes(pause=0.05)
            with running(Minutes(exchange, "BTC", PAIR, store, report, times=times).run()):
                await until(lambda: server.asked("candles") > 0)
                cut(fresh_db)
                server.status = 200
                await until(lambda: len(stored(fresh_db)) == 300)
                await until(lambda: not report.failing())

    run(main())


@asynccontextmanager
async def opened_despite(server: feed_servers.Exchange) -> AsyncIterator[Exchange]:
    status, server.status = server.status, 200
    async with opened(server) as exchange:
        server.status = status
        yield exchange


def test_one_feed_stores_the_candles_of_a_symbol(
    fresh_db: str, server: feed_servers.Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    """The other one, of another exchange, begins when the first has ended."""

    async def main() -> None:
        report = Outages("pyupc.feed", time.monotonic)
        first = Store(fresh_db, "kraken", report)
        await first.open()
        assert await first.leads("BTC")
        assert await first.leads("BTC")
        clock = Clock(NOON, NOON + timedelta(days=300))
        async with opened(server) as exchange, storing(fresh_db, report) as store:
            assert not await store.leads("BTC")
            minutes = Minutes(
                exchange, "BTC", PAIR, store, report, now=clock.now, sleep=clock.sleep
            )
            with running(minutes.run()):
                await until(lambda: clock.at > NOON + timedelta(minutes=2))
                assert stored(fresh_db) == []
                await first.close()
                await until(lambda: stored(fresh_db))

    run(main())
    assert len([r for r in caplog.records if "another feed" in r.message]) == 1
