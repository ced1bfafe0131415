"""`pyupc tick` as a process of its own, against a real PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyupc.database.connect import connect
from tests.support.market import (
    SYMBOLS,
    WRITTEN,
    fill,
    pyupc,
    read,
    rows,
)
from tests.support.ticking import (
    REPLAY,
    SIMULATED,
    count,
    ended,
    in_place,
    instant,
    ticking,
    until,
)
from tests.support.warm_process import REPOSITORY

# A reader beside it, signals, and who may tick.


def test_a_reader_never_sees_a_torn_or_missing_file(market: str, tmp_path: Path) -> None:
    options = ("--count", "60", "--interval", "0.05", "--out", tmp_path)
    seen: dict[tuple[str, str], set[str]] = {}
    with ticking(market, *SIMULATED, *options) as process:
        until(lambda: in_place(tmp_path))
        keys = {name: list(read(tmp_path, "BTC", name)) for name in WRITTEN}
        reads = 0
        while process.poll() is None:
            for symbol in SYMBOLS:
                for name in WRITTEN:
                    document = read(tmp_path, symbol, name)
                    assert list(document) == keys[name]
                    assert document["symbol"] == symbol
                    published = document.get("timestamp") or document["last_updated"]
                    seen.setdefault((symbol, name), set()).add(published)
                    reads += 1
        assert ended(process) == (0, "")
    assert count(market) == 60 * len(SYMBOLS)
    assert reads > 60 * len(SYMBOLS) * len(WRITTEN)
    assert min(len(values) for values in seen.values()) > 10
    # And the one that speaks of all symbols.
    assert len(list(tmp_path.glob("*.json"))) == len(SYMBOLS) * len(WRITTEN) + 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_after_the_tick_under_way(
    market: str, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with ticking(market, *SIMULATED, "--interval", "30", "--out", tmp_path) as process:
        until(lambda: in_place(tmp_path))
        assert count(market, "tick_lease") == 2
        process.send_signal(number)
        began = time.monotonic()
        assert ended(process) == (code, "")
        assert time.monotonic() - began < 3
    assert count(market, "tick_lease") == 0
    for symbol in SYMBOLS:
        query = "SELECT max(ticked_at) FROM upc_data.tick WHERE symbol = %s"
        newest = rows(market, query, symbol)[0][0]
        assert instant(read(tmp_path, symbol, "live_probabilities")["timestamp"]) == newest
        for name in ("strike_table", "watchlist"):
            assert instant(read(tmp_path, symbol, name)["last_updated"]) == newest


def test_one_process_ticks_a_symbol(market: str, tmp_path: Path) -> None:
    first = ("--symbol", "BTC", "--interval", "0.2", "--out", tmp_path / "first")
    with ticking(market, *SIMULATED, *first) as process:
        until(lambda: count(market))
        once = (*SIMULATED, "--once", "--out", tmp_path / "second")
        assert pyupc(market, *once, "--symbol", "BTC").returncode == 1
        # The lease that it took first is given back.
        assert pyupc(market, *once, "--symbol", "ETH", "--symbol", "BTC").returncode == 1
        assert rows(market, "SELECT symbol FROM upc_data.tick_lease") == [("BTC",)]
        assert pyupc(market, *once, "--symbol", "ETH").returncode == 0
        before = count(market)
        until(lambda: count(market) > before + 1)
        process.terminate()
        assert ended(process)[0] == 0
    assert not (tmp_path / "second" / "btc_watchlist.json").exists()


@pytest.mark.parametrize(("expires", "code"), [("1 hour", 1), ("-1 second", 0)])
def test_a_lease_is_taken_over_once_it_has_expired(
    market: str, tmp_path: Path, expires: str, code: int
) -> None:
    with connect(market) as conn:
        conn.execute(
            "INSERT INTO upc_data.tick_lease VALUES"
            " ('BTC', 'someone', now() - interval '1 day', now() + %s::interval)",
            (expires,),
        )
    options = ("--once", "--symbol", "BTC", "--out", tmp_path)
    assert pyupc(market, *SIMULATED, *options).returncode == code
    holders = [("someone",)] if code else []
    assert rows(market, "SELECT holder FROM upc_data.tick_lease") == holders


def test_a_lease_lost_to_another_ends_it(market: str, tmp_path: Path) -> None:
    options = ("--symbol", "BTC", "--interval", "0.1", "--out", tmp_path)
    with ticking(market, *SIMULATED, *options) as process:
        until(lambda: count(market))
        with connect(market) as conn:
            conn.execute(
                "UPDATE upc_data.tick_lease"
                " SET holder = 'someone', expires_at = now() + interval '1 hour'"
            )
        assert ended(process) == (1, "")
    assert rows(market, "SELECT holder FROM upc_data.tick_lease") == [("someone",)]


def test_the_lease_is_an_interval_and_three_quarters_of_a_second(
    market: str, tmp_path: Path
) -> None:
    for interval, seconds in (("0.5", 1.25), ("3", 3.75)):
        options = ("--symbol", "BTC", "--interval", interval, "--out", tmp_path)
        with ticking(market, *SIMULATED, *options) as process:
            until(lambda: count(market, "tick_lease"))
            query = "SELECT l.expires_at - t.ticked_at, l.holder FROM upc_data.tick_lease AS l,"
            query += " LATERAL (SELECT max(ticked_at) AS ticked_at FROM upc_data.tick) AS t"
            lease, holder = rows(market, query)[0]
            assert lease.total_seconds() == pytest.approx(seconds, abs=0.4)
            assert str(process.pid) in holder
            process.terminate()
            assert ended(process)[0] == 0


# Refusals.


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (1, ["--once", "--symbol", "DOGE"]),
        (1, ["--once", "--from", "2020-01-01T00:00Z"]),
        (1, ["--once", "--out", "/dev/null/live"]),
        (2, ["--once", "--count", "3"]),
        (2, ["--once", "--seed", "1"]),
        (2, ["--once", "--feed", "simulated", "--speed", "2"]),
        (2, ["--once", "--feed", "tea leaves"]),
        (2, ["--once", "--interval", "nan"]),
        (2, ["--once", "--from", "yesterday"]),
    ],
)
def test_refusals_at_the_start(
    market: str, tmp_path: Path, code: int, arguments: list[str]
) -> None:
    assert pyupc(market, "tick", "--out", tmp_path / "live", *arguments).returncode == code
    assert count(market) == 0
    assert count(market, "tick_lease") == 0


def test_without_candles_it_is_refused_and_with_some_it_begins(
    fresh_db: str, tmp_path: Path
) -> None:
    once = (*REPLAY, "--once", "--out", tmp_path)
    assert pyupc(fresh_db, *once).returncode == 1
    fill(fresh_db, ("BTC",))
    assert pyupc(fresh_db, *once, "--symbol", "ETH").returncode == 1
    # All that are registered: those that can.
    assert pyupc(fresh_db, *once).returncode == 0
    assert sorted(path.name[:3] for path in tmp_path.glob("*.json")) == [*["btc"] * 5, "upc"]
    assert count(fresh_db, "tick_lease") == 0


def test_no_server_is_exit_code_3(tmp_path: Path) -> None:
    dsn = f"host={tmp_path} dbname=nothing"
    assert pyupc(dsn, *SIMULATED, "--once", "--out", tmp_path).returncode == 3


@pytest.mark.parametrize("revision", ["0001", "9999", None])
def test_another_schema_is_exit_code_4(
    fresh_db: str, empty_db: str, tmp_path: Path, revision: str | None
) -> None:
    dsn = fresh_db if revision else empty_db
    if revision:
        with connect(dsn) as conn:
            conn.execute("UPDATE upc_data.alembic_version SET version_num = %s", (revision,))
    assert pyupc(dsn, *SIMULATED, "--once", "--out", tmp_path).returncode == 4


# Import cost

LIST_MODULES = """
import sys
import psycopg, click
known = set(sys.modules)
from pyupc.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert end.code == 0, end.code
new = {name.partition(".")[0] for name in set(sys.modules) - known}
print(*sorted(new - sys.stdlib_module_names))
with open("/proc/self/status") as status:
    print(*[line.split()[1] for line in status if line.startswith("VmHWM")])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc here")
def test_it_imports_psycopg_and_click_and_stays_below_48_mb(market: str, tmp_path: Path) -> None:
    options = (*SIMULATED, "--count", "3", "--interval", "0.05", "--out", str(tmp_path))
    result = subprocess.run(
        [sys.executable, "-c", LIST_MODULES, *options],
        env={**os.environ, "PYUPC_DSN": market, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    modules, peak = result.stdout.splitlines()
    assert modules == "pyupc"
    assert int(peak) < 48 * 1024
