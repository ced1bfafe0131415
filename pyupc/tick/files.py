"""The JSON files: each is complete or as it was before, whatever fails."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pyupc.errors import PyupcError

STATUS_FILE = "upc_status.json"

_LEFT_BEHIND_SECONDS = 60.0


def file_name(symbol: str, document: str) -> str:
    """`btc_watchlist.json` for BTC and watchlist."""
    return f"{symbol.lower()}_{document}.json"


@dataclass
class Folder:
    """Where the files of all symbols go.

    `failed` counts the files that could not be written, `problem` says what is the matter now.
    """

    path: Path
    failed: int = 0
    _problems: dict[tuple[str | None, str], str] = field(default_factory=dict)
    # Distinguishes the temporary files of two processes, also on two machines.
    _suffix: str = field(default_factory=lambda: f".{os.urandom(4).hex()}.tmp")

    @property
    def problem(self) -> str | None:
        return next(iter(self._problems.values()), None)

    def problem_of(self, symbol: str) -> str | None:
        """What is the matter with the files of a symbol, or with those that speak of all."""
        return next(
            (text for (owner, _), text in self._problems.items() if owner in (symbol, None)), None
        )

    def prepare(self) -> None:
        """Create the folder if it is missing; raises PyupcError if no file can be written there."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._remove_left_behind()
            probe = self.path / f".probe{self._suffix}"
            try:
                probe.write_bytes(b"{}")
            finally:
                probe.unlink(missing_ok=True)
        except OSError as error:
            raise PyupcError(
                f"the folder {self.path} cannot be written to: {error.strerror or error}",
                "name another one with --out",
            ) from error

    def write(self, symbol: str, documents: Mapping[str, str]) -> None:
        """Replace the files of a symbol. What cannot be written is counted, and never raised."""
        for document, text in documents.items():
            self._try(symbol, file_name(symbol, document), text)

    def write_status(self, text: str) -> None:
        """The same for the one file that speaks of all symbols."""
        self._try(None, STATUS_FILE, text)

    def _try(self, symbol: str | None, name: str, text: str) -> None:
        try:
            self._replace(name, text.encode())
        except OSError as error:
            self.failed += 1
            self._problems[symbol, name] = f"{self.path / name}: {error.strerror or error}"
        else:
            self._problems.pop((symbol, name), None)

    def _replace(self, name: str, content: bytes) -> None:
        try:
            self._write(name, content)
        except FileNotFoundError:
            # Somebody has removed the folder.
            self.path.mkdir(parents=True, exist_ok=True)
            self._write(name, content)

    def _write(self, name: str, content: bytes) -> None:
        # Hidden, and no *.json: a reader that takes every JSON file passes it over.
        temporary = self.path / f".{name}{self._suffix}"
        try:
            descriptor = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666
            )
            try:
                _write_all(descriptor, content)
            finally:
                os.close(descriptor)
            os.replace(temporary, self.path / name)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    def _remove_left_behind(self) -> None:
        """Temporary files of processes that were killed in the middle of a write."""
        oldest = time.time() - _LEFT_BEHIND_SECONDS
        for path in self.path.glob(".*.json.*.tmp"):
            with suppress(OSError):
                if path.stat().st_mtime < oldest:
                    path.unlink()


def _write_all(descriptor: int, content: bytes) -> None:
    """A disk that becomes full takes a part first, and says so only afterwards."""
    rest = memoryview(content)
    while rest:
        written = os.write(descriptor, rest)
        if written == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rest = rest[written:]
