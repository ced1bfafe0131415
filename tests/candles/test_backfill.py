"""`pyupc candles backfill`: what is asked for, what is stored, and which minutes are holes."""

from __future__ import annotations

import csv
import json
import time
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyupc.candles import backfill as backfill_module
from pyupc.database.connect import connect
from pyupc.exchange.answer import Answer, judge
from tests.candles.coinbase import (
    EPOCH,
    START,
    Coinbase,
    arguments,
    backfill,
    candles,
    holes,
    moment,
    put,
    run,
    stored,
    stored_row,
)
from tests.support.times_of_day import away_from_the_minute


def test_an_empty_table_is_filled(server: Coinbase, dsn: str) -> None:
    summary = backfill(START, START + 700)
    assert stored(dsn) == candles((START, START + 700))
    assert abs(summary.pop("clock_skew_seconds")) <= 2
    assert summary == {
        "symbol": "BTC",
        "exchange": "coinbase",
        "pair": "BTC/USD",
        "since": "2024-01-01T00:00:00Z",
        "until": moment(START + 700),
        "pages": 3,
        "new": 700,
        "changed": 0,
        "refused": 0,
        "holes": 0,
        "passed_over": 0,
        "still_missing": 0,
    }
    # The newest page first.
    assert server.asked == [
        (START + 400, START + 700),
        (START + 100, START + 400),
        (START, START + 100),
    ]


def test_the_summaries_are_rows(server: Coinbase, dsn: str) -> None:
    backfill(START, START + 5)
    again = backfill(START, START + 5)
    [line] = run(*arguments(START, START + 5, "--nl")).stdout.splitlines()
    [row] = csv.DictReader(run(*arguments(START, START + 5, "--csv")).stdout.splitlines())
    skew = "clock_skew_seconds"
    assert {**json.loads(line), skew: None} == {**again, skew: None}
    assert {**row, skew: ""} == {name: str(value) for name, value in {**again, skew: ""}.items()}


def test_only_gaps_are_requested(server: Coinbase, dsn: str) -> None:
    put(dsn, [*range(START, START + 500), *range(START + 510, START + 900), START + 905])
    summary = backfill(START - 50, START + 1000)
    assert server.asked == [
        (START + 900, START + 1000),
        (START + 500, START + 510),
        (START - 50, START),
    ]
    assert (summary["new"], summary["changed"], summary["still_missing"]) == (159, 0, 0)
    found = {row[0]: row for row in stored(dsn)}
    assert len(found) == 1050
    assert found[START + 905][1:] == (1, 1, 1, 1, 1)
    assert found[START + 904] == stored_row(START + 904)


def test_gaps_that_are_near_each_other_share_a_page(server: Coinbase, dsn: str) -> None:
    put(dsn, [minute for minute in range(START, START + 300) if (minute - START) % 50])
    assert backfill(START, START + 300)["pages"] == 1
    assert server.asked == [(START, START + 251)]
    assert len(stored(dsn)) == 300
    assert stored(dsn)[49:51] == [(START + 49, 1, 1, 1, 1, 1), stored_row(START + 50)]


def test_the_second_run_asks_for_nothing(server: Coinbase, dsn: str) -> None:
    server.lacks = {START, START + 5, START + 6, START + 320, START + 399}
    backfill(START, START + 400)
    server.asked.clear()
    summary = backfill(START, START + 400)
    assert server.asked == []
    assert (summary["pages"], summary["new"], summary["still_missing"]) == (0, 0, 0)


def test_without_since_it_goes_on_from_the_first_candle(server: Coinbase, dsn: str) -> None:
    server.begins = START
    put(dsn, [START])
    until = ["--until", moment(START + 60)]
    result = run("backfill", "--symbol", "BTC", *until)
    assert result.exit_code == 0, result.stderr
    assert server.asked == [(START + 1, START + 60)]


def test_all_symbols(server: Coinbase, dsn: str) -> None:
    since, until = ["--since", moment(START)], ["--until", moment(START + 10)]
    result = run("backfill", *since, *until, "--json")
    assert result.exit_code == 0, result.stderr
    assert [(each["symbol"], each["new"]) for each in json.loads(result.stdout)] == [
        ("BTC", 10),
        ("ETH", 10),
    ]
    assert stored(dsn, "ETH") == candles((START, START + 10))


def test_the_running_minute_is_not_stored(server: Coinbase, dsn: str) -> None:
    began = time.time()
    backfill(int(began // 60) - 20, None)
    latest = stored(dsn)[-1][0]
    assert int((began - 10) // 60) - 1 <= latest <= int((time.time() - 4) // 60) - 1
    assert max(after for _, after in server.asked) == latest + 1


@pytest.mark.parametrize("ahead", [-600, 600])
def test_the_clock_of_the_exchange_counts(server: Coinbase, dsn: str, ahead: int) -> None:
    server.clock = ahead
    began = int((time.time() + ahead) // 60)
    summary = backfill(began - 20, None)
    assert summary["clock_skew_seconds"] == pytest.approx(ahead, abs=2)
    assert stored(dsn)[-1][0] < int((time.time() + ahead - 3) // 60)
    assert stored(dsn)[-1][0] >= began - 2
    result = run(*arguments(began - 20, began - 10))
    assert result.exit_code == 0
    assert "s ahead of" in result.stdout or "s behind" in result.stdout


def test_the_summary_in_words(server: Coinbase, dsn: str) -> None:
    server.lacks = {START + 5}
    result = run(*arguments(START, START + 10))
    assert (result.exit_code, result.stderr) == (0, "")
    for part in ("9 new", "1 page of BTC/USD from coinbase", "1 minute", "0 still missing"):
        assert part in result.stdout
    assert "clock" not in result.stdout


# Holes


def test_holes_are_remembered(server: Coinbase, dsn: str) -> None:
    lacks = {0, 1, 5, 6, 299, 300, 301, 500, 699}
    server.lacks = {START + minute for minute in lacks}
    summary = backfill(START, START + 700)
    assert holes(dsn) == [
        ("coinbase", 0, 2),
        ("coinbase", 5, 7),
        ("coinbase", 299, 302),
        ("coinbase", 500, 501),
        ("coinbase", 699, 700),
    ]
    assert (summary["new"], summary["holes"], summary["still_missing"]) == (691, 9, 0)
    assert {row[0] - START for row in stored(dsn)} == set(range(700)) - lacks


def test_a_hole_of_one_exchange_is_no_hole_of_another(server: Coinbase, dsn: str) -> None:
    with connect(dsn) as conn:
        conn.execute("SELECT upc.record_candle_hole('BTC', 'kraken', '2024-01-01Z', '2024-01-02Z')")
    assert backfill(START, START + 10)["new"] == 10


def test_holes_are_requested_again_on_demand(server: Coinbase, dsn: str) -> None:
    server.lacks = {START + minute for minute in range(100, 200)}
    backfill(START, START + 300)
    server.lacks = {START + minute for minute in range(150, 160)}
    server.asked.clear()
    assert backfill(START, START + 300)["new"] == 0
    assert server.asked == []
    summary = backfill(START, START + 300, "--retry-holes")
    assert server.asked == [(START + 100, START + 200)]
    assert (summary["new"], summary["still_missing"]) == (90, 0)
    assert holes(dsn) == [("coinbase", 150, 160)]


def test_a_minute_that_may_still_come_is_no_hole(server: Coinbase, dsn: str) -> None:
    away_from_the_minute()
    now = int(time.time() // 60)
    server.lacks = {now - 30, *range(now - 5, now + 1)}
    summary = backfill(now - 60, None)
    assert holes(dsn) == [("coinbase", now - 30 - START, now - 29 - START)]
    assert summary["still_missing"] in range(3, 6)
    server.lacks = set()
    assert backfill(now - 60, None)["new"] >= summary["still_missing"]


@pytest.mark.parametrize("is_newest", [True, False])
def test_a_short_page_is_not_taken_for_the_end(server: Coinbase, dsn: str, is_newest: bool) -> None:
    """An exchange that gives fewer candles than ccxt states, from either end."""
    if is_newest:
        server.most = 70
    else:
        server.spoil = lambda rows: rows[-70:]
    server.lacks = {START + 35, START + 36}
    summary = backfill(START, START + 600)
    assert stored(dsn) == candles((START, START + 35), (START + 37, START + 600))
    assert (summary["new"], summary["holes"], summary["still_missing"]) == (598, 2, 0)


def test_before_its_history_begins(
    server: Coinbase, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill_module, "SILENCE_MINUTES", 900)
    server.begins = START
    summary = backfill(START - 9000, START + 100)
    assert stored(dsn) == candles((START, START + 100))
    assert (summary["new"], summary["still_missing"]) == (100, summary["passed_over"])
    assert summary["passed_over"] in range(7000, 8100)
    assert summary["pages"] < 12
    assert summary["holes"] + summary["passed_over"] == 9000


class Lacking:
    """An exchange without a server: some minutes, and a maximum per answer."""

    name = "coinbase"
    clock_skew = None

    def __init__(self, lacks: set[int], page_size: int, most: int, is_newest: bool) -> None:
        self.page_size = page_size
        self.requests = 0
        self._lacks = lacks
        self._cut = slice(-most, None) if is_newest else slice(0, most)

    def now(self) -> float:
        return 60.0 * (START + 1000)

    def candles(self, pair: str, first: int, after: int) -> Answer:
        assert 0 < after - first <= self.page_size
        self.requests += 1
        minutes = [minute for minute in range(first, after) if minute not in self._lacks]
        return judge(
            [[minute * 60_000, 1, 1, 1, 1, 1] for minute in minutes[self._cut]], first, after
        )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lacks=st.sets(st.integers(START, START + 119)),
    before=st.sets(st.integers(START, START + 119)),
    page_size=st.integers(1, 50),
    most=st.integers(1, 50),
    is_newest=st.booleans(),
)
def test_whatever_an_exchange_lacks_and_however_little_it_gives(
    dsn: str, lacks: set[int], before: set[int], page_size: int, most: int, is_newest: bool
) -> None:
    wanted = set(range(START, START + 120))
    since, until = (EPOCH + timedelta(minutes=minute) for minute in (START, START + 120))
    job = backfill_module.Job("BTC", "BTC/USD", since, until)
    with connect(dsn) as conn:
        conn.execute("TRUNCATE upc_data.candle, upc_data.candle_hole, upc_data.candle_change")
        put(dsn, sorted(before))
        exchange: Any = Lacking(lacks, page_size, most, is_newest)
        tally = backfill_module.Tally()
        watcher: Any = Mock()
        summary = backfill_module.backfill(conn, exchange, job, tally, watcher)
        assert {row[0] for row in stored(dsn)} == wanted - lacks | before
        found = {START + m for _, first, after in holes(dsn) for m in range(first, after)}
        assert found == lacks - before
        assert (tally.new, tally.holes) == (len(wanted - lacks - before), len(lacks - before))
        assert (tally.pages, summary.still_missing) == (exchange.requests, 0)
        assert sum(call.args[0] for call in watcher.on_minutes.mock_calls) == len(wanted - before)

        backfill_module.backfill(conn, exchange, job, backfill_module.Tally(), watcher)
        assert tally.pages == exchange.requests
