"""Probabilities of trades of every kind, beside numpy on the stored curves."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.support.between_reference import Question, stepwise_candles
from tests.support.contract_rows import Contract, Event, by_ticker, contract_rows, expected
from tests.support.engine import Connection, instant, scalar
from tests.support.readings import METHODS, MODELS, PRICE, Row
from tests.support.trading import put_price, read_quotes, table, tick, trade

BUILT = {"BTC": stepwise_candles(190)}
AT = instant("2026-03-06T00:00") + timedelta(seconds=20)
READ = AT - timedelta(seconds=1)
HOUR, QUARTER = instant("2026-03-06T01:00"), instant("2026-03-06T00:15")
DAILY, TOO_FAR = instant("2026-03-06T22:00"), instant("2026-03-07T01:00")
STRIKES = [Decimal(int(PRICE)) + 100 * k for k in range(-5, 6)]
ABOVE = Event(
    *("KXBTCD-A", "KXBTCD", HOUR, READ),
    tuple(Contract(f"A{k}", strike) for k, strike in enumerate(STRIKES)),
)
RANGES = Event(
    *("KXBTC-R", "KXBTC", HOUR, READ),
    tuple(
        Contract(f"R{k}", lower, upper)
        for k, (lower, upper) in enumerate(pairwise([None, *STRIKES, None]))
    ),
)
UP = Event("KXBTC15M-U", "KXBTC15M", QUARTER, READ, (Contract("U", Decimal("99987.43")),))
DAY = Event(
    *("KXBTCD-D", "KXBTCD", DAILY, READ),
    tuple(Contract(f"D{k}", strike + 500) for k, strike in enumerate(STRIKES)),
)
FAR = Event("KXBTCD-F", "KXBTCD", TOO_FAR, READ, (Contract("F", Decimal(100_000)),))
ALL = (ABOVE, RANGES, UP, DAY, FAR)


def put(conn: Connection, *events: Event) -> None:
    for event in events:
        event.put(conn)
        conn.execute("SELECT upc._sum_up_event('BTC', %s)", (event.ticker,))


def buy(conn: Connection, *events: Event, at: datetime = AT) -> dict[int, tuple[Event, str, str]]:
    """A yes and a no of every contract: event, ticker and side by the number of the trade."""
    query = "SELECT upc.open_trade(%s, %s, 0.42, 10, at => %s)"
    return {
        scalar(conn, query, each.ticker, side, at): (event, each.ticker, side)
        for event in events
        for each in event.contracts
        for side in ("yes", "no")
    }


def held(conn: Connection, at: datetime = AT, **kinds: Any) -> dict[int, Row]:
    kinds = {"method": None, "model": None, "settlement": None, **kinds}
    named = ", ".join(f"{name} => %({name})s" for name in kinds)
    rows = table(conn, f"SELECT * FROM upc.trade_list(at => %(at)s, {named})", {**kinds, "at": at})
    return {row["trade_id"]: row for row in rows}


def shown(row: Row) -> dict[int, Row]:
    document = json.loads(row["active_trades"], parse_float=Decimal, parse_int=Decimal)
    return {int(each["trade_id"]): each for each in document["active_trades"]}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_every_kind(conn: Connection, model: str, method: str) -> None:
    put(conn, *ALL)
    trades = buy(conn, *ALL)
    put_price(conn, PRICE, AT)
    row = tick(conn, AT, model=model, method=method, settlement=None)
    rows, documents = held(conn, model=model, method=method), shown(row)
    assert trades.keys() == rows.keys() == documents.keys()
    momentum = row["momentum"]
    table_rows = by_ticker(
        contract_rows(conn, AT, price=PRICE, momentum=momentum, model=model, method=method)
    )
    for event in ALL:
        ttc = int((event.closes_at - AT).total_seconds())
        is_far = ttc > 3600 and (model != "volatility" or ttc > 86_400)
        question = Question(ttc, model, method, "average", momentum=momentum)
        numbers = {} if is_far else expected(conn, event, question)
        for trade_id, (its, ticker, side) in trades.items():
            if its is not event:
                continue
            found = rows[trade_id]["probability"]
            percent = documents[trade_id]["current_probability"]
            assert rows[trade_id]["kind"] == documents[trade_id]["kind"]
            if is_far:
                assert found is percent is None
                continue
            yes = numbers[ticker]["probability"]
            is_at_the_money = abs((table_rows[ticker]["lower"] or 0) - Decimal(PRICE)) < 25
            if event is ABOVE and (is_at_the_money or method == "nearest"):
                # As the strike table, whose two sides need not meet at the price.
                yes = scalar(
                    conn,
                    "SELECT prob_above FROM upc.probability(%s, %s, %s, 'BTC', %s, %s, %s, "
                    "'average', variances => CASE %s WHEN 'volatility' THEN "
                    "upc._known_variances('BTC', %s) END)",
                    *(PRICE, float(table_rows[ticker]["lower"]), momentum, ttc, method, model),
                    *(model, AT),
                )
            else:
                assert table_rows[ticker]["probability"] == pytest.approx(yes, abs=1e-9)
            expected_percent = yes if side == "yes" else 100 - yes
            assert found == pytest.approx(expected_percent, abs=1e-9)
            assert abs(float(percent) - expected_percent) <= 0.00500001
            assert percent == percent.quantize(Decimal("0.01"), ROUND_HALF_UP)
    for event in (RANGES, UP):
        for contract in event.contracts:
            both = [
                documents[each]["current_probability"]
                for each, (_, ticker, _) in trades.items()
                if ticker == contract.ticker
            ]
            assert sum(both) == 100


def test_ranges_sum_to_100(conn: Connection) -> None:
    put(conn, RANGES)
    trades = buy(conn, RANGES)
    put_price(conn, PRICE, AT)
    for model in MODELS:
        for method in METHODS:
            rows = held(conn, model=model, method=method)
            yes = [
                rows[each]["probability"] for each, (_, _, side) in trades.items() if side == "yes"
            ]
            assert len(yes) == len(STRIKES) + 1
            assert sum(yes) == pytest.approx(100, abs=1e-9)


@pytest.mark.parametrize("settlement", ["close", "average", "trimmed", None])
def test_each_series_settles_by_its_own_rules(conn: Connection, settlement: str | None) -> None:
    """The ranges' rules differ from those of the hourly event of the strike table."""
    query = "UPDATE upc_data.series SET settlement = %s WHERE series = 'KXBTC'"
    conn.execute(query, (settlement,))
    put(conn, ABOVE, RANGES)
    trades = buy(conn, RANGES)
    put_price(conn, PRICE, AT)
    row = tick(conn, AT, model=None, method=None, settlement=None)
    question = Question(
        int((HOUR - AT).total_seconds()),
        *("volatility", "linear", "close" if settlement == "close" else "average"),
        momentum=row["momentum"],
    )
    numbers = expected(conn, RANGES, question)
    for trade_id, each in held(conn).items():
        _, ticker, side = trades[trade_id]
        yes = numbers[ticker]["probability"]
        assert each["probability"] == pytest.approx(yes if side == "yes" else 100 - yes, abs=1e-9)


# The last minute of a quarter of an hour, which is none of the hourly event's.


def last_minute(conn: Connection, since: float, at: datetime) -> float:
    """Prices of every second from `since` seconds before the close on; their mean in its minute."""
    prices: list[float] = []
    moment = QUARTER - timedelta(seconds=since)
    while moment <= at:
        price = PRICE + 7 * np.sin(len(prices))
        put_price(conn, price, moment)
        if moment >= QUARTER - timedelta(seconds=60) and moment < at:
            prices.append(price)
        moment += timedelta(seconds=1)
    return float(np.mean(prices)) if prices else float("nan")


@pytest.mark.parametrize("settlement", [None, "average"])
def test_the_last_minute_is_that_of_its_own_close(conn: Connection, settlement: str | None) -> None:
    put(conn, ABOVE, UP)
    trades = buy(conn, UP, at=READ)
    at = QUARTER - timedelta(seconds=20)
    observed = last_minute(conn, 75, at)
    row = tick(conn, at, model=None, method=None, settlement=settlement)
    assert row["ttc_seconds"] == 45 * 60 + 20
    question = Question(
        # There are no candles as new as this to forecast from.
        *(20, row["used_model"], "linear", "average", row["momentum"]),
        observed=observed,
        price=row["price"],
    )
    yes = expected(conn, UP, question)["U"]["probability"]
    assert 0 < yes < 100
    rows = held(conn, at)
    for trade_id, (_, _, side) in trades.items():
        percent = yes if side == "yes" else 100 - yes
        assert rows[trade_id]["probability"] == pytest.approx(percent, abs=1e-9)
        assert abs(float(shown(row)[trade_id]["current_probability"]) - percent) < 0.006


@pytest.mark.parametrize(
    ("since", "settlement", "stops"),
    [(75, "average", True), (45, "average", False), (75, "close", False), (75, "trimmed", False)],
)
def test_a_stop_in_the_last_minute_where_that_was_seen(
    conn: Connection, since: float, settlement: str, stops: bool
) -> None:
    conn.execute("UPDATE upc_data.series SET settlement = %s", (settlement,))
    for name, value in (("stop_ttc", "10 s"), ("stop_verify", "off"), ("stop_probability", "99.9")):
        conn.execute("SELECT set_config('upc.' || %s, %s, true)", (name, value))
    put(conn, ABOVE, UP)
    [yes, no] = buy(conn, UP, at=READ)
    at = QUARTER - timedelta(seconds=20)
    last_minute(conn, since, at)
    read_quotes(conn, at, UP.ticker)
    tick(conn, at, model=None, method=None, settlement=None)
    assert held(conn, at)[yes]["probability"] < 99.9
    assert {trade(conn, each)["status"] for each in (yes, no)} == {"stopped" if stops else "open"}
