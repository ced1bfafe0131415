"""Every tick as a server-sent event, to everybody who reads along."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from sse_starlette import EventSourceResponse
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from pyupc.tick.documents import DOCUMENTS
from pyupc.web.openapi import a_problem
from pyupc.web.parameters import Shared, SymbolInPath
from pyupc.web.problems import Problem

logger = logging.getLogger("pyupc.serve")

router = APIRouter(tags=["live"])

# A reader that takes nothing for so long is disconnected.
SEND_SECONDS = 20
# Streams per client, however few are allowed in all.
FEW = 20

_NAME = "|".join(DOCUMENTS)

_DESCRIPTION = """
`tick`: the documents of a tick, its `tick_id` and `age_seconds`; the newest comes at once, then
each as it is committed. The one of the contracts is large; `documents=strike_table,watchlist` asks
for those two alone. `pulse`: every second without a tick, with the age of the last one and whether
the database answers. A reader that is slow misses ticks, and gets the newest as soon as it can.
"""

_EXAMPLE = """event: tick
id: 17
data: {"symbol": "BTC", "tick_id": 17, "age_seconds": 0.004, "strike_table": {"…": "…"}, "…": "…"}

event: pulse
data: {"symbol": "BTC", "tick_id": 17, "age_seconds": 1.02, "database": "ok", "problem": null}

"""


class Stream(EventSourceResponse):
    """Leaves its place at the end, however it comes."""

    def __init__(self, place: ExitStack, content: AsyncIterator[bytes], **more: Any) -> None:
        super().__init__(content, **more)
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._place:
            try:
                await super().__call__(scope, receive, send)
            except* SendTimeoutError:
                logger.info("a reader who takes nothing is let go")


def _asked_documents(
    documents: Annotated[
        str | None,
        Query(
            pattern=f"^({_NAME})(,({_NAME}))*$",
            description="names, separated by commas; default: all",
            examples=["live_probabilities,strike_table"],
        ),
    ] = None,
) -> tuple[str, ...]:
    """In the order of DOCUMENTS, so that the same ones are the same bytes."""
    asked = DOCUMENTS if documents is None else documents.split(",")
    return tuple(name for name in DOCUMENTS if name in asked)


@router.get(
    "/api/stream/{symbol}",
    summary="Every tick as it comes",
    description=_DESCRIPTION,
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": "Server-sent events, without end.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        },
        404: a_problem(404),
    },
)
async def stream(
    request: Request,
    shared: Shared,
    symbol: SymbolInPath,
    documents: Annotated[tuple[str, ...], Depends(_asked_documents)],
) -> Response:
    hub, most = shared.hub, shared.settings.readers
    client = request.client.host if request.client else "unknown"
    # A tick that was read before is shown while the database is away.
    if not hub.knows(symbol):
        await shared.database.rows("SELECT upc.require_symbol(%s)", (symbol,))
    hint = "pyupc serve --max-readers N allows more"
    if hub.readers >= most:
        raise Problem(503, "too many streams are open", hint)
    if hub.readers_of(client) >= max(FEW, most // 4):
        raise Problem(429, "one client has too many streams open", hint, {"Retry-After": "5"})
    place = ExitStack()
    # From now on, and not when it begins: those who come at once are counted one by one.
    place.enter_context(hub.reader(client))
    return Stream(
        place,
        hub.events(symbol, documents),
        # The hub sends a pulse every second.
        ping=3600,
        send_timeout=SEND_SECONDS,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
