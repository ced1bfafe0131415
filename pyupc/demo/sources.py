"""Histories of a demo: simulated, from a file, or an exchange's last days."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from pyupc.candles.load import Watcher
from pyupc.database.connect import connect
from pyupc.errors import PyupcError
from pyupc.fingerprints.workers import Work, together

logger = logging.getLogger("pyupc.demo")

SYMBOLS = ("BTC", "ETH")

# For a demo whose exchange cannot be had.
WITHOUT_HINT = "pyupc demo, without --source, simulates prices and needs no exchange"

Connection = psycopg.Connection[tuple[Any, ...]]
Watching = Callable[[int], AbstractContextManager[Watcher]]


@dataclass(frozen=True)
class Simulation:
    """Made-up prices: `days` of them up to the present minute."""

    symbols: tuple[str, ...] = SYMBOLS
    days: int = 90
    seed: int = 1

    feed = "simulated"

    def identity(self) -> dict[str, Any]:
        """A longer history is the same one, so the days are no part of it."""
        return {"simulated": self.seed}

    def fill(self, dsn: str, watching: Watching) -> int:
        """Add the candles that are missing, a connection a symbol; returns their number."""
        added: list[int] = []

        def job(symbol: str) -> Work:
            return lambda conn, stop: added.append(self._fill(conn, symbol))

        with ExitStack() as stack:
            jobs = [
                (stack.enter_context(connect(dsn, application_name="pyupc demo")), job(symbol))
                for symbol in self.symbols
            ]
            together(jobs)
        return sum(added)

    def _fill(self, conn: Connection, symbol: str) -> int:
        row = conn.execute(
            """
            SELECT min(c.opened_at), max(c.opened_at), date_trunc('minute', clock_timestamp())
            FROM upc_data.candle AS c
            WHERE c.symbol = %s
            """,
            [symbol],
        ).fetchone()
        assert row is not None
        added = 0
        with conn.transaction():
            for since, until in missing(*row, days=self.days):
                added += conn.execute(
                    """
                    INSERT INTO upc_data.candle
                    SELECT * FROM upc.simulated_candles(%s, %s, %s, %s)
                    ON CONFLICT ON CONSTRAINT candle_symbol_opened_at_pkey DO NOTHING
                    """,
                    [symbol, since, until, self.seed],
                ).rowcount
                conn.execute("SELECT upc.note_candle_changes(%s, %s, %s)", [symbol, since, until])
        return added


@dataclass(frozen=True)
class File:
    """Candles from a file, replayed."""

    path: Path
    symbol: str

    feed = "replay"

    @property
    def symbols(self) -> tuple[str, ...]:
        return (self.symbol,)

    def identity(self) -> dict[str, Any]:
        found = self.path.stat()
        return {
            "file": str(self.path.resolve()),
            "size": found.st_size,
            "changed": found.st_mtime_ns,
            "symbol": self.symbol,
        }

    def fill(self, dsn: str, watching: Watching) -> int:
        """Load the file unless its candles are there; returns the number of new ones."""
        from pyupc.candles.files import size_of
        from pyupc.candles.load import load

        with connect(dsn, application_name="pyupc demo") as conn:
            query = "SELECT EXISTS (SELECT FROM upc_data.candle AS c WHERE c.symbol = %s)"
            if conn.execute(query, [self.symbol]).fetchone() == (True,):
                return 0
            with watching(size_of(self.path)) as watcher:
                return load(conn, self.symbol, [self.path], watcher).total.new


@dataclass(frozen=True)
class Live:
    """The last days of an exchange, and its prices as they come in."""

    exchange: str
    symbols: tuple[str, ...] = SYMBOLS
    days: int = 3

    @property
    def feed(self) -> str:
        return self.exchange

    def identity(self) -> dict[str, Any]:
        """A longer history is the same one, so the days are no part of it."""
        return {"exchange": self.exchange}

    def reached(self) -> Live:
        """The same with those of the symbols that are listed; the others are named.

        Raises PyupcError if the exchange does not answer, or lists none.
        """
        import asyncio

        from pyupc.exchange.live import Exchange
        from pyupc.exchange.problems import ExchangeProblem

        async def pairs() -> dict[str, str]:
            exchange = Exchange(self.exchange)
            try:
                return await exchange.pairs(dict.fromkeys(self.symbols))
            finally:
                await exchange.close()

        try:
            listed = asyncio.run(pairs())
        except ExchangeProblem as error:
            raise PyupcError(f"{self.exchange}: {error.reason}", WITHOUT_HINT) from error
        if missing := [symbol for symbol in self.symbols if symbol not in listed]:
            problem = f"{self.exchange} does not list {' and '.join(missing)} as active"
            if not listed:
                raise PyupcError(problem, WITHOUT_HINT)
            logger.warning("%s: left out", problem)
        return replace(self, symbols=tuple(s for s in self.symbols if s in listed))

    def fill(self, dsn: str, watching: Watching) -> int:
        """Fetch the candles that are missing; returns the number of new ones."""
        from pyupc.candles.backfill import Job, Tally, backfill
        from pyupc.exchange.history import Exchange

        since = datetime.now(UTC) - timedelta(days=self.days)
        tally = Tally()
        with (
            Exchange(self.exchange, logger.warning) as exchange,
            connect(dsn, application_name="pyupc demo") as conn,
        ):
            for symbol in self.symbols:
                job = Job(symbol, exchange.pair(symbol, None), since, None)
                backfill(conn, exchange, job, tally, _Unwatched())
        return tally.new


class _Unwatched:
    def on_plan(self, symbol: str, minutes: int) -> None:
        pass

    def on_minutes(self, count: int) -> None:
        pass

    def on_problems(self, problems: Sequence[str]) -> None:
        pass


Source = Simulation | File | Live


def missing(
    first: datetime | None, last: datetime | None, now: datetime, *, days: int
) -> list[tuple[datetime, datetime]]:
    """The spans before and after the stored candles that the history lacks."""
    begin = now - timedelta(days=days)
    if first is None or last is None:
        return [(begin, now)]
    spans = [(begin, first), (last + timedelta(minutes=1), now)]
    return [(since, until) for since, until in spans if since < until]
