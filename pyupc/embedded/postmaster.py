"""Main process of the server, from its `postmaster.pid`."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pyupc.embedded.home import PORT, Home, Waiting

_STATUS_LINE = 7


@dataclass(frozen=True)
class Postmaster:
    pid: int
    data: Path

    @classmethod
    def of(cls, data: Path) -> Postmaster | None:
        """Live server of a data folder, ready or not."""
        pid = _first_number(data / "postmaster.pid")
        if pid is None:
            return None
        postmaster = cls(pid, data)
        return postmaster if postmaster.is_alive() else None

    def is_alive(self) -> bool:
        """True if the process runs and is this server.

        After a crash or a reboot another process may have its pid, so the command line is compared.
        A process that ended and was not waited for has an empty one.
        """
        line = _command_line(self.pid)
        return f" -D {self.data} " in f"{line} " or (not line and _begins(self.pid))

    def is_ready(self) -> bool:
        """True if it accepts connections, as the last line of `postmaster.pid` shows."""
        try:
            text = (self.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return False
        lines = text.splitlines()
        return (
            len(lines) > _STATUS_LINE
            and lines[0].strip() == str(self.pid)
            and lines[_STATUS_LINE].strip() == "ready"
        )

    def becomes_ready(self, waiting: Waiting) -> bool:
        """Wait without limit until it accepts connections; False if it ends instead."""
        while not self.is_ready():
            if not self.is_alive():
                return False
            waiting.a_moment()
        return True


def remove_misleading_lock_files(home: Home) -> None:
    """Remove lock files of a dead server that PostgreSQL would take for those of a live one.

    The caller holds the server's lock. PostgreSQL refuses to start if a file is empty, as after a
    power failure, or if any process of its user has the pid in it by now. If no process has it the
    file stays: PostgreSQL notices that itself, and uses the file to find out whether processes of
    the old server still use its memory.
    """
    for path in (home.data / "postmaster.pid", home.socket_folder / f".s.PGSQL.{PORT}.lock"):
        pid = _first_number(path)
        if pid is None:
            path.unlink(missing_ok=True)
            continue
        if Postmaster(pid, home.data).is_alive():
            continue
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, 0)
            path.unlink()


def _first_number(path: Path) -> int | None:
    try:
        first = path.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
    except FileNotFoundError:
        return None
    # The socket's lock file has the same form. After a full disk or a power failure it may be
    # empty, or full of zeros.
    number = int(first) if first.isdecimal() and first.isascii() else 0
    return number if 0 < number < 2**31 else None


def _command_line(pid: int) -> str:
    if Path("/proc/self/cmdline").exists():
        try:
            raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return ""
        return os.fsdecode(raw.replace(b"\0", b" "))
    command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    found = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return found.stdout.strip()


def _begins(pid: int) -> bool:
    """True for a server that has just replaced the shell, and has no arguments yet."""
    with suppress(OSError):
        return Path(os.readlink(f"/proc/{pid}/exe")).name == "postgres"
    return False
