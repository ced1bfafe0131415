"""Kalshi's past: settled markets of a series, and their bids and asks minute by minute.

From docs.kalshi.com (get-historical-cutoff, get-historical-markets, get-markets,
get-historical-market-candlesticks, batch-get-market-candlesticks), specification 3.36, as it stood
in the autumn of 2026. None of it was seen live but for the shape of one-minute candles of a
15-minute market of July 2026:

- `/historical/cutoff` has `market_settled_ts`, an instant in ISO 8601: markets that settled before
  it are listed by `/historical/markets`, later ones by `/markets`. The newer part has about three
  months.
- `/historical/markets` takes one of `tickers`, `event_ticker` and `series_ticker`, and no times.
  Its order is not documented.
- Candles are `/historical/markets/{ticker}/candlesticks`, or for newer markets up to 100 tickers at
  once by `/markets/candlesticks` (`market_tickers`; at most 10,000 candles), which answers
  `{"markets": [{"market_ticker", "candlesticks"}]}`. For one market the same is
  `/series/{series}/markets/{ticker}/candlesticks`. `start_ts` and `end_ts` are seconds;
  `period_interval` is 1, 60 or 1440 minutes.
- A candle has `end_period_ts`, its inclusive end. Prices of newer ones are `yes_bid.close_dollars`,
  of historical ones `yes_bid.close`, both texts in dollars. Minutes may be missing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from pyupc.kalshi.http import Answer, Document, KalshiError, KalshiHttp

MARKETS_A_PAGE = "1000"
TICKERS_AT_ONCE = 100
PERIOD_MINUTES = "1"

# Waits after "too many requests", which says nothing of how long.
PATIENCE_SECONDS = (2.0, 5.0, 15.0, 30.0)

_TOO_MANY = 429
_NOT_FOUND = 404


@dataclass(frozen=True)
class Quote:
    """Best bid and ask of yes at the end of a minute, USD as Kalshi writes them."""

    at: int
    yes_bid: str | None
    yes_ask: str | None


class History:
    """A client that asks no more than `rate` times a second; an asynchronous context manager.

    Every failure is a KalshiError.
    """

    def __init__(self, url: str | None = None, *, rate: float = 2.0, **arguments: Any) -> None:
        self._http = KalshiHttp(url, **arguments)
        self._pause = 1 / rate
        self._next = time.monotonic()

    async def __aenter__(self) -> History:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def cutoff(self) -> datetime:
        """Instant before which settled markets are in the historical part."""
        document = (await self._get("/historical/cutoff", {})).document
        at = _instant(document.get("market_settled_ts"))
        if at is None:
            raise KalshiError("the answer has no market_settled_ts")
        return at

    async def pages(
        self, series: str, since: datetime, until: datetime
    ) -> AsyncIterator[tuple[bool, list[Document]]]:
        """Pages of markets of a series that close in [since, until).

        Each comes with whether it is of the historical part.
        """
        cutoff = await self.cutoff()
        if since < cutoff:
            query = {"series_ticker": series}
            async for page in self._pages("/historical/markets", query):
                yield True, _closing(page, since, until)
        if until > cutoff:
            # Settled after the cutoff, closed perhaps a little before it.
            query = {
                "series_ticker": series,
                "min_close_ts": str(int(since.timestamp()) - 1),
                "max_close_ts": str(int(until.timestamp())),
            }
            async for page in self._pages("/markets", query):
                yield False, _closing(page, since, until)

    async def quotes(
        self, series: str, tickers: Sequence[str], start: int, end: int, *, is_historical: bool
    ) -> dict[str, list[Quote]]:
        """Bids and asks at the ends of minutes from `start` to `end`, seconds since 1970."""
        query = {"start_ts": str(start), "end_ts": str(end), "period_interval": PERIOD_MINUTES}
        if is_historical:
            return {
                ticker: await self._of_one(f"/historical/markets/{_path(ticker)}", query)
                for ticker in tickers
            }
        found: dict[str, list[Quote]] = {}
        for first in range(0, len(tickers), TICKERS_AT_ONCE):
            some = tickers[first : first + TICKERS_AT_ONCE]
            try:
                found |= await self._of_several(some, query)
            except KalshiError as error:
                if error.status != _NOT_FOUND:
                    raise
                for ticker in some:
                    path = f"/series/{_path(series)}/markets/{_path(ticker)}"
                    found[ticker] = await self._of_one(path, query)
        return found

    async def _of_one(self, path: str, query: Mapping[str, str]) -> list[Quote]:
        document = (await self._get(f"{path}/candlesticks", query)).document
        return _quotes(document)

    async def _of_several(
        self, tickers: Sequence[str], query: Mapping[str, str]
    ) -> dict[str, list[Quote]]:
        query = {**query, "market_tickers": ",".join(tickers)}
        document = (await self._get("/markets/candlesticks", query)).document
        markets = document.get("markets")
        if not isinstance(markets, list):
            raise KalshiError("the answer has no markets")
        return {
            str(market["market_ticker"]): _quotes(market)
            for market in markets
            if isinstance(market, dict) and market.get("market_ticker")
        }

    async def _pages(self, path: str, query: Mapping[str, str]) -> AsyncIterator[list[Document]]:
        cursors: set[str] = set()
        cursor = ""
        while True:
            more = {"cursor": cursor} if cursor else {}
            answer = await self._get(path, {**query, "limit": MARKETS_A_PAGE, **more})
            markets = answer.document.get("markets")
            if not isinstance(markets, list):
                raise KalshiError("the answer has no markets")
            yield [market for market in markets if isinstance(market, dict)]
            cursor = answer.document.get("cursor") or ""
            if not cursor:
                return
            if not isinstance(cursor, str) or cursor in cursors:
                raise KalshiError("the pages of markets do not end")
            cursors.add(cursor)

    async def _get(self, path: str, query: Mapping[str, str]) -> Answer:
        for patience in (*PATIENCE_SECONDS, None):
            await self._wait_for_turn()
            try:
                return await self._http.get(path, query)
            except KalshiError as error:
                if error.status != _TOO_MANY or patience is None:
                    raise
                await asyncio.sleep(patience)
        raise AssertionError("the last attempt returns or raises")

    async def _wait_for_turn(self) -> None:
        now = time.monotonic()
        self._next = max(now, self._next)
        wait = self._next - now
        self._next += self._pause
        if wait > 0:
            await asyncio.sleep(wait)


def close_of(market: Document) -> datetime | None:
    """Close of a market; None where it cannot be read."""
    return _instant(market.get("close_time"))


def _closing(page: Sequence[Document], since: datetime, until: datetime) -> list[Document]:
    return [
        market
        for market in page
        if (closes_at := close_of(market)) is not None and since <= closes_at < until
    ]


def _quotes(document: Document) -> list[Quote]:
    candles = document.get("candlesticks")
    if not isinstance(candles, list):
        raise KalshiError("the answer has no candlesticks")
    return [
        Quote(at, _close(candle.get("yes_bid")), _close(candle.get("yes_ask")))
        for candle in candles
        if isinstance(candle, dict) and isinstance(at := candle.get("end_period_ts"), int)
    ]


def _close(side: Any) -> str | None:
    """Last price of a side, whose name depends on the part it is of."""
    if not isinstance(side, dict):
        return None
    price = side.get("close_dollars", side.get("close"))
    return price if isinstance(price, str) and price else None


def _path(ticker: str) -> str:
    return quote(ticker, safe="")


def _instant(value: Any) -> datetime | None:
    """ISO 8601; without an offset it is UTC."""
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
