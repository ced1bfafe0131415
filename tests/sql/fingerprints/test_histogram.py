"""Every cell of every fingerprint against the brute force, to the last bit."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from tests.support import brute_force
from tests.support.engine import (
    Candles,
    Connection,
    assert_equal,
    assert_equal_counts,
    build,
    flat,
    minute,
    put,
    read_candles,
    scalar,
    stored_curves,
    stored_histogram,
    walk,
)

START = minute("2026-03-02T00:00")


def assert_counted(
    conn: Connection, candles: Candles, symbol: str = "BTC"
) -> brute_force.Histogram:
    """Load, build, compare counts and curves."""
    put(conn, symbol, candles)
    assert build(conn, symbol) > 0
    expected = brute_force.histogram(candles.minutes, candles.closes)
    newest = int(brute_force.years_of(candles.minutes).max())
    assert_equal_counts(stored_histogram(conn, symbol), expected)
    assert_equal(stored_curves(conn, symbol), brute_force.curves(expected, newest))
    return expected


def takes_exact_path(conn: Connection, candles: Candles) -> bool:
    closes = candles.closes.tolist()
    return bool(scalar(conn, "SELECT upc._price_decimals(%s::float8[]) IS NULL", closes))


@pytest.mark.slow
def test_month_with_the_long_gap(conn: Connection, shared_data: Path) -> None:
    candles = read_candles(shared_data / "btc_1m_2022_2024.csv.gz", "2023-03")
    assert len(candles.minutes) == 31 * 1440 - 80
    cells = assert_counted(conn, candles)
    assert {bucket for _, bucket, _ in cells} == {*range(-30, 31), brute_force.BASELINE}


@pytest.mark.slow
def test_two_years_with_two_weights(conn: Connection, shared_data: Path) -> None:
    path = shared_data / "btc_1m_2022_2024.csv.gz"
    cells = assert_counted(conn, read_candles(path, "2023-12", "2024-01"))
    assert {year for year, _, _ in cells} == {2023, 2024}


@pytest.mark.slow
def test_month_of_another_symbol(conn: Connection, shared_data: Path) -> None:
    assert_counted(conn, read_candles(shared_data / "eth_1m_2024.csv.gz", "2024-08"), "ETH")


@pytest.mark.parametrize("share", [0.001, 0.02, 0.3, 0.9])
def test_missing_minutes(conn: Connection, share: float) -> None:
    assert_counted(conn, walk(1, "2026-02-27T20:00", 2000).without(share, seed=2))


def test_counts_of_many_digits(conn: Connection) -> None:
    """More pairs in a bucket than one digit of a packed counter holds, and a few far out."""
    length = 20 * 1440
    closes = np.full(length, 100.0)
    closes[7000:7010], closes[21_000] = 50.0, 250.0
    minutes = range(START, START + length)
    cells = assert_counted(conn, flat(minutes, closes.tolist()))
    cell = cells[2026, brute_force.BASELINE, 60]
    assert cell.pairs == length - 60
    assert min(cell.positive[0], cell.negative[0]) > 20_000
    assert min(cell.positive[59], cell.negative[59]) > 0


def test_long_gaps(conn: Connection) -> None:
    parts = [walk(3, since, 200) for since in ("2026-01-01", "2026-01-01T04:00", "2026-01-09")]
    assert_counted(conn, parts[0] + parts[1] + parts[2])


def test_one_missing_minute_costs_six_momenta(conn: Connection) -> None:
    """A momentum of the histogram wants the candles exactly 1, 2, 3, 4, 15, 30 minutes before."""
    whole = flat(range(START, START + 100), [100.0] * 100)
    cells = assert_counted(conn, whole.where(whole.minutes != START + 50))
    # Of 99 candles 30 come too early for a momentum and 6 look back at the gap. The pairs of one
    # minute lose the last candle, and the one before the gap.
    assert cells[2026, brute_force.BASELINE, 1].pairs == 97
    assert cells[2026, 0, 1].pairs == 69 - 6 - 2


@pytest.mark.parametrize("unit", [1e-8, 0.01, 1.0, 12.5, 4096.0, 500_000_000.01])
def test_exact_moves_one_by_one(conn: Connection, unit: float) -> None:
    """2000 units to 2000 + k units is a move of exactly k times 0.05 %."""
    by_distance = dict(enumerate([*range(-3, 4), 31, 58, 59, 60, 70, -31, -58, -59, -60, -70], 1))
    minutes, closes = [], []
    for distance, k in by_distance.items():
        first = START + 200 * distance
        minutes += [first, first + distance]
        closes += [float(f"{step * unit:.15g}") for step in (2000, 2000 + k)]
    put(conn, "BTC", flat(minutes, closes))
    build(conn)
    found = stored_curves(conn)
    assert found.keys() == {(brute_force.BASELINE, distance) for distance in by_distance}
    for (_, distance), curve in found.items():
        k = by_distance[distance]
        assert curve.sample_size == 1
        assert curve.positive.tolist() == [100.0 if step <= k else 0.0 for step in range(60)]
        assert curve.negative.tolist() == [100.0 if -step >= k else 0.0 for step in range(60)]


@pytest.mark.parametrize(
    ("start", "end", "up", "down"),
    [
        (20_000_000.00, 20_010_000.00, 2, 0),
        (20_000_000.00, 20_009_999.99, 1, 0),
        (20_000_000.00, 19_990_000.00, 0, 2),
        (20_000_000.00, 19_990_000.01, 0, 1),
        (2000.00000001, 2001.00000001, 1, 0),
        (20_000.00000001, 20_010.00000001, 1, 0),
        (20_000.00000001, 20_010.00000002, 2, 0),
        (0.00020000, 0.00020010, 2, 0),
        (0.00020001, 0.00020011, 1, 0),
        (99_999_999_999_999.8, 99_999_999_999_999.9, 1, 0),
    ],
)
def test_a_hair_beside_an_exact_move(
    conn: Connection, start: float, end: float, up: int, down: int
) -> None:
    """`up` and `down`: how many thresholds are reached, the first of them being zero."""
    put(conn, "BTC", flat([START, START + 1], [start, end]))
    build(conn)
    curve = stored_curves(conn)[brute_force.BASELINE, 1]
    assert curve.positive.tolist() == [100.0] * up + [0.0] * (60 - up)
    assert curve.negative.tolist() == [100.0] * down + [0.0] * (60 - down)


@pytest.mark.parametrize("cents", [2000, 20_000, 4_000_000])
def test_many_exact_moves(conn: Connection, cents: int) -> None:
    """Up and down by multiples of 0.05 % to 3.5 %, from the same price again and again."""
    step = cents // 2000
    moved = chain.from_iterable((cents, cents + k * step) for k in [*range(-70, 71), 0, 0, 1])
    closes = [value / 100 for value in moved]
    assert_counted(conn, flat(range(START, START + len(closes)), closes))


def test_no_move_counts_in_both_directions(conn: Connection) -> None:
    put(conn, "BTC", flat(range(START, START + 40), [67_123.45] * 40))
    build(conn)
    for curve in stored_curves(conn).values():
        assert curve.positive.tolist() == curve.negative.tolist() == [100.0] + [0.0] * 59


@pytest.mark.parametrize(
    ("price", "digits", "is_exact_path"),
    [
        (0.00001234, 8, False),
        (0.00000002, 12, False),
        (1.5, 6, False),
        (25_000, 0, False),
        (40_000, 4, False),
        (2_600_000_000, 2, False),
        (2_900_000_000, 2, True),
        (123_456_789, 6, True),
        (98_765.4321, 10, True),
    ],
)
def test_prices_of_all_sizes(
    conn: Connection, price: float, digits: int, is_exact_path: bool
) -> None:
    candles = walk(5, "2026-03-01T21:00", 600, price=price, digits=digits, volatility=2e-4)
    assert takes_exact_path(conn, candles) is is_exact_path
    assert_counted(conn, candles)


def test_prices_of_very_different_sizes(conn: Connection) -> None:
    tiny = walk(6, "2026-03-01", 90, price=0.00001234, digits=8)
    large = walk(7, "2026-03-01T02:00", 90, price=123_456_789, digits=2)
    assert takes_exact_path(conn, tiny + large)
    assert_counted(conn, tiny + large)


@pytest.mark.parametrize("since", ["2025-12-31T22:30", "2024-02-28T23:00", "2024-12-31T23:58"])
def test_pairs_across_a_midnight(conn: Connection, since: str) -> None:
    """The year of a pair is that of its starting minute."""
    cells = assert_counted(conn, walk(8, since, 180))
    years = {year for year, _, _ in cells}
    assert years == ({2024} if "02-28" in since else {int(since[:4]), int(since[:4]) + 1})


@pytest.mark.slow
def test_weights_fall_to_one_and_stay_there(conn: Connection) -> None:
    """The new years of 2017 to 2026, an hour and a half on both sides, thinned out."""
    nights = [walk(year, f"{year}-12-31T22:30", 180, volatility=2e-4) for year in range(2016, 2026)]
    whole = nights[0]
    for night in nights[1:]:
        whole += night
    cells = assert_counted(conn, whole.without(0.05, seed=9))
    assert {year for year, _, _ in cells} == set(range(2016, 2027))


def test_weights_by_hand(conn: Connection) -> None:
    """One rise in the newest year and one pair without any in each of the years before."""
    minutes = [minute(f"{year}-06-01") + k for year in range(2020, 2027) for k in (0, 1)]
    closes = [100.0, 100.0] * 6 + [100.0, 101.0]
    put(conn, "BTC", flat(minutes, closes))
    # A fit of the volatility would look at every day of the years.
    assert scalar(conn, "SELECT upc.build_fingerprints('BTC', refits => false)") > 0
    curve = stored_curves(conn)[brute_force.BASELINE, 1]
    # 5 for 2026; 4, 3, 2 and three times 1 for the years before.
    assert curve.sample_size == 7
    assert curve.positive[1] == 100 * 5 / 17
    assert curve.negative[0] == 100 * 12 / 17


def test_a_new_year_changes_all_weights(conn: Connection) -> None:
    old = walk(10, "2023-12-30", 300)
    new = walk(11, "2026-01-01", 2)
    put(conn, "BTC", old)
    build(conn)
    put(conn, "BTC", new)
    build(conn)
    whole = old + new
    assert_equal(stored_curves(conn), brute_force.fingerprints(whole.minutes, whole.closes))


def test_curves_fall_with_the_threshold(conn: Connection) -> None:
    assert_counted(conn, walk(12, "2026-01-01", 900))
    for curve in stored_curves(conn).values():
        for direction in (curve.positive, curve.negative):
            assert np.all(np.diff(direction) <= 0)
            assert direction.min() >= 0
            assert direction.max() <= 100
        assert curve.positive[0] + curve.negative[0] >= 100 - 1e-12
