"""A server that plays Coinbase for `pyupc candles backfill`, and what a backfill leaves behind."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from click.testing import CliRunner, Result

from pyupc.cli import main
from pyupc.database.connect import connect
from tests.support.warm_process import COMMAND, Pyupc

ROOT = Path(__file__).parents[2]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The first minute of most of what is asked for, since 1970.
START = 28_401_120
assert EPOCH + timedelta(minutes=START) == datetime(2024, 1, 1, tzinfo=UTC)

Rows = list[dict[str, Any]]
Spans = list[tuple[int, int]]


class Coinbase(ThreadingHTTPServer):
    """The public endpoints that ccxt's coinbase calls for markets and candles.

    `lacks`: minutes without a candle. `begins`: the first minute of its history. `most`: candles
    an answer, the newest of what was asked for. `spoil`: what it does to the rows of an answer.
    `fault`: an answer in place of the next ones, `faults` times. `gate`: it waits for it before
    it answers the request with the number `gated`. `clock`: seconds its clock is ahead.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lacks: set[int] = set()
        self.begins = 0
        self.most = 350
        self.pairs = ["BTC-USD", "BTC-USDT", "ETH-USD"]
        self.spoil: Callable[[Rows], Rows] = lambda rows: rows
        self.fault: Callable[[Handler, bytes], None] | None = None
        self.faults = 0
        self.gate = threading.Event()
        self.gated = 0
        self.clock = 0.0
        self.asked: Spans = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no news."""

    def rows(self, first: int, after: int) -> Rows:
        """Newest first, as Coinbase answers; those of minutes that have not begun do not exist."""
        after = min(after, int((time.time() + self.clock) // 60) + 1)
        minutes = [m for m in range(max(first, self.begins), after) if m not in self.lacks]
        return [coinbase_row(minute) for minute in reversed(minutes[-self.most :])]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Coinbase

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body: Any
        if url.path == "/api/v3/brokerage/market/products":
            pairs = [] if query.get("product_type") == "FUTURE" else self.server.pairs
            body = {"products": [product(pair) for pair in pairs], "num_products": len(pairs)}
            self.reply(json.dumps(body).encode())
            return
        *_, pair, last = url.path.split("/")
        assert (last, query["granularity"]) == ("candles", "ONE_MINUTE"), self.path
        assert pair in self.server.pairs
        first, after = -(-int(query["start"]) // 60), int(query["end"]) // 60 + 1
        self.server.asked.append((first, after))
        if len(self.server.asked) == self.server.gated:
            self.server.gate.wait(20)
        rows = self.server.spoil(self.server.rows(first, after))
        data = json.dumps({"candles": rows}).encode()
        if self.server.fault is not None and self.server.faults > 0:
            self.server.faults -= 1
            self.server.fault(self, data)
        else:
            self.reply(data)

    def reply(self, data: bytes, status: int = 200, **headers: str) -> None:
        self.send_response_only(status)
        self.send_header("Date", formatdate(time.time() + self.server.clock, usegmt=True))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def coinbase_row(minute: int) -> dict[str, Any]:
    """A candle that its minute determines, as Coinbase writes it."""
    dice = random.Random(minute)
    low, high = sorted(round(dice.uniform(40_000, 41_000), 2) for _ in range(2))
    return {
        "start": str(60 * minute),
        "low": str(low),
        "high": str(high),
        "open": str(round(dice.uniform(low, high), 2)),
        "close": str(round(dice.uniform(low, high), 2)),
        "volume": str(round(dice.uniform(0, 5), 8)),
    }


def product(pair: str) -> dict[str, Any]:
    base, quote = pair.split("-")
    return {
        "product_id": pair,
        "product_type": "SPOT",
        "base_currency_id": base,
        "quote_currency_id": quote,
        "base_increment": "0.00000001",
        "quote_increment": "0.01",
        "price_increment": "0.01",
        "status": "online",
        "trading_disabled": False,
    }


def stored_row(minute: int) -> tuple[Any, ...]:
    row = coinbase_row(minute)
    values = (float(row[name]) for name in ("open", "high", "low", "close", "volume"))
    return (minute, *values)


# Commands


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["candles", *arguments])


def moment(minute: int) -> str:
    return f"{EPOCH + timedelta(minutes=minute):%Y-%m-%dT%H:%M:%SZ}"


def arguments(first: int, after: int | None, *options: str, symbol: str = "BTC") -> list[str]:
    until = [] if after is None else ["--until", moment(after)]
    since = ["--since", moment(first)]
    return ["backfill", "--exchange", "coinbase", "--symbol", symbol, *since, *until, *options]


def backfill(first: int, after: int | None, *options: str) -> dict[str, Any]:
    result = run(*arguments(first, after, "--json", *options))
    assert result.exit_code == 0, result.stderr
    [summary] = json.loads(result.stdout)
    assert isinstance(summary, dict)
    return summary


def refused(result: Result, code: int = 1) -> None:
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    *_, message, hint = result.stderr.splitlines()
    assert message.startswith("pyupc: ")
    assert hint.startswith("hint: ")


def stored(dsn: str, symbol: str = "BTC") -> list[tuple[Any, ...]]:
    with connect(dsn) as conn:
        return conn.execute(
            "SELECT (extract(epoch FROM opened_at) / 60)::integer, open, high, low, close, volume"
            " FROM upc_data.candle WHERE symbol = %s ORDER BY opened_at",
            [symbol],
        ).fetchall()


def holes(dsn: str) -> list[tuple[str, int, int]]:
    """Exchange, and minutes from START."""
    with connect(dsn) as conn:
        rows = conn.execute(
            "SELECT exchange, opened_from, opened_until FROM upc_data.candle_hole ORDER BY 1, 2"
        ).fetchall()
    return [
        (exchange, *((at - EPOCH) // timedelta(minutes=1) - START for at in span))
        for exchange, *span in rows
    ]


def put(dsn: str, minutes: list[int]) -> None:
    """Candles that the exchange would not give."""
    with connect(dsn) as conn, conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO upc_data.candle VALUES ('BTC', %s, 1, 1, 1, 1, 1)",
            [[EPOCH + timedelta(minutes=minute)] for minute in minutes],
        )


def candles(*spans: tuple[int, int]) -> list[tuple[Any, ...]]:
    return [stored_row(minute) for span in spans for minute in range(*span)]


def start(*options: str) -> subprocess.Popen[str]:
    command = [*COMMAND, "candles", *options]
    pipe = subprocess.PIPE
    return Pyupc(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Faults of an answer


def status(code: int, **headers: str) -> Callable[[Handler, bytes], None]:
    def fault(handler: Handler, data: bytes) -> None:
        handler.reply(b'{"error": "no", "message": "no"}', code, **headers)

    return fault


def truncated(handler: Handler, data: bytes) -> None:
    handler.reply(data[: len(data) // 2])


def page_of_html(handler: Handler, data: bytes) -> None:
    handler.reply(b"<html>soon</html>")


def plain_text_error(handler: Handler, data: bytes) -> None:
    handler.reply(b"upstream", 502)


def other_talk(handler: Handler, data: bytes) -> None:
    handler.reply(b'{"message": "soon"}')


def cut_off(handler: Handler, data: bytes) -> None:
    """Half of the answer, and the connection is reset."""
    handler.send_response_only(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[: len(data) // 2])
    handler.wfile.flush()
    closed(handler, data)


def closed(handler: Handler, data: bytes) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def slow(handler: Handler, data: bytes) -> None:
    time.sleep(0.4)
    handler.reply(data)
