"""Two connections that count pieces at the same time, and stop together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress

import psycopg

from pyupc.fingerprints.pieces import Connection, Piece, Queue

Done = Callable[[Piece, int], None]
Work = Callable[[Connection, threading.Event], None]

_CANCEL_AGAIN_SECONDS = 0.1
_CANCEL_TIMEOUT_SECONDS = 2.0
_ATTEMPTS = 5


def count(connections: Sequence[Connection], pieces: Sequence[Piece], done: Done) -> None:
    """Count all pieces; `done` gets each piece and its number of days, in a worker's thread.

    What was committed before an error or Ctrl-C stays counted.
    """
    queue = Queue(pieces)

    def work(conn: Connection, stop: threading.Event) -> None:
        while not stop.is_set() and (piece := queue.take()) is not None:
            days = _count_patiently(conn, piece)
            queue.finish(piece)
            done(piece, days)

    together([(conn, work) for conn in connections])


def together(jobs: Sequence[tuple[Connection, Work]]) -> None:
    """Run each job on its connection in a thread of its own, and return when all are done.

    Whatever ends one early, an error or Ctrl-C, cancels the statements of all and is raised.
    """
    stop = threading.Event()
    errors: list[BaseException] = []

    def run(conn: Connection, work: Work) -> None:
        try:
            work(conn, stop)
        except BaseException as error:
            # The first one is the reason; the others follow from the cancelling.
            errors.append(error)
            raise

    futures: dict[Future[None], Connection] = {}
    with ThreadPoolExecutor(len(jobs)) as pool:
        # Ctrl-C may come before the last thread has started.
        try:
            for conn, work in jobs:
                futures[pool.submit(run, conn, work)] = conn
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
            _cancel(futures)
    if errors:
        raise errors[0]


def _cancel(futures: Mapping[Future[None], Connection]) -> None:
    """Again and again: a request that arrives between two statements has no effect."""
    while not all(future.done() for future in futures):
        for future, conn in futures.items():
            if not future.done():
                with suppress(psycopg.Error):
                    conn.cancel_safe(timeout=_CANCEL_TIMEOUT_SECONDS)
        wait(futures, timeout=_CANCEL_AGAIN_SECONDS)


def _count_patiently(conn: Connection, piece: Piece) -> int:
    """Two pieces of one year may each wait for a row of the other; one of them is thrown out."""
    for _ in range(_ATTEMPTS - 1):
        with suppress(psycopg.errors.DeadlockDetected):
            return _count(conn, piece)
    return _count(conn, piece)


def _count(conn: Connection, piece: Piece) -> int:
    """The number of days of plain moves counted."""
    if piece.is_whole:
        query = "SELECT upc.build_fingerprints(%s, with_pool => false, refits => %s)"
        row = conn.execute(query, [piece.symbol, piece.refits]).fetchone()
        return int(row[0]) if row else 0
    match piece.kind:
        case "fit":
            conn.execute("SELECT upc.prepare_volatility(%s)", [piece.symbol])
        case "standardised":
            conn.execute(
                "SELECT upc.count_volatility_days(%s, %s::date[])", [piece.symbol, list(piece.days)]
            )
        case "recount":
            conn.execute(
                "SELECT upc.recount_volatility_days(%s, %s::date[])",
                [piece.symbol, list(piece.days)],
            )
        case "moves":
            conn.execute("SELECT upc.count_days(%s, %s::date[])", [piece.symbol, list(piece.days)])
            return len(piece.days)
    return 0
