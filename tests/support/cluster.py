"""A PostgreSQL of one test's own, made to be hurt: killed, stopped, moved in time, out of room."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from pyupc.embedded.account import server_account
from pyupc.embedded.binaries import usable_binaries
from pyupc.embedded.cluster import SETTINGS, SUPERUSER, Cluster
from pyupc.embedded.home import Home
from pyupc.embedded.postmaster import Postmaster

DATABASE = "upc"
PORT = 5432
START_SECONDS = 30.0

# Small enough for a small disk, and with the care of a server that somebody relies on: a commit
# that was acknowledged is on the disk.
TEMPLATE_SETTINGS = {**SETTINGS, "max_wal_size": "64MB", "min_wal_size": "32MB"}


@dataclass(frozen=True)
class Template:
    """A stopped cluster with one filled database. Servers start from copies of it."""

    home: Home
    password: str

    @classmethod
    def make(cls, folder: Path, fill: Callable[[str], None]) -> Template:
        cluster = Cluster(Home.at(folder), settings=TEMPLATE_SETTINGS)
        cluster.home.create()
        with cluster.home.locked(print):
            cluster.start(print)
            try:
                cluster.create_database(DATABASE)
                fill(cluster.uri(DATABASE))
            finally:
                cluster.stop(print)
        password = cluster.home.password()
        assert password is not None
        return cls(cluster.home, password)

    def remove(self) -> None:
        shutil.rmtree(self.home.path)


@dataclass
class Server:
    """`folder` gets the socket and the log; `data` is the data folder, in `folder` by default.

    Only a socket in a folder of the server's account leads to it, so no port is taken.
    """

    template: Template
    folder: Path
    data: Path = Path("data")
    settings: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_at: float = 0.0
    """On the monotonic clock: when it last began to take connections."""
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.data = self.folder / self.data
        self._account = server_account(self.template.home.data)
        self._binaries = usable_binaries(self.template.home.path, self._account)

    @property
    def socket(self) -> Path:
        return self.folder / "socket" / f".s.PGSQL.{PORT}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def dsn(self, database: str = DATABASE, *, user: str = SUPERUSER, port: int = 0) -> str:
        """DSN over the socket, or over a port of the loopback, where a proxy listens."""
        address = (
            f"127.0.0.1:{port}/{database}?"
            if port
            else f"/{database}?host={quote(str(self.socket.parent), safe='')}&port={PORT}&"
        )
        # The same password for every role: it is the server's.
        uri = f"postgresql://{user}:{quote(self.template.password)}@{address}"
        return uri.rstrip("?&")

    def create(self) -> None:
        """Copy the template; the folder of the data may exist and be another disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o711)
        self.socket.parent.mkdir(mode=0o700)
        subprocess.run(["cp", "-a", f"{self.template.home.data}/.", self.data], check=True)
        self.give(self.data)
        self.give(self.socket.parent)
        self.data.chmod(0o700)

    def give(self, path: Path) -> None:
        """Give a path to the server's account."""
        if self._account is not None:
            os.chown(path, self._account.uid, self._account.gid)

    def start(self, seconds: float = START_SECONDS) -> None:
        """Return once it takes connections; AssertionError with its log if it does not."""
        assert not self.is_running
        deadline = time.monotonic() + seconds
        while not self._begin(deadline):
            assert time.monotonic() < deadline, self.log[-2000:]
            time.sleep(0.05)
        self.ready_at = time.monotonic()

    def _begin(self, deadline: float) -> bool:
        settings = {
            # In the data folder, so that a server that is killed leaves nothing behind elsewhere.
            "dynamic_shared_memory_type": "mmap",
            "listen_addresses": "",
            "log_line_prefix": "%m [%p] %e ",
            "port": str(PORT),
            "unix_socket_directories": str(self.socket.parent),
            **self.settings,
        }
        options = [part for item in settings.items() for part in ("-c", "=".join(item))]
        account = self._account
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self.data, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C", **self.environment},
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        postmaster = Postmaster(self._process.pid, self.data)
        while not postmaster.is_ready():
            if self._process.poll() is not None:
                return False
            if time.monotonic() > deadline:
                self.kill()
                return False
            time.sleep(0.005)
        return True

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def freeze(self) -> None:
        """Stop every process where it is; connections stay open and silent."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """All processes at once, as when the machine's memory ran out; nothing is written."""
        if self._process is None:
            return
        # A process that is stopped starts no other one meanwhile.
        self.freeze()
        children = list(_children(self._process.pid))
        for pid in (*children, self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        while any(Path(f"/proc/{pid}/exe").is_symlink() for pid in children if _is_alive(pid)):
            time.sleep(0.002)
        self._process = None

    def stop(self) -> None:
        """An orderly end, of a server that is stopped by a signal too."""
        # Shown by pytest with a failing test.
        print(f"--- PostgreSQL\n{self.log[-4000:]}")
        if self._process is None:
            return
        self.thaw()
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        # The first one first, so that it starts no others while these are looked for.
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, number)
            for pid in _children(self._process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)


def _children(parent: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                # The name in parentheses may hold anything.
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if int(fields[1]) == parent:
                    yield int(entry.name)


def _is_alive(pid: int) -> bool:
    """Not gone, and no remains that its new parent has yet to collect."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
