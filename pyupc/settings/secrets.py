"""Values as they may be shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

MASK = "***"

_SECRET_NAME = re.compile(r"password|passwd|secret|token|api_?key|private_?key", re.IGNORECASE)
# What libpq takes for a secret or passes on in its place.
_SECRET_PARAMETERS = (
    "password",
    "sslpassword",
    "scram_client_key",
    "scram_server_key",
    "oauth_client_secret",
)
# Of these the path says which service is meant; elsewhere it may be a token.
_PUBLIC_PATHS = ("kalshi_url", "exchange_url", "kalshi")


def shown(key: str, value: object) -> object:
    """The value of a setting without what only its owner may know.

    A connection string is shown as libpq's key=value, whichever form it has.
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
        # Libpq does not understand it, so anything in it may be a password.
        return MASK
    masked = {name: MASK for name in _SECRET_PARAMETERS if parameters.get(name) is not None}
    return make_conninfo("", **{**parameters, **masked})


def _url(url: str, *, has_public_path: bool) -> str:
    """Scheme, host and port; of other schemes than the web's the host may be a token too."""
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
