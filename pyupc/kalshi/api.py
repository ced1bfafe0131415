"""Kalshi's public market data: which event closes next, and an event with its markets.

From docs.kalshi.com (api_environments, get-events, get-event, get-markets, market_lifecycle,
fixed_point_migration, pagination, rate_limits), as it stood in the autumn of 2026:

- Events and markets need no key; order books do. Since May 2026 external-api is the host that is
  recommended; api.elections.kalshi.com and demo-api.kalshi.co go on working. Each has all markets,
  whatever it is called.
- Since 2026-03-12 prices are texts in dollars (`yes_ask_dollars`: "0.5600"; some markets have ticks
  of a tenth of a cent) and counts are texts with two decimals (`volume_fp`: "10.00"). Whole cents
  and whole contracts (`yes_ask`, `volume`) are no longer sent.
- An event comes with all of its markets at once. It has a `strike_date` if it is about a date: for
  the hourly ones that is the close. A market has a `close_time`.
- A filter `status=open` finds markets whose `status` is `active`. The next hour's event may not be
  open until the last one closes. A filter of /markets by time of close goes with no status.
- A list has up to 200 events or 1,000 markets a page, and a `cursor` until the last page.
- /exchange/status has `exchange_active`, `trading_active` and, in maintenance,
  `exchange_estimated_resume_time`: those of the default shard, 0. Since 2026-07-02 the same two
  flags of every shard are in `exchange_index_statuses`, which may be absent; an event names its
  shard in `exchange_index`. Neither a pause nor a second shard was ever seen live.
- A request costs 10 tokens, of which a basic account has 200 per second; the documentation has no
  figure for those without a key. Too many are answered by 429, without Retry-After.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from pyupc.kalshi.budget import LATER, NEXT, REST
from pyupc.kalshi.http import Document, KalshiError, KalshiHttp, Traffic
from pyupc.runtime.server_clock import Skew

EVENTS_A_PAGE = "200"
MARKETS_A_PAGE = "1000"
MOST_PAGES = 50

# An event answers for a symbol from an hour before its close on.
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Upcoming:
    """An event and when it closes."""

    ticker: str
    closes_at: datetime


@dataclass(frozen=True)
class Reading:
    """An event with all of its markets: `text` is the JSON for upc.load_market.

    `received_at` is the moment of receipt on our clock. `closes_at` is the last close of its
    markets, `is_settled` whether each of them has a result. `awaits_strike`: a market of it has
    none yet, as one up or down in its first seconds.
    """

    ticker: str
    text: str
    received_at: datetime
    closes_at: datetime | None
    is_settled: bool
    awaits_strike: bool = False


class Kalshi:
    """A client; use it as an asynchronous context manager. Every failure is a KalshiError.

    `url` and the other arguments are those of KalshiHttp.
    """

    def __init__(self, url: str | None = None, **arguments: Any) -> None:
        self._http = KalshiHttp(url, **arguments)

    async def __aenter__(self) -> Kalshi:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    @property
    def url(self) -> str:
        return self._http.url

    @property
    def skew(self) -> Skew:
        """Kalshi's clock minus ours."""
        return self._http.skew

    @property
    def traffic(self) -> Traffic:
        return self._http.traffic

    async def next_event(self, series: str, now: datetime) -> Upcoming | None:
        """The event of the series that closes first after `now`, within an hour; None without one.

        The open events are a short list; one that is not open yet, or that has no date, is found
        by the close of its markets.
        """
        query = {"series_ticker": series, "status": "open", "limit": EVENTS_A_PAGE}
        found = [
            Upcoming(ticker, closes_at)
            async for event in self._pages("/events", "events", query, NEXT)
            if event.get("series_ticker", series) == series
            and (ticker := _text(event, "event_ticker"))
            and (closes_at := _instant(event.get("strike_date")))
            and now < closes_at <= now + HOUR
        ]
        return min(found, key=_order) if found else await self._next_by_close(series, now)

    async def later_events(self, series: str, after: datetime, until: datetime) -> list[Upcoming]:
        """The open events of the series that close after an instant, up to another one."""
        query = {"series_ticker": series, "status": "open", "limit": EVENTS_A_PAGE}
        found = [
            Upcoming(ticker, closes_at)
            async for event in self._pages("/events", "events", query, LATER)
            if event.get("series_ticker", series) == series
            and (ticker := _text(event, "event_ticker"))
            and (closes_at := _instant(event.get("strike_date")))
            and after < closes_at <= until
        ]
        return sorted(found, key=_order)

    async def event(self, ticker: str, patience: float = REST) -> Reading:
        """The event with all of its markets, as Kalshi wrote it; `patience` as for the budget."""
        path = f"/events/{quote(ticker, safe='')}"
        answer = await self._http.get(path, {"with_nested_markets": "true"}, patience)
        event = answer.document.get("event")
        if not isinstance(event, dict) or event.get("event_ticker") != ticker:
            raise KalshiError("the answer is not the event")
        nested = _objects(event.get("markets"))
        markets = nested or _objects(answer.document.get("markets"))
        is_complete = bool(markets) and not answer.document.get("cursor")
        if not is_complete:
            query = {"event_ticker": ticker, "limit": MARKETS_A_PAGE}
            pages = self._pages("/markets", "markets", query, patience)
            markets = [market async for market in pages]
        if not markets:
            # To store it would delete the quotes that there are.
            raise KalshiError("the event has no markets")
        text = answer.text
        if not is_complete or ("markets" in event and not nested):
            text = json.dumps({"event": {**event, "markets": markets}})
        closes = [at for market in markets if (at := _instant(market.get("close_time")))]
        return Reading(
            ticker=ticker,
            text=text,
            received_at=answer.received_at,
            closes_at=max(closes, default=_instant(event.get("strike_date"))),
            is_settled=all(_text(market, "result") for market in markets),
            awaits_strike=any(_awaits_strike(market) for market in markets),
        )

    async def series(self, ticker: str) -> str:
        """The series with its fees as Kalshi wrote it: JSON for upc.load_series."""
        answer = await self._http.get(f"/series/{quote(ticker, safe='')}", {}, LATER)
        series = answer.document.get("series")
        if not isinstance(series, dict) or series.get("ticker") != ticker:
            raise KalshiError("the answer is not the series")
        return answer.text

    async def exchange_status(self) -> tuple[str, datetime]:
        """The exchange's status, JSON for upc.load_exchange_status; with its receipt."""
        answer = await self._http.get("/exchange/status", {})
        return answer.text, answer.received_at

    async def _next_by_close(self, series: str, now: datetime) -> Upcoming | None:
        query = {
            "series_ticker": series,
            "min_close_ts": str(math.floor(now.timestamp())),
            "max_close_ts": str(math.ceil((now + HOUR).timestamp()) + 1),
            "limit": MARKETS_A_PAGE,
        }
        found = [
            Upcoming(ticker, closes_at)
            async for market in self._pages("/markets", "markets", query, NEXT)
            if (ticker := _text(market, "event_ticker"))
            and (closes_at := _instant(market.get("close_time")))
            and now < closes_at <= now + HOUR
        ]
        return min(found, key=_order, default=None)

    async def _pages(
        self, path: str, name: str, query: Mapping[str, str], patience: float
    ) -> AsyncIterator[Document]:
        """The items of all pages of a list."""
        cursors = [""]
        while True:
            more = {"cursor": cursors[-1]} if cursors[-1] else {}
            document = (await self._http.get(path, {**query, **more}, patience)).document
            if not isinstance(document.get(name), list):
                raise KalshiError(f"the answer has no {name}")
            for item in _objects(document[name]):
                yield item
            cursor = _text(document, "cursor")
            if not cursor:
                return
            if cursor in cursors or len(cursors) == MOST_PAGES:
                raise KalshiError(f"the pages of {name} do not end")
            cursors.append(cursor)


def _awaits_strike(market: Document) -> bool:
    """It has none, and not because it is open to one side or has it in texts."""
    return (
        market.get("strike_type") in ("greater", "greater_or_equal")
        and market.get("floor_strike") is None
        and _text(market, "status") in ("initialized", "active")
    )


def _order(event: Upcoming) -> tuple[datetime, str]:
    return event.closes_at, event.ticker


def _objects(value: Any) -> list[Document]:
    """The objects of a list; of anything else none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(document: Document, name: str) -> str:
    """The text of that name, empty if there is none."""
    value = document.get(name)
    return value if isinstance(value, str) else ""


def _instant(value: Any) -> datetime | None:
    """ISO 8601; without an offset it is UTC."""
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
