"""The embedded server in containers: one home and several of them, and images that lack something.

A container is made of namespaces of its own, as a daemon makes it, where the kernel lets the tests.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from pyupc import embedded
from pyupc.database.connect import connect
from pyupc.embedded import server_lock
from pyupc.embedded.cluster import Cluster
from pyupc.embedded.home import Home
from pyupc.embedded.passwd import passwd_entry
from pyupc.embedded.shared_memory import shared_memory_settings
from pyupc.errors import DatabaseUnreachable
from tests.embedded.homes import START, command, new_home, output, remove, server_pid

CONTAINER = ("unshare", "--pid", "--ipc", "--mount", "--fork", "--mount-proc")
STOP = "from pyupc import embedded; print(embedded.stop())"
REFUSED = (
    "from pyupc.embedded import cluster; cluster._SOCKET_SECONDS = 0.2\n"
    "from pyupc import embedded\nfrom pyupc.errors import PyupcError\n"
    "try:\n    embedded.{}()\nexcept PyupcError as error:\n"
    "    print(error.exit_code, bool(error.hint), error.message.count('\\n'))"
)


def _unshare_works() -> bool:
    try:
        return (
            subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode == 0
        )
    except OSError:
        return False


def _user_without_entry() -> int:
    known = {entry.pw_uid for entry in pwd.getpwall()}
    return next(uid for uid in range(54321, 60000) if uid not in known)


needs_namespaces = pytest.mark.skipif(
    not _unshare_works(), reason="no namespaces: root and util-linux's unshare make them"
)
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root runs as another user, with util-linux's setpriv",
)


@pytest.fixture
def home() -> Iterator[Path]:
    """On a disk, since a container has a /dev/shm of its own."""
    path = new_home(Path(tempfile.gettempdir()))
    yield path
    remove(path)


def starts(home: Path) -> int:
    return (home / "postgres.log").read_text().count("starting PostgreSQL")


def mounted(size: str, folder: Path) -> tuple[str, ...]:
    """A container with a small disk in memory in place of the folder."""
    script = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@"'
    return (*CONTAINER, "/bin/sh", "-c", script, "sh", size, str(folder))


STAYS = (
    "import pathlib, time\nfrom pyupc import embedded\n"
    "print(embedded.ensure_running(), flush=True)\n"
    "while not pathlib.Path({!r}).exists(): time.sleep(0.05)"
)


@needs_namespaces
def test_two_containers_with_one_home_have_one_server(home: Path) -> None:
    # Neither ends before both have their answer: the server ends with its container.
    go_on = home.with_name("go-on")
    both = [command(home, STAYS.format(str(go_on)), within=CONTAINER) for _ in range(2)]
    answers = [each.stdout.readline() for each in both if each.stdout is not None]
    go_on.touch()
    assert [output(each) for each in both] == ["", ""]
    assert len(answers) == 2
    assert answers[0] == answers[1] != ""
    assert starts(home) == 1
    # Both containers are gone, and the server with its own: the next command starts another.
    with connect(output(command(home))) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@needs_namespaces
def test_a_server_in_another_container_is_used_and_stopped_from_there(home: Path) -> None:
    uri = embedded.ensure_running(home)
    assert output(command(home, within=CONTAINER)) == uri
    assert starts(home) == 1
    running = "from pyupc import embedded; print(embedded.is_running())"
    assert output(command(home, running, within=CONTAINER)) == "True"
    assert output(command(home, STOP, within=CONTAINER)) == "True"
    assert not embedded.is_running(home)
    assert output(command(home, STOP, within=CONTAINER)) == "False"
    assert "database system is shut down" in (home / "postgres.log").read_text()


@needs_namespaces
@pytest.mark.parametrize("attempt", ["ensure_running", "stop"])
def test_a_server_out_of_reach_in_another_container_is_left_alone(home: Path, attempt: str) -> None:
    # A home with a comma has its socket in /tmp, and every container has its own /tmp.
    path = home.with_name("a, b")
    uri = embedded.ensure_running(path)
    try:
        within = mounted("1m", Home.at(path).socket_folder)
        pid = server_pid(path)
        assert output(command(path, REFUSED.format(attempt), within=within)) == "3 True 0"
        assert starts(path) == 1
        assert server_pid(path) == pid
        with connect(uri) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        assert embedded.stop(path)


def test_a_killed_server_keeps_its_lock_until_its_last_process_ends(home: Path) -> None:
    uri = embedded.ensure_running(home)
    connection = connect(uri)
    backend = connection.info.backend_pid

    def compute() -> None:
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT count(*) FROM generate_series(1, 100000000000)")

    computing = threading.Thread(target=compute)
    computing.start()
    try:
        with connect(uri) as other:
            query = "SELECT state FROM pg_stat_activity WHERE pid = %s"
            while other.execute(query, (backend,)).fetchone() != ("active",):
                time.sleep(0.01)
        os.kill(server_pid(home), signal.SIGKILL)
        assert embedded.is_running(home)
        messages: list[str] = []

        def end(message: str) -> None:
            if not messages:
                # After a second the others have noticed, and ended.
                assert server_lock.is_held(home / "server.lock")
            messages.append(message)
            with suppress(ProcessLookupError):
                os.kill(backend, signal.SIGKILL)

        assert embedded.ensure_running(home, notify=end) == uri
        # One message for the wait, and perhaps one for the recovery.
        assert 1 <= len(messages) <= 2
    finally:
        computing.join()


@pytest.mark.parametrize("left", [b"", b"\0" * 64, b"\xff\xfe", b"99999999999999999999\n"])
def test_lock_files_that_a_power_failure_spoiled_do_not_matter(home: Path, left: bytes) -> None:
    uri = embedded.ensure_running(home)
    assert embedded.stop(home)
    owner = (home / "postgres").stat()
    for path in (home / "postgres" / "postmaster.pid", home / "socket" / ".s.PGSQL.5432.lock"):
        path.write_bytes(left)
        os.chown(path, owner.st_uid, owner.st_gid)
    assert not embedded.is_running(home)
    assert embedded.ensure_running(home) == uri


def test_a_server_of_an_older_version_that_holds_no_lock_is_used(home: Path) -> None:
    uri = embedded.ensure_running(home)
    # A process that locks another file sees the server as it would be without the lock.
    (home / "server.lock").unlink()
    assert not server_lock.is_held(home / "server.lock")
    cluster = Cluster(Home.at(home))
    with cluster.home.locked(print):
        cluster.start(print)
    assert embedded.is_running(home)
    assert embedded.ensure_running(home) == uri
    assert starts(home) == 1


def test_a_file_system_without_locks_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, kind: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", flock)
        with pytest.raises(DatabaseUnreachable) as caught:
            embedded.ensure_running(home)
    assert caught.value.hint is not None
    assert not (home / "postgres").exists()


def test_a_line_break_in_the_path_is_refused(home: Path) -> None:
    with pytest.raises(DatabaseUnreachable):
        embedded.ensure_running(home / "a\nb")
    assert not home.exists()


@needs_namespaces
def test_without_shared_memory_the_server_shares_files(home: Path) -> None:
    parallel = (
        f"{START}; import psycopg\n"
        "with psycopg.connect(embedded.ensure_running()) as connection:\n"
        "    connection.execute('SET debug_parallel_query = on')\n"
        "    print(connection.execute('SELECT count(*) FROM pg_class').fetchone()[0] > 0)\n"
        "    print(connection.execute('SHOW dynamic_shared_memory_type').fetchone()[0])\n"
        "print(embedded.stop())"
    )
    printed = output(command(home, parallel, within=mounted("16k", Path("/dev/shm"))))
    assert printed.splitlines()[1:] == ["True", "mmap", "True"]
    # A cluster that was set up where there is memory runs where there is none.
    again = shutil.copy(home / "postgres" / "postgresql.conf", home / "copy.conf")
    text = Path(again).read_text().replace("dynamic_shared_memory_type = mmap", "")
    assert text != Path(again).read_text()
    (home / "postgres" / "postgresql.conf").write_text(text)
    printed = output(command(home, parallel, within=mounted("16k", Path("/dev/shm"))))
    assert printed.splitlines()[1:] == ["True", "mmap", "True"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it in a folder")
def test_shared_memory_is_used_where_there_is_some(tmp_path: Path) -> None:
    assert shared_memory_settings(tmp_path) == {}
    assert shared_memory_settings(tmp_path / "none") == {"dynamic_shared_memory_type": "mmap"}


@needs_root
@pytest.mark.parametrize("has_wrapper", [False, True])
def test_a_user_without_an_entry_in_passwd(home: Path, has_wrapper: bool) -> None:
    uid = _user_without_entry()
    os.chown(home.parent, uid, uid)
    home.parent.chmod(0o700)
    within = ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
    with command(home, "import pyupc", within=within) as probe:
        probe.communicate()
    if probe.returncode != 0:
        pytest.skip("another user cannot run this Python")
    hidden = "from pyupc.embedded import passwd; passwd._PLACES = ()\n"
    if not has_wrapper:
        refused = hidden + REFUSED.format("ensure_running")
        assert output(command(home, refused, within=within)) == "3 True 0"
        assert not (home / "postgres").exists()
        return
    if not list(Path("/usr/lib").glob("*/libnss_wrapper.so")):
        pytest.skip("no libnss_wrapper here (apt-get install libnss-wrapper)")
    output(command(home, within=within))
    # An existing cluster starts without the entry.
    again = f"{hidden}from pyupc import embedded; print(embedded.stop())\n{START}\n{STOP}"
    assert output(command(home, again, within=within)).splitlines()[::2] == ["True", "True"]
    assert not list((home / "socket").iterdir())


def test_a_user_with_an_entry_needs_nothing(tmp_path: Path) -> None:
    with passwd_entry(tmp_path, None) as environment:
        assert environment == {}
    assert not list(tmp_path.iterdir())
