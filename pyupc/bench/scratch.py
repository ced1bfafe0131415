"""The scratch database: created, filled with candles, dropped whatever happens."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pyupc.database.connect import connect
from pyupc.errors import PyupcError
from pyupc.fingerprints.workers import Work, together

DATABASE = "pyupc_bench"

_MARK = "pyupc bench: may be dropped"
_CHUNK_DAYS = 60
_FEWEST_CANDLES = 1440

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Plan:
    """Size of the measurements. `end`: of the history of both symbols."""

    dsn: str
    days: int
    is_quick: bool
    candles: Path | None = None
    end: datetime = datetime(2025, 1, 1, tzinfo=UTC)

    def rounds(self, full: int, quick: int) -> int:
        return quick if self.is_quick else full


@contextmanager
def scratch_database(server: str) -> Iterator[str]:
    """The DSN of a new database on the server that a DSN names."""
    name = sql.Identifier(DATABASE)
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name)
    with connect(server, application_name="pyupc bench") as conn:
        _remove_left_over(conn, drop)
        conn.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            conn.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(_MARK)))
            yield make_conninfo(server, dbname=DATABASE)
        except BaseException as error:
            # Ctrl-C in the middle of connecting leaves a connection that only the frames of the
            # error hold, and DROP DATABASE would wait for the server to give up on it.
            traceback.clear_frames(error.__traceback__)
            raise
        finally:
            conn.execute(drop)


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends what is inside as Ctrl-C does, so that nothing is left behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _remove_left_over(conn: Connection, drop: sql.Composed) -> None:
    """Of a run that was killed. One that is in use, or that is not ours, is refused."""
    row = conn.execute(
        """
        SELECT
            pg_catalog.shobj_description(d.oid, 'pg_database'),
            EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a WHERE a.datid = d.oid)
        FROM pg_catalog.pg_database AS d
        WHERE d.datname = %s
        """,
        [DATABASE],
    ).fetchone()
    if row is None:
        return
    if row != (_MARK, False):
        raise PyupcError(
            f"there is a database {DATABASE} already",
            "wait if another bench is running; else drop it, as it is not known to be a bench's",
        )
    conn.execute(drop)


def fill(plan: Plan) -> None:
    """BTC over the whole time, or from the file; ETH over a year of it at most."""
    since = plan.end - timedelta(days=plan.days)
    half = since + timedelta(days=plan.days // 2)
    eth = max(since, plan.end - timedelta(days=365))
    middle = eth + (plan.end - eth) / 2
    spans = [[("BTC", since, half)], [("BTC", half, plan.end)]]
    if plan.candles is not None:
        load(plan.dsn, "BTC", plan.candles)
        spans = [[], []]
    spans[0].append(("ETH", eth, middle))
    spans[1].append(("ETH", middle, plan.end))

    def job(own: list[tuple[str, datetime, datetime]]) -> Work:
        def work(conn: Connection, stop: Any) -> None:
            for symbol, begin, end in own:
                while begin < end and not stop.is_set():
                    until = min(end, begin + timedelta(days=_CHUNK_DAYS))
                    simulate(conn, symbol, begin, until)
                    begin = until

        return work

    with ExitStack() as stack:
        together([(stack.enter_context(connect(plan.dsn)), job(own)) for own in spans])
    with connect(plan.dsn) as conn:
        conn.execute("VACUUM (ANALYZE) upc_data.candle")


def simulate(conn: Connection, symbol: str, since: datetime, until: datetime) -> None:
    conn.execute(
        "INSERT INTO upc_data.candle SELECT * FROM upc.simulated_candles(%s, %s, %s)",
        [symbol, since, until],
    )
    conn.execute("SELECT upc.note_candle_changes(%s, %s, %s)", [symbol, since, until])


def load(dsn: str, symbol: str, path: Path) -> None:
    """Candles of a file."""
    from pyupc.candles.load import load as load_candles
    from pyupc.candles.progress import watching

    with connect(dsn) as conn, watching(path.stat().st_size) as watcher:
        found = load_candles(conn, symbol, [path], watcher).total.new
    if found < _FEWEST_CANDLES:
        raise PyupcError(
            f"{found:,} candles are too few to measure anything by", "take a day of them at least"
        )
