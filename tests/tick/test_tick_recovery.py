"""A running tick survives trouble with its process and its server."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pyupc.database import rebuild
from pyupc.database.connect import connect
from tests.support.market import (
    Document,
    fill,
    read,
    rows,
)
from tests.support.ticking import (
    FROM,
    REPLAY,
    SIMULATED,
    count,
    ended,
    home_of_its_own,
    in_place,
    instant,
    kill_server,
    ticking,
    until,
)

# Events during a running tick


@pytest.mark.slow
def test_functions_rebuilt_under_it_do_not_stop_it(market: str, tmp_path: Path) -> None:
    from pyupc.database.migrate import upgrade

    options = ("--symbol", "BTC", "--interval", "0.1", "--out", tmp_path)
    with ticking(market, *SIMULATED, *options) as process:
        until(lambda: count(market) > 2)
        query = "SELECT 'upc.tick'::regproc::oid"
        old = rows(market, query)
        with connect(market) as conn:
            # Mark the functions as built from another text.
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
        with connect(market, autocommit=False) as conn:
            # Like an upgrade: give way to the ticks, and try again.
            rebuild.drop_code(conn, lock_timeout=20)
            conn.commit()
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
    from pyupc.tick.statements import Session, TickArguments

    session = Session(market, 0.5)
    session.open(code=False)
    lease = timedelta(seconds=3)
    arguments = TickArguments("BTC", "simulated", "me", lease, lease, None, timedelta(0), 1)
    with connect(market, autocommit=False) as conn:
        conn.execute("LOCK TABLE upc_data.tick_lease")
        with pytest.raises(PyupcError) as caught:
            session.tick(arguments)
        assert not isinstance(caught.value, DatabaseUnreachable)
    assert session.tick(arguments).tick_id > 0
    session.release(["BTC"], "me")
    session.close()
    assert count(market, "tick_lease") == 0


# A server that dies.


@pytest.fixture
def home() -> Iterator[Path]:
    with home_of_its_own() as path:
        yield path


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
            kill_server(home)
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


@pytest.mark.slow
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
