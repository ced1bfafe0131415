"""Reports to systemd about the process (sd_notify); without systemd nothing happens."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

logger = logging.getLogger("pyupc.tick")

_FED_EVERY_SECONDS = 1.0


class Notifier:
    """Sends to the socket that NOTIFY_SOCKET names. A message that does not arrive is let go."""

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._limit = _watchdog_seconds(environment)
        self._now = now
        self._is_ready = False
        self._status = ""
        self._fed_at = -_FED_EVERY_SECONDS

    def check(self, interval: float) -> None:
        """Warn of a watchdog that would kill a process in health."""
        if self._limit is not None and interval > self._limit / 2:
            logger.warning(
                "the watchdog of systemd wants to hear every %g s of a tick that comes every %g s:"
                " set WatchdogSec to %g or more",
                self._limit,
                interval,
                2 * interval,
            )

    def ticked(self) -> None:
        """Every symbol's tick of the round is committed."""
        self._send(*self._readiness(), "WATCHDOG=1")

    def began(self) -> None:
        """The first tick is committed."""
        if lines := self._readiness():
            self._send(*lines)

    def waits(self) -> None:
        """A standby has looked, and the database has answered; sent once a second at most."""
        if self._now() - self._fed_at >= _FED_EVERY_SECONDS:
            self._fed_at = self._now()
            self._send(*self._readiness(), "WATCHDOG=1")

    def status(self, text: str) -> None:
        """A line for `systemctl status`; sent when it has changed."""
        if text != self._status:
            self._status = text
            self._send("STATUS=" + " ".join(text.split()))

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def _readiness(self) -> list[str]:
        if self._is_ready:
            return []
        self._is_ready = True
        return ["READY=1"]

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            # systemd may be busy; a tick does not wait for it.
            out.setblocking(False)
            out.sendto("\n".join(lines).encode(), self._address)


def _address(name: str) -> str | None:
    """A path, or an abstract name that begins with @; anything else is not for us."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else None


def _watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """The limit of the watchdog, if it watches this process."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return int(environment["WATCHDOG_USEC"]) / 1e6
    except (KeyError, ValueError):
        return None
