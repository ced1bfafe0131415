"""Backtests: every score against numpy, and nothing seen that lies in the future."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import psycopg
import pytest

from tests.support import backtest_reference, brute_force, volatility_reference
from tests.support.backtest_reference import Scores, Settings, Shares
from tests.support.brute_force import Cell, Histogram
from tests.support.engine import (
    Candles,
    Connection,
    assert_equal_counts,
    instant,
    minute,
    open_db,
    put,
    scalar,
    wait_until_blocked,
)
from tests.support.volatile_candles import volatile_candles
from tests.support.volatility_reference import Fit

MODELS = (
    "baseline:nearest",
    "momentum:nearest",
    "momentum:linear",
    "baseline:linear",
    "volatility:nearest",
    "volatility:linear",
    "gaussian",
)
WEEK = volatile_candles(140, "2025-12-26T00:00", 10 * 1440)
# Some minutes and most of an hour of the test are missing, and its last hour.
CANDLES = WEEK.where(
    (WEEK.minutes < minute("2026-01-03T00:00"))
    | (np.random.default_rng(141).random(len(WEEK.minutes)) > 0.02)
    & ~((WEEK.minutes >= minute("2026-01-03T10:05")) & (WEEK.minutes < minute("2026-01-03T11:00")))
)
SETTINGS = Settings(
    minute("2025-12-26T05:00"),
    minute("2026-01-02T12:00"),
    minute("2026-01-02T12:00"),
    minute("2026-01-04T03:30"),
    MODELS,
    (1, 2, 15, 60),
    100.0,
    3,
    "close",
    0,
)


BEYOND_AN_HOUR = replace(SETTINGS, models=("volatility:linear", "gaussian"), minutes=(60, 1440))

UNLIKE = "{backtest_id, started_at, completed_at, steps_done}"


@pytest.fixture(scope="module")
def filled_dsn(module_dsn: str) -> str:
    with open_db(module_dsn) as conn:
        put(conn, "BTC", CANDLES)
    return module_dsn


@pytest.fixture
def conn(filled_dsn: str) -> Iterator[Connection]:
    with open_db(filled_dsn, autocommit=False) as connection:
        yield connection
        connection.rollback()


def at(number: int) -> str:
    return str(np.datetime64(number, "m")) + "Z"


def begin(conn: Connection, settings: Settings, *, is_recalibrated: bool = False) -> int:
    found = scalar(
        conn,
        "SELECT upc.begin_backtest('BTC', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, '1.2.3', %s, %s)",
        at(settings.train_from),
        at(settings.train_to),
        at(settings.test_from),
        at(settings.test_to),
        list(settings.models),
        list(settings.minutes),
        settings.step,
        settings.levels,
        settings.settlement,
        settings.close_minute,
        settings.kind,
        is_recalibrated,
    )
    return int(found)


def steps(conn: Connection, number: int, *stages: str) -> list[int]:
    rows = conn.execute(
        "SELECT step, stage FROM upc.backtest_steps('BTC', %s) ORDER BY step", (number,)
    ).fetchall()
    return [step for step, stage in rows if not stages or stage in stages]


def run(conn: Connection, number: int, *stages: str) -> None:
    for step in steps(conn, number, *stages):
        conn.execute("SELECT upc.run_backtest_step('BTC', %s, %s)", (number, step))


def trained(conn: Connection, number: int, moves: str) -> Histogram:
    rows = conn.execute(
        "SELECT year, bucket, minutes, pairs, positive, negative FROM upc_data.backtest_histogram "
        "WHERE backtest_id = %s AND moves = %s AND pairs > 0",
        (number, moves),
    )
    return {
        (year, bucket, minutes): Cell(pairs, np.array(positive), np.array(negative))
        for year, bucket, minutes, pairs, positive, negative in rows
    }


def shares(conn: Connection, number: int, moves: str) -> Shares:
    """Shrinkage has tests of its own: what the curves of the same counts have."""
    stride = 2 if moves == "standardised" else 1
    query = scalar(conn, "SELECT upc._curve_query(upc._backtest_counts(%s), %s)", moves, stride)
    rows = conn.execute(
        f"""
        WITH test AS (SELECT b.* FROM upc_data.backtest AS b WHERE b.backtest_id = {number})
        SELECT c.bucket, c.minutes, c.shrinkage FROM ({query}) AS c WHERE c.symbol <> '*'
        """.encode()
    )
    return {(bucket, minutes): share for bucket, minutes, share in rows}


def stored(conn: Connection, number: int) -> Scores:
    rows = conn.execute(
        "SELECT model, dimension, part, day::text, bin, questions, outcomes, probability, "
        "squared_probability, squared_error, log_loss FROM upc_data.backtest_score "
        "WHERE backtest_id = %s",
        (number,),
    )
    return {tuple(row[:5]): np.array(row[5:], dtype=float) for row in rows}


def contents(conn: Connection, number: int) -> list[list[Any]]:
    """Questions, training and scores, without the later comparison."""
    return [
        conn.execute(
            f"SELECT (to_jsonb(t) - '{UNLIKE}'::text[])::text AS content "
            f"FROM upc_data.{table} AS t WHERE backtest_id = {number} AND "
            "coalesce(to_jsonb(t) ->> 'moves', '') NOT LIKE 'tested %' ORDER BY content".encode()
        ).fetchall()
        for table in ("backtest", "backtest_histogram", "backtest_score")
    ]


# Every number


@pytest.mark.slow
@pytest.mark.parametrize("settlement", ["close", "average"])
@pytest.mark.parametrize("close_minute", [0, 17])
def test_every_score(conn: Connection, settlement: str, close_minute: int) -> None:
    check_scores(conn, replace(SETTINGS, settlement=settlement, close_minute=close_minute))


@pytest.mark.parametrize(
    ("kind", "settlement", "close_minute"),
    [("range", "average", 0), ("updown", "average", 0), ("updown", "close", 37)],
)
def test_every_score_of_other_kinds(
    conn: Connection, kind: str, settlement: str, close_minute: int
) -> None:
    more = {"minutes": (1, 2, 15)} if kind == "updown" else {"minutes": (2, 60)}
    check_scores(
        conn,
        replace(
            SETTINGS,
            kind=kind,
            settlement=settlement,
            close_minute=close_minute,
            test_to=minute("2026-01-03T14:00"),
            **more,
        ),
        at_least=80,
    )


@pytest.mark.parametrize(("settlement", "close_minute"), [("average", 0), ("close", 41)])
def test_every_score_beyond_an_hour(conn: Connection, settlement: str, close_minute: int) -> None:
    """The first closes are asked about before the test begins, and before its last training day."""
    check_scores(
        conn,
        replace(
            SETTINGS,
            models=("volatility:nearest", "volatility:linear", "gaussian"),
            minutes=(60, 61, 70, 90, 1440),
            settlement=settlement,
            close_minute=close_minute,
            test_to=minute("2026-01-03T00:10"),
        ),
        at_least=150,
    )


def check_scores(conn: Connection, settings: Settings, at_least: int = 700) -> None:
    number = begin(conn, settings)
    run(conn, number)
    known = backtest_reference.train(
        CANDLES, settings, shares(conn, number, "plain"), shares(conn, number, "standardised")
    )
    expected = backtest_reference.scores(CANDLES, settings, known)
    found = stored(conn, number)
    # Some thousand questions of each model, and each model of the same ones.
    sizes = {
        model: sum(row[0] for key, row in found.items() if key[:2] == (model, "all"))
        for model in settings.models
    }
    assert len(set(sizes.values())) == 1
    assert sizes["gaussian"] > at_least
    assert {key[1] for key in found} == {"all", "minutes", "distance", "hour", "regime", "odds"}
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        np.testing.assert_allclose(found[key], row, rtol=2e-6, atol=1e-9, err_msg=str(key))
    assert scalar(conn, "SELECT completed_at IS NOT NULL FROM upc_data.backtest")


def test_what_is_trained(conn: Connection) -> None:
    number = begin(conn, SETTINGS)
    run(conn, number, "fit", "train")
    span = backtest_reference.inside(CANDLES, SETTINGS)
    columns = volatility_reference.of(span)
    fitted = volatility_reference.fit(*columns)
    assert fitted is not None
    ((factors, coefficients, edges),) = conn.execute(
        "SELECT factors, coefficients, regime_edges FROM upc_data.backtest"
    ).fetchall()
    np.testing.assert_array_equal(factors, fitted.factors)
    table = np.array(coefficients).reshape(-1, 22)
    np.testing.assert_allclose(table[:8], fitted.coefficients, atol=0.0101)
    wanted = backtest_reference.train(CANDLES, replace(SETTINGS, models=("gaussian",)), {}, {})
    np.testing.assert_allclose(edges, wanted.regimes, rtol=1e-9)
    for moves, counts in (
        ("plain", brute_force.histogram(span.minutes, span.closes)),
        (
            "standardised",
            volatility_reference.histogram(*columns, Fit(np.array(factors), table[:8], table[8:])),
        ),
    ):
        assert {year for year, _, _ in counts} == {2025, 2026}
        chosen = {key: cell for key, cell in counts.items() if key[2] in SETTINGS.minutes}
        assert_equal_counts(trained(conn, number, moves), chosen)


def test_pairs_end_by_the_end_of_training(conn: Connection) -> None:
    """An hour is trained on: pairs an hour apart would end after it."""
    settings = replace(SETTINGS, models=("baseline:nearest",), train_from=SETTINGS.train_to - 60)
    number = begin(conn, settings)
    run(conn, number, "fit", "train")
    pairs = {
        key[2]: cell.pairs for key, cell in trained(conn, number, "plain").items() if key[1] == 99
    }
    assert pairs == {1: 59, 2: 58, 15: 45}


# Leaks


def spoil(conn: Connection, since: int, but: int = -1) -> None:
    conn.execute(
        "UPDATE upc_data.candle SET open = 3 * open, high = 9 * high, low = low / 5, volume = 7, "
        "close = CASE WHEN extract(minute FROM opened_at)::integer %% 2 = 0 "
        "THEN 2 * close ELSE close / 4 END "
        "WHERE opened_at >= %s AND opened_at <> %s",
        (at(since), at(but)),
    )


@pytest.mark.parametrize("settings", [SETTINGS, BEYOND_AN_HOUR], ids=["hour", "day"])
def test_training_sees_nothing_of_the_test(conn: Connection, settings: Settings) -> None:
    first = begin(conn, settings)
    run(conn, first, "fit", "train")
    spoil(conn, SETTINGS.train_to)
    second = begin(conn, settings)
    run(conn, second, "fit", "train")
    assert contents(conn, first) == contents(conn, second)


@pytest.mark.parametrize("settings", [SETTINGS, BEYOND_AN_HOUR], ids=["hour", "day"])
def test_training_sees_nothing_before_its_span(conn: Connection, settings: Settings) -> None:
    first = begin(conn, settings)
    run(conn, first, "fit", "train")
    conn.execute(
        "UPDATE upc_data.candle SET high = 9 * high, close = 2 * close, volume = 7 "
        "WHERE opened_at < %s",
        (at(SETTINGS.train_from),),
    )
    second = begin(conn, settings)
    run(conn, second, "fit", "train")
    assert contents(conn, first) == contents(conn, second)


@pytest.mark.parametrize(("known", "minutes"), [(SETTINGS, 15), (BEYOND_AN_HOUR, 100)])
def test_a_question_sees_nothing_later_but_what_settles_it(
    conn: Connection, known: Settings, minutes: int
) -> None:
    closes = minute("2026-01-03T14:00")
    settings = replace(
        known, minutes=(minutes,), test_from=closes, test_to=closes + 1, step=20.0, levels=10
    )
    first = begin(conn, settings)
    run(conn, first)
    spoil(conn, closes - minutes, but=closes - 1)
    second = begin(conn, settings)
    run(conn, second)
    assert contents(conn, first) == contents(conn, second)
    assert stored(conn, first) != {}


@pytest.mark.parametrize("settlement", ["close", "average"])
def test_what_settles_a_question_was_not_trained_on(conn: Connection, settlement: str) -> None:
    """A contract that closes when training ends is settled by the last candle of it."""
    settings = replace(
        SETTINGS,
        models=("gaussian",),
        settlement=settlement,
        test_to=SETTINGS.train_to + 61,
    )
    number = begin(conn, settings)
    run(conn, number)
    hours = {key[2] for key in stored(conn, number) if key[1] == "hour"}
    assert hours == {13}


# Refusals


BAD = [
    "symbol => 'XYZ'",
    "models => '{}'",
    "models => NULL",
    "models => '{volatility}'",
    "models => '{gaussian:linear}'",
    "models => '{momentum:cubic}'",
    "models => '{imported:nearest}'",
    "models => '{NULL}'",
    "minutes => '{}'",
    "minutes => NULL",
    "minutes => '{0}'",
    "minutes => '{61}'",
    "minutes => '{61}', models => '{gaussian, momentum:linear}'",
    "minutes => '{1441}', models => '{gaussian}'",
    "minutes => '{5, NULL}'",
    "step => 0",
    "step => -1",
    "step => 'NaN'",
    "step => 'Infinity'",
    "levels => -1",
    "levels => 501",
    "levels => NULL",
    "settlement => 'open'",
    "settlement => NULL",
    "close_minute => -1",
    "close_minute => 60",
    "close_minute => NULL",
    "kind => 'below'",
    "kind => NULL",
    "kind => 'updown'",
    "kind => 'updown', minutes => '{16}'",
    "train_from => '2026-01-02Z', train_to => '2026-01-02Z'",
    "train_from => '2026-01-03Z', train_to => '2026-01-02Z'",
    "train_to => '2026-01-02Z', test_from => '2026-01-01Z'",
    "test_from => '2026-01-03Z', test_to => '2026-01-03Z'",
    "test_from => '2026-02-03Z', test_to => '2026-02-04Z'",
    "train_from => '2025-01-03Z', train_to => '2025-02-03Z'",
    "train_from => 'infinity'",
    "train_to => 'infinity'",
    "train_to => '-infinity'",
    "test_from => '-infinity'",
    "test_from => 'infinity'",
    "test_to => '-infinity'",
]


@pytest.mark.parametrize("arguments", BAD)
def test_settings_that_make_no_sense(conn: Connection, arguments: str) -> None:
    symbol = "" if arguments.startswith("symbol") else "'BTC', "
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        conn.execute(f"SELECT upc.begin_backtest({symbol}{arguments})".encode())
    assert caught.value.sqlstate == ("UP002" if "XYZ" in arguments else "UP022")
    assert caught.value.diag.message_hint
    assert scalar(conn, "SELECT count(*) FROM upc_data.backtest") == 0


def test_a_symbol_without_candles(conn: Connection) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT upc.begin_backtest('ETH')")
    assert caught.value.sqlstate == "UP022"


def settings_of(conn: Connection, number: int) -> Any:
    rows = conn.execute(
        "SELECT train_from, train_to, test_from, test_to, models, minutes, step, version "
        "FROM upc_data.backtest WHERE backtest_id = %s",
        (number,),
    ).fetchall()
    return rows[0]


def test_what_is_left_out_is_filled_in(conn: Connection) -> None:
    number = scalar(conn, "SELECT upc.begin_backtest('BTC', version => NULL)")
    year, end = instant("2026-01-01"), instant("2026-01-05")
    models = "{baseline:nearest,momentum:nearest,momentum:linear,gaussian,volatility:linear}"
    assert settings_of(conn, number) == (
        instant("2025-12-26"),
        year,
        year,
        end,
        models.strip("{}").split(","),
        [2, 5, 10, 15, 30, 45, 60],
        250,
        "",
    )
    # One year only: two thirds of the days.
    conn.execute("DELETE FROM upc_data.candle WHERE opened_at < '2026-01-01Z'")
    number = scalar(conn, "SELECT upc.begin_backtest('BTC')")
    cut = instant("2026-01-03")
    assert settings_of(conn, number)[:4] == (year, cut, cut, end)
    number = scalar(conn, "SELECT upc.begin_backtest('BTC', test_from => '2026-01-04Z')")
    cut = instant("2026-01-04")
    assert settings_of(conn, number)[:4] == (year, cut, cut, end)


def test_spans_are_those_of_the_candles(conn: Connection) -> None:
    """Without end there would be no end of steps."""
    conn.execute("SET LOCAL statement_timeout = '20s'")
    query = "SELECT upc.begin_backtest('BTC', '-infinity', '2026-01-01Z', NULL, 'infinity')"
    number = scalar(conn, query)
    assert settings_of(conn, number)[:4] == (
        instant("2025-12-26"),
        instant("2026-01-01"),
        instant("2026-01-01"),
        instant("2026-01-05"),
    )
    assert len(steps(conn, number)) == 6


def test_repeated_models_and_minutes_count_once(conn: Connection) -> None:
    number = scalar(
        conn,
        "SELECT upc.begin_backtest('BTC', models => '{gaussian, momentum:linear, gaussian}', "
        "minutes => '{60, 5, 5, 60}')",
    )
    assert settings_of(conn, number)[4:6] == (["gaussian", "momentum:linear"], [5, 60])


def refused(conn: Connection, number: int, step: int | None, symbol: str = "BTC") -> None:
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        conn.execute("SELECT upc.run_backtest_step(%s, %s, %s)", (symbol, number, step))
    assert caught.value.sqlstate == "UP022"
    assert caught.value.diag.message_detail
    assert caught.value.diag.message_hint


def test_no_such_step_or_backtest(conn: Connection) -> None:
    number = begin(conn, SETTINGS)
    for step in (0, -1, 99, None):
        refused(conn, number, step)
    refused(conn, number + 1, 1)
    refused(conn, number, 1, "ETH")
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT * FROM upc.backtest_steps('BTC', %s)", (number + 1,))
    assert caught.value.sqlstate == "UP022"


@pytest.mark.parametrize(
    ("length", "models", "minutes"),
    [
        (600, ("volatility:linear",), (60,)),
        (2100, ("volatility:linear",), (60, 75)),
        (1, ("gaussian",), (60,)),
    ],
)
def test_too_little_to_train_on(
    conn: Connection, length: int, models: tuple[str, ...], minutes: tuple[int, ...]
) -> None:
    settings = replace(
        SETTINGS, models=models, minutes=minutes, train_from=SETTINGS.train_to - length
    )
    refused(conn, begin(conn, settings), 1)


def test_a_question_that_one_model_cannot_answer_is_left_out(conn: Connection) -> None:
    """Half an hour of training knows nothing about an hour."""
    settings = replace(
        SETTINGS,
        models=("gaussian", "momentum:linear"),
        train_from=SETTINGS.train_to - 50,
    )
    number = begin(conn, settings)
    run(conn, number)
    found = stored(conn, number)
    sizes = [
        sum(row[0] for key, row in found.items() if key[:2] == (model, "all"))
        for model in settings.models
    ]
    assert sizes[0] == sizes[1] > 0
    assert {key[2] for key in found if key[1] == "minutes"} == {1, 2, 15}


# Steps


def test_steps(conn: Connection) -> None:
    number = begin(conn, SETTINGS)
    rows = conn.execute("SELECT * FROM upc.backtest_steps('BTC', %s)", (number,)).fetchall()
    assert rows == [
        (1, "fit", 8),
        (2, "train", 6),
        (3, "train", 2),
        (4, "test", 3),
        (5, "complete", 0),
    ]


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_the_time_zone_does_not_matter(conn: Connection, zone: str) -> None:
    settings = replace(SETTINGS, minutes=(2, 60))
    first = begin(conn, settings)
    run(conn, first)
    conn.execute(f"SET LOCAL timezone = '{zone}'".encode())
    second = begin(conn, settings)
    run(conn, second)
    conn.execute("SET LOCAL timezone = 'UTC'")
    assert contents(conn, first) == contents(conn, second)


def test_a_step_that_was_run_is_not_run_again(conn: Connection) -> None:
    settings = replace(SETTINGS, minutes=(2, 60))
    once, twice = begin(conn, settings), begin(conn, settings)
    run(conn, once)
    for step in steps(conn, twice):
        for _ in range(2):
            conn.execute("SELECT upc.run_backtest_step('BTC', %s, %s)", (twice, step))
    run(conn, twice)
    assert contents(conn, twice) == contents(conn, once)


def test_steps_within_a_stage_come_in_any_order(conn: Connection) -> None:
    settings = replace(SETTINGS, minutes=(2, 60), test_from=minute("2026-01-03"))
    forward, backward = begin(conn, settings), begin(conn, settings)
    run(conn, forward)
    for stage in ("fit", "train", "test", "complete"):
        for step in reversed(steps(conn, backward, stage)):
            conn.execute("SELECT upc.run_backtest_step('BTC', %s, %s)", (backward, step))
    assert contents(conn, backward) == contents(conn, forward)


def test_a_stage_needs_the_one_before(conn: Connection) -> None:
    number = begin(conn, replace(SETTINGS, minutes=(2,)))
    for early in (2, 3, 4, 5):
        refused(conn, number, early)
    run(conn, number, "fit")
    for early in (4, 5):
        refused(conn, number, early)
    conn.execute("SELECT upc.run_backtest_step('BTC', %s, 2)", (number,))
    refused(conn, number, 4)
    conn.execute("SELECT upc.run_backtest_step('BTC', %s, 3)", (number,))
    refused(conn, number, 5)
    assert scalar(conn, "SELECT completed_at IS NULL FROM upc_data.backtest")
    run(conn, number, "test", "complete")
    assert scalar(conn, "SELECT completed_at IS NOT NULL FROM upc_data.backtest")


def test_one_step_on_two_connections_is_counted_once(fresh_db: str, own: Connection) -> None:
    settings = replace(SETTINGS, minutes=(2,), models=("baseline:nearest",))
    put(own, "BTC", backtest_reference.inside(CANDLES, SETTINGS))
    put(own, "BTC", CANDLES.where(CANDLES.minutes >= SETTINGS.train_to))
    number = begin(own, settings)
    run(own, number, "fit")
    query = "SELECT upc.run_backtest_step('BTC', %s, 2)"
    with (
        open_db(fresh_db, autocommit=False) as first,
        open_db(fresh_db) as second,
        ThreadPoolExecutor(max_workers=1) as pool,
    ):
        first.execute(query, (number,))
        future = pool.submit(second.execute, query, (number,))
        wait_until_blocked(own, second, future)
        first.commit()
        future.result(timeout=30)
    run(own, number)
    span = backtest_reference.inside(CANDLES, SETTINGS)
    counts = brute_force.histogram(span.minutes, span.closes)
    # The first minute is counted with any: effective sizes are made of it.
    expected = {key: cell for key, cell in counts.items() if key[2] in (1, 2)}
    assert_equal_counts(trained(own, number, "plain"), expected)


@pytest.mark.slow
def test_deleting_a_backtest_deletes_all_of_it(conn: Connection) -> None:
    settings = replace(SETTINGS, minutes=(2,))
    kept, gone = begin(conn, settings), begin(conn, settings)
    run(conn, kept)
    run(conn, gone)
    before = contents(conn, kept)
    conn.execute("DELETE FROM upc_data.backtest WHERE backtest_id = %s", (gone,))
    assert contents(conn, gone) == [[], [], []]
    assert contents(conn, kept) == before != [[], [], []]


def test_a_price_that_never_moves(own: Connection) -> None:
    still = Candles(CANDLES.minutes, *([np.full(len(CANDLES.minutes), 40_000.0)] * 4))
    put(own, "BTC", still)
    settings = replace(SETTINGS, minutes=(2, 60))
    number = begin(own, settings)
    run(own, number)
    rows = own.execute(
        "SELECT model, sum(squared_error), sum(questions) FROM upc_data.backtest_score "
        "WHERE dimension = 'distance' AND part > 0 GROUP BY model"
    ).fetchall()
    assert {model for model, _, _ in rows} == set(MODELS)
    assert all(error == 0 and size > 0 for _, error, size in rows)


@pytest.mark.parametrize("z", [-40.0, -5.0, -1.0, -0.1, 0.0, 0.3, 1.0, 3.0, 6.0, 17.0, 40.0, 1e300])
def test_normal_tail(conn: Connection, z: float) -> None:
    from math import erfc, sqrt

    found = scalar(conn, "SELECT upc._normal_tail(%s::float8)", z)
    np.testing.assert_allclose(found, erfc(z / sqrt(2)) / 2, rtol=2e-7, atol=1e-75)
