"""An exchange on the loopback: as much of Coinbase's public API as a feed uses, with its moods."""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from aiohttp import WSMsgType, web

PRODUCTS = {"BTC-USD": 97_000.0, "ETH-USD": 3_500.0}
ROOT = "/api/v3/brokerage/market/products"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Exchange:
    """A local exchange; a test may change its fields at any time.

    `products` are the prices that each one moves around, `jump` is added to them. `frozen` stands
    in for every price; `price_text` for its text. `ahead` is how many seconds its clock is ahead.
    `status`, `delay` and `is_cut` are for requests; `is_silent`, `is_mute` (it takes no websocket)
    and `garbage` (the next message) for the websocket. `lag` alternates the times of messages.
    `without` are the minutes since 1970 that it has no candle of. `closed` are products that it
    lists and does not trade.
    """

    products: dict[str, float] = field(default_factory=lambda: dict(PRODUCTS))
    jump: float = 0.0
    frozen: float | None = None
    price_text: str | None = None
    ahead: float = 0.0
    status: int = 200
    delay: float = 0.0
    is_cut: bool = False
    is_silent: bool = False
    is_mute: bool = False
    garbage: str | None = None
    lag: float = 0.0
    interval: float = 0.1
    without: set[int] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    extra_products: int = 0
    url: str = ""
    requests: list[tuple[float, str]] = field(default_factory=list)
    websockets: int = 0
    _open: set[web.WebSocketResponse] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop | None = None

    def price(self, product: str, at: float) -> float:
        """Seconds since 1970; two waves, so that no second is like the one before."""
        if self.frozen is not None:
            return self.frozen
        wave = 0.003 * math.sin(at / 371) + 0.0004 * math.sin(at / 7.7)
        return round(self.products[product] * (1 + wave) + self.jump, 2)

    def candle(self, product: str, minute: int) -> tuple[float, float, float, float]:
        """Open, high, low and close of a minute since 1970."""
        prices = [self.price(product, 60 * minute + second) for second in range(61)]
        return prices[0], max(prices), min(prices), prices[-1]

    def now(self) -> float:
        return time.time() + self.ahead

    def asked(self, part: str) -> int:
        return sum(part in path for _, path in list(self.requests))

    def close_sockets(self) -> None:
        """Close all websockets, like a server that restarts."""

        async def close() -> None:
            for websocket in list(self._open):
                await websocket.close()

        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(close(), self._loop).result(10)

    # Requests.

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append((time.monotonic(), request.path_qs))
        await asyncio.sleep(self.delay)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            if self.is_mute:
                raise web.HTTPServiceUnavailable
            return await self._websocket(request)
        date = format_datetime(datetime.fromtimestamp(math.floor(self.now()), UTC), usegmt=True)
        if self.status != 200:
            return web.Response(status=self.status, text="no", headers={"Date": date})
        text = json.dumps(self._document(request.path, dict(request.query)))
        if self.is_cut:
            text = text[: len(text) // 2]
        return web.Response(text=text, content_type="application/json", headers={"Date": date})

    def _document(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        assert path.startswith(ROOT), path
        if path == ROOT:
            has_spot = query.get("product_type") != "FUTURE"
            extra = [f"X{number}-USD" for number in range(self.extra_products)]
            names = (*self.products, *extra) if has_spot else ()
            return {"products": [_product(name, name in self.closed) for name in names]}
        product, kind = path.removeprefix(f"{ROOT}/").split("/")
        if kind == "ticker":
            return {"trades": [self._trade(product)], "best_bid": "1", "best_ask": "999999"}
        assert (kind, query["granularity"]) == ("candles", "ONE_MINUTE")
        first, last = int(query["start"]) // 60, min(int(query["end"]), int(self.now())) // 60
        assert int(query["end"]) - int(query["start"]) <= 350 * 60
        minutes = [m for m in range(first, last + 1) if m not in self.without]
        return {"candles": [self._candle(product, minute) for minute in reversed(minutes)]}

    def _trade(self, product: str) -> dict[str, str]:
        return {
            "trade_id": "1",
            "product_id": product,
            "price": self._text(product),
            "size": "0.01",
            "time": _iso(self.now()),
            "side": "BUY",
        }

    def _candle(self, product: str, minute: int) -> dict[str, str]:
        opened, high, low, close = self.candle(product, minute)
        return {
            "start": f"{60 * minute}",
            "open": f"{opened}",
            "high": f"{high}",
            "low": f"{low}",
            "close": f"{close}",
            "volume": "1.5",
        }

    def _text(self, product: str) -> str:
        return (
            f"{self.price(product, self.now()):.2f}" if self.price_text is None else self.price_text
        )

    # The websocket.

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        self.websockets += 1
        self._open.add(websocket)
        talk: list[asyncio.Task[None]] = []
        try:
            async for message in websocket:
                if message.type is WSMsgType.TEXT:
                    wanted = json.loads(message.data)
                    if (wanted["type"], wanted["channel"]) == ("subscribe", "ticker"):
                        talk.append(
                            asyncio.ensure_future(self._talk(websocket, wanted["product_ids"]))
                        )
        finally:
            self._open.discard(websocket)
            for task in talk:
                task.cancel()
        return websocket

    async def _talk(self, websocket: web.WebSocketResponse, products: list[str]) -> None:
        number = 0
        while not websocket.closed:
            if self.garbage is not None:
                text, self.garbage = self.garbage, None
                await websocket.send_str(text)
            elif not self.is_silent:
                number += 1
                at = self.now() - (self.lag if number % 2 else 0)
                tickers = [
                    {
                        "type": "ticker",
                        "product_id": product,
                        "price": self._text(product),
                        "best_bid": "1",
                        "best_ask": "999999",
                        "price_percent_chg_24_h": "-4.1",
                    }
                    for product in products
                ]
                message = {
                    "channel": "ticker",
                    "timestamp": _iso(at),
                    "sequence_num": number,
                    "events": [{"type": "update", "tickers": tickers}],
                }
                await websocket.send_str(json.dumps(message))
            await asyncio.sleep(self.interval)


def _product(name: str, is_closed: bool) -> dict[str, Any]:
    base, quote = name.split("-")
    return {
        "product_id": name,
        "base_currency_id": base,
        "quote_currency_id": quote,
        "product_type": "SPOT",
        "base_increment": "0.00000001",
        "quote_increment": "0.01",
        "price_increment": "0.01",
        "base_min_size": "0.00001",
        "base_max_size": "3400",
        "quote_min_size": "1",
        "quote_max_size": "150000000",
        "trading_disabled": is_closed,
        "alias_to": [],
        "base_name": base,
        "quote_name": quote,
        "status": "online",
        "view_only": False,
    }


def _iso(at: float) -> str:
    """An instant with nanoseconds, in Coinbase's notation."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "789Z"


@contextmanager
def serving(exchange: Exchange, port: int = 0) -> Iterator[Exchange]:
    """The exchange at a port, in a thread, under `exchange.url`."""
    started = threading.Event()
    stopped = asyncio.Event()

    async def main() -> None:
        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await exchange.answer(request, handler)

        app = web.Application(middlewares=[middleware])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        exchange.url = "http://{}:{}".format(*runner.addresses[0][:2])
        exchange._loop = asyncio.get_running_loop()
        started.set()
        await stopped.wait()
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield exchange
    finally:
        assert exchange._loop is not None
        exchange._loop.call_soon_threadsafe(stopped.set)
        thread.join(10)
