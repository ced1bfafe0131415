"""Figures of a number of symbols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyupc.bench.figures import Row


@dataclass(frozen=True)
class Figure(Row):
    """A row measured with so many symbols, beside that of the smallest number."""

    symbols: int = 0

    def as_json(self) -> dict[str, Any]:
        return {"symbols": self.symbols, **super().as_json()}
