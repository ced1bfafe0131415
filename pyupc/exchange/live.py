"""An exchange's prices and candles as they come, for the feed; every failure may pass."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from pyupc.errors import PyupcError
from pyupc.exchange.answer import MINUTE, Answer, Quote
from pyupc.exchange.client import Client, listed_pair
from pyupc.exchange.names import DEFAULT_EXCHANGE

REQUEST_SECONDS = 10.0

# Every exchange gives that many in one request, and momentum needs fewer.
MOST_CANDLES = 300


class Exchange:
    """One exchange, to be closed at the end. Its methods raise ExchangeProblem.

    PyupcError if ccxt does not know it, or if it has no prices or no candles of one minute.
    """

    def __init__(self, name: str, url: str | None = None) -> None:
        self.name = name
        self._client = Client(name, timeout=REQUEST_SECONDS, url=url)
        if not self._client.has("fetchTicker"):
            raise PyupcError(f"{name} has no prices", f"for example {DEFAULT_EXCHANGE} has them")
        self.skew = self._client.skew
        self.has_websocket = self._client.has("watchTicker")
        self.page_size = min(MOST_CANDLES, self._client.page_size)

    async def close(self) -> None:
        await self._client.close()

    def now(self) -> datetime:
        """The time on the exchange's clock, no later than it may be."""
        seconds, uncertainty = self.skew.seconds, self.skew.uncertainty
        if seconds is None or uncertainty is None:
            return datetime.now(UTC) - timedelta(seconds=2)
        return datetime.now(UTC) + timedelta(seconds=seconds - uncertainty)

    async def pairs(
        self, wanted: Mapping[str, str | None], *, is_reloaded: bool = False
    ) -> dict[str, str]:
        """The pair of each symbol: the one that is wanted, or the symbol in another dollar.

        A symbol that is not listed, or whose market is closed for good or for now, is left out.
        Only the markets of these are kept: for others it has to be `is_reloaded`.
        """
        markets = await self._client.markets(is_reloaded=is_reloaded)
        found = {
            symbol: listed
            for symbol, pair in wanted.items()
            if (listed := listed_pair(markets, symbol, pair, is_active=True))
        }
        self._client.forget_markets(but=list(found.values()))
        return found

    async def watch(self, pair: str) -> Quote:
        """The next price that comes through the websocket, which is opened if need be."""
        return await self._client.next_quote(pair)

    async def ask(self, pair: str) -> Quote:
        """The price now, by a request."""
        return await self._client.quote(pair)

    async def candles(self, pair: str, first: datetime, count: int) -> Answer:
        """`count` candles from the minute that opens at `first` on, including the running one."""
        minute = round(first.timestamp() * 1000) // MINUTE
        return await self._client.candles(pair, minute, minute + count + 2, count=count)

    async def disconnect(self) -> None:
        """Close the websocket; the next `watch` opens another."""
        await self._client.close_websockets()
