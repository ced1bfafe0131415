"""`pyupc fingerprints`: what it builds, what it leaves behind when interrupted, what it prints."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from pyupc.cli import main
from pyupc.database.connect import connect
from pyupc.fingerprints.pieces import Piece, Queue
from tests.support.candle_changes import write_candles
from tests.support.warm_process import COMMAND, Pyupc

Connection = psycopg.Connection[tuple[Any, ...]]

ROOT = Path(__file__).parents[2]

# Some weeks around a year's end and some in the middle of a year: four pieces.
SPANS = [("2023-12-22", "2024-01-10"), ("2024-06-24", "2024-07-08")]
BASELINE = "btc_fingerprint_directional_baseline"


def pyupc(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["fingerprints", *arguments])


def started(*arguments: str) -> subprocess.Popen[str]:
    return Pyupc(
        [*COMMAND, "fingerprints", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def simulate(conn: Connection, symbol: str, since: str, until: str) -> None:
    conn.execute(
        "INSERT INTO upc_data.candle SELECT * FROM upc.simulated_candles(%s, %s, %s)",
        [symbol, f"{since}Z", f"{until}Z"],
    )
    conn.execute("SELECT upc.note_candle_changes(%s, %s, %s)", [symbol, f"{since}Z", f"{until}Z"])


def contents(conn: Connection) -> dict[str, list[str]]:
    """Every row of everything that a build writes, as text (NaN equals NaN then), times apart."""
    tables = {
        "upc_data.fingerprint_histogram": "h",
        "upc_data.counted_day": "h",
        "upc_data.candle_change": "(h.symbol, h.day)",
        "upc_data.fingerprint_build": "(h.symbol, h.completed_at IS NOT NULL)",
        "upc.fingerprint_curve": "h",
        "upc.fingerprint_grid": "h",
        "upc_data.volatility_histogram": "h",
        "upc_data.volatility_day": "(h.symbol, h.generation, h.day, h.closes, h.forecasts)",
        "upc_data.volatility_change": "(h.symbol, h.day)",
        "upc_data.fit_change": "(h.symbol, h.day)",
        "upc_data.volatility_fit": "(h.symbol, h.fitted_until, h.completed_at IS NOT NULL, "
        "h.factors, h.coefficients, h.used_factors, h.used_coefficients)",
        "upc_data.volatility_state": "h",
        "upc.volatility_curve": "h",
    }
    return {
        table: [
            row for (row,) in conn.execute(f"SELECT ({what})::text FROM {table} AS h ORDER BY 1")
        ]
        for table, what in tables.items()
    }


def built_in_sql(conn: Connection) -> dict[str, list[str]]:
    """The same candles counted again by the SQL function, in one transaction a symbol."""
    for symbol in ("BTC", "ETH"):
        conn.execute("SELECT upc.reset_fingerprints(%s)", [symbol])
        conn.execute("SELECT upc.build_fingerprints(%s)", [symbol])
    return contents(conn)


@pytest.fixture
def candles(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A connection to a database with BTC candles in four pieces, and PYUPC_DSN set to it."""
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    with connect(fresh_db) as conn:
        for since, until in SPANS:
            simulate(conn, "BTC", since, until)
        yield conn


@contextmanager
def last_piece_held(dsn: str) -> Iterator[Connection]:
    """Make the build wait for the days of July, until the block ends."""
    with connect(dsn, autocommit=False) as holder:
        holder.execute("SELECT FROM upc_data.candle_change WHERE day >= '2024-07-02' FOR UPDATE")
        yield holder
        holder.rollback()


def wait_for(conn: Connection, query: str, process: subprocess.Popen[str]) -> None:
    """Wait until the query returns true; the test's time limit ends it otherwise."""
    while conn.execute(query).fetchone() != (True,):
        assert process.poll() is None, process.communicate()


# All pieces but the one that is held are committed, and its worker is waiting.
HELD = """
    SELECT (SELECT count(*) FROM upc.build_pieces('BTC')) = 1
        AND EXISTS (
            SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
                AND query LIKE '%upc.count_days%'
        )
"""


# build


def test_a_build_is_the_one_of_sql(candles: Connection) -> None:
    simulate(candles, "ETH", "2024-03-01", "2024-03-04")
    result = pyupc("build", "--json")
    assert result.exit_code == 0, result.stderr
    found = contents(candles)
    assert candles.execute(
        "SELECT array_agg(DISTINCT c.symbol ORDER BY c.symbol) FROM upc.fingerprint_curve AS c"
    ).fetchone() == (["*", "BTC", "ETH"],)
    for notes in ("candle_change", "volatility_change", "fit_change"):
        assert found[f"upc_data.{notes}"] == []
    assert candles.execute(
        "SELECT array_agg(DISTINCT c.symbol ORDER BY c.symbol) FROM upc.volatility_curve AS c"
    ).fetchone() == (["BTC", "ETH"],)

    document = json.loads(result.stdout)
    btc, eth = document["results"]
    counted = candles.execute(
        "SELECT symbol, count(*)::integer FROM upc_data.counted_day GROUP BY 1 ORDER BY 1"
    ).fetchall()
    # The days before and after a span are looked at too, and stay empty.
    assert counted == [("BTC", 19 + 14), ("ETH", 3)]
    assert (btc["days_in_all"], eth["days_in_all"]) == (33, 3)
    assert (btc["days"], eth["days"]) == (33 + 4, 3 + 2)
    # Each span of n minutes has n - t pairs of closes t minutes apart.
    pairs = sum(days * 1440 - t for days in (19, 14) for t in range(1, 61))
    assert btc["pairs_in_all"] == pairs
    assert document["seconds"] > 0

    assert found == built_in_sql(candles)


@pytest.mark.slow
def test_a_correction_and_a_rebuild_end_in_the_same_tables(candles: Connection) -> None:
    assert pyupc("build", "--symbol", "BTC").exit_code == 0
    write_candles(
        candles,
        "UPDATE upc_data.candle SET close = low WHERE opened_at BETWEEN %s AND %s",
        [datetime(2023, 12, 31, 23, tzinfo=UTC), datetime(2024, 1, 1, 1, tzinfo=UTC)],
    )
    result = pyupc("build", "--symbol", "BTC", "--json")
    assert json.loads(result.stdout)["results"][0]["days"] == 2
    corrected = contents(candles)

    rebuilt = pyupc("build", "--symbol", "BTC", "--rebuild", "--json")
    assert json.loads(rebuilt.stdout)["results"][0]["days"] == 33
    assert contents(candles) == corrected


def test_without_candles_there_is_nothing_to_count(
    fresh_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    result = pyupc("build", "--json")
    assert result.exit_code == 0, result.stderr
    assert [each["fingerprints"] for each in json.loads(result.stdout)["results"]] == [0, 0]


@pytest.mark.slow
def test_an_interrupted_build_is_taken_up_again(candles: Connection) -> None:
    with last_piece_held(os.environ["PYUPC_DSN"]):
        process = started("build")
        wait_for(candles, HELD, process)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, ""), errors
    assert "Traceback" not in errors
    assert candles.execute("SELECT count(*) FROM upc_data.counted_day").fetchone() == (26,)
    assert candles.execute(
        "SELECT is_complete FROM upc.fingerprint_state WHERE symbol = 'BTC'"
    ).fetchone() == (False,)
    candles.execute("SELECT upc.refresh_fingerprints()")
    assert candles.execute("SELECT count(*) FROM upc.fingerprint_curve").fetchone() == (0,)

    result = pyupc("build", "--json")
    assert json.loads(result.stdout)["results"][0]["days"] == 8
    found = contents(candles)
    assert found["upc.fingerprint_curve"] != []
    assert found == built_in_sql(candles)


@contextmanager
def last_standardised_piece_held(dsn: str) -> Iterator[Connection]:
    with connect(dsn, autocommit=False) as holder:
        holder.execute(
            "SELECT FROM upc_data.volatility_change WHERE day >= '2024-07-02' FOR UPDATE"
        )
        yield holder
        holder.rollback()


STANDARDISED_HELD = """
    SELECT (SELECT count(*) FROM upc.volatility_pieces('BTC')) = 1
        AND EXISTS (
            SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
                AND query LIKE '%upc.count_%days%'
        )
"""


@pytest.mark.slow
def test_a_build_interrupted_among_standardised_moves_is_taken_up_again(
    candles: Connection,
) -> None:
    with last_standardised_piece_held(os.environ["PYUPC_DSN"]):
        process = started("build")
        wait_for(candles, STANDARDISED_HELD, process)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, ""), errors
    assert "Traceback" not in errors
    candles.execute("SELECT upc.refresh_fingerprints()")
    assert candles.execute("SELECT count(*) FROM upc.volatility_curve").fetchone() == (0,)
    assert candles.execute("SELECT upc.volatility('BTC')").fetchone() == (None,)

    assert pyupc("build").exit_code == 0
    found = contents(candles)
    assert found["upc.volatility_curve"] != []
    assert found == built_in_sql(candles)


@pytest.mark.slow
def test_a_new_fit_hides_no_plain_fingerprint(candles: Connection) -> None:
    """Nor does it stop forecasts, until all that stands on it is counted."""
    assert pyupc("build").exit_code == 0
    before = contents(candles)
    known = candles.execute("SELECT upc.volatility('BTC')").fetchone()
    candles.execute("UPDATE upc_data.volatility_fit SET factors = array_fill(99, '{10080}')")
    candles.execute("INSERT INTO upc_data.fit_change (symbol, day) VALUES ('BTC', '2024-01-01')")
    with connect(os.environ["PYUPC_DSN"], autocommit=False) as holder:
        holder.execute("LOCK TABLE upc_data.volatility_histogram IN SHARE MODE")
        process = started("build")
        wait_for(candles, HELD_FIT, process)
        candles.execute("SELECT upc.refresh_fingerprints()")
        assert contents(candles)["upc.fingerprint_curve"] == before["upc.fingerprint_curve"]
        assert candles.execute("SELECT upc.volatility('BTC')").fetchone() == known
        holder.rollback()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert contents(candles) == before


HELD_FIT = """
    SELECT EXISTS (
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'
            AND query LIKE '%upc.prepare_volatility%'
    )
"""


@pytest.mark.slow
def test_a_build_without_pieces_left_is_completed(candles: Connection) -> None:
    candles.execute("SELECT upc.begin_build('BTC')")
    for (days,) in candles.execute("SELECT days FROM upc.build_pieces('BTC')").fetchall():
        candles.execute("SELECT upc.count_days('BTC', %s::date[])", [days])
    result = pyupc("build", "--symbol", "BTC", "--json")
    assert json.loads(result.stdout)["results"][0]["days"] == 0
    assert candles.execute(
        "SELECT is_complete FROM upc.fingerprint_state WHERE symbol = 'BTC'"
    ).fetchone() == (True,)
    assert candles.execute("SELECT count(*) > 0 FROM upc.fingerprint_curve").fetchone() == (True,)


@pytest.mark.slow
def test_a_second_build_is_refused(candles: Connection) -> None:
    with last_piece_held(os.environ["PYUPC_DSN"]):
        process = started("build", "--symbol", "BTC")
        wait_for(candles, HELD, process)
        assert pyupc("build", "--rebuild").exit_code == 1
        small = pyupc("build", "--symbol", "BTC")
        assert (small.exit_code, small.stdout) == (1, "")
        with pytest.raises(psycopg.errors.LockNotAvailable) as refused:
            candles.execute("SELECT upc.build_fingerprints('BTC')")
        assert refused.value.sqlstate == "55P03"
        # Nobody builds ETH.
        assert pyupc("build", "--symbol", "ETH").exit_code == 0
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert contents(candles)["upc_data.candle_change"] == []


@pytest.mark.slow
def test_a_lost_server_exits_with_3(candles: Connection) -> None:
    with last_piece_held(os.environ["PYUPC_DSN"]):
        process = started("build")
        wait_for(candles, HELD, process)
        candles.execute(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'pyupc fingerprints build'
            """
        )
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 3, errors
    assert "Traceback" not in errors
    assert pyupc("build").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["build", "--symbol", "DOGE"], 1),
        (["list", "--symbol", "DOGE"], 1),
        (["show", "btc_baseline"], 1),
        (["show", BASELINE], 1),
        (["show", BASELINE, "--ttc", "61"], 2),
        (["show", BASELINE, "--json", "--csv"], 2),
        (["show"], 2),
    ],
)
def test_what_does_not_exist_is_refused(
    fresh_db: str, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int
) -> None:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    result = pyupc(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["pyupc", "hint"]


@pytest.mark.parametrize("arguments", [["build"], ["list"], ["show", BASELINE]])
def test_a_database_without_schema_exits_with_4(
    empty_db: str, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("PYUPC_DSN", empty_db)
    assert pyupc(*arguments).exit_code == 4


# Distribution of work among workers


def test_two_workers_take_different_years_and_large_pieces_first() -> None:
    def piece(symbol: str, year: int, days: int) -> Piece:
        return Piece(symbol, tuple(date(year, 1, 1 + day) for day in range(days)))

    queue = Queue([piece("A", 2023, 3), piece("A", 2024, 9), piece("A", 2024, 8)])
    taken: list[Piece] = []
    take: Callable[[], Piece | None] = queue.take
    for _ in range(2):
        found = take()
        assert found is not None
        taken.append(found)
    assert [len(each.days) for each in taken] == [9, 3]
    queue.finish(taken[0])
    last = take()
    assert last is not None
    assert len(last.days) == 8
    assert take() is None


# list and show


@pytest.fixture
def built(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    with connect(fresh_db) as conn:
        simulate(conn, "BTC", "2024-03-01", "2024-03-03")
        conn.execute("SELECT upc.build_fingerprints('BTC')")
        yield conn


def test_list_has_the_catalogue_and_the_builds(built: Connection) -> None:
    simulate(built, "ETH", "2024-03-01", "2024-03-02")
    document = json.loads(pyupc("list", "--json").stdout)
    names = [each["fingerprint"] for each in document["fingerprints"]]
    assert len(names) == len(set(names)) == 125
    (baseline,) = [each for each in document["fingerprints"] if each["fingerprint"] == BASELINE]
    # Two days of minutes: the pairs one and sixty minutes apart.
    assert (baseline["largest_sample"], baseline["smallest_sample"]) == (2879, 2820)
    assert (baseline["minutes"], baseline["symbol"], baseline["bucket"]) == (60, "BTC", 99)
    btc, eth = document["builds"]
    assert (btc["is_complete"], btc["days_counted"], btc["days_pending"]) == (True, 2, 0)
    assert (eth["is_complete"], eth["days_counted"], eth["days_pending"]) == (False, 0, 3)

    assert len(json.loads(pyupc("list", "--symbol", "eth", "--json").stdout)["fingerprints"]) == 62
    text = pyupc("list")
    assert text.exit_code == 0
    assert len(text.stdout.splitlines()) == 1 + 125 + 1 + 2


def test_show_needs_no_named_view(built: Connection) -> None:
    """A symbol without views of its own has no numbers yet, and no wrong name."""
    built.execute("SELECT upc.add_symbol('SOL', 2)")
    done = pyupc("show", "sol_fingerprint_directional_baseline")
    assert done.exit_code == 1
    assert "has no numbers yet" in done.stderr
    built.execute("SELECT upc.drop_named_views('BTC')")
    assert len(json.loads(pyupc("show", BASELINE, "--json").stdout)["rows"]) == 60
    built.execute("SELECT upc.create_named_views('BTC')")


def test_show_prints_the_named_view(built: Connection) -> None:
    expected = built.execute(
        f"SELECT minutes_to_close, pos_0_05, neg_2_95 FROM analytics.{BASELINE} ORDER BY 1"
    ).fetchall()
    document = json.loads(pyupc("show", BASELINE, "--json").stdout)
    found = [(r["minutes_to_close"], r["pos_0_05"], r["neg_2_95"]) for r in document["rows"]]
    assert found == [(m, float(p), float(n)) for m, p, n in expected]
    assert len(document["rows"][0]) == 122

    rows = list(csv.DictReader(io.StringIO(pyupc("show", BASELINE, "--csv").stdout)))
    assert [(int(r["minutes_to_close"]), r["pos_0_05"]) for r in rows] == [
        (m, f"{p}") for m, p, _ in expected
    ]

    (row,) = json.loads(pyupc("show", BASELINE, "--ttc", "7", "--json").stdout)["rows"]
    assert row == document["rows"][6]
    assert len(pyupc("show", BASELINE).stdout.splitlines()) == 61
