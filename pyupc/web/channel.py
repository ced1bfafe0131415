"""Channel of a symbol: its readers wait for the newest tick, never for a queue of old ones."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from pyupc.tick.documents import DOCUMENTS
from pyupc.web.latest import Latest


def sse(event: str, data: str, event_id: int | None = None) -> bytes:
    """A server-sent event. The data is JSON."""
    identity = "" if event_id is None else f"id: {event_id}\n"
    return f"event: {event}\n{identity}data: {_one_line(data)}\n\n".encode()


def _one_line(text: str) -> str:
    """JSON without its line breaks, which are no part of it."""
    return text.replace("\r", "").replace("\n", "")


@dataclass(frozen=True)
class Tick:
    """A tick as all readers of the same documents get it, but for its age."""

    latest: Latest
    head: bytes = field(init=False)
    _tails: dict[tuple[str, ...], bytes] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        document = self.latest
        head = {
            "symbol": document.symbol,
            "tick_id": document.tick_id,
            "ticked_at": document.ticked_at.isoformat(),
            "price_age_seconds": document.price_age_seconds,
            "interval_seconds": document.interval_seconds,
            "problem": document.problem,
        }
        event = sse("tick", json.dumps(head), document.tick_id)
        object.__setattr__(self, "head", event.removesuffix(b"}\n\n") + b',"age_seconds":')

    def event(self, now: float, names: tuple[str, ...] = DOCUMENTS) -> bytes:
        """With these documents."""
        if names not in self._tails:
            self._tails[names] = self._tail(names)
        return self.head + f"{self.latest.age(now):.3f}".encode() + self._tails[names]

    def _tail(self, names: tuple[str, ...]) -> bytes:
        texts = self.latest.documents
        members = "".join(f',"{name}":{texts[name]}' for name in names)
        return f"{_one_line(members)}}}\n\n".encode()


@dataclass
class Channel:
    """`tick` and `pulse` are the newest; a slow reader misses the ones in between."""

    symbol: str
    tick: Tick | None = None
    pulse: bytes = b""
    is_ended: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def publish_tick(self, tick: Tick) -> None:
        self.tick = tick
        self._wake()

    def publish_pulse(self, now: float, problem: str | None) -> None:
        """Sent where there is no new tick: that the server is there, and how old the tick is."""
        content: dict[str, Any] = {
            "symbol": self.symbol,
            "tick_id": None,
            "age_seconds": None,
            "database": "ok" if problem is None else "lost",
            "problem": problem,
        }
        if self.tick is not None:
            content["tick_id"] = self.tick.latest.tick_id
            content["age_seconds"] = round(self.tick.latest.age(now), 3)
        self.pulse = sse("pulse", json.dumps(content))
        self._wake()

    def end(self) -> None:
        """There is no such symbol any more: its readers are let go."""
        self.is_ended = True
        self._wake()

    async def changed(self) -> None:
        await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
