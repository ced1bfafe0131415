"""Rows of the strike documents, worked out again in decimals from strikes and quotes."""

from __future__ import annotations

import json
import random
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from tests.support.engine import Connection, scalar
from tests.support.trading import EVENT, NOW, STRIKE, STRIKES, put_price, table, tick, ticker_of

Row = dict[str, Any]
CENT = Decimal("0.01")
STEP = 250
REASONS = ["closed", "paused", "price_stale", "quotes_stale", "no_model", "last_minute", "no_offer"]
CLOSED = {"closed", "determined", "finalized"}


@pytest.fixture(scope="module")
def module_dsn(trading_dsn: str) -> str:
    return trading_dsn


def two(value: float) -> Decimal:
    return Decimal(f"{value:.15g}").quantize(CENT, ROUND_HALF_UP)


def offered(ask: Decimal | None, opposite_bid: Decimal | None) -> Decimal | None:
    if ask is None or ask == 0 or (ask == 1 and not opposite_bid):
        return None
    return ask


def cost(ask: Decimal) -> float:
    """Cents per contract of an order of ten, its taker fee and the cents of the account in it."""
    fee = (Decimal(10_000) * Decimal("0.07") * 10 * ask * (1 - ask)).to_integral_value(
        ROUND_CEILING
    ) / 10_000
    paid = ((10 * ask + fee) / CENT).to_integral_value(ROUND_CEILING) * CENT
    return float(100 * paid) / 10


def odd_quotes(conn: Connection, dice: random.Random) -> None:
    for strike in STRIKES:
        asks = [
            dice.choice([None, Decimal(0), Decimal(1), Decimal(dice.randint(0, 10_000)) / 10_000])
            if dice.random() < 0.4
            else Decimal(dice.randint(1, 99)) / 100
            for _ in range(2)
        ]
        bids = [dice.choice([None, Decimal(0), Decimal(dice.randint(1, 99)) / 100]) for _ in "yn"]
        if dice.random() < 0.1:
            asks[0] = Decimal("0.1234567")
        conn.execute(
            "UPDATE upc_data.market_quote SET yes_ask = %s, no_ask = %s, yes_bid = %s, no_bid = %s,"
            " volume = %s, status = %s WHERE event_ticker = %s AND lower = %s",
            (
                *asks,
                *bids,
                dice.choice([None, Decimal("999.99"), Decimal("1500.00")]),
                dice.choice(["active"] * 8 + ["paused", "closed", "determined", "a new word"]),
                EVENT,
                strike,
            ),
        )


def expected_row(seen: Row, quote: Row | None, price: float) -> Row:
    """A row of the strike table, with the price and the quotes fresh."""
    is_above = seen["strike"] > price
    status = "active" if quote is None else quote["status"]
    q = quote if quote is not None and status == "active" else {}
    yes = offered(q.get("yes_ask"), q.get("no_bid"))
    no = offered(q.get("no_ask"), q.get("yes_bid"))
    beyond = two(seen["prob_beyond"])
    within = 100 - beyond
    yes_cents, no_cents = (
        None if ask is None else int((100 * ask).to_integral_value(ROUND_CEILING))
        for ask in (yes, no)
    )
    reason: str | None
    if status in CLOSED:
        reason = "closed"
    elif status != "active":
        reason = "paused"
    else:
        reason = "no_offer" if yes is None and no is None else None
    first, second = (beyond, within) if is_above else (within, beyond)
    above = seen["prob_above"]
    return {
        "strike": seen["strike"],
        "buffer": two(seen["buffer"]),
        "buffer_pct": two(seen["buffer"] / STEP),
        "probability": within,
        "yes_ask": yes_cents,
        "no_ask": no_cents,
        "yes_diff": None if reason or yes_cents is None else first - yes_cents,
        "no_diff": None if reason or no_cents is None else second - no_cents,
        "volume": q.get("volume"),
        "ticker": q.get("ticker"),
        "active_side": "no" if is_above else "yes",
        **{
            f"{name}_dollars": None if value is None else str(value)
            for name, value in (
                ("yes_ask", yes),
                ("no_ask", no),
                ("yes_bid", q.get("yes_bid")),
                ("no_bid", q.get("no_bid")),
            )
        },
        "yes_edge": None if yes is None else two(above - cost(yes)),
        "no_edge": None if no is None else two(100 - above - cost(no)),
        "prob_above": two(above),
        "sample_size": seen["sample_size"],
        "prob_low": None if seen["prob_low"] is None else two(seen["prob_low"]),
        "prob_high": None if seen["prob_high"] is None else two(seen["prob_high"]),
        "edge_reason": reason,
    }


def is_watched(row: Row) -> bool:
    return (
        row["edge_reason"] is None
        and row["volume"] is not None
        and row["volume"] >= 1000
        and row["probability"] > 35
        and all(row[side] is not None and row[side] <= 98 for side in ("yes_ask", "no_ask"))
        and max(row["yes_diff"], row["no_diff"]) >= -3
    )


def exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


@pytest.mark.parametrize(("model", "method"), [("momentum", "nearest"), ("momentum", "linear")])
def test_rows_of_odd_quotes(conn: Connection, model: str, method: str) -> None:
    dice = random.Random(f"{model}{method}")
    reasons = set()
    for n in range(40):
        price = round(STRIKE + dice.uniform(-600, 600), 2)
        put_price(conn, price, NOW, exchange=f"e{n}")
        odd_quotes(conn, dice)
        row = tick(
            conn, feed=f"e{n}", model=model, method=method, min_probability=40, min_differential=0
        )
        seen = table(
            conn,
            "SELECT * FROM upc.compute_strikes(%s, %s, 'BTC', 1200, 250, method => %s)",
            (price, row["momentum"], method),
        )
        quotes = {
            float(quote["lower"]): quote
            for quote in table(
                conn, "SELECT * FROM upc_data.market_quote WHERE event_ticker = %s", (EVENT,)
            )
        }
        expected = [expected_row(each, quotes.get(each["strike"]), price) for each in seen]
        found = exact(row["strike_table"])
        nearest = sorted(expected, key=lambda each: (abs(each["strike"] - price), each["strike"]))
        assert found["strikes"] == nearest
        assert [list(each) for each in found["strikes"]] == [list(each) for each in nearest]
        watched = sorted(
            (each for each in nearest if is_watched(each)), key=lambda each: -each["probability"]
        )
        assert exact(row["watchlist"])["strikes"] == watched
        reasons |= {each["edge_reason"] for each in expected}
        lacking = [each["edge_reason"] for each in expected]
        assert found["edge_reason"] == (
            None if None in lacking else max(lacking, key=lambda each: REASONS.index(str(each)))
        )
        live = exact(row["live_probabilities"])
        assert live["strikes"] == [each["strike"] for each in seen]
        assert live["probabilities"] == [
            {
                "strike": each["strike"],
                "buffer": two(each["buffer"]),
                "move_percent": two(each["move_percent"]),
                "prob_beyond": two(each["prob_beyond"]),
                "prob_within": 100 - two(each["prob_beyond"]),
                "direction": "above" if each["strike"] > price else "below",
                "positive_prob": two(each["positive_prob"]),
                "negative_prob": two(each["negative_prob"]),
            }
            for each in seen
        ]
    assert reasons == {None, "closed", "paused", "no_offer"}


def test_a_traded_market_hides_another_of_its_strike(conn: Connection) -> None:
    """Two markets of one strike: the one that is traded stands in the table."""
    conn.execute(
        "INSERT INTO upc_data.market_quote (symbol, event_ticker, ticker, lower, status, yes_ask)"
        " VALUES ('BTC', %s, 'Z-CLOSED', %s, 'closed', 0.5)",
        (EVENT, STRIKE),
    )
    put_price(conn, STRIKE + 10)
    [first, *_] = exact(tick(conn)["strike_table"])["strikes"]
    assert (first["ticker"], first["edge_reason"]) == (ticker_of(STRIKE), None)
    conn.execute("DELETE FROM upc_data.market_quote WHERE ticker = %s", (ticker_of(STRIKE),))
    [first, *_] = exact(tick(conn)["strike_table"])["strikes"]
    assert (first["ticker"], first["edge_reason"]) == (None, "closed")


@pytest.mark.parametrize("precision", ["0.01", "0.0001", "0.003", "0.00015"])
@pytest.mark.parametrize(
    ("contracts", "multiplier"), [("10", "1"), ("7", "0.35"), ("2.5", "0.123")]
)
def test_quick_costs_are_the_exact_ones(
    conn: Connection, precision: str, contracts: str, multiplier: str
) -> None:
    """Whole numbers where all is whole, and every other ask, order and precision."""
    conn.execute("SELECT upc.set_rule('account_precision', %s)", (precision,))
    conn.execute("SELECT upc.set_rule('edge_contracts', %s)", (contracts,))
    conn.execute(
        "UPDATE upc_data.series SET fee_multiplier = %s WHERE symbol = 'BTC'", (multiplier,)
    )
    assert scalar(
        conn,
        """
        SELECT bool_and(
            upc._quick_contract_cost(a, upc._whole_ask(a), o) = upc._contract_cost(a, o)
            AND upc._whole_cents(a, upc._whole_ask(a)) = ceil(100 * a)
        )
        FROM generate_series(0, 1, 0.0037) AS s (ask)
        CROSS JOIN LATERAL (VALUES (s.ask), (round(s.ask, 2)), (s.ask + 0.00001)) AS v (a)
        CROSS JOIN upc._symbol_order('BTC') AS o
        WHERE v.a <= 1
        """,
    )
