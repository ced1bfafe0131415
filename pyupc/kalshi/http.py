"""Requests to Kalshi: one pool of connections, limits of time and size, and one kind of error."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from pyupc import __version__
from pyupc.errors import PyupcError, UsageProblem
from pyupc.kalshi.budget import REST, Budget, Unlimited
from pyupc.runtime.server_clock import Skew

try:
    import httpx
except ImportError as missing:
    raise PyupcError("Kalshi's markets need httpx", "pip install 'pyupc[feeds]'") from missing

HOSTS = {
    "production": "https://external-api.kalshi.com/trade-api/v2",
    "demo": "https://external-api.demo.kalshi.co/trade-api/v2",
}
VARIABLE = "PYUPC_KALSHI_URL"

CONNECT_SECONDS = 3.0
REQUEST_SECONDS = 5.0
MOST_BYTES = 16 << 20

_REASONS = {404: "not found", 429: "too many requests"}

Document = dict[str, Any]


class KalshiError(PyupcError):
    """Kalshi does not answer as it should; `status` is the HTTP status, if there is one."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """A JSON object; in `document` a number with a point stays the text that it is: exact."""

    text: str
    document: Document
    received_at: datetime


@dataclass
class Traffic:
    """Requests so far, those that were one too many, and bytes of answers: sent, and unpacked."""

    requests: int = 0
    limited: int = 0
    wire_bytes: int = 0
    body_bytes: int = 0


def utc_now() -> datetime:
    return datetime.now(UTC)


def base_url(setting: str | None = None) -> str:
    """The address for a setting: `production`, `demo` or a URL. None: PYUPC_KALSHI_URL, if set."""
    chosen = (setting or os.environ.get(VARIABLE, "")).strip() or "production"
    url = HOSTS.get(chosen, chosen).rstrip("/")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UsageProblem(
            f"the address of Kalshi is neither {' nor '.join(HOSTS)} nor a URL",
            f"for example {VARIABLE}={HOSTS['production']}",
        )
    return url


class KalshiHttp:
    """GET requests. Every failure is a KalshiError, with the same short reason for the same one.

    `now` is our clock, `request_seconds` the limit of a request from beginning to end; an answer
    is no larger than `most_bytes`, decompressed. Redirects are not followed. Answers come
    compressed. `budget` says when a request may begin, `traffic` counts.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        now: Callable[[], datetime] = utc_now,
        request_seconds: float = REQUEST_SECONDS,
        most_bytes: int = MOST_BYTES,
        budget: Budget | None = None,
    ) -> None:
        self.url = base_url(url)
        self.skew = Skew()
        self.traffic = Traffic()
        self._budget = budget or Unlimited()
        self._now = now
        self._request_seconds = request_seconds
        self._most_bytes = most_bytes
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(request_seconds, connect=min(CONNECT_SECONDS, request_seconds)),
            headers={
                "User-Agent": f"pyupc/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
            },
            follow_redirects=False,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, path: str, query: Mapping[str, str], patience: float = REST) -> Answer:
        """Wait for a turn, `patience` seconds of the budget's kind, then ask."""
        await self._budget.turn(patience)
        self.traffic.requests += 1
        try:
            async with asyncio.timeout(self._request_seconds):
                body = await self._body(path, query)
        except (TimeoutError, httpx.TimeoutException):
            raise KalshiError(f"no answer within {self._request_seconds:g} s") from None
        # The server wrote its answer after the question came in: the moment of receipt is late by
        # no more than the limit of a request, and prices are logged by theirs too.
        received_at = self._now()
        text, document = _parsed(body)
        return Answer(text, document, received_at)

    async def _body(self, path: str, query: Mapping[str, str]) -> bytes:
        sent_at = self._now()
        has_begun = False
        try:
            async with self._client.stream("GET", self.url + path, params=query) as response:
                self._measure(response.headers, sent_at)
                if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
                    self.traffic.limited += 1
                    self._budget.limited()
                if response.status_code != httpx.codes.OK:
                    raise _by_status(response.status_code)
                has_begun = True
                body = bytearray()
                try:
                    async for block in response.aiter_bytes():
                        body += block
                        if len(body) > self._most_bytes:
                            raise KalshiError(f"more than {self._most_bytes:,} bytes in an answer")
                finally:
                    self.traffic.wire_bytes += response.num_bytes_downloaded
                    self.traffic.body_bytes += len(body)
                return bytes(body)
        except httpx.TimeoutException:
            raise
        except httpx.DecodingError:
            raise KalshiError("not JSON: damaged compression") from None
        except httpx.TransportError as error:
            reason = "not JSON: truncated" if has_begun else _by_cause(error)
            raise KalshiError(reason) from error

    def _measure(self, headers: httpx.Headers, sent_at: datetime) -> None:
        """Take Kalshi's clock, unless a cache has kept the answer for a while."""
        if "date" in headers and headers.get("age", "0") == "0":
            self.skew.measure(headers["date"], sent_at, self._now())


def _by_status(code: int) -> KalshiError:
    reason = f"HTTP {code}, {_REASONS[code]}" if code in _REASONS else f"HTTP {code}"
    return KalshiError(reason, code)


def _by_cause(error: BaseException) -> str:
    """The reason why there is no answer, from the first of the causes that has one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        if isinstance(cause, ssl.SSLError):
            return f"no secure connection: {cause.reason or 'TLS'}"
        if isinstance(cause, OSError) and cause.errno == errno.ECONNREFUSED:
            return "connection refused"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return "the connection was closed"


def _parsed(body: bytes) -> tuple[str, Document]:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise KalshiError("not JSON: no UTF-8") from None
    try:
        document = json.loads(text, parse_float=str, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        is_cut = error.msg.startswith("Unterminated") or error.pos >= len(text.rstrip())
        raise KalshiError("not JSON: truncated" if is_cut else "not JSON") from None
    except (ValueError, RecursionError):
        raise KalshiError("not JSON") from None
    if not isinstance(document, dict):
        raise KalshiError("not JSON as Kalshi writes it: no object")
    return text, document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
