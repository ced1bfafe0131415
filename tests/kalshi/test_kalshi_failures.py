"""Failures of the client of Kalshi: answers that are none."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest

from pyupc.kalshi.api import Kalshi, Upcoming
from pyupc.kalshi.http import KalshiError
from tests.support.kalshi_scene import GOOD, HOUR, NOON, run
from tests.support.kalshi_server import Reply, Server, json_reply


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("PYUPC_KALSHI_URL", raising=False)


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
            server.answer = lambda request: json_reply(
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
            Server(lambda request: json_reply(document)) as server,
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
            Server(lambda request: json_reply({"events": [*odd, *events]})) as server,
            Kalshi(server.url) as client,
        ):
            assert await client.next_event("X", NOON) == Upcoming("E4", NOON + HOUR)

    run(test)
