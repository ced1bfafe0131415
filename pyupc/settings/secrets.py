"""Masking of secrets in settings that are shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

MASK = "***"

_SECRET_NAME = re.compile(r"password|passwd|secret|token|api_?key|private_?key", re.IGNORECASE)
# Parameters of libpq that are secrets, or used in place of one.
_SECRET_PARAMETERS = (
    "password",
    "sslpassword",
    "scram_client_key",
    "scram_server_key",
    "oauth_client_secret",
)
# Settings whose path names a service; in others it may be a token.
_PUBLIC_PATHS = ("kalshi_url", "exchange_url", "kalshi")


def shown(key: str, value: object) -> object:
    """Value of a setting with its secrets masked.

    A connection string of any form is shown as libpq's key=value.
    """
    if isinstance(value, (list, tuple)):
        return [shown(key, each) for each in value]
    if not isinstance(value, str) or not value.strip():
        return value
    name = key.rpartition(".")[2]
    if _SECRET_NAME.search(name):
        return MASK
    if name == "dsn" or name.endswith("_dsn"):
        return _dsn(value)
    return _url(value, has_public_path=name in _PUBLIC_PATHS) if "://" in value else value


def _dsn(dsn: str) -> str:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        parameters = conninfo_to_dict(dsn)
    except psycopg.Error:
        # Unknown to libpq: anything in it may be a password.
        return MASK
    masked = {name: MASK for name in _SECRET_PARAMETERS if parameters.get(name) is not None}
    return make_conninfo("", **{**parameters, **masked})


def _url(url: str, *, has_public_path: bool) -> str:
    """Scheme, host and port; for schemes other than the web's the host may be a token, too."""
    scheme = url.partition("://")[0]
    if scheme.lower() not in ("http", "https", "ws", "wss"):
        return f"{scheme}://{MASK}"
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{scheme}://{MASK}"
    credentials = f"{MASK}@" if "@" in parts.netloc else ""
    path = parts.path if has_public_path else f"/{MASK}" if parts.path.strip("/") else parts.path
    query = f"?{MASK}" if parts.query or parts.fragment else ""
    return f"{scheme}://{credentials}{parts.netloc.rpartition('@')[2]}{path}{query}"
