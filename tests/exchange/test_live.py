"""Prices and candles of an exchange on the loopback, through ccxt's client."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

pytest.importorskip("ccxt", reason="needs the extra feeds")

from pyupc.cli import main as cli
from pyupc.errors import PyupcError
from pyupc.exchange import live as exchange_module
from pyupc.exchange.answer import Candle
from pyupc.exchange.live import Exchange
from pyupc.exchange.names import exchange_ids, require_exchange
from pyupc.exchange.problems import ExchangeProblem
from tests.support import feed_servers
from tests.support.feed_parts import (
    NOON,
    PAIR,
    PRODUCT,
    minute_of,
    opened,
    run,
)
from tests.support.feed_servers import serving
from tests.support.warm_process import REPOSITORY


@pytest.fixture
def server() -> Iterator[feed_servers.Exchange]:
    with serving(feed_servers.Exchange(interval=0.02)) as exchange:
        yield exchange


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


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


@pytest.mark.parametrize("price_text", ["", "0", "-3", "NaN", "tea", "1e400"])
def test_an_invalid_price_is_none(server: feed_servers.Exchange, price_text: str) -> None:
    async def main() -> None:
        async with opened(server) as exchange:
            server.price_text = price_text
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
        "from pyupc.exchange.ccxt_class import exchange_class\n"
        "exchange = exchange_class(sys.argv[1])({})\n"
        "from ccxt.base.errors import NetworkError\n"
        "import ccxt\n"
        "assert exchange.id == sys.argv[1] and ccxt.NetworkError is NetworkError\n"
        "print(sum(name.startswith('ccxt.abstract.') for name in sys.modules))\n"
    )
    command = [sys.executable, "-c", program, name]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 2
