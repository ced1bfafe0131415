"""The page, its files, and the form that asks for the token."""

from __future__ import annotations

import asyncio
import hmac
import importlib.util
import os
from importlib.resources import files
from pathlib import Path
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.responses import FileResponse, RedirectResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from pyupc.web.guard import cookie_of
from pyupc.web.parameters import Shared
from pyupc.web.problems import Problem

router = APIRouter(include_in_schema=False)

FORM_BYTES = 4096
FORM_SECONDS = 10.0
SESSION_SECONDS = 30 * 86_400


def static_folder() -> Path:
    return Path(str(files("pyupc.web") / "static"))


def charts_folder() -> Path | None:
    """The ECharts that NiceGUI ships; it is read, and never imported."""
    found = importlib.util.find_spec("nicegui")
    for root in (found.submodule_search_locations if found else None) or ():
        folder = Path(root) / "elements" / "echart" / "dist"
        if (folder / "index.js").is_file():
            return folder
    return None


class Files(StaticFiles):
    """Asked for again each time: a new version of the page is not mixed with an old one."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"
        return response


def mount(app: FastAPI) -> None:
    charts = charts_folder()
    if charts is not None:
        app.mount("/static/echarts", Files(directory=charts), name="echarts")
    app.mount("/static", Files(directory=static_folder()), name="static")


@router.get("/")
async def page() -> Response:
    return _file("index.html")


@router.get("/login")
async def login_form() -> Response:
    return _file("login.html")


@router.post("/login")
async def login(request: Request, shared: Shared) -> Response:
    """Set a cookie that scripts cannot read, for a client that sends the token."""
    token = shared.settings.token
    if token is None:
        return RedirectResponse("/", 303)
    target = _target(request.query_params.get("next", "/"))
    try:
        body = await asyncio.wait_for(_body(request), FORM_SECONDS)
    except TimeoutError:
        raise Problem(408, "the form has not come") from None
    form = parse_qs(body.decode("utf-8", "replace"))
    given = form.get("token", [""])[0]
    if not hmac.compare_digest(given.strip().encode(), token.encode()):
        return RedirectResponse(f"/login?failed&next={quote(target, safe='')}", 303)
    response = RedirectResponse(target, 303)
    name, value = cookie_of(token)
    response.set_cookie(
        name,
        value,
        max_age=SESSION_SECONDS,
        httponly=True,
        # A link to the page leads to it, from wherever; nothing is changed by a GET.
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


def _file(name: str) -> Response:
    return FileResponse(
        static_folder() / name,
        headers={"Cache-Control": "no-cache"},
        media_type="text/html; charset=utf-8",
    )


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            raise Problem(413, "the form is too long")
    return body


def _target(path: str) -> str:
    """Target within this server, whatever page the link names."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if is_ours and path.isprintable() else "/"
