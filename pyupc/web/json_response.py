"""Answers whose JSON the database has written."""

from __future__ import annotations

import hashlib

from starlette.requests import Request
from starlette.responses import Response

# It may be kept, and has to be asked for again before it is used.
REVALIDATE = "no-cache"
NO_STORE = "no-store"


class Json(Response):
    media_type = "application/json"


def uncached(text: str, status: int = 200) -> Json:
    """Answer of this moment, never cached."""
    return Json(text, status, {"Cache-Control": NO_STORE})


def tagged(request: Request, text: str, version: str | None = None) -> Response:
    """Answer that stays the same for a while: 304 for a client that has it already.

    `version` names the state of the content; without one, a hash of the text does.
    """
    name = version or hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    headers = {"Cache-Control": REVALIDATE, "ETag": f'"{name}"'}
    if _is_known(request.headers.getlist("if-none-match"), f'"{name}"'):
        return Response(status_code=304, headers=headers)
    return Json(text, headers=headers)


def _is_known(lines: list[str], tag: str) -> bool:
    tags = [each.strip().removeprefix("W/") for line in lines for each in line.split(",")]
    return tag in tags or "*" in tags
