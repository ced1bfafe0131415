"""Pauses of the exchange: what its status says of each shard, and what becomes of its contracts."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from tests.support.engine import Connection, scalar
from tests.support.trading import (
    BELOW,
    CLOSE,
    EVENT,
    FINE,
    LATER,
    NOW,
    STRIKE,
    Row,
    announced,
    event_document,
    live,
    open_trade,
    outbox,
    put_price,
    read_quotes,
    refused,
    seconds,
    status_of,
    table,
    tick,
    ticker_of,
)

OPEN = {"exchange_active": True, "trading_active": True}
PAUSED = {"exchange_active": True, "trading_active": False}
DOWN = {"exchange_active": False, "trading_active": True}
RESUMES = "2026-06-01T16:00:00Z"


@pytest.fixture(scope="module")
def module_dsn(trading_dsn: str) -> str:
    return trading_dsn


def load_status(conn: Connection, document: Any, at: datetime = NOW) -> list[Row]:
    return table(
        conn, "SELECT * FROM upc.load_exchange_status(%s, read_at => %s)", (Jsonb(document), at)
    )


def put_on_shard(conn: Connection, shard: int | None, event: str = EVENT) -> None:
    document = event_document(event, yes_bid_dollars="0.5800", no_bid_dollars="0.4000")
    if shard is not None:
        document["event"]["exchange_index"] = shard
    conn.execute("SELECT upc.load_market(%s, read_at => %s)", (Jsonb(document), NOW))


def shards(*entries: tuple[Any, Row], top: Row = OPEN) -> Row:
    statuses = [{"exchange_index": number, **flags} for number, flags in entries]
    return {**top, "exchange_index_statuses": statuses}


def is_paused(conn: Connection, shard: int | None = None, at: datetime = NOW) -> bool:
    put_on_shard(conn, shard)
    return bool(scalar(conn, "SELECT is_paused FROM upc.current_event('BTC', %s)", at))


# The status itself.


@pytest.mark.parametrize(
    "flags", [PAUSED, DOWN, {"exchange_active": False, "trading_active": False}]
)
def test_the_top_is_the_default_shard(conn: Connection, flags: Row) -> None:
    assert load_status(conn, {**flags, "exchange_estimated_resume_time": RESUMES}) == [
        {
            "exchange_index": 0,
            "description": None,
            "is_paused": True,
            "is_news": True,
            "resumes_at": datetime.fromisoformat(RESUMES),
        }
    ]
    assert is_paused(conn)
    assert is_paused(conn, 0)
    # A shard that is not listed goes by the default one.
    assert is_paused(conn, 2)


def test_a_shard_goes_by_its_own_entry(conn: Connection) -> None:
    load_status(conn, shards((0, PAUSED), (2, OPEN), top=PAUSED))
    assert [is_paused(conn, shard) for shard in (None, 0, 1, 2)] == [True, True, True, False]
    load_status(conn, shards((0, OPEN), (2, DOWN)), NOW + seconds(1))
    assert [is_paused(conn, shard) for shard in (0, 1, 2)] == [False, False, True]
    # The breakdown is absent: all go by the top.
    load_status(conn, OPEN, NOW + seconds(2))
    assert not is_paused(conn, 2)
    assert scalar(conn, "SELECT count(*) FROM upc_data.exchange_status") == 1


def test_the_shard_of_a_list_of_markets(conn: Connection) -> None:
    markets = event_document(exchange_index=2)["event"]["markets"]
    for each in markets:
        each["event_ticker"] = EVENT
    load_status(conn, shards((2, PAUSED)))
    conn.execute("SELECT upc.load_market(%s, read_at => %s)", (Jsonb({"markets": markets}), NOW))
    assert scalar(conn, "SELECT is_paused FROM upc.current_event('BTC', %s)", NOW) is True


def test_news_is_news_once(conn: Connection) -> None:
    news = []
    for second, document in enumerate([OPEN, PAUSED, PAUSED, OPEN, OPEN, DOWN]):
        [row] = load_status(conn, document, NOW + seconds(second))
        news.append(row["is_news"])
    assert news == [False, True, False, True, False, True]


def test_an_older_reading_changes_nothing(conn: Connection) -> None:
    load_status(conn, PAUSED, NOW)
    assert load_status(conn, OPEN, NOW - seconds(1)) == []
    assert is_paused(conn)


@pytest.mark.parametrize("age", [-61, -59, 0, 59, 61])
def test_an_old_status_says_nothing(conn: Connection, age: float) -> None:
    """Nor does one from a clock that is far ahead: the limit is that of quotes."""
    load_status(conn, PAUSED, NOW - seconds(age))
    assert is_paused(conn) is (abs(age) <= 60)


def test_without_a_status_nothing_is_paused(conn: Connection) -> None:
    assert not is_paused(conn)


@pytest.mark.parametrize(
    "document",
    [
        *({}, [], None, "text", {"exchange_active": True}),
        *({**OPEN, "trading_active": "false"}, {**OPEN, "exchange_active": None}),
        {"status": OPEN},
    ],
)
def test_what_is_no_status_is_refused(conn: Connection, document: Any) -> None:
    query = "SELECT upc.load_exchange_status(%s)"
    assert refused(conn, query, Jsonb(document)) == "UP014"


def test_odd_entries_are_left_out(conn: Connection) -> None:
    entries: list[Any] = [
        *(None, 7, "text", {}, {"exchange_index": 3}, {"exchange_index": "x", **PAUSED}),
        *({"exchange_index": -1, **PAUSED}, {"exchange_index": 1e9, **PAUSED}),
        {"exchange_index": 4, "exchange_active": True, "trading_active": "no"},
        {"exchange_index": 5, **PAUSED, "description": "x" * 1_000_000},
        {"exchange_index": 5, **OPEN},
    ]
    found = load_status(
        conn,
        {
            **OPEN,
            "exchange_index_statuses": entries,
            "exchange_estimated_resume_time": "soon" * 100_000,
        },
    )
    assert [(row["exchange_index"], row["is_paused"]) for row in found] == [(0, False), (5, True)]
    assert all(row["resumes_at"] is None for row in found)
    assert load_status(conn, {**OPEN, "exchange_index_statuses": "none"}, NOW + seconds(1))


FLAGS = st.fixed_dictionaries({"exchange_active": st.booleans(), "trading_active": st.booleans()})


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    top=FLAGS,
    listed=st.none() | st.dictionaries(st.integers(0, 4), FLAGS),
    shard=st.none() | st.integers(0, 5),
    age=st.integers(0, 120),
)
def test_every_status(
    conn: Connection, top: Row, listed: dict[int, Row] | None, shard: int | None, age: int
) -> None:
    document = top if listed is None else shards(*listed.items(), top=top)
    entry = {0: top, **(listed or {})}.get(shard or 0) or {0: top, **(listed or {})}[0]
    with conn.transaction(force_rollback=True):
        load_status(conn, document, NOW - seconds(age))
        expected = not (entry["exchange_active"] and entry["trading_active"]) and age <= 60
        assert is_paused(conn, shard) is expected


# Contracts during a pause.


def documents(conn: Connection, at: datetime) -> list[Row]:
    row = tick(conn, at, min_probability=0, min_differential=-200)
    return [json.loads(row[name]) for name in ("strike_table", "watchlist", "active_trades")]


QUOTES = (
    *("yes_ask", "no_ask", "yes_ask_dollars", "no_ask_dollars", "yes_bid_dollars"),
    *("no_bid_dollars", "volume", "yes_edge", "no_edge", "yes_diff", "no_diff"),
)


def test_a_pause_is_everywhere(conn: Connection) -> None:
    """And at the next tick after it all comes back."""
    put_on_shard(conn, 2)
    conn.execute("UPDATE upc_data.market_quote SET volume = 5000")
    number = open_trade(conn)
    put_price(conn, FINE)
    before = documents(conn, NOW)
    assert before[0]["market_status"] == "active"
    assert before[0]["edge_reason"] is None
    assert before[1]["strikes"]
    assert before[2]["active_trades"][0]["close_value"] is not None

    load_status(conn, shards((0, OPEN), (2, PAUSED)))
    strikes, watched, trades = documents(conn, NOW + seconds(1))
    assert (strikes["market_status"], strikes["edge_reason"]) == ("paused", "paused")
    assert strikes["quote_state"] == "fresh"
    assert watched["strikes"] == []
    assert len(strikes["strikes"]) == 21
    for each in strikes["strikes"]:
        assert each["edge_reason"] == "paused"
        assert [each[name] for name in QUOTES] == [None] * len(QUOTES)
        assert each["probability"] is not None
    [entry] = trades["active_trades"]
    assert entry["close_value"] is entry["current_close_price"] is entry["pnl"] is None
    assert entry["current_probability"] is not None
    assert (
        refused(conn, "SELECT upc.close_trade(%s, at => %s)", number, NOW + seconds(1)) == "UP015"
    )

    rows = table(conn, "SELECT * FROM upc.contract_table(at => %s)", (NOW + seconds(1),))
    assert len(rows) == 9
    for row in rows:
        assert (row["state"], row["edge_reason"]) == ("paused", "paused")
        assert row["probability"] is not None
        names = [name for name in row if name.startswith(("yes_", "no_"))]
        assert len(names) == 14
        assert [row[name] for name in names] == [None] * len(names)
    table_rows = table(conn, "SELECT * FROM upc.strike_table(%s, at => %s)", (FINE, NOW))
    assert {row["edge_reason"] for row in table_rows} == {"paused"}
    [logged] = table(
        conn, "SELECT yes_ask, no_ask, yes_bid FROM upc_data.tick ORDER BY tick_id DESC LIMIT 1"
    )
    assert set(logged.values()) == {None}

    load_status(conn, shards((0, OPEN), (2, OPEN)), NOW + seconds(2))
    after = documents(conn, NOW + seconds(2))
    for old, new in zip(before, after, strict=True):
        for key in ("market_status", "edge_reason", "strikes"):
            assert old.get(key) == new.get(key)
    assert after[2]["active_trades"][0]["close_value"] is not None


def test_other_shards_go_on(conn: Connection) -> None:
    put_on_shard(conn, 2)
    load_status(conn, shards((0, PAUSED), (2, OPEN), top=PAUSED))
    put_price(conn, FINE)
    assert documents(conn, NOW)[0]["edge_reason"] is None
    assert {
        row["state"] for row in table(conn, "SELECT * FROM upc.contract_table(at => %s)", (NOW,))
    } == {"active"}


def test_what_is_closed_stays_closed(conn: Connection) -> None:
    document = event_document()
    statuses = ["closed", "initialized", "inactive", "active", "determined", "unheard of"]
    for each, status in zip(document["event"]["markets"], statuses, strict=False):
        each["status"] = status
    conn.execute("SELECT upc.load_market(%s, read_at => %s)", (Jsonb(document), NOW))
    load_status(conn, PAUSED)
    put_price(conn, FINE)
    rows = table(conn, "SELECT * FROM upc.contract_table(at => %s) ORDER BY lower", (NOW,))
    assert [row["state"] for row in rows] == ["closed", *["paused"] * 7]
    assert [row["edge_reason"] for row in rows] == ["closed", *["paused"] * 7]


def test_the_legacy_snapshot_and_the_api(conn: Connection) -> None:
    put_price(conn, FINE)
    put_on_shard(conn, None)
    tick(conn, NOW)
    load_status(conn, PAUSED)
    tick(conn, NOW + seconds(1))
    at = NOW + seconds(1)
    found = json.loads(scalar(conn, "SELECT upc.market_snapshot('BTC', %s)", at))
    assert {each["status"] for each in found["markets"]} == {"paused"}
    for name in ("yes_ask", "no_ask", "yes_bid", "no_bid"):
        assert {each[name] for each in found["markets"]} == {None}
    assert (
        json.loads(scalar(conn, "SELECT upc.ttc_document('BTC', %s)", at))["market_status"]
        == "paused"
    )


# Stops, announcements, the status.


def test_stops_fire_in_a_pause(conn: Connection) -> None:
    number = open_trade(conn)
    load_status(conn, PAUSED)
    found = live(conn, BELOW, NOW)
    assert sorted(each["kind"] for each in found) == ["paused", "stop"]
    [stop] = [each for each in found if each["kind"] == "stop"]
    assert stop["document"]["close_price"] is None
    assert status_of(conn, number) == ("stopped", "probability")


def test_a_pause_is_announced_once(conn: Connection) -> None:
    trades = [open_trade(conn), open_trade(conn, strike=STRIKE - 250)]
    found: list[tuple[int, str, str]] = []
    for second in range(12):
        at = NOW + seconds(second)
        status = {**PAUSED, "exchange_estimated_resume_time": RESUMES}
        load_status(conn, status if 3 <= second < 8 else OPEN, at)
        found += [(second, a["kind"], a["subject"]) for a in live(conn, FINE, at)]
    assert found == [(3, "paused", "exchange"), (8, "recovered", "exchange")]
    paused, back = outbox(conn)
    for each in (*map(str, trades), "2026-06-01 16:00 UTC"):
        assert each in paused["message"]
    assert datetime.fromisoformat(paused["document"]["resumes_at"]) == datetime.fromisoformat(
        RESUMES
    )
    assert back["document"]["before"] == "paused"


def test_what_is_not_known_is_no_news(conn: Connection) -> None:
    """The pause is over when the exchange says so, not when nobody asks it any more."""
    load_status(conn, PAUSED)
    assert [each["kind"] for each in live(conn, FINE, NOW)] == ["paused"]
    for second in (40, 61, 80):
        assert live(conn, FINE, NOW + seconds(second)) == []
    load_status(conn, OPEN, NOW + seconds(90))
    assert [each["kind"] for each in live(conn, FINE, NOW + seconds(90))] == ["recovered"]


def test_a_pause_between_two_events_is_announced(conn: Connection) -> None:
    """Events of the last day tell the shard where none is open."""
    put_on_shard(conn, 2)
    at = CLOSE + timedelta(minutes=5)
    load_status(conn, shards((0, OPEN), (2, PAUSED)), at)
    put_price(conn, FINE, at)
    assert "paused" in {each["kind"] for each in announced(tick(conn, at))}


def test_each_symbol_goes_by_its_shard(conn: Connection) -> None:
    put_on_shard(conn, 2)
    load_status(conn, shards((0, OPEN), (2, PAUSED)))
    assert [each["kind"] for each in live(conn, FINE, NOW)] == ["paused"]
    assert live(conn, FINE, NOW, symbol="ETH") == []


def problems(conn: Connection, at: datetime) -> tuple[str, list[str]]:
    [row] = table(conn, "SELECT light, problems FROM upc.status('BTC', %s)", (at,))
    return row["light"], row["problems"]


def test_the_status_names_a_pause(conn: Connection) -> None:
    number = open_trade(conn)
    live(conn, FINE, NOW)
    assert not any("paused" in each for each in problems(conn, NOW)[1])
    load_status(conn, {**PAUSED, "exchange_estimated_resume_time": RESUMES})
    _, found = problems(conn, NOW)
    [pause] = [each for each in found if "paused" in each]
    assert f"trade {number} is held" in pause
    assert "2026-06-01 16:00 UTC" in pause
    document = json.loads(scalar(conn, "SELECT upc.status_document('{BTC}', %s)", NOW))
    assert any(pause in each for each in document["problems"])
    conn.execute("SELECT upc.close_trade(%s, 0.5, at => %s)", (number, NOW))
    [pause] = [each for each in problems(conn, NOW)[1] if "paused" in each]
    assert "held" not in pause


# Statuses that nobody knows.


def test_an_unknown_status_is_named(conn: Connection) -> None:
    document = event_document()
    document["event"]["markets"][2]["status"] = "hibernating"
    query = "SELECT unknown_status FROM upc.load_market(%s, read_at => %s)"
    assert scalar(conn, query, Jsonb(document), NOW) == "hibernating"
    read_quotes(conn, NOW)
    [named] = [each for each in problems(conn, NOW)[1] if "hibernating" in each]
    assert EVENT in named
    put_price(conn, FINE)
    rows = {
        row["ticker"]: row
        for row in table(conn, "SELECT * FROM upc.contract_table(at => %s)", (NOW,))
    }
    row = rows[document["event"]["markets"][2]["ticker"]]
    assert (row["state"], row["edge_reason"], row["yes_ask"]) == ("paused", "paused", None)
    assert rows[ticker_of(STRIKE)]["state"] == "active"
    # It is gone with the next reading, and with the event.
    assert not any("hibernating" in each for each in problems(conn, CLOSE)[1])
    assert scalar(conn, query, Jsonb(event_document()), NOW + seconds(1)) is None
    assert not any("hibernating" in each for each in problems(conn, NOW)[1])


def test_known_statuses_are_no_news(conn: Connection) -> None:
    for second, status in enumerate(
        [
            *("initialized", "inactive", "active", "closed", "determined", "disputed"),
            *("amended", "finalized", "settled"),
        ]
    ):
        document = event_document(LATER, CLOSE + timedelta(hours=1), status=status)
        query = "SELECT unknown_status FROM upc.load_market(%s, read_at => %s)"
        assert scalar(conn, query, Jsonb(document), NOW + seconds(second)) is None


def test_the_feed_is_an_operator(conn: Connection) -> None:
    """It stores the status, and a reader sees what follows from it."""
    put_on_shard(conn, 2)
    conn.execute("SET ROLE upc_operator")
    load_status(conn, shards((0, OPEN), (1, OPEN), (2, PAUSED)))
    load_status(conn, shards((2, PAUSED)), NOW + seconds(1))
    assert [each["kind"] for each in live(conn, FINE, NOW + seconds(1))] == ["paused"]
    load_status(conn, OPEN, NOW + seconds(2))
    assert [each["kind"] for each in live(conn, FINE, NOW + seconds(2))] == ["recovered"]
    assert scalar(conn, "SELECT upc.kalshi_rate()") == 10
    conn.execute("SET ROLE upc_reader")
    assert refused(conn, "SELECT upc.load_exchange_status(%s)", Jsonb(OPEN)) == "42501"
    assert scalar(conn, "SELECT is_paused FROM upc.current_event('BTC', %s)", NOW) is False
    conn.execute("RESET ROLE")
