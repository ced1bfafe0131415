"""All checks, one after the other; those of the network run beside the others."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pyupc import embedded
from pyupc.database.connect import connect, running_dsn
from pyupc.exchange.names import DEFAULT_EXCHANGE
from pyupc.health.doctor import clock, lease, machine, network, rights, server
from pyupc.health.doctor.clock import Clock
from pyupc.health.doctor.finding import Finding, Running, together
from pyupc.health.doctor.names import names
from pyupc.health.doctor.network import Registered
from pyupc.health.doctor.server import Connection
from pyupc.runtime.connection import watchful
from pyupc.symbols.names import some

APPLICATION_NAME = "pyupc doctor"

STATEMENT_SECONDS = 3.0
# Longer than the server's own limit, which leaves the connection usable.
CHECK_SECONDS = 4.0
NETWORK_SECONDS = 10.0
# Limit for all checks together, whatever hangs.
TOTAL_SECONDS = 17.0

# Findings of each symbol up to so many symbols; one of each kind for more.
MOST_SYMBOLS = 20

Check = Callable[[Connection], Finding]

# Checks that need no tables of pyupc.
_OF_SERVER: Sequence[tuple[str, Check]] = (
    ("encoding", server.encoding),
    ("latency", server.latency),
    ("connections", server.connections),
    ("settings", server.settings),
)


@dataclass(frozen=True)
class Job:
    """Options of an examination. Without symbols, all registered ones are checked."""

    out: Path
    symbols: tuple[str, ...] = ()
    exchange: str = DEFAULT_EXCHANGE
    kalshi: str | None = None
    has_kalshi: bool = True
    is_offline: bool = False


class Examination:
    """One run of all checks; `is_unreachable` and `is_hanging` are known after the last one."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._deadline = time.monotonic() + TOTAL_SECONDS
        self._conn: Connection | None = None
        self._clocks: list[Clock] = []
        self._symbols: Registered | None = None
        self.is_unreachable = False
        self.is_hanging = False

    def findings(self) -> Iterator[Finding]:
        """Run the checks in order, leaving out those that depend on a failed one."""
        yield self._end(self._begin("server", self._connect))
        yield from self._ask(_OF_SERVER)
        schema = list(self._ask((("schema", server.tables),)))
        yield from schema
        if any(each.state != "fail" for each in schema):
            yield from self._ask((("rights", rights.rights),))
        is_readable = any(each.state == "ok" for each in schema)
        if is_readable:
            checks = (("names", names), ("rules", server.rules), ("symbols", self._read_symbols))
            yield from self._ask(checks)
        network = self._begin_network()
        if is_readable:
            yield from self._ask((("disk", server.disk),))
            yield from self._of_symbols()
        yield from self._of_machine()
        for running in network:
            yield self._end(running)
        yield self._end(self._begin("clock", self._judge_clocks))

    def _ask(self, checks: Sequence[tuple[str, Check]]) -> Iterator[Finding]:
        """Run checks of the database, for as long as it answers."""
        for name, check in checks:
            if self._conn is None or self.is_unreachable:
                return
            running = self._begin(name, partial(check, self._conn))
            found = self._end(running)
            # A connection on which a check still waits cannot be used by others.
            self.is_unreachable |= running.is_hanging or found.is_unreachable
            yield found

    def _of_symbols(self) -> Iterator[Finding]:
        """A finding of each symbol and kind; where there are many symbols, one of each kind."""
        symbols = tuple(self._symbols or ())
        if len(symbols) <= MOST_SYMBOLS:
            yield from self._of_each(symbols)
            return
        kinds: dict[str, list[Finding]] = {}
        for found in self._of_each(symbols):
            kinds.setdefault(found.check.rpartition(" ")[0], []).append(found)
            if time.monotonic() > self._deadline:
                break
        for kind, findings in kinds.items():
            yield together(kind, findings, len(symbols))

    def _of_each(self, symbols: Sequence[str]) -> Iterator[Finding]:
        for symbol in symbols:
            status: list[lease.Status] = []

            def tick(
                conn: Connection, symbol: str = symbol, status: list[lease.Status] = status
            ) -> Finding:
                status.append(lease.status(conn, symbol))
                return lease.tick(status[0])

            yield from self._ask(((f"tick {symbol}", tick),))
            if status:
                yield lease.candles(status[0])
                check = partial(lease.impossible_candles, symbol=symbol)
                yield from self._ask(((f"candle values {symbol}", check),))
                check = partial(lease.basis, symbol=symbol)
                yield from self._ask(((f"basis {symbol}", check),))
                check = partial(lease.correction, symbol=symbol)
                yield from self._ask(((f"correction {symbol}", check),))
                check = partial(lease.seconds, symbol=symbol)
                yield from self._ask(((f"seconds {symbol}", check),))
                check = partial(lease.intervals, symbol=symbol)
                yield from self._ask(((f"intervals {symbol}", check),))
                check = partial(lease.fingerprints, found=status[0])
                yield from self._ask(((f"fingerprints {symbol}", check),))

    def _of_machine(self) -> Iterator[Finding]:
        is_embedded = _is_embedded()
        if is_embedded:
            yield self._end(self._begin("home", lambda: machine.home(embedded.default_home())))
        yield self._end(self._begin("files", lambda: machine.files(self._job.out)))
        yield self._end(self._begin("extras", lambda: machine.extras(is_embedded)))

    def _begin_network(self) -> list[Running]:
        job = self._job
        symbols = self._symbols or network.registered_without_database(job.symbols)
        found = []
        if not job.is_offline:
            ask = partial(network.exchange, job.exchange, symbols, self._clocks)
            found.append(self._begin("exchange", ask, NETWORK_SECONDS))
        if not job.is_offline and job.has_kalshi:
            ask = partial(network.kalshi, job.kalshi, symbols, self._clocks)
            found.append(self._begin("kalshi", ask, NETWORK_SECONDS))
        return found

    def _begin(
        self, name: str, check: Callable[[], Finding], seconds: float = CHECK_SECONDS
    ) -> Running:
        left = self._deadline - time.monotonic()
        return Running(name, check, max(0.1, min(seconds, left)))

    def _end(self, running: Running) -> Finding:
        found = running.finding()
        self.is_hanging |= running.is_hanging
        return found

    # Checks, each run in a thread of its own:

    def _connect(self) -> Finding:
        self.is_unreachable = True
        conn = connect(
            watchful(running_dsn(), STATEMENT_SECONDS), application_name=APPLICATION_NAME
        )
        conn.execute(
            "SELECT pg_catalog.set_config('statement_timeout', %s, false)",
            (f"{STATEMENT_SECONDS:g}s",),
        )
        found = server.version(conn)
        self._conn = conn
        self.is_unreachable = False
        return found

    def _read_symbols(self, conn: Connection) -> Finding:
        rows = conn.execute(
            "SELECT s.symbol, s.exchange_pair, array_agg(r.series) FILTER (WHERE r.is_followed)"
            " FROM upc_data.symbol AS s"
            " LEFT JOIN upc_data.series AS r ON r.symbol = s.symbol"
            " GROUP BY s.symbol ORDER BY s.symbol"
        ).fetchall()
        registered = {symbol: (pair, tuple(series or ())) for symbol, pair, series in rows}
        self._symbols = network.chosen(self._job.symbols, registered)
        return Finding("symbols", "ok", some(self._symbols))

    def _judge_clocks(self) -> Finding:
        if self._conn is not None and not self.is_unreachable:
            self._clocks.insert(0, clock.of_server(self._conn))
        return clock.judge(self._clocks)


def _is_embedded() -> bool:
    return not os.environ.get("PYUPC_DSN", "").strip()
