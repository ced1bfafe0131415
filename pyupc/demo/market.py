"""The simulated market of a demo: its last hours, and a thread that reads it meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

import psycopg

from pyupc.database.connect import connect
from pyupc.errors import PyupcError
from pyupc.fingerprints.workers import Work, together
from pyupc.runtime.outage import Outage

# The books are read so often. Quotes count as fresh for longer.
READ_SECONDS = 1.5
# Hours that the market has lived through before the first tick, the last one minute by minute.
PAST_HOURS = 4

Connection = psycopg.Connection[tuple[Any, ...]]


class Market:
    """Made-up events with their books, in the demo's database alone.

    Inside `with` a thread reads them as a feed reads Kalshi's, opens a trade each hour, and buys on
    paper what is suggested.
    """

    def __init__(self, dsn: str, symbols: Sequence[str], seed: int) -> None:
        self._dsn = dsn
        self._symbols = tuple(symbols)
        self._seed = seed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pyupc demo market", daemon=True)

    def live_through(self) -> int:
        """Have events, trades and logged ticks of the last hours, as far as there are none yet.

        A connection a symbol. Returns the number of ticks.
        """
        ticks: list[int] = []

        def job(symbol: str) -> Work:
            def work(conn: Connection, stop: threading.Event) -> None:
                for since, until, minutes in _pieces(conn, symbol):
                    if not stop.is_set():
                        ticks.append(self._span(conn, symbol, since, until, minutes))

            return work

        connections = [self._connect() for _ in self._symbols]
        try:
            together(list(zip(connections, map(job, self._symbols), strict=True)))
        finally:
            for conn in connections:
                conn.close()
        return sum(ticks)

    def _span(self, conn: Connection, symbol: str, since: Any, until: Any, minutes: int) -> int:
        row = conn.execute(
            "SELECT upc.simulate_span(%s, %s, %s, %s, make_interval(mins => %s))",
            [symbol, since, until, self._seed, minutes],
        ).fetchone()
        assert row is not None
        return int(row[0])

    def __enter__(self) -> Market:
        with self._connect() as conn:
            self._read(conn)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _connect(self) -> Connection:
        return connect(self._dsn, application_name="pyupc demo market")

    def _read(self, conn: Connection) -> None:
        for symbol in self._symbols:
            with conn.transaction():
                conn.execute(
                    "SELECT upc.simulate_market(%s, seed => %s), upc.simulate_trade(%s)",
                    [symbol, self._seed, symbol],
                )
            for function in ("buy_paper", "settle_paper"):
                conn.execute(f"SELECT count(*) FROM upc.{function}(%s)".encode(), [symbol])

    def _run(self) -> None:
        outage = Outage(
            "pyupc.demo",
            time.monotonic,
            "the simulated market cannot be read",
            "the simulated market can be read again",
        )
        conn: Connection | None = None
        while not self._stop.wait(READ_SECONDS):
            try:
                if conn is None:
                    conn = self._connect()
                self._read(conn)
            except (PyupcError, psycopg.Error) as problem:
                outage.failed(str(problem))
                if conn is not None:
                    with suppress(psycopg.Error):
                        conn.close()
                conn = None
            else:
                outage.works()
        if conn is not None:
            conn.close()


def _pieces(conn: Connection, symbol: str) -> list[tuple[Any, Any, int]]:
    """Spans that the market has not lived through, an hour or less each, with the minutes between
    two looks: five, as results are judged by, and one in the last hour.
    """
    rows = conn.execute(
        """
        WITH span AS (
            SELECT
                date_bin('5 minutes', now(), '2000-01-01') - interval '55 minutes' AS recent,
                greatest(
                    date_trunc('hour', now()) - make_interval(hours => %(hours)s),
                    date_bin('5 minutes', max(t.ticked_at) + interval '5 minutes', '2000-01-01')
                ) AS since,
                date_trunc('minute', max(t.ticked_at)) + interval '1 minute' AS next
            FROM upc_data.tick AS t
            WHERE t.symbol = %(symbol)s
        ),
        piece (since, until, minutes) AS (
            SELECT
                h.at, least(h.at + interval '55 minutes', s.recent - interval '5 minutes'), 5
            FROM span AS s
            CROSS JOIN generate_series(s.since, s.recent, interval '1 hour') AS h (at)

            UNION ALL

            SELECT greatest(h.at, s.next), least(h.at + interval '14 minutes', now()), 1
            FROM span AS s
            CROSS JOIN generate_series(s.recent, now(), interval '15 minutes') AS h (at)
        )
        SELECT p.since, p.until, p.minutes
        FROM piece AS p
        WHERE p.since <= p.until
        ORDER BY p.since
        """,
        {"hours": PAST_HOURS, "symbol": symbol},
    ).fetchall()
    return [(since, until, minutes) for since, until, minutes in rows]
