"""Statements of the tick: each calls one function, or reads one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pyupc.errors import PyupcError
from pyupc.runtime.connection import ConnectionLost, Guard, Row, WatchedConnection
from pyupc.runtime.stop import limited
from pyupc.tick.aging_rules import Rules
from pyupc.tick.documents import DOCUMENTS, columns

APPLICATION_NAME = "pyupc tick"

HELD_BY_ANOTHER = "UP009"

# Delay of a tick before another process takes over. With it, a first tick of the one
# that takes over at 1 Hz comes within two seconds of the last one of its predecessor.
LATE_SECONDS = 0.75

_TICK = f"""
    SELECT
        t.tick_id, t.state, t.price, t.momentum, t.fingerprint, {columns("t")}, t.announced,
        clock_timestamp(), t.used_model, t.used_settlement, t.limits, t.valid_until,
        t.asked_model, t.asked_settlement
    FROM upc.tick(
        symbol => %(symbol)s::text,
        feed => %(feed)s::text,
        holder => %(holder)s::text,
        lease => %(lease)s::interval,
        replay_from => %(replay_from)s::timestamptz,
        elapsed => %(elapsed)s::interval,
        seed => %(seed)s::integer,
        every => %(every)s::interval,
        since_last => %(since_last)s::interval,
        method => %(method)s::text,
        model => %(model)s::text,
        settlement => %(settlement)s::text
    ) AS t
"""


class Tick(NamedTuple):
    """The row that upc.tick returns, with the time of the server.

    `announced` is a JSON array of what the tick has announced, None if there is nothing.
    """

    tick_id: int
    state: str
    price: float
    momentum: float | None
    fingerprint: str
    live_probabilities: str
    strike_table: str
    watchlist: str
    active_trades: str
    contracts: str
    announced: str | None = None
    at: datetime | None = None
    model: str | None = None
    settlement: str | None = None
    limits: Sequence[float] | None = None
    valid_until: str = ""
    asked_model: str | None = None
    asked_settlement: str | None = None

    def documents(self) -> dict[str, str]:
        """Documents that become files, by name."""
        return {name: getattr(self, name) for name in DOCUMENTS}


@dataclass(frozen=True)
class TickArguments:
    """The arguments of upc.tick. `since_last` is None before the first tick of a symbol."""

    symbol: str
    feed: str
    holder: str
    lease: timedelta
    every: timedelta
    replay_from: datetime | None
    elapsed: timedelta
    seed: int
    since_last: timedelta | None = None
    method: str | None = None
    model: str | None = None
    settlement: str | None = None


class Lease(NamedTuple):
    """The right to tick a symbol, and its holder; `is_expired` by the server's clock. It lasts for
    `length` after each tick.
    """

    symbol: str
    holder: str
    expires_at: datetime
    is_expired: bool
    every: timedelta
    length: timedelta


class Published(NamedTuple):
    """The newest documents of a symbol, with the limits in force. `age_seconds` is that of their
    tick.
    """

    symbol: str
    tick_id: int
    state: str
    valid_until: str
    age_seconds: float
    limits: Sequence[float]
    live_probabilities: str
    strike_table: str
    watchlist: str
    active_trades: str
    contracts: str

    def documents(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in DOCUMENTS}


class HeldByAnother(PyupcError):
    """Another process ticks the symbol."""


class Session(WatchedConnection):
    """A connection of `pyupc tick`. The default guard is for the main thread's alone."""

    def __init__(self, dsn: str, limit: float, guard: Guard = limited) -> None:
        super().__init__(dsn, APPLICATION_NAME, limit, guard=guard)

    def fetch(self, query: str, parameters: Any = None) -> list[Row]:
        """The same, with HeldByAnother among the refusals."""
        try:
            return super().fetch(query, parameters)
        except PyupcError as problem:
            if problem.sqlstate == HELD_BY_ANOTHER:
                raise HeldByAnother(problem.message, problem.hint) from problem
            raise

    def symbols(self) -> tuple[str, ...]:
        """Every registered symbol."""
        rows = self.fetch("SELECT s.symbol FROM upc_data.symbol AS s ORDER BY s.symbol")
        return tuple(row[0] for row in rows)

    def unfed(self, symbols: Sequence[str], exchange: str) -> tuple[str, ...]:
        """Symbols that no process feeds from the exchange."""
        query = (
            "SELECT s.symbol FROM unnest(%s::text[]) AS s (symbol)"
            " WHERE NOT upc.is_fed(symbol => s.symbol, exchange => %s::text)"
        )
        return tuple(row[0] for row in self.fetch(query, (list(symbols), exchange)))

    def priced(self, symbols: Sequence[str], exchange: str, within: timedelta) -> tuple[str, ...]:
        """Symbols that have a price from the exchange no older than `within`."""
        query = (
            "SELECT s.symbol FROM unnest(%s::text[]) AS s (symbol) WHERE EXISTS ("
            " SELECT FROM upc_data.price AS p WHERE p.symbol = s.symbol"
            " AND p.exchange = %s::text"
            " AND p.received_at >= clock_timestamp() - %s::interval)"
        )
        return tuple(row[0] for row in self.fetch(query, (list(symbols), exchange, within)))

    def now(self) -> datetime:
        """The server's clock."""
        at: datetime = self.fetch("SELECT clock_timestamp()")[0][0]
        return at

    def replay_start(self, symbol: str, at: datetime) -> datetime:
        """The default beginning of a replay that starts at `at`."""
        query = "SELECT upc.replay_start(symbol => %s::text, at => %s::timestamptz)"
        start: datetime = self.fetch(query, (symbol, at))[0][0]
        return start

    def tick(self, arguments: TickArguments) -> Tick:
        """One tick, committed: the statement is a transaction."""
        return Tick(*self.fetch(_TICK, vars(arguments))[0])

    def leases(self, symbols: Sequence[str]) -> list[Lease]:
        """Existing leases of the symbols."""
        query = (
            "SELECT l.symbol, l.holder, l.expires_at, l.expires_at <= clock_timestamp(),"
            " coalesce(l.every, interval '1 second'),"
            " coalesce(l.lease, l.every + %s::interval, interval '5 seconds')"
            " FROM upc_data.tick_lease AS l WHERE l.symbol = ANY (%s::text[])"
        )
        late = timedelta(seconds=LATE_SECONDS)
        return [Lease(*row) for row in self.fetch(query, (late, list(symbols)))]

    def break_lease(self, lease: Lease) -> bool:
        """Take the right from a process that has not renewed it; false if it just has."""
        query = (
            "SELECT upc.break_lease(symbol => %s::text, holder => %s::text,"
            " expires_at => %s::timestamptz)"
        )
        return bool(self.fetch(query, (lease.symbol, lease.holder, lease.expires_at))[0][0])

    def published(self, known: Mapping[str, int]) -> list[Published]:
        """The documents of those symbols whose newest tick is not the one that is known."""
        query = "SELECT d.* FROM upc.changed_documents(%s::text[], %s::bigint[]) AS d"
        return [Published(*row) for row in self.fetch(query, (list(known), list(known.values())))]

    def has_tick(self, symbol: str, tick_id: int) -> bool:
        """True if the tick is one of this database."""
        query = (
            "SELECT EXISTS (SELECT FROM upc_data.tick AS t"
            " WHERE t.symbol = %s::text AND t.tick_id = %s::bigint)"
        )
        return bool(self.fetch(query, (symbol, tick_id))[0][0])

    def market_snapshot(self, symbol: str) -> str:
        """All markets of the last tick's event, as the predecessor has them."""
        query = "SELECT upc.market_snapshot(symbol => %s::text)"
        return str(self.fetch(query, (symbol,))[0][0])

    def document_rules(self) -> Rules:
        """Rules for documents that get no successor, with the limits in force."""
        return Rules.read(self.fetch("SELECT upc.document_rules()")[0][0])

    def release(self, symbols: Sequence[str], holder: str) -> None:
        """Give the right to tick back. If that fails it ends by itself a little later."""
        query = (
            "SELECT upc.release_lease(symbol => s, holder => %s::text) FROM unnest(%s::text[]) AS s"
        )
        if self.is_open and symbols:
            with suppress(ConnectionLost, PyupcError):
                self.fetch(query, (holder, list(symbols)))

    def status(self, symbols: Sequence[str]) -> str:
        """The document that becomes `upc_status.json`. No symbols: those that ought to tick."""
        query = "SELECT upc.status_document(symbols => %s::text[])"
        document: str = self.fetch(query, (list(symbols) or None,))[0][0]
        return document

    def report_problem(self, symbol: str, holder: str, problem: str | None) -> None:
        """Show in the status what fails here."""
        query = (
            "SELECT upc.report_problem(symbol => %s::text, holder => %s::text, problem => %s::text)"
        )
        self.fetch(query, (symbol, holder, problem))

    def delete_expired(self) -> int:
        """Delete one batch of rows that are older than they are kept; returns their number."""
        query = (
            "SELECT d.prices + d.ticks + d.announcements + d.thinned + d.events + d.contracts"
            " FROM upc.delete_expired() AS d"
        )
        return int(self.fetch(query)[0][0])

    def make_partitions(self) -> int:
        """Make the logs' partitions of today and the days ahead; returns how many."""
        return int(self.fetch("SELECT upc.make_partitions()")[0][0])
