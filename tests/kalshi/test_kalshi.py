"""The client of Kalshi, over real HTTP on loopback."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from pyupc import __version__
from pyupc.errors import UsageProblem
from pyupc.kalshi.api import Kalshi, Upcoming
from pyupc.kalshi.http import base_url
from pyupc.runtime.server_clock import Skew
from tests.support.kalshi_scene import GOOD, HOUR, NOON, hour, listed, run
from tests.support.kalshi_server import Exchange, Reply, Request, Server, json_reply, market


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("PYUPC_KALSHI_URL", raising=False)


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


# Requests and their answers


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
    """From several pages, in no order; events that close later than in an hour do not count."""
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
def test_missing_markets_are_requested(first: str) -> None:
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
                Server(lambda request, d=document: json_reply(d)) as server,  # type: ignore[misc]
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
    bare = json_reply({"event": event.document()})

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
                + db.execute("SELECT * FROM upc_data.market_quote ORDER BY lower").fetchall()
            )

    found: list[list[Any]] = []
    run(test)
    assert len(found[0]) == 1 + 5
    assert found[0][1][3:7] == (97_500, "active", Decimal("0.55"), Decimal("0.0150"))
    assert found[0] == found[1] == found[2]


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
