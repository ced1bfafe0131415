"""Questions to the engine: strikes of any price, fingerprints, calibration."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from pyupc.fingerprints.transfer.names import BASELINE
from pyupc.settings.legacy import LEGACY
from pyupc.settings.models import Method, Model, Settlement
from pyupc.web import schemas
from pyupc.web.database import LONG_SECONDS
from pyupc.web.json_response import tagged, uncached
from pyupc.web.openapi import NOT_MODIFIED, responses_of
from pyupc.web.parameters import (
    AskedOwner,
    AskedSymbol,
    Instant,
    OwnerInPath,
    Shared,
    SymbolInPath,
    known_parameters,
    span_of,
)

router = APIRouter(tags=["engine"], dependencies=[Depends(known_parameters)])


_STRIKES = """
    SELECT upc.strikes_document(
        %s, %s, %s, %s::integer, %s, %s::integer, %s, %s, %s, %s
    )
"""


@router.get(
    "/api/strikes",
    summary="compute_strikes as a service",
    responses=responses_of(schemas.Strikes, "A row a strike, ascending.", 404, 409),
)
async def strikes(
    shared: Shared,
    price: Annotated[float, Query(ge=1e-6, le=1e12, description="USD", examples=[97250])],
    symbol: AskedSymbol,
    momentum: Annotated[
        float | None,
        Query(
            ge=-1e6,
            le=1e6,
            description="basis points; without it the baseline answers",
            examples=[7],
        ),
    ] = None,
    ttc_seconds: Annotated[
        int | None,
        Query(ge=0, le=10**9, description="default: to the next full hour", examples=[900]),
    ] = None,
    step: Annotated[
        float | None,
        Query(ge=1e-6, le=1e12, description="default: the symbol's own", examples=[250]),
    ] = None,
    levels: Annotated[int, Query(ge=0, le=500, description="below and above", examples=[10])] = 10,
    method: Annotated[
        Method | None,
        Query(description="default: linear", examples=["linear"]),
    ] = None,
    model: Annotated[
        Model | None,
        Query(description="default: volatility", examples=["volatility"]),
    ] = None,
    settlement: Annotated[
        Settlement | None,
        Query(
            description="default: average for what Kalshi settles, else close",
            examples=["average"],
        ),
    ] = None,
    volatility: Annotated[
        float | None,
        Query(
            ge=1e-6,
            le=1e6,
            description="percent until the close, for the model volatility",
            examples=[0.6],
        ),
    ] = None,
) -> Response:
    """Full precision. Where a default cannot answer, stand_in names its replacement; where an
    explicit choice cannot: 409. `pyupc serve --legacy` has the predecessor's defaults."""
    if shared.settings.is_legacy:
        method = method or LEGACY["method"]  # type: ignore[assignment]
        model = model or LEGACY["model"]  # type: ignore[assignment]
        settlement = settlement or LEGACY["settlement"]  # type: ignore[assignment]
    asked = (
        *(price, momentum, symbol, ttc_seconds, step, levels),
        *(method, model, settlement, volatility),
    )
    async with shared.strikes_turn():
        return uncached(await shared.database.text(_STRIKES, asked))


@router.get(
    "/api/fingerprints",
    summary="All fingerprints",
    responses=responses_of(schemas.Fingerprints, "With the number of minutes behind each.", 404)
    | NOT_MODIFIED,
)
async def fingerprints(request: Request, shared: Shared, symbol: AskedOwner = None) -> Response:
    """Of all symbols without one."""
    text = await shared.database.text("SELECT upc.fingerprints_document(%s)", (symbol,))
    return tagged(request, text)


@router.get(
    "/api/fingerprints/{symbol}/{bucket}",
    summary="A fingerprint as a matrix",
    responses=responses_of(schemas.Fingerprint, "60 minutes by 120 moves.", 404) | NOT_MODIFIED,
)
async def fingerprint(
    request: Request,
    shared: Shared,
    symbol: OwnerInPath,
    bucket: Annotated[
        str,
        Path(
            pattern="^(baseline|-?[0-9]{1,2})$",
            description="momentum in basis points, or baseline",
            examples=["7"],
        ),
    ],
    model: Annotated[
        Model,
        Query(description="volatility: moves in units of their forecast; else plain ones"),
    ] = "momentum",
) -> Response:
    """Of the set in use; null where it has no number. */baseline is of all symbols."""
    number = BASELINE if bucket == "baseline" else int(bucket)
    text = await shared.database.text(
        "SELECT upc.fingerprint_document(%s, %s::integer, %s)", (symbol, number, model)
    )
    return tagged(request, text)


@router.get(
    "/api/calibration/{symbol}",
    summary="Calibration: live probabilities against outcomes",
    responses=responses_of(schemas.Calibration, "Rows of upc.calibration.", 404) | NOT_MODIFIED,
)
async def calibration(
    request: Request,
    shared: Shared,
    symbol: SymbolInPath,
    since: Annotated[
        Instant | None,
        Query(
            description="ticks from then on; default: a day before until",
            examples=["2026-01-31T12:00:00Z"],
        ),
    ] = None,
    until: Annotated[
        Instant | None,
        Query(description="and before then; default: now", examples=["2026-02-01T12:00:00Z"]),
    ] = None,
) -> Response:
    """Long spans are slow: 503 if one is too slow for this server."""
    key = (symbol, since, until)
    text = shared.cache.get(key, time.monotonic())
    if text is None:
        async with shared.long_turn(request):
            # The request before may have asked the same.
            text = shared.cache.get(key, time.monotonic())
            if text is None:
                text = await shared.database.text(
                    "SELECT upc.calibration_document(%s, %s, %s)",
                    (symbol, *span_of(since, until, timedelta(days=1))),
                    seconds=LONG_SECONDS,
                )
                shared.cache.put(key, text, time.monotonic())
    return tagged(request, text)
