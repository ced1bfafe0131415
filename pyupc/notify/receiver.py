"""One receiver: a URL of apprise. Nothing else here imports apprise."""

from __future__ import annotations

import hashlib
import logging
import re
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from pyupc.errors import UsageProblem
from pyupc.notify.message import Message
from pyupc.runtime.packages import load

SERVICES_HINT = "see https://github.com/caronc/apprise for the URLs of all services"

LONGEST_REASON = 160
# Shorter pieces of a URL are names such as https or 443, which a reason may well contain.
SHORTEST_SECRET = 5

# Rounds of hashing, against guessing a URL's password from the name that the database keeps.
_ROUNDS = 100_000

_TYPES = {
    "stop": "warning",
    "changed": "warning",
    "stale": "warning",
    "halted": "failure",
    "paused": "warning",
    "recovered": "success",
}

_warnings: ContextVar[list[str] | None] = ContextVar("warnings", default=None)


class NotSent(Exception):
    """The message did not get through; the reason has no secret in it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Target:
    """`shown` is the URL without its secrets, `subscriber` the name in the database."""

    shown: str
    subscriber: str
    _url: str = field(repr=False)
    _apprise: Any = field(repr=False)

    def send(self, message: Message) -> None:
        """Returns once the service has taken the message; else NotSent. It blocks."""
        warnings: list[str] = []
        token = _warnings.set(warnings)
        try:
            is_sent = self._apprise.notify(
                title=message.title,
                body=message.body,
                notify_type=_TYPES.get(message.kind, "info"),
                body_format="text",
            )
        except Exception as error:
            raise NotSent(self._without_secrets(f"{type(error).__name__}: {error}")) from error
        finally:
            _warnings.reset(token)
        if not is_sent:
            raise NotSent(self._without_secrets(warnings[0] if warnings else "not taken"))

    def _without_secrets(self, reason: str) -> str:
        for piece in sorted(re.split(r"[/:@?&=,]+", self._url), key=len, reverse=True):
            if len(piece) >= SHORTEST_SECRET and piece not in self.shown:
                reason = reason.replace(piece, "***")
        return _printable(" ".join(reason.split()))[:LONGEST_REASON]


def target(url: str, name: str | None = None) -> Target:
    """A receiver. UsageProblem if apprise knows no such URL, PyupcError without apprise."""
    apprise = _import()
    asset = _asset(apprise)
    service = apprise.Apprise.instantiate(url, asset=asset)
    scheme = url.partition("://")[0] if "://" in url else ""
    if service is None:
        raise UsageProblem(
            f"{_printable(scheme)}:// is no complete URL of a service" if scheme else "no URL",
            SERVICES_HINT,
        )
    shown = _printable(service.url(privacy=True).partition("?")[0])
    sender = apprise.Apprise(asset=asset)
    sender.add(service)
    return Target(shown, name or f"{_printable(scheme)}-{_digest(url)}", url, sender)


def _digest(url: str) -> str:
    """From the URL as given: apprise changes it from release to release."""
    return hashlib.pbkdf2_hmac("sha256", url.encode(), b"pyupc notify", _ROUNDS).hex()[:12]


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _import() -> Any:
    apprise = load("apprise", "notify", "sending messages")
    logger = logging.getLogger("apprise")
    if not any(isinstance(each, _Warnings) for each in logger.handlers):
        logger.addHandler(_Warnings())
        logger.propagate = False
    return apprise


def _asset(apprise: Any) -> Any:
    """Without apprise's own limit of time, which leaves threads that the interpreter waits for."""
    try:
        return apprise.AppriseAsset(app_id="pyupc", service_timeout=0)
    except (AttributeError, TypeError):
        return apprise.AppriseAsset(app_id="pyupc")


class _Warnings(logging.Handler):
    """apprise gives the reason for a message that was not sent only in its log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        warnings = _warnings.get()
        if warnings is not None:
            warnings.append(record.getMessage())
