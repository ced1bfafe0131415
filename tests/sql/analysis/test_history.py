"""History and closed events, beside sums in Python over what was logged."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.contracts import market, markets_of, rows
from tests.support.engine import Connection, instant, open_db, scalar

FROM, UNTIL = instant("2026-03-05T10:00"), instant("2026-03-05T12:00")
EPOCH = instant("2000-01-01T00:00")
Row = dict[str, Any]

TICK = """
    INSERT INTO upc_data.tick (
        symbol, tick_id, ticked_at, feed, state, market_at, price, priced_at, momentum, ttc_seconds,
        method, model, settlement, fingerprint, strikes, prob_above, closes_at
    )
    VALUES (
        %(symbol)s, %(tick_id)s, %(at)s, 'one', 'fresh', %(at)s, %(price)s, %(at)s, %(momentum)s,
        60, 'linear', 'volatility', 'close', 'f', '{1}', '{99}', %(at)s + interval '1 minute'
    )
"""


@dataclass(frozen=True)
class Tick:
    at: datetime
    tick_id: int
    price: float


def log_ticks(conn: Connection, symbol: str = "BTC") -> list[Tick]:
    """Two hours of ticks, some seconds apart, with a hole of ten minutes."""
    dice = np.random.default_rng(4)
    ticks: list[Tick] = []
    at = FROM - timedelta(minutes=5)
    while at < UNTIL + timedelta(minutes=5):
        if not 40 <= (at - FROM).total_seconds() / 60 < 50:
            ticks.append(Tick(at, len(ticks) + 1, round(100_000 + dice.normal(0, 50), 2)))
        at += timedelta(milliseconds=int(dice.integers(700, 9000)))
    cursor = conn.cursor()
    cursor.executemany(
        TICK,
        [
            {
                **{"symbol": symbol, "tick_id": each.tick_id, "at": each.at, "price": each.price},
                "momentum": None if each.tick_id % 7 == 0 else each.tick_id / 10,
            }
            for each in ticks
        ],
    )
    return ticks


def firsts(ticks: list[Tick], seconds: int, since: datetime, until: datetime) -> list[Tick]:
    found: dict[int, Tick] = {}
    for each in ticks:
        if since <= each.at < until:
            found.setdefault(int((each.at - EPOCH).total_seconds()) // seconds, each)
    return list(found.values())


def history(conn: Connection, *given: Any) -> list[Row]:
    marks = ", ".join(["%s"] * len(given))
    return rows(conn, f"SELECT * FROM upc.history('BTC', {marks})", *given)


@pytest.mark.parametrize("seconds", [1, 7, 60, 3600])
def test_the_first_tick_of_every_step(db: Connection, seconds: int) -> None:
    ticks = log_ticks(db)
    log_ticks(db, "ETH")
    until = UNTIL if seconds > 1 else FROM + timedelta(minutes=80)
    found = history(db, FROM, until, timedelta(seconds=seconds))
    expected = firsts(ticks, seconds, FROM, until)
    assert [(row["ticked_at"], row["tick_id"], row["price"]) for row in found] == [
        (each.at, each.tick_id, each.price) for each in expected
    ]
    assert [row["momentum"] for row in found] == [
        None if each.tick_id % 7 == 0 else each.tick_id / 10 for each in expected
    ]
    assert {(row["model"], row["feed"], row["ttc_seconds"]) for row in found} == {
        ("volatility", "one", 60)
    }


def test_days_that_were_thinned_go_on_in_it(db: Connection) -> None:
    ticks = log_ticks(db)
    kept = firsts(ticks, 60, FROM - timedelta(hours=1), instant("2026-03-05T11:00"))
    db.execute(
        """
        INSERT INTO upc_data.tick_minute
        SELECT (jsonb_populate_record(
            NULL::upc_data.tick_minute,
            to_jsonb(t) || jsonb_build_object('minute_at', date_trunc('minute', t.ticked_at))
        )).*
        FROM upc_data.tick AS t WHERE t.symbol = 'BTC' AND t.tick_id = ANY (%s)
        """,
        [[each.tick_id for each in kept]],
    )
    db.execute("DELETE FROM upc_data.tick WHERE ticked_at < '2026-03-05 11:00+00'")
    later = [each for each in ticks if each.at >= instant("2026-03-05T11:00")]
    found = history(db, FROM, UNTIL, timedelta(seconds=30))
    assert [row["tick_id"] for row in found] == [
        each.tick_id for each in firsts(kept + later, 30, FROM, UNTIL)
    ]


def test_a_day_reads_the_rows_of_its_symbol_and_span_alone(fresh_db: str) -> None:
    """Of ten symbols with nine days each: what PostgreSQL has counted in this transaction."""
    with closing(open_db(fresh_db, autocommit=False)) as conn:
        conn.execute(
            """
            INSERT INTO upc_data.tick (
                symbol, tick_id, ticked_at, feed, state, market_at, price, priced_at, ttc_seconds,
                method, model, settlement, fingerprint, strikes, prob_above
            )
            SELECT
                s, extract(epoch FROM t), t, 'one', 'fresh', t, 1, t, 60, 'linear', 'volatility',
                'close', 'f', '{1}', '{99}'
            FROM unnest(%s::text[]) AS s
            CROSS JOIN generate_series(%s::timestamptz, %s, interval '3 minutes') AS t
            """,
            [[f"S{k}" for k in range(9)] + ["BTC"], UNTIL - timedelta(days=9), UNTIL],
        )
        conn.execute("ANALYZE upc_data.tick")
        counts = """
            SELECT coalesce(sum(seq_tup_read), 0), coalesce(sum(idx_tup_fetch), 0)
            FROM pg_stat_xact_all_tables
            WHERE schemaname = 'upc_data' AND relname ~ '^tick(_[0-9]|_default|_minute|$)'
        """
        [before] = conn.execute(counts).fetchall()
        found = history(conn, UNTIL - timedelta(days=1), UNTIL, timedelta(minutes=15))
        [after] = conn.execute(counts).fetchall()
    assert len(found) == 96
    assert after[0] - before[0] == 0, "a table was read from end to end"
    # One row for each point, and not the other four fifths of the day.
    assert after[1] - before[1] <= 2 * len(found)


@pytest.mark.parametrize(
    ("hours", "seconds"), [(1, 1), (1.5, 2), (24, 30), (24 * 30, 600), (24 * 365, 7200)]
)
def test_left_out_the_step_is_the_shortest_round_one(
    db: Connection, hours: float, seconds: int
) -> None:
    query = "SELECT upc.history_document('BTC', %s, %s) ->> 'every_seconds'"
    assert scalar(db, query, FROM, FROM + timedelta(hours=hours)) == str(seconds)


def test_a_step_that_takes_too_many_points_is_made_longer(db: Connection) -> None:
    ticks = log_ticks(db)
    found = history(db, FROM, UNTIL, timedelta(seconds=1))
    assert [row["tick_id"] for row in found] == [
        each.tick_id for each in firsts(ticks, 2, FROM, UNTIL)
    ]


@pytest.mark.parametrize("until", [FROM, FROM - timedelta(days=1)])
def test_a_span_that_is_empty_has_no_ticks(db: Connection, until: datetime) -> None:
    log_ticks(db)
    assert history(db, FROM, until) == []


@pytest.mark.parametrize(
    "given",
    [
        (None, UNTIL, None),
        ("-infinity", UNTIL, None),
        (FROM, "infinity", None),
        (FROM, UNTIL, timedelta(0)),
        (FROM, UNTIL, timedelta(seconds=-5)),
        (FROM, UNTIL, timedelta(seconds=1.5)),
    ],
)
def test_spans_and_steps_that_cannot_be(db: Connection, given: tuple[Any, ...]) -> None:
    for name, more in (("history", "'BTC'"), ("contract_history", "'BTC', '{A}'")):
        with pytest.raises(psycopg.Error) as caught, db.transaction():
            db.execute(
                f"SELECT * FROM upc.{name}({more}, %s::timestamptz, %s::timestamptz, %s)".encode(),
                given,
            )
        assert caught.value.sqlstate == "UP032"
        assert caught.value.diag.message_hint


# Five contracts of an event, as they are at its settlement: one has no result.
CLOSE = instant("2026-03-05T12:00")
STRIKES = [99_000 + 500 * k for k in range(5)]
RESULTS = ["yes", "yes", "yes", "no", ""]


def close_event(conn: Connection, *, is_open: bool = False) -> None:
    ending = {"status": "finalized", "expiration_value": "100100.25"}
    contracts = [
        market(
            f"T{strike}",
            close_time=CLOSE.isoformat(),
            strike_type="greater_or_equal",
            floor_strike=strike,
            **({} if is_open else {**ending, "result": result}),
        )
        for strike, result in zip(STRIKES, RESULTS, strict=True)
    ]
    document = Jsonb(markets_of("KXBTCD", *contracts))
    conn.execute("SELECT upc.load_market(%s, read_at => %s)", (document, CLOSE))


def log_contracts(conn: Connection) -> dict[datetime, list[Row]]:
    """Once a minute for 40, one of ten left out; some have no bid, some no probability."""
    dice = np.random.default_rng(9)
    logged: dict[datetime, list[Row]] = {}
    for minute in range(40, 0, -1):
        at = CLOSE - timedelta(minutes=minute) + timedelta(seconds=int(dice.integers(0, 20)))
        if minute % 10 == 6:
            continue
        logged[at] = [
            {
                "ticker": f"E-T{strike}",
                "probability": None if (minute + k) % 9 == 0 else float(dice.uniform(0, 100)),
                **{"prob_low": float(minute), "prob_high": None if k % 2 else minute + 0.5},
                "yes_bid": None
                if (minute + k) % 5 == 0
                else Decimal(int(dice.integers(1, 50))) / 100,
                "yes_ask": Decimal(int(dice.integers(50, 99))) / 100,
                "no_bid": Decimal("0.0125"),
                "no_ask": None,
            }
            for k, strike in enumerate(STRIKES)
        ]
        its = logged[at]
        columns = [[each[name] for each in its] for name in its[0]]
        conn.execute(
            """
            INSERT INTO upc_data.contract_log (
                symbol, logged_at, tick_id, event_ticker, is_minute, price, model, tickers,
                probabilities, prob_lows, prob_highs, yes_bids, yes_asks, no_bids, no_asks,
                yes_bid_sizes, yes_ask_sizes, no_bid_sizes, no_ask_sizes
            )
            VALUES ('BTC', %s, 1, 'E', true, 1e5, 'volatility', %s, %s, %s, %s, %s::numeric[],
                %s::numeric[], %s::numeric[], %s::numeric[], '{}', '{}', '{}', '{}')
            """,
            [at, *columns],
        )
    return logged


def test_contracts_as_they_were_logged(db: Connection) -> None:
    close_event(db)
    logged = log_contracts(db)
    asked = [f"E-T{STRIKES[1]}", f"E-T{STRIKES[3]}", "unknown"]
    query = "SELECT * FROM upc.contract_history('BTC', %s, %s, %s, %s)"
    since = CLOSE - timedelta(minutes=30)
    found = rows(db, query, asked, since, CLOSE, timedelta(minutes=5))
    expected = []
    for ticker in sorted(asked):
        steps: dict[int, Row] = {}
        for at, its in logged.items():
            for each in its:
                if each["ticker"] == ticker and at >= since:
                    steps.setdefault(int((at - EPOCH).total_seconds()) // 300, {"at": at, **each})
        expected += list(steps.values())
    assert [{**row, "at": row["logged_at"], "ticker": row["contract_ticker"]} for row in found] == [
        {**each, "logged_at": each["at"], "contract_ticker": each["ticker"]} for each in expected
    ]


def asked(its: list[Row]) -> list[Row]:
    """Those with a result, a probability and a bid."""
    return [
        {**each, "result": result}
        for each, result in zip(its, RESULTS, strict=True)
        if result and each["probability"] is not None and each["yes_bid"] is not None
    ]


def middle(row: Row) -> Decimal:
    return Decimal(row["yes_bid"] + row["yes_ask"]) / 2


def brier(its: list[Row], of_market: bool) -> tuple[int, float]:
    errors = [
        (middle(each) if of_market else each["probability"] / 100, each["result"])
        for each in asked(its)
    ]
    squares = [(float(said) - (result == "yes")) ** 2 for said, result in errors]
    return len(squares), float(np.mean(squares))


def test_what_model_and_market_had_said_of_a_closed_event(db: Connection) -> None:
    close_event(db)
    logged = log_contracts(db)
    [row] = rows(db, "SELECT * FROM upc.closed_events('BTC', %s)", CLOSE + timedelta(minutes=1))
    assert (row["event_ticker"], row["series"], row["kind"]) == ("E", "KXBTCD", "above")
    assert (row["settlement_value"], row["contracts"], row["results"]) == (
        *(Decimal("100100.25"), 5, 4),
    )
    assert row["scored_minutes"] == [30, 15, 5]
    for place, minutes in enumerate(row["scored_minutes"]):
        until = CLOSE - timedelta(minutes=minutes)
        at = max(each for each in logged if until - timedelta(minutes=2) < each <= until)
        count, model = brier(logged[at], False)
        assert row["scored_contracts"][place] == count
        assert row["model_brier"][place] == pytest.approx(model, abs=1e-12)
        assert row["market_brier"][place] == pytest.approx(brier(logged[at], True)[1], abs=1e-12)
        nearest = min(asked(logged[at]), key=lambda each: abs(middle(each) - Decimal("0.5")))
        assert row["closest"][place] == nearest["ticker"]
        assert row["closest_model"][place] == nearest["probability"]
        assert row["closest_market"][place] == float(100 * middle(nearest))
    document = scalar(
        db, "SELECT upc.closed_events_document('BTC', %s)", CLOSE + timedelta(minutes=1)
    )
    [event] = document["events"]
    closest = [score["closest"] for score in event["scores"]]
    results = {f"E-T{strike}": result for strike, result in zip(STRIKES, RESULTS, strict=True)}
    assert [each["ticker"] for each in closest] == row["closest"]
    assert [each["result"] for each in closest] == [results[each] for each in row["closest"]]
    assert [each["contract"] for each in closest] == [
        f"${int(each.removeprefix('E-T')):,}" for each in row["closest"]
    ]
    assert (row["trades"], row["profit"]) == (0, None)
    assert not rows(db, "SELECT * FROM upc.closed_events('BTC', %s)", CLOSE)
    assert not rows(db, "SELECT * FROM upc.closed_events('ETH', %s)", CLOSE + timedelta(days=1))


def test_the_profit_of_its_trades(db: Connection) -> None:
    close_event(db, is_open=True)
    before = CLOSE - timedelta(minutes=20)
    for ticker, side, price in (("E-T99000", "yes", "0.91"), ("E-T99500", "no", "0.12")):
        db.execute("SELECT upc.open_trade(%s, %s, %s, 10, at => %s)", (ticker, side, price, before))
    query = "SELECT trades, profit FROM upc.closed_events('BTC', %s)"
    later = CLOSE + timedelta(minutes=1)
    assert rows(db, query, later) == [{"trades": 2, "profit": None}]
    for row in rows(db, "SELECT trade_id, side FROM upc_data.trade ORDER BY trade_id"):
        price = {"yes": "0.97", "no": "0.05"}[row["side"]]
        db.execute("SELECT upc.close_trade(%s, %s, at => %s)", (row["trade_id"], price, before))
    # A fee of 0.07 p (1 - p) a contract, up to the next cent, for buying and for selling.
    cents = [
        Decimal(-(-7 * 10 * price * (100 - price) // 10_000)) / 100 for price in (91, 12, 97, 5)
    ]
    won = 10 * (Decimal("0.97") - Decimal("0.91") + Decimal("0.05") - Decimal("0.12"))
    assert rows(db, query, later) == [{"trades": 2, "profit": won - sum(cents)}]
    # By the day on which they ended, and where they were held.
    days = "SELECT * FROM upc.profit_by_day('BTC', %s)"
    assert rows(db, days, later) == [{"day": CLOSE.date(), "trades": 2, "profit": won - sum(cents)}]
    assert rows(db, days, before) == []
    held = "SELECT upc.history_document('BTC', %s, %s) -> 'trades'"
    [bought, other] = scalar(db, held, before, later)
    assert (bought["contract"], bought["side"], bought["buy_price"]) == ("$99,000", "yes", 0.91)
    assert bought["end_price"] == 0.97
    assert Decimal(str(bought["profit"])) + Decimal(str(other["profit"])) == won - sum(cents)
    assert instant(other["opened_at"]) == instant(other["ended_at"]) == before
    assert scalar(db, held, before - timedelta(hours=1), before) == []
    assert scalar(db, held, later, later + timedelta(hours=1)) == []


@pytest.mark.parametrize("days", [0, 367, None])
def test_how_many_days_of_profit_can_be_asked_for(db: Connection, days: int | None) -> None:
    with pytest.raises(psycopg.Error, match="days must be from 1 to 366") as caught:
        db.execute("SELECT * FROM upc.profit_by_day('BTC', days => %s)", [days])
    assert caught.value.sqlstate == "UP032"


def test_nothing_logged_is_no_score(db: Connection) -> None:
    close_event(db)
    [row] = rows(db, "SELECT * FROM upc.closed_events('BTC', %s)", CLOSE + timedelta(minutes=1))
    assert row["scored_contracts"] == row["model_brier"] == row["market_brier"] == [None] * 3
    assert row["closest"] == row["closest_model"] == [None] * 3


@pytest.mark.parametrize("most", [0, 201, -1, None])
def test_how_many_closed_events_can_be_asked_for(db: Connection, most: int | None) -> None:
    with pytest.raises(psycopg.Error, match="most must be from 1 to 200") as caught:
        db.execute("SELECT * FROM upc.closed_events('BTC', most => %s)", [most])
    assert caught.value.sqlstate == "UP032"
