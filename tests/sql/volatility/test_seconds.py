"""One-second prices in the forecast, against formulas in numpy and a solver of scipy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import root
from scipy.stats import norm

from pyupc.health.doctor import lease
from tests.support import volatility_reference
from tests.support.databases import Databases
from tests.support.engine import Connection, minute, open_db, put, scalar
from tests.support.second_world import Floats, World, loss, put_seconds, true_above, world
from tests.support.volatile_candles import forecast

SINCE = "2026-01-01"
WORLD = world(401, SINCE, 38)
LOGGED_FROM = 5 * 1440 + 600
FITTED = 37 * 1440
END = len(WORLD.minutes)
HORIZONS = (1, 2, 3, 5, 10, 15)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def instant_of(place: int) -> datetime:
    """The beginning of the minute of that place in the world."""
    return EPOCH + timedelta(minutes=int(WORLD.minutes[place]))


def fill(conn: Connection, symbol: str = "BTC", *, since: int = LOGGED_FROM) -> None:
    put(conn, symbol, WORLD.candles)
    chosen = slice(since, END)
    seconds = (WORLD.minutes[chosen], WORLD.variances[chosen], WORLD.robust[chosen])
    put_seconds(conn, *seconds, symbol=symbol)
    # Another exchange, that has not been logged for long.
    few = slice(END - 9 * 1440, END)
    other = (WORLD.minutes[few], 2 * WORLD.variances[few], 2 * WORLD.robust[few])
    put_seconds(conn, *other, exchange="y", symbol=symbol)


@pytest.fixture(scope="module")
def seconds_dsn(databases: Databases) -> Iterator[str]:
    with databases.clone("empty") as dsn:
        with open_db(dsn) as connection:
            fill(connection)
            # Counting all of it would take longer than all else.
            assert scalar(connection, "SELECT upc.prepare_volatility('BTC')")
            connection.execute("SELECT upc._use_newest_fit('BTC')")
        yield dsn


@pytest.fixture
def conn(seconds_dsn: str) -> Iterator[Connection]:
    with open_db(seconds_dsn, autocommit=False) as connection:
        yield connection
        connection.rollback()


def fitted(conn: Connection) -> tuple[Floats, Floats, Floats]:
    """Factors, coefficients of the candles, and those of the seconds."""
    factors, coefficients = conn.execute(
        "SELECT used_factors, used_coefficients FROM upc_data.volatility_fit WHERE symbol = 'BTC'"
    ).fetchall()[0]
    assert len(coefficients) == 411
    whole = np.array(coefficients)
    return np.array(factors, dtype=np.float64), whole[:176], whole[177:213].reshape(6, 6)


def mean_of(values: Floats, places: NDArray[np.int64], width: int) -> Floats:
    """The mean of the last so many values up to each place."""
    return np.array([np.nanmean(values[place - width + 1 : place + 1]) for place in places])


def features(made: World, factors: Floats, places: NDArray[np.int64]) -> Floats:
    """A row for each place, known when its minute is over: s1, s5, s15, f5, f20."""
    season = factors[volatility_reference.minute_of_week(made.minutes)] / 100
    ranges = volatility_reference.ranges(made.candles.highs, made.candles.lows) * 1e-8 / season
    ranges[np.isnan(made.candles.highs)] = np.nan
    beside = made.robust / season**2
    hour = mean_of(ranges, places, 60) ** 2
    return np.column_stack(
        [
            *(14 + np.log(mean_of(beside, places, w) + 0.02 * hour) for w in (1, 5, 15)),
            *(14 + 2 * np.log(mean_of(ranges, places, w)) for w in (5, 20)),
        ]
    )


def test_features(conn: Connection) -> None:
    factors, _, _ = fitted(conn)
    places = np.arange(20_000, 20_200)
    rows = conn.execute(
        "SELECT f.place, f.s1, f.s5, f.s15, f.f5, f.f20 FROM upc._second_features("
        "'BTC', 'x', %s, 200, %s::smallint[]) AS f ORDER BY f.place",
        (instant_of(20_000), factors.astype(int).tolist()),
    ).fetchall()
    found: Floats = np.array(rows, dtype=np.float64)
    np.testing.assert_array_equal(found[:, 0], np.arange(1, 201))
    np.testing.assert_allclose(found[:, 1:], features(WORLD, factors, places), atol=2e-5)


def test_features_with_gaps(conn: Connection) -> None:
    """A twelfth of the minutes of seconds and of the candles is missing, each on its own."""
    factors, _, _ = fitted(conn)
    first, count = 20_000, 400
    dice = np.random.default_rng(403)
    robust, highs = WORLD.robust.copy(), WORLD.candles.highs.copy()
    for column, table, at in (
        (robust, "minute_variance", "minute_at"),
        (highs, "candle", "opened_at"),
    ):
        gone = first - 60 + np.flatnonzero(dice.random(count + 60) < 1 / 12)
        column[gone] = np.nan
        conn.execute(
            f"DELETE FROM upc_data.{table} WHERE {at} = ANY (%s)".encode(),
            ([instant_of(int(place)) for place in gone],),
        )
    made = replace(WORLD, robust=robust, candles=replace(WORLD.candles, highs=highs))
    seen, candles = ~np.isnan(robust), ~np.isnan(highs)
    places = np.array(
        [
            place
            for place in range(first, first + count)
            if seen[place]
            and seen[place - 4 : place + 1].sum() >= 4
            and seen[place - 14 : place + 1].sum() >= 12
            and candles[place - 4 : place + 1].sum() >= 3
        ]
    )
    assert 0.7 < len(places) / count < 0.95
    rows = conn.execute(
        "SELECT f.place, f.s1, f.s5, f.s15, f.f5, f.f20 FROM upc._second_features("
        "'BTC', 'x', %s, %s, %s::smallint[]) AS f ORDER BY f.place",
        (instant_of(first), count, factors.astype(int).tolist()),
    ).fetchall()
    found: Floats = np.array(rows, dtype=np.float64)
    np.testing.assert_array_equal(found[:, 0], places - first + 1)
    with np.errstate(invalid="ignore"):
        expected = features(made, factors, places)
    np.testing.assert_allclose(found[:, 1:], expected, atol=2e-5)


@pytest.fixture(scope="module")
def samples(seconds_dsn: str) -> Floats:
    """The rows that the correction was fitted on: five features, six forecasts, what came."""
    with open_db(seconds_dsn) as connection:
        rows = connection.execute(
            """
            SELECT s.*
            FROM upc_data.volatility_fit AS f
            CROSS JOIN LATERAL unnest(upc._second_samples(
                'BTC', 'x', '-infinity', %s, f.factors, f.coefficients
            )) AS s
            """,
            (instant_of(FITTED),),
        ).fetchall()
    return np.array(rows)


def test_fit(conn: Connection, samples: Floats) -> None:
    """The root of the gradient, on the rows that the database has chosen, half of the minutes."""
    _, _, found = fitted(conn)
    assert 0.45 < len(samples) / (FITTED - LOGGED_FROM) < 0.5
    x, forecasts, came = samples[:, :5], samples[:, 5:11], samples[:, 11:]
    design = np.column_stack([np.ones(len(x)), x - x.mean(axis=0)])
    for k in range(6):

        def gradient(weights: Floats, k: int = k) -> Floats:
            ratio = came[:, k] / np.exp(forecasts[:, k] + design @ weights)
            return np.asarray(design.T @ (np.minimum(ratio, 20) - 1) - 300 * weights)

        solved = root(gradient, np.zeros(6), tol=1e-10)
        assert solved.success
        expected = solved.x
        expected[0] -= expected[1:] @ x.mean(axis=0)
        # In whole thousandths.
        np.testing.assert_allclose(found[k], expected, atol=6e-4)


def test_samples_are_what_came(conn: Connection, samples: Floats) -> None:
    """Every other minute since 1970 with 15 minutes of seconds behind it."""
    factors, _, _ = fitted(conn)
    places = np.arange(LOGGED_FROM + 11, LOGGED_FROM + 91)
    places = places[(WORLD.minutes[places] + 1) % 2 == 0][: len(samples)]
    robust = WORLD.robust.copy()
    robust[:LOGGED_FROM] = np.nan
    expected = features(replace(WORLD, robust=robust), factors, places)
    np.testing.assert_allclose(samples[: len(places), :5], expected, atol=2e-5)
    moves = np.diff(np.log(WORLD.candles.closes), prepend=np.nan) ** 2
    season = (factors[volatility_reference.minute_of_week(WORLD.minutes)] / 100) ** 2
    for column, minutes in enumerate(HORIZONS, 11):
        came = [
            moves[p + 1 : p + 1 + minutes].sum() / season[p + 1 : p + 1 + minutes].sum()
            for p in places
        ]
        np.testing.assert_allclose(
            samples[: len(places), column], np.maximum(came, 1e-12), rtol=1e-6
        )


def plain(conn: Connection, place: int) -> Floats:
    """Variances of the time ahead by candles alone."""
    found = scalar(
        conn,
        "SELECT upc._fitted_variances('BTC', %s, f.used_factors,"
        " f.used_coefficients[:176] || f.used_coefficients[214:])"
        " FROM upc_data.volatility_fit AS f WHERE f.symbol = 'BTC'",
        instant_of(place),
    )
    return np.array(found)


def corrected(conn: Connection, place: int) -> Floats:
    found = forecast(conn, instant_of(place))
    assert found is not None
    return found


@pytest.mark.parametrize("place", [12_345, 40_000, FITTED + 100, END - 1])
def test_forecast(conn: Connection, place: int) -> None:
    """Corrected up to 15 minutes; then it fades in straight lines over ln t, and is gone at 30."""
    factors, _, weights = fitted(conn)
    row = np.concatenate([[1], features(WORLD, factors, np.array([place - 1]))[0]])
    change = np.clip(weights @ row, -1, 1)
    ladder = np.log([*HORIZONS, 30, 60])
    expected = np.interp(np.log(np.arange(1, 61)), ladder, [*change, 0, 0])
    found = np.log(corrected(conn, place) / plain(conn, place))[:60]
    # Whole thousandths.
    np.testing.assert_allclose(found, expected, atol=1.1e-3)
    assert np.abs(found[:5]).max() > 0.02
    np.testing.assert_array_equal(found[29:], 0)


PLACE = FITTED + 700

# What is done to the seconds of the last minutes, and whether they correct after it.
FAULTS = {
    "the newest minute is missing": (
        "DELETE FROM upc_data.minute_variance WHERE minute_at = %(at)s - interval '1 minute'",
        False,
    ),
    "one of the last five is missing": (
        "DELETE FROM upc_data.minute_variance WHERE minute_at = %(at)s - interval '3 minutes'",
        True,
    ),
    "four of the last 15 are missing": (
        "DELETE FROM upc_data.minute_variance WHERE minute_at >= %(at)s - interval '15 minutes'"
        " AND minute_at < %(at)s - interval '11 minutes'",
        False,
    ),
    "the price stands still": (
        "UPDATE upc_data.minute_variance SET robust_variance = 0"
        " WHERE minute_at = %(at)s - interval '1 minute'",
        False,
    ),
    "few seconds have a price": (
        "UPDATE upc_data.minute_variance SET seconds = 19"
        " WHERE minute_at = %(at)s - interval '1 minute'",
        False,
    ),
    "jumps were not cut": (
        "UPDATE upc_data.minute_variance SET robust_variance = NULL"
        " WHERE minute_at >= %(at)s - interval '1 hour'",
        False,
    ),
    "another exchange is logged": (
        "DELETE FROM upc_data.minute_variance WHERE exchange = 'x'"
        " AND minute_at >= %(at)s - interval '1 hour'",
        False,
    ),
    "the other exchange is not logged": (
        "DELETE FROM upc_data.minute_variance WHERE exchange = 'y'"
        " AND minute_at >= %(at)s - interval '1 hour'",
        True,
    ),
    "the rule is off": ("SELECT upc.set_rule('use_seconds', 'off'), %(at)s", False),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_without_seconds_the_candles_answer(conn: Connection, fault: str) -> None:
    before = corrected(conn, PLACE)
    candles = plain(conn, PLACE)
    assert (before != candles)[:15].all()
    statement, is_corrected = FAULTS[fault]
    conn.execute(statement.encode(), {"at": instant_of(PLACE)})
    found = corrected(conn, PLACE)
    assert (found != candles).any() == is_corrected
    if not is_corrected:
        np.testing.assert_array_equal(found, candles)


def test_nothing_looks_ahead(conn: Connection) -> None:
    """Seconds after an instant change neither what is fitted on those before it nor a forecast."""
    fit = (
        "SELECT f.factors, upc._with_seconds('BTC', '-infinity', %s, f.factors, "
        "f.coefficients[1:176]) FROM upc_data.volatility_fit AS f WHERE f.symbol = 'BTC'"
    )
    cut = instant_of(FITTED - 600)
    day = (
        "SELECT m.place, m.forecasts FROM upc_data.volatility_fit AS f CROSS JOIN LATERAL "
        "upc._corrected_minute_forecasts('BTC', %s, %s, f.used_factors, f.used_coefficients, "
        "ARRAY(SELECT generate_series(1, 840))) AS m WHERE f.symbol = 'BTC' ORDER BY 1"
    )
    days = (cut.date(), cut.date())
    assert cut == datetime(2026, 2, 6, 14, tzinfo=UTC)
    before = conn.execute(fit, (cut,)).fetchall(), conn.execute(day, days).fetchall()
    conn.execute(
        "UPDATE upc_data.minute_variance SET robust_variance = robust_variance * 7, seconds = 30"
        " WHERE minute_at >= %s",
        (cut,),
    )
    assert (conn.execute(fit, (cut,)).fetchall(), conn.execute(day, days).fetchall()) == before


def test_less_than_30_days_change_nothing(conn: Connection) -> None:
    """With 29 whole days of seconds the fit is that of the candles alone; so it is by the rule."""
    again = (
        "SELECT upc._with_seconds('BTC', '-infinity', %s, f.factors, f.coefficients[1:176])"
        " FROM upc_data.volatility_fit AS f"
    )
    _, candles, _ = fitted(conn)
    with conn.transaction(force_rollback=True):
        conn.execute("SELECT upc.set_rule('use_seconds', 'off')")
        assert scalar(conn, again, instant_of(FITTED)) == candles.tolist()
    conn.execute(
        "DELETE FROM upc_data.minute_variance WHERE minute_at < %s",
        (instant_of(FITTED - 29 * 1440),),
    )
    assert scalar(conn, again, instant_of(FITTED)) == candles.tolist()


@pytest.mark.parametrize(("until", "exchange"), [(FITTED, "x"), (END, "y"), (20_000, None)])
def test_the_newest_exchange_with_30_days_is_fitted(
    conn: Connection, until: int, exchange: str | None
) -> None:
    """`x` ends a day before `y` does, which has 30 days by then."""
    earlier = slice(END - 31 * 1440, END - 9 * 1440)
    seconds = (WORLD.minutes[earlier], WORLD.variances[earlier], WORLD.robust[earlier])
    put_seconds(conn, *seconds, exchange="y")
    conn.execute(
        "DELETE FROM upc_data.minute_variance WHERE exchange = 'x' AND minute_at >= %s",
        (instant_of(FITTED),),
    )
    query = "SELECT upc._newest_source('BTC', '-infinity', %s)"
    assert scalar(conn, query, instant_of(until - 1) + MINUTE) == exchange


def test_moves_are_counted_by_the_forecast_that_is_asked_with(conn: Connection) -> None:
    """On a day without seconds, on the first with some, and on a day with all."""
    days = ["2026-01-04", "2026-01-06", "2026-01-21"]
    conn.execute("SELECT upc.count_volatility_days('BTC', %s::date[])", (days,))
    rows = conn.execute("SELECT day, forecasts FROM upc_data.volatility_day ORDER BY day")
    counted = {day.isoformat(): np.array(forecasts) for day, forecasts in rows}
    assert list(counted) == days
    factors = fitted(conn)[0].astype(int)
    for day, place in ((days[0], 641), (days[1], 599), (days[1], 641), (days[2], 1439)):
        at = minute(day) - minute(SINCE) + place
        season = volatility_reference.week_variance(WORLD.minutes[at : at + 1], factors, 5)
        five = counted[day][8 * (place // 2) + 3]
        found = corrected(conn, at)
        np.testing.assert_allclose(found[4], np.exp(five / 1000) * season[0], rtol=1e-9)
        assert (found == plain(conn, at)).all() == (at < LOGGED_FROM)


def test_the_newest_minute_is_read_from_the_log(conn: Connection) -> None:
    """Before it is noted, and to the same forecast as after it."""
    at = instant_of(PLACE)
    conn.execute("DELETE FROM upc_data.minute_variance WHERE minute_at >= %s", (at - MINUTE,))
    conn.execute(
        "INSERT INTO upc_data.log_progress (symbol, variance_until) VALUES ('BTC', %s)",
        (at - MINUTE,),
    )
    np.testing.assert_array_equal(corrected(conn, PLACE), plain(conn, PLACE))
    dice = np.random.default_rng(402)
    path = 40_000 * np.exp(dice.normal(0, 3e-5, 61).cumsum())
    conn.cursor().executemany(
        "INSERT INTO upc_data.price VALUES ('BTC', 'x', %s, %s, NULL)",
        [(at - MINUTE + timedelta(seconds=k - 0.6), float(price)) for k, price in enumerate(path)],
    )
    found = corrected(conn, PLACE)
    assert (found != plain(conn, PLACE))[:15].all()
    assert scalar(conn, "SELECT upc.note_variances(%s)", at + MINUTE) == 1
    np.testing.assert_array_equal(corrected(conn, PLACE), found)


def test_in_use(conn: Connection) -> None:
    query = "SELECT exchange, fitted_until::text, days, is_corrected FROM upc.seconds_in_use('BTC')"
    [row] = conn.execute(query.encode()).fetchall()
    assert row == ("x", "2026-02-07", 32, True)
    conn.execute("DELETE FROM upc_data.minute_variance WHERE minute_at >= '2026-02-07 23:00Z'")
    [row] = conn.execute(query.encode()).fetchall()
    assert row == ("x", "2026-02-07", 32, False)
    assert conn.execute("SELECT FROM upc.seconds_in_use('ETH')").fetchall() == []


def test_the_doctor_says_whether_they_are_used(conn: Connection) -> None:
    def state() -> tuple[str, str]:
        found = lease.seconds(conn, "BTC")
        return found.state, found.seen.partition(":")[0]

    assert state() == ("ok", "correct the forecast")
    at = instant_of(FITTED + 700)
    conn.execute("UPDATE upc_data.volatility_state SET known_at = date_trunc('minute', now())")
    assert state()[0] == "warn"
    conn.execute("SELECT upc.set_rule('use_seconds', 'off')")
    assert state()[0] == "ok"
    conn.execute("SELECT upc.unset_rule('use_seconds')")
    conn.execute("UPDATE upc_data.volatility_state SET known_at = %s", (at,))
    conn.execute("UPDATE upc_data.volatility_fit SET used_coefficients = used_coefficients[1:176]")
    assert state() == ("ok", "not in the forecast")


def test_it_gains_where_the_volatility_is_known(conn: Connection) -> None:
    """On the day after those that are fitted, by the expected log loss of a normal ladder."""
    query = """
        SELECT m.place, m.forecasts, c.forecasts
        FROM upc_data.volatility_fit AS f
        CROSS JOIN (SELECT ARRAY(SELECT generate_series(1, 1380))) AS p (places)
        CROSS JOIN LATERAL upc._minute_forecasts(
            'BTC', '2026-02-07', '2026-02-07', f.used_factors, f.used_coefficients, p.places
        ) AS m
        JOIN LATERAL upc._corrected_minute_forecasts(
            'BTC', '2026-02-07', '2026-02-07', f.used_factors, f.used_coefficients, p.places
        ) AS c ON c.place = m.place
        ORDER BY m.place
        """
    rows = conn.execute(query.encode()).fetchall()
    assert len(rows) == 1380
    places = np.array([row[0] for row in rows]) + FITTED
    factors = fitted(conn)[0].astype(int)
    total = np.concatenate([[0], WORLD.true.cumsum()])
    for k, minutes in enumerate(HORIZONS):
        season = volatility_reference.week_variance(WORLD.minutes[places], factors, minutes)
        plainly, better = (
            np.sqrt(season * np.exp([row[column][k] / 1000 for row in rows]))[:, None]
            for column in (1, 2)
        )
        strikes = plainly * np.array([-2, -1, -0.5, 0.5, 1, 2])
        true = true_above(total[places + minutes] - total[places], minutes, strikes)
        losses = [loss(norm.sf(strikes / each), true).mean() for each in (plainly, better)]
        assert losses[1] < losses[0] - 0.0003
