"""prob_low and prob_high: the interval that the sizes of the curve make, whatever answers."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.support.engine import Connection
from tests.support.imported import coded, import_set
from tests.support.readings import (
    METHODS,
    MODELS,
    PLAIN_MODELS,
    PRICE,
    SETTLEMENTS,
    Floats,
    Row,
    column,
    strikes,
    table,
    volatile_candles,
)

HISTORY = volatile_candles(170, "2026-03-02", 4 * 1440)
STRIKES = (PRICE * (1 + np.linspace(-0.03, 0.03, 31))).tolist()
MOMENTA = (None, 1.2, -17.0)
TIMES = (60, 93, 1800, 2745, 3600)


BUILT = {"BTC": HISTORY}


def strike_rows(conn: Connection, momentum: float | None, ttc: int, **arguments: Any) -> list[Row]:
    return strikes(conn, momentum=momentum, ttc_seconds=ttc, strikes=STRIKES, **arguments)


def sizes(
    conn: Connection, view: str, momentum: float | None, ttc: int, method: str
) -> tuple[float, float]:
    """Effective and weighted size of a row, or between two of them."""
    bucket = 99 if momentum is None else round(momentum)
    minutes = ttc / 60
    place = int(minutes) if method == "linear" else int(np.ceil(minutes - 0.5))
    share = minutes - place if method == "linear" else 0.0
    one, *other = (
        sizes_of(conn, view, bucket, minute) for minute in sorted({place, min(60, place + 1)})
    )
    after = other[0] if other else one
    effective, weighted = (
        (1 - share) * one[name] + share * after[name]
        for name in ("effective_size", "weighted_size")
    )
    if view == "volatility_curve":
        weighted = one["weighted_size"]
    return effective, weighted


def sizes_of(conn: Connection, view: str, bucket: int, minutes: int) -> Row:
    [base, *own] = table(
        conn,
        f"SELECT effective_size, weighted_size FROM upc.{view} WHERE symbol = 'BTC' "
        "AND minutes = %s AND bucket IN (%s, 99) ORDER BY bucket DESC",
        minutes,
        bucket,
    )
    return own[0] if own else base


def interval(conn: Connection, above: Floats, effective: float, weighted: float) -> Floats:
    rows = conn.execute(
        "SELECT upc._interval_low(p, s.spread), upc._interval_high(p, s.spread) "
        "FROM unnest(%s::float8[]) WITH ORDINALITY AS a (p, k) "
        "CROSS JOIN LATERAL (SELECT upc._interval_spread(p, %s, %s) AS spread) AS s ORDER BY k",
        (above.tolist(), effective, weighted),
    )
    return np.array(rows.fetchall())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_of_the_curve_that_answered(conn: Connection, model: str, method: str) -> None:
    view = "volatility_curve" if model == "volatility" else "fingerprint_curve"
    for momentum, ttc in product(MOMENTA, TIMES):
        used = None if model == "baseline" else momentum
        effective, weighted = sizes(conn, view, used, ttc, method)
        rows = strike_rows(conn, momentum, ttc, model=model, method=method)
        expected = interval(conn, column(rows, "prob_above"), effective, weighted)
        found = np.column_stack([column(rows, "prob_low"), column(rows, "prob_high")])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("settlement", SETTLEMENTS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_the_probability_lies_in_it(
    conn: Connection, model: str, method: str, settlement: str
) -> None:
    for momentum, ttc in product(MOMENTA, (0, 1, 45, *TIMES)):
        rows = strike_rows(
            conn,
            momentum,
            ttc,
            model=model,
            method=method,
            settlement=settlement,
            observed=PRICE + 11,
        )
        low, above, high = (column(rows, f"prob_{name}") for name in ("low", "above", "high"))
        assert np.all(low >= 0)
        assert np.all(low <= above)
        assert np.all(above <= high)
        assert np.all(high <= 100)


def test_less_is_known_of_a_bucket_than_of_the_baseline(conn: Connection) -> None:
    widths = {}
    for model in PLAIN_MODELS:
        [row] = strikes(
            conn, momentum=3, ttc_seconds=1800, model=model, strikes=[PRICE + 1], method="linear"
        )
        widths[model] = row["prob_high"] - row["prob_low"]
    assert widths["baseline"] < widths["momentum"]


@pytest.mark.parametrize("method", METHODS)
def test_unknown_for_imported_numbers(conn: Connection, method: str) -> None:
    import_set(conn, coded([-3, 4], [5, 60], ["0", "0.1", "0.5"]), "ETH")
    for model, settlement in product(PLAIN_MODELS, SETTLEMENTS):
        rows = strikes(
            conn,
            3000.0,
            momentum=2,
            symbol="ETH",
            ttc_seconds=700,
            method=method,
            model=model,
            settlement=settlement,
        )
        assert {(row["prob_low"], row["prob_high"]) for row in rows} == {(None, None)}
        assert {row["sample_size"] for row in rows} == {None}
