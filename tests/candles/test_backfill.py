"""`pyupc candles backfill` and `gaps`: ccxt's own client against a server that plays Coinbase."""

from __future__ import annotations

import csv
import itertools
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyupc.candles import backfill as backfill_module
from pyupc.cli import main
from pyupc.database.connect import connect
from pyupc.errors import PyupcError
from pyupc.exchange import history as exchange_module
from pyupc.exchange.answer import Answer, judge
from pyupc.exchange.history import Exchange
from tests.support.hours import away_from_the_minute
from tests.support.warm import COMMAND, Pyupc

ROOT = Path(__file__).parents[2]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The first minute of most of what is asked for here, since 1970.
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


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Coinbase]:
    with Coinbase() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        monkeypatch.setenv("PYUPC_EXCHANGE_URL", server.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield server
        server.gate.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def dsn(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    return fresh_db


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


# What is stored


def test_an_empty_table_is_filled(server: Coinbase, dsn: str) -> None:
    summary = backfill(START, START + 700)
    assert stored(dsn) == candles((START, START + 700))
    assert abs(summary.pop("clock_skew_seconds")) <= 2
    assert summary == {
        "symbol": "BTC",
        "exchange": "coinbase",
        "pair": "BTC/USD",
        "since": "2024-01-01T00:00:00Z",
        "until": moment(START + 700),
        "pages": 3,
        "new": 700,
        "changed": 0,
        "refused": 0,
        "holes": 0,
        "passed_over": 0,
        "still_missing": 0,
    }
    # The newest page first.
    assert server.asked == [
        (START + 400, START + 700),
        (START + 100, START + 400),
        (START, START + 100),
    ]


def test_the_summaries_are_rows(server: Coinbase, dsn: str) -> None:
    backfill(START, START + 5)
    again = backfill(START, START + 5)
    [line] = run(*arguments(START, START + 5, "--nl")).stdout.splitlines()
    [row] = csv.DictReader(run(*arguments(START, START + 5, "--csv")).stdout.splitlines())
    skew = "clock_skew_seconds"
    assert {**json.loads(line), skew: None} == {**again, skew: None}
    assert {**row, skew: ""} == {name: str(value) for name, value in {**again, skew: ""}.items()}


def test_only_gaps_are_asked_for(server: Coinbase, dsn: str) -> None:
    put(dsn, [*range(START, START + 500), *range(START + 510, START + 900), START + 905])
    summary = backfill(START - 50, START + 1000)
    assert server.asked == [
        (START + 900, START + 1000),
        (START + 500, START + 510),
        (START - 50, START),
    ]
    assert (summary["new"], summary["changed"], summary["still_missing"]) == (159, 0, 0)
    found = {row[0]: row for row in stored(dsn)}
    assert len(found) == 1050
    assert found[START + 905][1:] == (1, 1, 1, 1, 1)
    assert found[START + 904] == stored_row(START + 904)


def test_gaps_that_are_near_each_other_share_a_page(server: Coinbase, dsn: str) -> None:
    put(dsn, [minute for minute in range(START, START + 300) if (minute - START) % 50])
    assert backfill(START, START + 300)["pages"] == 1
    assert server.asked == [(START, START + 251)]
    assert len(stored(dsn)) == 300
    assert stored(dsn)[49:51] == [(START + 49, 1, 1, 1, 1, 1), stored_row(START + 50)]


def test_the_second_run_asks_for_nothing(server: Coinbase, dsn: str) -> None:
    server.lacks = {START, START + 5, START + 6, START + 320, START + 399}
    backfill(START, START + 400)
    server.asked.clear()
    summary = backfill(START, START + 400)
    assert server.asked == []
    assert (summary["pages"], summary["new"], summary["still_missing"]) == (0, 0, 0)


def test_without_since_it_goes_on_from_the_first_candle(server: Coinbase, dsn: str) -> None:
    server.begins = START
    put(dsn, [START])
    until = ["--until", moment(START + 60)]
    result = run("backfill", "--symbol", "BTC", *until)
    assert result.exit_code == 0, result.stderr
    assert server.asked == [(START + 1, START + 60)]


def test_all_symbols(server: Coinbase, dsn: str) -> None:
    since, until = ["--since", moment(START)], ["--until", moment(START + 10)]
    result = run("backfill", *since, *until, "--json")
    assert result.exit_code == 0, result.stderr
    assert [(each["symbol"], each["new"]) for each in json.loads(result.stdout)] == [
        ("BTC", 10),
        ("ETH", 10),
    ]
    assert stored(dsn, "ETH") == candles((START, START + 10))


def test_the_running_minute_is_not_stored(server: Coinbase, dsn: str) -> None:
    began = time.time()
    backfill(int(began // 60) - 20, None)
    latest = stored(dsn)[-1][0]
    assert int((began - 10) // 60) - 1 <= latest <= int((time.time() - 4) // 60) - 1
    assert max(after for _, after in server.asked) == latest + 1


@pytest.mark.parametrize("ahead", [-600, 600])
def test_the_clock_of_the_exchange_counts(server: Coinbase, dsn: str, ahead: int) -> None:
    server.clock = ahead
    began = int((time.time() + ahead) // 60)
    summary = backfill(began - 20, None)
    assert summary["clock_skew_seconds"] == pytest.approx(ahead, abs=2)
    assert stored(dsn)[-1][0] < int((time.time() + ahead - 3) // 60)
    assert stored(dsn)[-1][0] >= began - 2
    result = run(*arguments(began - 20, began - 10))
    assert result.exit_code == 0
    assert "s ahead of" in result.stdout or "s behind" in result.stdout


def test_the_summary_in_words(server: Coinbase, dsn: str) -> None:
    server.lacks = {START + 5}
    result = run(*arguments(START, START + 10))
    assert (result.exit_code, result.stderr) == (0, "")
    for part in ("9 new", "1 page of BTC/USD from coinbase", "1 minute", "0 still missing"):
        assert part in result.stdout
    assert "clock" not in result.stdout


# Holes


def test_holes_are_remembered(server: Coinbase, dsn: str) -> None:
    lacks = {0, 1, 5, 6, 299, 300, 301, 500, 699}
    server.lacks = {START + minute for minute in lacks}
    summary = backfill(START, START + 700)
    assert holes(dsn) == [
        ("coinbase", 0, 2),
        ("coinbase", 5, 7),
        ("coinbase", 299, 302),
        ("coinbase", 500, 501),
        ("coinbase", 699, 700),
    ]
    assert (summary["new"], summary["holes"], summary["still_missing"]) == (691, 9, 0)
    assert {row[0] - START for row in stored(dsn)} == set(range(700)) - lacks


def test_a_hole_of_one_exchange_is_no_hole_of_another(server: Coinbase, dsn: str) -> None:
    with connect(dsn) as conn:
        conn.execute("SELECT upc.record_candle_hole('BTC', 'kraken', '2024-01-01Z', '2024-01-02Z')")
    assert backfill(START, START + 10)["new"] == 10


def test_holes_are_asked_for_again_on_demand(server: Coinbase, dsn: str) -> None:
    server.lacks = {START + minute for minute in range(100, 200)}
    backfill(START, START + 300)
    server.lacks = {START + minute for minute in range(150, 160)}
    server.asked.clear()
    assert backfill(START, START + 300)["new"] == 0
    assert server.asked == []
    summary = backfill(START, START + 300, "--retry-holes")
    assert server.asked == [(START + 100, START + 200)]
    assert (summary["new"], summary["still_missing"]) == (90, 0)
    assert holes(dsn) == [("coinbase", 150, 160)]


def test_a_minute_that_may_still_come_is_no_hole(server: Coinbase, dsn: str) -> None:
    away_from_the_minute()
    now = int(time.time() // 60)
    server.lacks = {now - 30, *range(now - 5, now + 1)}
    summary = backfill(now - 60, None)
    assert holes(dsn) == [("coinbase", now - 30 - START, now - 29 - START)]
    assert summary["still_missing"] in range(3, 6)
    server.lacks = set()
    assert backfill(now - 60, None)["new"] >= summary["still_missing"]


@pytest.mark.parametrize("is_newest", [True, False])
def test_a_short_page_is_not_taken_for_the_end(server: Coinbase, dsn: str, is_newest: bool) -> None:
    """An exchange that gives fewer candles than ccxt says, from either end."""
    if is_newest:
        server.most = 70
    else:
        server.spoil = lambda rows: rows[-70:]
    server.lacks = {START + 35, START + 36}
    summary = backfill(START, START + 600)
    assert stored(dsn) == candles((START, START + 35), (START + 37, START + 600))
    assert (summary["new"], summary["holes"], summary["still_missing"]) == (598, 2, 0)


def test_before_its_history_begins(
    server: Coinbase, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill_module, "SILENCE_MINUTES", 900)
    server.begins = START
    summary = backfill(START - 9000, START + 100)
    assert stored(dsn) == candles((START, START + 100))
    assert (summary["new"], summary["still_missing"]) == (100, summary["passed_over"])
    assert summary["passed_over"] in range(7000, 8100)
    assert summary["pages"] < 12
    assert summary["holes"] + summary["passed_over"] == 9000


class Lacking:
    """An exchange without a server: some minutes, and so many of them an answer."""

    name = "coinbase"
    clock_skew = None

    def __init__(self, lacks: set[int], page_size: int, most: int, is_newest: bool) -> None:
        self.page_size = page_size
        self.requests = 0
        self._lacks = lacks
        self._cut = slice(-most, None) if is_newest else slice(0, most)

    def now(self) -> float:
        return 60.0 * (START + 1000)

    def candles(self, pair: str, first: int, after: int) -> Answer:
        assert 0 < after - first <= self.page_size
        self.requests += 1
        minutes = [minute for minute in range(first, after) if minute not in self._lacks]
        return judge(
            [[minute * 60_000, 1, 1, 1, 1, 1] for minute in minutes[self._cut]], first, after
        )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lacks=st.sets(st.integers(START, START + 119)),
    before=st.sets(st.integers(START, START + 119)),
    page_size=st.integers(1, 50),
    most=st.integers(1, 50),
    is_newest=st.booleans(),
)
def test_whatever_an_exchange_lacks_and_however_little_it_gives(
    dsn: str, lacks: set[int], before: set[int], page_size: int, most: int, is_newest: bool
) -> None:
    wanted = set(range(START, START + 120))
    since, until = (EPOCH + timedelta(minutes=minute) for minute in (START, START + 120))
    job = backfill_module.Job("BTC", "BTC/USD", since, until)
    with connect(dsn) as conn:
        conn.execute("TRUNCATE upc_data.candle, upc_data.candle_hole, upc_data.candle_change")
        put(dsn, sorted(before))
        exchange: Any = Lacking(lacks, page_size, most, is_newest)
        tally = backfill_module.Tally()
        watcher: Any = Mock()
        summary = backfill_module.backfill(conn, exchange, job, tally, watcher)
        assert {row[0] for row in stored(dsn)} == wanted - lacks | before
        found = {START + m for _, first, after in holes(dsn) for m in range(first, after)}
        assert found == lacks - before
        assert (tally.new, tally.holes) == (len(wanted - lacks - before), len(lacks - before))
        assert (tally.pages, summary.still_missing) == (exchange.requests, 0)
        assert sum(call.args[0] for call in watcher.on_minutes.mock_calls) == len(wanted - before)

        backfill_module.backfill(conn, exchange, job, backfill_module.Tally(), watcher)
        assert tally.pages == exchange.requests


# Bad answers


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


FAULTS = [
    status(429),
    status(429, Retry_After="0"),
    status(500),
    status(503),
    truncated,
    page_of_html,
    plain_text_error,
    other_talk,
    cut_off,
    closed,
    slow,
]
NAMES = [getattr(fault, "__name__", "") for fault in FAULTS]


@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
def test_a_fault_that_passes(
    server: Coinbase,
    dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Handler, bytes], None],
) -> None:
    if fault is slow:
        monkeypatch.setattr(exchange_module, "TIMEOUT_SECONDS", 0.2)
    # aiohttp repeats a request by itself, once, if an open connection is closed in its face.
    server.fault, server.faults = fault, 2 if fault is closed else 1
    server.lacks = {START + 7}
    result = run(*arguments(START, START + 400, "--json"))
    assert result.exit_code == 0, result.stderr
    [said] = result.stderr.splitlines()
    assert said.startswith("coinbase: ")
    [summary] = json.loads(result.stdout)
    assert (summary["new"], summary["holes"], summary["still_missing"]) == (399, 1, 0)
    assert stored(dsn) == candles((START, START + 7), (START + 8, START + 400))


@pytest.mark.parametrize("fault", [status(429), truncated, closed])
def test_a_fault_that_stays(
    server: Coinbase,
    dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Handler, bytes], None],
) -> None:
    monkeypatch.setattr(exchange_module, "ATTEMPTS", 2)
    server.fault = lambda handler, data: (
        fault(handler, data) if len(server.asked) > 2 else handler.reply(data)
    )
    server.faults = 100
    result = run(*arguments(START, START + 1000))
    refused(result)
    assert "600 candles stored" in result.stderr
    assert stored(dsn) == candles((START + 400, START + 1000))
    assert holes(dsn) == []
    server.fault = None
    assert backfill(START, START + 1000)["new"] == 400


def test_pauses_grow_and_the_patience_ends(server: Coinbase) -> None:
    pauses: list[float] = []
    said: list[str] = []
    with Exchange("coinbase", said.append, pauses.append) as exchange:
        exchange.pair("BTC", "BTC/USD")
        server.fault, server.faults = status(500), 100
        with pytest.raises(PyupcError) as caught:
            exchange.candles("BTC/USD", START, START + 10)
        assert caught.value.exit_code == 1
        assert len(pauses) == 7
        for pause, doubled in zip(pauses, [0.5, 1, 2, 4, 8, 16, 30], strict=True):
            assert doubled / 2 <= pause <= min(1.5 * doubled, 30)
        assert len(said) == 1

        # The next one may be patient again; nothing is said a second time.
        server.faults = 3
        assert len(exchange.candles("BTC/USD", START, START + 10).candles) == 10
        assert len(pauses) == 10
        assert len(said) == 1

        # How long to leave it alone is for the exchange to say, within bounds.
        server.fault, server.faults = status(429, Retry_After="9"), 1
        exchange.candles("BTC/USD", START, START + 10)
        server.fault, server.faults = status(429, Retry_After="999"), 1
        exchange.candles("BTC/USD", START, START + 10)
        assert pauses[10:] == [9, 30]


def test_a_refusal_is_not_asked_again(server: Coinbase, dsn: str) -> None:
    server.fault, server.faults = status(403), 1
    refused(run(*arguments(START, START + 10)))
    assert len(server.asked) == 1


def test_bad_values(server: Coinbase, dsn: str) -> None:
    names = ("open", "high", "low", "close", "volume")
    values = ("NaN", "inf", None, "-1", "abc", "")
    bad = dict(zip(range(START, START + 30), itertools.product(names, values), strict=True))

    def spoil(rows: Rows) -> Rows:
        return [
            {**row, **dict([bad.get(int(row["start"]) // 60, ("start", row["start"]))])}
            for row in rows
        ]

    server.spoil = spoil
    result = run(*arguments(START - 5, START + 35, "--json"))
    assert result.exit_code == 0, result.stderr
    [summary] = json.loads(result.stdout)
    assert (summary["new"], summary["refused"], summary["still_missing"]) == (10, 30, 30)
    assert moment(START) in result.stderr
    assert len(result.stderr.splitlines()) == 21
    assert stored(dsn) == candles((START - 5, START), (START + 30, START + 35))
    # There are candles, so that they will be asked for again.
    assert holes(dsn) == []
    server.spoil = lambda rows: rows
    assert backfill(START - 5, START + 35)["new"] == 30


def test_high_below_low_and_zero(server: Coinbase, dsn: str) -> None:
    server.spoil = lambda rows: [
        {**rows[0], "high": "1"},
        {**rows[1], "close": "0"},
        {**rows[2], "volume": "0"},
        *rows[3:],
    ]
    summary = backfill(START, START + 10)
    assert (summary["new"], summary["refused"], summary["still_missing"]) == (8, 2, 2)
    assert stored(dsn)[-1][5] == 0


def test_a_minute_between_two(server: Coinbase, dsn: str) -> None:
    server.spoil = lambda rows: [
        {**row, "start": str(60 * (START + 5) + 1)} if i == 4 else row for i, row in enumerate(rows)
    ]
    summary = backfill(START, START + 10)
    assert (summary["new"], summary["refused"], summary["still_missing"]) == (9, 1, 1)
    assert START + 5 not in {row[0] for row in stored(dsn)}
    assert holes(dsn) == []


def test_any_order_will_do(server: Coinbase, dsn: str) -> None:
    """ccxt sorts; what it would let through is refused elsewhere."""
    server.spoil = lambda rows: random.Random(1).sample(rows, len(rows))
    assert backfill(START, START + 100)["new"] == 100
    assert stored(dsn) == candles((START, START + 100))


def test_candles_twice(server: Coinbase, dsn: str) -> None:
    other = {**coinbase_row(START + 3), "close": "1"}
    server.spoil = lambda rows: [*rows[:5], *rows[:5], other, *rows[5:]]
    summary = backfill(START, START + 290)
    assert stored(dsn) == candles((START, START + 3), (START + 4, START + 290))
    assert (summary["new"], summary["still_missing"], holes(dsn)) == (289, 1, [])


def test_candles_of_another_time(server: Coinbase, dsn: str) -> None:
    server.spoil = lambda rows: [{**row, "start": str(int(row["start"]) + 86_400)} for row in rows]
    result = run(*arguments(START, START + 400))
    assert result.exit_code == 0
    assert stored(dsn) == []
    assert holes(dsn) == []
    assert "800 refused" in result.stdout
    assert "400 still missing" in result.stdout
    assert len(result.stderr.splitlines()) == 21


@pytest.mark.parametrize("rows", [[{"start": {}}], [7, [1, 2, 3]], [{}]])
def test_rows_that_are_none(server: Coinbase, dsn: str, rows: list[Any]) -> None:
    """ccxt drops them without a word, which looks as if there were no candles."""
    server.spoil = lambda _: rows
    summary = backfill(START, START + 10)
    assert (summary["new"], summary["pages"], summary["still_missing"]) == (0, 2, 10)
    assert holes(dsn) == []


@pytest.mark.parametrize("data", [b"{}", b'{"candles": null}', b'{"candles": []}'])
def test_no_rows(server: Coinbase, dsn: str, data: bytes) -> None:
    server.fault, server.faults = lambda handler, _: handler.reply(data), 2
    summary = backfill(START, START + 10)
    assert (summary["new"], summary["holes"], summary["still_missing"]) == (0, 10, 0)


def test_nothing_is_asked_twice_before_it_is_believed(server: Coinbase, dsn: str) -> None:
    server.fault, server.faults = lambda handler, _: handler.reply(b'{"candles": []}'), 1
    summary = backfill(START, START + 10)
    assert (summary["new"], summary["pages"], summary["holes"]) == (10, 2, 0)


def test_more_than_was_asked_for(server: Coinbase, dsn: str) -> None:
    """An exchange that does not know of an end."""
    server.spoil = lambda rows: [
        *(coinbase_row(minute) for minute in range(START + 100, START + 110)),
        *rows,
    ]
    server.lacks = {START + 50}
    assert backfill(START, START + 100)["new"] == 99
    assert stored(dsn) == candles((START, START + 50), (START + 51, START + 100))
    assert holes(dsn) == [("coinbase", 50, 51)]


# Pairs and exchanges


def test_another_dollar(server: Coinbase, dsn: str) -> None:
    server.pairs = ["BTC-EUR", "BTC-USDC", "BTC-USDT"]
    result = run(*arguments(START, START + 10, "--json"))
    assert result.exit_code == 0, result.stderr
    assert "BTC/USDT" in result.stderr
    assert json.loads(result.stdout)[0]["pair"] == "BTC/USDT"


def test_a_pair_that_is_not_listed(server: Coinbase, dsn: str) -> None:
    server.pairs = ["BTC-EUR", "ETH-USD"]
    result = run(*arguments(START, START + 10))
    refused(result)
    assert "BTC/EUR" in result.stderr
    with connect(dsn) as conn:
        conn.execute("UPDATE upc_data.symbol SET exchange_pair = 'BTC/EUR' WHERE symbol = 'BTC'")
    assert backfill(START, START + 10)["pair"] == "BTC/EUR"


def test_of_several_the_listed_ones_are_filled(server: Coinbase, dsn: str) -> None:
    server.pairs = ["ETH-USD"]
    with connect(dsn) as conn:
        conn.execute("INSERT INTO upc_data.symbol VALUES ('DOGE', 0.01, 'DOGE/USD')")
    symbols = ("--symbol", "BTC", "--symbol", "ETH", "--symbol", "DOGE")
    span = ("--since", moment(START), "--until", moment(START + 10))
    result = run("backfill", *symbols, *span, "--json")
    assert result.exit_code == 1
    assert [(row["symbol"], row["new"]) for row in json.loads(result.stdout)] == [("ETH", 10)]
    for symbol in ("BTC", "DOGE"):
        assert len([line for line in result.stderr.splitlines() if f"{symbol}/USD," in line]) == 1


def test_a_symbol_without_a_pair(server: Coinbase, dsn: str) -> None:
    with connect(dsn) as conn:
        conn.execute("UPDATE upc_data.symbol SET exchange_pair = NULL WHERE symbol = 'BTC'")
    assert backfill(START, START + 10)["pair"] == "BTC/USD"


def test_an_unknown_exchange(dsn: str) -> None:
    result = run("backfill", "--exchange", "coinbas", "--since", "2024-01-01")
    refused(result)
    assert "coinbase" in result.stderr


def test_without_ccxt(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ccxt", None)
    result = run("backfill", "--since", "2024-01-01")
    refused(result)
    assert "pyupc[feeds]" in result.stderr


def test_only_one_exchange_is_imported(server: Coinbase) -> None:
    program = (
        "import sys; from pyupc.exchange.history import Exchange\n"
        "with Exchange('coinbase', print) as exchange: print(exchange.pair('BTC', None))\n"
        "assert 'ccxt.kraken' not in sys.modules\n"
        "import ccxt; assert ccxt.kraken().id == 'kraken'\n"
        "with Exchange('kraken', print) as exchange: print(exchange.page_size)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "BTC/USD\n720\n"), done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--since", "2999-01-01"],
        ["--since", "2024-01-01", "--until", "2999-01-01"],
        ["--since", "2024-01-02", "--until", "2024-01-01"],
        ["--since", "2024-01-01", "--until", "2024-01-01"],
        ["--since", "1969-12-31"],
        ["--since", "yesterday"],
        ["--since", "2024-13-01"],
        ["--since", "0001-01-01T00:00+14:00"],
        ["--nonsense"],
    ],
)
@pytest.mark.parametrize("command", ["backfill", "gaps"])
def test_usage(command: str, options: list[str]) -> None:
    """Decided before anything is connected to."""
    refused(run(command, *options), 2)


def test_nothing_to_ask_for(server: Coinbase, dsn: str) -> None:
    refused(run("backfill", "--symbol", "BTC"), 2)
    away_from_the_minute()
    refused(run(*arguments(int(time.time() // 60), None)), 2)
    refused(run(*arguments(START, START + 1, symbol="XYZ")))
    assert server.asked == []


def test_offsets_and_seconds(server: Coinbase, dsn: str) -> None:
    since, until = "2024-01-01T01:00:30+01:00", "2024-01-01T00:04:59"
    result = run("backfill", "--symbol", "btc", "--since", since, "--until", until)
    assert result.exit_code == 0, result.stderr
    assert stored(dsn) == candles((START + 1, START + 4))


# Ends that come early, and two at once


def start(*options: str) -> subprocess.Popen[str]:
    command = [*COMMAND, "candles", *options]
    pipe = subprocess.PIPE
    return Pyupc(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_interrupted_and_resumed(server: Coinbase, dsn: str) -> None:
    server.gated = 3
    with start(*arguments(START, START + 1000)) as process:
        wait_for(lambda: len(server.asked) == 3)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, ""), said
    assert "600 candles stored, and kept" in said
    assert "Traceback" not in said
    assert stored(dsn) == candles((START + 400, START + 1000))

    server.asked.clear()
    assert backfill(START, START + 1000)["new"] == 400
    assert max(after for _, after in server.asked) == START + 400
    assert stored(dsn) == candles((START, START + 1000))


def test_a_lost_database_exits_with_3(server: Coinbase, dsn: str) -> None:
    server.gated = 3
    with start(*arguments(START, START + 1000)) as process:
        wait_for(lambda: len(server.asked) == 3)
        with connect(dsn) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        server.gate.set()
        out, said = process.communicate(timeout=30)
    assert (process.returncode, out) == (3, ""), said
    assert "600 candles stored, and kept" in said
    assert "Traceback" not in said
    assert stored(dsn) == candles((START + 400, START + 1000))


def test_two_at_once(server: Coinbase, dsn: str) -> None:
    server.lacks = {START + minute for minute in (0, 7, 8, 650, 1000, 1499)}
    server.gated = 1
    processes = [start(*arguments(START, START + 1500, "--json")) for _ in range(2)]
    wait_for(lambda: len(server.asked) >= 2)
    server.gate.set()
    summaries = []
    for process in processes:
        out, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        summaries += json.loads(out)
    assert sum(summary["new"] for summary in summaries) == 1494
    assert [summary["changed"] for summary in summaries] == [0, 0]
    expected = [m for m in range(START, START + 1500) if m not in server.lacks]
    assert stored(dsn) == [stored_row(minute) for minute in expected]
    assert [(first, after) for _, first, after in holes(dsn)] == [
        (0, 1),
        (7, 9),
        (650, 651),
        (1000, 1001),
        (1499, 1500),
    ]


def test_an_old_schema_exits_with_4(server: Coinbase, dsn: str) -> None:
    with connect(dsn) as conn:
        conn.execute("UPDATE upc_data.alembic_version SET version_num = '0000'")
    refused(run(*arguments(START, START + 10)), 4)
    refused(run("gaps"), 4)


# Gaps


def test_gaps(server: Coinbase, dsn: str) -> None:
    put(dsn, [START, START + 5, START + 10])
    with connect(dsn) as conn:
        query = "SELECT upc.record_candle_hole('BTC', %s, %s, %s)"
        conn.execute(query, ["kraken", *(EPOCH + timedelta(minutes=START + m) for m in (8, 20))])
    rows = json.loads(run("gaps", "--symbol", "BTC", "--json").stdout)
    assert rows == [
        {
            "symbol": "BTC",
            "from": moment(START + first),
            "until": moment(START + after),
            "minutes": after - first,
            "exchanges": exchanges,
        }
        for first, after, exchanges in [(1, 5, []), (6, 8, []), (8, 10, ["kraken"])]
    ]
    assert json.loads(run("gaps", "--symbol", "ETH", "--json").stdout) == []
    bounds = ["--since", moment(START + 9), "--until", moment(START + 12)]
    narrow = json.loads(run("gaps", "--symbol", "BTC", *bounds, "--json").stdout)
    assert [(row["from"], row["minutes"]) for row in narrow] == [
        (moment(START + 9), 1),
        (moment(START + 11), 1),
    ]

    result = run("gaps")
    assert result.exit_code == 0, result.stderr
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["symbol", "from", "until", "state", "minutes"]
    assert [line.split()[3:] for line in lines[:3]] == [
        ["open", "4"],
        ["open", "2"],
        ["hole", "of", "kraken", "2"],
    ]
    assert lines[3:] == ["", "BTC: 8 minutes missing", "ETH: 0 minutes missing"]
    refused(run("gaps", "--symbol", "XYZ"))


def test_help_has_examples() -> None:
    for command in ("backfill", "gaps"):
        result = run(command, "--help")
        assert result.exit_code == 0
        assert "Examples:" in result.stdout


@pytest.mark.slow
def test_the_gap_in_real_candles(dsn: str, shared_data: Path) -> None:
    path = shared_data / "btc_1m_2022_2024.csv.gz"
    assert run("load", str(path), "--symbol", "BTC").exit_code == 0
    [gap] = json.loads(run("gaps", "--symbol", "BTC", "--json").stdout)
    assert gap["minutes"] == 80
    assert gap["from"].startswith("2023-03-24T")
    assert gap["until"].startswith("2023-03-24T")
