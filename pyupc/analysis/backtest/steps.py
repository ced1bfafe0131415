"""The steps of a backtest: those of a stage are run on two connections at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import psycopg

from pyupc.fingerprints.workers import together

Connection = psycopg.Connection[tuple[Any, ...]]

# The others are one statement, and need everything before them committed.
SHARED = ("train", "answer", "test")

_ATTEMPTS = 5


@dataclass(frozen=True)
class Step:
    """Piece that is computed and committed as a whole; `days` measures its work."""

    symbol: str
    backtest_id: int
    number: int
    stage: str
    days: int


Done = Callable[[Step], None]


def steps_of(conn: Connection, symbol: str, backtest_id: int) -> list[Step]:
    """All steps in order."""
    rows = conn.execute(
        "SELECT s.step, s.stage, s.days FROM upc.backtest_steps(%s, %s) AS s ORDER BY s.step",
        [symbol, backtest_id],
    )
    return [Step(symbol, backtest_id, *row) for row in rows]


def run_steps(
    connections: Sequence[Connection], steps: Sequence[Step], begun: Done, done: Done
) -> None:
    """Run all steps, each stage when the one before is over.

    `begun` and `done` get each step, from the thread that works on it. Whatever ends a step early,
    an error or Ctrl-C, cancels the others and is raised.
    """
    for stage, group in groupby(steps, key=lambda step: step.stage):
        workers = connections if stage in SHARED else connections[:1]
        _run_stage(workers, list(group), begun, done)


def _run_stage(
    connections: Sequence[Connection], steps: Sequence[Step], begun: Done, done: Done
) -> None:
    waiting = iter(steps)
    lock = threading.Lock()

    def take() -> Step | None:
        with lock:
            return next(waiting, None)

    def work(conn: Connection, stop: threading.Event) -> None:
        while not stop.is_set() and (step := take()) is not None:
            begun(step)
            _run(conn, step)
            done(step)

    together([(conn, work) for conn in connections[: len(steps)]])


def _run(conn: Connection, step: Step) -> None:
    """Two steps may each wait for a row of the other: one is thrown out, and tries again."""
    query = "SELECT upc.run_backtest_step(%s, %s, %s)"
    for _ in range(_ATTEMPTS - 1):
        with suppress(psycopg.errors.DeadlockDetected):
            conn.execute(query, [step.symbol, step.backtest_id, step.number])
            return
    conn.execute(query, [step.symbol, step.backtest_id, step.number])
