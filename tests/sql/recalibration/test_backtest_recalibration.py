"""A backtest that corrects itself: its fits beside scipy's, and what it cannot have known."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from tests.support.engine import Connection, open_db, put, scalar
from tests.support.recalibration import fitted
from tests.support.volatile_candles import volatile_candles

TRAINED, UNTIL = "2026-01-05Z", "2026-01-23Z"
CANDLES = volatile_candles(3, "2025-12-28", 26 * 1440)
# The first Monday that has answers of the test before it, and the next.
MONDAYS = [date(2026, 1, 12), date(2026, 1, 19)]
MINUTES = [2, 12, 30]


def run(conn: Connection, *, models: str = "{volatility:linear}", **more: Any) -> int:
    named = "".join(f", {name} => %s" for name in more)
    number = scalar(
        conn,
        "SELECT upc.begin_backtest('BTC', train_to => %s, test_to => %s, models => %s,"
        f" minutes => %s, step => 40{named})",
        *(TRAINED, UNTIL, models, MINUTES, *more.values()),
    )
    # Those of a stage in any order.
    steps = conn.execute(
        "SELECT s.step FROM upc.backtest_steps('BTC', %s) AS s ORDER BY"
        " array_position('{fit,train,answer,recalibrate,test,complete}', s.stage), s.step DESC",
        [number],
    ).fetchall()
    for (step,) in steps:
        conn.execute("SELECT upc.run_backtest_step('BTC', %s, %s)", [number, step])
    return int(number)


@pytest.fixture(scope="module")
def filled(module_dsn: str) -> str:
    with open_db(module_dsn) as conn:
        put(conn, "BTC", CANDLES)
    return module_dsn


@pytest.fixture
def conn(filled: str) -> Iterator[Connection]:
    with open_db(filled, autocommit=False) as conn:
        yield conn
        conn.rollback()


def counts(conn: Connection, number: int) -> dict[date, list[tuple[Any, ...]]]:
    """By week: minutes, questions, outcomes and sums of log-odds."""
    found: dict[date, list[tuple[Any, ...]]] = {}
    for week, *rest in conn.execute(
        "SELECT week, minutes, questions, outcomes, log_odds FROM upc_data.backtest_answer"
        " WHERE backtest_id = %s ORDER BY week, minutes",
        [number],
    ):
        found.setdefault(week, []).append(tuple(rest))
    return found


def fits(conn: Connection, number: int) -> dict[date, Any]:
    rows = conn.execute(
        "SELECT week, lifts, stretches, bends FROM upc_data.backtest_recalibration"
        " WHERE backtest_id = %s ORDER BY week",
        [number],
    )
    return {week: np.array(rest) for week, *rest in rows}


def scores(conn: Connection, number: int, before: date = date.max) -> list[tuple[Any, ...]]:
    return conn.execute(
        # Sums of many numbers: which comes first is not said.
        "SELECT dimension, part, day, bin, questions, outcomes, round(probability::numeric, 9),"
        " round(log_loss::numeric, 9)"
        " FROM upc_data.backtest_score WHERE backtest_id = %s AND day < %s ORDER BY 1, 2, 3, 4",
        [number, before],
    ).fetchall()


def test_every_week_is_fitted_on_those_before(conn: Connection) -> None:
    number = run(conn)
    answers, found = counts(conn, number), fits(conn, number)
    assert list(answers) == [date(2026, 1, 5), *MONDAYS]
    assert set(found) >= set(MONDAYS)
    for monday, numbers in found.items():
        before = [row for week, rows in answers.items() if week < monday for row in rows]
        np.testing.assert_allclose(numbers, fitted(before), atol=3e-4)
    # Something was learnt.
    assert np.abs(found[MONDAYS[1]][1] - 1).max() > 0.01


def test_what_is_counted_are_the_answers_before_they_are_corrected(conn: Connection) -> None:
    plain = run(conn, recalibrate=False)
    assert counts(conn, plain) == fits(conn, plain) == {}
    [(asked, came)] = conn.execute(
        "SELECT sum(questions), sum(outcomes) FROM upc_data.backtest_score"
        " WHERE backtest_id = %s AND dimension = 'odds'",
        [plain],
    ).fetchall()
    rows = [row for rows in counts(conn, run(conn)).values() for row in rows]
    assert sum(sum(row[1]) for row in rows) == asked > 1000
    assert sum(sum(row[2]) for row in rows) == came
    # The mean of the log-odds of a tenth is in it.
    for _, questions, _, log_odds in rows:
        for place, (asked, odds) in enumerate(zip(questions, log_odds, strict=True)):
            if asked:
                assert place - 63 <= 10 * odds / asked <= place - 62


def test_before_the_first_monday_nothing_is_corrected_and_afterwards_all_is(
    conn: Connection,
) -> None:
    plain, number = run(conn, recalibrate=False), run(conn)
    # Contracts of the first hour of a Monday are asked about in the week before.
    first = MONDAYS[0]
    assert scores(conn, number, first) == scores(conn, plain, first)
    days = {row[2] for row in scores(conn, plain)} - {row[2] for row in scores(conn, plain, first)}
    for day in days:
        assert [row for row in scores(conn, number) if row[2] == day] != [
            row for row in scores(conn, plain) if row[2] == day
        ]


def test_other_models_are_left_alone(conn: Connection) -> None:
    models = "{momentum:linear, gaussian}"
    number = run(conn, models=models)
    assert counts(conn, number) == {}
    assert scores(conn, number) == scores(conn, run(conn, models=models, recalibrate=False))
    both = run(conn, models="{momentum:linear, gaussian, volatility:linear}")
    query = (
        "SELECT log_loss FROM upc.backtest_scores('BTC', %s, resamples => 0)"
        " WHERE model = 'gaussian'"
    )
    assert scalar(conn, query, both) == pytest.approx(scalar(conn, query, number), rel=1e-3)


def test_a_week_without_candles_changes_nothing_for_the_next(conn: Connection) -> None:
    """The newest correction goes on answering."""
    conn.execute(
        "DELETE FROM upc_data.candle WHERE opened_at >= '2026-01-11 23:00Z' AND opened_at < %s",
        ["2026-01-19 00:00Z"],
    )
    plain, number = run(conn, recalibrate=False), run(conn)
    assert date(2026, 1, 12) not in counts(conn, number)
    last = date(2026, 1, 21)
    assert [row for row in scores(conn, number) if row[2] == last] != [
        row for row in scores(conn, plain) if row[2] == last
    ]


def test_nothing_looks_ahead(conn: Connection) -> None:
    """Other candles from a Wednesday on: nothing before it changes, nor what answers then."""
    cut = MONDAYS[1] + timedelta(days=2)
    before = run(conn)
    at = np.datetime64(cut, "m").astype(np.int64)
    other = volatile_candles(8, "2025-12-28", 26 * 1440, price=55_000)
    conn.execute("DELETE FROM upc_data.candle WHERE opened_at >= %s", [cut])
    put(conn, "BTC", other.where(other.minutes >= at))
    after = run(conn)
    assert scores(conn, after, cut) == scores(conn, before, cut)
    found, expected = fits(conn, after), fits(conn, before)
    for monday in MONDAYS:
        np.testing.assert_array_equal(found[monday], expected[monday])
    assert scores(conn, after) != scores(conn, before)
