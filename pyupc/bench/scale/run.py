"""One run: a symbol is counted, copied more and more often, and each time all is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from pyupc.bench.run import timed
from pyupc.bench.scale import parts, room, rounds
from pyupc.bench.scale.copies import (
    ORIGINAL,
    Table,
    copy,
    counted_tables,
    names,
    register,
)
from pyupc.bench.scale.cpu import Meter, require
from pyupc.bench.scale.figures import Figure
from pyupc.bench.scale.parts import Scale
from pyupc.bench.scratch import Connection, load, scratch_database, simulate, terminable
from pyupc.database import migrate
from pyupc.database.connect import connect
from pyupc.errors import DatabaseUnreachable, PyupcError
from pyupc.fingerprints.build import build
from pyupc.runtime.progress import Progress, counting
from pyupc.sql_errors import one_line, translate

# In this order: ticks and builds leave rows behind that the sizes count.
NAMES = ("register", "refresh", "hour", "ticks", "upgrade", "disk", "catalogue", "dump")

DAYS = 63
# Two months before the newest one, so that the fit of the forecast stays as more days come.
_END = datetime(2024, 8, 3, tzinfo=UTC)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """`rounds`: repetitions of what takes less than seconds; `seconds`: of ticks at 1 Hz."""

    counts: tuple[int, ...]
    days: int = DAYS
    candles: Path | None = None
    seconds: int = 20
    rounds: int = 3
    only: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        return not self.only or name in self.only


def run(server: str, settings: Settings, say: Say) -> Iterator[Figure]:
    """The figures, by numbers of symbols; the database is gone afterwards."""
    with terminable(), scratch_database(server) as dsn, ExitStack() as stack:
        conn = stack.enter_context(connect(dsn, application_name="pyupc bench"))
        require(conn)
        room.require_memory(conn, settings.counts[-1])
        room.require_disk(conn, settings.counts[-1], room.guessed(settings.days))
        with timed(say, "schema"):
            migrate.upgrade(dsn)
        with timed(say, f"{ORIGINAL} counted"):
            tables = _count_original(dsn, conn, settings)
        meter = stack.enter_context(closing(Meter(dsn)))
        scale = Scale(dsn, (ORIGINAL,), conn, meter, settings.rounds, settings.seconds)
        least: dict[str, float] = {}
        for count in settings.counts:
            for figure in _at(scale, count, tables, settings, say):
                yield _beside(figure, least, settings.counts[0])
            scale = replace(scale, names=tuple(names(count)))


def _count_original(dsn: str, conn: Connection, settings: Settings) -> tuple[Table, ...]:
    if settings.candles is not None:
        load(dsn, ORIGINAL, settings.candles)
    else:
        simulate(conn, ORIGINAL, _END - timedelta(days=settings.days), _END)
    build(dsn, [ORIGINAL], Progress())
    return counted_tables(conn)


def _at(
    before: Scale, count: int, tables: tuple[Table, ...], settings: Settings, say: Say
) -> Iterator[Figure]:
    """From so many symbols as there were to `count`; then all measurements."""
    scale = replace(before, names=tuple(names(count)))
    new = scale.names[len(before.names) :]
    yield from _grow(scale, new, tables, settings, say)
    measurements: dict[str, Callable[[Scale], Iterator[Figure]]] = {
        "refresh": parts.refresh,
        "hour": parts.hour,
        "ticks": rounds.rounds,
        "upgrade": parts.upgrade,
        "disk": parts.disk,
        "catalogue": parts.catalogue,
        "dump": parts.dump,
    }
    for name, measure in measurements.items():
        if settings.has(name):
            with timed(say, f"{count:,} symbols: {name}"):
                yield from _measured(name, measure, scale)


def _grow(
    scale: Scale, new: tuple[str, ...], tables: tuple[Table, ...], settings: Settings, say: Say
) -> Iterator[Figure]:
    count = len(scale.names)
    if not new:
        return
    with timed(say, f"{count:,} symbols: registered"), scale.meter.measuring() as used:
        registered = register(scale.conn, new)
    if registered and settings.has("register"):
        yield scale.figure(
            *("register", "registration of a symbol", 1e3 * used.cpu / registered, "ms"),
            f"mean of those that are new in each column; {registered:,} in {used.seconds:.1f} s",
            registered=registered,
            seconds=used.seconds,
        )
    with timed(say, f"{count:,} symbols: copied"), counting("copying", "symbols") as reach:
        copy(scale.dsn, tables, new, reach)


def _measured(
    name: str, measure: Callable[[Scale], Iterator[Figure]], scale: Scale
) -> Iterator[Figure]:
    """A figure with the reason where a measurement fails, since the others go on."""
    try:
        yield from measure(scale)
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
    details = {"sqlstate": problem.sqlstate, "hint": problem.hint}
    yield Figure(
        *(name, f"{name} has failed", None, ""),
        note=problem.message,
        details=details,
        symbols=len(scale.names),
    )


def _beside(figure: Figure, least: dict[str, float], count: int) -> Figure:
    """The figure beside that of the smallest number of symbols."""
    if figure.value is None:
        return figure
    if figure.symbols == count:
        least[figure.name] = figure.value
        return figure
    if figure.name not in least:
        return figure
    return replace(figure, against=f"{count:,} symbols", other=least[figure.name])
