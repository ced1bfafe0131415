"""`pyupc demo`: from nothing to a ladder, and again with what is there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from pyupc import embedded
from pyupc.cli import main
from pyupc.database.connect import connect
from pyupc.demo.database import DATABASE, open_database
from pyupc.demo.sources import Simulation, missing

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 1, 10, 12, 30, tzinfo=UTC)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A PYUPC_HOME of the test's own, in memory if there is such a folder."""
    memory = Path("/dev/shm")
    parent = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    home = Path(tempfile.mkdtemp(prefix="pyupc-demo-", dir=parent))
    home.chmod(0o711)
    monkeypatch.setenv("PYUPC_HOME", str(home))
    try:
        yield home
    finally:
        embedded.stop(home, notify=lambda message: None)
        shutil.rmtree(home)


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Without a terminal, and with a PYUPC_DSN that leads nowhere."""
    return subprocess.run(
        [sys.executable, "-m", "pyupc", "demo", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYUPC_DSN": "host=/nowhere dbname=nothing"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def one(dsn: str, query: str) -> Any:
    with connect(dsn) as conn:
        row = conn.execute(query).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.slow
def test_the_demo_ticks_and_goes_on_with_what_is_there(home: Path, tmp_path: Path) -> None:
    done = demo("--days", "3", "--count", "3", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "simulated" in done.stderr
    assert "SIMULATED" in done.stdout
    document = json.loads((tmp_path / "btc_live_probabilities.json").read_text())
    assert (document["feed"], document["state"]) == ("simulated", "fresh")
    assert len(document["probabilities"]) == 21
    assert (tmp_path / "eth_strike_table.json").exists()

    dsn = embedded.database_uri(DATABASE)
    contracts = json.loads((tmp_path / "btc_contracts.json").read_text())
    assert contracts["feed"] == "simulated"
    events = {(each["kind"], each["event_ticker"]) for each in contracts["contracts"]}
    assert sorted(kind for kind, _ in events) == ["above", "above", "range", "updown"]
    assert all(ticker.startswith("SIMBTC") for _, ticker in events)
    assert contracts["bets"] or contracts["best_of_rest"]
    trades = json.loads((tmp_path / "btc_active_trades.json").read_text())
    assert [each["ticker"].split("-")[0] for each in trades["active_trades"]] == ["SIMBTCD"]
    assert one(dsn, "SELECT count(*) FROM upc_data.trade WHERE ended_at IS NOT NULL") > 5
    assert one(dsn, "SELECT count(*) FROM upc.judged_strikes('BTC')") > 500
    closed = "SELECT bool_and(results = contracts) FROM upc.closed_events('ETH', most => 100)"
    assert one(dsn, f"{closed} WHERE closes_at < now() - interval '3 minutes'")
    ticks = one(dsn, "SELECT count(*) FROM upc_data.tick")
    assert ticks > 6
    # History and ticks are one path: the candle of a minute ends at the price of its end.
    assert one(
        dsn,
        """
        SELECT bool_and(c.close = upc.simulated_price(c.symbol, c.opened_at + '1 minute', 1))
        FROM upc_data.candle AS c
        WHERE c.opened_at >= (SELECT max(opened_at) - interval '5 minutes' FROM upc_data.candle)
        """,
    )

    with connect(dsn) as conn:
        conn.execute("DELETE FROM upc_data.candle WHERE opened_at > now() - interval '90 minutes'")
    again = demo("--days", "4", "--count", "1", "--out", str(tmp_path))
    assert again.returncode == 0, again.stderr
    assert ticks + 2 <= one(dsn, "SELECT count(*) FROM upc_data.tick") < ticks + 10
    assert one(
        dsn,
        """
        SELECT bool_and(
            minutes = count AND count BETWEEN 4 * 1440 AND 4 * 1440 + 10 AND age < '3 minutes'
        )
        FROM (
            SELECT
                extract(epoch FROM max(opened_at) - min(opened_at)) / 60 + 1 AS minutes,
                count(*),
                now() - max(opened_at) AS age
            FROM upc_data.candle
            GROUP BY symbol
        ) AS c
        """,
    )
    assert one(dsn, "SELECT sum(days_pending) FROM upc.fingerprint_state") == 0

    with psycopg.connect(dsn):
        assert CliRunner().invoke(main, ["demo", "--seed", "2"]).exit_code == 1

    candles = tmp_path / "candles.csv"
    with connect(dsn) as conn, candles.open("wb") as file, conn.cursor() as cursor:
        query = """
            SELECT opened_at AS timestamp, open, high, low, close, volume
            FROM upc_data.candle WHERE symbol = 'BTC' ORDER BY 1
        """
        with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)") as copy:
            for block in copy:
                file.write(block)
    arguments = ("--source", str(candles), "--symbol", "BTC", "--out", str(tmp_path))
    done = demo(*arguments, "--count", "1")
    assert done.returncode == 0, done.stderr
    assert "REPLAY" in done.stdout
    assert one(dsn, "SELECT array_agg(DISTINCT symbol) FROM upc_data.candle") == ["BTC"]
    assert one(dsn, "SELECT count(*) FROM upc_data.tick WHERE feed = 'replay'") == 1
    assert demo(*arguments, "--count", "1").returncode == 0
    assert one(dsn, "SELECT count(*) FROM upc_data.tick") == 2

    with connect(dsn) as conn:
        conn.execute(f"COMMENT ON DATABASE {DATABASE} IS 'mine'")
    result = CliRunner().invoke(main, ["demo", "--count", "1"])
    assert result.exit_code == 1
    assert one(dsn, "SELECT count(*) FROM upc_data.tick") == 2


def test_a_database_is_marked_before_it_has_its_name(home: Path) -> None:
    dsn, is_new = open_database(Simulation())
    assert is_new
    assert open_database(Simulation(days=7)) == (dsn, False)
    assert open_database(Simulation(seed=2)) == (dsn, True)
    names = "SELECT array_agg(datname ORDER BY datname) FROM pg_database WHERE NOT datistemplate"
    assert one(dsn, names) == ["postgres", DATABASE]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (None, None, [(-1440, 0)]),
        (-1440, -1, []),
        (-1440, -31, [(-30, 0)]),
        (-100, -1, [(-1440, -100)]),
        (-100, -2, [(-1440, -100), (-1, 0)]),
        (-3000, -1, []),
    ],
)
def test_what_the_history_lacks(
    first: int | None, last: int | None, expected: list[tuple[int, int]]
) -> None:
    def at(minutes: int) -> datetime:
        return NOW + timedelta(minutes=minutes)

    found = missing(
        None if first is None else at(first), None if last is None else at(last), NOW, days=1
    )
    assert found == [(at(since), at(until)) for since, until in expected]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--source", "candles.csv"], 2),
        (["--source", "candles.csv", "--symbol", "BTC", "--seed", "2"], 2),
        (["--source", "candles.csv", "--symbol", "BTC", "--symbol", "ETH"], 2),
        (["--source", "/nowhere/candles.csv", "--symbol", "BTC"], 1),
        (["--count", "0"], 2),
        (["--days", "0"], 2),
    ],
)
def test_what_does_not_fit_is_refused(arguments: list[str], code: int) -> None:
    result = CliRunner().invoke(main, ["demo", *arguments])
    assert (result.exit_code, result.stdout) == (code, "")
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["pyupc", "hint"]
