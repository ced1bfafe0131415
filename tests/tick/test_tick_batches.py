"""Many symbols: batches on two connections, shares of several processes, ticks without files."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from pyupc.database.connect import connect
from pyupc.tick.roster import Share
from tests.support.market import SYMBOLS, pyupc, read, rows
from tests.support.ticking import SIMULATED, count, ended, in_place, ticking, until


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in an empty folder."""
    monkeypatch.chdir(tmp_path)


def register(dsn: str, symbols: Iterable[str]) -> None:
    with connect(dsn) as conn:
        for symbol in symbols:
            conn.execute("SELECT upc.add_symbol(%s, 1)", (symbol,))


def unregister(dsn: str, symbol: str) -> None:
    with connect(dsn) as conn:
        conn.execute("DELETE FROM upc_data.symbol WHERE symbol = %s", (symbol,))


def ticked(dsn: str) -> dict[str, list[int]]:
    query = "SELECT symbol, array_agg(tick_id ORDER BY ticked_at) FROM upc_data.tick GROUP BY 1"
    return dict(rows(dsn, query))


MANY = [f"S{number:02}" for number in range(70)]


def test_many_symbols_without_files(market: str, tmp_path: Path) -> None:
    register(market, MANY)
    options = ("--no-files", "--interval", "0.2", "--count", "4")
    with ticking(market, *SIMULATED, *options) as process:
        query = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'pyupc tick' AND datname = current_database()"
        )
        until(lambda: process.poll() is not None or rows(market, query)[0][0] == 2)
        assert process.poll() is None
        assert ended(process) == (0, "")
    assert ticked(market) == {symbol: [1, 2, 3, 4] for symbol in (*SYMBOLS, *MANY)}
    assert count(market, "document") == len(SYMBOLS) + len(MANY)
    assert count(market, "tick_lease") == 0
    assert list(tmp_path.rglob("*")) == []


def test_many_symbols_with_files(market: str, tmp_path: Path) -> None:
    register(market, MANY)
    out = tmp_path / "live"
    outcome = pyupc(market, *SIMULATED, "--once", "--out", out, "--json")
    assert outcome.returncode == 0
    printed = {document["symbol"]: document for document in json.loads(outcome.stdout)}
    assert printed.keys() == {*SYMBOLS, *MANY}
    for symbol, document in printed.items():
        assert read(out, symbol, "live_probabilities") == document
        assert read(out, symbol, "strike_table")["tick_id"] == 1


def test_documents_are_printed_where_none_are_written(market: str, tmp_path: Path) -> None:
    outcome = pyupc(market, *SIMULATED, "--once", "--no-files", "--json")
    assert [document["symbol"] for document in json.loads(outcome.stdout)] == list(SYMBOLS)
    assert list(tmp_path.iterdir()) == []


def test_symbols_that_come_and_go_are_noticed(market: str, tmp_path: Path) -> None:
    options = ("--interval", "0.1", "--out", tmp_path)
    with ticking(market, *SIMULATED, *options) as process:
        until(lambda: in_place(tmp_path))
        register(market, ["SOL"])
        until(lambda: in_place(tmp_path, ("SOL",)))
        unregister(market, "SOL")
        newest = count(market)
        until(lambda: count(market) > newest + 20)
        before = len(ticked(market)["SOL"])
        until(lambda: count(market) > newest + 40)
        assert len(ticked(market)["SOL"]) == before
        process.terminate()
        assert ended(process)[0] == 0
    # Each was ticked in a row of its own, without a gap.
    for numbers in ticked(market).values():
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_named_symbol_that_goes_leaves_the_others_ticking(market: str, tmp_path: Path) -> None:
    register(market, ["SOL"])
    options = ("--symbol", "BTC", "--symbol", "SOL", "--interval", "0.1", "--out", tmp_path)
    with ticking(market, *SIMULATED, *options) as process:
        until(lambda: in_place(tmp_path, ("BTC", "SOL")))
        unregister(market, "SOL")

        def problems() -> list[str]:
            with suppress(FileNotFoundError):
                status = json.loads((tmp_path / "upc_status.json").read_text())
                return list(map(str, status["problems"]))
            return []

        until(lambda: any("SOL" in problem for problem in problems()))
        before = len(ticked(market)["BTC"])
        until(lambda: len(ticked(market)["BTC"]) > before + 5)
        process.terminate()
        assert ended(process)[0] == 0


def test_processes_share_the_symbols(market: str, tmp_path: Path) -> None:
    register(market, MANY)
    options = ("--no-files", "--interval", "0.3", "--count", "3")

    def run(place: int) -> subprocess.CompletedProcess[str]:
        return pyupc(market, *SIMULATED, *options, "--share", f"{place}/3")

    with ThreadPoolExecutor(3) as pool:
        assert [each.returncode for each in pool.map(run, (1, 2, 3))] == [0, 0, 0]
    assert ticked(market) == {symbol: [1, 2, 3] for symbol in (*SYMBOLS, *MANY)}


def test_a_share_may_be_empty(market: str, tmp_path: Path) -> None:
    places = [place for place in range(1, 100) if not Share(place, 99).of(SYMBOLS)]
    options = ("--no-files", "--once", "--share", f"{places[0]}/99")
    outcome = pyupc(market, *SIMULATED, *options)
    assert outcome.returncode == 0
    assert ticked(market) == {}


@pytest.mark.parametrize(
    "options",
    [
        ("--share", "0/2"),
        ("--share", "3/2"),
        ("--share", "1/0"),
        ("--share", "half"),
        ("--share", ""),
        ("--share", "-1/2"),
        ("--no-files", "--out", "elsewhere"),
        ("--no-files", "--legacy-layout"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    market: str, tmp_path: Path, options: Sequence[str]
) -> None:
    outcome = pyupc(market, *SIMULATED, "--once", *options)
    assert outcome.returncode == 2
    assert count(market) == 0


@contextmanager
def constrained(dsn: str, condition: str) -> Any:
    with connect(dsn) as conn:
        conn.execute(f"ALTER TABLE upc_data.tick ADD CONSTRAINT mine CHECK ({condition})".encode())
        yield
        conn.execute("ALTER TABLE upc_data.tick DROP CONSTRAINT mine")


def test_one_that_cannot_be_logged_stops_no_other(market: str, tmp_path: Path) -> None:
    register(market, MANY)
    options = ("--no-files", "--interval", "0.2", "--count", "3")
    with constrained(market, "symbol <> 'S07'"):
        outcome = pyupc(market, *SIMULATED, *options)
    assert outcome.returncode == 0
    found = ticked(market)
    assert set(found) == {*SYMBOLS, *MANY} - {"S07"}
    # A busy machine may miss a round.
    assert all(numbers in ([1, 2], [1, 2, 3]) for numbers in found.values())
    # Once, not every round.
    assert outcome.stderr.count("S07 is not ticked") == 1


@pytest.mark.slow
def test_one_that_never_answers_stops_no_other_for_ever(market: str, tmp_path: Path) -> None:
    """Its batch is given up once; from then on it is asked about alone."""
    register(market, MANY)
    options = ("--no-files", "--interval", "0.2", "--count", "3")
    with constrained(market, "symbol <> 'S07' OR pg_sleep(30)::text = ''"):
        outcome = pyupc(market, *SIMULATED, *options)
    assert outcome.returncode == 0
    found = ticked(market)
    assert "S07" not in found
    assert {len(numbers) for numbers in found.values()} <= {2, 3}
