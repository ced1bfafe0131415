"""`pyupc tick` as a process of its own, against a real PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from psycopg import errors

from pyupc.database.connect import connect
from tests.python.market import (
    DOCUMENTS,
    REPOSITORY,
    SYMBOLS,
    Document,
    clone,
    fill,
    pyupc,
    read,
    rows,
    start,
)

WEIGHTS = {1: 0.30, 2: 0.25, 3: 0.20, 4: 0.15, 15: 0.05, 30: 0.05}
FROM = "2026-03-05T12:00:20Z"

SIMULATED = ("tick", "--feed", "simulated")
REPLAY = ("tick", "--feed", "replay")


@pytest.fixture(scope="module")
def filled(server_dsn: str, name_prefix: str, template: str) -> Iterator[str]:
    """The name of a database with candles and fingerprints. Nothing changes it."""
    name = f"{name_prefix}_filled"
    with clone(server_dsn, template, name) as dsn:
        fill(dsn)
        yield name


@pytest.fixture
def market(server_dsn: str, filled: str) -> Iterator[str]:
    with clone(server_dsn, filled, f"{filled}_clone") as dsn:
        yield dsn


@contextmanager
def ticking(dsn: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """The command under way; killed at the end unless it has ended by then."""
    with start(dsn, *arguments) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()


def until(condition: Callable[[], object], seconds: float = 15) -> float:
    """Wait for something; how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.01)
    return time.monotonic() - began


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    stdout, stderr = process.communicate(timeout=30)
    assert "Traceback" not in stderr
    return process.returncode, stdout


def count(dsn: str, table: str = "tick") -> int:
    return int(rows(dsn, f"SELECT count(*) FROM upc_data.{table}")[0][0])


def in_place(folder: Path, symbols: tuple[str, ...] = SYMBOLS) -> bool:
    names = (f"{symbol.lower()}_{name}.json" for symbol in symbols for name in DOCUMENTS)
    return all((folder / name).exists() for name in names)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


# What the files hold.


def two_decimals(value: float) -> float:
    """As PostgreSQL casts to numeric: fifteen digits, then half away from zero."""
    return float(Decimal(f"{value:.15g}").quantize(Decimal("0.01"), ROUND_HALF_UP))


def test_every_value_of_a_tick_follows_from_the_candles_and_compute_strikes(
    market: str, tmp_path: Path
) -> None:
    result = pyupc(market, *REPLAY, "--once", "--from", FROM, "--symbol", "btc", "--out", tmp_path)
    assert (result.returncode, result.stdout) == (0, "")
    live, table, watchlist = (read(tmp_path, "BTC", name) for name in DOCUMENTS)

    candles = {
        row[0]: row[1:]
        for row in rows(
            market, "SELECT opened_at, low, close FROM upc_data.candle WHERE symbol = 'BTC'"
        )
    }
    at = instant(FROM)
    # From the 15th to the 30th second a replay shows the low.
    price = candles[at.replace(second=0)][0]
    # The candle closed by 11:58:20 opened at 11:57.
    earlier = {k: candles[at.replace(second=0) - timedelta(minutes=k + 1)][1] for k in WEIGHTS}
    deltas = {k: 100 * (price - close) / close for k, close in earlier.items()}
    momentum = sum(weight * deltas[k] for k, weight in WEIGHTS.items())
    ttc = 3600 - 20

    assert live["current_price"] == table["current_price"] == price
    assert live["base_strike"] == 250 * round(price / 250)
    assert live["ttc_seconds"] == table["ttc"] == ttc
    assert live["momentum_score"] == pytest.approx(momentum, abs=1e-12)
    assert live["momentum_bps"] == pytest.approx(100 * momentum, abs=1e-10)
    assert table["momentum"]["weighted_score"] == live["momentum_score"]
    assert table["momentum"]["deltas"] == {
        f"delta_{k}m": pytest.approx(delta, abs=1e-12) for k, delta in deltas.items()
    }
    assert instant(live["market_at"]) == at
    assert abs(datetime.now(UTC) - instant(live["timestamp"])) < timedelta(minutes=1)
    assert (live["feed"], live["state"], live["method"]) == ("replay", "fresh", "nearest")
    assert live["fingerprint_csv"] == f"{live['fingerprint']}.csv"
    assert (table["symbol"], table["broker"], table["strike_tier"]) == ("BTC", "Kalshi", 250)

    strikes = rows(
        market,
        "SELECT strike, buffer, move_percent, direction, prob_beyond, positive_prob, negative_prob,"
        " prob_above, sample_size"
        " FROM upc.compute_strikes(%s, %s, 'BTC', %s)",
        price,
        live["momentum_bps"],
        ttc,
    )
    expected = []
    further = {}
    for strike, buffer, move, direction, beyond, positive, negative, above, size in strikes:
        further[strike] = {"prob_above": two_decimals(above), "sample_size": size}
        expected.append(
            {
                "strike": strike,
                "buffer": two_decimals(buffer),
                "move_percent": two_decimals(move),
                "prob_beyond": two_decimals(beyond),
                "prob_within": float(100 - Decimal(str(two_decimals(beyond)))),
                "direction": direction,
                "positive_prob": two_decimals(positive),
                "negative_prob": two_decimals(negative),
            }
        )
    assert len(expected) == 21
    assert live["probabilities"] == expected
    assert live["strikes"] == [row["strike"] for row in expected]
    assert all(isinstance(strike, int) for strike in live["strikes"])

    by_distance = sorted(expected, key=lambda row: (abs(row["strike"] - price), row["strike"]))
    unknown = (
        *("yes_ask", "no_ask", "yes_diff", "no_diff", "volume", "ticker", "yes_edge", "no_edge"),
        *(f"{side}_{kind}_dollars" for side in ("yes", "no") for kind in ("ask", "bid")),
    )
    assert table["strikes"] == [
        {
            "strike": row["strike"],
            "buffer": row["buffer"],
            "buffer_pct": two_decimals(abs(row["strike"] - price) / 250),
            "probability": row["prob_within"],
            **dict.fromkeys(unknown),
            "active_side": "no" if row["strike"] > price else "yes",
            **further[row["strike"]],
        }
        for row in by_distance
    ]
    assert watchlist == {**table, "strikes": []}


def test_the_keys_are_those_of_the_predecessor(
    market: str, tmp_path: Path, shared_data: Path
) -> None:
    assert pyupc(market, *SIMULATED, "--once", "--out", tmp_path).returncode == 0
    for name in DOCUMENTS:
        old = json.loads((shared_data / "json" / f"btc_{name}.json").read_text())
        for symbol in SYMBOLS:
            new = read(tmp_path, symbol, name)
            assert [key for key in new if key in old] == list(old)
            for rows_of in ("strikes", "probabilities"):
                for row in new.get(rows_of, []):
                    # Whole strikes of the list are plain numbers.
                    if isinstance(row, dict):
                        first = list(old[rows_of][0])
                        assert list(row)[: len(first)] == first


def test_from_halted_on_rows_stay_and_probabilities_are_null(market: str, tmp_path: Path) -> None:
    options = ("--once", "--from", "2026-03-06T00:01:01Z", "--symbol", "BTC", "--out", tmp_path)
    assert pyupc(market, *REPLAY, *options).returncode == 0
    live = read(tmp_path, "BTC", "live_probabilities")
    assert live["state"] == "halted"
    assert len(live["probabilities"]) == 21
    assert {row["prob_within"] for row in live["probabilities"]} == {None}


def test_json_prints_the_last_round(market: str, tmp_path: Path) -> None:
    options = ("--count", "2", "--interval", "0.05", "--json", "--out", tmp_path)
    result = pyupc(market, *SIMULATED, *options)
    documents = json.loads(result.stdout)
    assert documents == [read(tmp_path, symbol, "live_probabilities") for symbol in SYMBOLS]


# Replay and simulation.


def test_a_replay_begins_where_it_is_told_and_goes_as_fast_as_it_is_told(
    market: str, tmp_path: Path
) -> None:
    options = ("--count", "4", "--interval", "0.1", "--speed", "600", "--out", tmp_path)
    assert pyupc(market, *REPLAY, *options, "--from", "2026-03-05T12:00Z").returncode == 0
    for symbol in SYMBOLS:
        seen = rows(
            market,
            "SELECT market_at FROM upc_data.tick WHERE symbol = %s ORDER BY tick_id",
            symbol,
        )
        steps = [(row[0] - instant("2026-03-05T12:00Z")).total_seconds() for row in seen]
        assert len(steps) == 4
        assert steps[0] == 0
        # A minute a round; more where the machine was too busy for one.
        assert all((after - before) % 60 == 0 < after - before for before, after in pairwise(steps))


def test_by_default_a_replay_shows_this_minute_of_the_latest_hour(
    market: str, tmp_path: Path
) -> None:
    before = datetime.now(UTC)
    assert pyupc(market, *REPLAY, "--once", "--out", tmp_path).returncode == 0
    shown = {
        instant(read(tmp_path, symbol, "live_probabilities")["market_at"]) for symbol in SYMBOLS
    }
    after = datetime.now(UTC)
    assert len(shown) == 1
    at = shown.pop()
    end = datetime(2026, 3, 6, tzinfo=UTC)
    assert end - timedelta(hours=1) <= at < end
    assert (at - before) % timedelta(hours=1) <= after - before


def test_a_seed_names_a_path_of_prices(market: str, tmp_path: Path) -> None:
    prices = {}
    for seed in ("7", "8"):
        options = ("--seed", seed, "--once", "--symbol", "BTC", "--out", tmp_path)
        assert pyupc(market, *SIMULATED, *options).returncode == 0
        live = read(tmp_path, "BTC", "live_probabilities")
        query = "SELECT upc.simulated_price('BTC', %s, s) FROM generate_series(7, 8) AS s"
        prices[seed] = live["current_price"]
        again = [row[0] for row in rows(market, query, live["market_at"])]
        assert again[0] != again[1]
        assert prices[seed] == again[int(seed) - 7]


# A reader beside it, signals, and who may tick.


def test_a_reader_never_sees_a_torn_or_missing_file(market: str, tmp_path: Path) -> None:
    options = ("--count", "60", "--interval", "0.05", "--out", tmp_path)
    seen: dict[tuple[str, str], set[str]] = {}
    with ticking(market, *SIMULATED, *options) as process:
        until(lambda: in_place(tmp_path))
        keys = {name: list(read(tmp_path, "BTC", name)) for name in DOCUMENTS}
        reads = 0
        while process.poll() is None:
            for symbol in SYMBOLS:
                for name in DOCUMENTS:
                    document = read(tmp_path, symbol, name)
                    assert list(document) == keys[name]
                    assert document["symbol"] == symbol
                    published = document.get("timestamp") or document["last_updated"]
                    seen.setdefault((symbol, name), set()).add(published)
                    reads += 1
        assert ended(process) == (0, "")
    assert count(market) == 60 * len(SYMBOLS)
    assert reads > 60 * len(SYMBOLS) * len(DOCUMENTS)
    assert min(len(values) for values in seen.values()) > 10
    assert len(list(tmp_path.iterdir())) == len(SYMBOLS) * len(DOCUMENTS)


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
        # The one that it was first to take is given back.
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


def test_the_lease_is_three_seconds_or_three_intervals(market: str, tmp_path: Path) -> None:
    for interval, seconds in (("0.5", 3), ("2", 6)):
        options = ("--symbol", "BTC", "--interval", interval, "--out", tmp_path)
        with ticking(market, *SIMULATED, *options) as process:
            until(lambda: count(market, "tick_lease"))
            query = "SELECT l.expires_at - t.ticked_at, l.holder FROM upc_data.tick_lease AS l,"
            query += " LATERAL (SELECT max(ticked_at) AS ticked_at FROM upc_data.tick) AS t"
            lease, holder = rows(market, query)[0]
            assert lease.total_seconds() == pytest.approx(seconds, abs=0.5)
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
    assert sorted(path.name[:3] for path in tmp_path.iterdir()) == ["btc"] * 3
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


# What happens to a tick that runs.


def test_functions_rebuilt_under_it_do_not_stop_it(market: str, tmp_path: Path) -> None:
    from pyupc.database.migrate import upgrade

    options = ("--symbol", "BTC", "--interval", "0.1", "--out", tmp_path)
    with ticking(market, *SIMULATED, *options) as process:
        until(lambda: count(market) > 2)
        query = "SELECT 'upc.tick'::regproc::oid"
        old = rows(market, query)
        with connect(market) as conn:
            # As if they were of another text.
            marker = f"[pyupc 0002 {'0' * 64}]"
            for schema in ("upc", "analytics"):
                conn.execute(f"COMMENT ON SCHEMA {schema} IS '{marker}'".encode())
        upgrade(market)
        assert rows(market, query) != old
        before = count(market)
        until(lambda: count(market) > before + 2)
        process.terminate()
        assert ended(process) == (0, "")


def test_functions_removed_under_it_end_it(market: str, tmp_path: Path) -> None:
    with ticking(market, *SIMULATED, "--interval", "0.1", "--out", tmp_path) as process:
        until(lambda: count(market))
        with connect(market) as conn:
            # As an upgrade does: give way to the ticks, and try again.
            conn.execute("SET lock_timeout = '500ms'")
            is_dropped = False
            while not is_dropped:
                with suppress(errors.DeadlockDetected, errors.LockNotAvailable):
                    conn.execute("DROP SCHEMA upc, analytics CASCADE")
                    is_dropped = True
        assert ended(process) == (4, "")


def test_a_connection_that_is_cut_is_made_again(market: str, tmp_path: Path) -> None:
    with ticking(market, *SIMULATED, "--interval", "0.1", "--out", tmp_path) as process:
        until(lambda: count(market))
        cut = rows(
            market,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'pyupc tick'",
        )
        assert cut == [(True,)]
        before = count(market)
        assert until(lambda: count(market) > before + 1) < 2
        process.terminate()
        assert ended(process) == (0, "")
    assert count(market, "tick_lease") == 0


def test_a_tick_that_fails_later_is_tried_again(market: str, tmp_path: Path) -> None:
    def of(symbol: str) -> int:
        query = "SELECT count(*) FROM upc_data.tick WHERE symbol = %s"
        return int(rows(market, query, symbol)[0][0])

    options = ("--interval", "0.1", "--from", FROM, "--out", tmp_path)
    with ticking(market, *REPLAY, *options) as process:
        until(lambda: in_place(tmp_path))
        with connect(market) as conn:
            conn.execute("DELETE FROM upc_data.candle WHERE symbol = 'BTC'")
        stopped, other = of("BTC"), of("ETH")
        until(lambda: of("ETH") > other + 3)
        assert of("BTC") == stopped
        fill(market, ("BTC",))
        until(lambda: of("BTC") > stopped + 2)
        process.terminate()
        assert ended(process) == (0, "")


def test_a_file_that_cannot_be_written_does_not_stop_it(market: str, tmp_path: Path) -> None:
    obstacle = tmp_path / "btc_watchlist.json"
    obstacle.mkdir()
    with ticking(market, *SIMULATED, "--interval", "0.1", "--out", tmp_path) as process:
        until(lambda: count(market) > 4)
        assert in_place(tmp_path)
        obstacle.rmdir()
        until(obstacle.is_file)
        process.terminate()
        assert ended(process) == (0, "")


def test_a_tick_that_waits_for_a_lock_gives_up(market: str) -> None:
    from pyupc.errors import DatabaseUnreachable, PyupcError
    from pyupc.tick.session import Question, Session

    session = Session(market, 0.2)
    session.open(code=False)
    lease = timedelta(seconds=3)
    question = Question("BTC", "simulated", "me", lease, lease, None, timedelta(0), 1)
    with connect(market, autocommit=False) as conn:
        conn.execute("LOCK TABLE upc_data.tick_lease")
        with pytest.raises(PyupcError) as caught:
            session.tick(question)
        assert not isinstance(caught.value, DatabaseUnreachable)
    assert session.tick(question).tick_id > 0
    session.release(["BTC"], "me")
    session.close()
    assert count(market, "tick_lease") == 0


# What it costs.

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


# A server that dies.


def kill(home: Path) -> None:
    pid = int((home / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def home() -> Iterator[Path]:
    """The home of an embedded server of the test's own."""
    import shutil
    import tempfile

    from pyupc import embedded

    base = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="pyupc-tick-", dir=base if base.is_dir() else None))
    folder.chmod(0o711)
    yield folder / "home"
    embedded.stop(folder / "home")
    shutil.rmtree(folder)


def test_a_killed_server_loses_no_published_tick_and_is_waited_for(
    home: Path, tmp_path: Path
) -> None:
    from pyupc import embedded
    from pyupc.database.migrate import upgrade

    dsn = embedded.ensure_running(home)
    upgrade(dsn)
    fill(dsn)
    published: set[str] = set()

    def look() -> int:
        document: Document = read(tmp_path, "BTC", "live_probabilities")
        published.add(document["timestamp"])
        return len(published)

    def until_more(number: int) -> float:
        enough = look() + number
        return until(lambda: look() >= enough)

    options = ("--interval", "0.02", "--symbol", "BTC", "--out", tmp_path)
    with ticking(dsn, *SIMULATED, *options) as process:
        until(lambda: in_place(tmp_path, ("BTC",)))
        for _ in range(2):
            until_more(20)
            kill(home)
            gone = time.monotonic()
            while time.monotonic() < gone + 0.7:
                look()
            assert embedded.ensure_running(home) == dsn
            assert until_more(1) < 2
        process.terminate()
        assert ended(process) == (0, "")
    stored = {row[0] for row in rows(dsn, "SELECT ticked_at FROM upc_data.tick")}
    assert {instant(timestamp) for timestamp in published} <= stored
    assert count(dsn, "tick_lease") == 0


def test_a_signal_ends_the_wait_for_a_server(home: Path, tmp_path: Path) -> None:
    from pyupc import embedded
    from pyupc.database.migrate import upgrade

    dsn = embedded.ensure_running(home)
    upgrade(dsn)
    fill(dsn, ("BTC",))
    options = ("--interval", "0.05", "--symbol", "BTC", "--out", tmp_path)
    with ticking(dsn, *SIMULATED, *options) as process:
        until(lambda: in_place(tmp_path, ("BTC",)))
        embedded.stop(home)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert ended(process) == (130, "")
