"""Lock that a running server holds on a file of its home.

The postmaster and its children inherit the descriptor, so the kernel holds the lock as long as any
process of the server lives. All containers on the machine see it, even where the pid in
`postmaster.pid` means nothing, and it does not survive a power failure.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from contextlib import suppress
from pathlib import Path

from pyupc.errors import DatabaseUnreachable

# Errors of file systems without locks: NFS without its lock manager, some of FUSE.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})


def take(path: Path) -> int | None:
    """Take the lock: a descriptor to be inherited or closed; None if it is held.

    `is_held` holds it for an instant, too, so a caller that gets None has to try again.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        if not try_lock(descriptor, fcntl.LOCK_EX):
            os.close(descriptor)
            return None
        # Content for the error message of others; a full disk does not matter.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{socket.gethostname()}\n{_namespace()}\n".encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def host_elsewhere(path: Path) -> str | None:
    """Host on which the lock was taken; None if its processes are visible from here."""
    host, _, namespace = path.read_text(encoding="utf-8", errors="replace").partition("\n")
    return None if namespace.strip() == _namespace() else host or "another host"


def try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise DatabaseUnreachable(
            f"the file system of PYUPC_HOME has no file locks: {error.strerror}",
            "set PYUPC_HOME to a folder on a local disk, or PYUPC_DSN to a server of your own",
        ) from error
    return True


def _namespace() -> str:
    """Name of the pid namespace, within which pids are valid; empty without namespaces."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
