"""Logged ticks asked again: the same numbers; changed rows, and those not compared, are found."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.engine import Connection, instant, scalar
from tests.support.readings import PRICE, volatile_candles

BUILT = {"BTC": volatile_candles(181, "2026-03-02", 3 * 1440)}
DAY = instant("2026-03-04T00:00")
LATER = instant("2027-01-01T00:00")


@pytest.fixture(autouse=True)
def published(conn: Connection) -> None:
    """Curves and forecast long before the ticks."""
    conn.execute("UPDATE upc_data.curve_refresh SET refreshed_at = '2026-01-01'")
    conn.execute("UPDATE upc_data.volatility_fit SET completed_at = '2026-01-01'")


def tick(conn: Connection, at: datetime, feed: str = "replay", **arguments: Any) -> int:
    named = "".join(f", {name} => %s" for name in arguments)
    shown = {"replay_from": at} if feed == "replay" else {}
    named += "".join(f", {name} => %s" for name in shown)
    query = f"SELECT tick_id FROM upc.tick('BTC', %s, %s{named})"
    return int(scalar(conn, query, feed, at, *arguments.values(), *shown.values()))


def replay(conn: Connection) -> dict[str, Any]:
    return dict(json.loads(scalar(conn, "SELECT upc.replay_document('BTC')")))


def test_a_replay_of_candles(conn: Connection) -> None:
    """All models, methods and settlements, the last minute too."""
    kinds = [
        ("volatility", "linear", "average"),
        ("volatility", "nearest", "close"),
        ("momentum", "linear", "average"),
        ("momentum", "nearest", "close"),
        ("baseline", "linear", "close"),
    ]
    for model, method, settlement in kinds:
        for seconds in (70, 1800, 3540, 3570, 3599, 3600):
            at = DAY + timedelta(hours=12, seconds=seconds)
            tick(conn, at, model=model, method=method, settlement=settlement)
    found = replay(conn)
    assert (found["logged"], found["compared"], found["differences"]) == (30, 30, 0)
    assert (found["first_differences"], found["not_compared"]) == ([], {})


def test_a_replay_of_logged_prices(conn: Connection) -> None:
    """Its momentum and last minute come from the price log, its forecast from a late candle."""
    start = DAY + timedelta(hours=12, minutes=58)
    for second in range(0, 121, 2):
        at = start + timedelta(seconds=second)
        conn.execute(
            "SELECT upc.record_price('BTC', 'one', %s, NULL, %s)", (PRICE + second % 7, at)
        )
        if second >= 60:
            tick(conn, at, "one", model="volatility", method="linear", settlement="average")
    [[late]] = conn.execute(
        "DELETE FROM upc_data.candle WHERE symbol = 'BTC' AND opened_at = %s "
        "RETURNING to_json(candle)",
        (DAY + timedelta(hours=13),),
    )
    at = DAY + timedelta(hours=13, minutes=1, seconds=2)
    conn.execute("SELECT upc.record_price('BTC', 'one', %s, NULL, %s)", (PRICE, at))
    tick(conn, at, "database", model="volatility")
    conn.execute(
        "INSERT INTO upc_data.candle SELECT * FROM json_populate_record(NULL::upc_data.candle, %s)",
        (json.dumps(late),),
    )
    found = replay(conn)
    assert (found["logged"], found["compared"], found["differences"]) == (32, 32, 0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("prob_above[3] = prob_above[3] + 0.001", "probability_difference"),
        ("momentum = momentum + 1e-6", "momentum_difference"),
        ("momentum = NULL", "momentum_difference"),
        ("ttc_seconds = ttc_seconds + 1", "ttc_difference"),
    ],
)
def test_a_changed_row_is_found(conn: Connection, change: str, named: str) -> None:
    at = DAY + timedelta(hours=12)
    ticks = [tick(conn, at + timedelta(seconds=k), method="linear") for k in range(1, 5)]
    conn.execute(f"UPDATE upc_data.tick SET {change} WHERE tick_id = %s".encode(), (ticks[2],))
    found = replay(conn)
    assert (found["compared"], found["differences"]) == (4, 1)
    [row] = found["first_differences"]
    assert row["tick_id"] == ticks[2]
    if change.endswith("0.001"):
        assert row[named] == pytest.approx(0.001)
    elif "NULL" in change:
        # Infinite.
        assert row[named] is None
    else:
        assert row[named] != 0


def test_what_cannot_be_compared(conn: Connection) -> None:
    at = DAY + timedelta(hours=12)
    ticks = [tick(conn, at + timedelta(seconds=k), model="volatility") for k in range(1, 8)]
    changes = [
        "prob_above = NULL, state = 'halted'",
        "feed = 'simulated'",
        "closes_at = NULL",
        "model = 'shrunk'",
        "feed = 'one'",
        "volatility = volatility * 1.01",
    ]
    for number, change in zip(ticks, changes, strict=False):
        conn.execute(f"UPDATE upc_data.tick SET {change} WHERE tick_id = %s".encode(), (number,))
    found = replay(conn)
    assert (found["logged"], found["compared"], found["differences"]) == (7, 1, 0)
    assert sorted(found["not_compared"].values()) == [1] * 6


@pytest.mark.parametrize(
    ("statement", "compared"),
    [
        ("UPDATE upc_data.curve_refresh SET refreshed_at = %s WHERE symbol = 'BTC'", 2),
        ("UPDATE upc_data.curve_refresh SET refreshed_at = %s WHERE symbol = 'ETH'", 4),
        ("UPDATE upc_data.volatility_fit SET completed_at = %s WHERE symbol = 'BTC'", 3),
    ],
)
def test_ticks_of_other_curves_are_left_out(
    conn: Connection, statement: str, compared: int
) -> None:
    """Those up to a minute after a refresh, too: they may have read what there was before."""
    at = DAY + timedelta(hours=12)
    for model in ("momentum", "volatility"):
        tick(conn, at, model=model)
        tick(conn, at + timedelta(minutes=9), model=model)
    conn.execute(statement.encode(), (at + timedelta(minutes=5),))
    found = replay(conn)
    assert (found["compared"], found["differences"]) == (compared, 0)
    assert sum(found["not_compared"].values()) == 4 - compared


def test_a_span(conn: Connection) -> None:
    at = DAY + timedelta(hours=12)
    for minutes in range(4):
        tick(conn, at + timedelta(minutes=minutes))
    query = "SELECT count(*) FROM upc.replayed_ticks('BTC', %s, %s)"
    assert scalar(conn, query, at + timedelta(minutes=1), at + timedelta(minutes=3)) == 2
    assert scalar(conn, query, LATER, LATER) == 0
