"""The symbols of a run: those asked for or all that are registered, or this process's share."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pyupc.errors import PyupcError
from pyupc.runtime.connection import ConnectionLost
from pyupc.runtime.outage import Outage
from pyupc.symbols import names
from pyupc.tick.statements import Session

logger = logging.getLogger("pyupc.tick")

# From look to look at the registered symbols.
LOOK_SECONDS = 2.0


class Share(NamedTuple):
    """One of so many parts, counted from 1."""

    place: int
    parts: int

    def __str__(self) -> str:
        return f"{self.place}/{self.parts}"

    def has(self, symbol: str) -> bool:
        """By a hash of the name, so that no symbol moves when others come and go."""
        digest = hashlib.sha256(symbol.encode()).digest()
        return int.from_bytes(digest[:8]) % self.parts == self.place - 1

    def of(self, symbols: Sequence[str]) -> tuple[str, ...]:
        return tuple(symbol for symbol in symbols if self.has(symbol))


ALL = Share(1, 1)


class Changes(NamedTuple):
    """Symbols that have come and gone since the last look."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass
class Roster:
    """`named` are those asked for; without any they are all that are registered, also later."""

    named: tuple[str, ...]
    share: Share
    session: Session
    now: Callable[[], float]
    symbols: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._due = self.now() + LOOK_SECONDS
        self._outage = Outage(
            logger.name,
            self.now,
            "the registered symbols cannot be read",
            "the registered symbols can be read again",
            each_reason=True,
        )

    def begin(self) -> tuple[str, ...]:
        """The symbols at the start; raises PyupcError if none is registered."""
        try:
            found = self.named or self.session.symbols()
        except ConnectionLost as error:
            # Before the first round there is nothing to wait for yet.
            raise error.problem from error
        if not found:
            raise PyupcError("no symbol is registered", names.ADD)
        self.symbols = self.share.of(found)
        if not self.symbols:
            logger.warning("none of %d symbols is in share %s", len(found), self.share)
        return self.symbols

    def look(self, *, is_due: bool = False) -> Changes:
        """Every few seconds, or now. Symbols that were asked for by name stay."""
        if self.named or not (is_due or self.now() >= self._due):
            return Changes()
        self._due = self.now() + LOOK_SECONDS
        try:
            found = self.share.of(self.session.symbols())
        except PyupcError as problem:
            self._outage.failed(problem.message)
            return Changes()
        self._outage.works()
        before, self.symbols = self.symbols, found
        return Changes(
            tuple(symbol for symbol in found if symbol not in set(before)),
            tuple(symbol for symbol in before if symbol not in set(found)),
        )
