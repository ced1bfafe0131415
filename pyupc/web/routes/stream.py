"""Every tick as a server-sent event, to everybody who reads along."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter, Response
from sse_starlette import EventSourceResponse

from pyupc.web.documented import a_problem
from pyupc.web.problems import Problem
from pyupc.web.served import Shared, SymbolInPath

router = APIRouter(tags=["live"])

# Whoever takes nothing for so long is let go.
SEND_SECONDS = 20

_DESCRIPTION = """
`tick`: the four documents of a tick, its `tick_id` and `age_seconds`; the newest comes at once,
then each as it is committed. `pulse`: every second without one, with the age of the last tick and
whether the database answers. A reader that is slow misses ticks, and gets the newest as soon as it
can.
"""

_EXAMPLE = """event: tick
id: 17
data: {"symbol": "BTC", "tick_id": 17, "age_seconds": 0.004, "strike_table": {"…": "…"}, "…": "…"}

event: pulse
data: {"symbol": "BTC", "tick_id": 17, "age_seconds": 1.02, "database": "ok", "problem": null}

"""


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
async def stream(shared: Shared, symbol: SymbolInPath) -> Response:
    await shared.database.rows("SELECT upc.require_symbol(%s)", (symbol,))
    if shared.hub.readers >= shared.settings.readers:
        raise Problem(503, "too many streams are open", "pyupc serve --max-readers N allows more")

    async def events() -> AsyncIterator[bytes]:
        with shared.hub.reader():
            async for event in shared.hub.events(symbol):
                yield event

    return EventSourceResponse(
        events(),
        # The hub sends a pulse every second.
        ping=3600,
        send_timeout=SEND_SECONDS,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
