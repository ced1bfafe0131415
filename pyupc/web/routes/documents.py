"""The documents of the last tick, as the JSON files have them, and what is read off them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from pyupc.web import schemas
from pyupc.web.json_response import tagged, uncached
from pyupc.web.latest import Latest, joined_trades, latest
from pyupc.web.openapi import NOT_MODIFIED, responses_of
from pyupc.web.parameters import ServerState, Shared, SymbolInPath
from pyupc.web.problems import Problem

router = APIRouter(tags=["live"])


async def document(request: Request, shared: ServerState, symbol: str, name: str) -> Response:
    """Document of the symbol's last tick, aged: its state follows from the tick's age."""
    newest = await latest_of(shared, symbol, name)
    return tagged(request, newest.documents[name], newest.version)


async def latest_of(shared: ServerState, symbol: str, name: str) -> Latest:
    """The symbol's last tick with that document; Problem if there is none."""
    found = await latest(shared.database, symbol, time.monotonic(), documents=[name])
    if not found:
        raise Problem(404, f"nothing has ticked {symbol} yet", f"pyupc tick --symbol {symbol}")
    return found[0]


@router.get(
    "/api/live_probabilities/{symbol}",
    summary="Probabilities of all strikes",
    responses=responses_of(schemas.LiveProbabilities, "SYMBOL_live_probabilities.json", 404)
    | NOT_MODIFIED,
)
async def live_probabilities(request: Request, shared: Shared, symbol: SymbolInPath) -> Response:
    return await document(request, shared, symbol, "live_probabilities")


@router.get(
    "/api/strike_table/{symbol}",
    summary="Strikes with probabilities, asks and edges, nearest to the price first",
    responses=responses_of(schemas.StrikeTable, "SYMBOL_strike_table.json", 404) | NOT_MODIFIED,
)
async def strike_table(request: Request, shared: Shared, symbol: SymbolInPath) -> Response:
    return await document(request, shared, symbol, "strike_table")


@router.get(
    "/api/watchlist/{symbol}",
    summary="Strikes that are worth a look",
    responses=responses_of(schemas.StrikeTable, "SYMBOL_watchlist.json", 404) | NOT_MODIFIED,
)
async def watchlist(request: Request, shared: Shared, symbol: SymbolInPath) -> Response:
    return await document(request, shared, symbol, "watchlist")


@router.get(
    "/api/contracts/{symbol}",
    summary="Open contracts of all followed events, by close, series and bounds",
    responses=responses_of(schemas.Contracts, "SYMBOL_contracts.json", 404) | NOT_MODIFIED,
)
async def contracts(request: Request, shared: Shared, symbol: SymbolInPath) -> Response:
    return await document(request, shared, symbol, "contracts")


@router.get(
    "/api/bets/{symbol}",
    summary="What is worth buying, the best first",
    responses=responses_of(schemas.Bets, "Of the contracts of the last tick.", 404),
)
async def bets(
    shared: Shared,
    symbol: SymbolInPath,
    most: Annotated[int, Query(ge=1, le=100, description="how many", examples=[3])] = 3,
) -> Response:
    """Ranked by the low end of the edge; of one event a bet on yes and one on no at most."""
    return uncached(
        await shared.database.text("SELECT upc.bets_document(%s, %s::integer)", (symbol, most))
    )


@router.get(
    "/api/active_trades",
    summary="Trades that are held",
    responses=responses_of(schemas.ActiveTrades, "SYMBOL_active_trades.json of all symbols", 404),
)
async def active_trades(
    shared: Shared,
    symbol: Annotated[
        str | None,
        Query(pattern="^[A-Za-z0-9]{1,64}$", description="default: all", examples=["BTC"]),
    ] = None,
) -> Response:
    asked = None if symbol is None else symbol.upper()
    found = await latest(shared.database, asked, time.monotonic(), documents=["active_trades"])
    return uncached(joined_trades(found, datetime.now(UTC).isoformat()))


@router.get(
    "/api/price/{symbol}",
    summary="The price",
    responses=responses_of(schemas.Price, "The price of the last tick and its age.", 404),
)
async def price(shared: Shared, symbol: SymbolInPath) -> Response:
    return uncached(await shared.database.text("SELECT upc.price_document(%s)", (symbol,)))


@router.get(
    "/api/ttc/{symbol}",
    summary="The time to the close",
    responses=responses_of(schemas.TimeToClose, "Whole seconds, as of now.", 404),
)
async def ttc(shared: Shared, symbol: SymbolInPath) -> Response:
    return uncached(await shared.database.text("SELECT upc.ttc_document(%s)", (symbol,)))


@router.get(
    "/api/momentum/{symbol}",
    summary="Momentum and its six deltas",
    responses=responses_of(schemas.MomentumNow, "Momentum of the last tick.", 404),
)
async def momentum(shared: Shared, symbol: SymbolInPath) -> Response:
    return uncached(await shared.database.text("SELECT upc.momentum_document(%s)", (symbol,)))


@router.get(
    "/api/symbols",
    summary="The registered symbols",
    responses=responses_of(schemas.Symbols, "Each with its last tick, if there is one."),
)
async def symbols(shared: Shared) -> Response:
    return uncached(await shared.database.text("SELECT upc.symbols_document()"))
