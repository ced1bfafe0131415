"""The work of a build: which days of which symbols, and which worker takes what next."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]

# Up to here one transaction on one core is quicker than sharing the work, and readers never see
# the symbol without its curves.
FEW_DAYS = 31


@dataclass(frozen=True)
class Piece:
    """Days of one symbol and one year that are counted and committed together.

    `is_whole` marks everything that a symbol's build has to do: one transaction counts, completes
    and refreshes.
    """

    symbol: str
    days: tuple[date, ...]
    is_whole: bool = False

    @property
    def group(self) -> tuple[str, int | None]:
        """Two pieces of one group write to the same rows, so that one waits for the other."""
        return self.symbol, self.days[0].year if self.days else None


@dataclass(frozen=True)
class Plan:
    """What a symbol's build has to do."""

    symbol: str
    pieces: tuple[Piece, ...]
    is_complete: bool

    @property
    def days(self) -> int:
        return sum(len(piece.days) for piece in self.pieces)

    @property
    def is_small(self) -> bool:
        return len(self.pieces) <= 1 or self.days <= FEW_DAYS

    def whole(self) -> Piece:
        """The plan as one piece."""
        days = tuple(day for piece in self.pieces for day in piece.days)
        return Piece(self.symbol, days, is_whole=True)


def plan(conn: Connection, symbol: str) -> Plan:
    """What is to be counted for a symbol, and whether its last build was completed."""
    rows = conn.execute("SELECT p.days FROM upc.build_pieces(%s) AS p", [symbol]).fetchall()
    done = conn.execute(
        "SELECT s.is_complete FROM upc.fingerprint_state AS s WHERE s.symbol = %s", [symbol]
    ).fetchone()
    pieces = tuple(Piece(symbol, tuple(days)) for (days,) in rows)
    return Plan(symbol, pieces, is_complete=done is not None and bool(done[0]))


class Queue:
    """Pieces for several workers, large ones first, so that they end at about the same time.

    As long as there is a choice, no two workers are at the same year of a symbol.
    """

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._waiting = sorted(pieces, key=lambda piece: -len(piece.days))
        self._busy: list[tuple[str, int | None]] = []
        self._lock = threading.Lock()

    def take(self) -> Piece | None:
        """The next piece, None when there is none left."""
        with self._lock:
            if not self._waiting:
                return None
            free = (piece for piece in self._waiting if piece.group not in self._busy)
            piece = next(free, self._waiting[0])
            self._waiting.remove(piece)
            self._busy.append(piece.group)
            return piece

    def finish(self, piece: Piece) -> None:
        with self._lock:
            self._busy.remove(piece.group)
