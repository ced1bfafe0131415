"""Account of the operating system that the server runs under.

PostgreSQL refuses to run as root. An ordinary user runs the server under their own account; for
root it runs under an unprivileged one.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pyupc.errors import DatabaseUnreachable

_PREFERRED = "postgres"
_OWN = "pyupc"


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int


def server_account(data: Path) -> Account | None:
    """Account to switch to; None: the server runs under the caller's account.

    An existing cluster keeps its owner, whatever accounts the system has by now.
    """
    if os.geteuid() != 0:
        return None
    with suppress(FileNotFoundError):
        owner = data.lstat()
        if owner.st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
    return _existing(_PREFERRED) or _existing(_OWN) or _created(_OWN)


def run(
    command: Sequence[str | Path],
    account: Account | None,
    *,
    cwd: str | Path = "/",
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a session of its own and with a bare environment.

    Any exit code is returned. An interruption kills the command and all that it started, so that
    nothing goes on writing.
    """
    with start(
        command, account, cwd=cwd, stderr=subprocess.PIPE, environment=environment
    ) as process:
        try:
            stdout, stderr = process.communicate()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def start(
    command: Sequence[str | Path],
    account: Account | None,
    *,
    cwd: str | Path,
    stderr: int,
    inherited: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Start a command that a Ctrl-C in this terminal does not reach.

    Of the open descriptors it inherits those in `inherited`, under the same numbers.
    """
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        errors="replace",
        close_fds=True,
        pass_fds=inherited,
        start_new_session=True,
        cwd=cwd,
        # PGPORT, PGDATA and the like would configure the server; C keeps its messages in ASCII.
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **(environment or {})},
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def last_line(text: str) -> str:
    """Last line that is not empty, where programs print the reason of a failure."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _existing(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid) if entry.pw_uid != 0 else None


def _created(name: str) -> Account:
    hint = f"create a system user named {name}, run pyupc as an ordinary user, or set PYUPC_DSN"
    useradd = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if useradd is None:
        raise DatabaseUnreachable("PostgreSQL refuses to run as root, and useradd is missing", hint)
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    result = run([useradd, *options, "--shell", "/usr/sbin/nologin", name], None)
    account = _existing(name)
    if account is None:
        reason = last_line(result.stderr) or f"exit code {result.returncode}"
        raise DatabaseUnreachable(f"useradd cannot create the user {name}: {reason}", hint)
    return account
