"""Failures of an exchange: one kind of error, with a short reason, for whatever ccxt raises."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pyupc.exchange.answer import short

logger = logging.getLogger(__name__)

TOO_MANY_REQUESTS = 429
LIMITED = "too many requests"

# Statuses below 500 that may be others a little later; so may all from 500 on.
_PASSING = frozenset({408, 425, TOO_MANY_REQUESTS})

_SHAPE_ERRORS = (TypeError, ValueError, LookupError, AttributeError)


class ExchangeProblem(Exception):
    """An exchange does not answer as it should; the same failure has the same `reason`.

    `is_limit` after too many requests. `wait` are the seconds to leave the exchange alone, if it
    asks for that. `is_refusal` if the same request will hardly ever bring anything else.
    """

    def __init__(
        self, reason: str, *, is_limit: bool = False, wait: float = 0.0, is_refusal: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_limit = is_limit
        self.wait = wait
        self.is_refusal = is_refusal


@dataclass(frozen=True)
class Response:
    """The head of an HTTP response; names of headers are in lower case."""

    status: int
    phrase: str
    headers: Mapping[str, str]


@contextmanager
def translated(seconds: float) -> Iterator[None]:
    """Raise ExchangeProblem for all that ccxt raises; `seconds` is its limit of a request."""
    try:
        yield
    except ExchangeProblem as problem:
        logger.info("%s", problem.reason)
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # ccxt cancels what waits for a websocket that it closes.
        raise ExchangeProblem("the connection was closed") from None
    except Exception as error:
        logger.info("%s: %s", type(error).__name__, short(error))
        raise _by_class(error, seconds) from error


def by_status(response: Response, error: Exception | None) -> ExchangeProblem:
    """The problem of a response whose status is a failure; `error` is ccxt's reading of it."""
    is_passing = response.status in _PASSING or response.status >= 500
    is_limit = response.status == TOO_MANY_REQUESTS or _is_limit(error)
    reason = f"the answer is HTTP {response.status} {response.phrase}".strip()
    if is_limit:
        reason = LIMITED
    elif error is not None and not is_passing:
        reason += f": {_without_query(error)}"
    wait = response.headers.get("retry-after", "")
    return ExchangeProblem(
        reason,
        is_limit=is_limit,
        wait=float(wait) if re.fullmatch(r"\d{1,4}", wait) else 0.0,
        is_refusal=not is_passing,
    )


def _by_class(error: Exception, seconds: float) -> ExchangeProblem:
    errors = importlib.import_module("ccxt.base.errors")
    if _is_limit(error):
        return ExchangeProblem(LIMITED, is_limit=True)
    if isinstance(error, errors.RequestTimeout):
        return ExchangeProblem(f"no answer within {seconds:g} s")
    cause = _transport_error(error)
    if (status := getattr(cause, "status", None)) is not None:
        # To the request that opens a websocket.
        return ExchangeProblem(f"the answer is HTTP {status}")
    if cause is not None:
        is_network = isinstance(error, (errors.NetworkError, OSError))
        where = "cannot be reached" if is_network else "the connection broke off"
        return ExchangeProblem(f"{where}: {_words(cause)}")
    if isinstance(error, _SHAPE_ERRORS):
        # ccxt takes what it expects out of an answer without looking whether it is there.
        return ExchangeProblem("the answer has an unknown shape")
    return ExchangeProblem(
        _without_query(error), is_refusal=not isinstance(error, errors.NetworkError)
    )


def _is_limit(error: Exception | None) -> bool:
    errors = importlib.import_module("ccxt.base.errors")
    return isinstance(error, (errors.RateLimitExceeded, errors.DDoSProtection))


def _transport_error(error: Exception) -> Exception | None:
    """The failure of a socket or of aiohttp that ccxt has wrapped, or that is the error itself."""
    aiohttp = importlib.import_module("aiohttp")
    found = (error, error.__cause__, *error.args)
    kinds = (OSError, aiohttp.ClientError)
    return next((each for each in found if isinstance(each, kinds)), None)


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        if error.errno is not None and error.errno > 0:
            return os.strerror(error.errno).lower()
        if error.strerror:
            return error.strerror[:120].lower()
    return short(error)[:120].lower()


def _without_query(error: Exception) -> str:
    """The text without parameters of requests, which differ each time."""
    return re.sub(r"(https?://[^\s?]+)\?\S*", r"\1", short(error))[:160]
