"""Prices and candles of one exchange, through ccxt's asynchronous client; no answer is trusted."""

from __future__ import annotations

import asyncio
import importlib
import logging
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pyupc.errors import PyupcError
from pyupc.exchange.answer import MINUTE, Answer, judge, short
from pyupc.exchange.one_exchange import exchange_class
from pyupc.runtime.server_clock import Skew

logger = logging.getLogger("pyupc.feed")

REQUEST_SECONDS = 10.0

# Names the server to ask in place of the exchange's own: scheme, host and port of its requests.
URL_VARIABLE = "PYUPC_EXCHANGE_URL"

# For an exchange that does not list the symbol's own pair.
QUOTES = ("USD", "USDT", "USDC")

# What every exchange gives in one request, and more than momentum needs.
MOST_CANDLES = 300


class ExchangeProblem(Exception):
    """The exchange does not answer as it should, for now; `is_limit` after too many requests."""

    def __init__(self, reason: str, *, is_limit: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_limit = is_limit


@dataclass(frozen=True)
class Quote:
    """The price of the last trade and when it was so; None where the exchange does not say."""

    price: float | None
    at: datetime | None


class Exchange:
    """One exchange by its ccxt id. PyupcError if there is none, or if it has no prices or candles.

    Its methods raise ExchangeProblem when something fails that may work later.
    """

    def __init__(self, name: str, url: str | None = None) -> None:
        self.name = name
        self.skew = Skew()
        self._client = exchange_class(name)(
            {
                "enableRateLimit": True,
                "timeout": int(1000 * REQUEST_SECONDS),
                # As httpx and curl do: HTTPS_PROXY and NO_PROXY count.
                "aiohttp_trust_env": True,
            }
        )
        has = self._client.has
        timeframes = self._client.timeframes or {}
        if not (has.get("fetchTicker") and has.get("fetchOHLCV") and "1m" in timeframes):
            raise PyupcError(
                f"{name} has no prices with candles of one minute", "for example coinbase has"
            )
        # Asked for with the markets by default; here nobody wants to know.
        has["fetchCurrencies"] = False
        if url := url or os.environ.get(URL_VARIABLE):
            self._client.urls["api"] = _moved(self._client.urls["api"], url.rstrip("/"))
        self._fetch, self._client.fetch = self._client.fetch, self._fetch_json
        self._client.safe_ticker = _as_said

    async def close(self) -> None:
        self._client.timeout_on_exit = 0
        await self._client.close()

    @property
    def has_websocket(self) -> bool:
        return bool(self._client.has.get("watchTicker"))

    @property
    def page_size(self) -> int:
        """How many candles a request brings at most."""
        features = self._client.features or {}
        limit = ((features.get("spot") or {}).get("fetchOHLCV") or {}).get("limit")
        return min(MOST_CANDLES, int(limit or MOST_CANDLES))

    def now(self) -> datetime:
        """The time on the exchange's clock, no later than it may be."""
        seconds, uncertainty = self.skew.seconds, self.skew.uncertainty
        if seconds is None or uncertainty is None:
            return datetime.now(UTC) - timedelta(seconds=2)
        return datetime.now(UTC) + timedelta(seconds=seconds - uncertainty)

    async def pairs(self, wanted: Mapping[str, str | None]) -> dict[str, str]:
        """The pair of each symbol: the one that is wanted, or the symbol in another dollar.

        A symbol that is not listed, or whose market is closed for good or for now, is left out.
        """
        with _problems():
            markets: Mapping[str, Any] = await self._client.load_markets()
        found: dict[str, str] = {}
        for symbol, pair in wanted.items():
            for candidate in candidates(symbol, pair):
                market = markets.get(candidate)
                if market and market.get("spot") is not False and market.get("active") is not False:
                    found[symbol] = candidate
                    break
        self._forget_others(markets, found)
        return found

    async def watch(self, pair: str) -> Quote:
        """The next price that comes through the websocket, which is opened if need be."""
        with _problems():
            return _quote(await self._client.watch_ticker(pair))

    async def ask(self, pair: str) -> Quote:
        """The price now, by a request."""
        with _problems():
            return _quote(await self._client.fetch_ticker(pair))

    async def candles(self, pair: str, first: datetime, count: int) -> Answer:
        """So many candles from the minute that opens at `first` on, the running one among them."""
        since = round(first.timestamp() * 1000)
        with _problems():
            rows = await self._client.fetch_ohlcv(pair, "1m", since, count)
            if not isinstance(rows, list):
                raise ExchangeProblem("the answer is no list of candles")
            return judge(rows, since // MINUTE, since // MINUTE + count + 2)

    async def disconnect(self) -> None:
        """Close the websocket; the next `watch` opens another."""
        with _problems():
            await self._client.close_ws_clients()

    def _forget_others(self, markets: Mapping[str, Any], pairs: Mapping[str, str]) -> None:
        """A thousand markets that nobody asks for are 30 MB."""
        bases = {pair.partition("/")[0] for pair in pairs.values()}
        self._client.set_markets([each for each in markets.values() if each.get("base") in bases])
        self._client.markets_loading = None

    async def _fetch_json(self, *arguments: Any, **options: Any) -> Any:
        """Takes no text for an answer, where ccxt would make an empty one of it."""
        sent_at = datetime.now(UTC)
        answer = await self._fetch(*arguments, **options)
        headers = self._client.last_response_headers or {}
        if "Date" in headers and headers.get("Age", "0") == "0":
            self.skew.measure(headers["Date"], sent_at, datetime.now(UTC))
        if not isinstance(answer, (dict, list)):
            raise ExchangeProblem("the answer is not complete JSON")
        return answer


def candidates(symbol: str, pair: str | None) -> list[str]:
    """The pairs that a symbol may be traded as, the one that is wanted first."""
    base = (pair or symbol).partition("/")[0]
    return list(dict.fromkeys([*([pair] if pair else []), *(f"{base}/{q}" for q in QUOTES)]))


def _as_said(ticker: Mapping[str, Any], market: Any = None) -> dict[str, Any]:
    """Stands in for ccxt's, which computes a last price from others if the exchange says none."""
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


def _quote(ticker: Mapping[str, Any]) -> Quote:
    at = ticker.get("timestamp")
    return Quote(
        _price(ticker.get("last")),
        datetime.fromtimestamp(at / 1000, UTC) if isinstance(at, (int, float)) else None,
    )


def _price(value: Any) -> float | None:
    """A finite number above zero, which may be written as text."""
    try:
        price = float(value)
    except (TypeError, ValueError):
        return None
    return price if 0 < price < math.inf else None


@contextmanager
def _problems() -> Iterator[None]:
    """Whatever ccxt raises is an ExchangeProblem with a short reason, the same for the same one."""
    try:
        yield
    except ExchangeProblem:
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # ccxt cancels what waits for a websocket that it closes.
        raise ExchangeProblem("the connection was closed") from None
    except Exception as error:
        logger.debug("%s: %s", type(error).__name__, short(error))
        raise _problem(error) from error


def _problem(error: Exception) -> ExchangeProblem:
    errors = importlib.import_module("ccxt.base.errors")
    if isinstance(error, (errors.RateLimitExceeded, errors.DDoSProtection)):
        return ExchangeProblem("too many requests", is_limit=True)
    if isinstance(error, errors.RequestTimeout):
        return ExchangeProblem(f"no answer within {REQUEST_SECONDS:g} s")
    if isinstance(error, errors.NetworkError):
        cause = error.__cause__ or next((a for a in error.args if isinstance(a, OSError)), None)
        if isinstance(cause, OSError):
            return ExchangeProblem(f"cannot be reached: {_words(cause)}")
        status = re.search(r" (\d{3}) ", str(error))
        if status:
            return ExchangeProblem(f"the answer is HTTP {status[1]}")
    if isinstance(error, (TypeError, ValueError, LookupError, AttributeError)):
        # ccxt takes what it expects out of an answer without looking whether it is there.
        return ExchangeProblem("the answer has an unknown shape")
    return ExchangeProblem(re.sub(r"(https?://[^\s?]+)\?\S*", r"\1", short(error))[:160])


def _words(error: OSError) -> str:
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return (error.strerror or short(error))[:120].lower()
