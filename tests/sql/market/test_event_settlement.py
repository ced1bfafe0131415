"""Settlement of an event by its own rules, whatever other events of its series say."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from tests.support.contracts import CLOSE, NOW, load, market, markets_of, rows
from tests.support.engine import Connection, scalar, walk

BUILT = {"BTC": walk(170, "2026-03-02", 600, price=97_000)}

AVERAGE = "The simple average of the sixty seconds before 9 AM EDT decides."
TRIMMED = "The trimmed mean of sixty values decides."
CLOSING = "The closing price at 5 PM decides."
NOBODY = "Somebody decides."
HOUR = timedelta(hours=1)


def put(
    conn: Connection,
    event: str,
    rules: str | None,
    at: datetime = NOW,
    closes_at: datetime = CLOSE,
) -> None:
    markets = [
        market(
            f"T{k}",
            event,
            close_time=closes_at.isoformat(),
            strike_type="greater",
            floor_strike=96_999.99 + 250 * k,
            rules_primary=rules,
            yes_ask_dollars="0.1000",
            no_ask_dollars="0.9000",
        )
        for k in range(4)
    ]
    load(conn, markets_of("KXBTCD", *markets, event=event), at)


def series(conn: Connection) -> str | None:
    found: str | None = scalar(
        conn, "SELECT settlement FROM upc_data.series WHERE series = 'KXBTCD'"
    )
    return found


def current(conn: Connection, at: datetime) -> tuple[Any, ...]:
    [row] = rows(
        conn, "SELECT event_ticker, settlement, is_unclear FROM upc.current_event('BTC', %s)", at
    )
    return tuple(row.values())


def reasons(conn: Connection, at: datetime = NOW, **arguments: Any) -> dict[str, set[Any]]:
    """Why the contracts of each event have no edge."""
    named = "".join(f", {name} => %s" for name in arguments)
    found = rows(
        conn,
        "SELECT event_ticker, edge_reason FROM upc.contract_table('BTC', %s, price => 97100,"
        f" momentum => 1, price_state => 'fresh', model => 'momentum'{named})",
        at,
        *arguments.values(),
    )
    by_event: dict[str, set[Any]] = {}
    for row in found:
        by_event.setdefault(row["event_ticker"], set()).add(row["edge_reason"])
    return by_event


def test_two_events_of_a_series_do_not_take_turns(conn: Connection) -> None:
    """They are read again and again, each with rules of its own."""
    later = CLOSE + HOUR
    for second in range(4):
        at = NOW + timedelta(seconds=second)
        put(conn, "E1", NOBODY, at)
        put(conn, "E2", AVERAGE, at, later)
        assert current(conn, at) == ("E1", None, True)
        assert current(conn, later - timedelta(minutes=30)) == ("E2", "average", False)
        assert reasons(conn, at)["E1"] == {"rules_unclear"}
        assert reasons(conn, later - timedelta(minutes=30))["E2"] == {"quotes_stale"}
        # The series has what the event says that closes last.
        assert series(conn) == "average"
    put(conn, "E2", CLOSING, NOW + timedelta(seconds=9), later)
    assert series(conn) == "close"
    assert current(conn, NOW) == ("E1", None, True)


def test_an_event_without_rules_has_those_of_its_series(conn: Connection) -> None:
    put(conn, "E1", None)
    assert current(conn, NOW) == ("E1", "average", False)
    put(conn, "E2", TRIMMED, closes_at=CLOSE + HOUR)
    assert current(conn, NOW) == ("E1", "trimmed", False)
    # Rules that were read stay, though a list leaves them out.
    put(conn, "E1", AVERAGE)
    put(conn, "E1", None, NOW + timedelta(seconds=1))
    assert current(conn, NOW) == ("E1", "average", False)


def test_the_last_minute_goes_by_the_event(conn: Connection) -> None:
    at = CLOSE - timedelta(seconds=30)
    for name, rules in (("A", AVERAGE), ("T", TRIMMED), ("C", CLOSING), ("N", NOBODY)):
        put(conn, name, rules, at)
    assert reasons(conn, at, observed=97_100.0) == {
        "A": {None},
        "T": {"last_minute"},
        "C": {"last_minute"},
        "N": {"rules_unclear"},
    }


def test_ticks_ask_by_the_event(conn: Connection) -> None:
    """Not by its series, which another event has changed."""
    put(conn, "E1", CLOSING)
    put(conn, "E2", AVERAGE, closes_at=CLOSE + HOUR)
    assert series(conn) == "average"
    conn.execute("SELECT upc.record_price('BTC', 'coinbase', 97100, %s, %s)", (NOW, NOW))
    [row] = rows(
        conn,
        "SELECT live_probabilities, used_settlement FROM upc.tick('BTC', 'database', at => %s,"
        " settlement => NULL)",
        NOW,
    )
    assert row["used_settlement"] == "close"
    assert json.loads(row["live_probabilities"])["settlement"] == "close"
    conn.execute(
        "UPDATE upc_data.market_event SET settlement = 'trimmed' WHERE event_ticker = 'E1'"
    )
    [row] = rows(
        conn,
        "SELECT used_settlement FROM upc.tick('BTC', 'database', at => %s, settlement => NULL)",
        NOW,
    )
    assert row["used_settlement"] == "average"


def test_a_fee_without_a_formula_is_unclear_for_all(conn: Connection) -> None:
    put(conn, "E1", AVERAGE)
    document = {"series": {"ticker": "KXBTCD", "fee_type": "flat"}}
    conn.execute("SELECT upc.load_series(%s)", (Jsonb(document),))
    assert current(conn, NOW) == ("E1", "average", True)
    assert reasons(conn) == {"E1": {"rules_unclear"}}
