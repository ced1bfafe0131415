"""Ticks by model and settlement: what they store, and what answers where the asked one cannot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import numpy as np
import pytest
from psycopg.types.json import Jsonb

from tests.support.engine import Connection, instant, open_db, scalar
from tests.support.readings import (
    METHODS,
    MODELS,
    SETTLEMENTS,
    Row,
    strikes,
    table,
    volatile_candles,
)

HISTORY = volatile_candles(180, "2026-03-02", 4 * 1440)
DAY = instant("2026-03-05T00:00")
NOW = DAY + timedelta(hours=14, minutes=20, seconds=50)
HOUR = DAY + timedelta(hours=15)


BUILT = {"BTC": HISTORY}


def tick(conn: Connection, at: datetime = NOW, **arguments: Any) -> Row:
    named = "".join(f", {name} => %s" for name in arguments)
    [row] = table(conn, f"SELECT * FROM upc.tick('BTC', at => %s{named})", at, *arguments.values())
    return row


def replayed(conn: Connection, at: datetime = NOW, **arguments: Any) -> Row:
    """The instant as it was."""
    return tick(conn, feed="replay", at=at, replay_from=at, **arguments)


def logged(conn: Connection, row: Row) -> Row:
    [found] = table(conn, "SELECT * FROM upc_data.tick WHERE tick_id = %s", row["tick_id"])
    return found


def log(conn: Connection, at: datetime, price: float, exchange: str = "one") -> None:
    conn.execute("SELECT upc.record_price('BTC', %s, %s, NULL, %s)", (exchange, price, at))


def forget(conn: Connection, before: datetime, minutes: int = 4) -> None:
    """Candles of the minutes before."""
    conn.execute(
        "DELETE FROM upc_data.candle WHERE symbol = 'BTC' AND opened_at >= %s AND opened_at < %s",
        (before - timedelta(minutes=minutes), before),
    )


def forecast(conn: Connection, at: datetime, ttc: int) -> float:
    """The forecast from the candles up to then, without the cached state."""
    conn.execute("DELETE FROM upc_data.volatility_state")
    return float(scalar(conn, "SELECT upc.volatility('BTC', %s, %s)", at, ttc))


def assert_answered(conn: Connection, row: Row, model: str, **arguments: Any) -> None:
    """The strikes of the log are those of compute_strikes."""
    found = logged(conn, row)
    wanted = strikes(
        conn,
        row["price"],
        momentum=row["momentum"],
        ttc_seconds=row["ttc_seconds"],
        model=model,
        **arguments,
    )
    assert found["strikes"] == [each["strike"] for each in wanted]
    above = [each["prob_above"] for each in wanted]
    assert found["prob_above"] == pytest.approx(above, abs=1e-9)
    assert row["fingerprint"] == wanted[0]["fingerprint"]


@pytest.mark.parametrize("settlement", SETTLEMENTS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_what_is_stored(conn: Connection, model: str, method: str, settlement: str) -> None:
    requested: Row = {"model": model, "method": method, "settlement": settlement}
    row = replayed(conn, **requested)
    found, live = logged(conn, row), json.loads(row["live_probabilities"])
    assert {name: found[name] for name in requested} == requested
    assert {name: live[name] for name in requested} == requested
    assert (row["used_model"], row["used_settlement"]) == (model, settlement)
    assert (found["closes_at"], found["ttc_seconds"]) == (HOUR, 2350)
    volatility = forecast(conn, NOW, 2350)
    assert found["volatility"] == live["volatility"] == volatility
    # Later candles than the instant's are stored: their forecast is another one.
    variances = scalar(conn, "SELECT upc._known_variances('BTC', %s)", NOW)
    assert_answered(conn, row, model, method=method, settlement=settlement, variances=variances)


def test_the_default(conn: Connection) -> None:
    assert replayed(conn)["used_model"] == "momentum"
    assert logged(conn, replayed(conn))["settlement"] == "close"


def test_what_is_left_out_is_the_symbols_own(conn: Connection) -> None:
    """The average decides where Kalshi settles, and only there."""
    for settlement in ("average", "close"):
        if settlement == "close":
            conn.execute("DELETE FROM upc_data.series")
        row = replayed(conn, model=None, method=None, settlement=None)
        found = logged(conn, row)
        kinds = ("volatility", "linear", settlement)
        assert (found["model"], found["method"], found["settlement"]) == kinds
        assert (row["asked_model"], row["asked_settlement"]) == ("volatility", settlement)
        row = replayed(conn, model="baseline", method=None, settlement="close")
        found = logged(conn, row)
        kinds = ("baseline", "linear", "close")
        assert (found["model"], found["method"], found["settlement"]) == kinds


@pytest.mark.parametrize("model", MODELS)
def test_intervals_in_the_documents(conn: Connection, model: str) -> None:
    row = replayed(conn, model=model, method="linear")
    wanted = {
        each["strike"]: each
        for each in strikes(
            conn,
            row["price"],
            momentum=row["momentum"],
            ttc_seconds=row["ttc_seconds"],
            model=model,
            method="linear",
            volatility=forecast(conn, NOW, row["ttc_seconds"]),
        )
    }
    shown = json.loads(row["strike_table"])["strikes"]
    assert len(shown) == 21
    for each in shown:
        for name in ("prob_above", "prob_low", "prob_high"):
            assert each[name] == pytest.approx(wanted[each["strike"]][name], abs=0.00501)


def test_no_intervals_of_a_price_that_is_halted(conn: Connection) -> None:
    gap = HOUR + timedelta(minutes=10)
    forget(conn, gap + timedelta(minutes=20), 20)
    for model in MODELS:
        row = tick(conn, feed="replay", replay_from=gap, elapsed=timedelta(seconds=90), model=model)
        assert row["state"] == "halted"
        for each in json.loads(row["strike_table"])["strikes"]:
            assert each["prob_low"] is each["prob_high"] is None


# Without a forecast


@pytest.mark.parametrize("feed", ["replay", "database"])
@pytest.mark.parametrize("method", METHODS)
def test_momentum_stands_in(conn: Connection, feed: str, method: str) -> None:
    """Too few of the last minutes' candles; the price is there all the same."""
    forget(conn, NOW.replace(second=0) - timedelta(minutes=1))
    log(conn, NOW - timedelta(seconds=1), 100_123.0)
    row = tick(
        conn,
        feed=feed,
        replay_from=NOW if feed == "replay" else None,
        model="volatility",
        method=method,
    )
    found, live = logged(conn, row), json.loads(row["live_probabilities"])
    assert row["used_model"] == found["model"] == live["model"] == "momentum"
    assert (row["state"], found["volatility"], live["volatility"]) == ("fresh", None, None)
    assert_answered(conn, row, "momentum", method=method)
    # A forecast there is again as soon as there are candles.
    later = tick(
        conn,
        HOUR + timedelta(minutes=5),
        feed="replay",
        replay_from=HOUR + timedelta(minutes=5),
        model="volatility",
        method=method,
    )
    assert later["used_model"] == "volatility"


def test_momentum_stands_in_without_curves(conn: Connection) -> None:
    conn.execute("DELETE FROM upc_data.volatility_histogram")
    conn.execute("SELECT upc.refresh_fingerprints()")
    row = replayed(conn, model="volatility")
    assert row["used_model"] == logged(conn, row)["model"] == "momentum"
    assert_answered(conn, row, "momentum")


@pytest.mark.parametrize("model", ["momentum", "volatility"])
def test_the_last_second_of_a_replay(conn: Connection, model: str) -> None:
    """Also where the newest candles of all allow no forecast."""
    forget(conn, DAY + timedelta(hours=23, minutes=59))
    at = HOUR - timedelta(seconds=0.5)
    row = replayed(conn, at, model=model, method="linear")
    assert (row["ttc_seconds"], row["used_model"]) == (0, model)
    found = logged(conn, row)
    assert found["volatility"] == 0
    assert found["prob_above"] == [100 if row["price"] >= k else 0 for k in found["strikes"]]


# The average of the last minute


def shown_by_replay(second: int) -> float:
    """15 seconds each of the open, low, high and close of the last candle of the hour."""
    place = int(np.searchsorted(HISTORY.minutes, int(HOUR.timestamp()) // 60 - 1))
    sides = (HISTORY.opens, HISTORY.lows, HISTORY.highs, HISTORY.closes)
    return float(sides[second // 15][place])


@pytest.mark.parametrize("ttc", [59, 45, 20, 1])
@pytest.mark.parametrize(
    ("model", "method"), [("volatility", "linear"), ("momentum", "nearest"), ("baseline", "linear")]
)
def test_the_last_minute_of_a_replay(conn: Connection, ttc: int, model: str, method: str) -> None:
    row = replayed(
        conn, HOUR - timedelta(seconds=ttc), model=model, method=method, settlement="average"
    )
    seen = np.mean([shown_by_replay(second) for second in range(60 - ttc + 1)])
    assert (row["used_model"], row["used_settlement"]) == (model, "average")
    at = HOUR - timedelta(seconds=ttc)
    assert_answered(
        conn,
        row,
        model,
        method=method,
        settlement="average",
        observed=float(seen),
        volatility=forecast(conn, at, ttc),
    )


@pytest.mark.parametrize("ttc", [59, 13])
def test_the_last_minute_of_made_up_prices(conn: Connection, ttc: int) -> None:
    """Made-up prices have no candles: the newest stored ones make the forecast."""
    at = HOUR + timedelta(days=100) - timedelta(seconds=ttc)
    row = tick(
        conn,
        at,
        feed="simulated",
        seed=3,
        model="volatility",
        method="linear",
        settlement="average",
    )
    seen = [
        scalar(conn, "SELECT upc.simulated_price('BTC', %s, 3)", at - timedelta(seconds=k))
        for k in range(60 - ttc + 1)
    ]
    assert (row["used_model"], row["used_settlement"]) == ("volatility", "average")
    newest = DAY + timedelta(days=1)
    assert_answered(
        conn,
        row,
        "volatility",
        method="linear",
        settlement="average",
        observed=float(np.mean(seen)),
        volatility=forecast(conn, newest, ttc),
    )


@pytest.mark.parametrize("ttc", [59, 31, 2, 0])
def test_the_last_minute_of_live_prices(conn: Connection, ttc: int) -> None:
    """A price a second, each for as long as it is the newest."""
    at = HOUR - timedelta(seconds=ttc)
    if ttc == 0:
        at -= timedelta(seconds=0.25)
    for k in range(-3, 61 - ttc):
        log(conn, HOUR - timedelta(seconds=60.5 - k), 100_000.0 + 7 * k)
    row = tick(conn, at, feed="one", model="volatility", method="linear", settlement="average")
    span = (at - HOUR + timedelta(seconds=60)).total_seconds()
    # Each begins half a second before or after a whole one.
    begins = [max(0.0, k - 0.5) for k in range(0, 61 - ttc)]
    lasts = np.diff([*begins, span]) if begins[-1] < span else np.diff([*begins[:-1], span])
    seen = np.average([100_000.0 + 7 * k for k in range(len(lasts))], weights=lasts)
    assert (row["used_model"], row["used_settlement"]) == ("volatility", "average")
    assert row["ttc_seconds"] == ttc
    if ttc:
        assert_answered(
            conn,
            row,
            "volatility",
            method="linear",
            settlement="average",
            observed=float(seen),
            volatility=forecast(conn, at, ttc),
        )
    else:
        found = logged(conn, row)
        assert found["prob_above"] == [100 if seen >= k else 0 for k in found["strikes"]]


@pytest.mark.parametrize("ttc", [60, 59])
def test_the_close_stands_in(conn: Connection, ttc: int) -> None:
    """Within the last minute, of which the log has nothing but its last second."""
    at = HOUR - timedelta(seconds=ttc)
    log(conn, at, 100_050.0)
    row = tick(
        conn,
        at + timedelta(seconds=0 if ttc == 60 else 0.4),
        feed="one",
        settlement="average",
        method="linear",
    )
    used = "average" if ttc == 60 else "close"
    found, live = logged(conn, row), json.loads(row["live_probabilities"])
    assert row["used_settlement"] == found["settlement"] == live["settlement"] == used
    assert_answered(conn, row, "momentum", method="linear", settlement=used)


# The forecast that is kept


def kept(conn: Connection) -> tuple[Any, ...]:
    [row] = conn.execute(
        "SELECT s.known_at, s.variances, s.ctid::text FROM upc_data.volatility_state AS s"
    ).fetchall()
    return row


def test_a_forecast_is_kept_for_its_minute(conn: Connection) -> None:
    """Ticks of one minute write it once."""
    conn.execute("DELETE FROM upc_data.volatility_state")
    minute = NOW.replace(second=0)
    replayed(conn, NOW)
    first = kept(conn)
    assert first[0] == minute
    for seconds in (1, 2, 9):
        replayed(conn, NOW + timedelta(seconds=seconds))
        assert kept(conn) == first
    replayed(conn, NOW + timedelta(seconds=10))
    second = kept(conn)
    assert second[0] == minute + timedelta(minutes=1)
    assert second[1] != first[1]
    for at, variances in ((NOW, first[1]), (NOW + timedelta(seconds=10), second[1])):
        assert 100 * np.sqrt(variances[4]) == pytest.approx(forecast(conn, at, 300), rel=1e-12)


def test_a_replay_keeps_its_own(conn: Connection) -> None:
    """Also where one of a later minute has been kept."""
    conn.execute("SELECT upc._cached_forecast('BTC')")
    assert kept(conn)[0] == DAY + timedelta(days=1)
    replayed(conn, NOW)
    first = kept(conn)
    assert first[0] == NOW.replace(second=0)
    replayed(conn, NOW + timedelta(seconds=1))
    assert kept(conn) == first


@contextmanager
def locked(dsn: str) -> Iterator[None]:
    """Another session has the kept forecast locked, and does not come to an end."""
    with open_db(dsn, autocommit=False) as other:
        other.execute("SELECT FROM upc_data.volatility_state FOR UPDATE")
        yield
        other.rollback()


def test_a_tick_waits_for_nobody(module_dsn: str, conn: Connection) -> None:
    with open_db(module_dsn) as other:
        other.execute("SELECT upc._cached_forecast('BTC', %s)", (NOW,))
        before = kept(other)
        with locked(module_dsn):
            conn.execute("SET LOCAL lock_timeout = '2s'")
            for minutes, model in product((0, 1), ("momentum", "volatility")):
                at = NOW + timedelta(minutes=minutes)
                row = replayed(conn, at, model=model)
                assert row["used_model"] == model
                wanted = scalar(
                    conn, "SELECT upc.volatility('BTC', %s, %s)", at, row["ttc_seconds"]
                )
                assert logged(conn, row)["volatility"] == wanted
        assert kept(other) == before


# The list of trades


@pytest.mark.parametrize(
    ("ttc", "seen", "minutes", "model", "settlement"),
    [
        (900, 3, 0, "volatility", "average"),
        (60, 3, 0, "volatility", "average"),
        (30, 90, 0, "volatility", "average"),
        (30, 3, 0, "volatility", "close"),
        (900, 3, 8, "momentum", "average"),
        (30, 3, 8, "momentum", "close"),
    ],
)
def test_a_trade_is_listed_as_ticks_show_it(
    conn: Connection, ttc: int, seen: int, minutes: int, model: str, settlement: str
) -> None:
    """Both use the same stand-ins where the forecast or the average is unknown."""
    at = HOUR - timedelta(seconds=ttc)
    market = {"ticker": "E-T99999.99", "close_time": HOUR.isoformat(), "status": "active"}
    market |= {"strike_type": "greater", "floor_strike": "99999.99"}
    event = {"event_ticker": "E", "series_ticker": "KXBTCD", "markets": [market]}
    conn.execute("SELECT upc.load_market(%s, read_at => %s)", (Jsonb({"event": event}), at))
    for k in range(seen, -1, -1):
        log(conn, at - timedelta(seconds=k), 100_020.0 + 2 * k)
    forget(conn, at.replace(second=0), minutes)
    conn.execute("DELETE FROM upc_data.volatility_state")
    trade_id = scalar(conn, "SELECT upc.open_trade('E-T99999.99', 'no', 0.5, 10, at => %s)", at)
    requested: Row = {"method": None, "model": None, "settlement": None}

    def listed() -> Row:
        [row] = table(
            conn,
            "SELECT * FROM upc.trade_list(at => %s, method => %s, model => %s, settlement => %s)",
            at,
            *requested.values(),
        )
        assert (row["trade_id"], row["symbol_price"]) == (trade_id, 100_020)
        return row

    # Before any tick, and so without anything that one has kept.
    found = listed()
    row = tick(conn, at, feed="database", **requested)
    assert (row["used_model"], row["used_settlement"]) == (model, settlement)
    arguments: Row = {"ttc_seconds": ttc, "method": "linear", "momentum": row["momentum"]}
    arguments |= {"model": model, "settlement": settlement}
    if ttc < 60 and settlement == "average":
        # Of 30 seconds, each price for the second that it was the newest.
        arguments["observed"] = float(np.mean([100_020.0 + 2 * k for k in range(1, 31)]))
    if model == "volatility":
        arguments["volatility"] = forecast(conn, at, ttc)
        arguments["variances"] = scalar(conn, "SELECT upc._known_variances('BTC', %s)", at)
    [above] = [
        each["prob_above"]
        for each in strikes(conn, 100_020.0, **arguments)
        if each["strike"] == 100_000
    ]
    assert 0 < above < 100
    assert found["probability"] == pytest.approx(100 - above, abs=1e-9)
    assert listed()["probability"] == found["probability"]
    [shown] = json.loads(row["active_trades"])["active_trades"]
    assert shown["current_probability"] == pytest.approx(100 - above, abs=0.0051)

    # SQL's own defaults stay.
    requested = {"method": "nearest", "model": "momentum", "settlement": "close"}
    [plain] = table(conn, "SELECT * FROM upc.trade_list(at => %s)", at)
    assert plain == listed()
    legacy = json.loads(tick(conn, at, feed="database")["active_trades"])["active_trades"]
    assert legacy[0]["current_probability"] == pytest.approx(plain["probability"], abs=0.0051)
    assert plain["probability"] != found["probability"]
