"""The settlement average: what decides is the mean of 60 values of the last minute."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import psycopg
import pytest
from scipy.stats import norm

from tests.support.engine import Connection, build, instant, open_db, put, scalar
from tests.support.readings import METHODS, MODELS, PRICE, Floats, column, strikes, volatile_candles

HISTORY = volatile_candles(160, "2026-03-02", 4 * 1440)
SECOND = 2e-5  # standard deviation of a second's move, as a share of the price
STRIKES = PRICE * (1 + SECOND * np.linspace(-60, 60, 41))
NOW = instant("2026-03-10T12:00")
PATHS = 100_000


@pytest.fixture(scope="module")
def built(module_dsn: str) -> str:
    """The curves of standardised moves are those of the normal distribution."""
    with open_db(module_dsn) as connection:
        put(connection, "BTC", HISTORY)
        build(connection)
        [(thresholds,)] = connection.execute("SELECT upc.volatility_thresholds()").fetchall()
        counts = np.rint(1e7 * norm.sf(np.array(thresholds))).astype(int).tolist()
        connection.execute(
            "UPDATE upc_data.volatility_histogram SET pairs = 10000000, positive = %s, "
            "negative = %s WHERE symbol = 'BTC' AND bucket = 99",
            (counts, counts),
        )
        connection.execute("SELECT upc.refresh_fingerprints()")
    return module_dsn


@pytest.fixture
def conn(conn: Connection, built: str) -> Connection:
    return conn


def probabilities(conn: Connection, ttc: int, observed: float | None, settlement: str) -> Floats:
    rows = strikes(
        conn,
        ttc_seconds=ttc,
        method="linear",
        model="volatility",
        settlement=settlement,
        volatility=100 * SECOND * float(np.sqrt(max(ttc, 1))),
        observed=observed,
        # The paths' variance is in proportion to time, which that of the stored candles is not.
        variances=[SECOND**2 * 60 * minutes for minutes in range(1, 61)],
        strikes=STRIKES.tolist(),
    )
    return column(rows, "prob_above")


def simulated(ttc: int, observed: float | None) -> Floats:
    """Percent of paths of one value a second whose last 60 values, those seen among them, have a
    mean of at least each strike."""
    dice = np.random.default_rng(1000 + ttc)
    ahead = min(ttc, 60)
    start = SECOND * np.sqrt(ttc - ahead) * dice.standard_normal(PATHS)
    steps = SECOND * dice.standard_normal((PATHS, ahead), dtype=np.float32)
    values = PRICE * (1 + start[:, None] + steps.cumsum(axis=1))
    total = values.sum(axis=1)
    if ttc < 60:
        assert observed is not None
        total += (60 - ttc) * observed
    found: Floats = 100 * (total[:, None] / 60 >= STRIKES).mean(axis=0)
    return found


def exact(ttc: int, observed: float | None) -> Floats:
    """The exact answer from the covariance of the values, entry by entry."""
    seconds = np.arange(max(1, ttc - 59), ttc + 1)
    deviation = PRICE * SECOND * np.sqrt(np.minimum.outer(seconds, seconds).sum()) / 60
    seen = 0.0 if observed is None else (60 - len(seconds)) * observed
    mean = (seen + len(seconds) * PRICE) / 60
    found: Floats = 100 * norm.sf((STRIKES - mean) / deviation)
    return found


@pytest.mark.parametrize(
    ("ttc", "observed"),
    [
        (600, None),
        (120, None),
        (61, None),
        (60, None),
        (59, PRICE),
        (30, PRICE - 9),
        (30, PRICE + 14),
        (10, PRICE + 3),
        (1, PRICE - 5),
    ],
)
def test_against_paths(conn: Connection, ttc: int, observed: float | None) -> None:
    found = probabilities(conn, ttc, observed, "average")
    # Straight lines between thresholds, 0.075 apart, are that near to the normal curve.
    np.testing.assert_allclose(found, exact(ttc, observed), rtol=0, atol=0.03)
    np.testing.assert_allclose(found, simulated(ttc, observed), rtol=0, atol=0.03 + 0.8)


def test_the_close_is_less_certain(conn: Connection) -> None:
    """39.5 seconds matter much where a minute is left, and hardly where an hour is."""
    for ttc, least, most in ((60, 8, 20), (600, 0.3, 1.2), (3600, 0.05, 0.2)):
        average = probabilities(conn, ttc, None, "average")
        close = probabilities(conn, ttc, None, "close")
        assert least <= np.abs(average - close).max() <= most
        assert np.all(np.abs(average - 50) >= np.abs(close - 50) - 1e-9)


def test_at_the_close_what_was_seen_decides(conn: Connection) -> None:
    observed = float(STRIKES[23])
    expected = np.where(observed >= STRIKES, 100, 0)
    np.testing.assert_array_equal(probabilities(conn, 0, observed, "average"), expected)
    for model in MODELS:
        for method in METHODS:
            rows = strikes(
                conn,
                ttc_seconds=0,
                method=method,
                model=model,
                settlement="average",
                observed=observed,
                strikes=STRIKES.tolist(),
            )
            for name in ("prob_above", "prob_low", "prob_high"):
                np.testing.assert_array_equal(column(rows, name), expected)


def test_before_the_last_minute_nothing_has_been_seen(conn: Connection) -> None:
    for ttc in (60, 61, 900):
        given = probabilities(conn, ttc, PRICE * 1.01, "average")
        np.testing.assert_array_equal(given, probabilities(conn, ttc, None, "average"))
    np.testing.assert_array_equal(
        probabilities(conn, 30, PRICE * 1.01, "close"), probabilities(conn, 30, None, "close")
    )


# The part that has been seen


def log(
    conn: Connection, prices: dict[float, float], exchange: str = "one", symbol: str = "BTC"
) -> None:
    """Prices by the seconds after NOW."""
    for seconds, price in prices.items():
        at = NOW + timedelta(seconds=seconds)
        conn.execute("SELECT upc.record_price(%s, %s, %s, NULL, %s)", (symbol, exchange, price, at))


def observed(conn: Connection, since: float = 0, until: float = 40) -> float | None:
    found: float | None = scalar(
        conn,
        "SELECT upc._observed_average('BTC', %s, %s)",
        NOW + timedelta(seconds=since),
        NOW + timedelta(seconds=until),
    )
    return found


def test_observed_every_second(conn: Connection) -> None:
    log(conn, {k: 100.0 + k for k in range(-3, 60)})
    assert observed(conn) == pytest.approx(np.mean([100 + k for k in range(40)]))
    assert observed(conn, 5, 7) == pytest.approx(105.5)
    # A price counts for as long as it was the newest: half a second each of the first and the last.
    assert observed(conn, 0.5, 2.5) == pytest.approx((100 * 0.5 + 101 + 102 * 0.5) / 2)


def test_observed_with_gaps(conn: Connection) -> None:
    """-2: until 10; 10: until 25; 25: until 39; 39: until 40."""
    log(conn, {-2: 100, 10: 130, 25: 90, 39: 80, 41: 1})
    assert observed(conn) == pytest.approx((100 * 10 + 130 * 15 + 90 * 14 + 80) / 40)


def test_observed_of_one_exchange(conn: Connection) -> None:
    """The exchange with the newest price answers."""
    log(conn, {-1: 100, 13: 110, 27: 115, 38: 120}, "one")
    log(conn, {-1: 500, 13: 600, 27: 650, 39: 700}, "two")
    log(conn, {39.5: 9}, "one", symbol="ETH")
    assert observed(conn) == pytest.approx((500 * 13 + 600 * 14 + 650 * 12 + 700) / 40)
    known = 100 * 13 + 110 * 14 + 115 * 11 + 120 * 0.5
    assert observed(conn, 0, 38.5) == pytest.approx(known / 38.5)


@pytest.mark.parametrize(
    ("prices", "is_known"),
    [
        ({}, False),
        ({-4.9: 1, 10: 1, 20: 1, 30: 1}, True),
        ({0: 1, 15: 1, 30: 1}, True),
        ({-5: 1, 10: 1, 20: 1, 30: 1}, False),  # of the beginning
        ({0.1: 1, 15: 1, 30: 1}, False),
        ({-1: 1, 13: 1, 25.1: 1}, True),
        ({-1: 1, 13: 1, 25: 1}, False),  # of the end
        ({-1: 1, 13: 1, 20: 1, 40.1: 1}, False),
        ({0: 1, 15.1: 1, 30: 1}, False),  # in between
        ({-1: 1, 33: 1, 34: 1}, False),
    ],
)
def test_observed_or_not(conn: Connection, prices: dict[float, float], is_known: bool) -> None:
    log(conn, prices)
    assert observed(conn) == (1 if is_known else None)


def test_nothing_of_no_time(conn: Connection) -> None:
    log(conn, {-1: 100, 0: 100})
    assert observed(conn, 0, 0) is None
    assert observed(conn, 1, 0) is None


def test_the_log_is_read_if_no_average_is_given(conn: Connection) -> None:
    """The log is read as of the beginning of the statement."""
    question = "SELECT prob_above FROM upc.probability(%s, %s, ttc_seconds => 20, settlement => "
    question += "'average', method => 'linear'"
    for k in range(60):
        conn.execute(
            "SELECT upc.record_price('BTC', 'one', %s, NULL, statement_timestamp() - %s)",
            (PRICE + 5, timedelta(seconds=60 - k)),
        )
    for strike in (PRICE - 4, PRICE + 4):
        asked_log = scalar(conn, question + ")", PRICE, strike)
        given = scalar(conn, question + ", observed => %s)", PRICE, strike, PRICE + 5)
        assert asked_log == pytest.approx(given, abs=1e-6)


@pytest.mark.parametrize("ttc", [59, 1, 0])
@pytest.mark.parametrize("model", MODELS)
def test_refused_where_nothing_has_been_seen(conn: Connection, model: str, ttc: int) -> None:
    log(conn, {0: PRICE})
    for method in METHODS:
        with pytest.raises(psycopg.Error) as caught, conn.transaction():
            strikes(conn, ttc_seconds=ttc, model=model, method=method, settlement="average")
        assert caught.value.sqlstate == "UP021"
        assert caught.value.diag.message_hint
    assert len(strikes(conn, ttc_seconds=60, model=model, settlement="average")) == 21
