"""The feed's parts: ccxt's client of an exchange on the loopback, a real PostgreSQL behind it."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner

pytest.importorskip("ccxt", reason="needs the extra feeds")

from pyupc.candles.answer import Candle
from pyupc.cli import main as cli
from pyupc.database.connect import connect
from pyupc.errors import DatabaseUnreachable, PyupcError, SchemaOutOfDate
from pyupc.feed import exchange as exchange_module
from pyupc.feed.builds import build_once, next_build
from pyupc.feed.exchange import Exchange, ExchangeProblem
from pyupc.feed.minutes import Minutes
from pyupc.feed.minutes import Times as MinuteTimes
from pyupc.feed.one_exchange import exchange_ids, require_exchange
from pyupc.feed.prices import Flow, Prices
from pyupc.feed.prices import Times as PriceTimes
from pyupc.feed.report import Report
from pyupc.feed.store import Lost, Store
from tests.python import feed_servers
from tests.python.feed_servers import serving
from tests.python.market import REPOSITORY, fill, rows

T = TypeVar("T")

PAIR = "BTC/USD"
PRODUCT = "BTC-USD"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = datetime(2024, 3, 5, 12, 0, 10, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[feed_servers.Exchange]:
    with serving(feed_servers.Exchange(interval=0.02)) as exchange:
        yield exchange


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@asynccontextmanager
async def opened(server: feed_servers.Exchange) -> AsyncIterator[Exchange]:
    """A client that knows its pairs."""
    exchange = Exchange("coinbase", server.url)
    try:
        assert await exchange.pairs({"BTC": PAIR}) == {"BTC": PAIR}
        yield exchange
    finally:
        await exchange.close()


@asynccontextmanager
async def storing(dsn: str, report: Report | None = None) -> AsyncIterator[Store]:
    store = Store(dsn, "coinbase", report or Report(time.monotonic))
    await store.open()
    keeper = asyncio.ensure_future(store.keep())
    try:
        await store.take(["BTC"])
        yield store
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])
        await store.close()


@contextmanager
def running(work: Coroutine[Any, Any, object]) -> Iterator[asyncio.Future[object]]:
    """Under way until the end of the block; it must not have failed by then."""
    task = asyncio.ensure_future(work)
    try:
        yield task
        assert not task.done() or task.exception() is None
    finally:
        task.cancel()


async def until(condition: Callable[[], object], seconds: float = 15) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        await asyncio.sleep(0.01)
    return time.monotonic() - began


def run(main: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(main)


def minute_of(at: datetime) -> int:
    return int((at - EPOCH).total_seconds() // 60)


# The client.


def test_a_price_is_that_of_the_last_trade(server: feed_servers.Exchange) -> None:
    async def main() -> None:
        async with opened(server) as exchange:
            for quote in (await exchange.ask(PAIR), await exchange.watch(PAIR)):
                assert quote.at is not None
                assert abs(datetime.now(UTC) - quote.at) < timedelta(seconds=1)
                # Nothing that lies between the bid of 1 and the ask of 999,999.
                near = [server.price(PRODUCT, quote.at.timestamp() + k / 20) for k in (-1, 0, 1)]
                assert quote.price == pytest.approx(near[1], abs=2)
                assert exchange.has_websocket

    run(main())


@pytest.mark.parametrize("told", ["", "0", "-3", "NaN", "tea", "1e400"])
def test_what_is_no_price_is_none(server: feed_servers.Exchange, told: str) -> None:
    async def main() -> None:
        async with opened(server) as exchange:
            server.told = told
            assert (await exchange.ask(PAIR)).price is None
            assert (await exchange.watch(PAIR)).price is None

    run(main())


@pytest.mark.parametrize("status", [429, 500, 503, 403])
def test_refusals_are_problems_that_may_pass(server: feed_servers.Exchange, status: int) -> None:
    async def main() -> None:
        async with opened(server) as exchange:
            server.status = status
            for ask in (exchange.ask(PAIR), exchange.candles(PAIR, NOON, 3)):
                with pytest.raises(ExchangeProblem) as caught:
                    await ask
                assert caught.value.is_limit is (status == 429)
            server.status = 200
            assert (await exchange.ask(PAIR)).price is not None

    run(main())


def test_half_an_answer_is_no_answer(server: feed_servers.Exchange) -> None:
    async def main() -> None:
        async with opened(server) as exchange:
            server.is_cut = True
            for ask in (exchange.ask(PAIR), exchange.candles(PAIR, NOON, 3)):
                with pytest.raises(ExchangeProblem):
                    await ask

    run(main())


def test_a_slow_exchange_is_given_up(
    server: feed_servers.Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_module, "REQUEST_SECONDS", 0.3)

    async def main() -> None:
        async with opened(server) as exchange:
            server.delay = 2
            began = time.monotonic()
            with pytest.raises(ExchangeProblem):
                await exchange.ask(PAIR)
            assert time.monotonic() - began < 1

    run(main())


def test_an_exchange_that_is_not_there_is_a_problem() -> None:
    async def main() -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
        exchange = Exchange("coinbase", url)
        with pytest.raises(ExchangeProblem):
            await exchange.pairs({"BTC": PAIR})
        await exchange.close()

    run(main())


def test_candles_are_those_of_the_exchange(server: feed_servers.Exchange) -> None:
    first = minute_of(NOON)

    async def main() -> list[Candle]:
        async with opened(server) as exchange:
            server.without = {first + 3}
            answer = await exchange.candles(PAIR, NOON.replace(second=0), 10)
            assert not answer.refused
            return answer.candles

    found = [candle for candle in run(main()) if candle.minute < first + 10]
    minutes = [first + k for k in range(10) if k != 3]
    assert found == [Candle(m, *server.candle(PRODUCT, m), 1.5) for m in minutes]


@pytest.mark.parametrize(
    ("products", "pair"),
    [
        (["BTC-USD", "BTC-USDT"], "BTC/USD"),
        (["BTC-USDC", "BTC-USDT", "ETH-USD"], "BTC/USDT"),
        (["BTC-USDC", "BTC-EUR"], "BTC/USDC"),
        (["BTC-EUR", "ETH-USD"], None),
    ],
)
def test_a_pair_in_another_dollar_will_do(
    server: feed_servers.Exchange, products: list[str], pair: str | None
) -> None:
    server.products = dict.fromkeys(products, 97_000.0)

    async def main() -> dict[str, str]:
        exchange = Exchange("coinbase", server.url)
        try:
            return await exchange.pairs({"BTC": PAIR, "XYZ": None})
        finally:
            await exchange.close()

    assert run(main()) == ({"BTC": pair} if pair else {})


@pytest.mark.parametrize("ahead", [0, 30, -12.5])
def test_the_clock_of_the_exchange(server: feed_servers.Exchange, ahead: float) -> None:
    server.ahead = ahead

    async def main() -> None:
        async with opened(server) as exchange:
            assert exchange.skew.seconds == pytest.approx(ahead, abs=0.75)
            late = datetime.now(UTC) + timedelta(seconds=ahead) - exchange.now()
            # Never later than it is, so that no minute is taken for closed too early.
            assert timedelta(0) <= late < timedelta(seconds=2)

    run(main())


def test_without_ccxt_knowing_it_there_is_no_exchange() -> None:
    assert {"coinbase", "kraken", "binance"} <= set(exchange_ids())
    with pytest.raises(PyupcError) as caught:
        require_exchange("coinbas")
    assert "coinbase" in str(caught.value.hint)


@pytest.mark.parametrize(
    "arguments", [["feed"], ["tick", "--feed", "coinbase"], ["demo", "--source", "coinbase"]]
)
def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ccxt", None)
    result = CliRunner().invoke(cli, arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "pip install 'pyupc[feeds]'" in result.stderr


@pytest.mark.parametrize("name", ["coinbase", "binanceus", "independentreserve", "zaif"])
def test_an_exchange_is_loaded_without_the_others(name: str) -> None:
    """With websockets and without, and one that is made from another."""
    program = (
        "import sys\n"
        "from pyupc.feed.one_exchange import exchange_class\n"
        "exchange = exchange_class(sys.argv[1])({})\n"
        "from ccxt.base.errors import NetworkError\n"
        "import ccxt\n"
        "assert exchange.id == sys.argv[1] and ccxt.NetworkError is NetworkError\n"
        "print(sum(name.startswith('ccxt.abstract.') for name in sys.modules))\n"
    )
    command = [sys.executable, "-c", program, name]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 2


# The store.


def test_what_is_stored(fresh_db: str) -> None:
    at = NOON - timedelta(seconds=1)

    async def main() -> None:
        async with storing(fresh_db) as store:
            assert await store.symbols() == {
                "BTC": (PAIR, "KXBTCD"),
                "ETH": ("ETH/USD", "KXETHD"),
            }
            assert await store.price("BTC", 97_000.5, at, NOON)
            assert not await store.price("BTC", 1, at - timedelta(seconds=1), NOON)
            assert await store.last_candle("BTC") is None
            candles = [Candle(minute_of(NOON) + k, 2, 4, 1, 3, 0.5) for k in (0, 1)]
            assert await store.candles("BTC", candles) == 2
            assert await store.candles("BTC", candles) == 0
            assert await store.candles("BTC", []) == 0
            assert await store.last_candle("BTC") == NOON.replace(minute=1, second=0)
            document = (
                '{"event": {"event_ticker": "E", "series_ticker": "KXBTCD", "markets": ['
                '{"ticker": "T", "close_time": "2024-03-05T13:00:00Z", "strike_type": "greater",'
                ' "floor_strike": 96999.99, "yes_ask_dollars": "0.5600"}]}}'
            )
            assert await store.market("BTC", document, NOON)
            for wrong in (
                store.price("BTC", -1, None, NOON),
                store.candles("BTC", [Candle(5, 1, 1, 2, 1, 1)]),
                store.market("BTC", "{}", NOON),
            ):
                with pytest.raises(PyupcError):
                    await wrong
            assert await store.price("BTC", 97_001, None, NOON + timedelta(seconds=1))

    run(main())
    assert rows(fresh_db, "SELECT * FROM upc_data.price ORDER BY received_at") == [
        ("BTC", "coinbase", NOON, 97_000.5, at),
        ("BTC", "coinbase", NOON + timedelta(seconds=1), 97_001.0, None),
    ]


def cut(dsn: str) -> None:
    [(is_cut,)] = rows(
        dsn,
        "SELECT bool_and(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'pyupc feed'",
    )
    assert is_cut


def test_a_lost_connection_is_made_again(fresh_db: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with storing(fresh_db) as store:
            cut(fresh_db)
            # A price that cannot be written now is dropped; a candle is not forgotten.
            assert not await store.price("BTC", 1, None, NOON)
            with pytest.raises(Lost):
                await store.candles("BTC", [Candle(5, 1, 1, 1, 1, 1)])
            await until(lambda: is_fed(fresh_db))
            assert await store.price("BTC", 2, None, NOON)

    run(main())
    assert len([r for r in caplog.records if r.message.startswith("database: ")]) == 2
    assert not is_fed(fresh_db)


def is_fed(dsn: str) -> bool:
    return bool(rows(dsn, "SELECT upc.is_fed('BTC', 'coinbase')")[0][0])


def test_a_second_feed_is_refused(fresh_db: str) -> None:
    async def main() -> None:
        async with storing(fresh_db):
            with pytest.raises(PyupcError):
                async with storing(fresh_db):
                    pytest.fail("it may not begin")

    run(main())


def test_a_database_of_another_schema_ends_it(fresh_db: str, empty_db: str) -> None:
    async def main() -> None:
        async with storing(fresh_db) as store:
            with connect(fresh_db) as conn:
                conn.execute("UPDATE upc_data.alembic_version SET version_num = '0001'")
            cut(fresh_db)
            assert not await store.price("BTC", 1, None, NOON)
            with pytest.raises(SchemaOutOfDate):
                await asyncio.wait_for(store.keep(), 10)

    run(main())
    for dsn, error in ((empty_db, SchemaOutOfDate), ("host=/nowhere", DatabaseUnreachable)):
        with pytest.raises(error):
            run(Store(dsn, "coinbase", Report(time.monotonic)).open())


def test_a_server_that_hangs_is_given_up(fresh_db: str) -> None:
    async def main() -> None:
        report = Report(time.monotonic)
        store = Store(fresh_db, "coinbase", report, limit=0.2)
        await store.open()
        with connect(fresh_db, autocommit=False) as conn:
            conn.execute("LOCK TABLE upc_data.price")
            began = time.monotonic()
            with pytest.raises(PyupcError):
                await store.price("BTC", 1, None, NOON)
            assert time.monotonic() - began < 2
        assert await store.price("BTC", 1, None, NOON)
        # Without the server's own limit, as if it did not answer at all.
        await store._ask("SELECT set_config('statement_timeout', '0', false)")
        store._limit = -1.8
        with pytest.raises(Lost):
            await store._ask("SELECT pg_sleep(20)")
        await store.close()

    run(main())


# Prices.

QUICK = PriceTimes(interval=0.2, gap=0.01, silence=0.5)


def logged(dsn: str) -> list[tuple[float, datetime, datetime]]:
    query = "SELECT price, received_at, exchange_at FROM upc_data.price ORDER BY received_at"
    return rows(dsn, query)


@asynccontextmanager
async def pricing(
    dsn: str, server: feed_servers.Exchange, times: PriceTimes = QUICK
) -> AsyncIterator[Report]:
    report = Report(time.monotonic)
    async with opened(server) as exchange, storing(dsn, report) as store:
        with running(Prices(exchange, "BTC", PAIR, store, report, Flow(), times=times).run()):
            yield report


def test_prices_flow_through_the_websocket(fresh_db: str, server: feed_servers.Exchange) -> None:
    async def main() -> None:
        async with pricing(fresh_db, server):
            await until(lambda: len(logged(fresh_db)) > 20)
            assert server.websockets == 1
            asked = server.asked("ticker")
            await until(lambda: len(logged(fresh_db)) > 60)
            # While it speaks nobody has to be asked.
            assert server.asked("ticker") == asked

    run(main())
    for price, received_at, exchange_at in logged(fresh_db):
        assert timedelta(0) <= received_at - exchange_at < timedelta(seconds=1)
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
    # Unless it happens between two prices, it is told that it has failed, once for each way in
    # which it may be noticed, and that it is back.
    lines = [r.message for r in caplog.records if r.name == "pyupc.feed"]
    assert len(lines) <= 6
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
    assert min(pauses[-3:]) > 1.7 * QUICK.interval
    assert max(pauses) > 0.9
    assert len([r for r in caplog.records if "too many requests" in r.message]) == 1


def test_a_missing_price_is_skipped_and_told_once(
    fresh_db: str, server: feed_servers.Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with pricing(fresh_db, server):
            await until(lambda: logged(fresh_db))
            server.told = ""
            # What is on its way still comes in.
            await asyncio.sleep(1)
            before = len(logged(fresh_db))
            await asyncio.sleep(0.5)
            assert len(logged(fresh_db)) == before
            server.told = None
            await until(lambda: len(logged(fresh_db)) > before)

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
    told = [row[2] for row in logged(fresh_db)]
    assert told == sorted(told)


def test_a_jump_is_a_price_like_any_other(fresh_db: str, server: feed_servers.Exchange) -> None:
    async def main() -> None:
        async with pricing(fresh_db, server):
            await until(lambda: logged(fresh_db))
            server.jump = -30_000
            await until(lambda: logged(fresh_db)[-1][0] < 68_000)

    run(main())


# Candles.


class Clock:
    """A time that passes when somebody sleeps; `limit` is how far."""

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


async def follow(dsn: str, server: feed_servers.Exchange, at: datetime, until: datetime) -> Report:
    """Candles from one instant to another."""
    report = Report(time.monotonic)
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


def test_a_candle_that_has_changed_since_is_corrected(
    fresh_db: str, server: feed_servers.Exchange
) -> None:
    run(follow(fresh_db, server, NOON, NOON + timedelta(seconds=40)))
    server.jump = 5
    run(follow(fresh_db, server, NOON, NOON + timedelta(seconds=40)))
    newest = NOON - timedelta(minutes=1)
    assert stored(fresh_db)[-35:] == served(server, newest - timedelta(minutes=34), newest)


def test_an_exchange_or_a_database_that_fails_is_asked_again(
    fresh_db: str, server: feed_servers.Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.status = 500

    async def main() -> None:
        report = Report(time.monotonic)
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
        report = Report(time.monotonic)
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


# Fingerprints.


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("12:00:00", "12:01"),
        ("12:00:59.999999", "12:01"),
        ("12:01:00", "13:01"),
        ("12:59:00", "13:01"),
    ],
)
def test_a_build_a_minute_after_each_hour(now: str, expected: str) -> None:
    day = "2026-03-05T"
    found = next_build(datetime.fromisoformat(f"{day}{now}+00:00"))
    assert found == datetime.fromisoformat(f"{day}{expected}+00:00")


def test_a_build_counts_what_is_new(fresh_db: str, caplog: pytest.LogCaptureFixture) -> None:
    fill(fresh_db, ("BTC",))
    with connect(fresh_db) as conn:
        conn.execute(
            "INSERT INTO upc_data.candle SELECT * FROM upc.simulated_candles("
            "'BTC', '2026-03-06 00:00+00', '2026-03-06 03:00+00')"
        )
    pending = "SELECT sum(days_pending), sum(days_counted) FROM upc.fingerprint_state"
    [(before, counted)] = rows(fresh_db, pending)
    assert before > 0

    async def main() -> list[str]:
        report = Report(time.monotonic)
        await build_once(fresh_db, ["BTC"], report, asyncio.Event())
        assert rows(fresh_db, pending) == [(0, counted + 1)]
        # Somebody else is at it: said, and no reason to end.
        with connect(fresh_db) as conn:
            conn.execute("SELECT pg_advisory_lock(upc.build_lock_key('BTC'))")
            conn.execute("DELETE FROM upc_data.candle WHERE opened_at > '2026-03-06 01:00+00'")
            await build_once(fresh_db, ["BTC"], report, asyncio.Event())
        assert list(report.failing()) == ["fingerprints"]
        await build_once(fresh_db, ["BTC"], report, asyncio.Event())
        return list(report.failing())

    with caplog.at_level(logging.INFO, "pyupc.feed"):
        assert run(main()) == []


def test_a_build_ends_when_the_feed_does(fresh_db: str) -> None:
    with connect(fresh_db) as conn:
        conn.execute(
            "INSERT INTO upc_data.candle SELECT * FROM upc.simulated_candles("
            "'BTC', '2024-01-01 00:00+00', '2024-02-01 00:00+00')"
        )

    async def main() -> dict[str, str]:
        report = Report(time.monotonic)
        stop = asyncio.Event()
        stop.set()
        await build_once(fresh_db, ["BTC"], report, stop)
        return report.failing()

    with suppress(PyupcError):
        assert run(main()) == {}
