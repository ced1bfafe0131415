"""The ledger: fills, sales of a part, fees as charged; their sums against exact arithmetic."""

from __future__ import annotations

import threading
from decimal import Decimal, localcontext
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.engine import Connection, open_db, scalar
from tests.support.trading import (
    BELOW,
    CLOSE,
    FINE,
    NO,
    NOW,
    YES,
    Row,
    load_event,
    open_trade,
    prepare,
    put_price,
    refused,
    run,
    seconds,
    status_of,
    table,
    taker_fee,
    tick,
    ticker_of,
    trade,
)

CLOSE_TRADE = """
    SELECT upc.close_trade(
        %s, %s::numeric, %s::timestamptz, %s::numeric, fee => %s::numeric, is_maker => %s
    )
"""


@pytest.fixture(scope="module")
def module_dsn(trading_dsn: str) -> str:
    return trading_dsn


def sell(
    conn: Connection,
    trade_id: int,
    price: Any,
    count: Any = None,
    at: Any = NOW,
    fee: Any = None,
    is_maker: bool | None = False,
) -> None:
    conn.execute(CLOSE_TRADE.encode(), (trade_id, price, at, count, fee, is_maker))


def fills(conn: Connection, trade_id: int) -> list[Row]:
    query = "SELECT * FROM upc_data.fill WHERE trade_id = %s ORDER BY fill"
    return table(conn, query, (trade_id,))


def listed(conn: Connection, trade_id: int, at: Any = NOW) -> Row:
    query = "SELECT * FROM upc.trade_list(has_ended => true, at => %s) WHERE trade_id = %s"
    [row] = table(conn, query, (at, trade_id))
    return row


def settle(conn: Connection, result: str) -> None:
    load_event(conn, result=result, read_at=CLOSE)
    put_price(conn, FINE, CLOSE)
    tick(conn, CLOSE)


def balance(rows: list[Row]) -> Decimal:
    """Balance of the fills: money in less money out, less fees; no digit is rounded away."""
    with localcontext() as context:
        context.prec = 200
        return sum(
            ((-1 if r["kind"] == "buy" else 1) * r["price"] * r["count"] - r["fee"] for r in rows),
            Decimal(0),
        )


def test_a_part_is_sold_and_the_rest_settles(conn: Connection) -> None:
    trade_id = open_trade(conn, YES, price="0.85", count=10)
    sell(conn, trade_id, "0.91", 4, NOW + seconds(1))
    row = trade(conn, trade_id)
    assert (row["status"], row["position"], row["sold_count"]) == ("open", 6, 4)
    # 4 · 0.06; and 3.64 less 0.0230 are 3.61 received.
    assert (row["realised_pnl"], row["realised_fee"]) == (Decimal("0.24"), Decimal("0.03"))
    shown = listed(conn, trade_id)
    assert (shown["position"], shown["sold_count"]) == (6, 4)
    assert shown["realised_pnl"] == Decimal("0.24")
    assert shown["fees"] == Decimal("0.12")
    # 6 are worth 0.58 each: 0.24 less 6 · 0.27, 3.48 less 0.1024 are 3.37.
    assert shown["pnl"] == Decimal("-1.38")
    assert shown["pnl_after_fees"] == Decimal("-1.38") - Decimal("0.12") - Decimal("0.11")
    assert shown["pnl_per_contract"] == Decimal("-0.138")
    settle(conn, YES)
    shown = listed(conn, trade_id)
    assert (shown["status"], shown["position"], shown["sold_count"]) == ("settled", 6, 4)
    assert shown["pnl"] == Decimal("1.14")
    assert shown["pnl_after_fees"] == Decimal("1.02")
    assert [
        (r["fill"], r["kind"], r["price"], r["count"], r["fee"], r["filled_at"])
        for r in fills(conn, trade_id)
    ] == [
        (1, "buy", Decimal("0.85"), 10, Decimal("0.09"), NOW),
        (2, "sale", Decimal("0.91"), 4, Decimal("0.03"), NOW + seconds(1)),
        (3, "settlement", 1, 6, 0, CLOSE),
    ]
    [announcement] = table(
        conn, "SELECT document FROM upc_data.announcement WHERE kind = 'settled'"
    )
    assert announcement["document"]["pnl_after_fees"] == 1.02
    assert announcement["document"]["position"] == 6


cents = st.decimals("0.0001", "0.9999", places=4)
counts = st.decimals("0.01", 1000, places=2)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    side=st.sampled_from([YES, NO]),
    buy=st.tuples(cents, counts, st.none() | st.decimals(0, 5, places=4), st.booleans()),
    # Share of the position, price, fee, maker.
    sales=st.lists(
        st.tuples(
            st.decimals("0.01", "0.9", places=2),
            st.decimals(0, 1, places=4),
            st.none() | st.decimals(0, 5, places=6),
            st.booleans(),
        ),
        max_size=4,
    ),
    end=st.sampled_from([YES, NO, "0", "0.37", "1"]),
    multiplier=st.sampled_from([Decimal(1), Decimal("0.5"), Decimal(0)]),
)
def test_profits_are_the_sum_of_the_fills(
    conn: Connection,
    side: str,
    buy: tuple[Decimal, Decimal, Decimal | None, bool],
    sales: list[tuple[Decimal, Decimal, Decimal | None, bool]],
    end: str,
    multiplier: Decimal,
) -> None:
    with conn.transaction(force_rollback=True):
        conn.execute("UPDATE upc_data.series SET fee_multiplier = %s", (multiplier,))
        price, count, fee, is_maker = buy
        query = (
            "SELECT upc.open_trade(%s, %s, %s, %s, at => %s, fee => %s::numeric, is_maker => %s)"
        )
        trade_id = scalar(conn, query, ticker_of(), side, price, count, NOW, fee, is_maker)
        held = count
        expected = [("buy", price, count, is_maker, fee)]
        for share, sale_price, sale_fee, is_maker in sales:
            part = held * share
            sell(conn, trade_id, sale_price, part, NOW, sale_fee, is_maker)
            held -= part
            expected.append(("sale", sale_price, part, is_maker, sale_fee))
        if end in (YES, NO):
            settle(conn, end)
            expected.append(("settlement", Decimal(end == side), held, False, Decimal(0)))
        else:
            sell(conn, trade_id, end)
            expected.append(("sale", Decimal(end), held, False, None))
        rows = fills(conn, trade_id)
        shown = listed(conn, trade_id, CLOSE)

    assert len(rows) == len(expected)
    for row, (kind, price, count, is_maker, fee) in zip(rows, expected, strict=True):
        assert (row["kind"], row["price"], row["count"]) == (kind, price, count)
        assert row["is_maker"] is is_maker
        assert row["is_fee_charged"] is (fee is not None and kind != "settlement")
        # A maker pays a quarter.
        rate = multiplier / 4 if is_maker else multiplier
        assert row["fee"] == (
            taker_fee(price, count, rate, is_sale=kind == "sale") if fee is None else fee
        )
    # Bought is what was sold and settled, and the trade says what its fills leave.
    assert sum(row["count"] for row in rows[1:]) == rows[0]["count"]
    assert shown["pnl_after_fees"] == balance(rows)
    assert shown["fees"] == sum(row["fee"] for row in rows)
    assert shown["pnl"] == shown["pnl_after_fees"] + shown["fees"]
    assert shown["position"] + shown["sold_count"] == rows[0]["count"]


def test_the_rest_goes_on_being_watched_over(conn: Connection) -> None:
    trade_id = open_trade(conn, count=10)
    run(conn, FINE, 0, 0)
    sell(conn, trade_id, "0.9", "2.5")
    [(_, kind, _)] = run(conn, BELOW, 1, 20)
    assert kind == "stop"
    assert status_of(conn, trade_id) == ("stopped", "probability")
    [announcement] = table(conn, "SELECT document FROM upc_data.announcement WHERE kind = 'stop'")
    assert announcement["document"]["position"] == 7.5
    # A stopped trade can be sold in parts, too.
    sell(conn, trade_id, "0.3", "7", NOW + seconds(21))
    assert status_of(conn, trade_id) == ("stopped", "probability")
    sell(conn, trade_id, "0.3", "0.5", NOW + seconds(22))
    assert status_of(conn, trade_id) == ("closed", "probability")
    assert refused(conn, CLOSE_TRADE, trade_id, "0.3", NOW, "0.5", None, False) == "UP015"


@pytest.mark.parametrize(
    "wrong",
    [
        *({"count": each} for each in ("0", "-1", "10.01", "NaN", "Infinity", "-Infinity")),
        *({"fee": each} for each in ("-0.01", "NaN", "Infinity", "-Infinity", "1e12")),
        {"is_maker": None},
        {"price": "1.01"},
    ],
    ids=str,
)
def test_what_cannot_be_sold_is_refused(conn: Connection, wrong: Row) -> None:
    trade_id = open_trade(conn, count=10)
    before = trade(conn, trade_id)
    given = {"price": "0.5", "at": NOW, "count": "1", "fee": "0", "is_maker": False, **wrong}
    assert refused(conn, CLOSE_TRADE, trade_id, *given.values()) == "UP015"
    assert trade(conn, trade_id) == before
    assert len(fills(conn, trade_id)) == 1


@pytest.mark.parametrize("fee", ["-0.01", "NaN", "Infinity", "1e12"])
def test_what_cannot_be_charged_is_refused(conn: Connection, fee: str) -> None:
    query = "SELECT upc.open_trade(%s, 'yes', 0.5, 1, at => %s, fee => %s::numeric)"
    assert refused(conn, query, ticker_of(), NOW, fee) == "UP015"
    query = "SELECT upc.open_trade(%s, 'yes', 0.5, 1, at => %s, is_maker => NULL)"
    assert refused(conn, query, ticker_of(), NOW) == "UP015"
    assert scalar(conn, "SELECT count(*) FROM upc_data.fill") == 0


@pytest.mark.parametrize("side", [YES, NO])
@pytest.mark.parametrize(
    ("bid", "opposite_ask", "worth"),
    [
        ("0.0000", "1.0000", None),  # as Kalshi writes an empty side
        ("0", None, None),
        (None, None, None),
        (None, "1", None),
        ("0", "0.42", None),
        ("0.58", "0.42", "0.58"),
        (None, "0.42", "0.58"),
        ("0.0001", "0.9999", "0.0001"),
    ],
)
def test_without_bids_a_sale_needs_a_price(
    conn: Connection, side: str, bid: str | None, opposite_ask: str | None, worth: str | None
) -> None:
    other = NO if side == YES else YES
    conn.execute(
        f"UPDATE upc_data.market_quote SET {side}_bid = %s, {other}_ask = %s".encode(),
        (bid, opposite_ask),
    )
    trade_id = open_trade(conn, side)
    put_price(conn, FINE)
    assert listed(conn, trade_id)["close_price"] == (worth and Decimal(worth))
    if worth is None:
        assert refused(conn, CLOSE_TRADE, trade_id, None, NOW, None, None, False) == "UP015"
        assert status_of(conn, trade_id)[0] == "open"
        # A given price is accepted.
        sell(conn, trade_id, "0")
    else:
        sell(conn, trade_id, None)
        assert trade(conn, trade_id)["end_price"] == Decimal(worth)


def test_two_at_once_sell_no_more_than_is_held(fresh_db: str) -> None:
    with open_db(fresh_db) as conn:
        prepare(conn)
        trade_id = open_trade(conn, count=10)
    outcomes: list[str | None] = []

    def sell_six() -> None:
        with open_db(fresh_db) as other:
            try:
                sell(other, trade_id, "0.5", 6)
            except psycopg.Error as error:
                outcomes.append(error.sqlstate)
            else:
                outcomes.append(None)

    with open_db(fresh_db) as first, first.transaction():
        sell(first, trade_id, "0.5", 5)
        threads = [threading.Thread(target=sell_six) for _ in range(2)]
        for each in threads:
            each.start()
        outcomes.append(None)
    for each in threads:
        each.join()
    # Five are left for those who wait, and nobody gets six.
    assert outcomes == [None, "UP015", "UP015"]
    with open_db(fresh_db) as conn:
        assert trade(conn, trade_id)["position"] == 5
        assert [row["count"] for row in fills(conn, trade_id)] == [10, 5]
