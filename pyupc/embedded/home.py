"""Folder of the embedded server: data, log, password, socket and locks."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pyupc.embedded.account import Account, run
from pyupc.embedded.server_lock import try_lock
from pyupc.errors import DatabaseUnreachable

Notify = Callable[[str], None]

PORT = 5432
# Limit on the wait for processes that a killed server left behind.
REMAINS_SECONDS = 60.0
# Limits are 104 bytes on macOS and 108 on Linux, both with the closing NUL.
_LONGEST_SOCKET_PATH = 103
_LOG_LIMIT = 8 * 1024 * 1024
_POLL_SECONDS = 0.02
_NOTIFY_AFTER_SECONDS = 1.0


class Waiting:
    """Short sleeps, and after a second one message."""

    def __init__(self, notify: Notify, message: str) -> None:
        self._notify: Notify | None = notify
        self._message = message
        self._since = time.monotonic()

    def a_moment(self) -> None:
        time.sleep(_POLL_SECONDS)
        if self._notify and time.monotonic() - self._since > _NOTIFY_AFTER_SECONDS:
            self._notify(f"{self._message}: waiting")
            self._notify = None


@dataclass(frozen=True)
class Home:
    """Home folder; `path` is absolute and without symbolic links, so each folder has one name."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> Home:
        return cls(path.expanduser().resolve())

    @property
    def data(self) -> Path:
        return self.path / "postgres"

    @property
    def log(self) -> Path:
        return self.path / "postgres.log"

    @property
    def server_lock(self) -> Path:
        return self.path / "server.lock"

    @property
    def password_file(self) -> Path:
        return self.path / "password"

    @property
    def socket_folder(self) -> Path:
        """Folder of the socket: in the home, or in /tmp if the home's path is unfit for a socket.

        The path may be too long, or contain a comma, which ends a host's name for libpq.
        $XDG_RUNTIME_DIR is no choice: it differs between a login, a cron job and a service, and is
        emptied when the user logs out, while the server runs on.
        """
        folder = self.path / "socket"
        length = len(os.fsencode(folder / f".s.PGSQL.{PORT}"))
        if length <= _LONGEST_SOCKET_PATH and "," not in str(folder):
            return folder
        return Path("/tmp", f"pyupc-{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:20]}")

    def create(self) -> None:
        """Create the home and missing parent folders; refuse a home of another user.

        Existing folders keep mode and owner. The mode is 0711 for root: the server's account can
        pass through, but not list the names.
        """
        if "\n" in str(self.path) or "\r" in str(self.path):
            raise DatabaseUnreachable(
                "PYUPC_HOME has a line break in its path, which PostgreSQL refuses",
                "set PYUPC_HOME to another folder",
            )
        mode = 0o711 if os.geteuid() == 0 else 0o700
        missing = []
        for folder in (self.path, *self.path.parents):
            if folder.exists():
                break
            missing.append(folder)
        for folder in reversed(missing):
            with suppress(FileExistsError):
                folder.mkdir(mode=mode)
                if stat.S_IMODE(folder.stat().st_mode) != mode:
                    folder.chmod(mode)
        if self.path.stat().st_uid != os.geteuid():
            raise DatabaseUnreachable(
                f"{self.path} belongs to another user",
                "set PYUPC_HOME to a folder of your own, or run pyupc as its owner",
            )

    def new_partial_data(self) -> Path:
        """New folder for initdb; remains of earlier ones are removed.

        The name is random, since the initdb of a killed command may still run in its own.
        """
        for remains in self.path.glob("postgres.partial-*"):
            shutil.rmtree(remains, ignore_errors=True)
        return self.path / f"postgres.partial-{secrets.token_hex(4)}"

    def open_to(self, account: Account | None) -> None:
        """Check that the server's account can reach the home, and create its socket folder."""
        if account is not None:
            reached = run(["/bin/sh", "-c", 'test -x "$1"', "sh", self.path], account)
            if reached.returncode != 0:
                raise DatabaseUnreachable(
                    f"the server cannot run as root, and its user (uid {account.uid}) "
                    f"cannot reach {self.path}",
                    "set PYUPC_HOME to a folder that every user can reach, such as /var/lib/pyupc",
                )
        make_private_folder(self.socket_folder, account)

    def password(self) -> str | None:
        """Password of the superuser; None before there is one."""
        with suppress(FileNotFoundError):
            return self.password_file.read_text(encoding="ascii").strip() or None
        return None

    def close(self) -> None:
        """Remove a socket folder outside the home, after the server's end."""
        if self.socket_folder.parent != self.path:
            with suppress(OSError):
                self.socket_folder.rmdir()

    def make_password(self) -> str:
        password = secrets.token_urlsafe(24)
        partial = self.path / "password.partial"
        partial.unlink(missing_ok=True)
        write_private_file(partial, password + "\n")
        self.put_in_place(partial, self.password_file)
        return password

    def put_in_place(self, new: Path, final: Path) -> None:
        """Rename a file within the home, durable against power failure."""
        new.rename(final)
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def bound_log(self) -> None:
        """Rotate a large log, keeping one old file.

        The server holds the file open and appends, so it is copied and emptied, not renamed.
        """
        with suppress(FileNotFoundError):
            if self.log.stat().st_size <= _LOG_LIMIT:
                return
            with self.log.open("rb") as file:
                file.seek(-_LOG_LIMIT, os.SEEK_END)
                text = file.read().decode(errors="replace")
            previous = self.log.with_suffix(".log.1")
            previous.unlink(missing_ok=True)
            write_private_file(previous, text)
            os.truncate(self.log, 0)

    @contextmanager
    def locked(self, notify: Notify) -> Iterator[None]:
        """Hold the home for this process alone. The descriptor is not inherited by the server."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path / "lock", flags, 0o600)
        try:
            waiting = Waiting(notify, "another command is starting or stopping PostgreSQL")
            while not try_lock(descriptor, fcntl.LOCK_EX):
                waiting.a_moment()
            yield
        finally:
            os.close(descriptor)


def make_private_folder(folder: Path, account: Account | None) -> None:
    """Create a folder that only the server's account can enter, even below a shared folder."""
    owner = account.uid if account else os.geteuid()
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if account and status.st_uid == os.geteuid():
            os.fchown(descriptor, account.uid, account.gid)
            status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if status.st_uid != owner or stat.S_IMODE(status.st_mode) & 0o077:
        raise DatabaseUnreachable(
            f"{folder} belongs to another user or is open to others",
            "remove it, or set PYUPC_HOME to another folder",
        )


def write_private_file(path: Path, text: str, account: Account | None = None) -> None:
    """Create a file of mode 0600, never through a link and never over an existing one."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if account is not None:
            os.fchown(descriptor, account.uid, account.gid)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
