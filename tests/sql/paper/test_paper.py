"""Paper trades beside a ledger that is worked out in Decimal from the bets of the same tick."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal

import numpy as np
import psycopg
import pytest

from tests.support.between_reference import stepwise_candles
from tests.support.contract_rows import Contract, Event
from tests.support.engine import Connection, instant, open_db, scalar
from tests.support.readings import PRICE, Row, table

BUILT = {"BTC": stepwise_candles(191)}
AT = instant("2026-03-06T00:00") + timedelta(seconds=20)
HOUR, QUARTER = instant("2026-03-06T01:00"), instant("2026-03-06T00:15")
BASE = Decimal(int(PRICE))


def contract(name: str, lower: Decimal | None, upper: Decimal | None, yes: str) -> Contract:
    ask = Decimal(yes)
    return Contract(
        name, lower, upper, yes_ask=ask, yes_bid=ask - Decimal("0.03"), ask_size=Decimal("7.5")
    )


ABOVE = Event(
    *("KXBTCD-A", "KXBTCD", HOUR, AT - timedelta(seconds=1)),
    tuple(
        contract(f"A{k}", BASE + 200 * k, None, f"0.{cents}")
        for k, cents in zip(range(-2, 3), (80, 66, 40, 41, 30), strict=True)
    ),
)
UP = Event(
    *("KXBTC15M-U", "KXBTC15M", QUARTER, AT - timedelta(seconds=1)),
    (contract("U", BASE + 10, None, "0.25"),),
)


def tick(conn: Connection) -> None:
    conn.execute(
        "SELECT upc.tick('BTC', 'database', %s, model => 'volatility', method => 'linear', "
        "settlement => NULL)",
        (AT,),
    )


@pytest.fixture
def conn(module_dsn: str) -> Iterator[Connection]:
    """A tick with bets, in a transaction that is rolled back."""
    with open_db(module_dsn, autocommit=False) as connection:
        for event in (ABOVE, UP):
            event.put(connection)
        seen = AT - timedelta(seconds=1)
        connection.execute("SELECT upc.record_price('BTC', 'one', %s, %s, %s)", (PRICE, seen, seen))
        tick(connection)
        yield connection
        connection.rollback()


def bets(conn: Connection) -> list[Row]:
    return table(conn, "SELECT * FROM upc.best_bets('BTC', 1000, %s)", AT)


def buy(conn: Connection, after: int = 0) -> list[Row]:
    return table(conn, "SELECT * FROM upc.buy_paper('BTC', %s)", AT + timedelta(seconds=after))


def fee(ask: Decimal, count: Decimal) -> Decimal:
    """A taker's: 7 % of price times one less price, up to a hundredth of a cent, then to a cent."""
    model = (Decimal("0.07") * count * ask * (1 - ask)).quantize(Decimal("0.0001"), ROUND_CEILING)
    paid = (ask * count + model).quantize(Decimal("0.01"), ROUND_CEILING)
    return paid - ask * count


def settle(conn: Connection, after: timedelta, **results: tuple[str, str, str | None]) -> list[Row]:
    """Give markets a result, a status and a value, and settle that long after the close."""
    for ticker, (result, status, value) in results.items():
        conn.execute(
            "UPDATE upc_data.market_quote SET result = %s, status = %s, settlement_value = %s "
            "WHERE ticker = %s",
            (result, status, value, ticker),
        )
    return table(conn, "SELECT * FROM upc.settle_paper('BTC', %s)", HOUR + after)


def test_each_suggestion_is_bought_once(conn: Connection) -> None:
    suggested = bets(conn)
    assert {row["event_ticker"] for row in suggested} == {"KXBTCD-A", "KXBTC15M-U"}
    found = buy(conn)
    assert [(row["event_ticker"], row["side"]) for row in found] == [
        (row["event_ticker"], row["side"]) for row in suggested
    ]
    for row, bet in zip(found, suggested, strict=True):
        for name in ("ticker", "contract", "kind", "series", "closes_at", "ask", "probability"):
            assert row[name] == bet[name]
        # An order of ten, of which 7.5 are offered on one side.
        assert row["count"] == min(10, int(bet["offered"]))
        assert row["fee"] == fee(row["ask"], row["count"])
        assert (row["bought_at"], row["result"], row["settled_at"]) == (AT, None, None)
    assert {row["count"] for row in found} == {7, 10}
    assert buy(conn, 1) == []


def test_with_a_bankroll_the_size_is_the_bets(conn: Connection) -> None:
    conn.execute("SELECT set_config('upc.bankroll', '40', true)")
    tick(conn)
    counts = {(row["event_ticker"], row["side"]): row["count"] for row in bets(conn)}
    found = {(row["event_ticker"], row["side"]): row["count"] for row in buy(conn)}
    assert found == {key: count for key, count in counts.items() if count}
    assert found
    assert set(found.values()) - {7, 10}


def test_nothing_is_bought_of_a_tick_that_is_old(conn: Connection) -> None:
    assert buy(conn, 600) == []


def test_nothing_is_bought_where_nothing_has_ticked(conn: Connection) -> None:
    assert table(conn, "SELECT * FROM upc.buy_paper('ETH', %s)", AT) == []
    with pytest.raises(psycopg.Error, match="DOGE") as caught:
        conn.execute("SELECT upc.buy_paper('DOGE')")
    assert caught.value.sqlstate == "UP002"


def test_results_settle_and_amendments_correct(conn: Connection) -> None:
    bought = {(row["ticker"], row["side"]): row for row in buy(conn)}
    [(ticker, side), *_] = [key for key in bought if key[0].startswith("A")]
    one = bought[ticker, side]
    other = "no" if side == "yes" else "yes"
    assert settle(conn, timedelta(minutes=-30), **{ticker: (side, "active", None)}) == []
    [row] = settle(conn, timedelta(minutes=1), **{ticker: (side, "determined", None)})
    assert (row["result"], row["payout"], row["is_final"]) == (side, 1, False)
    assert profit(conn, ticker, side) == one["count"] * (1 - one["ask"]) - one["fee"]
    assert settle(conn, timedelta(minutes=2)) == []
    assert settle(conn, timedelta(minutes=2), **{ticker: (other, "disputed", None)}) == []
    [row] = settle(conn, timedelta(minutes=3), **{ticker: (other, "amended", None)})
    assert (row["payout"], row["settled_at"]) == (0, HOUR + timedelta(minutes=1))
    assert profit(conn, ticker, side) == -one["count"] * one["ask"] - one["fee"]
    [row] = settle(conn, timedelta(minutes=4), **{ticker: (other, "finalized", None)})
    assert row["is_final"]
    # What is final stays.
    assert settle(conn, timedelta(minutes=5), **{ticker: (side, "finalized", None)}) == []


def profit(conn: Connection, ticker: str, side: str) -> Decimal:
    found = scalar(
        conn,
        "SELECT t.profit FROM upc.paper_trades('BTC') AS t WHERE t.ticker = %s AND t.side = %s",
        ticker,
        side,
    )
    assert isinstance(found, Decimal)
    return found


def test_a_scalar_result_pays_a_part(conn: Connection) -> None:
    bought = buy(conn)
    results = {row["ticker"]: ("scalar", "finalized", "0.3") for row in bought}
    for row in settle(conn, timedelta(minutes=1), **results):
        part = Decimal("0.3") if row["side"] == "yes" else Decimal("0.7")
        assert row["payout"] == part


def test_reports_are_sums_over_the_ledger(conn: Connection) -> None:
    buy(conn)
    results = {"A-2": "yes", "A-1": "yes", "A0": "no", "A1": "no", "A2": "no", "U": "yes"}
    settled = settle(
        conn,
        timedelta(minutes=1),
        **{ticker: (result, "finalized", None) for ticker, result in results.items()},
    )
    for row in settled:
        assert row["payout"] == int(results[row["ticker"]] == row["side"])
    trades = table(conn, "SELECT * FROM upc.paper_trades('BTC')")
    for row in trades:
        assert row["cost"] == row["count"] * row["ask"] + row["fee"]
        assert row["profit"] == row["count"] * row["payout"] - row["cost"]
    [report] = table(conn, "SELECT * FROM upc.paper_summary()")
    assert (report["trade_symbol"], report["bought"]) == ("BTC", len(trades))
    assert report["settled"] == len(trades)
    assert report["profit"] == sum(row["profit"] for row in trades)
    assert report["staked"] == sum(row["cost"] for row in trades)
    assert report["won"] == sum(row["payout"] > row["ask"] for row in trades)
    hits = 100 * np.mean([float(row["payout"]) for row in trades])
    assert float(report["hit_rate"]) == pytest.approx(hits, abs=0.005)
    tenths = table(conn, "SELECT * FROM upc.paper_calibration('BTC')")
    assert sum(row["trades"] for row in tenths) == len(trades)
    for row in tenths:
        member = [t for t in trades if row["low"] <= t["probability"] < row["high"]]
        assert row["said"] == pytest.approx(float(np.mean([t["probability"] for t in member])))
        assert row["came"] == pytest.approx(100 * float(np.mean([t["payout"] for t in member])))
        assert row["came_low"] <= row["came"] <= row["came_high"]
    assert table(conn, "SELECT * FROM upc.paper_summary('ETH')") == []
    later = AT + timedelta(seconds=1)
    assert table(conn, "SELECT * FROM upc.paper_trades('BTC', %s)", later) == []
