"""`pyupc paper`: a run, its ledger and its report."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.support.contract_rows import Contract, Event
from tests.support.engine import open_db
from tests.support.market import pyupc
from tests.support.waiting import until
from tests.support.warm_process import REPOSITORY


@pytest.fixture
def dsn(market: str) -> str:
    """A live tick of BTC whose strike far below the price is offered at 42.75 cents."""
    now = datetime.now(UTC)
    event = Event(
        *("KXBTCD-H", "KXBTCD", now + timedelta(minutes=50), now),
        (Contract("H-1", Decimal(90_000)), Contract("H-2", Decimal(110_000))),
    )
    with open_db(market) as conn:
        event.put(conn)
        conn.execute("SELECT upc.record_price('BTC', 'one', 100000)")
        conn.execute("SELECT upc.tick('BTC', 'database', every => '1 minute')")
    return market


def test_a_round_the_ledger_and_the_report(dsn: str) -> None:
    empty = pyupc(dsn, "paper", "trades")
    assert empty.stdout == "no paper trades: pyupc paper run buys what is suggested\n"
    done = pyupc(dsn, "paper", "run", "--once")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "PAPER BTC: bought" in line]
    assert len(lines) == 2
    assert "Yes $90,000 or above at 42.75¢" in lines[0]
    again = pyupc(dsn, "paper", "run", "--once")
    assert "bought" not in again.stderr
    with open_db(dsn) as conn:
        conn.execute(
            "UPDATE upc_data.market_quote SET result = 'yes', status = 'finalized' "
            "WHERE ticker = 'H-1'"
        )
    done = pyupc(dsn, "paper", "run", "--once", "--symbol", "btc")
    assert "PAPER BTC: Yes $90,000 or above settled as yes: +" in done.stderr
    [first, second] = json.loads(pyupc(dsn, "paper", "trades", "--json").stdout)
    assert {first["ticker"], second["ticker"]} == {"H-1", "H-2"}
    profits = {row["ticker"]: row["profit"] for row in (first, second)}
    [row] = [each for each in (first, second) if each["ticker"] == "H-1"]
    expected = Decimal(str(row["count"])) * (1 - Decimal("0.4275")) - Decimal(str(row["fee"]))
    assert profits == {"H-1": float(expected), "H-2": None}
    table = pyupc(dsn, "paper", "trades").stdout
    assert table.startswith("PAPER")
    assert "open" in table
    report = csv.DictReader(io.StringIO(pyupc(dsn, "paper", "report", "--csv").stdout))
    [summary] = list(report)
    assert (summary["symbol"], summary["bought"], summary["settled"]) == ("BTC", "2", "1")
    assert float(summary["profit"]) == float(expected)
    [tenth] = json.loads(pyupc(dsn, "paper", "report", "--calibration", "--json").stdout)
    assert (tenth["low"], tenth["trades"], tenth["came"]) == (90, 1, 100)


def test_a_run_ends_by_a_signal(dsn: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pyupc", "--dsn", dsn, "paper", "run", "--interval", "0.1"],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with open_db(dsn) as conn:
            count = "SELECT count(*) FROM upc_data.paper_trade"
            until(lambda: conn.execute(count).fetchone() == (2,))
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert stderr.count("PAPER BTC: bought") == 2


def test_without_a_database(tmp_path: str) -> None:
    done = pyupc(f"host={tmp_path} dbname=x", "paper", "run", "--once")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
