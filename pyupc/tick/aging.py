"""Documents of a tick that gets no successor: they grow old in the folder, and say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pyupc.tick.files import Folder
from pyupc.tick.rules import Rules


@dataclass
class _Newest:
    documents: Mapping[str, str]
    at: float
    written: str


@dataclass
class Aging:
    """Remembers the newest documents of every symbol, and rewrites those without a successor."""

    folder: Folder
    now: Callable[[], float]
    rules: Rules
    _newest: dict[str, _Newest] = field(default_factory=dict)

    def ticked(self, symbol: str, documents: Mapping[str, str]) -> None:
        self._newest[symbol] = _Newest(documents, self.now(), self.rules.states[0])

    def tend(self, problems: Mapping[str, str]) -> None:
        """`problems` says why there is no newer tick, by symbol."""
        for symbol, problem in problems.items():
            if (newest := self._newest.get(symbol)) is None:
                continue
            state = self.rules.state_at(self.now() - newest.at)
            if state != newest.written:
                aged = self.rules.aged_documents(newest.documents, state, problem, is_file=True)
                self.folder.write(symbol, aged)
                if self.folder.problem_of(symbol) is None:
                    newest.written = state

    def forget(self) -> None:
        """The documents in the folder are another's from now on."""
        self._newest.clear()
