"""Loading files of candles: staged by COPY, judged and merged by SQL, in one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import psycopg

from pyupc.candles.compression import shown
from pyupc.candles.rows import COPY, Reading, copy_blocks
from pyupc.errors import PyupcError
from pyupc.runtime.text import as_text, count_of

PATIENCE_SECONDS = 1.0
POLL_SECONDS = 0.05

Connection = psycopg.Connection[tuple[Any, ...]]


class Watcher(Protocol):
    """The progress of a load while it is going on."""

    def on_read(self, count: int) -> None:
        """Number of further bytes read from the files."""

    def on_phase(self, name: str) -> None:
        """Something else begins."""

    def on_wait(self) -> None:
        """Another load of the symbol is merging, and this one has waited a while for it."""

    def on_rejected(self, lines: Sequence[RejectedLine], count: int) -> None:
        """`count` lines are no candles; the first of them."""


@dataclass(frozen=True)
class RejectedLine:
    path: Path
    line: int
    reason: str


@dataclass(frozen=True)
class Outcome:
    """Counts of what became of the lines of a file, or of all files.

    `unchanged` counts lines that repeat another one too. `gaps` are pairs of neighbouring stored
    candles more than a minute apart, from the stored candle before the first one that was loaded
    to the one after the last; `missing_minutes` is how many candles they lack.
    """

    new: int
    changed: int
    unchanged: int
    rejected: int
    gaps: int
    missing_minutes: int
    first: datetime | None
    last: datetime | None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "first": as_text(self.first), "last": as_text(self.last)}


@dataclass(frozen=True)
class Summary:
    symbol: str
    files: list[tuple[Path, Outcome]]
    total: Outcome

    def as_json(self) -> dict[str, Any]:
        files = [{"file": str(path), **outcome.as_json()} for path, outcome in self.files]
        return {"symbol": self.symbol, "files": files, "total": self.total.as_json()}


def load(
    conn: Connection,
    symbol: str,
    paths: Sequence[Path],
    watcher: Watcher,
    *,
    skip_bad: bool = False,
    columns: tuple[str, ...] | None = None,
    shown_lines: int = 20,
) -> Summary:
    """Load the files as one: all of their candles or, on any error, none.

    Lines that are no candles are such an error, unless `skip_bad`; then they are left out.
    `columns` are the roles of the columns in the order in which all files have them; None: each
    file's are recognised.
    """
    # Each statement has to see what the load before this one has committed.
    conn.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    with conn.transaction():
        _prepare(conn, symbol)
        watcher.on_phase("reading")
        staged = _stage(conn, paths, Reading(symbol, columns), watcher.on_read)
        watcher.on_phase("checking")
        (rejected,) = _row(conn, "SELECT upc.reject_candle_lines()")
        if rejected:
            watcher.on_rejected(_rejected_lines(conn, paths, shown_lines), rejected)
            if not skip_bad:
                raise PyupcError(
                    f"nothing was loaded: {count_of(rejected, 'bad line')}",
                    "correct them, or leave them out with --skip-bad",
                )
            if rejected == staged:
                raise PyupcError(
                    "nothing was loaded: there is no good line",
                    "see the messages above for what is wrong with the lines",
                )
            _refuse_contradictions(conn, paths)
        _wait_for_turn(conn, symbol, watcher.on_wait)
        watcher.on_phase("merging")
        return _merge(conn, symbol, paths)


def _prepare(conn: Connection, symbol: str) -> None:
    conn.execute(
        """
        SELECT
            pg_catalog.set_config('DateStyle', 'ISO', true),
            pg_catalog.set_config('TimeZone', 'UTC', true)
        """
    )
    conn.execute("SELECT upc.begin_candle_load(%s)", [symbol])


def _stage(
    conn: Connection, paths: Sequence[Path], reading: Reading, on_read: Callable[[int], None]
) -> int:
    with conn.cursor() as cursor:
        with cursor.copy(COPY) as copy:
            for file, path in enumerate(paths):
                for block in copy_blocks(file, path, reading, on_read):
                    copy.write(block)
        return cursor.rowcount


def _rejected_lines(conn: Connection, paths: Sequence[Path], most: int) -> list[RejectedLine]:
    query = "SELECT file, line, reason FROM upc.rejected_candle_lines(%s)"
    rows = conn.execute(query, [most]).fetchall()
    return [RejectedLine(paths[file], line, reason) for file, line, reason in rows]


def _refuse_contradictions(conn: Connection, paths: Sequence[Path]) -> None:
    """A bad line may be left out; where most are, the good ones are good by chance."""
    query = "SELECT f.file FROM upc.contradicted_candle_files() AS f"
    for (file,) in conn.execute(query).fetchall():
        raise PyupcError(
            f"nothing was loaded: on most lines of {shown(paths[file])} the open or close is"
            " outside of low to high",
            "the header names the wrong columns: name them with --columns",
        )


def _wait_for_turn(conn: Connection, symbol: str, on_wait: Callable[[], None]) -> None:
    """Merge one load of a symbol at a time; report a wait that takes a while."""
    attempt = "SELECT upc.lock_candle_load(%s, is_patient => false)"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while _row(conn, attempt, [symbol]) == (False,):
        if time.monotonic() > deadline:
            on_wait()
            conn.execute("SELECT upc.lock_candle_load(%s)", [symbol])
            return
        time.sleep(POLL_SECONDS)


def _merge(conn: Connection, symbol: str, paths: Sequence[Path]) -> Summary:
    query = """
        SELECT
            file, added, changed, unchanged, rejected, gaps, missing_minutes, first_at, last_at
        FROM upc.merge_candle_lines(%s)
    """
    outcomes = {file: Outcome(*rest) for file, *rest in conn.execute(query, [symbol])}
    # A file of nothing but minutes without values has no line.
    nothing = Outcome(0, 0, 0, 0, 0, 0, None, None)
    files = [(path, outcomes.get(file, nothing)) for file, path in enumerate(paths)]
    return Summary(symbol, files, outcomes[None])


def _row(conn: Connection, query: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...]:
    row = conn.execute(query, parameters).fetchone()
    assert row is not None
    return row


def registered_symbols(conn: Connection) -> list[str]:
    rows = conn.execute("SELECT s.symbol FROM upc_data.symbol AS s ORDER BY s.symbol").fetchall()
    return [symbol for (symbol,) in rows]
