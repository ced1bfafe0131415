"""The work of a build: days of symbols in pieces, and the queue that workers take them from."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]

# Up to here one transaction on one core is quicker than sharing the work, and readers never see
# the symbol without its curves.
FEW_DAYS = 31
FEW_STANDARDISED_DAYS = 184
# A refit of more is made when the curves are published.
FEW_REFITTED_DAYS = 31

# Moves; the fit of the forecast that moves are standardised by; standardised moves alone, for the
# fit in use or the first one; standardised moves for the fit after it.
Kind = Literal["moves", "fit", "standardised", "recount"]


@dataclass(frozen=True)
class Piece:
    """Days of one symbol and one year that are counted and committed together.

    `is_whole` marks everything that a symbol's build has to do: one transaction counts, completes
    and refreshes, and fits, too, where `refits`. A fit has no days of its own.
    """

    symbol: str
    days: tuple[date, ...]
    is_whole: bool = False
    kind: Kind = "moves"
    refits: bool = False

    @property
    def group(self) -> tuple[str, Kind, int | None]:
        """Two pieces of one group write to the same rows, so that one waits for the other."""
        return self.symbol, self.kind, self.days[0].year if self.days else None


@dataclass(frozen=True)
class Plan:
    """The work of a symbol's build. `is_outdated`: counts are of other formulas, and forgotten
    first; `is_published`: the curves hold what was counted. `standardised_days` are counted before
    the curves are published, those of a refit after it; without a fit there is no refit."""

    symbol: str
    pieces: tuple[Piece, ...]
    is_complete: bool
    standardised_days: int = 0
    refitted_days: int = 0
    has_fit: bool = False
    is_outdated: bool = False
    is_published: bool = True

    @property
    def days(self) -> int:
        return sum(len(piece.days) for piece in self.pieces)

    @property
    def is_small(self) -> bool:
        if self.is_outdated or self.standardised_days > FEW_STANDARDISED_DAYS:
            return False
        return len(self.pieces) <= 1 or self.days <= FEW_DAYS

    @property
    def is_needed(self) -> bool:
        is_done = self.is_complete and self.is_published
        return bool(self.days or self.standardised_days or self._has_small_refit or not is_done)

    @property
    def _has_small_refit(self) -> bool:
        return 0 < self.refitted_days <= FEW_REFITTED_DAYS

    def whole(self) -> Piece:
        """The plan as one piece."""
        days = tuple(day for piece in self.pieces for day in piece.days)
        return Piece(
            self.symbol, days, is_whole=True, refits=self._has_small_refit or not self.has_fit
        )


_STATE = """
    SELECT
        s.is_complete,
        s.is_outdated,
        (SELECT f.problem IS NULL FROM upc.fingerprint_problem(s.symbol) AS f),
        EXISTS (
            SELECT FROM upc_data.volatility_fit AS f
            WHERE f.symbol = s.symbol
              AND f.used_generation IS NOT NULL
              AND f.counted_by = upc.volatility_hash()
        ),
        (
            SELECT count(DISTINCT n.day) FROM upc_data.volatility_change AS n
            WHERE n.symbol = s.symbol
        ),
        upc.refit_pending(s.symbol),
        upc.volatility_pending(s.symbol)
    FROM upc.fingerprint_state AS s
    WHERE s.symbol = %s
"""


def plan(conn: Connection, symbol: str) -> Plan:
    """The days to be counted for a symbol, and the state of its last build.

    Days that somebody wrote with SQL of their own are found, too, and noted.
    """
    conn.execute("SELECT upc.note_uncounted_days(%s)", [symbol])
    rows = conn.execute("SELECT p.days FROM upc.build_pieces(%s) AS p", [symbol]).fetchall()
    done = conn.execute(_STATE, [symbol]).fetchone()
    if done is None:
        return Plan(symbol, (), False)
    is_complete, is_outdated, is_published, has_fit, noted, refitted, standardised = done
    return Plan(
        symbol,
        tuple(Piece(symbol, tuple(days)) for (days,) in rows),
        is_complete,
        noted if has_fit else standardised,
        refitted if has_fit else 0,
        has_fit,
        is_outdated,
        is_published,
    )


def standardised_pieces(conn: Connection, symbol: str) -> list[Piece]:
    """The days of standardised moves to be counted, once their forecast is fitted."""
    rows = conn.execute(
        "SELECT p.days FROM upc.volatility_pieces(%s) AS p"
        " WHERE EXISTS (SELECT FROM upc_data.volatility_fit AS f WHERE f.symbol = %s)",
        [symbol, symbol],
    ).fetchall()
    return [Piece(symbol, tuple(days), kind="standardised") for (days,) in rows]


def recount_pieces(conn: Connection, symbol: str) -> list[Piece]:
    """The days that are counted for the fit in use, and not yet for the newest one."""
    rows = conn.execute("SELECT p.days FROM upc.recount_pieces(%s) AS p", [symbol]).fetchall()
    return [Piece(symbol, tuple(days), kind="recount") for (days,) in rows]


class Queue:
    """Pieces for several workers, large ones first, so that they end at about the same time.

    As long as there is a choice, no two workers are at the same year of a symbol.
    """

    def __init__(self, pieces: Iterable[Piece]) -> None:
        # A fit takes as long as the largest pieces, and others wait for it.
        self._waiting = sorted(pieces, key=lambda piece: (piece.kind != "fit", -len(piece.days)))
        self._busy: list[tuple[str, Kind, int | None]] = []
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
