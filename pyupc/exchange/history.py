"""An exchange's candles of the past, for backfills: synchronous, and patient with failures."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from pyupc.errors import PyupcError
from pyupc.exchange.answer import Answer
from pyupc.exchange.client import Client, candidates, listed_pair
from pyupc.exchange.problems import ExchangeProblem
from pyupc.runtime.backoff import LONGEST_SECONDS, Backoff

Result = TypeVar("Result")

TIMEOUT_SECONDS = 20.0

# In a row.
ATTEMPTS = 8


class Unlisted(PyupcError):
    """The exchange has no such pair."""


class Exchange:
    """One exchange, inside `with`. A request that fails is repeated after a pause.

    `on_trouble` gets what is wrong, each thing once. PyupcError if ccxt does not know the
    exchange, if it refuses, or after 8 failures in a row.
    """

    def __init__(
        self,
        name: str,
        on_trouble: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self._client = Client(name, timeout=TIMEOUT_SECONDS)
        self.page_size = self._client.page_size
        self._on_trouble = on_trouble
        self._reported: set[str] = set()
        self._sleep = sleep
        self._runner = asyncio.Runner()

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        with self._runner:
            self._runner.run(self._client.close())

    @property
    def clock_skew(self) -> float | None:
        """The exchange's clock minus ours, in seconds; None before its first answer."""
        return self._client.skew.seconds

    def now(self) -> float:
        """The time in seconds since 1970 on the exchange's clock, as far as it is known."""
        return time.time() + (self.clock_skew or 0.0)

    def pair(self, symbol: str, wanted: str | None) -> str:
        """The pair that is wanted, or the symbol in another dollar; Unlisted if there is none.

        One that is no longer traded has a history all the same.
        """
        markets: Mapping[str, Any] = self._persist(self._client.markets)
        if found := listed_pair(markets, symbol, wanted, is_active=False):
            return found
        base = (wanted or symbol).partition("/")[0]
        alike = sorted(pair for pair in markets if re.fullmatch(f"{re.escape(base)}/[A-Z]+", pair))
        raise Unlisted(
            f"{self.name} lists none of {', '.join(candidates(symbol, wanted))}",
            f"it lists {', '.join(alike[:5])}" if alike else "try another exchange",
        )

    def candles(self, pair: str, first: int, after: int) -> Answer:
        """The candles from one minute since 1970 up to another, which is not asked for."""
        return self._persist(lambda: self._client.candles(pair, first, after, is_ended=True))

    def _persist(self, ask: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        backoff = Backoff()
        for left in reversed(range(ATTEMPTS)):
            try:
                return self._runner.run(ask())
            except ExchangeProblem as problem:
                if problem.is_refusal:
                    raise PyupcError(
                        f"{self.name} refuses: {problem.reason}",
                        "check that the exchange serves this pair, and your country",
                    ) from problem
                reason, is_limit, wait = problem.reason, problem.is_limit, problem.wait
            if left and reason not in self._reported:
                self._reported.add(reason)
                self._on_trouble(f"{self.name}: {reason}; trying again")
            pause = backoff.failed(is_limited=is_limit)
            if left:
                self._sleep(max(pause, min(wait, LONGEST_SECONDS)))
        raise PyupcError(
            f"{self.name}: {reason}; gave up after {ATTEMPTS} attempts",
            "try again later: what was stored is kept, and it goes on from there",
        )
