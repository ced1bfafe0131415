"""The tick in SQL: its log and documents, the right to tick, and ticks without an answer."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.support.engine import Candles, Connection, instant, scalar, walk

CLOSES = walk(110, "2026-03-02", 300)
HISTORY = Candles(
    CLOSES.minutes, CLOSES.closes + 3, CLOSES.closes + 5, CLOSES.closes - 7, CLOSES.closes
)
NOW = instant("2026-11-22T17:20:50")
SHOWN = instant("2026-03-02T04:20:50")  # the last of five hours, 20 minutes in

Row = dict[str, Any]


BUILT = {"BTC": HISTORY}


def table(conn: Connection, query: str, parameters: Any = None) -> list[Row]:
    rows = conn.execute(query.encode(), parameters)
    names = [column.name for column in rows.description or []]
    return [dict(zip(names, row, strict=True)) for row in rows]


def tick(conn: Connection, symbol: str | None = "BTC", **arguments: Any) -> Row:
    arguments.setdefault("at", NOW)
    named = "".join(f", {name} => %({name})s" for name in arguments)
    query = f"SELECT * FROM upc.tick(%(symbol)s{named})"
    [row] = table(conn, query, {"symbol": symbol, **arguments})
    return row


def documents(row: Row) -> tuple[Row, Row, Row]:
    names = ("live_probabilities", "strike_table", "watchlist")
    live, strike_table, watchlist = (json.loads(row[name]) for name in names)
    return live, strike_table, watchlist


def test_a_replayed_tick(conn: Connection) -> None:
    row = tick(conn)
    place = 4 * 60 + 20
    assert (row["state"], row["market_at"]) == ("fresh", SHOWN)
    assert row["price"] == HISTORY.closes[place]
    assert row["ttc_seconds"] == 39 * 60 + 10
    [momentum] = table(
        conn, "SELECT momentum FROM upc.momentum('BTC', %s, %s)", (SHOWN, row["price"])
    )
    assert row["momentum"] == momentum["momentum"]
    assert row["momentum"] is not None


def test_the_log_is_what_was_answered(conn: Connection) -> None:
    row = tick(conn)
    [logged] = table(conn, "SELECT * FROM upc_data.tick")
    assert {name: logged[name] for name in row if name in logged} == {
        name: value for name, value in row.items() if name in logged
    }
    assert logged["ticked_at"] == NOW
    assert logged["priced_at"] == SHOWN
    assert (logged["symbol"], logged["feed"], logged["method"]) == ("BTC", "replay", "nearest")
    strikes = table(
        conn,
        "SELECT * FROM upc.compute_strikes(%s, %s, 'BTC', %s)",
        (row["price"], row["momentum"], row["ttc_seconds"]),
    )
    assert logged["strikes"] == [strike["strike"] for strike in strikes]
    assert logged["prob_above"] == [strike["prob_above"] for strike in strikes]
    assert row["fingerprint"] == strikes[0]["fingerprint"]


def test_live_probabilities(conn: Connection) -> None:
    row = tick(conn)
    live, _, _ = documents(row)
    strikes = table(
        conn,
        "SELECT strike, round(buffer::numeric, 2)::float8 AS buffer, "
        "round(move_percent::numeric, 2)::float8 AS move_percent, direction, "
        "round(prob_beyond::numeric, 2)::float8 AS prob_beyond, "
        "(100 - round(prob_beyond::numeric, 2))::float8 AS prob_within, "
        "round(positive_prob::numeric, 2)::float8 AS positive_prob, "
        "round(negative_prob::numeric, 2)::float8 AS negative_prob "
        "FROM upc.compute_strikes(%s, %s, 'BTC', %s)",
        (row["price"], row["momentum"], row["ttc_seconds"]),
    )
    assert len(live["probabilities"]) == 21
    assert live["probabilities"] == strikes
    assert live["strikes"] == [strike["strike"] for strike in strikes]
    assert live["base_strike"] == strikes[10]["strike"]
    assert live["current_price"] == row["price"]
    assert live["ttc_seconds"] == row["ttc_seconds"]
    assert live["momentum_bps"] == row["momentum"]
    assert live["momentum_score"] == row["momentum"] / 100
    assert live["fingerprint_csv"] == row["fingerprint"] + ".csv"
    assert live["fingerprint"] == row["fingerprint"]
    assert live["timestamp"] == "2026-11-22T17:20:50.000000+00:00"
    assert live["market_at"] == "2026-03-02T04:20:50.000000+00:00"
    assert (live["symbol"], live["feed"], live["state"]) == ("BTC", "replay", "fresh")
    assert live["method"] == "nearest"


def test_strike_table(conn: Connection) -> None:
    row = tick(conn)
    live, strike_table, watchlist = documents(row)
    [momentum] = table(conn, "SELECT * FROM upc.momentum('BTC', %s, %s)", (SHOWN, row["price"]))
    assert strike_table["momentum"] == {
        "weighted_score": row["momentum"] / 100,
        "deltas": {name: value for name, value in momentum.items() if name != "momentum"},
    }
    assert (strike_table["strike_tier"], strike_table["broker"]) == (250, "Kalshi")
    assert strike_table["ttc"] == row["ttc_seconds"]
    by_strike = {each["strike"]: each for each in live["probabilities"]}
    distances = [abs(each["strike"] - row["price"]) for each in strike_table["strikes"]]
    assert distances == sorted(distances)
    assert {each["strike"] for each in strike_table["strikes"]} == by_strike.keys()
    for each in strike_table["strikes"]:
        same = by_strike[each["strike"]]
        assert each["probability"] == same["prob_within"]
        assert each["buffer"] == same["buffer"]
        assert each["buffer_pct"] == pytest.approx(same["buffer"] / 250, abs=0.00501)
        assert each["active_side"] == ("no" if each["strike"] > row["price"] else "yes")
        # No market has been loaded: what is not known is null.
        for name in ("yes_ask", "no_ask", "yes_diff", "no_diff", "volume", "ticker"):
            assert each[name] is None
    assert watchlist["strikes"] == []
    header = strike_table.keys() - {"strikes"}
    assert {name: watchlist[name] for name in header} == {
        name: strike_table[name] for name in header
    }


def test_documents_are_replaced(conn: Connection) -> None:
    for seconds in (0, 1):
        row = tick(conn, at=NOW + timedelta(seconds=seconds))
        [kept] = table(conn, "SELECT * FROM upc_data.document")
        assert (kept["symbol"], kept["tick_id"]) == ("BTC", row["tick_id"])
        for name in ("live_probabilities", "strike_table", "watchlist"):
            assert kept[name] == json.loads(row[name])
    assert scalar(conn, "SELECT count(*) FROM upc_data.tick") == 2
    assert scalar(conn, "SELECT count(DISTINCT tick_id) FROM upc_data.tick") == 2


@pytest.mark.parametrize(
    ("seconds", "state"),
    [(15, "fresh"), (15.5, "warn"), (30.5, "stale"), (60, "stale"), (60.5, "halted")],
)
def test_a_replay_in_a_gap(conn: Connection, seconds: float, state: str) -> None:
    """As the price ages, the rows stay; from halted on they are empty."""
    gap = instant("2026-03-02T03:10")
    conn.execute(
        "DELETE FROM upc_data.candle WHERE opened_at >= %s AND opened_at < %s",
        (gap, gap + timedelta(minutes=20)),
    )
    row = tick(conn, replay_from=gap, elapsed=timedelta(seconds=seconds))
    live, strike_table, watchlist = documents(row)
    is_halted = state == "halted"
    assert row["state"] == live["state"] == strike_table["state"] == watchlist["state"] == state
    assert row["price"] == HISTORY.closes[3 * 60 + 9]
    [logged] = table(conn, "SELECT prob_above, strikes, priced_at FROM upc_data.tick")
    assert logged["priced_at"] == gap
    assert (logged["prob_above"] is None) is is_halted
    assert len(logged["strikes"]) == len(live["probabilities"]) == 21
    for each in live["probabilities"]:
        for name in ("prob_beyond", "prob_within", "positive_prob", "negative_prob"):
            assert (each[name] is None) is is_halted
        assert each["buffer"] is not None
    for each in strike_table["strikes"]:
        assert (each["probability"] is None) is is_halted


def test_a_simulated_tick(conn: Connection) -> None:
    row = tick(conn, feed="simulated", seed=7)
    live, _, _ = documents(row)
    assert row["price"] == scalar(conn, "SELECT upc.simulated_price('BTC', %s, 7)", NOW)
    assert (row["state"], row["market_at"], live["feed"]) == ("fresh", NOW, "simulated")
    query = "SELECT momentum FROM upc._simulated_momentum('BTC', %s, %s, 7)"
    assert row["momentum"] == scalar(conn, query, NOW, row["price"])


def test_without_momentum_the_baseline_answers(conn: Connection) -> None:
    row = tick(conn, replay_from=instant("2026-03-02T00:10:50"))
    live, strike_table, _ = documents(row)
    assert row["momentum"] is None
    assert row["fingerprint"] == "btc_fingerprint_directional_baseline"
    assert live["momentum_score"] is live["momentum_bps"] is None
    assert strike_table["momentum"]["weighted_score"] is None
    assert strike_table["momentum"]["deltas"]["delta_30m"] is None
    assert strike_table["momentum"]["deltas"]["delta_1m"] is not None


def test_step_and_levels(conn: Connection) -> None:
    live, strike_table, _ = documents(tick(conn, step=100, levels=2))
    base = live["base_strike"]
    assert base % 100 == 0
    assert live["strikes"] == [base + 100 * k for k in range(-2, 3)]
    assert strike_table["strike_tier"] == 100


@pytest.mark.parametrize("feed", ["replay", "simulated"])
def test_other_prices_are_never_stored(conn: Connection, feed: str) -> None:
    for seconds in range(90, 120):
        tick(conn, feed=feed, at=NOW + timedelta(seconds=seconds))
    assert scalar(conn, "SELECT count(*) FROM upc_data.candle") == len(HISTORY.minutes)
    assert scalar(conn, "SELECT max(close) FROM upc_data.candle") == HISTORY.closes.max()


@pytest.mark.parametrize(
    ("arguments", "sqlstate"),
    [
        ({"symbol": "XYZ"}, "UP002"),
        ({"symbol": "XYZ", "feed": "simulated"}, "UP002"),
        ({"symbol": None}, "UP002"),
        ({"feed": "oracle"}, "UP010"),
        ({"feed": ""}, "UP010"),
        ({"feed": None}, "UP010"),
        ({"symbol": "ETH"}, "UP011"),
        ({"replay_from": instant("2020-01-01")}, "UP011"),
        ({"step": -1}, "UP003"),
        ({"levels": 501}, "UP004"),
        ({"method": "cubic"}, "UP005"),
        ({"model": "gaussian"}, "UP018"),
        ({"settlement": "open"}, "UP019"),
    ],
)
def test_refusals(conn: Connection, arguments: Row, sqlstate: str) -> None:
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        tick(conn, **arguments)
    assert caught.value.sqlstate == sqlstate
    assert caught.value.diag.message_detail
    assert caught.value.diag.message_hint
    assert scalar(conn, "SELECT count(*) FROM upc_data.tick") == 0
