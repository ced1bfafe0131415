"""The forecast of volatility, and the one that is kept for those who ask next."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import numpy as np
import psycopg
import pytest

from tests.support import volatility_reference
from tests.support.candle_changes import write_candles
from tests.support.engine import (
    Candles,
    Connection,
    build,
    instant,
    minute,
    open_db,
    put,
    scalar,
    wait_until_blocked,
)
from tests.support.volatile_candles import forecast, scaled, stored_fit, volatile_candles

HISTORY = volatile_candles(90, "2026-03-02T10:00", 3 * 1440 + 400)
END = instant("2026-03-05T16:40")
MIDDLE = "2026-03-04T12:00"


BUILT = {"BTC": HISTORY}


def expected(conn: Connection, candles: Candles, at: str) -> volatility_reference.Floats | None:
    columns = volatility_reference.of(candles)
    return volatility_reference.variances(stored_fit(conn), *columns, minute(at))


def delete(conn: Connection, since: str, until: str) -> None:
    write_candles(
        conn,
        "DELETE FROM upc_data.candle WHERE opened_at >= %s AND opened_at < %s",
        (instant(since), instant(until)),
    )


@pytest.mark.parametrize("at", ["2026-03-03T10:00", MIDDLE, "2026-03-05T00:07", "2026-03-05T16:40"])
def test_variances(conn: Connection, at: str) -> None:
    found = forecast(conn, instant(at))
    wanted = expected(conn, HISTORY, at)
    assert found is not None
    assert wanted is not None
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


def test_variances_with_holes(conn: Connection) -> None:
    write_candles(
        conn, "DELETE FROM upc_data.candle WHERE extract(minute FROM opened_at)::int % 7 = 2"
    )
    candles = HISTORY.where(HISTORY.minutes % 60 % 7 != 2)
    found, wanted = forecast(conn, instant(MIDDLE)), expected(conn, candles, MIDDLE)
    assert found is not None
    assert wanted is not None
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


@pytest.mark.parametrize(
    "seconds", [0, 1, 59, 60, 61, 899, 900, 3599, 3600, 4000, 4500, 28801, 86399, 86400, 90000]
)
def test_volatility_of_the_time_left(conn: Connection, seconds: int) -> None:
    """In straight lines between minutes, in proportion outside of them."""
    wanted = expected(conn, HISTORY, MIDDLE)
    assert wanted is not None
    known = np.array([*range(61), *volatility_reference.LONG])
    variance = np.interp(seconds, 60 * known, np.append(0, wanted)) * max(1, seconds / 86400)
    found = scalar(conn, "SELECT upc.volatility('BTC', %s, %s)", instant(MIDDLE), seconds)
    np.testing.assert_allclose(found, 100 * np.sqrt(variance), rtol=1e-10)


def test_an_hour_s_variances_alone_go_on_in_proportion(conn: Connection) -> None:
    query = "SELECT upc.variance_until(array_fill(4::float8, '{60}'), %s)"
    assert scalar(conn, query, 5400) == 6


def test_the_newest_of_all_without_an_instant(conn: Connection) -> None:
    wanted = expected(conn, HISTORY, "2026-03-05T16:40")
    assert wanted is not None
    found = scalar(conn, "SELECT upc.volatility()")
    np.testing.assert_allclose(found, 100 * np.sqrt(wanted[59]), rtol=1e-10)


def test_a_minute_that_is_not_over_is_not_known(conn: Connection) -> None:
    at = instant(MIDDLE)
    before = forecast(conn, at)
    for seconds in (1, 30, 59.999):
        found = forecast(conn, at + timedelta(seconds=seconds))
        np.testing.assert_array_equal(found, before)
    found = forecast(conn, at + timedelta(seconds=60))
    assert found is not None
    assert before is not None
    assert not np.array_equal(found, before)


def test_nothing_later_is_seen(conn: Connection) -> None:
    at = instant(MIDDLE)
    before = forecast(conn, at)
    write_candles(
        conn,
        "UPDATE upc_data.candle SET high = 2 * high, low = 1, close = 1, volume = 9 "
        "WHERE opened_at > %s - interval '1 minute'",
        (at,),
    )
    np.testing.assert_array_equal(forecast(conn, at), before)
    write_candles(conn, "DELETE FROM upc_data.candle WHERE opened_at >= %s", (at,))
    np.testing.assert_array_equal(forecast(conn, at), before)


# Missing candles


@pytest.mark.parametrize(
    ("since", "until", "is_there"),
    [
        # Of the last 5, 20, 60, 240 and 1440 minutes: exactly half, or one less.
        ("2026-03-04T11:56", "2026-03-04T11:58", True),
        ("2026-03-04T11:56", "2026-03-04T11:59", False),
        ("2026-03-04T11:45", "2026-03-04T11:55", True),
        ("2026-03-04T11:44", "2026-03-04T11:55", False),
        ("2026-03-04T11:10", "2026-03-04T11:40", True),
        ("2026-03-04T11:09", "2026-03-04T11:40", False),
        ("2026-03-04T09:00", "2026-03-04T11:00", True),
        ("2026-03-04T08:59", "2026-03-04T11:00", False),
        ("2026-03-03T12:00", "2026-03-04T00:00", True),
        ("2026-03-03T12:00", "2026-03-04T00:01", False),
    ],
)
def test_half_of_every_span_has_to_be_there(
    conn: Connection, since: str, until: str, is_there: bool
) -> None:
    delete(conn, since, until)
    gone = (HISTORY.minutes >= minute(since)) & (HISTORY.minutes < minute(until))
    wanted = expected(conn, HISTORY.where(~gone), MIDDLE)
    assert (wanted is not None) == is_there
    found = forecast(conn, instant(MIDDLE))
    assert (found is not None) == is_there
    assert (scalar(conn, "SELECT upc.volatility('BTC', %s)", instant(MIDDLE)) is None) != is_there
    if found is not None and wanted is not None:
        np.testing.assert_allclose(found, wanted, rtol=1e-10)


def test_a_forecast_is_good_for_five_minutes(conn: Connection) -> None:
    last = forecast(conn, END)
    assert last is not None
    for late in (timedelta(0), timedelta(minutes=5)):
        np.testing.assert_array_equal(forecast(conn, END + late), last)
    assert forecast(conn, END + timedelta(minutes=5, seconds=1)) is None
    assert forecast(conn, "infinity") is None
    assert forecast(conn, "-infinity") is None
    assert forecast(conn, instant("2026-03-02T10:00")) is None
    # Without an instant it is the newest, however old.
    np.testing.assert_array_equal(forecast(conn), last)


def test_nothing_is_forecast_without_a_fit(conn: Connection) -> None:
    put(conn, "ETH", HISTORY)
    assert scalar(conn, "SELECT upc.volatility('ETH')") is None
    assert scalar(conn, "SELECT upc._cached_forecast('ETH')") is None
    write_candles(conn, "DELETE FROM upc_data.candle WHERE symbol = 'ETH'")
    assert scalar(conn, "SELECT upc.volatility('ETH')") is None


@pytest.mark.parametrize(
    ("arguments", "state"),
    [
        ("'XYZ'", "UP002"),
        ("NULL", "UP002"),
        ("'BTC', ttc_seconds => -1", "UP008"),
        ("'BTC', ttc_seconds => NULL", "UP008"),
    ],
)
def test_what_makes_no_sense_is_refused(conn: Connection, arguments: str, state: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(f"SELECT upc.volatility({arguments})".encode())
    assert caught.value.sqlstate == state
    assert caught.value.diag.message_hint


@pytest.mark.slow
def test_the_unit_of_prices_does_not_matter(conn: Connection) -> None:
    put(conn, "ETH", scaled(HISTORY, 1 / 1024))
    build(conn, "ETH")
    first, second = forecast(conn), forecast(conn, symbol="ETH")
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(stored_fit(conn).factors, stored_fit(conn, "ETH").factors)
    np.testing.assert_allclose(second, first, rtol=1e-12)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_the_time_zone_does_not_matter(conn: Connection, zone: str) -> None:
    at = instant(MIDDLE)
    before = forecast(conn, at)
    conn.execute(f"SET LOCAL timezone = '{zone}'".encode())
    np.testing.assert_array_equal(forecast(conn, at), before)


# The cached forecast


def kept(conn: Connection) -> list[tuple[object, list[float]]]:
    return conn.execute("SELECT known_at, variances FROM upc_data.volatility_state").fetchall()


def test_a_build_keeps_the_newest(conn: Connection) -> None:
    ((known_at, variances),) = kept(conn)
    assert known_at == END
    assert variances == scalar(conn, "SELECT upc._forecast_variances('BTC', %s)", END)
    # It is read, not computed.
    conn.execute("UPDATE upc_data.volatility_state SET variances = array_fill(4::float8, '{60}')")
    assert scalar(conn, "SELECT upc.volatility()") == 200
    assert scalar(conn, "SELECT upc.volatility('BTC', %s)", END + timedelta(minutes=3)) == 200
    assert scalar(conn, "SELECT upc.volatility('BTC', %s)", END - timedelta(minutes=1)) != 200


def test_the_next_minute_is_kept_in_its_place(conn: Connection) -> None:
    put(conn, "BTC", volatile_candles(91, "2026-03-05T16:40", 1, price=39_000))
    computed = scalar(conn, "SELECT upc._known_variances('BTC')")
    assert [at for at, _ in kept(conn)] == [END]
    assert scalar(conn, "SELECT upc._cached_forecast('BTC')") == computed
    assert kept(conn) == [(END + timedelta(minutes=1), computed)]
    assert scalar(conn, "SELECT upc._cached_forecast('BTC')") == computed
    # A replay goes back in time, and asks every second too.
    past = scalar(conn, "SELECT upc._cached_forecast('BTC', %s)", instant(MIDDLE))
    assert [variances for _, variances in kept(conn)] == [past]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE upc_data.candle SET high = 2 * high WHERE opened_at = '2026-03-05 16:39+00'",
        "INSERT INTO upc_data.candle VALUES ('BTC', '2026-02-26 16:40+00', 1, 1, 1, 1, 9)",
        "DELETE FROM upc_data.candle WHERE opened_at = '2026-03-05 16:30+00'",
        "DELETE FROM upc_data.candle WHERE opened_at >= '2026-03-05 16:30+00'",
        "TRUNCATE upc_data.candle",
    ],
)
def test_what_is_kept_is_what_would_be_computed(conn: Connection, change: str) -> None:
    write_candles(conn, change)
    for at in (None, END):
        known_at = scalar(conn, "SELECT upc._newest_close('BTC', %s)", at)
        computed = scalar(conn, "SELECT upc._forecast_variances('BTC', %s)", known_at)
        assert scalar(conn, "SELECT upc._known_variances('BTC', %s)", at) == computed
        assert scalar(conn, "SELECT upc._cached_forecast('BTC', %s)", at) == computed


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO upc_data.candle VALUES ('BTC', '2026-02-26 16:39+00', 1, 1, 1, 1, 0)",
        "INSERT INTO upc_data.candle VALUES ('BTC', '2026-03-05 16:40+00', 1, 1, 1, 1, 0)",
        "INSERT INTO upc_data.candle VALUES ('ETH', '2026-03-05 16:39+00', 1, 1, 1, 1, 0)",
    ],
)
def test_what_it_was_not_made_from_leaves_it_alone(conn: Connection, change: str) -> None:
    before = kept(conn)
    write_candles(conn, change)
    assert kept(conn) == before


def test_nobody_waits_for_the_writer_of_one(module_dsn: str, conn: Connection) -> None:
    with open_db(module_dsn, autocommit=False) as other:
        other.execute("SELECT FROM upc_data.volatility_state FOR UPDATE")
        conn.execute("SET LOCAL lock_timeout = '1s'")
        put(conn, "BTC", volatile_candles(92, "2026-03-05T16:40", 1))
        write_candles(
            conn, "UPDATE upc_data.candle SET high = 2 * high WHERE opened_at >= '2026-03-05'"
        )
        assert scalar(conn, "SELECT upc._cached_forecast('BTC')") is not None
        other.rollback()


def test_a_newer_fit_is_not_overwritten(fresh_db: str, own: Connection) -> None:
    """A tick that read the old fit comes to write when a build has kept the new one."""
    put(own, "BTC", HISTORY)
    build(own)
    own.execute("DELETE FROM upc_data.volatility_state")
    with (
        open_db(fresh_db, autocommit=False) as builder,
        open_db(fresh_db) as tick,
        ThreadPoolExecutor(max_workers=1) as pool,
    ):
        builder.execute(
            "INSERT INTO upc_data.volatility_state "
            "VALUES ('BTC', %s, array_fill(4::float8, '{60}'))",
            (END,),
        )
        future = pool.submit(tick.execute, "SELECT upc._cached_forecast('BTC')")
        wait_until_blocked(own, tick, future)
        builder.commit()
        future.result(timeout=30)
    assert kept(own) == [(END, [4.0] * 60)]
