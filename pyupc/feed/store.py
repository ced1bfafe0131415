"""The feed's writer: it drops what it cannot write while the database is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pyupc.errors import Busy, DatabaseUnreachable, PyupcError, SchemaOutOfDate
from pyupc.exchange.answer import Candle
from pyupc.feed import statements
from pyupc.runtime.backoff import Backoff
from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.connection import Connection, ConnectionLost, Row
from pyupc.runtime.outage import Outages
from pyupc.runtime.threaded_connection import ThreadedConnection

logger = logging.getLogger("pyupc.feed")

APPLICATION_NAME = "pyupc feed"
STATEMENT_SECONDS = 5.0

SUBJECT = "database"

# Every symbol with its exchange pair and its Kalshi series.
Registered = dict[str, tuple[str | None, tuple[str, ...]]]

# Events whose markets that are left out are remembered.
_MOST_NAMED = 1000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_FEED_KEY = "upc.feed_lock_key(%s, %s)"
_CANDLE_KEY = "upc.candle_lock_key(%s)"


class Store:
    """Writes what the exchange and Kalshi report, and holds the right to feed some symbols.

    While there is no connection, or the database is busy, prices and markets are dropped: they
    would be stale by the time it is back; what has to be stored raises ConnectionLost. `keep`
    makes the connection again.
    """

    def __init__(
        self,
        dsn: str,
        exchange: str,
        outages: Outages,
        *,
        limit: float = STATEMENT_SECONDS,
        clock: Clock = SYSTEM,
    ) -> None:
        self._exchange = exchange
        self._outages = outages
        self._clock = clock
        self._symbols: Sequence[str] = ()
        self._led: set[str] = set()
        self._connection = ThreadedConnection(dsn, APPLICATION_NAME, limit, begin=self._begin)
        # Statements that the database is too busy for at present, though it is there.
        self._busy: set[str] = set()
        self._left_out: dict[tuple[str, str], tuple[str, ...]] = {}
        self._unknown: set[str] = set()

    async def open(self) -> None:
        """Connect; raises PyupcError if there is no server or if its schema is another."""
        await self._connection.open(code=True)

    async def symbols(self) -> Registered:
        """Every registered symbol with its exchange pair and its Kalshi series."""
        rows = await self._ask(statements.SYMBOLS)
        return {symbol: (pair, tuple(series or ())) for symbol, pair, series in rows}

    async def refuse_simulation(self) -> None:
        """Raises PyupcError in the demo's database, whose market is made up."""
        if await self._ask(statements.SIMULATION) == [(True,)]:
            raise PyupcError(
                "the market of this database is simulated: real prices have no place in it",
                "name another database in PYUPC_DSN",
            )

    async def take(self, symbols: Sequence[str]) -> None:
        """Take the right to feed these symbols; PyupcError if another process has one of them."""
        self._symbols = symbols
        self._led.clear()
        for symbol in symbols:
            [(is_taken,)] = await self._ask(_locks(_FEED_KEY), symbol, self._exchange)
            if not is_taken:
                raise self._refusal(symbol)

    async def take_more(self, symbol: str) -> bool:
        """Take the right to feed a further symbol; false if another process has it."""
        [(is_taken,)] = await self._ask(_locks(_FEED_KEY), symbol, self._exchange)
        if is_taken:
            self._symbols = (*self._symbols, symbol)
        return bool(is_taken)

    async def give_back(self, symbol: str) -> None:
        """Give the right to feed a symbol back, and that to store its candles."""
        self._symbols = tuple(each for each in self._symbols if each != symbol)
        if symbol in self._led:
            self._led.discard(symbol)
            await self._ask(f"SELECT pg_advisory_unlock({_CANDLE_KEY})", symbol)
        await self._ask(f"SELECT pg_advisory_unlock({_FEED_KEY})", symbol, self._exchange)

    @property
    def turn(self) -> asyncio.Lock:
        """Held, no statement is under way."""
        return self._connection.turn

    async def leads(self, symbol: str) -> bool:
        """True if the symbol's candles are for this feed to store, and not for one from another
        exchange: the candles of two would replace each other."""
        if symbol not in self._led:
            [(is_taken,)] = await self._ask(_locks(_CANDLE_KEY), symbol)
            if not is_taken:
                return False
            self._led.add(symbol)
        return True

    async def price(
        self, symbol: str, price: float, exchange_at: datetime | None, received_at: datetime
    ) -> bool:
        """Log a price; true if it was taken."""
        try:
            rows = await self._ask(
                statements.PRICE, symbol, self._exchange, price, exchange_at, received_at
            )
        except ConnectionLost:
            return False
        return bool(rows[0][0])

    async def make_partitions(self) -> None:
        """Make the logs' partitions of the days ahead; prices are logged without them, too."""
        try:
            await self._ask(statements.PARTITIONS)
        except ConnectionLost:
            pass
        except PyupcError as problem:
            self._outages.failed("partitions", problem.message)
        else:
            self._outages.works("partitions")

    async def last_candle(self, symbol: str) -> datetime | None:
        """The opening of the newest stored candle."""
        rows = await self._ask(statements.LAST_CANDLE, symbol)
        at: datetime | None = rows[0][0]
        return at

    async def candles(self, symbol: str, candles: Sequence[Candle]) -> int:
        """Store candles; returns the number that are new or different."""
        if not candles:
            return 0
        minutes, *columns = zip(*candles, strict=True)
        opened_at = [_EPOCH + timedelta(minutes=minute) for minute in minutes]
        rows = await self._ask(statements.CANDLES, symbol, opened_at, *map(list, columns))
        return int(rows[0][0])

    async def market(self, symbol: str, document: str, read_at: datetime) -> bool:
        """Store a Kalshi event; true if it was stored. PyupcError if it is none."""
        try:
            rows = await self._ask(statements.MARKET, document, symbol, read_at)
        except ConnectionLost:
            return False
        for _, event, left_out, unknown_status in rows:
            self._name_left_out(symbol, event, left_out)
            self._name_unknown(symbol, event, unknown_status)
        return any(is_stored for is_stored, *_ in rows)

    def _name_left_out(self, symbol: str, event: str, left_out: Sequence[str]) -> None:
        """Log the markets of an event that are left out, once as long as they are the same."""
        if not left_out or self._left_out.get((symbol, event)) == tuple(left_out):
            return
        if len(self._left_out) == _MOST_NAMED:
            # The first event that was named has closed long ago.
            del self._left_out[next(iter(self._left_out))]
        self._left_out[symbol, event] = tuple(left_out)
        more = f"; and {len(left_out) - 3} more" if len(left_out) > 3 else ""
        logger.warning(
            "%s: %d of the markets of %s are left out: %s%s",
            *(symbol, len(left_out), event, "; ".join(left_out[:3]), more),
        )

    def _name_unknown(self, symbol: str, event: str, status: str | None) -> None:
        """Log a status of markets that is not known, once."""
        if status is None or status in self._unknown:
            return
        self._unknown.add(status)
        logger.warning(
            "%s: %s has markets with the status %r, which is not known: they are taken as paused",
            *(symbol, event, status),
        )

    async def exchange_status(self, document: str, read_at: datetime) -> None:
        """Store whether the exchange trades, and log what is news. PyupcError if it is none."""
        try:
            rows = await self._ask(statements.EXCHANGE_STATUS, document, read_at)
        except ConnectionLost:
            return
        for number, description, is_paused, is_news, resumes_at in rows:
            if not is_news:
                continue
            shard = f"shard {number}" + (f" ({description})" if description else "")
            until = f", until {resumes_at:%Y-%m-%d %H:%M}Z or later" if resumes_at else ""
            if is_paused:
                logger.warning("Kalshi has paused trading on %s%s", shard, until)
            else:
                logger.warning("Kalshi trades again on %s", shard)

    async def series(self, document: str) -> bool:
        """Store the fees of a Kalshi series; true if they are others. PyupcError if it is none."""
        try:
            rows = await self._ask(statements.SERIES, document)
        except ConnectionLost:
            return False
        return bool(rows[0][0])

    async def held(self, symbol: str) -> set[str]:
        """Events that a trade is held of; none while there is no connection."""
        try:
            rows = await self._ask(statements.HELD, symbol)
        except ConnectionLost:
            return set()
        return {event for (event,) in rows}

    async def held_until(self, symbol: str) -> list[tuple[str, datetime]]:
        """Events that a trade is held of, with their close; none while there is no connection."""
        try:
            rows = await self._ask(statements.HELD_UNTIL, symbol)
        except ConnectionLost:
            return []
        return [(ticker, closes_at) for ticker, closes_at in rows]

    async def rate(self) -> float:
        """Requests a second that Kalshi may be asked: the rule."""
        [(rate,)] = await self._ask(statements.RATE)
        return float(rate)

    async def unsettled(self, symbol: str, at: datetime) -> list[tuple[str, datetime]]:
        """Events that have closed and have no results, with their close; none while there is no
        connection."""
        try:
            rows = await self._ask(statements.UNSETTLED, symbol, at)
        except ConnectionLost:
            return []
        return [(ticker, closes_at) for ticker, closes_at in rows]

    async def keep(self) -> None:
        """Connect anew whenever the connection is lost. Raises SchemaOutOfDate, nothing else."""
        backoff = Backoff()
        is_lost = self._connection.is_lost
        while True:
            await is_lost.wait()
            # An upgrade that has rebuilt the functions is over in a moment.
            pause = 0.0
            while is_lost.is_set():
                await self._clock.sleep(pause)
                try:
                    await self._connection.open(code=False)
                except SchemaOutOfDate:
                    raise
                except PyupcError as problem:
                    self._outages.failed(SUBJECT, problem.message)
                    pause = backoff.failed()
            self._busy.clear()
            backoff.succeeded()
            self._outages.works(SUBJECT)

    async def close(self) -> None:
        await self._connection.close()

    def _begin(self, conn: Connection) -> None:
        """In the connection's thread: the rights of a session have ended with it."""
        self._led.clear()
        for symbol in self._symbols:
            row = conn.execute(_locks(_FEED_KEY).encode(), (symbol, self._exchange)).fetchone()
            if row != (True,):
                raise self._refusal(symbol)

    def _refusal(self, symbol: str) -> PyupcError:
        return PyupcError(
            f"{symbol} is being fed from {self._exchange} by another process",
            "one feed is enough; end the other one first to replace it",
        )

    async def _ask(self, query: str, *parameters: Any) -> list[Row]:
        """All rows of one statement, a transaction of its own."""
        if not self._connection.is_up.is_set():
            raise ConnectionLost(DatabaseUnreachable("there is no connection to the database"))
        try:
            rows = await self._connection.fetch(query, parameters)
        except ConnectionLost as error:
            self._outages.failed(SUBJECT, error.problem.message)
            raise
        except Busy as problem:
            self._busy.add(query)
            self._outages.failed(SUBJECT, problem.message)
            raise ConnectionLost(problem) from problem
        if query in self._busy:
            self._busy.discard(query)
            if not self._busy:
                self._outages.works(SUBJECT)
        return rows


def _locks(key: str) -> str:
    return f"SELECT pg_try_advisory_lock({key})"
