"""ccxt's client of one exchange: how it is made, asked and closed. No answer is trusted."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyupc.errors import PyupcError
from pyupc.exchange.answer import MINUTE, Answer, Quote, is_empty, is_list, judge, quote_of
from pyupc.exchange.ccxt_class import exchange_class
from pyupc.exchange.names import DEFAULT_EXCHANGE
from pyupc.exchange.problems import ExchangeProblem, Response, by_status, translated
from pyupc.runtime.server_clock import Skew

URL_VARIABLE = "PYUPC_EXCHANGE_URL"
"""Names the server to ask in place of the exchange's own: scheme, host and port."""

QUOTES = ("USD", "USDT", "USDC")
"""Other dollars, for an exchange that does not list the symbol's own pair."""

DEFAULT_PAGE_SIZE = 300
"""Candles per request where ccxt does not know how many an exchange gives."""


@dataclass
class _Heard:
    """The response to the newest request of a task."""

    response: Response | None = None
    document: Any = None


# ccxt keeps only the newest of all tasks.
_heard: ContextVar[_Heard | None] = ContextVar("heard", default=None)


class Client:
    """One exchange by its ccxt id, to be used in one event loop. Failures are ExchangeProblem.

    `timeout` is the limit of a request in seconds; `url` overrides the exchange's address, as
    PYUPC_EXCHANGE_URL does. PyupcError if there is no such exchange, or if it has no candles of
    one minute.
    """

    def __init__(self, name: str, *, timeout: float, url: str | None = None) -> None:
        self.name = name
        self.skew = Skew()
        self._timeout = timeout
        self._ccxt = exchange_class(name)(
            {
                "enableRateLimit": True,
                "timeout": int(1000 * timeout),
                # Respect HTTPS_PROXY and NO_PROXY, like httpx and curl.
                "aiohttp_trust_env": True,
            }
        )
        if not (self.has("fetchOHLCV") and "1m" in (self._ccxt.timeframes or {})):
            raise PyupcError(
                f"{name} has no candles of one minute", f"for example {DEFAULT_EXCHANGE} has them"
            )
        # Asked for with the markets by default; nothing here needs them.
        self._ccxt.has["fetchCurrencies"] = False
        if url := url or os.environ.get(URL_VARIABLE):
            self._ccxt.urls["api"] = _moved(self._ccxt.urls["api"], url.rstrip("/"))
        self._fetch, self._ccxt.fetch = self._ccxt.fetch, self._fetch_json
        self._ccxt.on_rest_response = self._on_response
        self._ccxt.safe_ticker = _as_sent

    async def close(self) -> None:
        self._ccxt.timeout_on_exit = 0
        await self._ccxt.close()

    def has(self, feature: str) -> bool:
        """True if ccxt knows the feature for this exchange, such as `watchTicker`."""
        return bool(self._ccxt.has.get(feature))

    @property
    def page_size(self) -> int:
        """The most candles that a request brings."""
        features = self._ccxt.features or {}
        limit = ((features.get("spot") or {}).get("fetchOHLCV") or {}).get("limit")
        return int(limit or DEFAULT_PAGE_SIZE)

    async def markets(self, *, is_reloaded: bool = False) -> Mapping[str, Any]:
        """All that the exchange trades or has traded, by pair.

        After `forget_markets` it is what was kept, unless it is reloaded.
        """
        with translated(self._timeout):
            markets: Mapping[str, Any] = await self._ccxt.load_markets(is_reloaded)
            return markets

    def forget_markets(self, but: Sequence[str]) -> None:
        """Keep only the markets of these pairs' bases: a thousand others are 30 MB."""
        bases = {pair.partition("/")[0] for pair in but}
        kept = [each for each in self._ccxt.markets.values() if each.get("base") in bases]
        self._ccxt.set_markets(kept)
        self._ccxt.markets_loading = None

    async def candles(
        self, pair: str, first: int, after: int, *, count: int | None = None, is_ended: bool = False
    ) -> Answer:
        """Candles of the minutes since 1970 from `first` up to `after`, which is not one of them.

        `count` are asked for, if not all. With `is_ended` the request names the end as well.
        """
        # To the end of the last minute: exchanges differ in whether they mean to include it.
        until = {"until": after * MINUTE - 1} if is_ended else {}
        with translated(self._timeout):
            _heard.set(None)
            rows = await self._ccxt.fetch_ohlcv(
                pair, "1m", first * MINUTE, count or after - first, until
            )
            heard = _heard.get() or _Heard()
            if not isinstance(rows, list) or not (rows or is_list(heard.document)):
                raise ExchangeProblem("the answer is no list of candles")
            if not rows and not is_empty(heard.document):
                # ccxt has dropped all of them.
                return Answer([], ["what came is nothing that was asked for"], set())
            return judge(rows, first, after)

    async def quote(self, pair: str) -> Quote:
        """The price now, by a request."""
        with translated(self._timeout):
            return quote_of(await self._ccxt.fetch_ticker(pair))

    async def next_quote(self, pair: str) -> Quote:
        """The next price that comes through the websocket, which is opened if need be."""
        with translated(self._timeout):
            return quote_of(await self._ccxt.watch_ticker(pair))

    async def close_websockets(self) -> None:
        """Close the websockets; the next price opens another."""
        with translated(self._timeout):
            await self._ccxt.close_ws_clients()

    async def _fetch_json(self, *arguments: Any, **options: Any) -> Any:
        """Take no text for an answer, where ccxt would make an empty one of it."""
        heard = _Heard()
        _heard.set(heard)
        sent_at = datetime.now(UTC)
        failure: Exception | None = None
        try:
            heard.document = await self._fetch(*arguments, **options)
        except Exception as error:
            failure = error
        if heard.response is not None:
            self._measure(heard.response.headers, sent_at)
            if heard.response.status >= 400:
                raise by_status(heard.response, failure) from failure
        if failure is not None:
            raise failure
        if not isinstance(heard.document, (dict, list)):
            raise ExchangeProblem("the answer is not complete JSON")
        return heard.document

    def _on_response(
        self, status: int, phrase: str, url: str, method: str, headers: Any, body: str, *_: Any
    ) -> str:
        """Stand in for ccxt's hook, which returns the body to parse."""
        if heard := _heard.get():
            lower = {str(name).lower(): str(value) for name, value in dict(headers).items()}
            heard.response = Response(status, phrase or "", lower)
        return body.strip()

    def _measure(self, headers: Mapping[str, str], sent_at: datetime) -> None:
        """Take the exchange's clock, unless a cache has kept the answer for a while."""
        if "date" in headers and headers.get("age", "0") == "0":
            self.skew.measure(headers["date"], sent_at, datetime.now(UTC))


def candidates(symbol: str, pair: str | None) -> list[str]:
    """The pairs that a symbol may be traded as, the preferred one first."""
    base = (pair or symbol).partition("/")[0]
    return list(dict.fromkeys([*([pair] if pair else []), *(f"{base}/{q}" for q in QUOTES)]))


def listed_pair(
    markets: Mapping[str, Any], symbol: str, preferred: str | None, *, is_active: bool
) -> str | None:
    """The first of the symbol's candidates that is a spot market; `is_active`: and open now."""
    for candidate in candidates(symbol, preferred):
        market = markets.get(candidate)
        if market is None or market.get("spot") is False:
            continue
        if not (is_active and market.get("active") is False):
            return candidate
    return None


def _as_sent(ticker: Mapping[str, Any], market: Any = None) -> dict[str, Any]:
    """Stand in for ccxt's, which computes a last price from others if the exchange sends none."""
    last = ticker.get("last")
    return {**ticker, "last": ticker.get("close") if last is None else last}


def _moved(urls: Any, to: str) -> Any:
    """ccxt's addresses, nested dictionaries of them, at another scheme, host and port."""
    if isinstance(urls, dict):
        return {name: _moved(url, to) for name, url in urls.items()}
    if not urls:
        return urls
    is_websocket = urls.startswith("ws")
    return re.sub(r"^\w+://[^/]+", lambda _: f"ws{to[4:]}" if is_websocket else to, urls)
