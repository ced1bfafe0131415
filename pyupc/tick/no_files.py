"""A folder that is none: everything is in the database, and nothing is written beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyupc.tick.document_age import Mark, Standing
from pyupc.tick.files import Folder


@dataclass
class NoFolder(Folder):
    """Takes whatever is written, and has no problem."""

    path: Path = Path()
    is_kept: bool = False

    def prepare(self) -> None:
        pass

    def write(
        self,
        symbol: str,
        documents: Mapping[str, str],
        mark: Mark | None = None,
        born: float | None = None,
        stranger: int | None = None,
    ) -> Mark | None:
        return None

    def rewrite(self, symbol: str | None, name: str, text: str, new: Standing) -> None:
        pass

    def write_status(self, text: str, born: float | None = None) -> None:
        pass

    def names(self) -> list[str]:
        return []
