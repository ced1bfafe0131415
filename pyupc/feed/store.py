"""The feed's writer: one connection in a thread of its own, which is made again when it is lost."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psycopg

from pyupc.database import schema
from pyupc.database.connect import connect
from pyupc.errors import Busy, DatabaseUnreachable, PyupcError, SchemaOutOfDate
from pyupc.exchange.answer import Candle
from pyupc.feed import statements
from pyupc.feed.report import Report
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.connection import OUTDATED, watchful
from pyupc.sql_errors import translate

APPLICATION_NAME = "pyupc feed"
STATEMENT_SECONDS = 5.0

SUBJECT = "database"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")
Row = tuple[Any, ...]


class Lost(Exception):
    """There is no connection to the database at the moment, or it is busy with something else."""


class Store:
    """Writes what the exchange and Kalshi say, and holds the right to feed some symbols.

    While there is no connection, or the database is busy, prices and markets are dropped: they
    would be stale by the time it is back. `keep` makes the connection again.
    """

    def __init__(
        self,
        dsn: str,
        exchange: str,
        report: Report,
        *,
        limit: float = STATEMENT_SECONDS,
        clock: Clock = SYSTEM,
    ) -> None:
        self._dsn = watchful(dsn, limit)
        self._exchange = exchange
        self._report = report
        self._limit = limit
        self._clock = clock
        self._symbols: Sequence[str] = ()
        self._led: set[str] = set()
        self._thread = ThreadPoolExecutor(1, "pyupc feed store")
        self._conn: psycopg.Connection[Row] | None = None
        self._is_lost = asyncio.Event()
        # What the database is asked for in vain at present, though it is there.
        self._busy: set[str] = set()

    async def open(self) -> None:
        """Connect; raises PyupcError if there is no server or if its schema is another."""
        await self._drop()
        self._is_lost.clear()
        self._conn = await self._in_thread(lambda: self._connected(code=True))

    async def symbols(self) -> dict[str, tuple[str | None, str | None]]:
        """Every registered symbol with its exchange pair and its Kalshi series."""
        rows = await self._ask(statements.SYMBOLS)
        return {symbol: (pair, series) for symbol, pair, series in rows}

    async def take(self, symbols: Sequence[str]) -> None:
        """Take the right to feed these symbols; PyupcError if another process has one of them."""
        self._symbols = symbols
        self._led.clear()
        for symbol in symbols:
            if not await self._locked("upc.feed_lock_key(%s, %s)", symbol, self._exchange):
                raise PyupcError(
                    f"{symbol} is being fed from {self._exchange} by another process",
                    "one feed is enough; end the other one first to replace it",
                )

    async def leads(self, symbol: str) -> bool:
        """Whether the symbol's candles are for this feed to store, or for one from another
        exchange: the candles of two would replace each other. Lost while there is no connection."""
        if symbol not in self._led:
            if not await self._locked("upc.candle_lock_key(%s)", symbol):
                return False
            self._led.add(symbol)
        return True

    async def price(
        self, symbol: str, price: float, exchange_at: datetime | None, received_at: datetime
    ) -> bool:
        """Log a price; whether it was taken."""
        try:
            rows = await self._ask(
                statements.PRICE, symbol, self._exchange, price, exchange_at, received_at
            )
        except Lost:
            return False
        return bool(rows[0][0])

    async def last_candle(self, symbol: str) -> datetime | None:
        """When the newest stored candle opened; Lost while there is no connection."""
        rows = await self._ask(statements.LAST_CANDLE, symbol)
        at: datetime | None = rows[0][0]
        return at

    async def candles(self, symbol: str, candles: Sequence[Candle]) -> int:
        """Store candles; how many are new or different. Lost while there is no connection."""
        if not candles:
            return 0
        minutes, *columns = zip(*candles, strict=True)
        opened_at = [_EPOCH + timedelta(minutes=minute) for minute in minutes]
        rows = await self._ask(statements.CANDLES, symbol, opened_at, *map(list, columns))
        return int(rows[0][0])

    async def market(self, symbol: str, document: str, read_at: datetime) -> bool:
        """Take a Kalshi event; whether it was taken. PyupcError if it is none."""
        try:
            rows = await self._ask(statements.MARKET, document, symbol, read_at)
        except Lost:
            return False
        return bool(rows[0][0])

    async def unsettled(self, symbol: str, at: datetime) -> list[tuple[str, datetime]]:
        """Events that have closed and have no results, with their close; none while there is no
        connection."""
        try:
            rows = await self._ask(statements.UNSETTLED, symbol, at)
        except Lost:
            return []
        return [(ticker, closes_at) for ticker, closes_at in rows]

    async def keep(self) -> None:
        """Connect anew whenever the connection is lost. Raises SchemaOutOfDate, nothing else."""
        backoff = Backoff()
        while True:
            await self._is_lost.wait()
            # An upgrade that has rebuilt the functions is over in a moment.
            pause = 0.0
            while self._is_lost.is_set():
                await self._clock.sleep(pause)
                try:
                    self._conn = await self._in_thread(lambda: self._connected(code=False))
                    await self.take(self._symbols)
                except SchemaOutOfDate:
                    raise
                except Lost:
                    pause = backoff.failed()
                except PyupcError as problem:
                    await self._drop()
                    self._report.failed(SUBJECT, problem.message)
                    pause = backoff.failed()
                else:
                    self._is_lost.clear()
                    self._busy.clear()
            backoff.succeeded()
            self._report.works(SUBJECT)

    async def close(self) -> None:
        await self._drop()
        self._thread.shutdown(wait=False)

    async def _locked(self, key: str, *parameters: str) -> bool:
        rows = await self._ask(f"SELECT pg_try_advisory_lock({key})", *parameters)
        return bool(rows[0][0])

    async def _ask(self, query: str, *parameters: Any) -> list[Row]:
        """All rows. One round trip: the statement is prepared, and is a transaction of its own."""
        conn = self._conn
        if conn is None:
            raise Lost
        try:
            rows = await self._in_thread(
                lambda: conn.execute(query.encode(), parameters, prepare=True).fetchall(),
                lambda: _cut(conn),
            )
        except psycopg.Error as error:
            problem = translate(error)
            is_outdated = error.sqlstate in OUTDATED
            if isinstance(problem, Busy) and not (is_outdated or conn.closed):
                self._busy.add(query)
                self._report.failed(SUBJECT, problem.message)
                raise Lost from error
            if not (is_outdated or isinstance(problem, DatabaseUnreachable) or conn.closed):
                raise problem from error
            if not is_outdated:
                self._report.failed(SUBJECT, problem.message)
            await self._lose(conn)
            raise Lost from error
        if query in self._busy:
            self._busy.discard(query)
            if not self._busy:
                self._report.works(SUBJECT)
        return rows

    async def _lose(self, conn: psycopg.Connection[Row]) -> None:
        if conn is self._conn:
            await self._drop()
            self._is_lost.set()

    async def _drop(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(psycopg.Error):
                await self._in_thread(conn.close, lambda: _cut(conn))

    def _connected(self, *, code: bool) -> psycopg.Connection[Row]:
        conn = connect(self._dsn, application_name=APPLICATION_NAME)
        try:
            conn.execute(
                "SELECT pg_catalog.set_config('statement_timeout', %s, false)",
                (f"{self._limit:.3f}s",),
            )
            schema.check(conn, code=code)
        except psycopg.Error as error:
            conn.close()
            raise translate(error) from error
        except BaseException:
            conn.close()
            raise
        return conn

    async def _in_thread(
        self, work: Callable[[], T], give_up: Callable[[], None] = lambda: None
    ) -> T:
        """Run it in the store's thread. `give_up` ends it from outside if the server hangs."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            # A little longer than the server's own limit, which leaves the connection usable.
            done, _ = await asyncio.wait({future}, timeout=self._limit + 2)
        except asyncio.CancelledError:
            # Nobody asks any more what becomes of it.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            give_up()
            raise
        if not done:
            give_up()
        return await future


def _cut(conn: psycopg.Connection[Row]) -> None:
    """End what a thread waits for on this connection: it sees that there is no server any more."""
    with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(conn.fileno())) as ours:
        ours.shutdown(socket.SHUT_RDWR)
