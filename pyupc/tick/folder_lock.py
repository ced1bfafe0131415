"""The lock of a folder that several processes may write to."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK_FILE = ".pyupc.lock"

# A holder needs well below a millisecond. One that has the lock for longer has been stopped.
_PATIENCE_SECONDS = 0.1
_PAUSE_SECONDS = 0.002


class FolderLock:
    """Held while a file is compared with what is to replace it, and replaced.

    It must not be waited for without end: its holder may have been stopped by SIGSTOP, or with its
    whole container, and readers of the folder want the next tick. So after a while the lock is
    broken: its file is replaced by a new one, which is locked instead, and what the former holder
    has prepared is removed before anything else is done. When that process goes on its rename
    finds no file, and it begins anew: it takes the new lock and compares again. Nothing that it
    compared before it was stopped can have an effect.

    Where the file system has no locks, or the file may not be opened, `problem` reports it and the
    work is done without: what an older tick may then replace is put right by the next one.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_FILE
        self._descriptor: int | None = None
        self.problem: str | None = None

    @contextmanager
    def held(self, fence: Callable[[], None]) -> Iterator[None]:
        """`fence` removes what others have prepared. Raises FileNotFoundError without a folder."""
        is_held = self._take(fence)
        try:
            yield
        finally:
            if is_held and self._descriptor is not None:
                with suppress(OSError):
                    fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def _take(self, fence: Callable[[], None]) -> bool:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        is_broken = False
        try:
            while not self._is_taken():
                if time.monotonic() < deadline:
                    time.sleep(_PAUSE_SECONDS)
                    continue
                # Of two that break it at once one may remove the other's new file. For that three
                # processes have to meet, and the next tick puts it right.
                with suppress(FileNotFoundError):
                    self._path.unlink()
                is_broken = True
                deadline += _PATIENCE_SECONDS
        except FileNotFoundError:
            self.close()
            raise
        except OSError as error:
            self.problem = f"{self._path}: {error.strerror or error}"
            self.close()
            return False
        self.problem = None
        if is_broken:
            fence()
        return True

    def _is_taken(self) -> bool:
        """One attempt, on the file that is there now."""
        if self._descriptor is None:
            # Nothing is written to it: a file of another user's will do.
            flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o666)
        is_locked = True
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_locked = False
        try:
            is_current = os.path.samestat(os.fstat(self._descriptor), os.stat(self._path))
        except FileNotFoundError:
            is_current = False
        if not is_current:
            self.close()
        return is_locked and is_current
