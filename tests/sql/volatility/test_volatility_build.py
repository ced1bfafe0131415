"""The build of standardised moves: in whatever steps, it ends in what one build makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support import brute_force
from tests.support.candle_changes import write_candles
from tests.support.engine import (
    Candles,
    Connection,
    assert_equal_counts,
    build,
    flat,
    minute,
    open_db,
    put,
    scalar,
)
from tests.support.volatile_candles import (
    assert_same_fit,
    everything,
    expected_counts,
    expected_fit,
    expected_long_counts,
    forecast,
    stored_candles,
    stored_counts,
    stored_fit,
    stored_long_counts,
    volatile_candles,
)

HISTORY = volatile_candles(110, "2026-03-02T18:00", 4 * 1440)
# Two months before the end of one, and some days around that end.
LONG = volatile_candles(111, "2026-01-28T22:00", 2 * 1440) + volatile_candles(
    112, "2026-03-30", 4 * 1440
)


def until(candles: Candles, moment: str) -> Candles:
    return candles.where(candles.minutes < minute(moment))


def after(candles: Candles, moment: str) -> Candles:
    return candles.where(candles.minutes >= minute(moment))


def fitted_until(conn: Connection, symbol: str = "BTC") -> str:
    query = "SELECT fitted_until::text FROM upc_data.volatility_fit WHERE symbol = %s"
    return str(scalar(conn, query, symbol))


def rebuilt(conn: Connection) -> list[list[Any]]:
    conn.execute("SELECT upc.reset_fingerprints('BTC')")
    build(conn)
    return everything(conn)


def assert_like_a_rebuild(conn: Connection) -> None:
    """The tables equal a rebuild's, and those of numpy."""
    found = everything(conn)
    candles = stored_candles(conn)
    assert_same_fit(stored_fit(conn), expected_fit(candles, fitted_until(conn)))
    assert_equal_counts(stored_counts(conn), expected_counts(candles, stored_fit(conn)))
    assert_equal_counts(stored_long_counts(conn), expected_long_counts(candles, stored_fit(conn)))
    assert scalar(conn, "SELECT upc.volatility_pending('BTC')") == 0
    assert rebuilt(conn) == found


def refreshes(conn: Connection) -> Any:
    """Changes with every refresh of the curves."""
    return scalar(conn, "SELECT refreshed_at FROM upc_data.curve_refresh WHERE symbol = 'BTC'")


@pytest.mark.parametrize(
    ("first", "last", "boundary"),
    [
        ("2026-03-05", "2026-03-05", "2026-03-06"),
        ("2026-03-04", "2026-03-05", "2026-03-05"),
        ("2026-01-01", "2026-03-01", "2026-03-01"),
        ("2025-12-31", "2026-03-01", "2026-03-01"),
        ("2025-12-31", "2026-03-20", "2026-03-01"),
        ("2026-01-01", "2026-03-20", "2026-03-20"),
    ],
)
def test_boundary(conn: Connection, first: str, last: str, boundary: str) -> None:
    assert scalar(conn, "SELECT upc._fit_boundary(%s, %s)::text", first, last) == boundary


@pytest.mark.slow
def test_day_by_day(conn: Connection) -> None:
    for day in range(2, 8):
        moment = f"2026-03-{day:02d}"
        put(conn, "BTC", after(until(HISTORY, f"2026-03-{day + 1:02d}"), moment))
        build(conn)
    assert_like_a_rebuild(conn)


@pytest.mark.slow
def test_hour_by_hour(conn: Connection) -> None:
    start = "2026-03-06T00:00"
    put(conn, "BTC", until(HISTORY, start))
    build(conn)
    for hour in range(3):
        since, then = f"2026-03-06T0{hour}:00", f"2026-03-06T0{hour + 1}:00"
        put(conn, "BTC", after(until(HISTORY, then), since))
        build(conn)
    assert_like_a_rebuild(conn)


CORRECTIONS = {
    "range": "UPDATE upc_data.candle SET high = 1.001 * high WHERE {}",
    "close": "UPDATE upc_data.candle SET close = low WHERE {}",
    "delete": "DELETE FROM upc_data.candle WHERE {}",
    "elsewhere": "UPDATE upc_data.candle SET opened_at = opened_at + interval '70 days' WHERE {}",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CORRECTIONS)
@pytest.mark.parametrize(
    "where",
    [
        "opened_at BETWEEN '2026-03-03 23:30+00' AND '2026-03-04 00:15+00'",  # fitted
        "opened_at >= '2026-03-06 17:00+00'",  # later than what was fitted
    ],
    ids=["fitted", "later"],
)
def test_corrections(conn: Connection, kind: str, where: str) -> None:
    put(conn, "BTC", HISTORY)
    build(conn)
    before = everything(conn)
    conn.execute("CREATE TEMPORARY TABLE kept ON COMMIT DROP AS TABLE upc_data.candle")
    write_candles(conn, CORRECTIONS[kind].format(where))
    build(conn)
    assert everything(conn) != before
    assert_like_a_rebuild(conn)
    # And back.
    write_candles(conn, "DELETE FROM upc_data.candle")
    write_candles(conn, "INSERT INTO upc_data.candle TABLE kept")
    build(conn)
    assert everything(conn) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment", ["2026-03-03 00:00", "2026-03-03 00:59", "2026-03-05 23:30", "2026-03-06 00:00"]
)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_one_candle_near_midnight(conn: Connection, moment: str, zone: str) -> None:
    """The same by New York's clocks, which go forward on the 8th."""
    conn.execute(f"SET LOCAL timezone = '{zone}'".encode())
    shift = 0 if zone == "UTC" else 5 * 1440
    moved = Candles(
        HISTORY.minutes + shift, HISTORY.opens, HISTORY.highs, HISTORY.lows, HISTORY.closes
    )
    put(conn, "BTC", moved)
    build(conn)
    write_candles(
        conn,
        "DELETE FROM upc_data.candle WHERE opened_at = %s::timestamptz + make_interval(mins => %s)",
        (moment + "+00", shift),
    )
    build(conn)
    assert_like_a_rebuild(conn)


@pytest.mark.slow
def test_a_new_month_is_a_new_fit(conn: Connection) -> None:
    put(conn, "BTC", until(LONG, "2026-03-31T23:00"))
    build(conn)
    assert fitted_until(conn) == "2026-03-31"
    put(conn, "BTC", after(until(LONG, "2026-04-01T02:00"), "2026-03-31T23:00"))
    build(conn)
    assert fitted_until(conn) == "2026-04-01"
    assert_like_a_rebuild(conn)
    fitted = stored_fit(conn)
    put(conn, "BTC", after(LONG, "2026-04-01T02:00"))
    build(conn)
    # The month's own days are not fitted.
    assert fitted_until(conn) == "2026-04-01"
    assert_same_fit(stored_fit(conn), fitted)
    write_candles(
        conn, "UPDATE upc_data.candle SET high = 2 * high WHERE opened_at >= '2026-04-01Z'"
    )
    build(conn)
    assert_same_fit(stored_fit(conn), fitted)
    write_candles(
        conn, "UPDATE upc_data.candle SET high = 2 * high WHERE opened_at = '2026-03-31 23:59Z'"
    )
    write_candles(conn, "DELETE FROM upc_data.candle WHERE opened_at < '2026-01-29Z'")
    build(conn)
    assert_like_a_rebuild(conn)


def test_too_little_history_has_no_curves(conn: Connection) -> None:
    put(conn, "BTC", until(HISTORY, "2026-03-03T06:00"))
    build(conn)
    assert stored_counts(conn) == {}
    assert scalar(conn, "SELECT count(*) FROM upc_data.volatility_fit") == 0
    assert scalar(conn, "SELECT count(*) FROM upc.volatility_curve") == 0
    assert forecast(conn) is None
    assert scalar(conn, "SELECT count(*) > 0 FROM upc.fingerprint_curve")
    put(conn, "BTC", after(HISTORY, "2026-03-03T06:00"))
    build(conn)
    assert forecast(conn) is not None
    assert_like_a_rebuild(conn)
    write_candles(conn, "DELETE FROM upc_data.candle WHERE opened_at >= '2026-03-03 06:00Z'")
    build(conn)
    assert stored_counts(conn) == {}
    assert scalar(conn, "SELECT count(*) FROM upc.volatility_curve") == 0
    assert scalar(conn, "SELECT count(*) FROM upc_data.volatility_day") == 0
    assert forecast(conn) is None


@pytest.mark.slow
@pytest.mark.parametrize("emptied_by", ["TRUNCATE upc_data.candle", "DELETE FROM upc_data.candle"])
def test_nothing_is_left_of_nothing(conn: Connection, emptied_by: str) -> None:
    put(conn, "BTC", HISTORY)
    build(conn)
    write_candles(conn, emptied_by)
    build(conn)
    assert [rows for rows in everything(conn) if rows] == []
    put(conn, "BTC", HISTORY)
    build(conn)
    assert_like_a_rebuild(conn)


def test_a_build_without_news_refreshes_nothing(own: Connection) -> None:
    put(own, "BTC", HISTORY)
    build(own)
    before, seen = everything(own), refreshes(own)
    completed = scalar(own, "SELECT completed_at FROM upc_data.volatility_fit")
    assert build(own) == 0
    assert build(own) == 0
    assert (everything(own), refreshes(own)) == (before, seen)
    assert scalar(own, "SELECT completed_at FROM upc_data.volatility_fit") == completed


@pytest.mark.slow
def test_two_symbols_do_not_mix(conn: Connection) -> None:
    other = volatile_candles(113, "2026-03-01", 3 * 1440, price=2_000)
    put(conn, "BTC", HISTORY)
    put(conn, "ETH", other)
    build(conn, "ETH")
    build(conn)
    for symbol, candles in {"BTC": HISTORY, "ETH": other}.items():
        fitted = stored_fit(conn, symbol)
        assert_same_fit(fitted, expected_fit(candles, fitted_until(conn, symbol)))
        assert_equal_counts(stored_counts(conn, symbol), expected_counts(candles, fitted))
    before = stored_counts(conn)
    write_candles(conn, "DELETE FROM upc_data.candle WHERE symbol = 'ETH'")
    build(conn, "ETH")
    assert_equal_counts(stored_counts(conn), before)
    assert stored_counts(conn, "ETH") == {}
    assert build(conn) == 0


def test_curves_weigh_newer_years_more(conn: Connection) -> None:
    """Before shrinkage, which leaves a baseline alone."""
    put(conn, "BTC", volatile_candles(114, "2025-12-30", 4 * 1440))
    build(conn)
    counts = {key: cell for key, cell in stored_counts(conn).items() if key[1] == 99}
    assert {year for year, _, _ in counts} == {2025, 2026}
    for (_, minutes), curve in brute_force.curves(counts, 2026).items():
        ((size, positive, negative),) = conn.execute(
            "SELECT sample_size, positive, negative FROM upc.volatility_curve "
            "WHERE symbol = 'BTC' AND bucket = 99 AND minutes = %s",
            (minutes,),
        ).fetchall()
        assert size == curve.sample_size
        np.testing.assert_allclose(positive, curve.positive, rtol=1e-12)
        np.testing.assert_allclose(negative, curve.negative, rtol=1e-12)


# In pieces


def prepare(conn: Connection) -> list[Any]:
    conn.execute("SELECT upc.prepare_volatility('BTC')")
    return [row[0] for row in conn.execute("SELECT days FROM upc.volatility_pieces('BTC')")]


def count(conn: Connection, days: Any) -> None:
    conn.execute("SELECT upc.count_volatility_days('BTC', %s)", (days,))


def test_forecasts_go_on_while_all_is_counted_again(own: Connection) -> None:
    put(own, "BTC", HISTORY)
    build(own)
    before, known = everything(own), forecast(own)
    own.execute("SELECT upc.reset_fingerprints('BTC')")
    np.testing.assert_array_equal(forecast(own), known)
    own.execute("DELETE FROM upc_data.volatility_state")
    np.testing.assert_array_equal(forecast(own), known)
    own.execute("SELECT upc.refresh_fingerprints()")
    assert scalar(own, "SELECT count(*) FROM upc.volatility_curve") == 0
    build(own)
    assert everything(own) == before


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["2026-03-03T12:00", "2026-03-06T12:00"])
@pytest.mark.parametrize("when", ["before the fit", "after the fit", "after a piece"])
def test_what_is_written_meanwhile_is_seen_by_the_next_build(
    fresh_db: str, own: Connection, moment: str, when: str
) -> None:
    """A transaction that commits when all but the last piece is counted, begun at various times."""
    late = (HISTORY.minutes >= minute(moment)) & (HISTORY.minutes < minute(moment) + 30)
    put(own, "BTC", HISTORY.where(~late))
    with open_db(fresh_db, autocommit=False) as feed:
        feed.execute("SET lock_timeout = '2s'")
        if when == "before the fit":
            put(feed, "BTC", HISTORY.where(late))
        own.execute("SELECT upc.prepare_volatility('BTC')")
        if when == "after the fit":
            put(feed, "BTC", HISTORY.where(late))
        days = [
            day
            for (day,) in own.execute(
                "SELECT DISTINCT day FROM upc_data.volatility_change ORDER BY 1"
            )
        ]
        count(own, days[:1])
        if when == "after a piece":
            put(feed, "BTC", HISTORY.where(late))
        feed.commit()
    count(own, days[1:])
    own.execute("SELECT upc.complete_volatility('BTC')")
    # A fit without it has to be made again.
    is_fitted = moment < "2026-03-06"
    assert (scalar(own, "SELECT upc.volatility_pending('BTC')") > 0) is is_fitted
    build(own)
    assert_like_a_rebuild(own)


def test_writers_of_old_candles_do_not_wait_for_a_build(fresh_db: str, own: Connection) -> None:
    put(own, "BTC", HISTORY)
    build(own)
    with open_db(fresh_db, autocommit=False) as builder, open_db(fresh_db) as feed:
        write_candles(
            builder, "UPDATE upc_data.candle SET high = 2 * high WHERE opened_at < '2026-03-03Z'"
        )
        build(builder)
        feed.execute("SET lock_timeout = '2s'")
        write_candles(
            feed, "UPDATE upc_data.candle SET high = 2 * high WHERE opened_at = '2026-03-04 12:00Z'"
        )
        builder.commit()
    build(own)
    assert_like_a_rebuild(own)


def test_an_unfinished_build_is_not_shown(own: Connection) -> None:
    put(own, "BTC", HISTORY)
    for days in prepare(own):
        count(own, days)
    own.execute("SELECT upc.refresh_fingerprints()")
    assert scalar(own, "SELECT count(*) FROM upc.volatility_curve") == 0
    assert forecast(own) is None
    build(own)
    assert scalar(own, "SELECT count(*) > 0 FROM upc.volatility_curve")
    assert_like_a_rebuild(own)


def test_candles_without_ranges_can_be_built(conn: Connection) -> None:
    still = flat(range(minute("2026-03-02"), minute("2026-03-04")), [100.0] * 2 * 1440)
    put(conn, "BTC", still)
    build(conn)
    assert_like_a_rebuild(conn)
    counts = stored_counts(conn)
    assert all(cell.positive[0] == cell.negative[0] == cell.pairs for cell in counts.values())
    assert all(cell.positive[1] == cell.negative[1] == 0 for cell in counts.values())
