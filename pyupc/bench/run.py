"""One run: the scratch database, what it is filled with, and the measurements one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import psycopg

from pyupc.bench import builds, contracts, markets, strikes, ticks
from pyupc.bench.figures import Row, failed
from pyupc.bench.scratch import Plan, fill, scratch_database, terminable
from pyupc.database import migrate
from pyupc.errors import DatabaseUnreachable, PyupcError
from pyupc.fingerprints.build import build
from pyupc.runtime.packages import require
from pyupc.runtime.progress import Progress
from pyupc.sql_errors import one_line, translate

# In this order: every refresh leaves dead rows on disk, and more symbols more rows.
NAMES = (
    *("build", "disk", "day", "strikes", "griddata", "tick", "market", "contracts", "process"),
    "symbols",
)

Say = Callable[[str], None]


def run(server: str, plan: Plan, names: tuple[str, ...], say: Say) -> Iterator[Row]:
    """The rows of the measurements named, all if none; the database is gone afterwards."""
    _require_numpy()
    with terminable(), scratch_database(server) as dsn:
        plan = replace(plan, dsn=dsn)
        with timed(say, "schema"):
            migrate.upgrade(dsn)
        with timed(say, "candles"):
            fill(plan)
        with timed(say, "fingerprints"):
            done = build(dsn, ["BTC"], Progress())
            build(dsn, ["ETH"], Progress())
        measurements: dict[str, Callable[[], Iterator[Row]]] = {
            "build": lambda: builds.build(plan, done),
            "day": lambda: builds.day(plan, done),
            "strikes": lambda: strikes.strikes(plan),
            "griddata": lambda: strikes.griddata(plan),
            "tick": lambda: ticks.ticks(plan),
            "market": lambda: markets.markets(plan),
            "contracts": lambda: contracts.contracts(plan),
            "disk": lambda: builds.disk(plan),
            "process": lambda: ticks.process(plan),
            "symbols": lambda: ticks.symbols(plan),
        }
        for name in NAMES:
            if not names or name in names:
                with timed(say, name):
                    yield from _measured(name, measurements[name])


def _measured(name: str, measure: Callable[[], Iterator[Row]]) -> Iterator[Row]:
    """Rows of a part; a row with the reason if it fails, since the others go on.

    Raises DatabaseUnreachable, which ends them all.
    """
    try:
        yield from measure()
    except psycopg.Error as error:
        problem = translate(error)
    except PyupcError as error:
        problem = error
    except Exception as error:
        problem = PyupcError(f"internal error: {type(error).__name__}: {one_line(str(error))}")
    else:
        return
    if isinstance(problem, DatabaseUnreachable):
        raise problem
    yield failed(name, problem)


def end_of_history(days: int) -> datetime:
    """A short history spans the middle of a year, where two pieces meet, as a long one does."""
    return datetime(2024, 8, 1, tzinfo=UTC) if days < 365 else datetime(2025, 1, 1, tzinfo=UTC)


@contextmanager
def timed(say: Say, name: str) -> Iterator[None]:
    """Say how long it took."""
    began = time.monotonic()
    yield
    say(f"{time.monotonic() - began:6.1f} s  {name}")


def _require_numpy() -> None:
    require(("numpy", "scipy"), "bench", "the bench")
