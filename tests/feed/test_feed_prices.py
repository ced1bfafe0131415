"""Prices from an exchange on the loopback to a real PostgreSQL, whatever either does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

pytest.importorskip("ccxt", reason="needs the extra feeds")

from pyupc.feed.prices import Flow, Prices
from pyupc.feed.prices import Times as PriceTimes
from pyupc.runtime.outage import MOST_LINES, Outages
from tests.support import feed_servers
from tests.support.feed_parts import (
    PAIR,
    PRODUCT,
    opened,
    run,
    running,
    storing,
    until,
)
from tests.support.market import rows

QUICK = PriceTimes(interval=0.2, gap=0.01, silence=0.5)


def logged(dsn: str) -> list[tuple[float, datetime, datetime]]:
    query = "SELECT price, received_at, exchange_at FROM upc_data.price ORDER BY received_at"
    return rows(dsn, query)


@asynccontextmanager
async def pricing(
    dsn: str, server: feed_servers.Exchange, times: PriceTimes = QUICK
) -> AsyncIterator[Outages]:
    report = Outages("pyupc.feed", time.monotonic)
    async with opened(server) as exchange, storing(dsn, report) as store:
        with running(Prices(exchange, "BTC", PAIR, store, report, Flow(), times=times).run()):
            yield report


def test_prices_flow_through_the_websocket(fresh_db: str, server: feed_servers.Exchange) -> None:
    # Long enough that a busy machine is no silence.
    patient = PriceTimes(interval=0.2, gap=0.01, silence=30)

    async def main() -> None:
        async with pricing(fresh_db, server, patient):
            await until(lambda: len(logged(fresh_db)) > 20)
            began, asked = time.monotonic(), server.asked("ticker")
            await until(lambda: len(logged(fresh_db)) > 120)
            passed = time.monotonic() - began
            assert server.websockets == 1
            # While it speaks nobody has to be asked, unless the machine stands still for a moment.
            assert server.asked("ticker") - asked < 0.5 * passed / patient.interval

    run(main())
    for price, received_at, exchange_at in logged(fresh_db):
        assert timedelta(0) <= received_at - exchange_at < timedelta(seconds=5)
        assert price == pytest.approx(server.price(PRODUCT, exchange_at.timestamp()), abs=1)


def test_a_silent_websocket_is_asked_and_then_replaced(
    fresh_db: str, server: feed_servers.Exchange
) -> None:
    async def main() -> None:
        async with pricing(fresh_db, server):
            await until(lambda: len(logged(fresh_db)) > 4)
            server.is_silent = True
            await until(lambda: server.websockets > 1)
            server.is_silent = False
            before = len(logged(fresh_db))
            await until(lambda: len(logged(fresh_db)) > before + 20)

    run(main())
    received = [row[1] for row in logged(fresh_db)]
    gaps = [(b - a).total_seconds() for a, b in pairwise(received)]
    assert max(gaps) < 1


def test_a_closed_websocket_is_opened_again(
    fresh_db: str, server: feed_servers.Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang_up(number: int) -> None:
        before = len(logged(fresh_db))
        await until(lambda: server.websockets == number and len(logged(fresh_db)) > before)
        await asyncio.to_thread(server.close_sockets)

    async def main() -> None:
        async with pricing(fresh_db, server) as report:
            await hang_up(1)
            await hang_up(2)
            await until(lambda: server.websockets == 3)
            await until(lambda: not report.failing())

    run(main())
    # Unless it happens between two prices, the failure is logged, for each way in which it may be
    # noticed and within the limit of lines for a subject, and so is the recovery.
    lines = [r.message for r in caplog.records if r.name == "pyupc.feed"]
    assert sum("back after" not in line for line in lines) <= MOST_LINES
    assert not lines or "back after" in lines[-1]


def test_without_a_websocket_there_is_a_request_an_interval(
    fresh_db: str, server: feed_servers.Exchange
) -> None:
    server.is_mute = True

    async def main() -> None:
        async with pricing(fresh_db, server):
            await until(lambda: len(logged(fresh_db)) > 8)

    run(main())
    received = [row[1] for row in logged(fresh_db)]
    average = (received[-1] - received[0]).total_seconds() / (len(received) - 1)
    assert 0.9 * QUICK.interval < average < 2 * QUICK.interval


def test_too_many_requests_make_it_slower(
    fresh_db: str, server: feed_servers.Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    server.is_mute = True

    async def main() -> None:
        async with pricing(fresh_db, server):
            await until(lambda: len(logged(fresh_db)) > 2)
            server.status = 429
            asked = server.asked("ticker")
            await until(lambda: server.asked("ticker") > asked)
            server.status = 200
            before = len(logged(fresh_db))
            await until(lambda: len(logged(fresh_db)) >= before + 4)

    run(main())
    times = [at for at, path in server.requests if "ticker" in path]
    pauses = [b - a for a, b in pairwise(times)]
    # Together, since a request that is late makes the next pause shorter.
    assert sum(pauses[-3:]) > 3 * 1.5 * QUICK.interval
    assert max(pauses) > 0.9
    assert len([r for r in caplog.records if "too many requests" in r.message]) == 1


def test_a_missing_price_is_skipped_and_logged_once(
    fresh_db: str, server: feed_servers.Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with pricing(fresh_db, server):
            await until(lambda: logged(fresh_db))
            server.price_text = ""
            # Messages under way still arrive.
            await asyncio.sleep(1)
            before = len(logged(fresh_db))
            await asyncio.sleep(0.5)
            assert len(logged(fresh_db)) == before
            server.price_text = None
            await until(lambda: len(logged(fresh_db)) > before)
            await until(lambda: any("back after" in r.message for r in caplog.records))

    run(main())
    lines = [r.message for r in caplog.records if r.message.startswith("coinbase BTC: ")]
    assert len(lines) in (2, 4)
    assert "back after" in lines[-1]


def test_what_comes_out_of_order_is_left_out(fresh_db: str, server: feed_servers.Exchange) -> None:
    server.lag = 0.4

    async def main() -> None:
        async with pricing(fresh_db, server):
            await until(lambda: len(logged(fresh_db)) > 20)

    run(main())
    price_times = [row[2] for row in logged(fresh_db)]
    assert price_times == sorted(price_times)


def test_a_jump_is_a_price_like_any_other(fresh_db: str, server: feed_servers.Exchange) -> None:
    async def main() -> None:
        async with pricing(fresh_db, server):
            await until(lambda: logged(fresh_db))
            server.jump = -30_000
            await until(lambda: logged(fresh_db)[-1][0] < 68_000)

    run(main())
