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


def rounded(value: float) -> float:
    """Two decimals of the first 15 digits, half away from zero."""
    return float(Decimal(f"{value:.15g}").quantize(Decimal("0.01"), ROUND_HALF_UP)) + 0.0


def test_hundredths_of_decimals(db: Connection) -> None:
    """Any decimal of up to 15 digits, those that are half and their neighbours among them."""
    dice = random.Random(11)
    values = [0.0, -0.0, 2.675, 0.005, 0.0049, 99.995, -0.001, -0.005, 1e-300, 118_437.505]
    for _ in range(20_000):
        whole = dice.randrange(10 ** dice.randint(1, 11))
        half = Decimal(whole) / 100 + Decimal("0.005")
        room = 15 - len(f"{half:f}".replace(".", "").lstrip("0"))
        nearby = half + dice.choice((-1, 0, 1)) * Decimal(1).scaleb(-3 - max(room, 0))
        values.append(float(dice.choice((1, -1)) * nearby))
    rows = db.execute(
        "SELECT v, upc._hundredths(v), upc._hundredths(v)::text FROM unnest(%s::float8[]) AS v",
        (values,),
    ).fetchall()
    for value, found, text in rows:
        assert found == rounded(value), value
        assert text != "-0", value
        assert abs(found) > 1e14 or len(text.partition(".")[2]) <= 2, value
    assert db.execute("SELECT upc._hundredths(NULL)").fetchall() == [(None,)]


def test_exact_hundredths_of_differences(db: Connection) -> None:
    """Distances between a price in cents and a strike, in steps: half of them are near to half."""
    dice = random.Random(12)
    values = [-0.0, 0.334999999999991, 10.334999999999992, 2.675, -0.001]
    for step in (20, 250, 0.05, 3):
        for _ in range(10_000):
            strike = step * dice.randint(1, 500)
            values.append(abs(round(dice.uniform(1, 500 * step), 2) - strike) / step)
    values += [10 ** dice.uniform(-12, 14) for _ in range(5000)]
    rows = db.execute(
        "SELECT v, upc._exact_hundredths(v) FROM unnest(%s::float8[]) AS v", (values,)
    ).fetchall()
    for value, found in rows:
        assert found == rounded(value), value
    assert db.execute("SELECT upc._exact_hundredths(NULL)").fetchall() == [(None,)]
