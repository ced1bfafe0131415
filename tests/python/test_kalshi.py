"""The client of Kalshi and the loop that follows its events, over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from pyupc import __version__
from pyupc.errors import PyupcError, UsageProblem
from pyupc.feed.backoff import Backoff
from pyupc.feed.clock import Skew
from pyupc.feed.events import Times, follow_event, next_start
from pyupc.feed.kalshi import Kalshi, Upcoming
from pyupc.feed.kalshi_http import KalshiError, base_url
from pyupc.feed.report import Report
from tests.python.kalshi_server import Exchange, Listed, Reply, Request, Server, market, said

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LONG = 20.0


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("PYUPC_KALSHI_URL", raising=False)


def run(test: Callable[[], Awaitable[None]]) -> None:
    """What happens in an event loop, and no longer than a test may take."""

    async def limited() -> None:
        async with asyncio.timeout(LONG):
            await test()

    asyncio.run(limited())


def listed(
    ticker: str, opens_at: datetime, closes_at: datetime, strikes: int = 3, **fields: Any
) -> Listed:
    markets = [market(ticker, 97_500 + 250 * k, closes_at) for k in range(strikes)]
    return Listed(ticker, opens_at, closes_at, markets, **fields)


def hour(k: int, *, opens_early: timedelta = timedelta(), **fields: Any) -> Listed:
    """The event that closes k hours after noon."""
    closes_at = NOON + k * HOUR
    return listed(f"KXBTCD-26JUN01{12 + k}", closes_at - HOUR - opens_early, closes_at, **fields)


# The address


def test_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert base_url() == base_url("production") == "https://external-api.kalshi.com/trade-api/v2"
    assert base_url("demo") == "https://external-api.demo.kalshi.co/trade-api/v2"
    assert base_url("http://127.0.0.1:8000/trade-api/v2/") == "http://127.0.0.1:8000/trade-api/v2"
    monkeypatch.setenv("PYUPC_KALSHI_URL", "demo")
    assert base_url() == base_url("demo")
    assert base_url("production") == "https://external-api.kalshi.com/trade-api/v2"
    monkeypatch.setenv("PYUPC_KALSHI_URL", " ")
    assert base_url() == base_url("production")


@pytest.mark.parametrize("wrong", ["prod", "ftp://example.com", "https://", "//host", "http://a:b"])
def test_a_wrong_address(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("PYUPC_KALSHI_URL", wrong)
    with pytest.raises(UsageProblem) as caught:
        base_url()
    assert caught.value.hint


# What is asked, and what is made of it


def test_requests_share_a_connection_and_say_who_asks() -> None:
    async def test() -> None:
        async with Server(Exchange([hour(1)], lambda: NOON)) as server:
            async with Kalshi(server.url) as client:
                for _ in range(3):
                    await client.event("KXBTCD-26JUN0113")
            assert {request.connection for request in server.requests} == {1}
            for request in server.requests:
                assert request.headers["user-agent"] == f"pyupc/{__version__}"
                assert request.query == {"with_nested_markets": "true"}

    run(test)


def test_the_next_event_is_the_first_to_close_within_the_hour() -> None:
    """Of several pages, in no order; what closes later than in an hour does not count."""
    events = [hour(k, opens_early=9 * HOUR) for k in (5, 2, 7, 1, 3)]
    events.append(listed("KXETHD-26JUN0113", NOON, NOON + HOUR, series="KXETHD"))

    async def test() -> None:
        async with (
            Server(Exchange(events, lambda: NOON, page=2)) as server,
            Kalshi(server.url) as client,
        ):
            found = await client.next_event("KXBTCD", NOON)
            assert found == Upcoming("KXBTCD-26JUN0113", NOON + HOUR)
            assert server.paths() == ["/events"] * 3
            assert server.requests[0].query["status"] == "open"
            found = await client.next_event("KXBTCD", NOON + HOUR)
            assert found == Upcoming("KXBTCD-26JUN0114", NOON + 2 * HOUR)
            for at in (NOON + 3 * HOUR, NOON - timedelta(microseconds=1)):
                assert await client.next_event("KXBTCD", at) is None

    run(test)


def test_an_event_that_is_not_open_yet_is_found_by_its_close() -> None:
    events = [hour(1, strikes=5), hour(2, strikes=5), hour(3, strikes=5)]

    async def test() -> None:
        async with (
            Server(Exchange(events, lambda: NOON, page=3)) as server,
            Kalshi(server.url) as client,
        ):
            found = await client.next_event("KXBTCD", NOON + HOUR)
            assert found == Upcoming("KXBTCD-26JUN0114", NOON + 2 * HOUR)
            assert server.paths() == ["/events", "/markets", "/markets"]

    run(test)


def test_the_document_is_passed_through() -> None:
    body = b"""{"event": {"event_ticker": "E", "strike_date": "2026-06-01T14:00:00Z", "markets": [
        {"ticker": "E-1", "floor_strike": 97499.990, "yes_ask_dollars": "0.0150", "result": "yes",
         "close_time": "2026-06-01T13:00:00Z"},
        {"ticker": "E-2", "floor_strike": 1e-2, "close_time": "2026-06-01T12:00:00Z"}]}}"""

    async def test() -> None:
        async with (
            Server(lambda request: Reply(body)) as server,
            Kalshi(server.url, now=lambda: NOON) as client,
        ):
            reading = await client.event("E")
            assert reading.text.encode() == body
            assert (reading.ticker, reading.received_at) == ("E", NOON)
            assert reading.closes_at == NOON + HOUR
            assert not reading.is_settled

    run(test)


@pytest.mark.parametrize(
    "first",
    [
        '{"event": {"event_ticker": "E/1"}}',
        '{"event": {"event_ticker": "E/1", "markets": null}}',
        '{"event": {"event_ticker": "E/1", "markets": []}, "markets": []}',
        '{"event": {"event_ticker": "E/1", "markets": [{"ticker": "A"}]}, "cursor": "2"}',
    ],
)
def test_markets_that_are_missing_are_asked_for(first: str) -> None:
    """From all pages, and every digit of them is kept."""
    pages = {
        "": '{"markets": [{"ticker": "A", "floor_strike": 97499.9900, "result": "no"}, 7],'
        ' "cursor": "x y"}',
        "x y": '{"markets": [{"ticker": "B", "floor_strike": 12345678901234567890.123456789,'
        ' "result": "yes", "close_time": "2026-06-01T13:00:00"}], "cursor": null}',
    }

    def answer(request: Request) -> Reply:
        if request.path == "/events/E%2F1":
            return Reply(first.encode())
        assert request.path == "/markets"
        assert request.query["event_ticker"] == "E/1"
        return Reply(pages[request.query.get("cursor", "")].encode())

    async def test() -> None:
        async with Server(answer) as server, Kalshi(server.url) as client:
            reading = await client.event("E/1")
            markets = json.loads(reading.text)["event"]["markets"]
            assert [each["ticker"] for each in markets] == ["A", "B"]
            strikes = [Decimal(each["floor_strike"]) for each in markets]
            assert strikes == [Decimal("97499.99"), Decimal("12345678901234567890.123456789")]
            assert reading.closes_at == NOON + HOUR
            assert reading.is_settled

    run(test)


def test_markets_beside_the_event_do_as_well() -> None:
    beside = {"event": {"event_ticker": "E"}, "markets": [market("E", 97_500, NOON)]}
    hidden = {**beside, "event": {"event_ticker": "E", "markets": []}}

    async def test() -> None:
        for document in (beside, hidden):
            async with (
                Server(lambda request, d=document: said(d)) as server,  # type: ignore[misc]
                Kalshi(server.url) as client,
            ):
                reading = await client.event("E")
                found = json.loads(reading.text)
                markets = found["event"].get("markets") or found["markets"]
                assert [each["ticker"] for each in markets] == ["E-T97499.99"]
                assert len(server.requests) == 1

    run(test)


def test_the_database_takes_every_form_alike(db: psycopg.Connection[Any]) -> None:
    """Markets within the event, beside it, or put together from pages."""
    event = hour(1, strikes=5)
    event.markets[0] |= {"yes_ask_dollars": "0.0150", "no_ask_dollars": "0.0000"}
    bare = said({"event": event.document()})

    def paged(request: Request) -> Reply | None:
        return bare if request.path.startswith("/events/") else None

    async def read(**options: Any) -> str:
        async with (
            Server(Exchange([event], lambda: NOON, **options)) as server,
            Kalshi(server.url) as client,
        ):
            return (await client.event(event.ticker)).text

    async def test() -> None:
        for options in ({}, {"nested": False}, {"before": paged, "page": 2}):
            db.execute("DELETE FROM upc_data.market_event")
            db.execute(
                "SELECT upc.load_market(%s::jsonb, 'BTC', %s)", (await read(**options), NOON)
            )
            found.append(
                db.execute("TABLE upc_data.market_event").fetchall()
                + db.execute("SELECT * FROM upc_data.market_quote ORDER BY strike").fetchall()
            )

    found: list[list[Any]] = []
    run(test)
    assert len(found[0]) == 1 + 5
    assert found[0][1][3:7] == (97_500, "active", Decimal("0.55"), Decimal("0.0150"))
    assert found[0] == found[1] == found[2]


# What goes wrong


GOOD = json.dumps({"event": {"event_ticker": "E", "markets": [market("E", 97_500, NOON)]}}).encode()

FAILURES = [
    (Reply(GOOD, status=404), "HTTP 404, not found", 404),
    (Reply(b'{"error": "too many requests"}', status=429), "HTTP 429, too many requests", 429),
    (Reply(GOOD, status=500), "HTTP 500", 500),
    (Reply(b"<html>", status=503), "HTTP 503", 503),
    (Reply(GOOD, status=204), "HTTP 204", 204),
    (Reply(GOOD, missing=10), "not JSON: truncated", None),
    (Reply(GOOD, missing=len(GOOD)), "not JSON: truncated", None),
    (Reply(GOOD[:-1]), "not JSON: truncated", None),
    (Reply(GOOD[: len(GOOD) // 2]), "not JSON: truncated", None),
    (Reply(b""), "not JSON: truncated", None),
    (Reply(b"<html><body>Bad gateway</body></html>"), "not JSON", None),
    (Reply(b'{"event": NaN}'), "not JSON", None),
    (Reply(b"9" * 5000), "not JSON", None),
    (Reply(b"[" * 100_000), "not JSON", None),
    (Reply(b'{"event": "\xff"}'), "not JSON: no UTF-8", None),
    (Reply(b"[]"), "not JSON as Kalshi writes it: no object", None),
    (
        Reply(gzip.compress(GOOD)[:-9], headers={"Content-Encoding": "gzip"}),
        "not JSON: truncated",
        None,
    ),
    (Reply(GOOD, headers={"Content-Encoding": "gzip"}), "not JSON: damaged compression", None),
    (Reply(b"{}"), "the answer is not the event", None),
    (Reply(GOOD.replace(b'"E"', b'"F"')), "the answer is not the event", None),
    (Reply(b'{"event": ["event_ticker"]}'), "the answer is not the event", None),
    (Reply(b'{"event": {"event_ticker": "E"}}'), "the answer has no markets", None),
    (Reply(is_dropped=True), "the connection was closed", None),
    (Reply(b"1" * 1000, is_endless=True), "more than 100,000 bytes in an answer", None),
    (
        Reply(gzip.compress(b" " * 200_000), headers={"Content-Encoding": "gzip"}),
        "more than 100,000 bytes in an answer",
        None,
    ),
    (Reply(b" ", is_endless=True, pause=0.02), "no answer within 0.3 s", None),
    (Reply(GOOD, pause=5), "no answer within 0.3 s", None),
]


@pytest.mark.parametrize(("reply", "reason", "status"), FAILURES)
def test_every_failure_is_a_short_reason(reply: Reply, reason: str, status: int | None) -> None:
    async def test() -> None:
        async with (
            Server(lambda request: reply) as server,
            Kalshi(server.url, request_seconds=0.3, most_bytes=100_000) as client,
        ):
            with pytest.raises(KalshiError) as caught:
                await client.event("E")
            assert (caught.value.message, caught.value.status) == (reason, status)
            # The next one is not the worse for it.
            server.answer = lambda request: Reply(GOOD)
            assert (await client.event("E")).ticker == "E"

    run(test)


def test_no_server() -> None:
    async def test() -> None:
        async with Server(lambda request: Reply()) as server:
            url = server.url
        async with Kalshi(url) as client:
            with pytest.raises(KalshiError) as caught:
                await client.next_event("KXBTCD", NOON)
            assert caught.value.message == "connection refused"

    run(test)


def test_redirects_are_not_followed() -> None:
    async def test() -> None:
        async with Server(lambda request: Reply(GOOD)) as elsewhere:
            target = {"Location": f"{elsewhere.url}/events/E"}
            async with (
                Server(lambda request: Reply(b"", status=302, headers=target)) as server,
                Kalshi(server.url) as client,
            ):
                with pytest.raises(KalshiError) as caught:
                    await client.event("E")
            assert (caught.value.message, caught.value.status) == ("HTTP 302", 302)
            assert elsewhere.requests == []

    run(test)


@pytest.mark.parametrize(
    ("cursor", "requests"), [(lambda k: "same", 2), (lambda k: str(k), 50)], ids=["same", "new"]
)
def test_pages_that_do_not_end(cursor: Callable[[int], str], requests: int) -> None:
    async def test() -> None:
        async with Server(lambda request: Reply()) as server, Kalshi(server.url) as client:
            server.answer = lambda request: said(
                {"events": [], "cursor": cursor(len(server.requests))}
            )
            with pytest.raises(KalshiError) as caught:
                await client.next_event("KXBTCD", NOON)
            assert caught.value.message == "the pages of events do not end"
            assert len(server.requests) == requests

    run(test)


@pytest.mark.parametrize("document", [{}, {"events": None}, {"events": {"a": 1}}, {"markets": []}])
def test_a_list_that_is_none(document: Any) -> None:
    async def test() -> None:
        async with (
            Server(lambda request: said(document)) as server,
            Kalshi(server.url) as client,
        ):
            with pytest.raises(KalshiError) as caught:
                await client.next_event("KXBTCD", NOON)
            assert caught.value.message == "the answer has no events"

    run(test)


def test_events_without_a_usable_date_are_passed_over() -> None:
    dates = [None, "", "soon", 7, "2026-06-01T13:00:00+00:00", "2026-13-01"]
    events = [{"event_ticker": f"E{k}", "strike_date": date} for k, date in enumerate(dates)]
    odd = [7, None, {}, {"event_ticker": 5, "strike_date": "2026-06-01T12:30:00Z"}]

    async def test() -> None:
        async with (
            Server(lambda request: said({"events": [*odd, *events]})) as server,
            Kalshi(server.url) as client,
        ):
            assert await client.next_event("X", NOON) == Upcoming("E4", NOON + HOUR)

    run(test)


# The server's clock


def test_the_servers_clock_is_measured() -> None:
    ahead = NOON + timedelta(seconds=100)

    async def test() -> None:
        async with (
            Server(Exchange([hour(1)], lambda: ahead)) as server,
            Kalshi(server.url, now=lambda: NOON) as client,
        ):
            assert client.skew.seconds is None
            await client.event("KXBTCD-26JUN0113")
            # The header has whole seconds, rounded down: half a second more is the best guess.
            assert client.skew.seconds == 100.5
            assert client.skew.uncertainty == 1.0

    run(test)


def test_the_skew_is_the_median_of_the_newest() -> None:
    skew = Skew(kept=5)
    for late in (50, 50, 50, 3, 1, 2, 90, 2):
        header = (NOON + timedelta(seconds=late)).strftime("%a, %d %b %Y %H:%M:%S GMT")
        skew.measure(header, NOON - timedelta(seconds=0.4), NOON + timedelta(seconds=0.4))
    # Of 3, 1, 2, 90 and 2 seconds, from the middle of the round trip to the middle of the second.
    assert skew.seconds == pytest.approx(2.5)
    assert skew.uncertainty == pytest.approx(0.4 + 1)


@pytest.mark.parametrize("header", ["", "yesterday", "Mon, 99 Jun 2026 12:00:00 GMT"])
def test_a_date_that_is_none(header: str) -> None:
    skew = Skew()
    skew.measure(header, NOON, NOON)
    assert skew.seconds is None
    assert skew.uncertainty is None


def test_a_clock_that_was_set_back_measures_nothing() -> None:
    skew = Skew()
    skew.measure("Mon, 01 Jun 2026 12:00:00 GMT", NOON, NOON - HOUR)
    assert skew.seconds is None


def test_what_a_cache_has_kept_is_not_measured() -> None:
    headers = {"Date": "Mon, 01 Jun 2026 12:00:00 GMT", "Age": "7"}

    async def test() -> None:
        async with (
            Server(lambda request: Reply(GOOD, headers=headers)) as server,
            Kalshi(server.url) as client,
        ):
            await client.event("E")
            assert client.skew.seconds is None

    run(test)


# Pauses


def test_pauses_double_and_begin_again() -> None:
    backoff = Backoff(chance=lambda: 0.5)
    assert [backoff.failed() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    backoff.succeeded()
    assert backoff.failed() == 0.5


def test_pauses_vary_by_half() -> None:
    for chance, factor in ((0.0, 0.5), (0.25, 0.75), (1.0, 1.5)):
        backoff = Backoff(chance=lambda chance=chance: chance)  # type: ignore[misc]
        assert [backoff.failed() for _ in range(3)] == [0.5 * factor, factor, 2 * factor]
        for _ in range(2000):
            assert backoff.failed() <= 30


def test_too_many_requests_slow_the_rate() -> None:
    backoff = Backoff(chance=lambda: 0.0)
    assert backoff.failed(is_limited=True) == 1
    assert backoff.slowdown == 2
    for _ in range(5):
        assert backoff.failed(is_limited=True) >= 1
    assert backoff.slowdown == 8
    for expected in (4, 2, 1, 1):
        for _ in range(60):
            backoff.succeeded()
        assert backoff.slowdown == expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [(10.0, 11), (10.9, 11), (11.0, 11), (11.001, 12), (13.5, 14), (9.0, 11)],
)
def test_reads_begin_an_interval_apart(at: float, expected: float) -> None:
    assert next_start(10.0, at, 1.0) == pytest.approx(expected)


# What is told


class Told:
    """A report with a clock of its own, and the lines that came of it."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.WARNING, "pyupc.feed")
        self._caplog = caplog
        self.at = 0.0
        self.report = Report(lambda: self.at)

    def lines(self) -> list[tuple[str, str]]:
        found = [(r.levelname, r.getMessage()) for r in self._caplog.records]
        self._caplog.clear()
        return found


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    return Told(caplog)


def test_a_failure_is_told_once(told: Told) -> None:
    told.report.works("Kalshi BTC")
    assert told.lines() == []
    for second in range(200):
        told.at = second
        told.report.failed("Kalshi BTC", "HTTP 500")
    assert told.lines() == [("ERROR", "Kalshi BTC: HTTP 500")]
    assert told.report.failing() == {"Kalshi BTC": "HTTP 500"}
    told.at = 200
    told.report.works("Kalshi BTC")
    told.report.works("Kalshi BTC")
    assert told.lines() == [("WARNING", "Kalshi BTC: back after 3 min")]
    assert told.report.failing() == {}


def test_another_reason_and_another_subject_are_told(told: Told) -> None:
    told.report.failed("Kalshi BTC", "HTTP 500")
    told.report.failed("coinbase BTC", "HTTP 500")
    told.report.failed("Kalshi BTC", "connection refused")
    told.at = 4.2
    told.report.works("coinbase BTC")
    assert told.lines() == [
        ("ERROR", "Kalshi BTC: HTTP 500"),
        ("ERROR", "coinbase BTC: HTTP 500"),
        ("ERROR", "Kalshi BTC: connection refused"),
        ("WARNING", "coinbase BTC: back after 4.2 s"),
    ]


def test_there_is_a_reminder_every_five_minutes(told: Told) -> None:
    for second in range(0, 3 * 3600, 10):
        told.at = second
        told.report.failed("Kalshi BTC", "HTTP 500")
    lines = told.lines()
    assert len(lines) == 36
    assert lines[1] == ("ERROR", "Kalshi BTC: still HTTP 500, for 5 min")
    assert lines[-1] == ("ERROR", "Kalshi BTC: still HTTP 500, for 3 h")


def test_what_comes_and_goes_does_not_fill_the_log(told: Told) -> None:
    for second in range(3000):
        told.at = second
        told.report.failed("Kalshi BTC", ("HTTP 500", "not JSON")[second // 2 % 2])
        if second % 2:
            told.report.works("Kalshi BTC")
    assert 12 <= len(told.lines()) <= 2 * 6 * 11


# Following events


class Clock:
    """Our clock: it begins at an instant and goes on with the loop's, unless it is held."""

    def __init__(self, begins_at: datetime) -> None:
        self.set(begins_at)

    def __call__(self) -> datetime:
        passed = asyncio.get_running_loop().time() - self._since
        return self._at + timedelta(seconds=passed * self._rate)

    def set(self, at: datetime, *, is_held: bool = False) -> None:
        self._at = at
        self._since = asyncio.get_running_loop().time()
        self._rate = 0 if is_held else 1


@dataclass
class Stored:
    """What came to the store: event and moment; `refuses` may raise instead."""

    refuses: Callable[[int], None] = lambda count: None
    rows: list[tuple[str, str, datetime]] = field(default_factory=list)
    results: dict[str, list[str]] = field(default_factory=dict)

    async def market(self, symbol: str, document: str, read_at: datetime) -> None:
        self.refuses(len(self.rows))
        event = json.loads(document)["event"]
        self.rows.append((symbol, event["event_ticker"], read_at))
        self.results[event["event_ticker"]] = [each["result"] for each in event["markets"]]

    def events(self, symbol: str = "BTC") -> list[str]:
        """Each event once for each time that it begins to be read."""
        names = [event for row, event, _ in self.rows if row == symbol]
        return [b for a, b in zip(["", *names], names, strict=False) if a != b]

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.005)


QUICK = Times(look_again=0.05, eager=0.5, ahead=0.2, ahead_again=0.05, settle_every=30)


@dataclass
class Scene:
    """A follower of BTC at work, with all that it works on."""

    client: Kalshi
    server: Server
    exchange: Exchange
    clock: Clock
    report: Report
    backoff: Backoff
    store: Stored = field(default_factory=Stored)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def follow(
        self, symbol: str = "BTC", series: str = "KXBTCD", times: Times = QUICK
    ) -> asyncio.Task[None]:
        return asyncio.create_task(
            follow_event(
                self.client,
                symbol,
                series,
                self.store,
                self.report,
                self.stop,
                self.clock,
                0.02,
                times=times,
                backoff=self.backoff,
            )
        )


def play(
    begins_at: datetime,
    events: list[Listed],
    scene: Callable[[Scene], Awaitable[None]],
    told: Told,
    **options: Any,
) -> None:
    """Follow the events of an exchange while `scene` looks on; then stop, which takes no time."""

    async def test() -> None:
        clock = Clock(begins_at)
        exchange = Exchange(events, clock, **options)
        async with Server(exchange) as server, Kalshi(server.url, now=clock) as client:
            backoff = Backoff(chance=lambda: 0.0)
            its = Scene(client, server, exchange, clock, told.report, backoff)
            await scene(its)
            its.stop.set()

    run(test)


def test_an_event_is_read_again_and_again(told: Told) -> None:
    async def scene(its: Scene) -> None:
        following = its.follow()
        await its.store.until(lambda: len(its.store.rows) >= 5)
        its.stop.set()
        await following
        assert {(symbol, event) for symbol, event, _ in its.store.rows} == {
            ("BTC", "KXBTCD-26JUN0113")
        }
        moments = [at for _, _, at in its.store.rows]
        assert moments == sorted(moments)
        assert NOON < moments[0] < moments[-1] <= its.clock()
        assert its.server.paths().count("/events") == 1

    play(NOON + timedelta(minutes=10), [hour(1), hour(2)], scene, told)
    assert told.lines() == []


CLOSE = NOON + HOUR
BEFORE = CLOSE - timedelta(minutes=10)


async def roll_over(its: Scene, times: Times = QUICK) -> asyncio.Task[None]:
    """Follow the first event beyond its close; it was read before, so that it was the first."""
    following = its.follow(times=times)
    await its.store.until(lambda: bool(its.store.rows))
    its.clock.set(CLOSE)
    await its.store.until(lambda: len(its.store.events()) >= 2)
    return following


def test_at_the_close_the_next_event_follows(told: Told) -> None:
    """It is known by then, although it opens only then; and it is read at once."""

    async def scene(its: Scene) -> None:
        following = its.follow()
        await its.store.until(lambda: len(its.store.rows) >= 3)
        assert "/markets" not in its.server.paths()
        its.clock.set(CLOSE - timedelta(seconds=0.1), is_held=True)
        await its.store.until(lambda: "/markets" in its.server.paths())
        rows = len(its.store.rows)
        await its.store.until(lambda: len(its.store.rows) >= rows + 3)
        assert its.store.events() == ["KXBTCD-26JUN0113"]
        lists = its.server.paths().count("/events")
        its.clock.set(CLOSE)
        await its.store.until(lambda: len(its.store.events()) == 2)
        its.stop.set()
        await following
        assert its.store.events()[1] == "KXBTCD-26JUN0114"
        assert timedelta() <= its.store.rows[-1][2] - CLOSE < timedelta(seconds=2)
        assert its.server.paths().count("/events") == lists
        assert its.server.paths().count("/markets") == 1

    play(BEFORE, [hour(1), hour(2), hour(3)], scene, told)
    assert told.lines() == []


def test_an_event_that_is_listed_late_is_waited_for(told: Told) -> None:
    """For a while it is looked for at every interval, and nothing is said."""
    times = Times(look_again=60, eager=60, ahead=0, settle_every=60)

    async def scene(its: Scene) -> None:
        following = its.follow(times=times)
        await its.store.until(lambda: bool(its.store.rows))
        its.clock.set(CLOSE)
        lists = its.server.paths().count("/events")
        await its.store.until(lambda: its.server.paths().count("/events") >= lists + 5)
        its.exchange.events.append(hour(2))
        await its.store.until(lambda: len(its.store.events()) == 2)
        its.stop.set()
        await following

    play(BEFORE, [hour(1)], scene, told)
    assert told.lines() == []


def test_no_event_is_told_once(told: Told) -> None:
    async def scene(its: Scene) -> None:
        following = its.follow()
        await its.store.until(lambda: len(its.server.requests) >= 6)
        assert told.lines() == [("ERROR", "Kalshi BTC: no event closes within the hour")]
        its.exchange.events.append(hour(1))
        await its.store.until(lambda: bool(its.store.rows))
        its.stop.set()
        await following
        assert its.store.events() == ["KXBTCD-26JUN0113"]

    play(NOON + timedelta(minutes=10), [hour(3), hour(4, opens_early=HOUR)], scene, told)
    [(level, line)] = told.lines()
    assert (level, line.startswith("Kalshi BTC: back after")) == ("WARNING", True)


def test_an_event_that_closes_before_its_date_is_left(told: Told) -> None:
    """It is not taken for the next one again and again."""
    early = hour(1)
    for each in early.markets:
        each["close_time"] = "2026-06-01T12:10:00Z"

    async def scene(its: Scene) -> None:
        following = its.follow()
        await its.store.until(lambda: its.server.paths().count("/events") >= 5)
        its.stop.set()
        await following
        assert its.server.paths().count("/events/KXBTCD-26JUN0113") == 1

    play(NOON + timedelta(minutes=10), [early], scene, told)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(GOOD, status=500), "HTTP 500"),
        (Reply(GOOD, missing=3), "not JSON: truncated"),
        (Reply(is_dropped=True), "the connection was closed"),
    ],
)
def test_a_failure_is_told_and_tried_again(told: Told, reply: Reply, reason: str) -> None:
    async def scene(its: Scene) -> None:
        its.exchange.before = lambda request: reply if 4 < len(its.server.requests) < 7 else None
        following = its.follow()
        await its.store.until(lambda: len(its.server.requests) >= 8)
        its.stop.set()
        await following
        assert its.store.events() == ["KXBTCD-26JUN0113"]

    play(NOON + timedelta(minutes=10), [hour(1)], scene, told)
    lines = [line for _, line in told.lines()]
    assert lines == [f"Kalshi BTC: {reason}", "Kalshi BTC: back after 0.0 s"]


def test_too_many_requests_slow_it_down(told: Told) -> None:
    async def scene(its: Scene) -> None:
        limited = Reply(b'{"error": "too many requests"}', status=429)
        its.exchange.before = lambda request: limited if len(its.server.requests) == 3 else None
        following = its.follow()
        began = its.clock()
        await its.store.until(lambda: len(its.server.requests) >= 4)
        its.stop.set()
        await following
        assert its.clock() - began >= timedelta(seconds=1)
        assert its.backoff.slowdown == 2

    play(NOON + timedelta(minutes=10), [hour(1)], scene, told)
    assert told.lines()[0] == ("ERROR", "Kalshi BTC: HTTP 429, too many requests")


def test_an_event_that_is_gone_is_looked_for_anew(told: Told) -> None:
    async def scene(its: Scene) -> None:
        following = its.follow()
        await its.store.until(lambda: bool(its.store.rows))
        its.exchange.events[:] = [listed("KXBTCD-NEW", NOON, NOON + HOUR)]
        await its.store.until(lambda: len(its.store.events()) >= 2)
        its.stop.set()
        await following
        assert its.store.events() == ["KXBTCD-26JUN0113", "KXBTCD-NEW"]

    play(NOON + timedelta(minutes=10), [hour(1)], scene, told)
    assert told.lines()[0] == ("ERROR", "Kalshi BTC: HTTP 404, not found")


def test_a_document_that_is_refused_is_told(told: Told) -> None:
    async def scene(its: Scene) -> None:
        refusals = iter([True, True, False])

        def refuses(count: int) -> None:
            if count == 2 and next(refusals):
                raise PyupcError("yes_ask_dollars of A is not as Kalshi writes it: nan")

        its.store.refuses = refuses
        following = its.follow()
        await its.store.until(lambda: len(its.store.rows) >= 4)
        its.stop.set()
        await following

    play(NOON + timedelta(minutes=10), [hour(1)], scene, told)
    told_lines = [line for _, line in told.lines()]
    assert told_lines[0] == "Kalshi BTC: yes_ask_dollars of A is not as Kalshi writes it: nan"
    assert len(told_lines) == 2


def test_a_slow_answer_holds_up_neither_another_symbol_nor_the_end(told: Told) -> None:
    """And it is waited for: no second answer about the same event overtakes it."""
    ether = listed("KXETHD-26JUN0113", NOON, NOON + HOUR, series="KXETHD")

    async def scene(its: Scene) -> None:
        held = asyncio.Event()
        slow = Reply(GOOD, held=held)
        its.exchange.before = lambda request: slow if "KXBTCD-26" in request.path else None
        tasks = [its.follow(), its.follow("ETH", "KXETHD")]
        await its.store.until(lambda: len(its.store.rows) >= 8)
        assert {symbol for symbol, _, _ in its.store.rows} == {"ETH"}
        assert its.server.most_under_way["/events/KXBTCD-26JUN0113"] == 1
        began = its.clock()
        its.stop.set()
        await asyncio.gather(*tasks)
        assert its.clock() - began < timedelta(seconds=1)
        held.set()

    play(NOON + timedelta(minutes=10), [hour(1), ether], scene, told)


def test_the_end_does_not_wait_for_a_pause(told: Told) -> None:
    async def scene(its: Scene) -> None:
        following = its.follow(times=Times())
        await its.store.until(lambda: bool(told.report.failing()))
        began = its.clock()
        its.stop.set()
        await following
        assert its.clock() - began < timedelta(seconds=1)

    play(NOON, [], scene, told)


def test_a_cancelled_follower_leaves_nothing_behind(told: Told) -> None:
    async def scene(its: Scene) -> None:
        following = await roll_over(its, Times(settle_every=60))
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert [task for task in others if "follow" in repr(task.get_coro()).lower()] == []

    play(BEFORE, [hour(1), hour(2)], scene, told)


def test_a_closed_event_is_read_until_it_has_results(told: Told) -> None:
    times = Times(0.05, 0.5, 0.2, 0.05, settle_every=0.03, settle_for=60)

    async def scene(its: Scene) -> None:
        following = await roll_over(its, times)
        closed = "KXBTCD-26JUN0113"
        read = its.server.paths().count(f"/events/{closed}")
        await its.store.until(lambda: its.server.paths().count(f"/events/{closed}") >= read + 3)
        for each in its.exchange.events[0].markets:
            each |= {"result": "yes", "status": "finalized"}
        await its.store.until(lambda: its.store.results[closed] == ["yes"] * 3)
        read = its.server.paths().count(f"/events/{closed}")
        rows = len(its.store.rows)
        await its.store.until(lambda: len(its.store.rows) >= rows + 5)
        assert its.server.paths().count(f"/events/{closed}") == read
        its.stop.set()
        await following

    play(BEFORE, [hour(1), hour(2)], scene, told)
    assert told.lines() == []


def test_an_event_without_results_is_given_up(told: Told) -> None:
    times = Times(0.05, 0.5, 0.2, 0.05, settle_every=0.03, settle_for=0.1)

    async def scene(its: Scene) -> None:
        following = await roll_over(its, times)
        await asyncio.sleep(0.3)
        read = its.server.paths().count("/events/KXBTCD-26JUN0113")
        rows = len(its.store.rows)
        await its.store.until(lambda: len(its.store.rows) >= rows + 5)
        assert its.server.paths().count("/events/KXBTCD-26JUN0113") == read
        its.stop.set()
        await following

    play(BEFORE, [hour(1), hour(2)], scene, told)
