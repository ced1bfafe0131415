"""Candles of one minute from an exchange, through ccxt's REST client; no answer is trusted."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from pyupc.errors import PyupcError
from pyupc.exchange.answer import MINUTE, Answer, is_empty, is_list, judge, short
from pyupc.exchange.one_exchange import INSTALL_HINT, require_exchange
from pyupc.runtime.backoff import LONGEST_SECONDS, Backoff
from pyupc.runtime.server_clock import Skew

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

TIMEOUT_SECONDS = 20.0

# Names the server to ask in place of the exchange's own: its scheme, host and port.
URL_VARIABLE = "PYUPC_EXCHANGE_URL"

# Candles a request where ccxt does not say how many an exchange gives.
DEFAULT_PAGE_SIZE = 300

# For an exchange that does not list the symbol's own pair.
QUOTES = ("USD", "USDT", "USDC")

# In a row.
ATTEMPTS = 8

# Answers that may be others a little later; so may those from 500 on.
_LATER = frozenset({408, 425, 429})


class Trouble(Exception):
    """The answer is none; another attempt may bring one."""


class Problem(NamedTuple):
    """What is wrong, and how many seconds the exchange asks to be left alone."""

    text: str
    is_limited: bool = False
    wait: float = 0.0


class Unlisted(PyupcError):
    """The exchange has no such pair."""


class Exchange:
    """One exchange, inside `with`. What goes wrong is tried again, and again a little later.

    `on_trouble` is told what is wrong, each thing once. PyupcError if the exchange is unknown, if
    it refuses, or after 8 failures in a row.
    """

    def __init__(
        self,
        name: str,
        on_trouble: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self._client = _exchange_class(name)(
            {
                "enableRateLimit": True,
                "timeout": int(1000 * TIMEOUT_SECONDS),
                # As curl does: HTTPS_PROXY and NO_PROXY count.
                "requests_trust_env": True,
            }
        )
        if "1m" not in (self._client.timeframes or {}) or not self._client.has["fetchOHLCV"]:
            raise PyupcError(f"{name} has no candles of one minute", "for example coinbase has")
        if url := os.environ.get(URL_VARIABLE):
            self._client.urls["api"] = _moved(self._client.urls["api"], url)
        # Asked for with the markets by default; here nobody wants to know.
        self._client.has["fetchCurrencies"] = False
        self._client.fetch = self._watched(self._client.fetch)
        self._on_trouble = on_trouble
        self._said: set[str] = set()
        self._sleep = sleep
        self._skew = Skew()
        self._answer: Any = None

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.session.close()

    @property
    def page_size(self) -> int:
        """How many candles a request brings at most."""
        features = self._client.features or {}
        limit = ((features.get("spot") or {}).get("fetchOHLCV") or {}).get("limit")
        return int(limit or DEFAULT_PAGE_SIZE)

    @property
    def clock_skew(self) -> float | None:
        """The exchange's clock minus ours, in seconds; None before its first answer."""
        return self._skew.seconds

    def now(self) -> float:
        """The time in seconds since 1970 on the exchange's clock, as far as it is known."""
        return time.time() + (self.clock_skew or 0.0)

    def pair(self, symbol: str, wanted: str | None) -> str:
        """The pair that is wanted, or the symbol in another dollar; Unlisted if there is none.

        One that is no longer traded has a history all the same.
        """
        markets: Mapping[str, Any] = self._persist(self._client.load_markets)
        base = (wanted or symbol).partition("/")[0]
        candidates = [*([wanted] if wanted else []), *(f"{base}/{quote}" for quote in QUOTES)]
        for candidate in candidates:
            if candidate in markets and markets[candidate].get("spot") is not False:
                return candidate
        alike = sorted(pair for pair in markets if re.fullmatch(f"{re.escape(base)}/[A-Z]+", pair))
        raise Unlisted(
            f"{self.name} lists none of {', '.join(dict.fromkeys(candidates))}",
            f"it lists {', '.join(alike[:5])}" if alike else "try another exchange",
        )

    def candles(self, pair: str, first: int, after: int) -> Answer:
        """The candles from one minute since 1970 up to another, which is not asked for."""

        def ask() -> list[Any]:
            # To the end of the last minute: exchanges differ in whether they mean to include it.
            until = {"until": after * MINUTE - 1}
            rows = self._client.fetch_ohlcv(pair, "1m", first * MINUTE, after - first, until)
            if not isinstance(rows, list) or not (rows or is_list(self._answer)):
                raise Trouble("the answer is no list of candles")
            return rows

        rows = self._persist(ask)
        if not rows and not is_empty(self._answer):
            # ccxt has dropped all of them.
            return Answer([], ["what came is nothing that was asked for"], set())
        return judge(rows, first, after)

    def _persist(self, ask: Callable[[], Result]) -> Result:
        backoff = Backoff()
        for left in reversed(range(ATTEMPTS)):
            try:
                return ask()
            except Exception as error:
                problem, is_limited, wait = self._meaning(error)
            if left and problem not in self._said:
                self._said.add(problem)
                self._on_trouble(f"{self.name}: {problem}; trying again")
            pause = backoff.failed(is_limited=is_limited)
            if left:
                self._sleep(max(pause, min(wait, LONGEST_SECONDS)))
        raise PyupcError(
            f"{self.name}: {problem}; gave up after {ATTEMPTS} attempts",
            "try again later: it goes on from there",
        )

    def _meaning(self, error: Exception) -> Problem:
        """What is wrong for now; raises what will not pass."""
        errors = importlib.import_module("ccxt.base.errors")
        logger.info("%s: %s: %s", self.name, type(error).__name__, short(error))
        if isinstance(error, Trouble):
            return Problem(str(error))
        if not isinstance(error, errors.BaseError):
            # ccxt takes what it expects out of an answer without looking whether it is there.
            if isinstance(error, (TypeError, ValueError, LookupError, AttributeError)):
                return Problem("the answer has an unknown shape")
            raise error
        response = _response(error)
        if response is not None and (response.status_code in _LATER or response.status_code >= 500):
            wait = response.headers.get("Retry-After", "")
            return Problem(
                f"the answer is {response.status_code} {response.reason or ''}".strip(),
                is_limited=response.status_code == 429,
                wait=float(wait) if re.fullmatch(r"\d{1,4}", wait) else 0.0,
            )
        if response is None and isinstance(error, errors.RequestTimeout):
            return Problem(f"no answer in {self._client.timeout / 1000:g} s")
        if response is None and isinstance(error, errors.NetworkError):
            # Either requests has failed, or the answer itself says something of the kind.
            is_cut_off = isinstance(error.__cause__, OSError)
            return Problem("the connection failed or broke off" if is_cut_off else short(error))
        raise PyupcError(
            f"{self.name} refuses: {short(error.__cause__ or error)}",
            "see whether the exchange serves this pair, and your country",
        ) from error

    def _watched(self, fetch: Callable[..., Any]) -> Callable[..., Any]:
        """A fetch that takes no text for an answer, where ccxt would make an empty list of it."""

        def watched(*arguments: Any, **options: Any) -> Any:
            sent_at = datetime.now(UTC)
            answer = fetch(*arguments, **options)
            if date := (self._client.last_response_headers or {}).get("Date"):
                self._skew.measure(date, sent_at, datetime.now(UTC))
            if not isinstance(answer, (dict, list)):
                raise Trouble("the answer is not complete JSON")
            self._answer = answer
            return answer

        return watched


def _response(error: BaseException | None) -> Any:
    """What the exchange had answered when the error arose, an object of requests; or None."""
    while error is not None:
        response = getattr(error, "response", None)
        if response is not None:
            return response
        error = error.__cause__ or error.__context__
    return None


def _moved(urls: Any, to: str) -> Any:
    """ccxt's addresses, nested dictionaries of them, at another scheme, host and port."""
    if isinstance(urls, dict):
        return {name: _moved(url, to) for name, url in urls.items()}
    return re.sub(r"^\w+://[^/]+", lambda _: to.rstrip("/"), urls) if urls else urls


def _exchange_class(name: str) -> Any:
    """ccxt's synchronous class of an exchange.

    Whatever is imported of ccxt, its package imports all exchanges first: 67 MB instead of 31.
    """
    require_exchange(name)
    try:
        if "ccxt" not in sys.modules:
            with suppress(ImportError, AttributeError), _hollow_package():
                importlib.import_module(f"ccxt.{name}")
        return getattr(importlib.import_module(f"ccxt.{name}"), name)
    except ImportError as error:
        raise PyupcError(f"candles of {name} need {error.name}", INSTALL_HINT) from error


@contextmanager
def _hollow_package() -> Iterator[None]:
    """Stands in for the package ccxt while a module of it is imported; then it is gone."""
    spec = importlib.util.find_spec("ccxt")
    assert spec is not None
    package = ModuleType("ccxt")
    package.__path__ = list(spec.submodule_search_locations or ())
    package.__spec__ = spec
    sys.modules["ccxt"] = package
    try:
        yield
    finally:
        del sys.modules["ccxt"]
