"""What `pyupc demo` sets up: a database of its own, a history, and fingerprints of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from pyupc import embedded
from pyupc.candles.load import Watcher
from pyupc.database.connect import connect
from pyupc.errors import PyupcError
from pyupc.fingerprints.build import Build, Progress, build
from pyupc.fingerprints.workers import Work, together

logger = logging.getLogger("pyupc.demo.run")

DATABASE = "pyupc_demo"
SYMBOLS = ("BTC", "ETH")

# In the comment on the database: that it is the demo's, and what its history is made from.
_MARK = "pyupc demo: "

# What to do where an exchange cannot be had.
WITHOUT_HINT = "pyupc demo, without --source, simulates prices and needs no exchange"

Connection = psycopg.Connection[tuple[Any, ...]]


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
            raise PyupcError(f"{self.exchange} {error.reason}", WITHOUT_HINT) from error
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
Watching = Callable[[int], AbstractContextManager[Watcher]]


def missing(
    first: datetime | None, last: datetime | None, now: datetime, *, days: int
) -> list[tuple[datetime, datetime]]:
    """The spans before and after the stored candles that the history lacks."""
    begin = now - timedelta(days=days)
    if first is None or last is None:
        return [(begin, now)]
    spans = [(begin, first), (last + timedelta(minutes=1), now)]
    return [(since, until) for since, until in spans if since < until]


def open_database(source: Source) -> tuple[str, bool]:
    """The demo's database on the embedded server, and whether it is new.

    One with another history is dropped first, unless somebody is connected to it. A database of
    that name that the demo has not made is refused.
    """
    mark = _MARK + json.dumps(source.identity(), sort_keys=True)
    with connect(embedded.database_uri("postgres"), application_name="pyupc demo") as conn:
        row = conn.execute(
            """
            SELECT pg_catalog.shobj_description(d.oid, 'pg_database')
            FROM pg_catalog.pg_database AS d
            WHERE d.datname = %s
            """,
            [DATABASE],
        ).fetchone()
        is_new = row != (mark,)
        if is_new:
            if row is not None:
                _drop(conn, row[0])
            _create(conn, mark)
    return embedded.database_uri(DATABASE), is_new


def _drop(conn: Connection, comment: str | None) -> None:
    if comment is None or not comment.startswith(_MARK):
        raise PyupcError(
            f"there is a database {DATABASE} that is not the demo's",
            "rename or drop it, or set PYUPC_HOME to another folder",
        )
    try:
        conn.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(DATABASE)))
    except psycopg.errors.ObjectInUse as error:
        raise PyupcError(
            "a demo with another history is running, or somebody is connected to its database",
            "end it first",
        ) from error


def _create(conn: Connection, mark: str) -> None:
    """Under another name until it is marked, so that an interruption leaves no stranger."""
    names = {"new": sql.Identifier(f"{DATABASE}_new"), "final": sql.Identifier(DATABASE)}
    for statement in (
        sql.SQL("DROP DATABASE IF EXISTS {new}"),
        sql.SQL("CREATE DATABASE {new}"),
        sql.SQL("COMMENT ON DATABASE {new} IS {mark}"),
        sql.SQL("ALTER DATABASE {new} RENAME TO {final}"),
    ):
        conn.execute(statement.format(**names, mark=sql.Literal(mark)))


def build_fingerprints(dsn: str, source: Source, progress: Progress) -> Build:
    return build(dsn, source.symbols, progress)
