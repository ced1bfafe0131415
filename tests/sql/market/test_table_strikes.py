"""The strikes that a strike table has."""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal

import pytest
from psycopg import Error

from tests.support.engine import Connection
from tests.support.trading import NOW, STRIKE, Row, load_event, table


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


# Those of an event.


def table_of(conn: Connection, price: float, levels: int = 10, **given: float) -> list[Row]:
    arguments = "".join(f", {name} => {value}" for name, value in given.items())
    return table(
        conn,
        f"SELECT * FROM upc.strike_table(%s, levels => %s, at => %s{arguments})",
        (price, levels, NOW),
    )


def nearest(strikes: Sequence[float], price: float, count: int) -> list[float]:
    """By brute force. No two are as near here."""
    exact = Decimal(repr(price))
    ranked = sorted(strikes, key=lambda strike: abs(Decimal(repr(strike)) - exact))
    return sorted(map(float, ranked[:count]))


def test_an_event_of_75_strikes_has_those_of_the_grid(conn: Connection) -> None:
    middle = 250 * round(STRIKE / 250)
    strikes = [middle + 250 * k for k in range(-37, 38)]
    load_event(conn, strikes=strikes)
    dice = random.Random(31)
    for _ in range(60):
        price = middle + dice.choice([125, -125, 375, 0, dice.uniform(-3000, 3000)])
        grid = table_of(conn, price, step=250)
        assert table_of(conn, price) == grid
        assert all(row["ticker"] for row in grid)


def test_the_nearest_strikes_of_an_event_wherever_they_lie(conn: Connection) -> None:
    """Off the grid, in uneven steps, and beside the price."""
    dice = random.Random(32)
    for _ in range(40):
        centre = STRIKE + dice.choice([0, 0, 20_000, -20_000])
        wide = dice.choice([10, 100, 250])
        strikes = sorted(
            {
                round(centre + dice.uniform(-40, 40) * wide, dice.choice([0, 2]))
                for _ in range(dice.randint(30, 120))
            }
        )
        price = round(STRIKE + dice.uniform(-20, 20) * wide, 3)
        levels = dice.choice([0, 3, 10])
        load_event(conn, strikes=strikes)
        rows = table_of(conn, price, levels)
        assert sorted(row["strike"] for row in rows) == nearest(strikes, price, 2 * levels + 1)
        assert all(row["ticker"] and row["yes_ask_dollars"] for row in rows)


def test_an_event_of_few_strikes_is_filled_up_from_the_grid(conn: Connection) -> None:
    middle = 250 * round(STRIKE / 250)
    strikes = [middle + k for k in (-260, -250, -10, 0, 10, 250)]
    load_event(conn, strikes=strikes)
    rows = table_of(conn, middle + 1.0)
    assert len(rows) == 21
    quoted = sorted(row["strike"] for row in rows if row["ticker"])
    assert quoted == [float(strike) for strike in strikes]


def test_a_step_that_is_asked_for_has_its_grid(conn: Connection) -> None:
    load_event(conn, strikes=[STRIKE + 7 * k for k in range(-20, 21)])
    rows = table_of(conn, STRIKE + 1.0, step=100)
    assert sorted(row["strike"] for row in rows) == [
        100.0 * (round(STRIKE / 100) + k) for k in range(-10, 11)
    ]
