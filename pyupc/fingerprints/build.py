"""Build the fingerprints of some symbols on two connections."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from pyupc.database.connect import connect
from pyupc.errors import PyupcError
from pyupc.fingerprints import workers
from pyupc.fingerprints.pieces import Connection, Piece, Plan, plan, standardised_pieces
from pyupc.runtime.progress import Progress, progress

CONNECTIONS = 2

_APPLICATION = "pyupc fingerprints build"

# A day has 1,440 starting minutes, each with 60 later ones.
_PAIRS_A_DAY = 1440 * 60


@dataclass(frozen=True)
class Result:
    """A symbol after its build: what this build counted, and what the histogram holds in all."""

    symbol: str
    days: int
    days_in_all: int
    pairs_in_all: int
    fingerprints: int


@dataclass(frozen=True)
class Build:
    """`fingerprints` counts those of all symbols that have curves, and the pool's; `is_shared`:
    two connections shared the work of a symbol."""

    results: tuple[Result, ...]
    fingerprints: int
    is_shared: bool
    seconds: float

    @property
    def days(self) -> int:
        return sum(result.days for result in self.results)


def build(dsn: str, symbols: Sequence[str], shown: Progress, *, is_reset: bool = False) -> Build:
    """Count what is new or corrected in the candles, and publish each symbol's curves at once.

    A longer history is refitted afterwards, by `refit`: no day waits for it. No symbols: all that
    are registered. Raises PyupcError, before anything is counted, if one of them is being built by
    another process. A build that was interrupted is taken up again.
    """
    since = time.monotonic()
    with ExitStack() as stack:
        control, *counters = (stack.enter_context(connection(dsn)) for _ in range(1 + CONNECTIONS))
        names = _registered(control, symbols)
        small, large = _plans(control, names, is_reset=is_reset)
        shown.start(
            sum(len(piece.days) for piece in (*small, *_pieces(large)))
            + sum(each.standardised_days for each in large)
        )
        counted = dict.fromkeys(names, 0)

        def done(piece: Piece, days: int) -> None:
            counted[piece.symbol] += days
            shown.advance(len(piece.days), f"counting {piece.symbol}")

        # Small builds refresh, and a refresh leaves out symbols whose build is not complete.
        workers.count(counters, small, done)
        if large:
            _begin(control, large)
            # Both kinds of moves are counted in one pass from when there is a fit.
            fits = [Piece(each.symbol, (), kind="fit") for each in large if not each.has_fit]
            workers.count(counters, [*fits, *_pieces(large)], done)
            standardised = [
                piece for each in large for piece in standardised_pieces(control, each.symbol)
            ]
            workers.count(counters, standardised, done)
            shown.describe("publishing the curves")
            _complete(control, large)
        # Once for all symbols, also after a build that was stopped before it came to this.
        control.execute("SELECT upc.refresh_pool() WHERE upc.is_pool_due()")
        results = tuple(_result(control, name, counted[name]) for name in names)
        there = _fingerprints(control)
    return Build(results, there, bool(large), time.monotonic() - since)


def build_progress() -> AbstractContextManager[Progress]:
    """A bar of days, with the pairs counted a second."""

    def rate(days: float) -> str:
        return f"at {days * _PAIRS_A_DAY / 1e6:.1f} M pairs/s"

    return progress("counting", "days", rate=rate, has_end=True)


def connection(dsn: str) -> Connection:
    conn = connect(dsn, application_name=_APPLICATION)
    # Compiling is dearer than any of these statements is slow; the refresh sorts all curves.
    conn.execute("SET jit = off")
    conn.execute("SET work_mem = '64MB'")
    conn.execute("SET statement_timeout = 0")
    return conn


def _registered(control: Connection, symbols: Sequence[str]) -> list[str]:
    """The symbols asked for; UP002 for one that is not registered."""
    for symbol in symbols:
        control.execute("SELECT upc.require_symbol(%s)", [symbol])
    if symbols:
        return list(symbols)
    rows = control.execute("SELECT s.symbol FROM upc_data.symbol AS s ORDER BY s.symbol")
    return [symbol for (symbol,) in rows]


def _plans(
    control: Connection, symbols: Sequence[str], *, is_reset: bool
) -> tuple[list[Piece], list[Plan]]:
    """Small builds as one piece each, and the plans of large ones, whose locks are held then."""
    small: list[Piece] = []
    large: list[str] = []
    outdated: list[str] = []
    for symbol in symbols:
        found = plan(control, symbol)
        if found.is_outdated:
            outdated.append(symbol)
        if is_reset or not found.is_small:
            _lock(control, symbol)
            large.append(symbol)
        elif found.is_needed:
            small.append(found.whole())
    for symbol in large:
        if is_reset:
            control.execute("SELECT upc.reset_fingerprints(%s)", [symbol])
        elif symbol in outdated:
            control.execute("SELECT upc.reset_counts(%s)", [symbol])
    # Another process may have counted some of it before the lock was taken.
    return small, [plan(control, symbol) for symbol in large]


def _lock(control: Connection, symbol: str) -> None:
    """Held until the connection is closed."""
    query = "SELECT pg_try_advisory_lock(upc.build_lock_key(%s))"
    if control.execute(query, [symbol]).fetchone() != (True,):
        raise PyupcError(
            f"the fingerprints of {symbol} are being built by another process",
            'wait until it is done; "pyupc fingerprints list" shows how far it is',
        )


def _begin(control: Connection, plans: Sequence[Plan]) -> None:
    for each in plans:
        # A build that counts only standardised moves keeps the current fingerprints visible.
        if each.pieces or not each.is_complete:
            control.execute("SELECT upc.begin_build(%s)", [each.symbol])


def _pieces(plans: Sequence[Plan]) -> list[Piece]:
    return [piece for each in plans for piece in each.pieces]


def _complete(control: Connection, plans: Sequence[Plan]) -> None:
    for each in plans:
        with control.transaction():
            control.execute("SELECT upc.complete_build(%s)", [each.symbol])
            control.execute("SELECT upc.complete_volatility(%s)", [each.symbol])
            control.execute("SELECT upc.recalibrate(%s)", [each.symbol])
            control.execute("SELECT upc.refresh_fingerprints(%s)", [each.symbol])


def _result(control: Connection, symbol: str, days: int) -> Result:
    row = control.execute(
        "SELECT s.days_counted, s.pairs FROM upc.fingerprint_state AS s WHERE s.symbol = %s",
        [symbol],
    ).fetchone()
    assert row is not None
    days_in_all, pairs = row
    return Result(symbol, days, days_in_all, pairs, _fingerprints(control, symbol))


def _fingerprints(control: Connection, symbol: str | None = None) -> int:
    """The number of fingerprints that were built: a probe of an index for each."""
    row = control.execute(
        """
        SELECT count(*)
        FROM upc.fingerprint_catalogue AS f
        CROSS JOIN LATERAL (
            SELECT
            FROM upc_data.fingerprint_curve AS c
            WHERE c.symbol = f.symbol AND c.origin = 'built' AND c.bucket = f.bucket
            LIMIT 1
        ) AS c
        WHERE %(symbol)s::text IS NULL OR f.symbol = %(symbol)s
        """,
        {"symbol": symbol},
    ).fetchone()
    assert row is not None
    return int(row[0])
