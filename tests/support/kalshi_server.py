"""An HTTP server on loopback that answers as Kalshi does, or in any way that a server can fail."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Document = dict[str, Any]


@dataclass(frozen=True)
class Request:
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    connection: int


@dataclass(frozen=True)
class Reply:
    """`held`: nothing is sent before that. `missing`: announced bytes that are not sent."""

    body: bytes = b"{}"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    held: asyncio.Event | None = None
    missing: int = 0
    is_dropped: bool = False
    is_endless: bool = False
    pause: float = 0.0


def json_reply(document: Any, **options: Any) -> Reply:
    return Reply(json.dumps(document).encode(), **options)


class Server:
    """Sends the replies of `answer`; an asynchronous context manager.

    One that `compresses` does so for whom takes it. `sent_bytes` are those of bodies.
    """

    def __init__(self, answer: Callable[[Request], Reply], *, compresses: bool = False) -> None:
        self.answer = answer
        self.compresses = compresses
        self.sent_bytes = 0
        self.requests: list[Request] = []
        self.most_under_way: dict[str, int] = {}
        self._busy: dict[str, int] = {}
        self._connections = 0
        self._handlers: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/trade-api/v2"

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        handlers = list(self._handlers)
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        number = self._connections
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        # A handler is cancelled at the end only, and a cancelled one would be complained about.
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                while await self._one(reader, writer, number):
                    pass
            finally:
                writer.close()
                await writer.wait_closed()
        self._handlers.discard(handler)

    async def _one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        address = urlsplit(head[0].split(" ")[1])
        pairs = (line.partition(": ") for line in head[1:] if line)
        headers = {name.lower(): value for name, _, value in pairs}
        path = address.path.removeprefix("/trade-api/v2")
        request = Request(path, dict(parse_qsl(address.query)), headers, number)
        self.requests.append(request)
        self._busy[path] = self._busy.get(path, 0) + 1
        self.most_under_way[path] = max(self.most_under_way.get(path, 0), self._busy[path])
        try:
            reply = self.answer(request)
            if self.compresses and "gzip" in headers.get("accept-encoding", ""):
                packed = {**reply.headers, "Content-Encoding": "gzip"}
                reply = replace(reply, body=gzip.compress(reply.body, 6), headers=packed)
            self.sent_bytes += len(reply.body)
            return await self._send(writer, reply)
        finally:
            self._busy[path] -= 1

    async def _send(self, writer: asyncio.StreamWriter, reply: Reply) -> bool:
        if reply.held is not None:
            await reply.held.wait()
        await asyncio.sleep(reply.pause)
        if reply.is_dropped:
            return False
        length = {"Content-Length": str(len(reply.body))}
        if reply.is_endless:
            length = {"Transfer-Encoding": "chunked"}
        headers = {"Content-Type": "application/json", **length, **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} -", *(f"{k}: {v}" for k, v in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        while reply.is_endless:
            writer.write(b"%x\r\n%s\r\n" % (len(reply.body), reply.body))
            await writer.drain()
            await asyncio.sleep(reply.pause)
        writer.write(reply.body[: len(reply.body) - reply.missing])
        await writer.drain()
        return not reply.missing


def market(event: str, strike: int, closes_at: datetime, **fields: Any) -> Document:
    """A market in Kalshi's format since March 2026."""
    return {
        "ticker": f"{event}-T{strike - 0.01:.2f}",
        "event_ticker": event,
        "close_time": closes_at.isoformat().replace("+00:00", "Z"),
        "status": "active",
        "strike_type": "greater",
        "floor_strike": strike - 0.01,
        "yes_bid_dollars": "0.5500",
        "yes_ask_dollars": "0.5600",
        "no_bid_dollars": "0.4400",
        "no_ask_dollars": "0.4500",
        "volume_fp": "1000.00",
        "result": "",
        **fields,
    }


@dataclass
class Listed:
    """An event of the exchange: listed from `listed_at` on, open from `opens_at` on."""

    ticker: str
    opens_at: datetime
    closes_at: datetime
    markets: list[Document]
    listed_at: datetime | None = None
    series: str = "KXBTCD"

    def document(self) -> Document:
        return {
            "event_ticker": self.ticker,
            "series_ticker": self.series,
            "title": f"Bitcoin price at {self.closes_at:%H:%M}?",
            "strike_date": self.closes_at.isoformat().replace("+00:00", "Z"),
        }


@dataclass
class Exchange:
    """The public part of Kalshi, as documented; `page` is the length of a page.

    `before` sees each request first and may answer in the exchange's place. `status` is what
    /exchange/status says.
    """

    events: list[Listed]
    now: Callable[[], datetime]
    page: int = 1000
    before: Callable[[Request], Reply | None] = lambda request: None
    nested: bool = True
    status: Document = field(
        default_factory=lambda: {"exchange_active": True, "trading_active": True}
    )

    def __call__(self, request: Request) -> Reply:
        reply = self.before(request)
        if reply is not None:
            return reply
        at = self.now()
        headers = {"Date": format_datetime(at, usegmt=True)}
        if request.path == "/exchange/status":
            return json_reply(self.status, headers=headers)
        known = [e for e in self.events if e.listed_at is None or e.listed_at <= at]
        if request.path == "/events":
            found = [
                e.document()
                for e in known
                if e.series == request.query["series_ticker"] and e.opens_at <= at < e.closes_at
            ]
            return json_reply(self._page("events", found, request), headers=headers)
        if request.path == "/markets":
            return json_reply(self._markets(known, request), headers=headers)
        for event in known:
            if request.path == f"/events/{event.ticker}":
                return json_reply(self._event(event, request), headers=headers)
        return json_reply({"error": {"code": "not_found"}}, status=404)

    def _event(self, event: Listed, request: Request) -> Document:
        if self.nested and request.query.get("with_nested_markets") == "true":
            return {"event": {**event.document(), "markets": event.markets}}
        return {"event": event.document(), "markets": event.markets}

    def _markets(self, known: list[Listed], request: Request) -> Document:
        query = request.query
        low = datetime.fromtimestamp(int(query.get("min_close_ts", 0)), self.now().tzinfo)
        high = datetime.fromtimestamp(int(query.get("max_close_ts", 2**33)), self.now().tzinfo)
        assert "status" not in query
        found = [
            market
            for e in known
            if query.get("series_ticker", e.series) == e.series
            and query.get("event_ticker", e.ticker) == e.ticker
            and low < e.closes_at < high
            for market in e.markets
        ]
        return self._page("markets", found, request)

    def _page(self, name: str, items: list[Document], request: Request) -> Document:
        size = min(self.page, int(request.query["limit"]))
        start = int(request.query.get("cursor", "0"))
        more = str(start + size) if start + size < len(items) else ""
        return {name: items[start : start + size], "cursor": more}


@contextmanager
def in_thread(events: list[Listed]) -> Iterator[str]:
    """The exchange with these events for other processes, by the real clock; its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = Server(Exchange(events, lambda: datetime.now(UTC)))

    def call(work: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(10)

    try:
        call(server.__aenter__())
        yield server.url
        call(server.__aexit__())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
