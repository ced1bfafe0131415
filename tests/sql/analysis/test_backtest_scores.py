"""Scores of backtests, their intervals and the verdict, beside the same from single questions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray
from psycopg.rows import dict_row
from scipy.special import expit, logit

from tests.support.backtesting import (
    BINS,
    FIRST_DAY,
    MODELS,
    Questions,
    bins,
    losses,
    odds,
    questions,
    store,
)
from tests.support.engine import Connection, open_db, scalar

Floats = NDArray[np.float64]
Row = dict[str, Any]

DIMENSIONS = ("all", "minutes", "distance", "hour", "regime")
DAYS = 40
RESAMPLES = 200

ASKED = questions(1, DAYS)


@pytest.fixture(scope="module")
def backtest(module_dsn: str) -> int:
    with open_db(module_dsn) as conn:
        return store(conn, ASKED)


def rows(conn: Connection, query: str, *parameters: Any) -> list[Row]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, parameters).fetchall()


def scores(conn: Connection, backtest: int, *more: Any) -> dict[tuple[str, int], Row]:
    places = ", ".join(["%s"] * (2 + len(more)))
    found = rows(conn, f"SELECT * FROM upc.backtest_scores({places})", "BTC", backtest, *more)
    return {(row["model"], row["part"]): row for row in found}


def drawn(conn: Connection, days: int, resamples: int = RESAMPLES, seed: int = 1) -> Floats:
    """Number of times that each resample holds each day: sums of a table of ones and zeros."""
    found = conn.execute(
        "SELECT r.resample, r.block, r.sums FROM upc._resampled_sums(%s, %s, %s) AS r",
        (np.eye(days).reshape(days, days, 1).tolist(), resamples, seed),
    )
    counts = np.full((resamples, days), np.nan)
    for resample, block, sums in found:
        counts[resample - 1, block - 1] = sums[0]
    return np.round(counts)


def daily(values: Floats, days: NDArray[np.int64], width: int = DAYS) -> Floats:
    return np.bincount(days, values, width).astype(np.float64)


def interval(values: Floats) -> Floats:
    return np.array([np.percentile(values, share) for share in (2.5, 97.5)])


def calibration_errors(sample: Questions, model: int, weights: Floats) -> Floats:
    """Calibration error per resample; the weights have one row per resample, one column per day."""
    predicted = sample.probabilities[model]
    excess = np.zeros(len(weights))
    for each in range(BINS):
        inside = bins(predicted) == each
        excess += abs(weights @ daily((predicted - sample.outcomes) * inside, sample.days))
    return 100 * excess / (weights @ daily(np.ones(len(sample)), sample.days))


def test_scores_are_those_of_single_questions(conn: Connection, backtest: int) -> None:
    for dimension in DIMENSIONS:
        found = scores(conn, backtest, dimension, 0)
        parts = ASKED.parts[dimension]
        assert set(found) == {(m, p) for m in MODELS for p in np.unique(parts).tolist()}
        for (model, part), row in found.items():
            sample = ASKED.of(parts == part)
            predicted = sample.probabilities[MODELS.index(model)]
            came = sample.outcomes
            shares = [
                (sum(hit), came[hit]) for b in range(BINS) if any(hit := bins(predicted) == b)
            ]
            resolution = sum(n * (o.mean() - came.mean()) ** 2 for n, o in shares) / len(sample)
            assert row["questions"] == len(sample)
            assert row["base_rate"] == pytest.approx(100 * came.mean())
            assert row["brier"] == pytest.approx(np.mean((predicted - came) ** 2))
            assert row["log_loss"] == pytest.approx(losses(predicted, came).mean())
            assert row["resolution"] == pytest.approx(resolution)
            assert row["sharpness"] == pytest.approx(np.var(predicted))
            expected = sum(
                abs(predicted[bins(predicted) == b].sum() - came[bins(predicted) == b].sum())
                for b in range(BINS)
            )
            assert row["calibration_error"] == pytest.approx(100 * expected / len(sample))


def test_the_days_are_drawn_as_a_bootstrap_does(conn: Connection) -> None:
    counts = drawn(conn, 100, 1000)
    assert (counts.sum(axis=1) == 100).all()
    # Each count is binomial, of 100 draws with a chance of a hundredth.
    assert counts.mean(axis=0).min() > 0.85
    assert counts.mean(axis=0).max() < 1.15
    assert counts.var() == pytest.approx(0.99, rel=0.03)
    alike = np.array(np.corrcoef(counts))
    assert abs(alike[np.triu_indices(1000, 1)]).mean() < 0.1
    assert (drawn(conn, 100, 1000, seed=2) != counts).any()
    # More resamples begin with the same ones.
    np.testing.assert_array_equal(drawn(conn, 100, 50), counts[:50])


@pytest.mark.parametrize("blocks", [1, 7, 700])
def test_sums_are_those_of_the_days_that_were_drawn(conn: Connection, blocks: int) -> None:
    """Of any size, negative, constant or missing, and of more columns than are added at once."""
    dice = np.random.default_rng(blocks)
    table = dice.normal(0, 1, (30, blocks, 3)) * 10.0 ** dice.integers(-6, 9, (1, blocks, 3))
    table[:, 0, 1] = 1234.5
    table[3, :, 2] = 0
    given = table.tolist()
    given[3] = [[*block[:2], None] for block in given[3]]
    found = conn.execute(
        "SELECT r.resample, r.block, r.sums FROM upc._resampled_sums(%s, 20, 1) AS r",
        (given,),
    ).fetchall()
    expected = np.einsum("rd,dbk->rbk", drawn(conn, 30, 20), table)
    tolerance = 1e-6 * 30 * abs(table).max(axis=0)
    assert len(found) == 20 * blocks
    for resample, block, sums in found:
        off = abs(np.array(sums) - expected[resample - 1, block - 1])
        assert (off <= tolerance[block - 1]).all()


@pytest.mark.parametrize("dimension", ["all", "minutes", "hour"])
def test_intervals_are_those_of_resampled_questions(
    conn: Connection, backtest: int, dimension: str
) -> None:
    weights = drawn(conn, DAYS)
    parts = ASKED.parts[dimension]
    for (model, part), row in scores(conn, backtest, dimension, RESAMPLES).items():
        sample = ASKED.of(parts == part)
        number = MODELS.index(model)
        predicted = sample.probabilities[number]
        count = weights @ daily(np.ones(len(sample)), sample.days)
        loss = weights @ daily(losses(predicted, sample.outcomes), sample.days) / count
        brier = weights @ daily((predicted - sample.outcomes) ** 2, sample.days) / count
        error = calibration_errors(sample, number, weights)
        low, high = row["calibration_error"] + interval(error) - np.median(error)
        for name, expected in (
            ("log_loss", interval(loss)),
            ("brier", interval(brier)),
            ("calibration_error", (max(low, 0), high)),
        ):
            assert (row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx(expected, rel=1e-4)
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]


def test_the_interval_is_as_wide_as_the_standard_error_says(
    conn: Connection, backtest: int
) -> None:
    found = scores(conn, backtest)
    for number, model in enumerate(MODELS):
        row = found[model, 0]
        loss = losses(ASKED.probabilities[number], ASKED.outcomes)
        # Every day has as many questions: the mean of all is the mean of the days' means.
        means = daily(loss, ASKED.days) / daily(np.ones(len(loss)), ASKED.days)
        error = means.std(ddof=1) / np.sqrt(DAYS)
        width = row["log_loss_high"] - row["log_loss_low"]
        assert width == pytest.approx(2 * 1.96 * error, rel=0.15)
        # The questions of a day err together: taken one by one they would promise too much.
        assert error > 1.5 * loss.std() / np.sqrt(len(loss))


def test_scores_are_the_same_again(conn: Connection, backtest: int) -> None:
    first = scores(conn, backtest, "minutes", RESAMPLES)
    assert scores(conn, backtest, "minutes", RESAMPLES) == first
    other = scores(conn, backtest, "minutes", RESAMPLES, 2)
    assert all(other[key]["log_loss"] == row["log_loss"] for key, row in first.items())
    assert any(other[key]["log_loss_low"] != row["log_loss_low"] for key, row in first.items())


def test_verdict_is_paired(conn: Connection, backtest: int) -> None:
    weights = drawn(conn, DAYS)
    found = rows(conn, "SELECT * FROM upc.backtest_verdict('BTC', %s, %s)", backtest, RESAMPLES)
    loss = np.array([losses(predicted, ASKED.outcomes) for predicted in ASKED.probabilities])
    best = int(loss.mean(axis=1).argmin())
    opponents = [MODELS[k] for k in np.argsort(loss.mean(axis=1)) if k != best]
    assert [(row["opponent"], row["minutes"]) for row in found] == [
        (opponent, minutes) for opponent in opponents for minutes in (None, 2, 15, 60)
    ]
    single = scores(conn, backtest, "all", RESAMPLES)
    for row in found:
        minutes = ASKED.parts["minutes"]
        chosen = np.ones(len(ASKED), bool) if row["minutes"] is None else minutes == row["minutes"]
        mine = loss[best]
        other = loss[MODELS.index(row["opponent"])]
        days = ASKED.days[chosen]
        differences = weights @ daily((mine - other)[chosen], days)
        differences /= weights @ daily(np.ones(len(days)), days)
        assert row["model"] == MODELS[best]
        assert row["log_loss"] == pytest.approx(mine[chosen].mean())
        assert row["opponent_log_loss"] == pytest.approx(other[chosen].mean())
        assert row["difference"] == pytest.approx((mine - other)[chosen].mean())
        found_interval = (row["difference_low"], row["difference_high"])
        width = np.ptp(found_interval)
        assert found_interval == pytest.approx(interval(differences), abs=1e-3 * width)
        if row["minutes"] is None:
            alone = single[row["model"], 0]
            assert width < 0.5 * (alone["log_loss_high"] - alone["log_loss_low"])


def test_reliability(conn: Connection, backtest: int) -> None:
    weights = drawn(conn, DAYS)
    found = rows(conn, "SELECT * FROM upc.backtest_reliability('BTC', %s, %s)", backtest, RESAMPLES)
    assert [(row["model"], row["bin"]) for row in found] == [
        (model, number)
        for model, predicted in zip(MODELS, ASKED.probabilities, strict=True)
        for number in np.unique(bins(predicted)).tolist()
    ]
    for row in found:
        predicted = ASKED.probabilities[MODELS.index(row["model"])]
        inside = bins(predicted) == row["bin"]
        days, came = ASKED.days[inside], ASKED.outcomes[inside]
        assert row["questions"] == inside.sum()
        assert row["probability"] == pytest.approx(100 * predicted[inside].mean())
        assert row["observed"] == pytest.approx(100 * came.mean())
        shares = weights @ daily(came, days) / (weights @ daily(np.ones(len(days)), days))
        assert (row["observed_low"], row["observed_high"]) == pytest.approx(
            100 * interval(shares), abs=1e-3
        )


def test_reliability_by_odds(conn: Connection, backtest: int) -> None:
    # The weeks that the days are in: the first day was a Monday.
    assert FIRST_DAY.isoweekday() == 1
    weeks = ASKED.days // 7
    count = int(weeks.max()) + 1
    weights = drawn(conn, count)
    found = rows(conn, "SELECT * FROM upc.backtest_odds('BTC', %s, %s)", backtest, RESAMPLES)
    assert [(row["model"], row["bin"]) for row in found] == [
        (model, number)
        for model, predicted in zip(MODELS, ASKED.probabilities, strict=True)
        for number in np.unique(odds(predicted)).tolist()
        if number >= 0
    ]
    assert {row["bin"] for row in found} == set(range(10))
    edges = 100 * expit(np.linspace(logit(0.002), logit(0.998), 11))
    for row in found:
        predicted = ASKED.probabilities[MODELS.index(row["model"])]
        inside = odds(predicted) == row["bin"]
        came = ASKED.outcomes[inside]
        assert (row["prob_from"], row["prob_to"]) == pytest.approx(edges[row["bin"] :][:2])
        assert row["prob_from"] <= row["probability"] <= row["prob_to"]
        assert row["questions"] == inside.sum()
        assert row["probability"] == pytest.approx(100 * predicted[inside].mean())
        assert row["observed"] == pytest.approx(100 * came.mean())
        shares = weights @ daily(came, weeks[inside], count)
        shares /= weights @ daily(np.ones(len(came)), weeks[inside], count)
        assert (row["observed_low"], row["observed_high"]) == pytest.approx(
            100 * interval(shares), abs=1e-3
        )


def test_a_backtest_that_was_run_before_has_no_odds(conn: Connection) -> None:
    backtest = store(conn, questions(5, 10))
    conn.execute("DELETE FROM upc_data.backtest_score WHERE dimension = 'odds'")
    assert rows(conn, "SELECT * FROM upc.backtest_odds('BTC', %s)", backtest) == []


def test_parts_that_few_days_have(conn: Connection) -> None:
    """A resample may hold none of those days: it has nothing on them."""
    sample = ASKED.of((ASKED.parts["hour"] != 3) | (ASKED.days == 5))
    backtest = store(conn, sample)
    weights = drawn(conn, DAYS)
    assert (weights[:, 5] == 0).any()
    found = scores(conn, backtest, "hour", RESAMPLES)
    for model in MODELS:
        row = found[model, 3]
        # One day, however often it is drawn, has one score.
        assert row["log_loss_low"] == pytest.approx(row["log_loss"], rel=1e-6)
        assert row["log_loss_high"] == pytest.approx(row["log_loss"], rel=1e-6)
        assert found[model, 4]["log_loss_low"] < found[model, 4]["log_loss"]


def test_one_day_and_one_model(conn: Connection) -> None:
    sample = questions(2, 1, models=["gaussian"])
    backtest = store(conn, sample)
    row = scores(conn, backtest)["gaussian", 0]
    assert row["log_loss_low"] == pytest.approx(row["log_loss"])
    assert row["log_loss_high"] == pytest.approx(row["log_loss"])
    assert rows(conn, "SELECT * FROM upc.backtest_verdict('BTC', %s)", backtest) == []


def test_without_resamples_there_are_no_intervals(conn: Connection, backtest: int) -> None:
    for function in ("scores", "reliability", "odds", "verdict"):
        arguments = "'minutes', " if function == "scores" else ""
        query = f"SELECT * FROM upc.backtest_{function}('BTC', %s, {arguments}%s)"
        with_bounds, without = (rows(conn, query, backtest, number) for number in (10, 0))
        bounds = {name for name in without[0] if name.endswith(("_low", "_high"))}
        assert bounds
        for full, bare in zip(with_bounds, without, strict=True):
            assert all(bare[name] is None for name in bounds)
            assert bare == {**full, **dict.fromkeys(bounds)}


def test_backtests_do_not_mix(conn: Connection, backtest: int) -> None:
    before = scores(conn, backtest, "all", 10)
    store(conn, questions(3, 20))
    store(conn, questions(4, 20), "ETH")
    assert scores(conn, backtest, "all", 10) == before


@pytest.mark.parametrize(
    ("sqlstate", "call"),
    [
        ("UP002", "upc.backtest_scores('DOGE', 1)"),
        ("UP002", "upc.backtest_scores(NULL, 1)"),
        ("UP022", "upc.backtest_scores('BTC', 77)"),
        ("UP022", "upc.backtest_scores('BTC', NULL)"),
        ("UP022", "upc.backtest_scores('ETH', 1)"),
        ("UP022", "upc.backtest_reliability('BTC', 77)"),
        ("UP022", "upc.backtest_odds('BTC', 77)"),
        ("UP022", "upc.backtest_odds('BTC', 1, -1)"),
        ("UP022", "upc.backtest_verdict('BTC', 77)"),
        ("UP022", "upc.backtest_scores('BTC', 1, 'week')"),
        ("UP022", "upc.backtest_scores('BTC', 1, NULL)"),
        ("UP022", "upc.backtest_scores('BTC', 1, 'all', -1)"),
        ("UP022", "upc.backtest_scores('BTC', 1, 'all', 10001)"),
        ("UP022", "upc.backtest_scores('BTC', 1, 'all', NULL)"),
        ("UP022", "upc.backtest_scores('BTC', 1, seed => NULL)"),
        ("UP022", "upc.backtest_reliability('BTC', 1, -1)"),
        ("UP022", "upc.backtest_verdict('BTC', 1, -1)"),
    ],
)
def test_refusals(conn: Connection, backtest: int, sqlstate: str, call: str) -> None:
    assert backtest == 1
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(f"SELECT * FROM {call}".encode())
    assert caught.value.sqlstate == sqlstate
    assert caught.value.diag.message_detail
    assert caught.value.diag.message_hint


def test_an_unfinished_backtest_is_refused(conn: Connection) -> None:
    backtest = store(conn, questions(2, 1), completed_at=None)
    with pytest.raises(psycopg.Error) as caught:
        scalar(conn, "SELECT count(*) FROM upc.backtest_scores('BTC', %s)", backtest)
    assert caught.value.sqlstate == "UP022"


# Two backtests side by side


@pytest.fixture(scope="module")
def other(module_dsn: str, backtest: int) -> int:
    """The same questions, answered with less of the truth; and a model that the first lacks."""
    with open_db(module_dsn) as conn:
        return store(conn, OTHER)


def worse(probabilities: Floats) -> Floats:
    answers: Floats = expit(0.6 * logit(np.clip(probabilities, 1e-9, 1 - 1e-9)) + 0.1)
    return answers


OTHER = replace(
    ASKED,
    models=(*MODELS[1:], "momentum:other"),
    probabilities=worse(np.roll(ASKED.probabilities, -1, axis=0)),
)


def test_comparison_is_paired(conn: Connection, backtest: int, other: int) -> None:
    weights = drawn(conn, DAYS)
    found = rows(conn, "SELECT * FROM upc.backtest_comparison('BTC', %s, %s, 200)", backtest, other)
    parts = (None, 2, 15, 60)
    assert [(row["model"], row["minutes"]) for row in found] == [
        (model, part) for model in MODELS[1:] for part in parts
    ]
    minutes = ASKED.parts["minutes"]
    for row in found:
        chosen = np.ones(len(ASKED), bool) if row["minutes"] is None else minutes == row["minutes"]
        mine = ASKED.probabilities[MODELS.index(row["model"])]
        theirs = OTHER.probabilities[OTHER.models.index(row["model"])]
        days, truth = ASKED.days[chosen], ASKED.outcomes
        counts = weights @ daily(np.ones(len(days)), days)
        assert row["questions"] == chosen.sum()
        for name, prefix, one, two in (
            ("log_loss", "", losses(mine, truth), losses(theirs, truth)),
            ("brier", "brier_", (mine - truth) ** 2, (theirs - truth) ** 2),
        ):
            assert row[name] == pytest.approx(one[chosen].mean())
            assert row[f"other_{name}"] == pytest.approx(two[chosen].mean())
            less = (one - two)[chosen]
            assert row[f"{prefix}difference"] == pytest.approx(less.mean())
            limits = interval(weights @ daily(less, days) / counts)
            ends = [row[f"{prefix}difference_{end}"] for end in ("low", "high")]
            assert ends == pytest.approx(limits, abs=1e-3 * np.ptp(limits))


def test_comparison_with_itself_and_from_the_other_side(
    conn: Connection, backtest: int, other: int
) -> None:
    query = "SELECT * FROM upc.backtest_comparison('BTC', %s, %s, 100) ORDER BY model, minutes"
    for row in rows(conn, query, other, other):
        found = [row[f"difference{end}"] for end in ("", "_low", "_high")]
        assert found == pytest.approx([0, 0, 0], abs=1e-12)
    there, back = rows(conn, query, backtest, other), rows(conn, query, other, backtest)
    for one, two in zip(there, back, strict=True):
        assert one["difference"] == -two["difference"]
        assert one["difference_low"] == pytest.approx(-two["difference_high"], rel=1e-3)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"step": 100.0}, "step"),
        ({"levels": 4}, "levels"),
        ({"settlement": "average", "close_minute": 1}, "settlement"),
        ({"kind": "range"}, "kind"),
        ({"minutes": [2, 15, 30]}, "minutes"),
        ({"test_to": "2024-03-01 00:00+00"}, "test_to"),
    ],
)
def test_comparison_of_other_questions_is_refused(
    conn: Connection, backtest: int, changed: dict[str, Any], named: str
) -> None:
    number = store(conn, questions(1, 2), **changed)
    with pytest.raises(psycopg.Error) as caught:
        rows(conn, "SELECT * FROM upc.backtest_comparison('BTC', %s, %s)", backtest, number)
    assert caught.value.sqlstate == "UP022"
    assert named in str(caught.value.diag.message_detail)


def test_comparison_of_other_candles_and_symbols_is_refused(
    conn: Connection, backtest: int
) -> None:
    """Candles that were filled in between the backtests; questions by settings alike."""
    fewer = store(conn, ASKED.of(np.arange(len(ASKED)) > 0))
    eth = store(conn, questions(1, 2), "ETH")
    for number, named in ((fewer, "1 days, the first one 2024-01-01"), (eth, "symbol")):
        with pytest.raises(psycopg.Error) as caught, conn.transaction():
            rows(conn, "SELECT * FROM upc.backtest_comparison('BTC', %s, %s)", backtest, number)
        assert caught.value.sqlstate == "UP022"
        assert named in str(caught.value.diag.message_detail)
