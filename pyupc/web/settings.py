"""Settings of `pyupc serve`."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass, field
from functools import cache

PACKAGES = ("fastapi", "uvicorn", "psycopg_pool", "limits", "prometheus_client", "sse_starlette")
"""All that the server is made with; required before its modules are imported."""

HOST = "127.0.0.1"
PORT = 8765
RATE = 100
READERS = 1000

WILDCARDS = ("0.0.0.0", "::")
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Settings:
    """`rate`: requests a second that a client may make; `readers`: streams open at a time."""

    dsn: str = field(repr=False)
    host: str = HOST
    port: int = PORT
    token: str | None = field(default=None, repr=False)
    names: tuple[str, ...] = ()
    """Names other than its own under which it may be asked for."""
    rate: int = RATE
    readers: int = READERS
    proxy: str | None = None
    """The address whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    is_legacy: bool = False
    """True if questions that leave it out are answered as the predecessor answered."""

    def is_ours(self, name: str) -> bool:
        """True for a name of this server in a Host header; another one comes from a hostile page.

        On all addresses of the machine, which takes a token, it goes by any of them.
        """
        if self.host in WILDCARDS and (_is_address(name) or name in _names_of_machine()):
            return True
        return name in {*LOOPBACK_NAMES, self.host.lower(), *(each.lower() for each in self.names)}


@cache
def _names_of_machine() -> frozenset[str]:
    return frozenset({socket.gethostname().lower(), socket.getfqdn().lower()})


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """True if only this machine reaches the address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
