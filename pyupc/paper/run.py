"""The run of `pyupc paper run`: a round a second, until a signal comes."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, LiteralString

from psycopg.rows import dict_row

from pyupc.errors import Busy, DatabaseUnreachable
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.connection import Connection, ConnectionLost, WatchedConnection
from pyupc.runtime.outage import Outage
from pyupc.runtime.printable import printable
from pyupc.runtime.stop import Stop

logger = logging.getLogger("pyupc.paper")

Row = dict[str, Any]

# A document of hundreds of contracts is read in some milliseconds.
STATEMENT_SECONDS = 5.0

_SYMBOLS = "SELECT s.symbol FROM upc_data.symbol AS s ORDER BY s.symbol"
_BUY = "SELECT p.* FROM upc.buy_paper(symbol => %s::text) AS p"
_SETTLE = "SELECT p.* FROM upc.settle_paper(symbol => %s::text) AS p"


@dataclass(frozen=True)
class Job:
    """Options of a run; no symbols are all that are registered."""

    dsn: str = field(repr=False)
    symbols: Sequence[str] = ()
    interval: float = 1.0
    is_once: bool = False


def run(job: Job) -> int:
    """The exit code. Several runs at a time do no harm: each suggestion is bought once.

    Raises PyupcError for what cannot heal, and if there is no database to begin with.
    """
    link = WatchedConnection(job.dsn, "pyupc paper", STATEMENT_SECONDS)
    outage = Outage(
        "pyupc.paper", time.monotonic, "the database fails", "the database works", reminds=True
    )
    backoff = Backoff()
    with Stop() as stop:
        try:
            link.open(code=True)
            while True:
                pause = job.interval
                try:
                    if not link.is_open:
                        link.open(code=True)
                    _round(link, job.symbols)
                except (ConnectionLost, DatabaseUnreachable, Busy) as problem:
                    cause = problem.problem if isinstance(problem, ConnectionLost) else problem
                    if job.is_once:
                        raise cause from problem
                    outage.failed(cause.message)
                    pause = max(pause, backoff.failed())
                else:
                    outage.works()
                    backoff.succeeded()
                if job.is_once or stop.wait(pause):
                    return stop.exit_code
        finally:
            link.close()


def _round(link: WatchedConnection, symbols: Sequence[str]) -> None:
    for symbol in symbols or [name for (name,) in link.fetch(_SYMBOLS)]:
        for query, text in ((_BUY, bought), (_SETTLE, settled)):
            for row in link.do(partial(_rows, query=query, symbol=symbol)):
                logger.info("%s", text(row))


def _rows(conn: Connection, query: LiteralString, symbol: str) -> list[Row]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, (symbol,), prepare=True).fetchall()


def bought(row: Row) -> str:
    """Such as: PAPER BTC: bought 10 No $63,250 or above at 41¢, edge +3.1 (at least +0.4)."""
    return (
        f"PAPER {row['symbol']}: bought {row['count']:,f} {row['side'].capitalize()}"
        f" {printable(row['contract'])} at {(100 * row['ask']).normalize():f}¢,"
        f" edge {row['edge']:+.1f} (at least {row['edge_low']:+.1f}) cents"
    )


def settled(row: Row) -> str:
    """Such as: PAPER BTC: No $63,250 or above settled as no: +5.72 USD after fees."""
    profit = row["count"] * (row["payout"] - row["ask"]) - row["fee"]
    return (
        f"PAPER {row['symbol']}: {row['side'].capitalize()} {printable(row['contract'])}"
        f" settled as {row['result']}{'' if row['is_final'] else ', provisionally'}:"
        f" {profit:+.2f} USD after fees"
    )
