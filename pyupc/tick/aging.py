"""Documents of a tick that gets no successor: they grow old in the folder, and say so."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyupc.tick.files import Folder

STATES = ("fresh", "warn", "stale", "halted")

# As the settings of the database are by default: where each state ends, by age in seconds.
_ENDS = ((15.0, "fresh"), (30.0, "warn"), (60.0, "stale"))

_DIFFERENCES = frozenset({"yes_diff", "no_diff", "yes_edge", "no_edge"})

# What quotes say, and what follows from them: they are as old as the document.
_QUOTES = frozenset(
    {"yes_ask", "no_ask", "volume"}
    | {f"{side}_{kind}_dollars" for side in ("yes", "no") for kind in ("ask", "bid")}
    | {"current_close_price", "current_pnl"}
)

# What stopped a trade is history: it was so.
_HISTORY = "stop"


def state_at(age: float) -> str:
    """The state of a document so many seconds after its tick."""
    return next((state for end, state in _ENDS if age <= end), "halted")


def aged(text: str, state: str, problem: str) -> str:
    """The document as it is to be read from `state` on; a state that is worse already stays.

    Timestamps stay. From stale on there are no differences, edges and no watchlist, from halted
    on no probability and no quote.
    """
    document = json.loads(text)
    rank = STATES.index(state)
    for key in ("state", "quote_state"):
        if document.get(key) in STATES and STATES.index(document[key]) < rank:
            document[key] = state
    unknown = _unknown_from(rank)
    for key, value in document.items():
        if isinstance(value, list):
            document[key] = [_without(row, unknown) for row in value]
    document["problem"] = problem
    return json.dumps(document)


def aged_documents(documents: Mapping[str, str], state: str, problem: str) -> dict[str, str]:
    """All documents of a symbol. The watchlist has nothing to recommend from stale on."""
    result = {name: aged(text, state, problem) for name, text in documents.items()}
    if state in ("stale", "halted") and "watchlist" in result:
        watchlist = json.loads(result["watchlist"])
        result["watchlist"] = json.dumps({**watchlist, "strikes": []})
    return result


def _unknown_from(rank: int) -> Callable[[str], bool]:
    is_stale, is_halted = rank >= STATES.index("stale"), rank >= STATES.index("halted")
    return lambda key: (
        (is_stale and key in _DIFFERENCES)
        or (is_halted and (key in _QUOTES or key.startswith("current_pnl") or _is_probability(key)))
    )


def _is_probability(key: str) -> bool:
    return (
        key in ("probability", "within", "beyond")
        or key.startswith("prob_")
        or key.endswith(("_prob", "_probability"))
    )


def _without(row: Any, is_unknown: Callable[[str], bool]) -> Any:
    if not isinstance(row, dict):
        return row
    return {
        key: None if is_unknown(key) and not key.startswith(_HISTORY) else value
        for key, value in row.items()
    }


@dataclass
class _Newest:
    documents: Mapping[str, str]
    at: float
    written: str = "fresh"


@dataclass
class Aging:
    """Remembers the newest documents of every symbol, and rewrites those without a successor."""

    folder: Folder
    now: Callable[[], float]
    _newest: dict[str, _Newest] = field(default_factory=dict)

    def ticked(self, symbol: str, documents: Mapping[str, str]) -> None:
        self._newest[symbol] = _Newest(documents, self.now())

    def tend(self, problems: Mapping[str, str]) -> None:
        """`problems` says why there is no newer tick, by symbol."""
        for symbol, problem in problems.items():
            if (newest := self._newest.get(symbol)) is None:
                continue
            state = state_at(self.now() - newest.at)
            if state != newest.written:
                self.folder.write(symbol, aged_documents(newest.documents, state, problem))
                if self.folder.problem_of(symbol) is None:
                    newest.written = state

    def forget(self) -> None:
        """The documents in the folder are another's from now on."""
        self._newest.clear()
