"""Errors as problem details (RFC 9457), with the hint that the command line gives."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from pyupc.errors import DatabaseUnreachable, PyupcError, SchemaOutOfDate
from pyupc.sql_errors import is_transient, one_line, translate

logger = logging.getLogger("pyupc.serve")

MEDIA_TYPE = "application/problem+json"

# Not there, not answerable now, or too slow.
_NOT_FOUND = frozenset({"UP002", "UP006", "UP013", "UP023", "UP024"})
_CONFLICT = frozenset({"UP020", "UP021"})
_CANCELLED = "57014"
_BAD_VALUE_CLASS = "22"

RETRY_SECONDS = 1

_HINTS = {
    404: "/openapi.json lists the paths",
    405: "ask with GET",
    422: "see /openapi.json for the arguments",
}


class Problem(Exception):
    """A refusal that the server itself has a reason for."""

    def __init__(
        self,
        status: int,
        detail: str,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.response = problem(status, detail, hint, headers=headers)


def problem(
    status: int,
    detail: str,
    hint: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> JSONResponse:
    """The answer to a request that failed. `more` are members of the problem's own."""
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "hint": hint,
        **more,
    }
    kept = {"Cache-Control": "no-store", **(headers or {})}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        kept.setdefault("Retry-After", str(RETRY_SECONDS))
    return JSONResponse(content, status, kept, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """From now on every error of the application is a problem."""

    @app.exception_handler(Problem)
    async def _ours(_: Request, error: Problem) -> JSONResponse:
        return error.response

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        hint = _HINTS.get(error.status_code)
        return problem(error.status_code, str(error.detail), hint, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        found = [(".".join(str(part) for part in e["loc"][1:]), e["msg"]) for e in error.errors()]
        detail = "; ".join(f"{name}: {message}" for name, message in found)
        refused = [{"name": name, "reason": reason} for name, reason in found]
        return problem(422, detail, _HINTS[422], errors=refused)

    @app.exception_handler(psycopg.Error)
    async def _database(_: Request, error: psycopg.Error) -> JSONResponse:
        return of_database(error)

    @app.exception_handler(PyupcError)
    async def _refused(_: Request, error: PyupcError) -> JSONResponse:
        return problem(_status_of(error), error.message, error.hint)

    @app.exception_handler(UnicodeError)
    async def _text(_: Request, error: UnicodeError) -> JSONResponse:
        return problem(422, "a parameter is not text")

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        logger.error("%s failed: %s", request.url.path, type(error).__name__, exc_info=error)
        return problem(500, "the server has failed; see its log")


def of_database(error: psycopg.Error) -> JSONResponse:
    """The problem that an error of PostgreSQL is; what cannot be the client's fault is logged."""
    code = error.sqlstate
    meaning = translate(error)
    if code is None and isinstance(error, psycopg.DataError):
        # A zero byte, or a number that no type takes: refused before the server saw it.
        return problem(422, one_line(str(error)))
    if code == _CANCELLED:
        return problem(
            503, "the answer takes too long", "ask for less: a shorter span, fewer levels"
        )
    if is_transient(code):
        # Somebody else is in the way, as an upgrade: it passes.
        return problem(503, meaning.message, meaning.hint, sqlstate=code)
    detail = error.diag.message_primary or meaning.message
    if code is None:
        status = _status_of(meaning)
    elif code in _NOT_FOUND:
        status = 404
    elif code in _CONFLICT:
        status = 409
    elif code.startswith("UP") or code.startswith(_BAD_VALUE_CLASS):
        status = 422
    else:
        status = _status_of(meaning)
    if status >= 500:
        logger.warning("%s", meaning.message)
        return problem(status, meaning.message, meaning.hint, sqlstate=code)
    more = error.diag.message_detail
    return problem(
        status,
        one_line(f"{detail}: {more}" if more else detail),
        meaning.hint,
        sqlstate=code,
    )


def _status_of(error: PyupcError) -> int:
    return 503 if isinstance(error, DatabaseUnreachable | SchemaOutOfDate) else 500
