"""A day of Kalshi, all kinds of contracts of five coins: every number is worked out again here.

It is served over HTTP and read as the feed reads it; what the database says of it at chosen
instants stands beside numbers from the curves in numpy and money in Decimal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.kalshi.day import documents, schedule
from tests.kalshi.day.coins import COINS
from tests.kalshi.day.comparing import differences
from tests.kalshi.day.curves import Curves
from tests.kalshi.day.documents import Scene, scene_of
from tests.kalshi.day.ledger import active_trades, played, trades_of
from tests.kalshi.day.playing import Day, Moment, play
from tests.kalshi.day.rows import expected_rows
from tests.support.databases import Databases

# On a machine with much else to do the day takes a while.
pytestmark = pytest.mark.timeout(400)

Expected = Callable[[Scene, Curves], dict[str, Any]]


@pytest.fixture(scope="module")
def day(databases: Databases) -> Iterator[Day]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "*")
        with databases.clone("empty") as dsn:
            yield play(dsn, schedule.instants())


def reported(problems: Iterator[str]) -> str:
    found = list(problems)
    return "\n".join([f"{len(found)} differences", *found[:40]]) if found else ""


def row_problems(day: Day, moment: Moment) -> Iterator[str]:
    expected = expected_rows(moment, day.curves[moment.symbol], moment.instant.way)
    found = [row["ticker"] for row in moment.rows]
    wanted = [row["ticker"] for row in expected]
    if found != wanted:
        missing, added = set(wanted) - set(found), set(found) - set(wanted)
        yield f"{moment}: rows: missing {sorted(missing)}, added {sorted(added)}, or in disorder"
        return
    for row, other in zip(moment.rows, expected, strict=True):
        yield from differences(f"{moment}: contract_table {row['ticker']}", row, other)


BETS = ("suggest_bets", "bets", "best_of_rest")


def test_every_number_of_the_contract_table(day: Day) -> None:
    report = reported(each for moment in day.moments for each in row_problems(day, moment))
    assert not report, report


@pytest.mark.parametrize("name", ["live_probabilities", "strike_table", "watchlist", "contracts"])
def test_every_number_of_a_document(day: Day, name: str) -> None:
    expected: Expected = getattr(documents, name)

    def problems() -> Iterator[str]:
        for moment in day.moments:
            curves = day.curves[moment.symbol]
            wanted = expected(scene_of(moment), curves)
            # What is worth buying of these rows is ranked again in the tests of bets.
            found = {key: value for key, value in moment.documents[name].items() if key not in BETS}
            yield from differences(f"{moment}: {name}", found, wanted)

    report = reported(problems())
    assert not report, report


def test_every_number_of_the_trades(day: Day) -> None:
    trades = trades_of(day)

    def problems() -> Iterator[str]:
        for moment, held in played(day, trades):
            wanted = active_trades(moment, held, day.curves[moment.symbol])
            where = f"{moment}: active_trades"
            yield from differences(where, moment.documents["active_trades"], wanted)

    report = reported(problems())
    assert not report, report


def test_every_number_of_the_log(day: Day) -> None:
    """Once a minute, by its first tick."""
    log: dict[tuple[str, int], dict[str, Any]] = {}
    for row in day.log:
        log.setdefault((row["symbol"], row["tick_id"]), {})[row["event_ticker"]] = row
    minutes: set[tuple[str, str]] = set()

    def problems() -> Iterator[str]:
        for moment in day.moments:
            found = log.pop((moment.symbol, moment.tick["tick_id"]), {})
            minute = (moment.symbol, f"{moment.instant.at:%H:%M}")
            wanted = {}
            if minute not in minutes:
                wanted = documents.logged(moment, day.curves[moment.symbol])
            minutes.add(minute)
            yield from differences(f"{moment}: contract_log", found, wanted)

    report = reported(problems())
    assert not report, report
    assert log == {}


def test_the_ledger(day: Day) -> None:
    """Settled provisionally and for good, corrected, and paid in part."""
    trades = trades_of(day)
    for _ in played(day, trades):
        pass
    fills: dict[tuple[str, int], list[tuple[str, Decimal, Decimal]]] = {}
    for row in day.fills:
        own = fills.setdefault((row["symbol"], row["trade_id"]), [])
        own.append((row["kind"], row["price"], row["count"]))
    by_id = {(row["symbol"], row["trade_id"]): row for row in day.trades}
    assert len(by_id) == len(trades)
    for each in trades:
        key = (each.bought.event.coin.symbol, each.bought.trade_id)
        row = by_id[key]
        end = None if row["result"] is None else (row["result"], row["end_price"])
        assert (key, fills[key]) == (key, each.fills)
        assert (key, end) == (key, each.end)
        assert (key, row["buy_fee"]) == (key, each.fee)
        if end is not None:
            assert (key, row["is_provisional"]) == (key, each.is_provisional)
    kinds = {kind for each in trades for kind, *_ in each.fills}
    assert kinds == {"buy", "settlement", "correction"}
    assert {each.end[0] for each in trades if each.end} == {"yes", "no", "scalar", "void"}
    assert {each.bought.event.kind for each in trades} == {"above", "range", "updown"}


def test_the_day_has_everything(day: Day) -> None:
    """Things that never occur are not compared: all of them have to."""
    rows = [row for moment in day.moments for row in moment.rows]
    looks = [
        look for moment in day.moments for read in moment.reads.values() for look in read.looks
    ]
    tables = [moment.documents["strike_table"] for moment in day.moments]
    assert {row["kind"] for row in rows} == {"above", "range", "updown"}
    assert {row["state"] for row in rows} == {"initialized", "active", "paused", "closed"}
    assert {row["edge_reason"] for row in rows} == {
        *(None, "closed", "paused", "price_stale", "quotes_stale", "awaiting_strike"),
        *("rules_unclear", "no_model", "last_minute", "no_offer"),
    }
    assert {row["model"] for row in rows} >= {None, "volatility", "momentum"}
    assert {(look.status, look.result) for look in looks} >= {
        *((status, word) for status in ("determined", "finalized") for word in ("yes", "no")),
        *((status, word) for status in ("determined", "finalized") for word in ("scalar", "void")),
        *(("amended", "yes"), ("amended", "no"), ("disputed", "yes"), ("halted", "")),
    }
    assert sum(len(moment.documents["watchlist"]["strikes"]) for moment in day.moments) > 50
    assert {table["state"] for table in tables} == {"fresh", "warn", "stale", "halted"}
    assert {table["quote_state"] for table in tables} == {None, "fresh", "warn", "stale", "halted"}
    at_pause = [moment for moment in day.moments if moment.is_paused]
    paused = {(f"{moment.instant.at:%H:%M}", moment.symbol) for moment in at_pause}
    assert paused >= {("08:00", coin.symbol) for coin in COINS if coin.symbol != "SOL"}
    assert ("12:03", "SOL") in paused
