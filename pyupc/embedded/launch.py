"""Start of the server's process, which outlives the command that starts it."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import BinaryIO

from pyupc.embedded.account import Account, last_line, start
from pyupc.embedded.home import PORT, REMAINS_SECONDS, Home, Notify, Waiting
from pyupc.embedded.postmaster import Postmaster, remove_misleading_lock_files
from pyupc.embedded.shared_memory import shared_memory_settings
from pyupc.errors import DatabaseUnreachable

# The shell ends at once, so that the server is not a child of this process: a dead child without a
# waiting parent would look alive to the next start.
_DETACHED = '"$@" </dev/null >&2 & echo "$!"'

# lock_file_exists: processes of a killed server still hold its shared memory. Only a server of an
# older pyupc, without our lock, leaves such processes; they end with their statements.
_STILL_IN_USE = " F0001 "

_SEVERE = re.compile(r"(?:FATAL|PANIC|ERROR|error):\s+(.*)")


def launch(home: Home, binaries: Path, account: Account | None, lock: int, notify: Notify) -> None:
    """Start the server, which inherits `lock`; return once it accepts connections."""
    crashed = (home.data / "postmaster.pid").exists()
    remove_misleading_lock_files(home)
    state = "recovering after a crash" if crashed else "starting"
    waiting = Waiting(notify, f"PostgreSQL is {state}")
    deadline = time.monotonic() + REMAINS_SECONDS
    while True:
        home.bound_log()
        with _open_log(home.log) as log:
            before = os.fstat(log.fileno()).st_size
            postmaster = _detached(home, binaries, account, log.fileno(), lock)
        if postmaster.becomes_ready(waiting):
            return
        output = _text_after(home.log, before)
        if _STILL_IN_USE not in output or time.monotonic() > deadline:
            raise DatabaseUnreachable(
                f"the embedded PostgreSQL does not start: {reason(output)}", f"see {home.log}"
            )
        time.sleep(0.2)


def reason(output: str) -> str:
    """First severe message in the output of a PostgreSQL program, else its last line."""
    severe = _SEVERE.search(output)
    return severe[1].strip() if severe else last_line(output) or "no reason given"


def _detached(
    home: Home, binaries: Path, account: Account | None, log: int, lock: int
) -> Postmaster:
    settings = {
        "cluster_name": "pyupc",
        "listen_addresses": "",
        "log_line_prefix": "%m [%p] %e ",
        "logging_collector": "off",
        "port": str(PORT),
        "unix_socket_directories": _quoted(str(home.socket_folder)),
        "unix_socket_permissions": "0700",
        **shared_memory_settings(),
    }
    command: list[str | Path] = [binaries / "postgres", "-D", home.data]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    shell = ["/bin/sh", "-c", _DETACHED, "sh", *command]
    with start(shell, account, cwd=home.data, stderr=log, inherited=(lock,)) as process:
        stdout, _ = process.communicate()
    return Postmaster(int(stdout), home.data)


def _quoted(folder: str) -> str:
    """Quote a path for a list of folders separated by commas."""
    return '"' + folder.replace('"', '""') + '"'


def _open_log(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "ab")


def _text_after(path: Path, offset: int) -> str:
    return path.read_bytes()[offset:].decode(errors="replace")
