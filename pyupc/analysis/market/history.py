"""Past quotes of Kalshi into the database: an event at a time, each stored as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from pyupc.analysis.market.lines import Values, is_number
from pyupc.analysis.market.quotes import Connection, Stored, store, store_events, symbols_by_series
from pyupc.errors import PyupcError
from pyupc.kalshi.history import History, Quote, close_of
from pyupc.runtime.progress import Progress

Document = dict[str, Any]

# From this long before the close on.
HOUR_SECONDS = 3600

_STORED_AS = ("strike_type", "floor_strike", "cap_strike")


@dataclass(frozen=True)
class Job:
    """`minutes`: before the close, of which quotes are kept. `rate`: requests a second."""

    series: tuple[str, ...]
    since: datetime
    until: datetime
    minutes: tuple[int, ...]
    rate: float


@dataclass
class Found:
    """Counts of what was read of a series; `known` events were stored before."""

    series: str
    symbol: str
    events: int = 0
    known: int = 0
    markets: int = 0
    stored: Stored = field(default_factory=Stored)

    def as_json(self) -> dict[str, Any]:
        return {
            "series": self.series,
            "symbol": self.symbol,
            "events": self.events,
            "known_events": self.known,
            "markets": self.markets,
            "quotes": self.stored.stored,
            "left_out": {reason: count for reason, (count, _) in self.stored.left_out.items()},
        }


def run(conn: Connection, job: Job, progress: Progress, url: str | None = None) -> list[Found]:
    """Read what is not stored yet. What was stored stays, whatever ends it; begin it again."""
    symbols = symbols_by_series(conn)
    for series in job.series:
        if series not in symbols:
            raise PyupcError(
                f"no symbol has the series {series}",
                "see which there are: pyupc symbols list --json",
            )
    return asyncio.run(_run(conn, job, symbols, progress, url))


async def _run(
    conn: Connection, job: Job, symbols: dict[str, str], progress: Progress, url: str | None
) -> list[Found]:
    found = []
    async with History(url, rate=job.rate) as client:
        for series in job.series:
            each = Found(series, symbols[series])
            found.append(each)
            await _Series(conn, client, job, each, progress).read()
    return found


class _Series:
    """The events of a series, read while the pages of its markets come in."""

    def __init__(
        self, conn: Connection, client: History, job: Job, found: Found, progress: Progress
    ) -> None:
        self._conn = conn
        self._client = client
        self._job = job
        self._found = found
        self._progress = progress
        self._known = _complete_events(conn, found.symbol, found.series)
        self._open: dict[str, list[Document]] = {}

    async def read(self) -> None:
        job, is_before = self._job, True
        self._found.known = 0
        seen_known: set[str] = set()
        async for is_historical, page in self._client.pages(
            self._found.series, job.since, job.until
        ):
            if is_before and not is_historical:
                # The other part begins: nothing more comes of the events of this one.
                await self._finish(set(), is_historical=True)
            is_before = is_historical
            here = set()
            for market in page:
                event = str(market.get("event_ticker") or "")
                if event in self._known:
                    seen_known.add(event)
                elif event and market.get("result"):
                    here.add(event)
                    self._open.setdefault(event, []).append(market)
            # An event of which this page has nothing is over.
            await self._finish(here, is_historical=is_historical)
        await self._finish(set(), is_historical=is_before)
        self._found.known = len(seen_known)

    async def _finish(self, still_open: set[str], *, is_historical: bool) -> None:
        for event in [each for each in self._open if each not in still_open]:
            await self._store(event, self._open.pop(event), is_historical=is_historical)

    async def _store(self, event: str, markets: Sequence[Document], *, is_historical: bool) -> None:
        closes_at = max(at for market in markets if (at := close_of(market)))
        end = int(closes_at.timestamp())
        traded = {str(m["ticker"]): m for m in markets if m.get("ticker") and _volume(m) > 0}
        quotes = await self._client.quotes(
            self._found.series,
            list(traded),
            end - HOUR_SECONDS - 60,
            end,
            is_historical=is_historical,
        )
        rows = [
            row
            for ticker, market in traded.items()
            for row in self._rows(event, market, quotes.get(ticker, []))
        ]
        values = [m.get("expiration_value") for m in markets if m.get("expiration_value")]
        summary = {
            "series": self._found.series,
            "event": event,
            "closes_at": closes_at.isoformat(),
            "value": _number(values[0]) if values else None,
            "markets": len(markets),
        }
        # Whole or not at all: an event that is marked as read has all its quotes.
        with self._conn.transaction():
            store(self._conn, self._found.symbol, 0, rows, self._found.stored)
            store_events(self._conn, self._found.symbol, 0, [summary])
        self._known.add(event)
        self._found.events += 1
        self._found.markets += len(markets)
        self._progress.advance(1, f"{self._found.series}, {closes_at:%Y-%m-%d %H:%M}")

    def _rows(self, event: str, market: Document, quotes: Sequence[Quote]) -> list[Values]:
        """Quotes at the chosen minutes before the close, with the asks of a minute later."""
        closes_at = close_of(market)
        assert closes_at is not None
        end = int(closes_at.timestamp())
        by_minute = {round((end - quote.at) / 60): quote for quote in quotes}
        rows = []
        for minutes in self._job.minutes:
            quote, later = by_minute.get(minutes), by_minute.get(minutes - 1)
            if quote is None:
                continue
            values = {
                "series": self._found.series,
                "event": event,
                "ticker": str(market["ticker"]),
                "observed_at": datetime.fromtimestamp(quote.at, closes_at.tzinfo).isoformat(),
                "closes_at": closes_at.isoformat(),
                "yes_bid": _number(quote.yes_bid),
                "yes_ask": _number(quote.yes_ask),
                "later_yes_ask": _number(later.yes_ask) if later else None,
                "later_no_ask": _complement(later.yes_bid) if later else None,
                "value": _number(market.get("expiration_value")),
                "result": market.get("result"),
                **{name: market.get(name) for name in _STORED_AS},
            }
            rows.append({name: str(value) for name, value in values.items() if value is not None})
        return rows


def _complete_events(conn: Connection, symbol: str, series: str) -> set[str]:
    rows = conn.execute(
        """
        SELECT e.event_ticker
        FROM upc_data.observed_event AS e
        WHERE e.symbol = %s AND e.backtest_id = 0 AND e.series = %s AND e.markets IS NOT NULL
        """,
        [symbol, series],
    ).fetchall()
    return {str(event) for (event,) in rows}


def _number(value: Any) -> str | None:
    """Number that a text is; None for what is none."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if is_number(text) else None


def _complement(price: str | None) -> str | None:
    text = _number(price)
    return None if text is None else str(1 - Decimal(text))


def _volume(market: Document) -> float:
    text = _number(market.get("volume_fp", market.get("volume")))
    return 0.0 if text is None else float(text)
