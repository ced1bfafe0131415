"""Ticks of many symbols in one statement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.support.engine import Connection, build, instant, open_db, put, scalar, walk
from tests.support.trading import (
    BELOW,
    FINE,
    YES,
    load_event,
    open_trade,
    prepare,
    put_price,
    read_quotes,
)
from tests.support.trading import NOW as TRADED_AT

Row = dict[str, Any]

NOW = instant("2026-11-22T17:20:50")
BUILT = {"BTC": walk(110, "2026-03-02", 300), "ETH": walk(111, "2026-03-02", 300, price=4000)}

# Traces of a tick beside its row: its line in the log, and all that is kept of it.
STORED = (
    "SELECT to_jsonb(t) FROM upc_data.tick AS t ORDER BY symbol, tick_id",
    "SELECT d.symbol, d.tick_id, live_probabilities::text, strike_table::text, watchlist::text,"
    " active_trades::text, contracts FROM upc_data.document AS d ORDER BY symbol",
    "SELECT to_jsonb(k) FROM upc_data.tick_count AS k ORDER BY symbol",
    "SELECT to_jsonb(c) FROM upc_data.id_counter AS c ORDER BY symbol, kind",
    "SELECT to_jsonb(a) - 'announced_at' FROM upc_data.announcement AS a ORDER BY 1",
    "SELECT symbol, holder, feed, every FROM upc_data.tick_lease ORDER BY symbol",
)

PROBLEM = ("sqlstate", "message", "detail", "hint")


def table(conn: Connection, query: str, parameters: Any = None) -> list[Row]:
    rows = conn.execute(query.encode(), parameters)
    names = [column.name for column in rows.description or []]
    return [dict(zip(names, row, strict=True)) for row in rows]


def call(conn: Connection, function: str, first: str, value: Any, arguments: Row) -> list[Row]:
    casts = {
        "replay_from": "::timestamptz[]",
        "elapsed": "::interval[]",
        "step": "::float8[]",
        "since_last": "::interval[]",
    }
    named = "".join(
        f", {name} => %({name})s{casts.get(name, '') if isinstance(given, list) else ''}"
        for name, given in arguments.items()
    )
    return table(conn, f"SELECT * FROM upc.{function}({first}{named})", {"it": value, **arguments})


def tick(conn: Connection, symbol: str, **arguments: Any) -> Row:
    [row] = call(conn, "tick", "%(it)s", symbol, {"at": NOW, **arguments})
    return row


def tick_all(conn: Connection, symbols: Sequence[str | None] | None, **arguments: Any) -> list[Row]:
    return call(conn, "tick_all", "%(it)s::text[]", symbols, {"at": NOW, **arguments})


def stored(conn: Connection) -> list[list[Any]]:
    return [conn.execute(query.encode()).fetchall() for query in STORED]


def ticked(rows: list[Row]) -> list[str]:
    return [row["symbol"] for row in rows if row["tick_id"] is not None]


def states(rows: list[Row]) -> list[tuple[str, str | None]]:
    return [(row["symbol"], row["sqlstate"]) for row in rows]


def as_one_by_one(
    conn: Connection, symbols: Sequence[str], each: dict[str, Row], **arguments: Any
) -> tuple[list[Row], list[list[Any]]]:
    """Rows and traces of single ticks; then they are undone."""
    with conn.transaction(force_rollback=True):
        rows = [tick(conn, symbol, **arguments, **each.get(symbol, {})) for symbol in symbols]
        return rows, stored(conn)


@pytest.mark.parametrize("feed", ["replay", "simulated"])
@pytest.mark.parametrize(
    "question", [{}, {"model": None, "method": None, "settlement": None}, {"levels": 3, "seed": 5}]
)
def test_rows_and_all_that_is_kept_are_those_of_single_ticks(
    conn: Connection, feed: str, question: Row
) -> None:
    symbols = ["ETH", "BTC"]
    arguments = {"feed": feed, "holder": "one", **question}
    each = {"BTC": {"step": 500.0, "elapsed": timedelta(seconds=17)}, "ETH": {}}
    if feed == "replay":
        each["ETH"]["replay_from"] = instant("2026-03-02T03:07:10")
    expected, kept = as_one_by_one(conn, symbols, each, **arguments)
    beside = {
        name: [each[symbol].get(name) for symbol in symbols]
        for name in ("step", "elapsed", "replay_from")
    }
    rows = tick_all(conn, symbols, **arguments, **beside)
    assert [row["symbol"] for row in rows] == symbols
    for row, single in zip(rows, expected, strict=True):
        assert {name: row[name] for name in single} == single
        assert [row[name] for name in PROBLEM] == [None] * 4
    assert stored(conn) == kept


@pytest.fixture
def trading(trading_dsn: str) -> Any:
    with open_db(trading_dsn, autocommit=False) as connection:
        yield connection
        connection.rollback()


def test_live_ticks_with_trades_are_those_of_single_ticks(trading: Connection) -> None:
    load_event(trading)
    trade = open_trade(trading, YES)
    arguments: Row = {"feed": "database", "holder": "one"}
    for second, price in ((0, FINE), (1, BELOW), (62, BELOW)):
        at = TRADED_AT + timedelta(seconds=second)
        trading.execute("INSERT INTO upc_data.price VALUES ('ETH', 'x', %s, 4000, NULL)", (at,))
        put_price(trading, price, at)
        read_quotes(trading, at)
        arguments |= {"at": at}
        since = {"since_last": timedelta(seconds=1)} if second == 1 else {}
        each = {"BTC": since, "ETH": since}
        expected, kept = as_one_by_one(trading, ["BTC", "ETH"], each, **arguments)
        beside = {name: [value] * 2 for name, value in since.items()}
        rows = tick_all(trading, ["BTC", "ETH"], **arguments, **beside)
        for row, single in zip(rows, expected, strict=True):
            assert {name: row[name] for name in single} == single
        assert stored(trading) == kept
    assert trade
    assert scalar(trading, "SELECT count(*) FROM upc_data.tick WHERE done_count = 3") == 2


def test_each_symbol_has_a_row_of_its_own_in_the_order_asked(conn: Connection) -> None:
    conn.execute("SELECT upc.add_symbol('SOL', 2)")
    rows = tick_all(conn, ["SOL", "ETH", "NONE", "BTC", "btc", ""], holder="one")
    assert states(rows) == [
        ("SOL", "UP011"),
        ("ETH", None),
        ("NONE", "UP002"),
        ("BTC", None),
        ("btc", "UP002"),
        ("", "UP002"),
    ]
    for row in rows:
        is_ticked = row["sqlstate"] is None
        assert (row["tick_id"] == 1) is is_ticked
        assert all((row[name] is None) is is_ticked for name in PROBLEM)
    # Those that failed leave nothing, not even a lease.
    for name in ("tick", "document", "tick_lease", "id_counter"):
        query = f"SELECT array_agg(DISTINCT symbol ORDER BY symbol) FROM upc_data.{name}"
        assert scalar(conn, query) == ["BTC", "ETH"], name


@pytest.mark.parametrize("symbols", [None, [], ["BTC", None], ["BTC", "ETH", "BTC"]])
def test_no_batch(conn: Connection, symbols: list[str | None] | None) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue) as caught, conn.transaction():
        tick_all(conn, symbols, feed="simulated")
    assert caught.value.diag.message_detail
    assert caught.value.diag.message_hint
    assert scalar(conn, "SELECT count(*) FROM upc_data.tick") == 0


def test_a_table_of_symbols_is_no_batch(conn: Connection) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue), conn.transaction():
        conn.execute("SELECT * FROM upc.tick_all('{{BTC},{ETH}}', 'simulated')")


@pytest.mark.parametrize("name", ["replay_from", "elapsed", "step", "since_last"])
def test_arrays_of_another_length(conn: Connection, name: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue), conn.transaction():
        tick_all(conn, ["BTC", "ETH"], feed="simulated", **{name: [None]})


@pytest.mark.parametrize(
    "arguments",
    [
        # Bounds that would shift the elements, and a second dimension.
        "'[5:6]={BTC,ETH}', 'simulated'",
        "'{BTC,ETH}', 'simulated', step => '[0:1]={100,50}'",
        "'{BTC,ETH}', 'simulated', step => '{{100},{50}}'",
        "'{BTC,ETH}', 'simulated', elapsed => '[2:3]={1 s,2 s}'",
        "'{BTC,ETH}', 'simulated', replay_from => '{{2026-01-01 00:00+00},{2026-01-01 00:00+00}}'",
        "'{BTC,ETH}', 'simulated', since_last => '[0:1]={1 s,1 s}'",
    ],
)
def test_arrays_of_another_shape(conn: Connection, arguments: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue), conn.transaction():
        conn.execute(f"SELECT * FROM upc.tick_all({arguments})".encode())


def test_too_many(conn: Connection) -> None:
    names = [f"S{number}" for number in range(10_001)]
    with pytest.raises(psycopg.errors.ProgramLimitExceeded), conn.transaction():
        tick_all(conn, names, feed="simulated")


def test_five_thousand_that_do_not_exist(conn: Connection) -> None:
    names = [f"S{number}" for number in range(4999)]
    rows = tick_all(conn, [*names, "BTC"], feed="simulated", with_documents=False)
    assert [row["symbol"] for row in rows] == [*names, "BTC"]
    assert {row["sqlstate"] for row in rows[:-1]} == {"UP002"}
    assert ticked(rows) == ["BTC"]


def test_a_refusal_of_all_is_in_each_row(conn: Connection) -> None:
    rows = tick_all(conn, ["BTC", "ETH"], feed="simulated", levels=501)
    assert states(rows) == [("BTC", "UP004"), ("ETH", "UP004")]
    rows = tick_all(conn, ["BTC", "ETH"], feed=None)
    assert states(rows) == [("BTC", "UP010"), ("ETH", "UP010")]


def test_a_rule_that_makes_no_sense_refuses_the_batch(conn: Connection) -> None:
    conn.execute("SELECT set_config('upc.fresh_for', 'soon', true)")
    with pytest.raises(psycopg.DataError), conn.transaction():
        tick_all(conn, ["BTC", "ETH"], feed="simulated")


def test_another_holder_keeps_its_symbol(conn: Connection) -> None:
    tick(conn, "ETH", feed="simulated", holder="another", lease=timedelta(minutes=5))
    rows = tick_all(conn, ["BTC", "ETH"], feed="simulated", holder="one")
    assert states(rows) == [("BTC", None), ("ETH", "UP009")]
    holders = conn.execute("SELECT symbol, holder FROM upc_data.tick_lease ORDER BY symbol")
    assert holders.fetchall() == [("BTC", "one"), ("ETH", "another")]
    assert scalar(conn, "SELECT count(*) FROM upc_data.tick WHERE symbol = 'ETH'") == 1


def test_without_documents(conn: Connection) -> None:
    expected = tick_all(conn, ["BTC", "ETH"], feed="simulated")
    rows = tick_all(conn, ["BTC", "ETH"], feed="simulated", with_documents=False)
    names = ("live_probabilities", "strike_table", "watchlist", "active_trades")
    for row, before in zip(rows, expected, strict=True):
        assert [row[name] for name in (*names, "contracts")] == [None] * 5
        [kept] = table(conn, "SELECT * FROM upc_data.document WHERE symbol = %s", [row["symbol"]])
        for name in names:
            document = json.loads(before[name]) | {"tick_id": 2}
            assert kept[name] == document
        assert json.loads(kept["contracts"]) == json.loads(before["contracts"]) | {"tick_id": 2}
        assert row["price"] == before["price"]


# Sessions of their own


@pytest.fixture
def two(own: Connection) -> Connection:
    for symbol, candles in BUILT.items():
        put(own, symbol, candles)
        build(own, symbol)
    return own


def payloads(listener: Connection, count: int) -> list[Any]:
    received = list(listener.notifies(timeout=10, stop_after=count))
    assert {each.channel for each in received} <= {"upc_tick"}
    assert all(len(each.payload.encode()) < 8000 for each in received)
    return [json.loads(each.payload) for each in received]


def test_one_notification_of_a_batch(fresh_db: str, two: Connection) -> None:
    with open_db(fresh_db) as listener:
        listener.execute("LISTEN upc_tick")
        tick(two, "ETH", feed="simulated")
        tick_all(two, ["ETH", "BTC", "NONE"], feed="simulated")
        tick_all(two, ["BTC"], feed="simulated")
        tick_all(two, ["NONE"], feed="simulated")
        tick(two, "BTC", feed="simulated")
        assert payloads(listener, 4) == [
            {"symbol": "ETH", "tick_id": 1},
            {"ticks": {"BTC": 1, "ETH": 2}},
            {"symbol": "BTC", "tick_id": 2},
            {"symbol": "BTC", "tick_id": 3},
        ]
        assert list(listener.notifies(timeout=0)) == []


def test_payloads_are_split(fresh_db: str, own: Connection) -> None:
    names = [f"S{number:025}" for number in range(5000)]
    numbers = [10**15 + number for number in range(5000)]
    with open_db(fresh_db) as listener:
        listener.execute("LISTEN upc_tick")
        own.execute("SELECT upc._notify_ticks(%s, %s)", (names, numbers))
        # 5,000 members of 46 bytes.
        found = payloads(listener, 30)
        assert list(listener.notifies(timeout=0)) == []
    merged: dict[str, int] = {}
    for payload in found:
        assert payload.keys() == {"ticks"}
        assert not merged.keys() & payload["ticks"].keys()
        merged |= payload["ticks"]
    assert merged == dict(zip(names, numbers, strict=True))


def test_one_that_cannot_be_logged_harms_no_other(fresh_db: str, two: Connection) -> None:
    two.execute("ALTER TABLE upc_data.tick ADD CONSTRAINT no_eth CHECK (symbol <> 'ETH')")
    with open_db(fresh_db) as listener:
        listener.execute("LISTEN upc_tick")
        for number in (1, 2):
            rows = tick_all(two, ["ETH", "BTC"], feed="simulated", holder="one")
            assert states(rows) == [("ETH", "23514"), ("BTC", None)]
            assert payloads(listener, 1) == [{"symbol": "BTC", "tick_id": number}]
    for name in ("tick", "document", "tick_lease", "id_counter"):
        query = f"SELECT array_agg(DISTINCT symbol) FROM upc_data.{name}"
        assert scalar(two, query) == ["BTC"], name


def test_what_is_undone_is_announced_once(own: Connection) -> None:
    """A trade is stopped in a batch that is undone, and stopped again without the other symbol."""
    prepare(own)
    own.execute("ALTER TABLE upc_data.tick ADD CONSTRAINT no_eth CHECK (symbol <> 'ETH')")
    own.execute("SELECT upc.set_rule('stop_probability', '100')")
    load_event(own)
    open_trade(own, YES)
    found = []
    for second in (0, 1):
        at = TRADED_AT + timedelta(seconds=second)
        own.execute("INSERT INTO upc_data.price VALUES ('ETH', 'x', %s, 4000, NULL)", (at,))
        put_price(own, BELOW, at)
        read_quotes(own, at)
        rows = tick_all(own, ["BTC", "ETH"], feed="database", at=at)
        assert states(rows) == [("BTC", None), ("ETH", "23514")]
        found += json.loads(rows[0]["announced"] or "[]")
    assert [each["kind"] for each in found] == ["stop"]
    kept = table(own, "SELECT announcement_id, kind FROM upc_data.announcement")
    assert kept == [{"announcement_id": 1, "kind": "stop"}]


def test_a_symbol_that_is_locked_is_left_out(fresh_db: str, two: Connection) -> None:
    with open_db(fresh_db, autocommit=False) as other:
        tick(other, "ETH", feed="simulated")
        rows = tick_all(two, ["ETH", "BTC"], feed="simulated")
        assert states(rows) == [("ETH", "55P03"), ("BTC", None)]
        other.commit()
    assert states(tick_all(two, ["ETH", "BTC"], feed="simulated")) == [("ETH", None), ("BTC", None)]
    assert scalar(two, "SHOW lock_timeout") == "0"


def test_a_batch_that_is_killed_leaves_nothing(fresh_db: str, two: Connection) -> None:
    with open_db(fresh_db) as listener:
        listener.execute("LISTEN upc_tick")
        other = open_db(fresh_db, autocommit=False)
        assert ticked(tick_all(other, ["BTC", "ETH"], feed="simulated", holder="one"))
        two.execute("SELECT pg_terminate_backend(%s, 10000)", (other.info.backend_pid,))
        other.close()
        assert list(listener.notifies(timeout=0)) == []
    assert [rows for rows in stored(two) if rows] == []
    rows = tick_all(two, ["BTC", "ETH"], feed="simulated", holder="two")
    assert [row["tick_id"] for row in rows] == [1, 1]


def test_ids_become_visible_in_their_order(fresh_db: str, two: Connection) -> None:
    """Two sessions tick the same symbols in opposite orders, while a third one reads."""

    def ticking(symbols: list[str]) -> set[str | None]:
        with open_db(fresh_db) as conn:
            found: set[str | None] = set()
            for _ in range(25):
                arguments = {"feed": "simulated", "levels": 0, "with_documents": False}
                found |= {row["sqlstate"] for row in tick_all(conn, symbols, **arguments)}
            return found

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(ticking, order) for order in (["BTC", "ETH"], ["ETH", "BTC"])]
        while not all(future.done() for future in futures):
            query = "SELECT symbol, max(tick_id), count(*) FROM upc_data.tick GROUP BY symbol"
            for symbol, newest, count in two.execute(query):
                # All that came before is there: nobody who saw the newest missed one.
                assert newest == count, symbol
        for future in futures:
            # A session that starves the other one for 0.2 s is no failure; a deadlock is.
            assert future.result() <= {None, "55P03"}
