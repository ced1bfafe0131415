"""What `pyupc serve` is told."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

HOST = "127.0.0.1"
PORT = 8765
RATE = 100
READERS = 1000

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

    def hosts(self) -> frozenset[str]:
        """What a request may call this server; of another name it is another page's trick."""
        return frozenset({*LOOPBACK_NAMES, self.host.lower(), *(n.lower() for n in self.names)})


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches the address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
