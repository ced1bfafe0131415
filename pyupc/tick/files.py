"""The JSON files: each is complete or as before, whatever fails, and none goes back in time."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyupc.errors import PyupcError
from pyupc.tick.document_age import Mark, Standing, mark_of, status_mark
from pyupc.tick.folder_lock import FolderLock

STATUS_FILE = "upc_status.json"

_LEFT_BEHIND_SECONDS = 60.0

# Attempts at a file that was removed between its making and its renaming.
_ATTEMPTS = 3

# A status from further in the future was written by another clock.
_FUTURE_MICROSECONDS = 5_000_000


def file_name(symbol: str, document: str) -> str:
    """`btc_watchlist.json` for BTC and watchlist."""
    return f"{symbol.lower()}_{document}.json"


@dataclass
class Folder:
    """The folder of the files of all symbols.

    `rank` is that of a state, 0 for the best. `failed` counts the files that could not be written,
    `problem` is the current one. Two threads may use it.
    """

    path: Path
    rank: Callable[[object], int] = lambda state: 0
    failed: int = 0
    is_kept: bool = True
    """False where nothing is written."""
    _problems: dict[tuple[str | None, str], str] = field(default_factory=dict)
    # Distinguishes the temporary files of two processes, also on two machines.
    _suffix: str = field(default_factory=lambda: f".{os.urandom(4).hex()}.tmp")
    _standing: dict[str, Standing] = field(default_factory=dict)
    _mutex: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._lock = FolderLock(self.path)

    @property
    def problem(self) -> str | None:
        with self._mutex:
            return next(iter(self._problems.values()), None)

    @property
    def lock_problem(self) -> str | None:
        """The reason why another process may put an older tick over a newer one."""
        return self._lock.problem

    def problem_of(self, symbol: str) -> str | None:
        """The problem of the files of a symbol, or of the file of all."""
        with self._mutex:
            return next(
                (text for (owner, _), text in self._problems.items() if owner in (symbol, None)),
                None,
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

    def write(
        self,
        symbol: str,
        documents: Mapping[str, str],
        mark: Mark | None = None,
        born: float | None = None,
        stranger: int | None = None,
    ) -> Mark | None:
        """Replace the files of a symbol. Failures are counted, and never raised.

        A file of a newer mark stays, and its mark is returned, unless its tick is the stranger.
        Without a mark all are replaced.
        """
        newest = None
        for document, text in documents.items():
            name = file_name(symbol, document)
            newer = self._try(symbol, name, text, mark, born, stranger=stranger)
            newest = newer or newest
        return newest

    def rewrite(self, symbol: str | None, name: str, text: str, new: Standing) -> None:
        """Replace a file by its older state, unless there is a newer one."""
        self._try(symbol, name, text, new.mark, new.born, new.aged)

    def write_status(self, text: str, born: float | None = None) -> None:
        """The same for the one file that speaks of all symbols."""
        mark = status_mark(json.loads(text))
        self._try(None, STATUS_FILE, text, mark if mark.order else None, born)

    def names(self) -> list[str]:
        """Names of the existing JSON files."""
        try:
            names = os.listdir(self.path)
        except OSError:
            return []
        return [name for name in names if name.endswith(".json") and not name.startswith(".")]

    def standing(self, name: str) -> Standing | None:
        """A file as it was written or seen last; None if there is none."""
        with suppress(OSError), self._mutex:
            return self._seen(name)
        return None

    def forget(self, name: str) -> None:
        """Read the file when it is asked for next."""
        with self._mutex:
            self._standing.pop(name, None)

    def read(self, name: str) -> tuple[dict[str, Any], float]:
        """A document and when it was written, by the clock of the machine. Raises ValueError."""
        try:
            with open(self.path / name, "rb") as file:
                written_at = os.fstat(file.fileno()).st_mtime
                document = json.loads(file.read())
        except (OSError, RecursionError) as error:
            raise ValueError(name) from error
        if not isinstance(document, dict):
            raise ValueError(name)
        return document, written_at

    def close(self) -> None:
        self._lock.close()

    def _try(
        self,
        symbol: str | None,
        name: str,
        text: str,
        mark: Mark | None,
        born: float | None,
        aged: int = 0,
        stranger: int | None = None,
    ) -> Mark | None:
        with self._mutex:
            try:
                newer = self._replace(name, text.encode(), mark, born, aged, stranger)
            except OSError as error:
                self.failed += 1
                self._problems[symbol, name] = f"{self.path / name}: {error.strerror or error}"
                return None
            self._problems.pop((symbol, name), None)
            return newer

    def _replace(self, name: str, content: bytes, *how: Any) -> Mark | None:
        for _ in range(_ATTEMPTS):
            try:
                return self._write(name, content, *how)
            except FileNotFoundError:
                # The folder was removed, or this process was stopped and fenced off.
                self.path.mkdir(parents=True, exist_ok=True)
        return self._write(name, content, *how)

    def _write(
        self,
        name: str,
        content: bytes,
        mark: Mark | None,
        born: float | None,
        aged: int,
        stranger: int | None,
    ) -> Mark | None:
        # Hidden, and no *.json: a reader that takes every JSON file passes it over.
        temporary = self.path / f".{name}{self._suffix}"
        try:
            descriptor = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666
            )
            try:
                _write_all(descriptor, content)
                identity = _identity(os.fstat(descriptor))
            finally:
                os.close(descriptor)
            with self._lock.held(self._fence):
                there = None if mark is None else self._mark_there(name)
                if there is None or mark is None or there < mark or there.order == stranger:
                    os.replace(temporary, self.path / name)
                    self._standing[name] = Standing(identity, mark or Mark(0), born, aged)
                    return None
            temporary.unlink()
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        if there == mark:
            self._standing[name].born, self._standing[name].aged = born, aged
        return there if there > mark else None

    def _mark_there(self, name: str) -> Mark | None:
        try:
            mark = self._seen(name).mark
        except FileNotFoundError:
            return None
        if name == STATUS_FILE and mark.order > time.time() * 1e6 + _FUTURE_MICROSECONDS:
            return None
        return mark

    def _seen(self, name: str) -> Standing:
        """The file as it stands; read only if it is not the one that was seen last."""
        identity = _identity(os.stat(self.path / name))
        standing = self._standing.get(name)
        if standing is None or standing.identity != identity:
            try:
                document, _ = self.read(name)
            except ValueError:
                document = {}
            is_status = name == STATUS_FILE
            mark = status_mark(document) if is_status else mark_of(document, self.rank)
            standing = self._standing[name] = Standing(identity, mark)
        return standing

    def _fence(self) -> None:
        """Take away what others have prepared: a process that was stopped must begin anew."""
        for path in self.path.glob(".*.json.*.tmp"):
            if not path.name.endswith(self._suffix):
                with suppress(OSError):
                    path.unlink()

    def _remove_left_behind(self) -> None:
        """Temporary files of processes that were killed in the middle of a write."""
        oldest = time.time() - _LEFT_BEHIND_SECONDS
        for path in self.path.glob(".*.json.*.tmp"):
            with suppress(OSError):
                if path.stat().st_mtime < oldest:
                    path.unlink()


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _write_all(descriptor: int, content: bytes) -> None:
    """A disk that becomes full takes a part first, and reports it only afterwards."""
    rest = memoryview(content)
    while rest:
        written = os.write(descriptor, rest)
        if written == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rest = rest[written:]
