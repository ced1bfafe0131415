"""Shared state of the operations, and the arguments that many take."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, cast

from fastapi import Depends, Path, Query, Request
from pydantic import BeforeValidator

from pyupc.web.cache import AnswerCache
from pyupc.web.database import LONG_SECONDS, QUICK_SECONDS, Database
from pyupc.web.metrics import Metrics
from pyupc.web.problems import Problem
from pyupc.web.settings import Settings
from pyupc.web.tick_listener import Hub

STATUS_SECONDS = 1.0

# Owner of the pooled fingerprint in the list of fingerprints.
ALL_SYMBOLS = "*"

_SYMBOL = {"pattern": "^[A-Za-z0-9]{1,64}$", "description": "BTC, ETH, …, in any case"}


_OWNER = {
    "pattern": r"^([A-Za-z0-9]{1,64}|\*)$",
    "description": "BTC, ETH, …, in any case; * or pooled for all symbols",
}


@dataclass
class ServerState:
    settings: Settings
    database: Database
    hub: Hub
    metrics: Metrics
    cache: AnswerCache = field(default_factory=AnswerCache)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _strikes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _status: tuple[float, str] = (float("-inf"), "")

    @asynccontextmanager
    async def long_turn(self, request: Request) -> AsyncIterator[None]:
        """Turn for a slow question: one at a time, apart from the quick ones."""
        async with _within(self._turn, LONG_SECONDS):
            if await request.is_disconnected():
                raise Problem(503, "the client has gone")
            yield

    @asynccontextmanager
    async def strikes_turn(self) -> AsyncIterator[None]:
        """Turn for strikes: a few at a time, so that connections are left for the rest."""
        async with _within(self._strikes, QUICK_SECONDS):
            yield

    async def status(self) -> str:
        """upc_status.json as of now, asked for once a second at most."""
        async with self._asking:
            read_at, text = self._status
            if time.monotonic() - read_at > STATUS_SECONDS:
                text = await self.database.text("SELECT upc.status_document()")
                self._status = (time.monotonic(), text)
            return text


@asynccontextmanager
async def _within(turn: asyncio.Lock | asyncio.Semaphore, seconds: float) -> AsyncIterator[None]:
    try:
        await asyncio.wait_for(turn.acquire(), seconds)
    except TimeoutError:
        raise Problem(503, "too many requests at once", "try again in a moment") from None
    try:
        yield
    finally:
        turn.release()


def known_parameters(request: Request) -> None:
    """Raise Problem for an unknown parameter: a mistyped one is never ignored."""
    path = getattr(request.scope.get("route"), "path", "")
    operation = request.app.openapi()["paths"].get(path, {}).get("get", {})
    known = {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}
    for name in request.query_params:
        if name not in known:
            names = " and ".join(sorted(known)) or "none"
            raise Problem(422, f"there is no parameter {name!r}", f"the parameters are {names}")


def _server_state(request: Request) -> ServerState:
    return cast(ServerState, request.app.state.server)


def _upper(symbol: Annotated[str, Path(**cast(Any, _SYMBOL), examples=["BTC"])]) -> str:
    return symbol.upper()


def _owner(symbol: Annotated[str, Path(**cast(Any, _OWNER), examples=["BTC"])]) -> str:
    return ALL_SYMBOLS if symbol.upper() == "POOLED" else symbol.upper()


def _asked(symbol: Annotated[str, Query(**cast(Any, _SYMBOL), examples=["BTC"])] = "BTC") -> str:
    return symbol.upper()


def _asked_owner(
    symbol: Annotated[str | None, Query(**cast(Any, _OWNER), examples=["BTC"])] = None,
) -> str | None:
    return None if symbol is None else _owner(symbol)


Shared = Annotated[ServerState, Depends(_server_state)]
SymbolInPath = Annotated[str, Depends(_upper)]
OwnerInPath = Annotated[str, Depends(_owner)]
AskedSymbol = Annotated[str, Depends(_asked)]
AskedOwner = Annotated[str | None, Depends(_asked_owner)]


def _no_number(given: object) -> object:
    """Refuse a number: pydantic would take it for seconds since 1970."""
    if isinstance(given, str) and not re.match(r"\d{4}-\d\d-\d\d", given, re.ASCII):
        raise ValueError("write it as 2026-01-31T12:00:00Z")
    return given


Instant = Annotated[datetime, BeforeValidator(_no_number)]


def span_of(
    since: datetime | None, until: datetime | None, length: timedelta
) -> tuple[datetime, datetime]:
    """The span asked for: until now, and of a length, unless they are given. UTC is meant."""
    end = instant_of(until) if until is not None else datetime.now(UTC).replace(microsecond=0)
    if since is not None:
        return instant_of(since), end
    first = datetime.min.replace(tzinfo=UTC)
    return max(end, first + 2 * length) - length, end


def instant_of(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)
