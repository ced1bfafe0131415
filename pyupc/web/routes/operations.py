"""For those who keep it running: alive, ready, metrics."""

from __future__ import annotations

import json

import psycopg
from fastapi import APIRouter, Response
from starlette.responses import PlainTextResponse

from pyupc.errors import PyupcError
from pyupc.web import schemas
from pyupc.web.json_response import uncached
from pyupc.web.metrics import CONTENT_TYPE
from pyupc.web.openapi import responses_of
from pyupc.web.parameters import Shared
from pyupc.web.problems import MEDIA_TYPE, RETRY_SECONDS

router = APIRouter(tags=["operations"])


@router.get(
    "/live",
    summary="Liveness of the process",
    responses=responses_of(schemas.Live, "It does. Nothing else is asked, the database neither."),
    openapi_extra={"security": []},
)
async def live() -> Response:
    return uncached('{"status": "live"}')


_NOT_READY = {
    "description": "Not green: the problems of `pyupc status`, or no database.",
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/Ready"}},
        MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}},
    },
}


@router.get(
    "/ready",
    summary="Readiness: green status",
    responses={**responses_of(schemas.Ready, "Green."), 503: _NOT_READY},
)
async def ready(shared: Shared) -> Response:
    text = await shared.status()
    if json.loads(text)["state"] == "green":
        return uncached(text)
    response = uncached(text, 503)
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


@router.get(
    "/metrics",
    summary="For Prometheus",
    response_class=PlainTextResponse,
    responses={200: {"description": "Seconds, ratios from 0 to 1, counts."}},
)
async def metrics(shared: Shared) -> Response:
    try:
        status = await shared.status()
    except (psycopg.Error, PyupcError):
        status = None
    text = shared.metrics.text(status, shared.hub.readers)
    return Response(text, media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})
