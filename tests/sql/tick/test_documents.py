"""Numbers as they stand in the JSON documents."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_UP, Decimal

from tests.support.engine import Connection


def test_two_decimals(db: Connection) -> None:
    """Half away from zero, where the 15 digits of a float say half; of any size."""
    dice = random.Random(7)
    values = [0.0, -0.0, 1.005, 12.125, 0.375, -0.125, 99.995, 100.0, 118_437.505, 999_999.995]
    values += [sign * k / 1000 for k in range(5, 100_000, 10) for sign in (1, -1)]
    values += [dice.uniform(-200, 200) for _ in range(5000)]
    values += [10 ** dice.uniform(-12, 18) for _ in range(5000)]
    values += [round(dice.uniform(0, 120_000), 2) for _ in range(2000)]
    rows = db.execute(
        "SELECT v, upc._two_decimals(v) FROM unnest(%s::float8[]) AS v", (values,)
    ).fetchall()
    for value, found in rows:
        expected = Decimal(f"{value:.15g}").quantize(Decimal("0.01"), ROUND_HALF_UP)
        assert str(found) == str(abs(expected) if expected == 0 else expected), value
    assert db.execute("SELECT upc._two_decimals(NULL)").fetchall() == [(None,)]
