"""One symbol's candles: what is missing when the feed starts, then each minute that closes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyupc.errors import PyupcError
from pyupc.exchange.answer import Answer, Candle
from pyupc.exchange.live import Exchange
from pyupc.exchange.problems import ExchangeProblem
from pyupc.feed.store import Store
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.clock import SYSTEM
from pyupc.runtime.connection import ConnectionLost
from pyupc.runtime.outage import Outages

logger = logging.getLogger("pyupc.feed")

MINUTE = timedelta(minutes=1)

# Momentum looks back 30 minutes, at closes up to a minute older.
NEEDED = 35

# Late trades may still change a candle that has closed; it is asked for again with the next ones.
AGAIN = 5

NO_CANDLE = "no candle of a minute that has closed"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Times:
    """In seconds: a candle that is not there yet is asked for every `pause`, for so long."""

    pause: float = 1.0
    patience: float = 10.0


class Minutes:
    """`run` stores candles until it is cancelled. What fails is reported and tried again.

    `now` is the time on the exchange's clock, at most; `sleep` sleeps so many seconds.
    """

    def __init__(
        self,
        exchange: Exchange,
        symbol: str,
        pair: str,
        store: Store,
        outages: Outages,
        *,
        times: Times | None = None,
        now: Callable[[], datetime] | None = None,
        sleep: Callable[[float], Awaitable[None]] = SYSTEM.sleep,
    ) -> None:
        self._exchange = exchange
        self._symbol = symbol
        self._pair = pair
        self._store = store
        self._outages = outages
        self._times = times or Times()
        self._now = now or exchange.now
        self._sleep = sleep
        self._subject = f"{exchange.name} {symbol} candles"
        self._is_filled = False
        self._logged: set[str] = set()
        self._refused: frozenset[int] = frozenset()
        self._problems: frozenset[str] = frozenset()

    async def run(self) -> None:
        backoff = Backoff()
        while True:
            try:
                await self._minute()
            except ExchangeProblem as problem:
                self._outages.failed(self._subject, problem.reason)
                await self._sleep(backoff.failed(is_limited=problem.is_limit))
            except ConnectionLost:
                await self._sleep(self._times.pause)
            except PyupcError as problem:
                # They would be refused once more; the next ones may not be.
                self._outages.failed(self._subject, problem.message)
                await self._sleep(self._until(self._newest() + 2 * MINUTE))
            else:
                backoff.succeeded()

    async def _minute(self) -> None:
        """Store what has closed, the newest one as soon as it is there; sleep until the next."""
        newest = self._newest()
        if not await self._store.leads(self._symbol):
            self._log_once(f"another feed of {self._symbol} stores its own")
            await self._sleep(self._until(newest + 2 * MINUTE))
            return
        deadline = self._now() + timedelta(seconds=self._times.patience)
        while newest not in await self._fill(newest):
            if self._now() >= deadline:
                if minute_of(newest) not in self._refused:
                    self._outages.failed(self._subject, NO_CANDLE)
                break
            await self._sleep(self._times.pause)
        else:
            self._outages.works(self._subject)
        await self._sleep(self._until(newest + 2 * MINUTE))

    async def _fill(self, newest: datetime) -> set[datetime]:
        """Ask for the candles up to one that has closed, and store them; returns their openings."""
        first = await self._first(newest)
        count = (newest - first) // MINUTE + 1
        answer = await self._exchange.candles(self._pair, first, count)
        self._name_refused(answer)
        closed = {_opened_at(each): each for each in answer.candles if _opened_at(each) <= newest}
        changed = await self._store.candles(self._symbol, list(closed.values()))
        logger.debug("%s: %d of %d stored", self._subject, changed, len(closed))
        self._is_filled = True
        return set(closed)

    async def _first(self, newest: datetime) -> datetime:
        """The first minute to ask for: as momentum needs it, or the first one missing."""
        enough = newest - ((AGAIN if self._is_filled else NEEDED) - 1) * MINUTE
        last = await self._store.last_candle(self._symbol)
        page = newest - (self._exchange.page_size - 1) * MINUTE
        if last is not None and last >= page - MINUTE:
            return min(enough, last + MINUTE)
        command = f"pyupc candles backfill --exchange {self._exchange.name} --symbol {self._symbol}"
        if last is None:
            gap, command = "none are stored", f"{command} --since DATE"
        else:
            gap = f"none are stored after {last:%Y-%m-%d %H:%MZ}"
        self._log_once(gap, f"; for those before {page:%Y-%m-%d %H:%MZ}: {command}")
        return page

    def _name_refused(self, answer: Answer) -> None:
        """Once each, though a minute is asked for several times."""
        if answer.refused:
            for problem in [each for each in answer.problems if each not in self._problems][:3]:
                logger.error("%s: left out: %s", self._subject, problem)
        self._refused = frozenset(answer.refused)
        self._problems = frozenset(answer.problems)

    def _log_once(self, what: str, more: str = "") -> None:
        """Once, though it is found every minute."""
        if what not in self._logged:
            self._logged.add(what)
            logger.warning("%s: %s%s", self._subject, what, more)

    def _newest(self) -> datetime:
        """The opening of the newest candle that has closed."""
        return _EPOCH + MINUTE * ((self._now() - _EPOCH) // MINUTE - 1)

    def _until(self, instant: datetime) -> float:
        return max(0.0, (instant - self._now()).total_seconds())


def minute_of(at: datetime) -> int:
    """In minutes since 1970."""
    return (at - _EPOCH) // MINUTE


def _opened_at(candle: Candle) -> datetime:
    return _EPOCH + MINUTE * candle.minute
