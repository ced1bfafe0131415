"""Failures of an exchange in words: which may pass, which are limits, and how long to wait."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

import pytest

pytest.importorskip("ccxt", reason="needs the extra feeds")

import aiohttp

from pyupc.exchange.problems import ExchangeProblem, Response, by_status, translated

errors: Any = importlib.import_module("ccxt.base.errors")
REFUSED = ConnectionRefusedError(111, "")


def wrapped(outer: Exception, inner: Exception) -> Exception:
    """Chain the exceptions like ccxt, which wraps those of aiohttp."""
    outer.__cause__ = inner
    return outer


def caught(error: BaseException) -> ExchangeProblem:
    with pytest.raises(ExchangeProblem) as found, translated(10.0):
        raise error
    return found.value


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_a_status_that_may_pass(status: int) -> None:
    problem = by_status(Response(status, "Some Phrase", {}), errors.ExchangeError("body"))
    assert (problem.is_refusal, problem.is_limit, problem.wait) == (False, status == 429, 0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 451])
def test_a_status_that_refuses(status: int) -> None:
    for error in (None, errors.ExchangeError("coinbase not in your country")):
        problem = by_status(Response(status, "", {}), error)
        assert (problem.is_refusal, problem.is_limit) == (True, False)
        assert str(status) in problem.reason
    assert "not in your country" in problem.reason


@pytest.mark.parametrize(
    ("header", "wait"),
    [("9", 9), ("0", 0), ("1200", 1200), ("", 0), ("-1", 0), ("1.5", 0), ("99999", 0), ("soon", 0)],
)
def test_the_pause_that_an_exchange_asks_for(header: str, wait: float) -> None:
    for status in (429, 503):
        assert by_status(Response(status, "", {"retry-after": header}), None).wait == wait


def test_a_limit_has_one_reason_however_it_comes() -> None:
    by_class = caught(errors.RateLimitExceeded("coinbase slow down"))
    assert (by_class.is_limit, by_class.is_refusal) == (True, False)
    for error in (None, errors.RateLimitExceeded("x")):
        assert by_status(Response(429, "", {}), error).reason == by_class.reason


@pytest.mark.parametrize(
    "error",
    [
        wrapped(
            errors.ExchangeNotAvailable("coinbase GET http://x?a=1"),
            ConnectionRefusedError(111, ""),
        ),
        wrapped(errors.ExchangeNotAvailable("coinbase GET"), aiohttp.ServerDisconnectedError()),
        wrapped(errors.ExchangeError("coinbase GET"), aiohttp.ClientPayloadError("half of it")),
        wrapped(
            errors.ExchangeNotAvailable("coinbase GET http://x?a=2"),
            ConnectionRefusedError(111, ""),
        ),
        errors.RequestTimeout("coinbase GET"),
        OSError(113, "No route to host"),
        KeyError("last"),
        AttributeError("'list' object has no attribute 'get'"),
    ],
)
def test_what_may_pass(error: Exception) -> None:
    problem = caught(error)
    assert (problem.is_refusal, problem.is_limit) == (False, False)
    # A reason is logged once: what differs from request to request is no part of it.
    assert "?" not in problem.reason


def test_what_will_not_pass() -> None:
    assert caught(errors.BadSymbol("coinbase has no market XYZ/USD")).is_refusal


def test_a_websocket_that_is_refused_names_the_status() -> None:
    request = aiohttp.RequestInfo("http://x", "GET", {}, "http://x")  # type: ignore[arg-type]
    refused = aiohttp.WSServerHandshakeError(request, (), status=503)
    assert "503" in caught(refused).reason


def test_a_closed_websocket_is_a_problem_and_a_cancelled_task_is_none() -> None:
    async def closed() -> None:
        with translated(10.0):
            raise asyncio.CancelledError

    async def cancelled() -> None:
        with translated(10.0):
            await asyncio.sleep(60)

    async def main() -> None:
        with pytest.raises(ExchangeProblem):
            await closed()
        task = asyncio.ensure_future(cancelled())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
