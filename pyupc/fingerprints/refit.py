"""Refits of the forecast of volatility, counted in pieces while the fit before answers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from pyupc.fingerprints import workers
from pyupc.fingerprints.build import CONNECTIONS, connection
from pyupc.fingerprints.pieces import Connection, Piece, plan, recount_pieces
from pyupc.runtime.progress import Progress


def refit(
    dsn: str, symbols: Sequence[str], shown: Progress, *, connections: int = CONNECTIONS
) -> int:
    """Fit what is due, count it, and let it answer; the number of symbols with another fit.

    No symbols: all that are registered. Each piece is committed: what `shown` or a signal
    interrupts goes on from there the next time. A symbol that another process refits is left to it.
    """
    switched = 0
    with ExitStack() as stack:
        control, *counters = (stack.enter_context(connection(dsn)) for _ in range(1 + connections))
        for symbol in _due(control, symbols):
            shown.advance(0, f"fitting {symbol}")
            if _lock(control, symbol):
                switched += _refit(control, counters, symbol, shown)
                control.execute("SELECT pg_advisory_unlock(upc.refit_lock_key(%s))", [symbol])
    return switched


def _due(control: Connection, symbols: Sequence[str]) -> list[str]:
    rows = control.execute("SELECT s.symbol FROM upc_data.symbol AS s ORDER BY s.symbol")
    names = [symbol for (symbol,) in rows if not symbols or symbol in symbols]
    return [symbol for symbol in names if plan(control, symbol).refitted_days > 0]


def _lock(control: Connection, symbol: str) -> bool:
    """Held until it is given back or the connection is closed."""
    query = "SELECT pg_try_advisory_lock(upc.refit_lock_key(%s))"
    return control.execute(query, [symbol]).fetchone() == (True,)


def _refit(
    control: Connection, counters: Sequence[Connection], symbol: str, shown: Progress
) -> bool:
    """True if another fit answers now."""

    def done(piece: Piece, days: int) -> None:
        shown.advance(len(piece.days), f"recounting {symbol}")

    workers.count(counters[:1], [Piece(symbol, (), kind="fit")], lambda piece, days: None)
    # Days that are counted meanwhile make a piece more.
    while pieces := recount_pieces(control, symbol):
        workers.count(counters, pieces, done)
        if _switch(control, symbol):
            return True
    return _switch(control, symbol)


def _switch(control: Connection, symbol: str) -> bool:
    with control.transaction():
        row = control.execute("SELECT upc.switch_fit(%s)", [symbol]).fetchone()
        is_switched = row == (True,)
        if is_switched:
            control.execute("SELECT upc.recalibrate(%s)", [symbol])
            # Forecasts of one fit and curves of another do not belong together.
            control.execute("SELECT upc.refresh_fingerprints(%s)", [symbol])
    control.execute("SELECT upc.forget_old_fits(%s)", [symbol])
    return is_switched
