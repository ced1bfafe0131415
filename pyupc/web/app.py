"""The application: operations, shared state, middleware."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pyupc import __version__
from pyupc.web import problems, schemas
from pyupc.web.database import Database
from pyupc.web.guard import Guard
from pyupc.web.metrics import Metrics
from pyupc.web.openapi import always
from pyupc.web.parameters import ServerState
from pyupc.web.routes import documents, history, legacy, operations, page, questions, stream
from pyupc.web.settings import Settings
from pyupc.web.tick_listener import Hub

logger = logging.getLogger("pyupc.serve")

_DESCRIPTION = """
The probability that an hourly event contract pays, for every strike, every second, beside its
price. Everything is computed in PostgreSQL; this reads it. Probabilities are percent, prices USD,
asks cents, momentum basis points where its name says so, instants ISO 8601 in UTC. Unknown values
are null.
"""


def create_app(settings: Settings, ended: Callable[[], None] = lambda: None) -> FastAPI:
    """The application of `pyupc serve`; `ended` is called if the reader of ticks fails."""
    database, own = Database(settings.dsn), Database(settings.dsn, 1)
    metrics = Metrics()
    hub = Hub(own, [database], metrics.ticked)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await database.open()
        await own.open()
        task = asyncio.create_task(hub.run())
        task.add_done_callback(lambda done: _report_end(done, ended))
        try:
            yield
        finally:
            hub.close()
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
            await database.close()
            await own.close()

    app = Api(
        title="pyupc",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        # Their pages take their scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        responses=always(),
        generate_unique_id_function=_operation_name,
    )
    app.state.server = ServerState(settings, database, hub, metrics)
    for each in (documents, questions, history, stream, operations, legacy, page):
        app.include_router(each.router)
    page.mount(app)
    problems.install(app)
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Counted, metrics=metrics)
    return app


def _operation_name(route: APIRoute) -> str:
    """Operation's name in OpenAPI, and in clients that are generated from it."""
    return f"legacy_{route.name}" if "legacy" in route.tags else route.name


class Api(FastAPI):
    """Its description has the shape of problems, which no operation returns as its answer."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            found = super().openapi()
            components = found["components"]
            components["schemas"]["ProblemDetails"] = schemas.ProblemDetails.model_json_schema()
            for unused in ("HTTPValidationError", "ValidationError"):
                components["schemas"].pop(unused, None)
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            found["security"] = [{"token": []}, {}]
        return super().openapi()


class Counted:
    """Counts requests by the path that they were for, never by what was asked."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD" and not scope["path"].startswith("/api/stream/"):
            # Answered as GET; the server leaves the body out.
            scope = {**scope, "method": "GET"}
        began = time.perf_counter()
        status = 500

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, seen)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            is_stream = path.startswith("/api/stream/") and status == 200
            self._metrics.answered(path, status, None if is_stream else time.perf_counter() - began)


def _report_end(task: asyncio.Task[None], ended: Callable[[], None]) -> None:
    if task.cancelled():
        return
    logger.critical("the reader of ticks has ended", exc_info=task.exception())
    ended()
