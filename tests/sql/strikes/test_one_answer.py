"""One question has one answer, in compute_strikes, a tick, a backtest and the rest."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import numpy as np
import psycopg
import pytest

from tests.support.engine import Candles, Connection, instant, put, scalar
from tests.support.readings import (
    METHODS,
    MODELS,
    SETTLEMENTS,
    Row,
    column,
    strikes,
    table,
    volatile_candles,
)
from tests.support.volatility_reference import LONG

DAYS = 3
HISTORY = volatile_candles(190, "2026-03-03", DAYS * 1440)
# A volatile hour to come: what a backtest is settled by.
AFTERWARDS = volatile_candles(191, "2026-03-06", 120)
END = instant("2026-03-06T00:00")
HOUR = instant("2026-03-05T15:00")
SECONDS = (3600, 900, 300, 120, 90, 61, 60, 59, 30, 1, 0)
STEP, LEVELS = 25.0, 7
NEAR = 1e-9


BUILT = {"BTC": HISTORY}


def shown(at: datetime) -> float:
    """Price of a replay: 15 seconds each of a candle's open, low, high and close."""
    seconds = int(at.timestamp())
    place = int(np.searchsorted(HISTORY.minutes, seconds // 60))
    sides = (HISTORY.opens, HISTORY.lows, HISTORY.highs, HISTORY.closes)
    return float(sides[seconds % 60 // 15][place])


def seen(conn: Connection, at: datetime, ttc: int) -> float | None:
    """The mean of what a replay has shown of the last minute, a value a second."""
    if ttc >= 60:
        return None
    # To the last bit: a second before the close it counts sixty times.
    found = float(
        scalar(
            conn,
            "SELECT upc._feed_average("
            "upc._make_question(1, NULL, 'BTC', at => %s), 'replay', %s, 1)",
            at,
            HOUR - timedelta(minutes=1),
        )
    )
    values = [shown(at - timedelta(seconds=k)) for k in range(int(at.timestamp()) % 60 + 1)]
    assert found == pytest.approx(np.mean(values), rel=1e-12)
    return found


def end_candles(conn: Connection, at: datetime) -> None:
    """Delete the candles stored since."""
    conn.execute(
        "DELETE FROM upc_data.candle WHERE opened_at > %s::timestamptz - interval '1 minute'", (at,)
    )


def named(arguments: Row) -> str:
    return "".join(f", {name} => %s" for name in arguments)


@pytest.mark.parametrize("ttc", SECONDS)
def test_every_way_of_asking(conn: Connection, ttc: int) -> None:
    at = HOUR - timedelta(seconds=ttc if ttc else 0.5)
    observed = seen(conn, at, ttc)
    ticks: dict[tuple[str, ...], Row] = {}
    for kind in product(MODELS, METHODS, SETTLEMENTS):
        tick_id = scalar(
            conn,
            "SELECT t.tick_id FROM upc.tick('BTC', at => %s, replay_from => %s, step => %s,"
            " levels => %s, model => %s, method => %s, settlement => %s) AS t",
            at,
            at,
            STEP,
            LEVELS,
            *kind,
        )
        [tick] = table(conn, "SELECT * FROM upc_data.tick WHERE tick_id = %s", tick_id)
        assert (tick["model"], tick["method"], tick["settlement"]) == kind
        assert tick["ttc_seconds"] == ttc
        ticks[kind] = tick
    end_candles(conn, at)
    forecast = scalar(conn, "SELECT upc.volatility('BTC', ttc_seconds => %s)", ttc)
    assert (forecast == 0) is (ttc == 0)
    trade = held(conn, ticks[MODELS[0], METHODS[0], SETTLEMENTS[0]]["price"] + 40)
    for (model, method, settlement), tick in ticks.items():
        price, momentum = tick["price"], tick["momentum"]
        rest: Row = {"model": model, "method": method, "settlement": settlement}
        arguments = {
            "momentum": momentum,
            "ttc_seconds": ttc,
            "step": STEP,
            "levels": LEVELS,
            **rest,
        }
        if observed is not None:
            arguments["observed"] = observed
        plain = strikes(conn, price, **arguments)
        given = strikes(conn, price, **arguments, volatility=forecast)
        above = column(plain, "prob_above")
        for name in ("prob_above", "positive_prob", "negative_prob", "prob_low", "prob_high"):
            wanted = column(plain, name)
            np.testing.assert_allclose(column(given, name), wanted, rtol=0, atol=NEAR)
        assert column(plain, "strike").tolist() == tick["strikes"]
        np.testing.assert_allclose(tick["prob_above"], above, rtol=0, atol=NEAR, err_msg=str(rest))
        found = table(
            conn,
            f"SELECT prob_above FROM upc.strike_table(%s, at => %s, has_market => false"
            f"{named(arguments)}) ORDER BY strike",
            price,
            at,
            *arguments.values(),
        )
        np.testing.assert_allclose(column(found, "prob_above"), above, rtol=0, atol=NEAR)
        one = scalar(
            conn,
            f"SELECT prob_above FROM upc.probability(%s, %s, momentum => %s, ttc_seconds => %s"
            f"{named(rest)}, observed => %s, volatility => %s)",
            price,
            plain[2]["strike"],
            momentum,
            ttc,
            *rest.values(),
            observed,
            forecast,
        )
        assert one == pytest.approx(above[2], abs=NEAR)
        if observed is None or settlement == "close":
            arguments.pop("observed", None)
            document = scalar(
                conn,
                f"SELECT upc.strikes_document(%s{named(arguments)}, volatility => %s)",
                price,
                *arguments.values(),
                forecast,
            )
            rows = json.loads(document)["strikes"]
            np.testing.assert_allclose(column(rows, "prob_above"), above, rtol=0, atol=NEAR)
        for closes_at, part in ((HOUR, observed), (HOUR + timedelta(hours=3), None)):
            until = ttc + (closes_at - HOUR).seconds
            watched = watch(conn, trade, at, tick, closes_at, observed)
            asked: Row = {"momentum": momentum, "ttc_seconds": until, "observed": part, **rest}
            answer = scalar(
                conn,
                "SELECT b.probability"
                f" FROM upc.probability_between(%s, %s, NULL{named(asked)}) AS b",
                price,
                tick["price"] + 40,
                *asked.values(),
            )
            # Beyond an hour only the standardised curves answer.
            assert (answer is None) == (until > 3600 and model != "volatility")
            assert watched == (None if answer is None else pytest.approx(answer, abs=NEAR))


def held(conn: Connection, strike: float) -> int:
    return int(
        scalar(
            conn,
            "INSERT INTO upc_data.trade (symbol, event_ticker, ticker, side, kind, lower,"
            " closes_at, buy_price, position, buy_fee, opened_at) VALUES ('BTC', 'E', 'E-T', 'yes',"
            " 'above', %s, %s, 0.5, 1, 0, %s) RETURNING trade_id",
            strike,
            HOUR,
            HOUR - timedelta(hours=2),
        )
    )


def watch(
    conn: Connection,
    trade: int,
    at: datetime,
    tick: Row,
    closes_at: datetime,
    observed: float | None,
) -> float | None:
    """The probability of the trade, of a contract that closes then."""
    conn.execute(
        "UPDATE upc_data.trade SET closes_at = %s, lower = %s WHERE trade_id = %s",
        (closes_at, tick["price"] + 40, trade),
    )
    found: float | None = scalar(
        conn,
        "SELECT a.probability FROM upc.active_trades('BTC', %s, %s, %s, 'fresh', %s, model => %s,"
        " settlement => %s, observed => %s, closes_at => %s) AS a",
        at,
        tick["price"],
        tick["momentum"],
        tick["method"],
        tick["model"],
        tick["settlement"],
        observed,
        HOUR,
    )
    return found


@pytest.mark.parametrize("settlement", SETTLEMENTS)
def test_a_backtest(conn: Connection, settlement: str) -> None:
    """Trained on what the fingerprints are of, it asks as of the end of the candles."""
    minutes = [ttc // 60 for ttc in SECONDS if ttc % 60 == 0 and ttc > 0]
    check_backtest(conn, settlement, MODELS, minutes, AFTERWARDS)


@pytest.mark.parametrize("settlement", SETTLEMENTS)
def test_a_backtest_beyond_an_hour(conn: Connection, settlement: str) -> None:
    later = volatile_candles(192, "2026-03-06", 1441)
    check_backtest(conn, settlement, ("volatility",), [61, 68, 75, 100, 1440], later)


def check_backtest(
    conn: Connection,
    settlement: str,
    models: Sequence[str],
    minutes: Sequence[int],
    afterwards: Candles,
) -> None:
    price = float(HISTORY.closes[-1])
    momentum = scalar(conn, "SELECT m.momentum FROM upc.momentum('BTC', %s) AS m", END)
    expected: dict[int, dict[tuple[Any, ...], float]] = {}
    for ttc in minutes:
        sums: dict[tuple[Any, ...], float] = defaultdict(float)
        for model, method in product(models, METHODS):
            for row in strikes(
                conn,
                price,
                momentum=momentum,
                ttc_seconds=60 * ttc,
                step=STEP,
                levels=LEVELS,
                model=model,
                method=method,
                settlement=settlement,
            ):
                distance = round(abs(row["strike"] / STEP - np.rint(price / STEP)))
                place = min(19, int(row["prob_above"] // 5))
                sums[f"{model}:{method}", distance, place] += row["prob_above"]
        expected[ttc] = sums
    put(conn, "BTC", afterwards)
    for ttc in minutes:
        closes_at = END + timedelta(minutes=ttc)
        number = scalar(
            conn,
            "SELECT upc.begin_backtest('BTC', NULL, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
            " recalibrate => false)",
            END,
            closes_at,
            closes_at + timedelta(minutes=1),
            [f"{model}:{method}" for model, method in product(models, METHODS)],
            [ttc],
            STEP,
            LEVELS,
            settlement,
            closes_at.minute,
        )
        for step, stage in conn.execute(
            "SELECT step, stage FROM upc.backtest_steps('BTC', %s) ORDER BY step", (number,)
        ).fetchall():
            conn.execute("SELECT upc.run_backtest_step('BTC', %s, %s)", (number, step))
            if stage == "fit":
                # A build leaves the newest day out of its fit.
                conn.execute(
                    "UPDATE upc_data.backtest AS b SET factors = f.used_factors,"
                    " coefficients = f.used_coefficients FROM upc_data.volatility_fit AS f"
                    " WHERE f.symbol = b.symbol AND b.backtest_id = %s",
                    (number,),
                )
        rows = conn.execute(
            "SELECT model, part, bin, 100 * probability FROM upc_data.backtest_score"
            " WHERE backtest_id = %s AND dimension = 'distance'",
            (number,),
        )
        found = {tuple(row[:3]): row[3] for row in rows}
        assert found == pytest.approx(expected[ttc], abs=NEAR), ttc


@pytest.mark.parametrize("ttc", [3630, 3600, 630, 120, 90, 61])
def test_a_volatility_is_of_the_whole_time_left(conn: Connection, ttc: int) -> None:
    """The part of it that is open for the average: by the forecast, or in proportion to time."""
    variances = np.array(scalar(conn, "SELECT upc._known_variances('BTC')"))
    times = np.array([*range(61), *LONG]) * 60.0

    def until(seconds: float) -> float:
        return float(np.interp(seconds, times, np.concatenate([[0], variances])))

    part = ttc - 60 + 61 * 121 / 360
    known = np.sqrt(until(part) / until(ttc))
    otherwise = np.sqrt(part / ttc)
    assert abs(known - otherwise) > 1e-9
    for share, is_known in ((known, True), (otherwise, False)):
        if not is_known:
            conn.execute(
                "DELETE FROM upc_data.candle WHERE opened_at >= %s AND opened_at < %s",
                (END - timedelta(minutes=4), END - timedelta(minutes=1)),
            )
            conn.execute(
                "SELECT upc.note_candle_changes('BTC', %s, %s)",
                (END - timedelta(minutes=4), END - timedelta(minutes=1)),
            )
            assert scalar(conn, "SELECT upc.volatility('BTC')") is None
        found = strikes(
            conn,
            ttc_seconds=ttc,
            model="volatility",
            method="linear",
            settlement="average",
            volatility=0.2,
            strikes=[100_000.0 * (1 + 0.002 * share * z) for z in GRID],
        )
        np.testing.assert_allclose(column(found, "prob_above"), curve(conn, part), atol=1e-9)


@pytest.mark.parametrize("ttc", [90, 30, 1])
def test_a_strike_table_of_another_time(conn: Connection, ttc: int) -> None:
    """Its clock is an argument: forecast and average are as of then, not as of now."""
    at = HOUR - timedelta(seconds=ttc)
    price = shown(at)
    for k in range(70):
        for exchange, shift, received_at in (
            ("one", 10, at - timedelta(seconds=k)),
            ("now", 900, None),
        ):
            conn.execute(
                "SELECT upc.record_price('BTC', %s, %s, NULL,"
                " coalesce(%s, statement_timestamp() - make_interval(secs => %s)))",
                (exchange, price + shift + k % 2, received_at, k),
            )
    question = (
        "SELECT strike, prob_above FROM upc.strike_table(%s, 7, at => %s, ttc_seconds => %s,"
        " step => %s, method => 'linear', model => 'volatility', settlement => 'average')"
        " ORDER BY strike"
    )
    found = table(conn, question, price, at, ttc, STEP)
    passed = [price + 10 + k % 2 for k in range(1, 61 - ttc)]
    variances = scalar(conn, "SELECT upc._known_variances('BTC', %s)", at)
    assert variances != scalar(conn, "SELECT upc._known_variances('BTC')")
    expected = strikes(
        conn,
        price,
        momentum=7,
        ttc_seconds=ttc,
        step=STEP,
        method="linear",
        model="volatility",
        settlement="average",
        observed=float(np.mean(passed)) if passed else None,
        variances=variances,
    )
    np.testing.assert_allclose(
        column(found, "prob_above"), column(expected, "prob_above"), rtol=0, atol=NEAR
    )

    conn.execute("DELETE FROM upc_data.price WHERE exchange = 'one'")
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        conn.execute(question, (price, HOUR + timedelta(days=30), ttc, STEP))
    assert caught.value.sqlstate == "UP020"
    if ttc < 60:
        with pytest.raises(psycopg.Error) as caught, conn.transaction():
            conn.execute(question, (price, at, ttc, STEP))
        assert caught.value.sqlstate == "UP021"


# Standardised moves up, off the thresholds.
GRID = (0.031, 0.4, 1.01, 2.22)


def curve(conn: Connection, seconds: float) -> Any:
    """Read off the baseline's curves of standardised moves, between minutes and thresholds."""
    thresholds = np.array(scalar(conn, "SELECT upc.volatility_thresholds()"))
    rows = table(
        conn,
        "SELECT minutes, positive, negative FROM upc.volatility_curve"
        " WHERE symbol = 'BTC' AND bucket = 99 ORDER BY minutes",
    )
    at = np.clip(seconds / 60, 1, 60)
    sides = [
        np.array(
            [
                np.interp(at, range(1, 61), [row[side][k] for row in rows])
                for k in range(len(thresholds))
            ]
        )
        for side in ("positive", "negative")
    ]
    up = sides[0].copy()
    up[0] = (sides[0][0] + 100 - sides[1][0]) / 2
    return np.interp(GRID, thresholds, up)


@pytest.mark.parametrize(
    ("arguments", "sqlstate"),
    [
        ("volatility => 0, ttc_seconds => 1", "UP020"),
        ("volatility => 0", "UP020"),
        ("volatility => -1, ttc_seconds => 0", "UP020"),
        ("volatility => 'NaN', ttc_seconds => 0", "UP020"),
        ("variances => '{}'", "UP020"),
        ("variances => '{1e-6}'", "UP020"),
        ("variances => array_fill(0::float8, '{60}')", "UP020"),
        ("variances => array_fill('NaN'::float8, '{60}')", "UP020"),
        ("variances => array_fill(NULL::float8, '{60}')", "UP020"),
        ("variances => array_fill(1e-6::float8, '{61}')", "UP020"),
    ],
)
def test_refused(conn: Connection, arguments: str, sqlstate: str) -> None:
    for model in MODELS:
        with pytest.raises(psycopg.Error) as caught, conn.transaction():
            conn.execute(
                f"SELECT FROM upc.compute_strikes(1e5, {arguments}, model => '{model}')".encode()
            )
        assert caught.value.sqlstate == sqlstate
        assert caught.value.diag.message_hint
