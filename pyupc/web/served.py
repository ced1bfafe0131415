"""What all operations share, and the arguments that many take."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

from fastapi import Depends, Path, Query, Request

from pyupc.web.database import Database
from pyupc.web.hub import Hub
from pyupc.web.kept import Kept
from pyupc.web.metrics import Metrics
from pyupc.web.settings import Settings

STATUS_SECONDS = 1.0

_SYMBOL = {"pattern": "^[A-Za-z0-9]{1,20}$", "description": "BTC, ETH, …, in any case"}


@dataclass
class Served:
    settings: Settings
    database: Database
    hub: Hub
    metrics: Metrics
    # What takes long is done one at a time, and never in the way of what has to be quick.
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    kept: Kept = field(default_factory=Kept)
    _status: tuple[float, str] = (float("-inf"), "")

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


def _asked(symbol: Annotated[str, Query(**cast(Any, _SYMBOL))] = "BTC") -> str:
    return symbol.upper()


Shared = Annotated[Served, Depends(_served)]
SymbolInPath = Annotated[str, Depends(_upper)]
AskedSymbol = Annotated[str, Depends(_asked)]
