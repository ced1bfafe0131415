"""Cache for slow answers that stay the same for a while."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

SECONDS = 60.0
COUNT = 32


@dataclass
class AnswerCache:
    """The newest answers, each for a minute."""

    _texts: dict[Hashable, tuple[float, str]] = field(default_factory=dict)

    def get(self, key: Hashable, now: float) -> str | None:
        kept_at, text = self._texts.get(key, (float("-inf"), ""))
        return text if now - kept_at < SECONDS else None

    def put(self, key: Hashable, text: str, now: float) -> None:
        self._texts.pop(key, None)
        self._texts[key] = (now, text)
        while len(self._texts) > COUNT:
            del self._texts[next(iter(self._texts))]
