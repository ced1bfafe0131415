"""A standby that takes over from a process that fed itself from an exchange."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

pytest.importorskip("ccxt", reason="needs the extra feeds")

from pyupc.database.connect import connect
from tests.support.feed_servers import Exchange, serving
from tests.support.market import rows
from tests.support.ticking import ended, in_place, ticking, until

TICK = ("tick", "--feed", "coinbase", "--symbol", "BTC", "--standby", "--out")


@pytest.fixture(scope="module")
def market(module_btc_market: str) -> str:
    return module_btc_market


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchange]:
    """Found by every process that a test starts, instead of the real one."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("PYUPC_NO_KALSHI", "1")
    with serving(Exchange()) as exchange:
        monkeypatch.setenv("PYUPC_EXCHANGE_URL", exchange.url)
        yield exchange


def children(pid: int) -> int:
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="there is no /proc here")
def test_it_ticks_from_the_log_at_once_and_its_own_feed_comes_up(
    market: str, exchange: Exchange, tmp_path: Path
) -> None:
    with ticking(market, *TICK, tmp_path / "first") as first:
        until(lambda: in_place(tmp_path / "first", ("BTC",)), 30)
        assert children(first.pid) == 1
        with ticking(market, *TICK, tmp_path / "second") as second:
            looking = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND position('changed_documents' IN query) > 0"
                " AND application_name = 'pyupc tick'"
            )
            until(lambda: rows(market, looking)[0][0])
            assert children(second.pid) == 0
            [(ended_at,)] = rows(market, "SELECT clock_timestamp()")
            first.send_signal(signal.SIGKILL)
            query = "SELECT min(ticked_at) FROM upc_data.tick WHERE ticked_at > %s + %s"
            # A tick of the first may have been under way.
            later = (ended_at, timedelta(seconds=0.5))
            until(lambda: rows(market, query, *later)[0][0])
            [(began_at,)] = rows(market, query, *later)
            until(lambda: in_place(tmp_path / "second", ("BTC",)))
            # Its feed takes longer than that to start.
            assert began_at - ended_at < timedelta(seconds=4)
            until(lambda: children(second.pid) == 1)
            fed = "SELECT count(*) FROM upc_data.price WHERE received_at > %s"
            until(lambda: rows(market, fed, began_at + timedelta(seconds=1))[0][0])
            second.terminate()
            code, _ = ended(second)
            assert code == 0


def test_it_waits_for_no_price_where_its_predecessor_had_one(
    market: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("PYUPC_NO_KALSHI", "1")
    monkeypatch.setenv("PYUPC_EXCHANGE_URL", "http://127.0.0.1:9")
    with connect(market) as conn:
        conn.execute("DELETE FROM upc_data.price")
        old = "SELECT upc.record_price('BTC', 'coinbase', 101000, NULL, now() - interval '20 s')"
        conn.execute(old)
        # Nobody renews it.
        conn.execute("SELECT upc._renew_lease('BTC', 'someone', '1 hour', every => '1 second')")
    before = "SELECT count(*) FROM upc_data.tick"
    [(ticks,)] = rows(market, before)
    with ticking(market, *TICK, tmp_path) as process:
        until(lambda: rows(market, before)[0][0] > ticks, 10)
        process.terminate()
        code, _ = ended(process)
        assert code == 0
