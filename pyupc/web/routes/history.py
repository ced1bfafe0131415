"""History: the log over time, and the events that have closed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from pyupc.web import schemas
from pyupc.web.json_response import uncached
from pyupc.web.openapi import responses_of
from pyupc.web.parameters import (
    Instant,
    Shared,
    SymbolInPath,
    instant_of,
    known_parameters,
    span_of,
)

router = APIRouter(tags=["history"], dependencies=[Depends(known_parameters)])

_HISTORY = "SELECT upc.history_document(%s, %s, %s, make_interval(secs => %s), %s::text[])::text"

_EVENTS = "SELECT upc.closed_events_document(%s, %s, %s::integer)::text"


@router.get(
    "/api/history/{symbol}",
    summary="History of price and contracts",
    responses=responses_of(schemas.History, "A list for each column, the oldest first.", 404),
)
async def history(
    shared: Shared,
    symbol: SymbolInPath,
    since: Annotated[
        Instant | None,
        Query(
            description="from then on; default: an hour before until",
            examples=["2026-01-31T12:00:00Z"],
        ),
    ] = None,
    until: Annotated[
        Instant | None,
        Query(description="and before then; default: now", examples=["2026-01-31T13:00:00Z"]),
    ] = None,
    every: Annotated[
        int | None,
        Query(
            ge=1,
            le=10**7,
            description="seconds from point to point, and more where that takes more than 5,000"
            " points; default: the shortest round step",
            examples=[60],
        ),
    ] = None,
    ticker: Annotated[
        list[str] | None,
        Query(
            description="a contract to add, up to 50 of them",
            examples=[["KXBTCD-26JAN3108-T97249.99"]],
            max_length=50,
        ),
    ] = None,
) -> Response:
    """At most 5,000 points. Contracts are logged once a minute, as long as they have a quote."""
    asked = (symbol, *span_of(since, until, timedelta(hours=1)), every, ticker or [])
    async with shared.strikes_turn():
        return uncached(await shared.database.text(_HISTORY, asked))


@router.get(
    "/api/events/{symbol}",
    summary="Closed events",
    responses=responses_of(schemas.ClosedEvents, "The newest first.", 404),
)
async def events(
    shared: Shared,
    symbol: SymbolInPath,
    before: Annotated[
        Instant | None,
        Query(
            description="that closed before then; default: now", examples=["2026-01-31T12:00:00Z"]
        ),
    ] = None,
    most: Annotated[int, Query(ge=1, le=200, description="how many", examples=[24])] = 24,
) -> Response:
    """Settlement, Brier scores of model and market before the close, and profit of trades."""
    end: datetime = instant_of(before) if before is not None else datetime.now(UTC)
    async with shared.strikes_turn():
        return uncached(await shared.database.text(_EVENTS, (symbol, end, most)))
