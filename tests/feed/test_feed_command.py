"""`pyupc feed`, alone and beside `pyupc tick`, with an exchange on the loopback and PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ccxt", reason="needs the extra feeds")

from pyupc.database.connect import connect
from pyupc.errors import PyupcError
from tests.support.feed_servers import Exchange, serving
from tests.support.kalshi_server import Listed, in_thread
from tests.support.kalshi_server import market as kalshi_market
from tests.support.market import (
    SYMBOLS,
    ended,
    going,
    pyupc,
    read,
    rows,
    until,
)
from tests.support.simulated import mark
from tests.support.times_of_day import next_hour

FEED = ("feed", "--no-kalshi", "--no-build")
WEIGHTS = {1: 0.30, 2: 0.25, 3: 0.20, 4: 0.15, 15: 0.05, 30: 0.05}


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchange]:
    """Found by every process that a test starts, instead of the real one."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("PYUPC_NO_KALSHI", "1")
    with serving(Exchange()) as exchange:
        monkeypatch.setenv("PYUPC_EXCHANGE_URL", exchange.url)
        yield exchange


def prices(dsn: str, symbol: str = "BTC") -> list[tuple[Any, ...]]:
    query = "SELECT price, received_at, exchange_at FROM upc_data.price WHERE symbol = %s"
    return rows(dsn, f"{query} ORDER BY received_at", symbol)


def count(dsn: str, symbol: str = "BTC") -> int:
    return len(prices(dsn, symbol))


def feeds(dsn: str) -> list[int]:
    """The server's processes for those that feed."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pyupc feed'"
    return [pid for (pid,) in rows(dsn, f"{query} AND datname = current_database()")]


def resident_bytes(pid: int) -> int:
    """Resident bytes of a process; 0 if unknown."""
    with suppress(FileNotFoundError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0


def tick(dsn: str, at: datetime, feed: str = "coinbase") -> dict[str, Any]:
    """State and probabilities of a tick at that instant."""
    with connect(dsn, autocommit=False) as conn:
        query = "SELECT state, live_probabilities FROM upc.tick('BTC', %s, at => %s)"
        [(state, document)] = conn.execute(query, (feed, at)).fetchall()
        conn.rollback()
    live: dict[str, Any] = json.loads(document)
    assert live["state"] == state
    return live


# Alone.


def test_prices_and_candles_come_in_and_momentum_is_right(market: str, exchange: Exchange) -> None:
    with connect(market) as conn:
        conn.execute("DELETE FROM upc_data.candle")
    momentum = "SELECT momentum FROM upc.momentum(%s, price => 97000)"
    with going(market, *FEED, is_cold=True) as process:
        until(lambda: count(market) and count(market, "ETH"))
        assert until(lambda: rows(market, momentum, "BTC")[0][0] is not None) < 1
        until(lambda: count(market, "ETH") > 10)
        resident = resident_bytes(process.pid)
        process.terminate()
        code, log = ended(process)
    assert code == 0
    assert resident < 100e6
    assert "backfill" in log

    for symbol in SYMBOLS:
        for price, received_at, exchange_at in prices(market, symbol):
            assert timedelta(0) <= received_at - exchange_at < timedelta(seconds=2)
            expected = exchange.price(f"{symbol}-USD", exchange_at.timestamp())
            assert price == pytest.approx(expected, rel=1e-5)
        first, at, _ = prices(market, symbol)[0]
        # Before the log began only closes are known: of candles closed by then.
        begun = int(at.timestamp())
        closes = {
            lag: exchange.candle(f"{symbol}-USD", (begun - 60 * lag) // 60 - 1)[3]
            for lag in WEIGHTS
        }
        expected = 1e4 * sum(w * (first - closes[k]) / closes[k] for k, w in WEIGHTS.items())
        query = "SELECT momentum FROM upc.momentum(%s, %s, %s)"
        assert rows(market, query, symbol, at, first)[0][0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.slow
def test_a_frozen_price_is_stale_after_half_a_minute(market: str, exchange: Exchange) -> None:
    exchange.frozen = 97_123.45
    with going(market, *FEED, "--symbol", "BTC") as process:
        until(lambda: count(market) > 3)
        process.terminate()
        assert ended(process)[0] == 0
    logged = prices(market)
    since, last = logged[0][1], logged[-1][1]
    assert tick(market, last)["state"] == "fresh"
    with connect(market) as conn:
        # It goes on saying the same.
        conn.execute(
            "SELECT upc.record_price('BTC', 'coinbase', 97123.45, at, at)"
            " FROM generate_series(%s, %s + interval '40 s', interval '1 s') AS at",
            (last + timedelta(seconds=1), last),
        )
    before = tick(market, since + timedelta(seconds=29.9))
    after = tick(market, since + timedelta(seconds=30.1))
    assert (before["state"], after["state"]) == ("fresh", "stale")
    assert before["ttc_seconds"] - after["ttc_seconds"] in (0, 1, 1 - 3600)
    halted = tick(market, last + timedelta(minutes=3))
    assert halted["state"] == "halted"
    assert {row["prob_within"] for row in halted["probabilities"]} == {None}


@pytest.mark.slow
def test_sockets_and_connections_that_are_cut_are_made_again(
    market: str, exchange: Exchange
) -> None:
    with going(market, *FEED, "--symbol", "BTC") as process:
        until(lambda: count(market) > 3 and exchange.websockets == 1)
        exchange.close_sockets()
        until(lambda: exchange.websockets == 2)
        # Half a message: ccxt's reader of the websocket ends by it.
        exchange.garbage = '{"channel": "ticker", "eve'
        until(lambda: exchange.websockets == 3)
        [pid] = feeds(market)
        assert rows(market, "SELECT pg_terminate_backend(%s)", pid) == [(True,)]
        until(lambda: feeds(market) not in ([], [pid]))
        before = count(market)
        until(lambda: count(market) > before + 3)
        process.send_signal(signal.SIGINT)
        code, log = ended(process)
    assert code == 130
    assert len(re.findall("ERROR pyupc.feed: database", log)) == 1
    assert len(re.findall("ERROR", log)) <= 4


@pytest.mark.slow
def test_a_server_that_dies_is_waited_for(exchange: Exchange, tmp_path: Path) -> None:
    from pyupc import embedded
    from pyupc.database.migrate import upgrade

    base = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="pyupc-feed-", dir=base if base.is_dir() else None))
    folder.chmod(0o711)
    home = folder / "home"
    try:
        dsn = embedded.ensure_running(home)
        upgrade(dsn)
        with going(dsn, *FEED, "--symbol", "BTC") as process:
            until(lambda: count(dsn) > 3)
            pid = int((home / "postgres" / "postmaster.pid").read_text().split()[0])
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.5)
            assert embedded.ensure_running(home) == dsn
            before = count(dsn)
            until(lambda: count(dsn) > before + 3)
            process.terminate()
            assert ended(process)[0] == 0
    finally:
        embedded.stop(home)
        shutil.rmtree(folder)


def test_a_second_feed_is_refused(market: str, exchange: Exchange) -> None:
    with going(market, *FEED, "--symbol", "BTC") as process:
        until(lambda: count(market))
        for symbols in (("--symbol", "BTC"), ("--symbol", "ETH", "--symbol", "BTC"), ()):
            done = pyupc(market, *FEED, *symbols)
            assert done.returncode == 1
            kinds = [line.partition(":")[0] for line in done.stderr.splitlines()]
            assert kinds == ["pyupc", "hint"]
        done = pyupc(market, *FEED, "--symbol", "ETH", "--seconds", "0.1")
        assert done.returncode == 0
        process.terminate()
        assert ended(process)[0] == 0
    assert feeds(market) == []


def test_the_demos_database_is_refused(fresh_db: str, exchange: Exchange) -> None:
    with connect(fresh_db) as conn:
        mark(conn)
        conn.execute("SELECT upc.simulate_market('BTC')")
    done = pyupc(fresh_db, *FEED, "--symbol", "BTC")
    assert done.returncode == 1
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["pyupc", "hint"]
    assert count(fresh_db) == 0


@pytest.mark.slow
def test_an_exchange_that_is_not_there_yet_is_waited_for(
    market: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with going(market, *FEED, "--symbol", "BTC", "--exchange-url", url) as process:
        until(lambda: feeds(market))
        time.sleep(1)
        assert process.poll() is None
        with serving(Exchange(), port):
            until(lambda: count(market) > 3)
        process.terminate()
        code, log = ended(process)
    assert code == 0
    assert len(re.findall("ERROR pyupc.feed: coinbase: ", log)) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--exchange", "coinbas"], 1),
        # It has no candles.
        (["--exchange", "zaif"], 1),
        (["--symbol", "XYZ"], 1),
        (["--symbol", "DOGE"], 1),
        (["--kalshi", "nowhere"], 2),
        (["--interval", "1"], 2),
    ],
)
def test_what_cannot_heal_is_refused(
    market: str,
    exchange: Exchange,
    arguments: list[str],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with connect(market) as conn:
        conn.execute("SELECT upc.add_symbol('DOGE', 0.01, 'DOGE/USD')")
    if "--kalshi" in arguments:
        monkeypatch.delenv("PYUPC_NO_KALSHI")
    done = pyupc(market, "feed", "--no-build", *arguments)
    assert done.returncode == code
    kinds = [line.partition(":")[0] for line in done.stderr.splitlines()]
    assert kinds == ["pyupc", "hint"]


@pytest.mark.parametrize("named", [(), ("BTC", "DOGE", "SOL")])
def test_what_is_not_listed_is_left_out(
    market: str, exchange: Exchange, named: tuple[str, ...]
) -> None:
    with connect(market) as conn:
        for symbol in ("DOGE", "SOL"):
            conn.execute("SELECT upc.add_symbol(%s, 0.01, %s)", (symbol, f"{symbol}/USD"))
    # Listed, and not traded any more.
    exchange.products["SOL-USD"] = 150.0
    exchange.closed.add("SOL-USD")
    options = [part for symbol in named for part in ("--symbol", symbol)]
    with going(market, *FEED, *options) as process:
        until(lambda: count(market) and (named or count(market, "ETH")))
        process.terminate()
        code, log = ended(process)
    assert code == 0
    for symbol in ("DOGE", "SOL"):
        assert len([line for line in log.splitlines() if f"{symbol}/USD" in line]) == 1
        assert count(market, symbol) == 0


def test_symbols_come_and_go_while_it_runs(market: str, exchange: Exchange) -> None:
    exchange.products["SOL-USD"] = 150.0
    with going(market, *FEED) as process:
        until(lambda: count(market) and count(market, "ETH"))
        [session] = feeds(market)
        for command in (
            ("add", "DOGE", "--step", "0.01"),
            ("add", "SOL", "--step", "2"),
            ("retire", "ETH", "--yes"),
        ):
            done = pyupc(market, "symbols", *command)
            assert done.returncode == 0, done.stderr
        until(lambda: count(market, "SOL"))
        query = "SELECT count(*) FROM upc_data.candle WHERE symbol = 'SOL'"
        until(lambda: rows(market, query)[0][0])
        is_fed = "SELECT upc.is_fed('ETH', 'coinbase'), upc.is_fed('SOL', 'coinbase')"
        until(lambda: rows(market, is_fed) == [(False, True)])
        # Whatever was under way is removed with the rest, and nothing comes after it.
        assert count(market, "ETH") == 0
        before = count(market)
        until(lambda: count(market) > before)
        # And back again: there is nothing left of it that could be in the way.
        assert pyupc(market, "symbols", "add", "ETH", "--step", "20").returncode == 0
        until(lambda: count(market, "ETH"))
        # It is the same connection all the time.
        assert feeds(market) == [session]
        process.terminate()
        code, log = ended(process)
    assert code == 0
    lines = [line for line in log.splitlines() if "WARNING" in line]
    # Once each: the retired symbol, and the symbol that the exchange does not list.
    assert [("ETH is not registered" in line, "DOGE" in line) for line in lines].count(
        (True, False)
    ) == 1
    assert len([line for line in lines if "DOGE/USD" in line]) == 1


@pytest.mark.parametrize("named", [(), ("--symbol", "BTC", "--symbol", "ETH")])
def test_a_feed_ends_with_the_last_symbol(
    market: str, exchange: Exchange, named: tuple[str, ...]
) -> None:
    with going(market, *FEED, *named) as process:
        until(lambda: count(market) and count(market, "ETH"))
        done = pyupc(market, "symbols", "retire", "BTC", "ETH", "--yes")
        assert done.returncode == 0, done.stderr
        code, log = ended(process)
    assert code == 1
    assert "hint: " in log


def test_what_is_listed_ticks_without_the_rest(
    market: str, exchange: Exchange, tmp_path: Path
) -> None:
    from pyupc.tick.job import Job
    from pyupc.tick.run import run

    with connect(market) as conn:
        conn.execute("SELECT upc.add_symbol('DOGE', 0.01, 'DOGE/USD')")
    # The patience includes the start of the feed, which takes a busy machine a while.
    for patience in (2.5, 10, 40):
        job = Job(
            dsn=market,
            feed="coinbase",
            out=tmp_path,
            symbols=("BTC", "DOGE"),
            count=1,
            patience=patience,
        )
        with suppress(PyupcError):
            assert set(run(job).ticks) == {"BTC"}
            return
    pytest.fail("BTC has no price within 40 s")


def test_no_server_and_another_schema(empty_db: str, exchange: Exchange, tmp_path: Path) -> None:
    assert pyupc(f"host={tmp_path} dbname=nothing", *FEED).returncode == 3
    assert pyupc(empty_db, *FEED).returncode == 4


def test_it_ends_with_another_schema(market: str, exchange: Exchange) -> None:
    with going(market, *FEED, "--symbol", "BTC") as process:
        until(lambda: count(market))
        with connect(market) as conn:
            conn.execute("UPDATE upc_data.alembic_version SET version_num = '0001'")
            conn.execute("SELECT pg_terminate_backend(%s)", (feeds(market)[0],))
        assert ended(process)[0] == 4


def test_markets_come_in_beside_prices(
    market: str, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYUPC_NO_KALSHI")
    closes_at = next_hour()
    strikes = range(96_000, 98_250, 250)
    markets = [kalshi_market("E", strike, closes_at) for strike in strikes]
    listed = Listed("E", closes_at - timedelta(hours=1), closes_at, markets)
    with (
        in_thread([listed]) as url,
        going(
            market, "feed", "--no-build", "--symbol", "BTC", "--kalshi", url, is_cold=True
        ) as process,
    ):
        quotes = "SELECT lower FROM upc_data.market_quote WHERE symbol = 'BTC' ORDER BY 1"
        until(lambda: count(market) and rows(market, quotes))
        read_at = "SELECT read_at FROM upc_data.market_event"
        [(first,)] = rows(market, read_at)
        until(lambda: rows(market, read_at) > [(first,)])
        at = prices(market)[-1][1]
        live = tick(market, at)
        resident = resident_bytes(process.pid)
        process.terminate()
        code, log = ended(process)
    assert code == 0, log
    assert [strike for (strike,) in rows(market, quotes)] == list(strikes)
    assert live["ttc_seconds"] == int((closes_at - at).total_seconds())
    assert resident < 110e6


# Beside a tick.


def feed_process(parent: int) -> int | None:
    """The process id of the feed that a tick has started."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return int(children[0]) if children else None


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_tick_feeds_itself(market: str, exchange: Exchange, tmp_path: Path) -> None:
    options = ("--count", "4", "--interval", "0.2", "--out", tmp_path)
    done = pyupc(market, "tick", "--feed", "coinbase", *options)
    assert (done.returncode, done.stdout) == (0, "")
    for symbol in SYMBOLS:
        live = read(tmp_path, symbol, "live_probabilities")
        assert (live["feed"], live["state"]) == ("coinbase", "fresh")
        assert datetime.now(UTC) - datetime.fromisoformat(live["timestamp"]) < timedelta(seconds=9)
        assert live["current_price"] in [row[0] for row in prices(market, symbol)]
        assert live["momentum_bps"] is not None
    query = "SELECT count(*), array_agg(DISTINCT feed) FROM upc_data.tick"
    assert rows(market, query) == [(8, ["coinbase"])]
    until(lambda: not feeds(market), 2)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="there is no /proc here")
def test_a_feed_that_dies_is_started_again_and_ends_with_its_tick(
    market: str, exchange: Exchange, tmp_path: Path
) -> None:
    options = ("--symbol", "BTC", "--interval", "0.1", "--out", tmp_path)
    with going(market, "tick", "--feed", "coinbase", *options) as process:
        until(lambda: (tmp_path / "btc_watchlist.json").exists())
        first = feed_process(process.pid)
        assert first is not None
        os.kill(first, signal.SIGKILL)
        before = prices(market)[-1][1] + timedelta(seconds=0.5)
        until(lambda: prices(market)[-1][1] > before)
        second = feed_process(process.pid)
        assert second not in (None, first)
        # It cannot say goodbye.
        process.kill()
        process.wait()
        until(lambda: second is not None and not is_running(second))


@pytest.mark.slow
def test_a_feed_that_runs_already_is_used(market: str, exchange: Exchange, tmp_path: Path) -> None:
    options = ("--count", "3", "--interval", "0.1", "--out", tmp_path)
    with going(market, *FEED, "--symbol", "BTC") as process:
        until(lambda: count(market))
        [pid] = feeds(market)
        done = pyupc(market, "tick", "--feed", "coinbase", "--symbol", "BTC", *options)
        assert done.returncode == 0
        assert "from coinbase started" not in done.stderr
        # For the other symbol one is missing.
        done = pyupc(market, "tick", "--feed", "coinbase", *options)
        assert done.returncode == 0
        assert "feed of ETH from coinbase started" in done.stderr
        assert feeds(market) == [pid]
        process.terminate()
        assert ended(process)[0] == 0


def test_an_exchange_that_cannot_be_reached(
    market: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Said in a line, with what to do instead."""
    from pyupc.tick.job import Job
    from pyupc.tick.run import run

    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("PYUPC_NO_KALSHI", "1")
    monkeypatch.setenv("PYUPC_EXCHANGE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    began = time.monotonic()
    with pytest.raises(PyupcError) as caught:
        run(Job(dsn=market, feed="coinbase", out=tmp_path, symbols=("BTC",), patience=2.5))
    assert time.monotonic() - began < 8
    assert "pyupc tick --feed replay" in str(caught.value.hint)
    assert feeds(market) == []
    assert rows(market, "SELECT count(*) FROM upc_data.tick_lease") == [(0,)]


def test_an_exchange_without_the_pair_is_refused(
    market: str, exchange: Exchange, tmp_path: Path
) -> None:
    exchange.products = {"BTC-EUR": 90_000.0}
    options = ("--symbol", "BTC", "--once", "--out", tmp_path)
    done = pyupc(market, "tick", "--feed", "coinbase", *options)
    assert done.returncode == 1
    # After the patience it would be that coinbase cannot be reached.
    assert "pyupc: coinbase lists none of" in done.stderr


@pytest.mark.parametrize(
    ("feed", "code"), [("coinbas", 1), ("tea leaves", 2), ("", 2), ("database", 1)]
)
def test_what_is_no_feed_is_refused(market: str, tmp_path: Path, feed: str, code: int) -> None:
    done = pyupc(market, "tick", "--once", "--feed", feed, "--out", tmp_path)
    assert done.returncode == code
    kinds = [line.partition(":")[0] for line in done.stderr.splitlines()]
    assert kinds == ["pyupc", "hint"]


def test_database_ticks_from_the_log(market: str, tmp_path: Path) -> None:
    with connect(market) as conn:
        conn.execute("SELECT upc.record_price('BTC', 'by hand', 101000.5)")
    options = ("--symbol", "BTC", "--once", "--out", tmp_path)
    assert pyupc(market, "tick", "--feed", "database", *options).returncode == 0
    live = read(tmp_path, "BTC", "live_probabilities")
    assert (live["feed"], live["state"], live["current_price"]) == ("database", "fresh", 101000.5)


# In the demo.


@pytest.mark.slow
def test_the_demo_of_an_exchange(
    exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyupc import embedded
    from pyupc.demo.database import DATABASE

    base = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="pyupc-demo-", dir=base if base.is_dir() else None))
    folder.chmod(0o711)
    monkeypatch.setenv("PYUPC_HOME", str(folder / "home"))
    options = ("--source", "coinbase", "--symbol", "BTC", "--days", "1", "--count", "3")
    try:
        done = pyupc("host=/nowhere", "demo", *options, "--out", tmp_path)
        assert done.returncode == 0, done.stderr
        live = read(tmp_path, "BTC", "live_probabilities")
        assert (live["feed"], live["state"]) == ("coinbase", "fresh")
        dsn = embedded.database_uri(DATABASE)
        query = "SELECT count(*), extract(epoch FROM min(opened_at)) / 60 FROM upc_data.candle"
        [(number, first)] = rows(dsn, query)
        assert 1438 <= number <= 1445
        query = "SELECT close FROM upc_data.candle ORDER BY opened_at LIMIT 1"
        assert rows(dsn, query) == [(exchange.candle("BTC-USD", int(first))[3],)]
        assert rows(dsn, "SELECT array_agg(DISTINCT feed) FROM upc_data.tick") == [(["coinbase"],)]

        # An unreachable exchange is reported, and no history is lost.
        monkeypatch.setenv("PYUPC_EXCHANGE_URL", "http://127.0.0.1:9")
        for source in ("kraken", "coinbase"):
            done = pyupc("host=/nowhere", "demo", "--source", source, "--count", "1")
            assert done.returncode == 1
            error, hint = done.stderr.splitlines()
            assert error.startswith(f"pyupc: {source}: cannot be reached")
            assert "pyupc demo" in hint
        assert rows(dsn, "SELECT count(*) FROM upc_data.tick") == [(3,)]
    finally:
        embedded.stop(folder / "home")
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--source", "coinbas"], 1),
        (["--source", "coinbase", "--seed", "2"], 2),
    ],
)
def test_a_demo_of_no_exchange_is_refused(options: list[str], code: int) -> None:
    done = pyupc("host=/nowhere", "demo", *options)
    assert (done.returncode, done.stdout) == (code, "")
    kinds = [line.partition(":")[0] for line in done.stderr.splitlines()]
    assert kinds == ["pyupc", "hint"]
