"""Arguments, pairs and early ends of `pyupc candles backfill`; `pyupc candles gaps`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from pyupc.database.connect import connect
from tests.candles.coinbase import (
    EPOCH,
    ROOT,
    START,
    Coinbase,
    arguments,
    backfill,
    candles,
    holes,
    moment,
    put,
    refused,
    run,
    start,
    stored,
    stored_row,
    wait_for,
)
from tests.support.times_of_day import away_from_the_minute

# Pairs and exchanges


def test_another_dollar(server: Coinbase, dsn: str) -> None:
    server.pairs = ["BTC-EUR", "BTC-USDC", "BTC-USDT"]
    result = run(*arguments(START, START + 10, "--json"))
    assert result.exit_code == 0, result.stderr
    assert "BTC/USDT" in result.stderr
    assert json.loads(result.stdout)[0]["pair"] == "BTC/USDT"


def test_a_pair_that_is_not_listed(server: Coinbase, dsn: str) -> None:
    server.pairs = ["BTC-EUR", "ETH-USD"]
    result = run(*arguments(START, START + 10))
    refused(result)
    assert "BTC/EUR" in result.stderr
    with connect(dsn) as conn:
        conn.execute("UPDATE upc_data.symbol SET exchange_pair = 'BTC/EUR' WHERE symbol = 'BTC'")
    assert backfill(START, START + 10)["pair"] == "BTC/EUR"


def test_of_several_the_listed_ones_are_filled(server: Coinbase, dsn: str) -> None:
    server.pairs = ["ETH-USD"]
    with connect(dsn) as conn:
        conn.execute("SELECT upc.add_symbol('DOGE', 0.01, 'DOGE/USD')")
    symbols = ("--symbol", "BTC", "--symbol", "ETH", "--symbol", "DOGE")
    span = ("--since", moment(START), "--until", moment(START + 10))
    result = run("backfill", *symbols, *span, "--json")
    assert result.exit_code == 1
    assert [(row["symbol"], row["new"]) for row in json.loads(result.stdout)] == [("ETH", 10)]
    for symbol in ("BTC", "DOGE"):
        assert len([line for line in result.stderr.splitlines() if f"{symbol}/USD," in line]) == 1


def test_a_symbol_without_a_pair(server: Coinbase, dsn: str) -> None:
    with connect(dsn) as conn:
        conn.execute("UPDATE upc_data.symbol SET exchange_pair = NULL WHERE symbol = 'BTC'")
    assert backfill(START, START + 10)["pair"] == "BTC/USD"


def test_an_unknown_exchange(dsn: str) -> None:
    result = run("backfill", "--exchange", "coinbas", "--since", "2024-01-01")
    refused(result)
    assert "coinbase" in result.stderr


def test_without_ccxt(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ccxt", None)
    result = run("backfill", "--since", "2024-01-01")
    refused(result)
    assert "pyupc[feeds]" in result.stderr


def test_only_one_exchange_is_imported(server: Coinbase) -> None:
    program = (
        "import sys; from pyupc.exchange.history import Exchange\n"
        "with Exchange('coinbase', print) as exchange: print(exchange.pair('BTC', None))\n"
        "assert 'ccxt.kraken' not in sys.modules\n"
        "import ccxt; assert ccxt.kraken().id == 'kraken'\n"
        "with Exchange('kraken', print) as exchange: print(exchange.page_size)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "BTC/USD\n720\n"), done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--since", "2999-01-01"],
        ["--since", "2024-01-01", "--until", "2999-01-01"],
        ["--since", "2024-01-02", "--until", "2024-01-01"],
        ["--since", "2024-01-01", "--until", "2024-01-01"],
        ["--since", "1969-12-31"],
        ["--since", "yesterday"],
        ["--since", "2024-13-01"],
        ["--since", "0001-01-01T00:00+14:00"],
        ["--nonsense"],
    ],
)
@pytest.mark.parametrize("command", ["backfill", "gaps"])
def test_usage(command: str, options: list[str]) -> None:
    """Decided before anything is connected to."""
    refused(run(command, *options), 2)


def test_nothing_to_ask_for(server: Coinbase, dsn: str) -> None:
    refused(run("backfill", "--symbol", "BTC"), 2)
    away_from_the_minute()
    refused(run(*arguments(int(time.time() // 60), None)), 2)
    refused(run(*arguments(START, START + 1, symbol="XYZ")))
    assert server.asked == []


def test_offsets_and_seconds(server: Coinbase, dsn: str) -> None:
    since, until = "2024-01-01T01:00:30+01:00", "2024-01-01T00:04:59"
    result = run("backfill", "--symbol", "btc", "--since", since, "--until", until)
    assert result.exit_code == 0, result.stderr
    assert stored(dsn) == candles((START + 1, START + 4))


# Ends that come early, and two at once


def test_interrupted_and_resumed(server: Coinbase, dsn: str) -> None:
    server.gated = 3
    with start(*arguments(START, START + 1000)) as process:
        wait_for(lambda: len(server.asked) == 3)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, ""), errors
    assert "600 candles stored" in errors
    assert "Traceback" not in errors
    assert stored(dsn) == candles((START + 400, START + 1000))

    server.asked.clear()
    assert backfill(START, START + 1000)["new"] == 400
    assert max(after for _, after in server.asked) == START + 400
    assert stored(dsn) == candles((START, START + 1000))


def test_a_lost_database_exits_with_3(server: Coinbase, dsn: str) -> None:
    server.gated = 3
    with start(*arguments(START, START + 1000)) as process:
        wait_for(lambda: len(server.asked) == 3)
        with connect(dsn) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        server.gate.set()
        out, errors = process.communicate(timeout=30)
    assert (process.returncode, out) == (3, ""), errors
    assert "600 candles stored" in errors
    assert "Traceback" not in errors
    assert stored(dsn) == candles((START + 400, START + 1000))


def test_two_at_once(server: Coinbase, dsn: str) -> None:
    server.lacks = {START + minute for minute in (0, 7, 8, 650, 1000, 1499)}
    server.gated = 1
    processes = [start(*arguments(START, START + 1500, "--json")) for _ in range(2)]
    wait_for(lambda: len(server.asked) >= 2)
    server.gate.set()
    summaries = []
    for process in processes:
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        summaries += json.loads(out)
    assert sum(summary["new"] for summary in summaries) == 1494
    assert [summary["changed"] for summary in summaries] == [0, 0]
    expected = [m for m in range(START, START + 1500) if m not in server.lacks]
    assert stored(dsn) == [stored_row(minute) for minute in expected]
    assert [(first, after) for _, first, after in holes(dsn)] == [
        (0, 1),
        (7, 9),
        (650, 651),
        (1000, 1001),
        (1499, 1500),
    ]


def test_an_old_schema_exits_with_4(server: Coinbase, dsn: str) -> None:
    with connect(dsn) as conn:
        conn.execute("UPDATE upc_data.alembic_version SET version_num = '0000'")
    refused(run(*arguments(START, START + 10)), 4)
    refused(run("gaps"), 4)


# Gaps


def test_gaps(server: Coinbase, dsn: str) -> None:
    put(dsn, [START, START + 5, START + 10])
    with connect(dsn) as conn:
        query = "SELECT upc.record_candle_hole('BTC', %s, %s, %s)"
        conn.execute(query, ["kraken", *(EPOCH + timedelta(minutes=START + m) for m in (8, 20))])
    rows = json.loads(run("gaps", "--symbol", "BTC", "--json").stdout)
    assert rows == [
        {
            "symbol": "BTC",
            "from": moment(START + first),
            "until": moment(START + after),
            "minutes": after - first,
            "exchanges": exchanges,
        }
        for first, after, exchanges in [(1, 5, []), (6, 8, []), (8, 10, ["kraken"])]
    ]
    assert json.loads(run("gaps", "--symbol", "ETH", "--json").stdout) == []
    bounds = ["--since", moment(START + 9), "--until", moment(START + 12)]
    narrow = json.loads(run("gaps", "--symbol", "BTC", *bounds, "--json").stdout)
    assert [(row["from"], row["minutes"]) for row in narrow] == [
        (moment(START + 9), 1),
        (moment(START + 11), 1),
    ]

    result = run("gaps")
    assert result.exit_code == 0, result.stderr
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["symbol", "from", "until", "state", "minutes"]
    assert [line.split()[3:] for line in lines[:3]] == [
        ["open", "4"],
        ["open", "2"],
        ["hole", "of", "kraken", "2"],
    ]
    assert lines[3:] == ["", "BTC: 8 minutes missing", "ETH: 0 minutes missing"]
    refused(run("gaps", "--symbol", "XYZ"))


def test_help_has_examples() -> None:
    for command in ("backfill", "gaps"):
        result = run(command, "--help")
        assert result.exit_code == 0
        assert "Examples:" in result.stdout


@pytest.mark.slow
def test_the_gap_in_real_candles(dsn: str, shared_data: Path) -> None:
    path = shared_data / "btc_1m_2022_2024.csv.gz"
    assert run("load", str(path), "--symbol", "BTC").exit_code == 0
    [gap] = json.loads(run("gaps", "--symbol", "BTC", "--json").stdout)
    assert gap["minutes"] == 80
    assert gap["from"].startswith("2023-03-24T")
    assert gap["until"].startswith("2023-03-24T")
