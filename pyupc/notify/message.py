"""An announcement as a phone shows it: a short title and a body of a few lines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

KINDS = ("stop", "settled", "changed", "stale", "halted", "paused", "recovered")

# Less than the shortest limit of the usual services, some of which cut without a word.
LONGEST_BODY = 900
# After that the message shows how old it is.
LATE_SECONDS = 60

# Fields that the title and the message show already.
_SHOWN = frozenset({"symbol", "kind", "subject", "message", "announcement_id"})


@dataclass(frozen=True)
class Message:
    """A message to send. `name` stands for it in the log."""

    kind: str
    title: str
    body: str
    name: str


@dataclass(frozen=True)
class Announcement:
    """A row of the outbox."""

    symbol: str
    announcement_id: int
    announced_at: datetime
    kind: str
    subject: str
    message: str
    document: Any

    def as_message(self, now: datetime) -> Message:
        lines = [self.message]
        if numbers := ", ".join(_numbers(self.document)):
            lines.append(numbers)
        lines.append(_when(self.announced_at, now))
        return Message(
            kind=self.kind,
            title=f"{self.symbol} {self.kind}: {self.subject}",
            body=_short("\n".join(lines)),
            name=f"{self.symbol} {self.kind} {self.announcement_id} ({self.message})",
        )


def own(kind: str, message: str, now: datetime) -> Message:
    """A message of this process, since the database cannot announce it."""
    body = _short(f"{message}\n{_when(now, now)}")
    return Message(kind, f"pyupc {kind}: database", body, f"{kind} of its own ({message})")


def _when(at: datetime, now: datetime) -> str:
    """`12:00:05 UTC`; of what is late, the day and how long ago as well."""
    seconds = (now - at).total_seconds()
    at = at.astimezone(UTC)
    if seconds < LATE_SECONDS:
        return f"{at:%H:%M:%S} UTC"
    minutes = round(seconds / 60)
    ago = f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"
    return f"{at:%Y-%m-%d %H:%M:%S} UTC, {ago} ago"


def _numbers(document: Any) -> Iterator[str]:
    """`name value` of whatever is neither a list nor unknown; objects within are opened."""
    if not isinstance(document, Mapping):
        return
    for name, value in document.items():
        if name in _SHOWN or value is None or isinstance(value, list):
            continue
        if isinstance(value, Mapping):
            yield from _numbers(value)
        else:
            yield f"{str(name).replace('_', ' ')} {_text(value)}"


def _text(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float() if math.isfinite(value):
            return f"{value:,.4f}".rstrip("0").rstrip(".")
        case int():
            return str(value)
        case _:
            return " ".join(str(value).split())


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_BODY else text[: LONGEST_BODY - 1] + "…"
