"""Run backtests: all of them are begun before the first is computed, none is left half done."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime

import psycopg

from pyupc import __version__
from pyupc.analysis.backtest.steps import Connection, Step, run_steps, steps_of
from pyupc.database.connect import connect
from pyupc.errors import PyupcError
from pyupc.runtime.progress import Progress

CONNECTIONS = 2

_APPLICATION = "pyupc backtest"

_STAGES = {
    "fit": "fitting",
    "train": "training",
    "test": "testing",
    "complete": "completing",
}


@dataclass(frozen=True)
class Settings:
    """Spans, models and questions of a backtest; None: the default for its candles."""

    train_from: datetime | None
    train_to: datetime | None
    test_from: datetime | None
    test_to: datetime | None
    models: tuple[str, ...]
    minutes: tuple[int, ...]
    step: float | None
    levels: int
    settlement: str
    close_minute: int
    kind: str
    recalibrate: bool


def run(
    dsn: str, symbols: Sequence[str], settings: Settings, progress: Progress
) -> list[tuple[str, int]]:
    """Symbol and number of a new backtest for each of the symbols, in their order.

    No symbols: all that have candles. An error or Ctrl-C deletes those that are not complete.
    """
    with ExitStack() as stack:
        control, *workers = (stack.enter_context(connection(dsn)) for _ in range(1 + CONNECTIONS))
        begun: list[tuple[str, int]] = []
        try:
            for symbol in symbols or _with_candles(control):
                begun.append((symbol, _begin(control, symbol, settings)))
            steps = [steps_of(control, *each) for each in begun]
            progress.start(sum(step.days for each in steps for step in each))
            for each in steps:
                run_steps(
                    workers,
                    each,
                    begun=lambda step: progress.describe(description(step)),
                    done=lambda step: progress.advance(step.days),
                )
        except BaseException:
            delete_unfinished(dsn, begun)
            raise
    return begun


def description(step: Step) -> str:
    return f"{_STAGES.get(step.stage, step.stage)} {step.symbol}"


def connection(dsn: str) -> Connection:
    conn = connect(dsn, application_name=_APPLICATION)
    # Compiling is dearer than any of these statements is slow.
    conn.execute("SET jit = off")
    conn.execute("SET work_mem = '64MB'")
    conn.execute("SET statement_timeout = 0")
    return conn


def _with_candles(control: Connection) -> list[str]:
    rows = control.execute(
        """
        SELECT s.symbol
        FROM upc_data.symbol AS s
        WHERE EXISTS (SELECT FROM upc_data.candle AS c WHERE c.symbol = s.symbol)
        ORDER BY s.symbol
        """
    ).fetchall()
    if not rows:
        raise PyupcError(
            "there are no candles to test on", "pyupc candles load FILE --symbol SYMBOL"
        )
    return [symbol for (symbol,) in rows]


def _begin(control: Connection, symbol: str, settings: Settings) -> int:
    row = control.execute(
        """
        SELECT upc.begin_backtest(
            %s, %s, %s, %s, %s, %s::text[], %s::integer[], %s, %s, %s, %s, %s, kind => %s,
            recalibrate => %s
        )
        """,
        [
            symbol,
            settings.train_from,
            settings.train_to,
            settings.test_from,
            settings.test_to,
            list(settings.models),
            list(settings.minutes),
            settings.step,
            settings.levels,
            settings.settlement,
            settings.close_minute,
            __version__,
            settings.kind,
            settings.recalibrate,
        ],
    ).fetchone()
    assert row is not None
    return int(row[0])


def delete_unfinished(dsn: str, begun: Sequence[tuple[str, int]]) -> None:
    """Over a connection of its own: Ctrl-C may have come in the middle of a statement."""
    if not begun:
        return
    # Why it ends is what matters, and a server that is gone is the reason.
    with suppress(psycopg.Error, PyupcError), connect(dsn, application_name=_APPLICATION) as conn:
        for symbol, backtest_id in begun:
            conn.execute(
                """
                SELECT upc.delete_backtest(b.symbol, b.backtest_id)
                FROM upc_data.backtest AS b
                WHERE b.symbol = %s AND b.backtest_id = %s AND b.completed_at IS NULL
                """,
                [symbol, backtest_id],
            )
