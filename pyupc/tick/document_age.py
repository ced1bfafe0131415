"""Order and age of the documents in a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple


class Mark(NamedTuple):
    """Order of documents: a later tick's is newer; of the same tick, one that has aged further.

    `order` is the number of the tick, or the instant of a status in microseconds; `rank` that of
    the state; `until` is when it ceases to be what it says, in ISO 8601.
    """

    order: int
    rank: int = 0
    until: str = ""


def mark_of(document: Mapping[str, Any], rank: Callable[[object], int]) -> Mark:
    """The mark of a document of a tick; one without number is older than all that have one."""
    order, until = document.get("tick_id"), document.get("valid_until")
    return Mark(
        order if isinstance(order, int) else 0,
        rank(document.get("state")),
        until if isinstance(until, str) else "",
    )


def status_mark(document: Mapping[str, Any]) -> Mark:
    """The mark of upc_status.json."""
    try:
        at = datetime.fromisoformat(document["timestamp"])
        return Mark(int(at.timestamp() * 1e6), int(document.get("state") == "red"))
    except (KeyError, TypeError, ValueError, OverflowError):
        return Mark(0)


@dataclass
class Standing:
    """A file as it was seen or written last. `born` is when its document was made, by the clock of
    the process that keeps the folder; None if unknown. `aged` is how far it has been aged.
    """

    identity: tuple[int, int, int]
    mark: Mark
    born: float | None = None
    aged: int = 0
