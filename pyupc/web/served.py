"""What all operations share, and the arguments that many take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

from fastapi import Depends, Path, Query, Request

from pyupc.web.database import LONG_SECONDS, Database
from pyupc.web.hub import Hub
from pyupc.web.kept import Kept
from pyupc.web.metrics import Metrics
from pyupc.web.problems import Problem
from pyupc.web.settings import Settings

STATUS_SECONDS = 1.0

_SYMBOL = {"pattern": "^[A-Za-z0-9]{1,20}$", "description": "BTC, ETH, …, in any case"}


@dataclass
class Served:
    settings: Settings
    database: Database
    hub: Hub
    metrics: Metrics
    kept: Kept = field(default_factory=Kept)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _status: tuple[float, str] = (float("-inf"), "")

    @asynccontextmanager
    async def my_turn(self) -> AsyncIterator[None]:
        """What takes long is done one at a time, and never in the way of what has to be quick."""
        try:
            await asyncio.wait_for(self._turn.acquire(), LONG_SECONDS)
        except TimeoutError:
            raise Problem(503, "others have asked for what takes long, too", "try again") from None
        try:
            yield
        finally:
            self._turn.release()

    async def status(self) -> str:
        """upc_status.json as of now, asked for once a second at most."""
        read_at, text = self._status
        if time.monotonic() - read_at > STATUS_SECONDS:
            text = await self.database.text("SELECT upc.status_document()")
            self._status = (time.monotonic(), text)
        return text


def _served(request: Request) -> Served:
    return cast(Served, request.app.state.served)


def _upper(symbol: Annotated[str, Path(**cast(Any, _SYMBOL), examples=["BTC"])]) -> str:
    return symbol.upper()


def _asked(symbol: Annotated[str, Query(**cast(Any, _SYMBOL), examples=["BTC"])] = "BTC") -> str:
    return symbol.upper()


Shared = Annotated[Served, Depends(_served)]
SymbolInPath = Annotated[str, Depends(_upper)]
AskedSymbol = Annotated[str, Depends(_asked)]
