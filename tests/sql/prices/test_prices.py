"""The price log: what is taken into it, what is read from it, and how a tick shows its age."""

from __future__ import annotations

import json
import math
import random
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.engine import Connection, instant, open_db, scalar, walk

Row = dict[str, Any]
Log = list[tuple[str, datetime, float, datetime | None]]  # exchange, received, price, exchange's

HISTORY = walk(150, "2026-03-02", 300)
MIDNIGHT = instant("2026-03-02T00:00")
NOW = instant("2026-03-02T04:20:50")
# Missing: two minutes in a row, and single ones.
MISSING = (90, 91, 120, 200, 240)
LAGS = {1: 0.30, 2: 0.25, 3: 0.20, 4: 0.15, 15: 0.05, 30: 0.05}


BUILT = {"BTC": HISTORY}


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def record(conn: Connection, price: float | None, **arguments: Any) -> bool:
    given = {"symbol": "BTC", "exchange": "coinbase", "price": price, "received_at": NOW}
    given.update(arguments)
    named = ", ".join(f"{name} => %({name})s" for name in given)
    return bool(conn.execute(f"SELECT upc.record_price({named})".encode(), given).fetchall()[0][0])


def table(conn: Connection, query: str, *parameters: Any) -> list[Row]:
    rows = conn.execute(query.encode(), parameters or None)
    names = [column.name for column in rows.description or []]
    return [dict(zip(names, row, strict=True)) for row in rows]


# Into the log.


def test_a_price_is_logged_as_it_came(conn: Connection) -> None:
    assert record(conn, 97_250.12345678, exchange_at=NOW - seconds(0.25))
    assert record(conn, 97_251, received_at=NOW + seconds(1))
    assert conn.execute("SELECT * FROM upc_data.price ORDER BY received_at").fetchall() == [
        ("BTC", "coinbase", NOW, 97_250.12345678, NOW - seconds(0.25)),
        ("BTC", "coinbase", NOW + seconds(1), 97_251.0, None),
    ]


def test_by_default_it_came_in_now(conn: Connection) -> None:
    query = "SELECT upc.record_price('BTC', 'kraken', 1)"
    assert scalar(conn, query) is True
    query = "SELECT clock_timestamp() - received_at < '10 seconds' FROM upc_data.price"
    assert scalar(conn, query) is True


@pytest.mark.parametrize(
    ("symbol", "price", "sqlstate"),
    [
        ("BTC", None, "UP001"),
        ("BTC", 0.0, "UP001"),
        ("BTC", -1.0, "UP001"),
        ("BTC", math.nan, "UP001"),
        ("BTC", math.inf, "UP001"),
        ("XYZ", 1.0, "UP002"),
        ("btc", 1.0, "UP002"),
        (None, 1.0, "UP002"),
    ],
)
def test_what_is_no_price_is_refused(
    conn: Connection, symbol: str | None, price: float | None, sqlstate: str
) -> None:
    with pytest.raises(psycopg.Error) as caught:
        record(conn, price, symbol=symbol)
    assert caught.value.sqlstate == sqlstate
    assert caught.value.diag.message_detail
    assert caught.value.diag.message_hint


def test_an_overtaken_price_is_left_out(conn: Connection) -> None:
    assert record(conn, 100, exchange_at=NOW)
    later = {"received_at": NOW + seconds(1)}
    assert not record(conn, 99, exchange_at=NOW - seconds(0.001), **later)
    # Of another exchange or symbol it is none.
    assert record(conn, 98, exchange_at=NOW - seconds(1), exchange="kraken", **later)
    assert record(conn, 97, exchange_at=NOW - seconds(1), symbol="ETH", **later)
    # The same instant, a later one, or none at all.
    assert record(conn, 101, exchange_at=NOW, **later)
    assert record(conn, 102, exchange_at=NOW + seconds(0.001), received_at=NOW + seconds(2))
    assert record(conn, 103, received_at=NOW + seconds(3))
    query = "SELECT price FROM upc_data.price WHERE symbol = 'BTC' AND exchange = 'coinbase'"
    prices = conn.execute((query + " ORDER BY received_at").encode()).fetchall()
    assert prices == [(100,), (101,), (102,), (103,)]


def test_the_same_instant_twice_is_one_price(conn: Connection) -> None:
    assert record(conn, 100)
    assert not record(conn, 101)
    assert conn.execute("SELECT price FROM upc_data.price").fetchall() == [(100,)]


# Out of it.


def random_log(seed: int, exchanges: tuple[str, ...] = ("coinbase", "kraken")) -> Log:
    """An hour and a half until a little after NOW, with pauses and with prices that stay."""
    dice = random.Random(seed)
    log: Log = []
    at, price = NOW - timedelta(minutes=95), 40_000.0
    while at < NOW + timedelta(minutes=5):
        at += seconds(round(dice.choice([0.2, 1, 2, 5, 5.000001, 20, 70]), 6))
        price += dice.choice([0, 0, 0, 0, 12.5, -11.25])
        exchange_at = at - seconds(round(dice.uniform(-0.5, 3), 3)) if dice.random() < 0.7 else None
        log.append((dice.choice(exchanges), at, price, exchange_at))
    return log


def put_log(conn: Connection, log: Log) -> None:
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO upc_data.price (symbol, exchange, received_at, price, exchange_at)"
            " VALUES ('BTC', %s, %s, %s, %s)",
            log,
        )


def instants(log: Log, seed: int, count: int = 60) -> list[datetime]:
    """Before the log, behind it, within it, and at the edges of what counts."""
    dice = random.Random(seed)
    received = [row[1] for row in log]
    chosen = [
        received[0] - seconds(1),
        received[-1] + timedelta(hours=2),
        *dice.sample(received, 20),
    ]
    chosen += [at + seconds(s) for at in dice.sample(received, 10) for s in (5, 5.000001, -1e-6)]
    return chosen + [NOW - seconds(dice.uniform(0, 5000)) for _ in range(count)]


@pytest.mark.parametrize("exchange", [None, "coinbase", "kraken", "bitstamp"])
@pytest.mark.parametrize("seed", [1, 2])
def test_logged_price(conn: Connection, exchange: str | None, seed: int) -> None:
    log = random_log(seed)
    put_log(conn, log)
    answered = 0
    for at in instants(log, seed):
        known = [row for row in log if row[1] <= at and exchange in (None, row[0])]
        newest = max((row[1] for row in log if exchange in (None, row[0])), default=None)
        expected: tuple[Any, ...] = (None, None, None, newest, None)
        if known:
            of, received, price, exchange_at = known[-1]
            hour = [row for row in known if row[0] == of and row[1] > received - seconds(3600)]
            same = list(takewhile(lambda row: row[2] == price, reversed(hour)))  # noqa: B023
            expected = (price, min(received, exchange_at or received), same[-1][1], newest, of)
            answered += 1
        query = "SELECT * FROM upc._logged_price('BTC', %s, %s)"
        assert conn.execute(query, (at, exchange)).fetchall() == [expected]
    assert bool(answered) is (exchange != "bitstamp")


def closes(conn: Connection) -> dict[datetime, float]:
    """Candles that stay, by the time at which they were known."""
    minutes = [MIDNIGHT + timedelta(minutes=place) for place in MISSING]
    conn.execute("DELETE FROM upc_data.candle WHERE opened_at = ANY (%s)", (minutes,))
    return {
        MIDNIGHT + timedelta(minutes=place + 1): close
        for place, close in enumerate(HISTORY.closes.tolist())
        if place not in MISSING
    }


def price_by(log: Log, candles: dict[datetime, float], at: datetime) -> float | None:
    logged = [row[2] for row in log if at - seconds(5) <= row[1] <= at]
    if logged:
        return logged[-1]
    known = [when for when in candles if at - seconds(60) <= when <= at]
    return candles[max(known)] if known else None


@pytest.mark.parametrize("seed", [3, 4])
def test_the_price_at_an_instant_is_logged_or_a_close(conn: Connection, seed: int) -> None:
    log = random_log(seed)
    put_log(conn, log)
    candles = closes(conn)
    sources = {True: 0, False: 0}
    at_the_edges = [
        MIDNIGHT + timedelta(minutes=place) + seconds(s)
        for place in (0, 1, 90, 91, 92, 93, 120, 121, 122, 300, 301)
        for s in (-1e-6, 0, 1e-6, 30)
    ]
    for at in instants(log, seed) + at_the_edges:
        expected = price_by(log, candles, at)
        assert scalar(conn, "SELECT upc._price_by('BTC', %s)", at) == expected, at
        sources[expected in candles.values()] += expected is not None
    assert min(sources.values()) > 20
    assert scalar(conn, "SELECT upc._price_by('ETH', %s)", NOW) is None


@pytest.mark.parametrize("seed", [5, 6])
def test_momentum_with_a_price_log(conn: Connection, seed: int) -> None:
    log = random_log(seed)
    put_log(conn, log)
    candles = closes(conn)
    known = 0
    for at in instants(log, seed):
        price = 40_123.25
        earlier = {lag: price_by(log, candles, at - timedelta(minutes=lag)) for lag in LAGS}
        deltas = [None if c is None else 100 * (price - c) / c for c in earlier.values()]
        [(momentum, *found)] = conn.execute(
            "SELECT * FROM upc.momentum('BTC', %s, %s)", (at, price)
        ).fetchall()
        assert found == [d and pytest.approx(d, rel=1e-12, abs=1e-12) for d in deltas]
        if None in deltas:
            assert momentum is None
            continue
        known += 1
        expected = 1e4 * math.fsum(
            weight * (price - c) / c
            for weight, c in zip(LAGS.values(), earlier.values(), strict=True)
            if c
        )
        assert momentum == pytest.approx(expected, rel=1e-12, abs=1e-9)
    assert known > 20


def test_without_a_log_momentum_on_the_minute_is_that_of_the_candles(conn: Connection) -> None:
    at = instant("2026-03-02T03:00")
    before = conn.execute("SELECT * FROM upc.momentum('BTC', %s)", (at,)).fetchall()
    close = HISTORY.closes[179]
    for lag in LAGS:
        record(conn, HISTORY.closes[179 - lag], received_at=at - timedelta(minutes=lag))
    assert (
        conn.execute("SELECT * FROM upc.momentum('BTC', %s, %s)", (at, close)).fetchall() == before
    )


# Age of a price


@pytest.mark.parametrize(
    ("age", "same_for", "state"),
    [
        ("0", None, "fresh"),
        ("15 seconds", "29.999999 seconds", "fresh"),
        ("0", "30 seconds", "stale"),
        ("20 seconds", "29 seconds", "warn"),
        ("20 seconds", "30 seconds", "stale"),
        ("61 seconds", "61 seconds", "halted"),
        (None, None, "halted"),
        (None, "0", "halted"),
    ],
)
def test_the_state_of_a_price(
    conn: Connection, age: str | None, same_for: str | None, state: str
) -> None:
    query = "SELECT upc._price_state(%s::interval, %s::interval)"
    assert scalar(conn, query, age, same_for) == state


@pytest.mark.parametrize(
    ("name", "value", "age", "same_for", "state"),
    [
        ("fresh_for", "2 s", "2 s", None, "fresh"),
        ("fresh_for", "2 s", "2.000001 s", None, "warn"),
        ("warn_for", "10 min", "9 min", None, "warn"),
        ("stale_for", "2 min", "120 s", None, "stale"),
        ("stale_for", "2 min", "120.000001 s", None, "halted"),
        ("frozen_after", "5 s", "0", "5 s", "stale"),
        ("frozen_after", "5 s", "0", "4.999999 s", "fresh"),
        ("frozen_after", "1 hour", "0", "31 s", "fresh"),
        ("fresh_for", "", "16 s", None, "warn"),
    ],
)
def test_the_limits_are_settings(
    conn: Connection, name: str, value: str, age: str, same_for: str | None, state: str
) -> None:
    conn.execute("SELECT set_config('upc.' || %s, %s, true)", (name, value))
    query = "SELECT upc._price_state(%s::interval, %s::interval)"
    assert scalar(conn, query, age, same_for) == state


# In a tick.


def tick(conn: Connection, **arguments: Any) -> Row:
    given = {"symbol": "BTC", "feed": "coinbase", "at": NOW, **arguments}
    named = ", ".join(f"{name} => %({name})s" for name in given)
    rows = conn.execute(f"SELECT * FROM upc.tick({named})".encode(), given)
    names = [column.name for column in rows.description or []]
    [row] = [dict(zip(names, row, strict=True)) for row in rows]
    for name in ("live_probabilities", "strike_table", "watchlist"):
        row[name] = json.loads(row[name])
    return row


def flowing(conn: Connection, until: datetime = NOW, **arguments: Any) -> float:
    """A price a second for a minute, each another one; returns the last."""
    for second in range(60):
        price = 40_000.5 + second
        at = until - seconds(59 - second)
        assert record(conn, price, received_at=at, exchange_at=at, **arguments)
    return price


AGES = [
    (0, "fresh"),
    (15, "fresh"),
    (15.001, "warn"),
    (29.999, "warn"),
    (30, "stale"),
    (60, "stale"),
    (60.001, "halted"),
    (7200, "halted"),
]


@pytest.mark.parametrize("feed", ["coinbase", "database"])
@pytest.mark.parametrize(("age", "state"), AGES)
def test_a_tick_shows_how_old_its_price_is(
    conn: Connection, feed: str, age: float, state: str
) -> None:
    price = flowing(conn)
    row = tick(conn, feed=feed, at=NOW + seconds(age))
    assert (row["state"], row["price"]) == (state, price)
    assert row["market_at"] == NOW + seconds(age)
    for name in ("live_probabilities", "strike_table", "watchlist"):
        assert (row[name]["state"], row[name]["feed"]) == (state, feed)
        assert row[name]["current_price"] == price
    [logged] = table(conn, "SELECT * FROM upc_data.tick")
    assert (logged["state"], logged["feed"], logged["priced_at"]) == (state, feed, NOW)
    assert (logged["prob_above"] is None) is (state == "halted")


@pytest.mark.parametrize(("age", "state"), AGES)
def test_a_price_that_came_late_is_as_old_as_the_exchange_says(
    conn: Connection, age: float, state: str
) -> None:
    record(conn, 40_000, received_at=NOW, exchange_at=NOW - seconds(age))
    # It has been the same for a moment only, so that its age alone counts.
    assert tick(conn)["state"] == ("warn" if age == 30 else state)


def test_an_exchange_whose_clock_is_ahead_makes_no_price_younger(conn: Connection) -> None:
    record(conn, 40_000, received_at=NOW, exchange_at=NOW + seconds(3600))
    assert tick(conn, at=NOW + seconds(16))["state"] == "warn"


def test_a_frozen_price_is_stale_however_often_it_is_repeated(conn: Connection) -> None:
    states = []
    record(conn, 40_001, received_at=NOW, exchange_at=NOW)
    for second in range(1, 40):
        at = NOW + seconds(second)
        record(conn, 40_000, received_at=at, exchange_at=at)
        states.append(tick(conn, at=at)["state"])
    assert states == ["fresh"] * 30 + ["stale"] * 9
    record(conn, 40_000.01, received_at=NOW + seconds(40), exchange_at=NOW + seconds(40))
    assert tick(conn, at=NOW + seconds(40))["state"] == "fresh"


def test_time_to_close_never_freezes(conn: Connection) -> None:
    flowing(conn)
    for age in (0, 0.001, 1, 59, 61, 549, 550, 551, 4000):
        at = NOW + seconds(age)
        row = tick(conn, at=at)
        left = 3600 - (at.minute * 60 + at.second + at.microsecond / 1e6)
        assert row["ttc_seconds"] == math.floor(left) + (3600 if left == 0 else 0)
        assert row["live_probabilities"]["ttc_seconds"] == row["ttc_seconds"]
        assert row["strike_table"]["ttc"] == row["watchlist"]["ttc"] == row["ttc_seconds"]


def test_database_takes_the_newest_and_an_exchange_only_its_own(conn: Connection) -> None:
    record(conn, 100, exchange="kraken", received_at=NOW - seconds(3))
    record(conn, 101, exchange="coinbase", received_at=NOW - seconds(2))
    record(conn, 102, exchange="coinbase", received_at=NOW + seconds(2))
    assert tick(conn, feed="database")["price"] == 101
    assert tick(conn, feed="kraken")["price"] == 100
    assert tick(conn, feed="coinbase", at=NOW + seconds(2))["price"] == 102


@pytest.mark.parametrize(
    ("arguments", "sqlstate"),
    [
        ({"feed": "coinbase"}, "UP010"),
        ({"feed": "database"}, "UP011"),
        ({"feed": "kraken"}, "UP011"),
        ({"feed": "kraken", "symbol": "ETH"}, "UP010"),
        ({"feed": None}, "UP010"),
        ({"feed": "database", "symbol": "XYZ"}, "UP002"),
    ],
)
def test_without_a_price_there_is_no_tick(conn: Connection, arguments: Row, sqlstate: str) -> None:
    record(conn, 40_000, exchange="kraken", received_at=NOW + seconds(1))
    with pytest.raises(psycopg.Error) as caught:
        tick(conn, **arguments)
    assert caught.value.sqlstate == sqlstate
    assert caught.value.diag.message_detail
    assert caught.value.diag.message_hint


PROBABILITIES = {
    *("prob_beyond", "prob_within", "positive_prob", "negative_prob", "probability"),
    *("prob_above", "yes_diff", "no_diff", "yes_edge", "no_edge"),
}
EDGES = {"yes_diff", "no_diff", "yes_edge", "no_edge"}


def values(document: Any, names: set[str]) -> list[Any]:
    """Everything that stands under one of the names, however deep."""
    if isinstance(document, list):
        return [value for each in document for value in values(each, names)]
    if not isinstance(document, dict):
        return []
    found = [value for name, value in document.items() if name in names]
    return found + values(list(document.values()), names)


def open_market(conn: Connection, read_at: datetime) -> None:
    """Markets at all strikes, priced so that some of them are worth watching."""
    row = tick(conn)
    markets = [
        {
            "ticker": f"E-T{strike['strike']}",
            "close_time": "2026-03-02T05:00:00Z",
            "status": "active",
            "strike_type": "greater",
            "floor_strike": strike["strike"] - 0.01,
            "yes_ask_dollars": "0.5000",
            "no_ask_dollars": "0.5000",
            "volume": 5000,
        }
        for strike in row["strike_table"]["strikes"]
    ]
    document = {"event": {"event_ticker": "E", "series_ticker": "KXBTCD", "markets": markets}}
    query = "SELECT is_stored FROM upc.load_market(%s, 'BTC', %s)"
    assert scalar(conn, query, Jsonb(document), read_at) is True


@pytest.mark.parametrize(("age", "state"), AGES)
def test_state_by_age_of_the_price(conn: Connection, age: float, state: str) -> None:
    """From stale on nothing to act on, from halted on no probability; rows and time stay."""
    flowing(conn)
    at = NOW + seconds(age)
    open_market(conn, at)
    row = tick(conn, at=at)
    parts = (row["live_probabilities"], row["strike_table"], row["watchlist"])
    assert len(row["live_probabilities"]["probabilities"]) == 21
    assert len(row["strike_table"]["strikes"]) == 21
    # NOW is 39 minutes and 10 seconds before the event closes.
    if age < 2350:
        assert row["ttc_seconds"] == math.floor(2350 - age)
    edges = values(row["strike_table"], EDGES)
    if state in ("fresh", "warn"):
        assert None not in values(list(parts), PROBABILITIES)
        assert row["watchlist"]["strikes"]
    else:
        assert len(edges) == 4 * 21
        assert set(edges) == {None}
        assert row["watchlist"]["strikes"] == []
        known = {value is not None for value in values(list(parts), PROBABILITIES - EDGES)}
        assert known == {state != "halted"}


@pytest.mark.parametrize(("age", "state"), AGES)
def test_state_by_age_of_the_quotes(conn: Connection, age: float, state: str) -> None:
    """Their age takes the edges away, and from halted on themselves; probabilities stay."""
    flowing(conn)
    read_at = NOW - seconds(age)
    open_market(conn, read_at)
    row = tick(conn)
    # Quotes do not freeze: only their age counts.
    quote_state = "warn" if age == 30 else state
    strike_table = row["strike_table"]
    assert (row["state"], strike_table["quote_state"]) == ("fresh", quote_state)
    assert datetime.fromisoformat(strike_table["quotes_read_at"]) == read_at
    assert None not in values(strike_table, PROBABILITIES - EDGES)
    has_edge = quote_state in ("fresh", "warn")
    assert {value is not None for value in values(strike_table, EDGES)} == {has_edge}
    asks = {value is not None for value in values(strike_table, {"yes_ask", "no_ask"})}
    assert asks == {quote_state != "halted"}
    assert bool(row["watchlist"]["strikes"]) is has_edge


# Candles of closed minutes.

CANDLES = "SELECT upc.record_candles('BTC', %s, %s, %s, %s, %s, %s)"


def store(conn: Connection, *candles: tuple[Any, ...]) -> int:
    return int(scalar(conn, CANDLES, *(list(column) for column in zip(*candles, strict=True))))


def test_candles_are_new_or_different_or_left_alone(conn: Connection) -> None:
    after = MIDNIGHT + timedelta(minutes=400)
    first = (after, 10.0, 12.0, 9.0, 11.0, 1.5)
    second = (after + timedelta(minutes=1), 11.0, 11.0, 11.0, 11.0, 0.0)
    assert store(conn, second, first) == 2
    assert store(conn, first, second) == 0
    assert store(conn, (*first[:4], 11.25, 1.5), second) == 1
    rows = conn.execute(
        "SELECT opened_at, open, high, low, close, volume FROM upc_data.candle"
        " WHERE opened_at >= %s ORDER BY 1",
        (after,),
    ).fetchall()
    assert rows == [(*first[:4], 11.25, 1.5), second]


def test_only_changed_days_are_to_be_counted_again(conn: Connection) -> None:
    conn.execute("DELETE FROM upc_data.candle_change")
    stored = (NOW.replace(second=0), *[float(HISTORY.closes[260])] * 4, 0.0)
    assert store(conn, stored) == 0
    assert scalar(conn, "SELECT count(*) FROM upc_data.candle_change") == 0
    assert store(conn, (*stored[:5], 1.0)) == 1
    assert scalar(conn, "SELECT count(DISTINCT day) FROM upc_data.candle_change") == 1


@pytest.mark.parametrize(
    ("change", "sqlstate"),
    [
        ({0: NOW}, "23514"),
        ({1: -1.0}, "23514"),
        ({1: 12.5}, "23514"),
        ({2: 8.0}, "23514"),
        ({3: math.nan}, "23514"),
        ({4: math.inf}, "23514"),
        ({4: 8.5}, "23514"),
        ({4: None}, "23502"),
        ({5: -1.0}, "23514"),
    ],
)
def test_a_candle_that_is_none_refuses_the_batch(
    conn: Connection, change: dict[int, Any], sqlstate: str
) -> None:
    good = (MIDNIGHT + timedelta(minutes=400), 10.0, 12.0, 9.0, 11.0, 1.0)
    bad = [MIDNIGHT + timedelta(minutes=401), *good[1:]]
    for place, value in change.items():
        bad[place] = value
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        store(conn, good, tuple(bad))
    assert caught.value.sqlstate == sqlstate
    query = "SELECT count(*) FROM upc_data.candle WHERE opened_at >= %s"
    assert scalar(conn, query, good[0]) == 0


def test_candles_of_no_symbol_are_refused(conn: Connection) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT upc.record_candles('XYZ', '{}', '{}', '{}', '{}', '{}', '{}')")
    assert caught.value.sqlstate == "UP002"


def test_who_feeds_holds_a_lock(conn: Connection, module_dsn: str) -> None:
    query = "SELECT upc.is_fed('BTC', 'coinbase')"
    assert scalar(conn, query) is False
    with open_db(module_dsn) as other:
        lock = "SELECT pg_try_advisory_lock(upc.feed_lock_key('BTC', 'coinbase'))"
        assert scalar(other, lock) is True
        assert scalar(conn, query) is True
        assert scalar(conn, "SELECT upc.is_fed('ETH', 'coinbase')") is False
        assert scalar(conn, "SELECT upc.is_fed('BTC', 'kraken')") is False
        assert scalar(conn, lock) is False
