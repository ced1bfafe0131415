"""The lock that a running server holds on a file of its home.

The postmaster inherits the descriptor and its children do, so that the kernel keeps the lock as
long as any process of the server lives. Every container on the machine sees it, also where the
number in `postmaster.pid` means nothing, and a power failure leaves nothing of it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from contextlib import suppress
from pathlib import Path

from pyupc.errors import DatabaseUnreachable

# A shared file system may have none: NFS without its lock manager, some of FUSE.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})


def take(path: Path) -> int | None:
    """A descriptor that holds the lock, to be inherited or closed; None: a server has it.

    A look of `is_held` has it for an instant too, so whoever gets None asks again.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        if not try_lock(descriptor, fcntl.LOCK_EX):
            os.close(descriptor)
            return None
        # For the message of whoever finds it taken: a disk that is full does not matter.
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
    """The host that the lock was taken on; None if it was among the processes seen from here."""
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
    """Processes with the same one see each other's numbers; empty where there are no namespaces."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
