"""The statement that ticks many symbols at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from pyupc.errors import PyupcError
from pyupc.sql_errors import meaning
from pyupc.tick.documents import columns
from pyupc.tick.statements import HELD_BY_ANOTHER, HeldByAnother, Session, Tick

_TICK_ALL = f"""
    SELECT
        t.symbol, t.sqlstate, t.message, t.detail, t.hint,
        t.tick_id, t.state, t.price, t.momentum, t.fingerprint, {columns("t")}, t.announced,
        clock_timestamp(), t.used_model, t.used_settlement, t.limits::text, t.valid_until,
        t.asked_model, t.asked_settlement
    FROM upc.tick_all(
        symbols => %(symbols)s::text[],
        feed => %(feed)s::text,
        holder => %(holder)s::text,
        lease => %(lease)s::interval,
        replay_from => %(replay_from)s::timestamptz[],
        elapsed => %(elapsed)s::interval[],
        seed => %(seed)s::integer,
        every => %(every)s::interval,
        since_last => %(since_last)s::interval[],
        method => %(method)s::text,
        model => %(model)s::text,
        settlement => %(settlement)s::text,
        with_documents => %(with_documents)s::boolean
    ) AS t
"""

# Columns before those of a tick, and the place of the limits.
_HEAD = 5
_LIMITS = _HEAD + Tick._fields.index("limits")


@dataclass(frozen=True)
class BatchArguments:
    """The arguments of upc.tick_all. Lists are beside `symbols`; None stands for their defaults."""

    symbols: Sequence[str]
    feed: str
    holder: str
    lease: timedelta
    every: timedelta
    replay_from: Sequence[datetime | None] | None
    elapsed: Sequence[timedelta] | None
    seed: int
    since_last: Sequence[timedelta | None] | None
    method: str | None
    model: str | None
    settlement: str | None
    with_documents: bool


def tick_all(session: Session, arguments: BatchArguments) -> dict[str, Tick | PyupcError]:
    """One tick of each symbol, or the reason why there is none; committed together.

    Raises what ends the whole batch.
    """
    rows = session.fetch(_TICK_ALL, vars(arguments))
    return {row[0]: _found(row) for row in rows}


def _found(row: tuple[Any, ...]) -> Tick | PyupcError:
    if row[1] is None:
        tick = Tick(*row[_HEAD:])
        return tick._replace(limits=_numbers(row[_LIMITS]))
    problem = meaning(*row[1:_HEAD])
    if problem.sqlstate == HELD_BY_ANOTHER:
        return HeldByAnother(problem.message, problem.hint)
    return problem


@lru_cache(maxsize=8)
def _numbers(text: str) -> tuple[float, ...]:
    """An array of numbers, which is the same in all rows."""
    return tuple(map(float, text.strip("{}").split(",")))
