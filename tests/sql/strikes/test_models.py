"""The models of compute_strikes, read off the curves in numpy."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from typing import Any

import numpy as np
import psycopg
import pytest

from tests.support import brute_force
from tests.support.engine import Candles, Connection, build, instant, put, scalar
from tests.support.nearest_by_brute_force import NAMES, Expected
from tests.support.readings import (
    METHODS,
    MODELS,
    PLAIN_MODELS,
    PRICE,
    SETTLEMENTS,
    Floats,
    Row,
    column,
    level,
    strikes,
    table,
    volatile_candles,
)

HISTORY = volatile_candles(150, "2026-03-02", 4 * 1440)
DOUBLED = Candles(
    HISTORY.minutes, *(2 * c for c in (HISTORY.opens, HISTORY.highs, HISTORY.lows, HISTORY.closes))
)
LAST = instant("2026-03-05T23:59")
MOMENTA = (None, 0.3, -4.6, 55.0)
TIMES = (60, 100, 885, 930, 3600, 5000)
# Questions whose strikes reach from next to the price to far beyond the grid.
STRIKES = PRICE * (1 + np.linspace(-0.034, 0.034, 69))
MOVES = 100 * np.abs(STRIKES - PRICE) / PRICE


BUILT = {"BTC": HISTORY}


def strike_rows(conn: Connection, momentum: float | None, ttc: int, **arguments: Any) -> list[Row]:
    at = STRIKES.tolist()
    return strikes(conn, momentum=momentum, ttc_seconds=ttc, strikes=at, **arguments)


def bucket_of(momentum: float | None) -> int:
    return 99 if momentum is None else int(np.clip(np.rint(momentum), -30, 30))


def curves(conn: Connection, view: str, bucket: int) -> list[Row]:
    """Curves of 1 to 60 minutes."""
    where = "AND origin = 'built'" if view == "fingerprint_curve" else ""
    rows = table(
        conn,
        f"SELECT * FROM upc.{view} WHERE symbol = 'BTC' {where} AND bucket = %s ORDER BY minutes",
        bucket,
    )
    assert [row["minutes"] for row in rows] == list(range(1, 61))
    return rows


def sides(row: Row) -> tuple[Floats, Floats]:
    return np.array(row["positive"]), np.array(row["negative"])


def mixed(one: Row, other: Row, share: float) -> tuple[Floats, Floats]:
    """`share` of the other."""
    up, down = ((1 - share) * a + share * b for a, b in zip(sides(one), sides(other), strict=True))
    return up, down


def long_curves(conn: Connection, hour: Row) -> list[Row]:
    """The curve of an hour, and those of more."""
    rows = table(conn, "SELECT * FROM upc.horizon_curve WHERE symbol = 'BTC' ORDER BY minutes")
    assert [row["minutes"] for row in rows] == [75, 90, 120, 180, 240, 360, 480, 720, 1440]
    return [hour, *rows]


def at_long_time(rows: list[Row], seconds: float, method: str) -> tuple[Floats, Floats]:
    """Both sides between two of them, in straight lines or the nearer one."""
    minutes = [row["minutes"] for row in rows]
    place = int(np.searchsorted(minutes, seconds / 60, side="right")) - 1
    share = (seconds / 60 - minutes[place]) / (minutes[place + 1] - minutes[place])
    if method == "nearest":
        share = float(share > 0.5)
    return mixed(rows[place], rows[place + 1], share)


def at_time(rows: list[Row], seconds: float, method: str) -> tuple[Floats, Floats]:
    """Both sides of a fingerprint at a time of a minute or more."""
    minutes = min(60.0, seconds / 60)
    if method == "nearest":
        return sides(rows[int(np.ceil(minutes - 0.5)) - 1])
    whole = int(minutes)
    return mixed(rows[whole - 1], rows[min(whole, 59)], minutes - whole)


def read(up: Floats, down: Floats, thresholds: Floats, moves: Floats, method: str) -> Floats:
    """prob_above of the strikes."""
    if method == "nearest":
        place = np.abs(moves[:, None] - thresholds).argmin(axis=1)
        positive, negative = up[place], down[place]
    else:
        positive, negative = (np.interp(moves, thresholds, side) for side in (up, down))
    above: Floats = np.where(STRIKES > PRICE, positive, 100 - negative)
    return above


def z_thresholds() -> Floats:
    """Close together where most moves end; then each 15 % further, up to 40."""
    near = [0.075 * k for k in range(40)]
    return np.array(near + [round(3 * (40 / 3) ** (k / 19), 3) for k in range(20)])


def test_the_default_is_what_it_was(conn: Connection) -> None:
    expected = Expected.built(brute_force.fingerprints(HISTORY.minutes, HISTORY.closes))
    for momentum, ttc in product((*MOMENTA, -31.0), (0, 30, *TIMES)):
        query = f"SELECT {NAMES} FROM upc.compute_strikes(%s, %s, ttc_seconds => %s)"
        rows = conn.execute(query.encode(), (99_870.5, momentum, ttc)).fetchall()
        assert rows == expected.strikes(99_870.5, momentum, ttc)


@pytest.mark.parametrize("settlement", SETTLEMENTS)
@pytest.mark.parametrize("method", METHODS)
def test_baseline_is_no_momentum(conn: Connection, method: str, settlement: str) -> None:
    common = {"method": method, "settlement": settlement, "observed": PRICE + 3}
    for momentum, ttc in product(MOMENTA, (0, 20, *TIMES)):
        found = strike_rows(conn, momentum, ttc, model="baseline", **common)
        assert found == strike_rows(conn, None, ttc, model="momentum", **common)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("given", [None, 0.37])
def test_volatility(conn: Connection, method: str, given: float | None) -> None:
    """Moves in units of their forecast, or of the volatility that is given."""
    thresholds = z_thresholds()
    for momentum, ttc in product(MOMENTA, (1, 23, *TIMES)):
        deviation = given or scalar(conn, "SELECT upc.volatility('BTC', NULL, %s)", ttc)
        found = curves(conn, "volatility_curve", bucket_of(momentum))
        up, down = at_time(found, max(60, ttc), method)
        if ttc > 3600:
            found = long_curves(conn, found[59])
            up, down = at_long_time(found, ttc, method)
        up, down = level(up, down, thresholds), level(down, up, thresholds)
        rows = strike_rows(conn, momentum, ttc, model="volatility", method=method, volatility=given)
        expected = read(up, down, thresholds, MOVES / deviation, method)
        np.testing.assert_allclose(column(rows, "prob_above"), expected, atol=1e-9)
        np.testing.assert_allclose(column(rows, "deviation"), deviation, rtol=1e-12)
        name = found[-1]["fingerprint"] if ttc > 3600 else found[0]["fingerprint"]
        assert {row["fingerprint"] for row in rows} == {name}


def test_other_models_have_no_deviation(conn: Connection) -> None:
    for model, method in product(PLAIN_MODELS, METHODS):
        rows = strike_rows(conn, 2, 700, model=model, method=method, volatility=0.4)
        assert {row["deviation"] for row in rows} == {None}
        assert rows == strike_rows(conn, 2, 700, model=model, method=method)


@pytest.mark.parametrize("method", METHODS)
def test_a_missing_bucket_is_as_the_baseline(conn: Connection, method: str) -> None:
    """The same holds for a missing minute of a bucket, where it is needed."""
    conn.execute(
        "DELETE FROM upc_data.volatility_histogram WHERE symbol = 'BTC' AND "
        "(bucket = 5 OR bucket = 6 AND minutes = 31)"
    )
    conn.execute("SELECT upc.refresh_fingerprints()")

    def above(momentum: float | None, ttc: int) -> list[Row]:
        return strike_rows(conn, momentum, ttc, model="volatility", method=method)

    for ttc in (60, 1815, 3600):
        assert above(5, ttc) == above(None, ttc)
        assert above(7, ttc) != above(None, ttc)
    assert above(6, 31 * 60) == above(None, 31 * 60)
    assert above(6, 30 * 60) != above(None, 30 * 60)
    assert (above(6, 30 * 60 + 15) == above(None, 30 * 60 + 15)) is (method == "linear")
    assert above(6, 32 * 60) != above(None, 32 * 60)


def refusal(conn: Connection, **arguments: Any) -> str | None:
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        strikes(conn, **arguments)
    assert caught.value.diag.message_hint
    return caught.value.sqlstate


def test_without_a_forecast(conn: Connection) -> None:
    """Too few candles of the last minutes, no complete build of the symbol, or no such symbol."""
    assert refusal(conn, model="volatility", symbol="ETH") == "UP020"
    assert refusal(conn, model="volatility", symbol="XYZ") == "UP002"
    assert refusal(conn, model="arima", symbol="XYZ") == "UP018"
    with conn.transaction(force_rollback=True):
        conn.execute(
            "DELETE FROM upc_data.candle AS c WHERE c.symbol = 'BTC' "
            "AND c.opened_at >= %s AND c.opened_at <> %s",
            (LAST - timedelta(minutes=4), LAST - timedelta(minutes=1)),
        )
        assert scalar(conn, "SELECT upc.volatility()") is None
        for method in METHODS:
            assert refusal(conn, model="volatility", ttc_seconds=600, method=method) == "UP020"
        # A volatility that is given needs no forecast, and nothing moves in no time.
        assert len(strikes(conn, model="volatility", ttc_seconds=600, volatility=0.3)) == 21
        assert len(strikes(conn, model="volatility", ttc_seconds=0)) == 21


@pytest.mark.parametrize("settlement", SETTLEMENTS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_probability_agrees(conn: Connection, model: str, method: str, settlement: str) -> None:
    rest: Row = {"model": model, "method": method, "settlement": settlement}
    names = (
        "prob_above, positive_prob, negative_prob, move_percent, sample_size, fingerprint, "
        "prob_low, prob_high"
    )
    for momentum, ttc, volatility, observed in (
        (4.0, 1111, None, None),
        (-9.2, 61, 0.2, None),
        (None, 25, None, PRICE + 41),
        (0.0, 0, None, PRICE + 41),
    ):
        common = {"ttc_seconds": ttc, "volatility": volatility, "observed": observed, **rest}
        for row in strikes(conn, PRICE - 70, momentum=momentum, levels=3, **common):
            [one] = table(
                conn,
                f"SELECT {names} FROM upc.probability(%s, %s, %s"
                f"{''.join(f', {name} => %s' for name in common)})",
                *(PRICE - 70, row["strike"], momentum, *common.values()),
            )
            assert one == {name: row[name] for name in one}


def test_only_proportions_matter(conn: Connection) -> None:
    """The same history at twice the prices: every model gives the same for twice the strikes."""
    put(conn, "ETH", DOUBLED)
    build(conn, "ETH")
    for model, method, settlement in product(MODELS, METHODS, SETTLEMENTS):
        rest: Row = {"model": model, "method": method, "settlement": settlement, "momentum": -3.0}
        for ttc in (37, 1000):
            plain = strikes(conn, ttc_seconds=ttc, step=250, observed=PRICE - 20, **rest)
            doubled = strikes(
                conn,
                2 * PRICE,
                ttc_seconds=ttc,
                step=500,
                observed=2 * PRICE - 40,
                symbol="ETH",
                **rest,
            )
            for row in plain:
                row["strike"] *= 2
                row["buffer"] *= 2
                row["fingerprint"] = row["fingerprint"].replace("btc", "eth")
            assert doubled == plain
