"""The documents of the last tick, and what they are worth now."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pyupc.tick.aging_rules import Rules
from pyupc.tick.documents import DOCUMENTS, columns
from pyupc.web.database import Database

_QUERY = f"""
    SELECT
        d.ticked_symbol, d.tick_id, d.ticked_at, d.age_seconds, d.price_age_seconds,
        d.interval_seconds, d.state, {columns("d")}
    FROM upc.latest_documents(
        symbol => %s::text, symbols => %s::text[], documents => %s::text[]
    ) AS d
"""


@dataclass(frozen=True)
class Latest:
    """`age_seconds` was the age of the tick at `read_at`, on this machine's monotonic clock, and
    `price_age_seconds` that of its price when it ticked.
    """

    symbol: str
    tick_id: int
    ticked_at: datetime
    age_seconds: float
    price_age_seconds: float
    interval_seconds: float | None
    state: str
    documents: Mapping[str, str]
    read_at: float

    @property
    def problem(self) -> str | None:
        """Why it is not to be trusted; the same for as long as its state is."""
        if self.state == "fresh":
            return None
        return f"the last tick is of {self.ticked_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"

    @property
    def version(self) -> str:
        """Of the documents: of one tick they change as it grows old.

        The number alone is not enough: a database that was put back counts from there again.
        """
        return f"{self.tick_id}-{self.ticked_at.timestamp():.6f}-{self.state}"

    def is_same_tick(self, other: Latest) -> bool:
        return (self.tick_id, self.ticked_at) == (other.tick_id, other.ticked_at)

    def aged(self, rules: Rules) -> Latest:
        """With documents that say what they are worth in its state."""
        if self.problem is None:
            return self
        return replace(
            self, documents=rules.aged_documents(self.documents, self.state, self.problem)
        )

    def age(self, now: float) -> float:
        return self.age_seconds + max(0.0, now - self.read_at)


async def latest(
    database: Database,
    symbol: str | None,
    now: float,
    symbols: Sequence[str] | None = None,
    *,
    documents: Sequence[str] = DOCUMENTS,
) -> list[Latest]:
    """Of a symbol, of some, or of all; psycopg's error UP002 for one that is not registered.

    An old tick's documents say that they are old, and hold nothing any more that could be traded
    on. What was as it should be is passed on byte by byte.
    """
    asked = None if symbols is None else list(symbols)
    rows = await database.rows(_QUERY, (symbol, asked, list(documents)))
    found = [_latest(row, now) for row in rows]
    if all(each.problem is None for each in found):
        return found
    rules = await rules_of(database)
    return [each.aged(rules) for each in found]


async def rules_of(database: Database) -> Rules:
    """Rules for ageing documents, with the limits in force."""
    return Rules.read(await database.text("SELECT upc.document_rules()"))


def _latest(row: tuple[Any, ...], now: float) -> Latest:
    symbol, tick_id, ticked_at, age, price_age, interval, state, *texts = row
    return Latest(
        symbol,
        tick_id,
        ticked_at,
        age,
        price_age,
        interval,
        state,
        {name: text for name, text in zip(DOCUMENTS, texts, strict=True) if text is not None},
        now,
    )


def joined_trades(found: list[Latest], timestamp: str) -> str:
    """The active trades of several symbols in one document."""
    documents = [json.loads(each.documents["active_trades"]) for each in found]
    trades = [trade for document in documents for trade in document["active_trades"]]
    states = {document["symbol"]: document["state"] for document in documents}
    ends = [document["valid_until"] for document in documents if "valid_until" in document]
    return json.dumps(
        {
            "timestamp": timestamp,
            "valid_until": min(ends, default=timestamp),
            "active_trades": trades,
            "count": len(trades),
            "states": states,
        }
    )
