"""Rules for documents that get no successor, from upc.document_rules."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

# A key that is not registered counts as one that may be traded on.
_UNREGISTERED = "difference"


@dataclass(frozen=True)
class Rules:
    """`limits` are the ages in seconds at which each of the states but the last ends; `documents`
    holds the kind of each path of each document, `kinds` what becomes of those of a kind.
    """

    states: tuple[str, ...]
    limits: tuple[float, ...]
    kinds: Mapping[str, Mapping[str, Any]]
    documents: Mapping[str, Mapping[str, str]]

    @classmethod
    def read(cls, text: str) -> Rules:
        content = json.loads(text)
        return cls(
            tuple(content["states"]),
            tuple(map(float, content["limits"])),
            content["kinds"],
            content["documents"],
        )

    def limited(self, limits: Sequence[float]) -> Rules:
        """With the limits that have come into force since."""
        new = tuple(limits)
        return self if new == self.limits else replace(self, limits=new)

    def state_at(self, age: float) -> str:
        """The state of a document so many seconds after its instant."""
        ends = zip(self.states, self.limits, strict=False)
        return next((state for state, end in ends if age <= end), self.states[-1])

    def rank(self, state: object) -> int:
        """0 for the best; a state that is none of them is as bad as the worst."""
        return self.states.index(state) if state in self.states else len(self.states) - 1

    def instant(self, name: str, document: Mapping[str, Any]) -> datetime | None:
        """The instant of a document, if it has one."""
        for path, kind in self.documents.get(name, {}).items():
            if kind == "instant":
                try:
                    at = datetime.fromisoformat(document[path])
                except (KeyError, TypeError, ValueError):
                    return None
                return at if at.tzinfo else None
        return None

    def aged(self, name: str, text: str, state: str, problem: str, *, is_file: bool = False) -> str:
        """The document from `state` on; a state that is worse already stays.

        `is_file`: as consumers of the predecessor want it.
        """
        document = json.loads(text)
        walk = _Walk(self, self.documents.get(name, {}), state, is_file)
        found: dict[str, Any] = walk.object(document, "")
        if state == "warn" and (at := self.instant(name, document)) is not None:
            # It stays as it is for that much longer.
            until = at + timedelta(seconds=self.limits[self.rank(state)])
            for path, kind in self.documents[name].items():
                if kind == "until":
                    found[path] = until.isoformat(timespec="microseconds")
        if problem:
            found["problem"] = problem
        return json.dumps(found)

    def aged_documents(
        self, documents: Mapping[str, str], state: str, problem: str, *, is_file: bool = False
    ) -> dict[str, str]:
        """All documents of a symbol."""
        return {
            name: self.aged(name, text, state, problem, is_file=is_file)
            for name, text in documents.items()
        }

    def in_files(self, documents: Mapping[str, str], state: str) -> Mapping[str, str]:
        """The documents of a tick in that state as they stand in files."""
        rank = self.rank(state)
        emptied = {
            kind
            for kind, rule in self.kinds.items()
            if rule.get("empty_in_files_from") and rank >= self.rank(rule["empty_in_files_from"])
        }
        if not emptied:
            return documents
        return {name: self._emptied(name, text, emptied) for name, text in documents.items()}

    def _emptied(self, name: str, text: str, kinds: set[str]) -> str:
        document = json.loads(text)
        for path, kind in self.documents.get(name, {}).items():
            if kind in kinds and path in document:
                document[path] = []
        return json.dumps(document)


@dataclass(frozen=True)
class _Walk:
    rules: Rules
    paths: Mapping[str, str]
    state: str
    is_file: bool

    def object(self, values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        return {key: self._value(value, prefix + key) for key, value in values.items()}

    def _value(self, value: Any, path: str) -> Any:
        kind = self.paths.get(path)
        if isinstance(value, dict) and kind is None:
            return self.object(value, f"{path}.")
        rule = self.rules.kinds.get(kind or _UNREGISTERED, {})
        if self._is_past(rule.get("null_from")):
            return None
        if isinstance(value, list):
            return self._list(value, path, rule)
        if isinstance(value, dict):
            return self.object(value, f"{path}.") if self._has_parts(path) else value
        if kind == "state":
            return value and max(value, self.state, key=self.rules.rank)
        becomes = rule.get("becomes")
        if becomes and self._is_past(becomes["from"]) and value not in becomes.get("unless", ()):
            return becomes["value"]
        return value

    def _list(self, rows: list[Any], path: str, rule: Mapping[str, Any]) -> list[Any]:
        is_empty = self._is_past(rule.get("empty_from"))
        if is_empty or (self.is_file and self._is_past(rule.get("empty_in_files_from"))):
            return []
        return [self.object(row, f"{path}[].") if isinstance(row, dict) else row for row in rows]

    def _has_parts(self, path: str) -> bool:
        return any(each.startswith(f"{path}.") for each in self.paths)

    def _is_past(self, first: str | None) -> bool:
        return first is not None and self.rules.rank(self.state) >= self.rules.rank(first)
