"""The strikes that a strike table has."""

from __future__ import annotations

from decimal import Decimal

import pytest
from psycopg import Error

from tests.support.engine import Connection


@pytest.fixture(scope="module")
def module_dsn(trading_dsn: str) -> str:
    return trading_dsn


@pytest.mark.parametrize("step", [0.002, 0.05, 0.1, 2.5])
def test_a_fine_grid_has_no_digits_that_no_strike_has(conn: Connection, step: float) -> None:
    price = 204.4 * step
    rows = conn.execute(
        "SELECT s.strike FROM upc.strike_table(%s, step => %s, has_market => false) AS s",
        (price, step),
    ).fetchall()
    exact = Decimal(str(step))
    assert sorted(Decimal(repr(strike)) for (strike,) in rows) == [
        (204 + k) * exact for k in range(-10, 11)
    ]


@pytest.mark.parametrize(
    ("step", "levels", "sqlstate"),
    [
        (0.0, 10, "UP003"),
        (-0.5, 10, "UP003"),
        (float("nan"), 10, "UP003"),
        (float("inf"), 10, "UP003"),
        (0.5, 501, "UP004"),
        (0.5, None, "UP004"),
    ],
)
def test_refusals(conn: Connection, step: float, levels: int | None, sqlstate: str) -> None:
    with pytest.raises(Error) as refused:
        conn.execute("SELECT * FROM upc.strike_table(97, step => %s, levels => %s)", (step, levels))
    assert refused.value.sqlstate == sqlstate
