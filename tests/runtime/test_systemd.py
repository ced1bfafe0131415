"""Messages to systemd; a socket of the test stands in for it."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyupc.runtime.systemd import Notifier
from tests.support.ticking import SIMULATED, count, ended, ticking, until


class Ear:
    """A socket as systemd has one; by a path, or by an abstract name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.socket.setblocking(False)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        """All lines so far."""
        while True:
            try:
                self.heard += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self.heard

    def count(self, line: str) -> int:
        return self.listen().count(line)


@pytest.fixture
def ear() -> Iterator[Ear]:
    # The path of a socket is short.
    with tempfile.TemporaryDirectory(prefix="upc") as folder:
        ear = Ear(str(Path(folder) / "notify"))
        yield ear
        ear.socket.close()


@pytest.mark.skipif(not Path("/proc").exists(), reason="abstract sockets are Linux's")
def test_an_abstract_socket_is_found() -> None:
    ear = Ear(f"@pyupc-{secrets.token_hex(8)}")
    Notifier({"NOTIFY_SOCKET": ear.name}).ticked()
    assert ear.listen() == ["READY=1", "WATCHDOG=1"]
    ear.socket.close()


@pytest.mark.parametrize("name", ["", "vsock:2:1234", "/nowhere/at/all"])
def test_without_systemd_nothing_happens(name: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": name} if name else {})
    for tell in (notifier.began, notifier.ticked, notifier.waits, notifier.stopping):
        tell()
    notifier.status("fresh")


def test_it_is_ready_once(ear: Ear) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": ear.name})
    notifier.began()
    notifier.began()
    notifier.ticked()
    notifier.status("BTC\nfresh")
    notifier.status("BTC\nfresh")
    notifier.stopping()
    assert ear.listen() == ["READY=1", "WATCHDOG=1", "STATUS=BTC fresh", "STOPPING=1"]


def test_a_standby_feeds_the_watchdog_once_a_second(ear: Ear) -> None:
    time = 100.0
    notifier = Notifier({"NOTIFY_SOCKET": ear.name}, lambda: time)
    for _ in range(50):
        notifier.waits()
        time += 0.125
    assert ear.count("READY=1") == 1
    assert ear.count("WATCHDOG=1") == 7


def test_a_listener_that_does_not_read_holds_nobody_up(ear: Ear) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": ear.name})
    for _ in range(5000):
        notifier.ticked()
    assert ear.count("WATCHDOG=1") > 0


@pytest.mark.parametrize(
    ("usec", "pid", "interval", "is_told"),
    [
        ("10000000", None, 5.0, False),
        ("10000000", None, 5.1, True),
        ("10000000", "mine", 5.1, True),
        ("10000000", "1", 60.0, False),
        (None, None, 60.0, False),
        ("soon", None, 60.0, False),
    ],
)
def test_a_watchdog_that_is_too_quick_is_logged(
    caplog: pytest.LogCaptureFixture,
    usec: str | None,
    pid: str | None,
    interval: float,
    is_told: bool,
) -> None:
    own = str(os.getpid()) if pid == "mine" else pid
    given = {"WATCHDOG_USEC": usec, "WATCHDOG_PID": own}
    Notifier({key: value for key, value in given.items() if value is not None}).check(interval)
    assert bool(caplog.records) == is_told


# The command.


@pytest.fixture(scope="module")
def market(module_btc_market: str) -> str:
    return module_btc_market


def test_the_watchdog_is_fed_by_committed_ticks_alone(
    market: str, tmp_path: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyupc.database.connect import connect

    monkeypatch.setenv("NOTIFY_SOCKET", ear.name)
    options = ("--symbol", "BTC", "--interval", "0.1", "--out", tmp_path)
    with ticking(market, *SIMULATED, *options) as process, connect(market) as conn:
        until(lambda: ear.count("WATCHDOG=1") >= 3)
        assert ear.listen()[0] == "READY=1"
        # No tick can be stored from here on.
        conn.execute("ALTER TABLE upc_data.tick ADD CONSTRAINT none CHECK (false) NOT VALID")
        until(lambda: any("failing" in line for line in ear.listen()))
        ticks, fed = count(market), ear.count("WATCHDOG=1")
        assert fed <= ticks
        until(lambda: (tmp_path / "upc_status.json").stat().st_mtime > 0)
        conn.execute("SELECT pg_sleep(0.5)")
        assert (count(market), ear.count("WATCHDOG=1")) == (ticks, fed)
        conn.execute("ALTER TABLE upc_data.tick DROP CONSTRAINT none")
        until(lambda: ear.count("WATCHDOG=1") > fed + 2)
        assert ear.count("READY=1") == 1
        process.terminate()
        assert ended(process)[0] == 0
    assert ear.listen()[-1] == "STOPPING=1"


def test_a_standby_is_ready_while_it_waits(
    market: str, tmp_path: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--symbol", "BTC", "--interval", "0.1", "--out")
    with ticking(market, *SIMULATED, *options, tmp_path / "first") as first:
        before = count(market)
        until(lambda: count(market) > before)
        monkeypatch.setenv("NOTIFY_SOCKET", ear.name)
        with ticking(market, *SIMULATED, "--standby", *options, tmp_path / "second") as second:
            until(lambda: ear.count("WATCHDOG=1") >= 2)
            assert ear.listen()[0] == "READY=1"
            assert first.poll() is None
            second.terminate()
            assert ended(second)[0] == 0
        assert ear.count("READY=1") == 1
        first.terminate()
        assert ended(first)[0] == 0
