"""Access: by the server's names, from its own pages, with the token, within a rate."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pyupc.web.problems import problem
from pyupc.web.settings import Settings

WINDOW_SECONDS = 10

# Without the token: whether it is alive, and what a browser needs to ask for it.
_OPEN = ("/live", "/login", "/static/")

_CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        # Charts write styles into elements; a style can neither read nor send.
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

_SECURITY_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not no-referrer, with which a form of our own would come from nowhere.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def cookie_of(token: str) -> tuple[str, str]:
    """Name and value of what the browser keeps instead of the token.

    All servers of a machine share their cookies, whatever their ports: each token has its name.
    """

    def digest(purpose: bytes) -> str:
        return hmac.new(token.encode(), purpose, hashlib.sha256).hexdigest()

    return f"pyupc-{digest(b'name')[:12]}", digest(b"session")


class Guard:
    """Answers what may not pass itself, and gives every answer the headers of a careful server."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._token = settings.token
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        # Over some seconds, so that a page that opens and its readers may come all at once.
        self._rate = RateLimitItemPerSecond(WINDOW_SECONDS * settings.rate, WINDOW_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def careful(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = await self._refusal(scope)
        await (refusal or self._app)(scope, receive, careful)

    async def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        client = (scope.get("client") or ("unknown", 0))[0]
        if not await self._limiter.hit(self._rate, client):
            return problem(
                429,
                "too many requests",
                "pyupc serve --rate N lets more of them in",
                headers={"Retry-After": str(WINDOW_SECONDS // 2)},
            )
        if not self._is_ours(headers.get("host", "")):
            return problem(
                421,
                "this server does not go by that name",
                "pyupc serve --name NAME, if it should",
            )
        if not self._is_own_page(scope["path"], headers):
            return problem(
                403,
                "the request comes from another page",
                "open this server's own page; a proxy in front of it has to pass Host on",
            )
        if self._token is not None and not self._may_enter(scope["path"], headers):
            return _ask_for_token(scope, headers)
        return None

    def _is_ours(self, host: str) -> bool:
        name = _name_of(f"//{host}")
        return name is not None and self._settings.is_ours(name)

    def _is_own_page(self, path: str, headers: Headers) -> bool:
        """A request of ours, of a program, or a link that leads here."""
        origin = headers.get("origin")
        # The scheme is not compared: a proxy may add TLS.
        if origin is not None and origin.lower().partition("://")[2] != headers["host"].lower():
            return False
        # Pictures and scripts of other pages carry no origin.
        is_other = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        is_link = headers.get("sec-fetch-mode") == "navigate" and path in ("/", "/login")
        return not is_other or is_link

    def _may_enter(self, path: str, headers: Headers) -> bool:
        assert self._token is not None
        if any(path == each or (each[-1] == "/" and path.startswith(each)) for each in _OPEN):
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and _is_same(given.strip(), self._token):
            return True
        name, expected = cookie_of(self._token)
        return any(_is_same(each, expected) for each in _cookies(headers.getlist("cookie"), name))


def _ask_for_token(scope: Scope, headers: Headers) -> Response:
    """A browser is shown where to type it."""
    if scope["path"] == "/" and "text/html" in headers.get("accept", ""):
        target = "/?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "/"
        return RedirectResponse(f"/login?next={quote(target, safe='')}", 303)
    return problem(
        401,
        "this server asks for a token",
        "send it as Authorization: Bearer TOKEN, or open /login in a browser",
        headers={"WWW-Authenticate": 'Bearer realm="pyupc"'},
    )


def _name_of(address: str) -> str | None:
    if set(address[2:]) & set("/?#@\\"):
        return None
    try:
        parts = urlsplit(address)
        _ = parts.port
        return parts.hostname
    except ValueError:
        return None


def _cookies(lines: Iterable[str], wanted: str) -> Iterable[str]:
    """Of that name. The standard library's parser drops them all where one of them is odd."""
    for line in lines:
        for part in line.split(";"):
            name, _, value = part.strip().partition("=")
            if name == wanted:
                yield value


def _is_same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
