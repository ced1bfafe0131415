"""Results of events that have closed: read until they are there, also after a restart."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from pyupc.database.connect import connect
from pyupc.errors import PyupcError
from pyupc.feed.results import Times, follow_results
from pyupc.feed.store import Store
from pyupc.kalshi.api import Kalshi
from pyupc.runtime.outage import Outages
from tests.support.kalshi_scene import GOOD, HOUR, NOON, OutageLog, Scene, hour, play, run
from tests.support.kalshi_server import Exchange, Listed, Reply, Request, Server, json_reply
from tests.support.market import rows

QUICK = Times(look_every=0.02, apart=0.005, soonest=0.05, latest=0.1)
RARE = Times(look_every=0.02, apart=0.005, soonest=60, latest=60)

CLOSED = [hour(k) for k in (1, 2, 3)]
AFTER = NOON + 4 * HOUR


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("PYUPC_KALSHI_URL", raising=False)


@pytest.fixture
def outage_log(caplog: pytest.LogCaptureFixture) -> OutageLog:
    return OutageLog(caplog)


def finish(event: Listed, result: str = "yes") -> None:
    for each in event.markets:
        each |= {"result": result, "status": "finalized"}


def wanted(*events: Listed) -> dict[str, datetime]:
    return {event.ticker: event.closes_at for event in events}


@pytest.mark.parametrize(
    ("closed_for", "expected"),
    [(0, 30), (300, 30), (600, 60), (3600, 360), (9000, 900), (1e9, 900), (-5, 30)],
)
def test_an_event_is_read_again_after_a_tenth_of_the_time(
    closed_for: float, expected: float
) -> None:
    assert Times().again_after(closed_for) == expected


def test_events_are_read_until_they_have_results(outage_log: OutageLog) -> None:
    events = [hour(k) for k in (1, 2, 3)]

    async def steps(scene: Scene) -> None:
        def reads() -> list[int]:
            return [scene.server.paths().count(f"/events/{event.ticker}") for event in events]

        scene.store.closed = wanted(*events)
        working = scene.settle(QUICK)
        await scene.store.until(lambda: min(reads()) >= 2)
        finish(events[0])
        # Some of the results are not all of them.
        events[1].markets[0] |= {"result": "no"}
        await scene.store.until(lambda: scene.store.results[events[0].ticker] == ["yes"] * 3)
        first, *others = reads()
        await scene.store.until(
            lambda: all(b >= a + 3 for a, b in zip(others, reads()[1:], strict=True))
        )
        assert reads()[0] == first
        scene.stop.set()
        await working

    play(AFTER, events, steps, outage_log)
    assert outage_log.lines() == []


def test_reads_are_apart_and_do_not_come_again_too_soon(outage_log: OutageLog) -> None:
    times = Times(look_every=0.01, apart=0.1, soonest=60, latest=60)
    began: list[float] = []

    def note(request: Request) -> None:
        began.append(time.monotonic())

    async def steps(scene: Scene) -> None:
        scene.exchange.before = note
        scene.store.closed = wanted(*CLOSED)
        working = scene.settle(times)
        await scene.store.until(lambda: len(began) == 3)
        asks = scene.store.asks
        await scene.store.until(lambda: scene.store.asks >= asks + 10)
        scene.stop.set()
        await working

    play(AFTER, CLOSED, steps, outage_log)
    assert len(began) == 3
    assert all(b - a > 0.09 for a, b in itertools.pairwise(began))


def test_an_event_that_closes_later_is_read_too(outage_log: OutageLog) -> None:
    async def steps(scene: Scene) -> None:
        working = scene.settle(RARE)
        await scene.store.until(lambda: scene.store.asks >= 3)
        assert scene.server.requests == []
        scene.store.closed = wanted(CLOSED[0])
        await scene.store.until(lambda: scene.store.events() == [CLOSED[0].ticker])
        scene.stop.set()
        await working
        assert scene.store.rows[0][2] >= AFTER

    play(AFTER, CLOSED, steps, outage_log)


@pytest.mark.parametrize("is_refused", [False, True], ids=["unknown", "refused"])
def test_a_problem_of_one_event_is_logged_once(outage_log: OutageLog, is_refused: bool) -> None:
    """The problem of one event does not hold up the others."""

    async def steps(scene: Scene) -> None:
        def refuses(count: int) -> None:
            if is_refused and scene.server.paths()[-1].endswith(CLOSED[0].ticker):
                raise PyupcError("it is not as Kalshi writes it")

        scene.store.refuses = refuses
        scene.store.closed = wanted(*CLOSED)
        working = scene.settle(QUICK)
        path = f"/events/{CLOSED[0].ticker}"
        await scene.store.until(lambda: scene.server.paths().count(path) >= 4)
        scene.stop.set()
        await working
        assert {event for _, event, _ in scene.store.rows} == {e.ticker for e in CLOSED[1:]}

    play(AFTER, CLOSED if is_refused else CLOSED[1:], steps, outage_log)
    [(level, line)] = outage_log.lines()
    assert level == "WARNING"
    assert CLOSED[0].ticker in line
    assert ("not as Kalshi" if is_refused else "404") in line


@pytest.mark.parametrize(
    "reply", [Reply(GOOD, status=429), Reply(GOOD, status=500), Reply(is_dropped=True)]
)
def test_a_kalshi_that_fails_has_a_rest(outage_log: OutageLog, reply: Reply) -> None:
    """One request per look and nothing logged: the follower of the open event logs failures."""

    async def steps(scene: Scene) -> None:
        scene.exchange.before = lambda request: reply
        scene.store.closed = wanted(*CLOSED)
        working = scene.settle(QUICK)
        await scene.store.until(lambda: scene.store.asks >= 10)
        assert 4 <= len(scene.server.requests) <= scene.store.asks
        scene.exchange.before = lambda request: None
        await scene.store.until(lambda: len(scene.store.events()) >= 3)
        scene.stop.set()
        await working

    play(AFTER, CLOSED, steps, outage_log)
    assert outage_log.lines() == []


def test_an_event_that_cannot_be_read_does_not_hold_up_the_others(outage_log: OutageLog) -> None:
    async def steps(scene: Scene) -> None:
        bad = Reply(b"<html>", status=500)
        scene.exchange.before = lambda r: bad if r.path.endswith(CLOSED[0].ticker) else None
        scene.store.closed = wanted(*CLOSED)
        working = scene.settle(QUICK)
        await scene.store.until(
            lambda: {e for _, e, _ in scene.store.rows} == set(wanted(*CLOSED[1:]))
        )
        scene.stop.set()
        await working

    play(AFTER, CLOSED, steps, outage_log)


def test_a_refusing_database_is_logged_and_asked_again(
    outage_log: OutageLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def steps(scene: Scene) -> None:
        scene.store.closed = wanted(CLOSED[0])
        ask = scene.store.unsettled

        async def unsettled(symbol: str, at: datetime) -> list[tuple[str, datetime]]:
            found = await ask(symbol, at)
            if scene.store.asks < 4:
                raise PyupcError("permission denied")
            return found

        monkeypatch.setattr(scene.store, "unsettled", unsettled)
        working = scene.settle(QUICK)
        await scene.store.until(lambda: bool(scene.store.rows))
        scene.stop.set()
        await working

    play(AFTER, CLOSED, steps, outage_log)
    assert [(level, "denied" in line) for level, line in outage_log.lines()] == [
        ("ERROR", True),
        ("WARNING", False),
    ]


@pytest.mark.parametrize("times", [QUICK, Times()], ids=["a request", "a pause"])
def test_the_end_waits_for_nothing(outage_log: OutageLog, times: Times) -> None:
    async def steps(scene: Scene) -> None:
        if times is QUICK:
            held = Reply(GOOD, held=asyncio.Event())
            scene.exchange.before = lambda request: held
        scene.store.closed = wanted(*CLOSED)
        working = scene.settle(times)
        await scene.store.until(lambda: len(scene.server.requests) == 1)
        began = time.monotonic()
        scene.stop.set()
        await working
        assert time.monotonic() - began < 1.5

    play(AFTER, CLOSED, steps, outage_log)


# With the database behind it


async def settle(dsn: str, server: Server, now: datetime, until: Callable[[], object]) -> None:
    """A feed of its own, as after a start, until the condition holds."""
    report = Outages("pyupc.feed", time.monotonic)
    store = Store(dsn, "coinbase", report)
    await store.open()
    stop = asyncio.Event()
    async with Kalshi(server.url, now=lambda: now) as client:
        work = follow_results(client, "BTC", store, report, stop, lambda: now, times=QUICK)
        working = asyncio.create_task(work)
        keeper = asyncio.create_task(store.keep())
        while not until():
            assert not working.done()
            await asyncio.sleep(0.01)
        stop.set()
        await working
        keeper.cancel()
        await asyncio.wait([keeper])
    await store.close()


def results(dsn: str) -> list[tuple[Any, ...]]:
    return rows(dsn, "SELECT event_ticker, result FROM upc_data.market_quote ORDER BY ticker")


def prepare(dsn: str, *events: Listed) -> None:
    with connect(dsn) as conn:
        for event in events:
            document = json_reply({"event": {**event.document(), "markets": event.markets}}).body
            conn.execute(
                "SELECT upc.load_market(%s::jsonb, 'BTC', %s)",
                (document.decode(), event.closes_at - timedelta(minutes=1)),
            )


def test_the_trades_of_a_feed_that_has_ended_settle(
    fresh_db: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Days later; a trade of an event that is forgotten is held as it is."""
    held, free, lost = (hour(k, strikes=1) for k in (1, 2, 3))
    prepare(fresh_db, held, free, lost)
    with connect(fresh_db) as conn:
        for event, side in ((held, "yes"), (held, "no"), (lost, "yes")):
            conn.execute(
                "SELECT upc.open_trade(%s, %s, 0.4, 10, at => %s)",
                (event.markets[0]["ticker"], side, NOON),
            )
    finish(held, "no")
    finish(free, "no")
    now = NOON + timedelta(days=3)

    async def test() -> None:
        async with Server(Exchange([held, free], lambda: now)) as server:
            await settle(
                fresh_db,
                server,
                now,
                lambda: (
                    results(fresh_db)[0] == (held.ticker, "no")
                    and server.paths().count(f"/events/{lost.ticker}") >= 3
                ),
            )
            assert f"/events/{free.ticker}" not in server.paths()

    with caplog.at_level(logging.INFO, "pyupc.feed"):
        run(test)
    assert len([r for r in caplog.records if lost.ticker in r.getMessage()]) == 1
    assert len([r for r in caplog.records if held.ticker in r.getMessage()]) == 1
    assert results(fresh_db) == [(held.ticker, "no"), (free.ticker, None), (lost.ticker, None)]
    with connect(fresh_db) as conn:
        conn.execute("SELECT upc._settle_trades('BTC', %s)", (now,))
    assert rows(
        fresh_db, "SELECT side, status, end_price, result FROM upc_data.trade ORDER BY trade_id"
    ) == [("yes", "settled", 0, "no"), ("no", "settled", 1, "no"), ("yes", "open", None, None)]


def test_a_connection_that_is_lost_is_waited_for(fresh_db: str) -> None:
    event = hour(1, strikes=1)
    prepare(fresh_db, event)
    now = NOON + 2 * HOUR
    cut = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'pyupc feed'"
    )

    async def test() -> None:
        async with Server(Exchange([event], lambda: now)) as server:
            task = asyncio.create_task(
                settle(fresh_db, server, now, lambda: results(fresh_db) == [(event.ticker, "yes")])
            )
            while not server.requests:
                await asyncio.sleep(0.01)
            assert rows(fresh_db, cut) == [(1,)]
            finish(event)
            await task

    run(test)
    assert results(fresh_db) == [(event.ticker, "yes")]
