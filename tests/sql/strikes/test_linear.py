"""The method linear, against scipy on the grid of whole curves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from tests.support import brute_force
from tests.support.engine import Connection, build, open_db, put, walk
from tests.support.imported import ImportedSet, coded, import_set, use
from tests.support.nearest_by_brute_force import Expected
from tests.support.readings import PRICE, Floats, Row, column, level, strikes

BTC = walk(140, "2026-01-05", 2500)
UNEVEN = coded([-8, 0, 3], [2, 3, 10, 45], ["0", "0.05", "0.2", "0.9", "1.7"])
WITHOUT_ZERO = coded([0, 9], [1, 30], ["0.1", "0.25", "1.5"], first=700)
ONE_CELL = coded([], [5], ["0"], first=900)
STRIKES = PRICE + 35 * np.arange(-130, 131, dtype=np.float64)
TIMES = [1, 7, 29, 59, 60, 61, 90, 150, 200, 333, 1234, 2699, 2701, 3599, 3600, 7200]
PROPERTY = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

momenta = st.none() | st.floats(-40, 40)
times = st.integers(0, 4000)


@pytest.fixture(scope="module")
def built(module_dsn: str) -> Expected:
    with open_db(module_dsn) as connection:
        put(connection, "BTC", BTC)
        build(connection)
    return Expected.built(brute_force.fingerprints(BTC.minutes, BTC.closes))


@pytest.fixture
def conn(conn: Connection, built: Expected) -> Connection:
    return conn


def strike_rows(
    conn: Connection, momentum: float | None, ttc: int, at: Floats = STRIKES
) -> list[Row]:
    return strikes(conn, momentum=momentum, ttc_seconds=ttc, method="linear", strikes=at.tolist())


def grids(found: Expected, momentum: float | None) -> tuple[Floats, Floats, Floats, Floats]:
    """Seconds, moves, and both sides of the fingerprint that answers, which meet at no move."""
    bucket = found.bucket(momentum)
    minutes = sorted(found.minutes[bucket])
    moves = np.array([float(threshold) for threshold in found.thresholds])
    up, down = (
        np.array([getattr(found.cells[bucket, m], side) for m in minutes], dtype=np.float64)
        for side in ("positive", "negative")
    )
    seconds = 60.0 * np.array(minutes)
    return seconds, moves, level(up, down, moves), level(down, up, moves)


def between(seconds: Floats, moves: Floats, grid: Floats, ttc: float, at: Floats) -> Floats:
    """In straight lines between the cells, level beyond them; before the first minute a move is
    looked up as the longer one that it is in proportion to the square root of time."""
    if ttc < seconds[0]:
        at = at / np.sqrt(ttc / seconds[0])
    # scipy asks for two points each way.
    if len(seconds) == 1:
        seconds, grid = np.append(seconds, seconds + 1), np.concatenate([grid, grid])
    if len(moves) == 1:
        moves, grid = np.append(moves, moves + 1), np.concatenate([grid, grid], axis=1)
    clipped = np.clip(at, moves[0], moves[-1])
    points = np.column_stack([np.full(len(at), np.clip(ttc, seconds[0], seconds[-1])), clipped])
    found: NDArray[np.float64] = RegularGridInterpolator((seconds, moves), grid)(points)
    return found


def assert_as_scipy(conn: Connection, found: Expected, momentum: float | None, ttc: int) -> None:
    rows = strike_rows(conn, momentum, ttc)
    seconds, moves, up, down = grids(found, momentum)
    at = 100 * np.abs(STRIKES - PRICE) / PRICE
    positive, negative = (between(seconds, moves, grid, ttc, at) for grid in (up, down))
    np.testing.assert_allclose(column(rows, "positive_prob"), positive, rtol=0, atol=1e-9)
    np.testing.assert_allclose(column(rows, "negative_prob"), negative, rtol=0, atol=1e-9)
    above = np.where(STRIKES > PRICE, positive, 100 - negative)
    np.testing.assert_allclose(column(rows, "prob_above"), above, rtol=0, atol=1e-9)
    assert {row["fingerprint"] for row in rows} == {found.name(momentum)}


@pytest.mark.parametrize("momentum", [None, -3.4, 0, 12])
def test_built(conn: Connection, built: Expected, momentum: float | None) -> None:
    for ttc in TIMES:
        assert_as_scipy(conn, built, momentum, ttc)


@pytest.mark.parametrize("found", [UNEVEN, WITHOUT_ZERO, ONE_CELL], ids=["uneven", "from", "one"])
def test_imported(conn: Connection, found: ImportedSet) -> None:
    import_set(conn, found)
    use(conn, "imported")
    for momentum in (None, -7.0, 0.0, 2.0):
        for ttc in TIMES:
            assert_as_scipy(conn, Expected.imported(found), momentum, ttc)


def test_by_hand(conn: Connection) -> None:
    """150 s are half of the way from 2 to 3 minutes; 0.125 % from 0.05 to 0.2 %."""
    import_set(conn, UNEVEN)
    use(conn, "imported")
    (two, _), (three, _) = UNEVEN.curves[0, 2], UNEVEN.curves[0, 3]
    [row] = strike_rows(conn, 0, 150, np.array([100_125.0]))
    expected = sum(float(number) for number in (*two[1:3], *three[1:3])) / 4
    assert row["prob_above"] == pytest.approx(expected, abs=1e-9)


def test_on_the_grid_it_is_the_nearest(conn: Connection) -> None:
    """Except for no move, which either side takes half of."""
    at = PRICE + 50 * np.arange(1, 60, dtype=np.float64)
    for ttc in (60, 900, 3600):
        linear = strike_rows(conn, 4, ttc, at)
        nearest = strikes(conn, momentum=4, ttc_seconds=ttc, strikes=at.tolist())
        np.testing.assert_allclose(
            column(linear, "prob_above"), column(nearest, "prob_above"), atol=1e-6
        )
        for row, other in zip(linear, nearest, strict=True):
            assert row["sample_size"] == other["sample_size"]


def test_nothing_moves_in_no_time(conn: Connection) -> None:
    rows = strike_rows(conn, 3, 0)
    for row in rows:
        certain = 100 if row["strike"] <= PRICE else 0
        assert row["prob_above"] == row["prob_low"] == row["prob_high"] == certain
    assert {row["prob_beyond"] for row in rows if row["strike"] != PRICE} == {0}


@PROPERTY
@given(momentum=momenta, ttc=times)
def test_laws(conn: Connection, momentum: float | None, ttc: int) -> None:
    rows = strike_rows(conn, momentum, ttc)
    above = column(rows, "prob_above")
    assert above.min() >= 0
    assert above.max() <= 100
    # Across the price too.
    assert np.all(np.diff(above) <= 1e-12)
    np.testing.assert_array_equal(column(rows, "prob_within"), 100 - column(rows, "prob_beyond"))


@PROPERTY
@given(momentum=momenta, ttc=st.integers(1, 4000))
def test_no_jump_between_strikes(
    conn: Connection, built: Expected, momentum: float | None, ttc: int
) -> None:
    """A dollar's difference is no more than the steepest stretch of the grid, also at the price."""
    seconds, moves, up, down = grids(built, momentum)
    steepest = max(np.abs(np.diff(grid) / np.diff(moves)).max() for grid in (up, down))
    unit = min(1, np.sqrt(ttc / seconds[0]))
    above = column(strike_rows(conn, momentum, ttc, PRICE + np.arange(-400.0, 401)), "prob_above")
    assert np.abs(np.diff(above)).max() <= steepest * (100 / PRICE) / unit + 1e-9


@PROPERTY
@given(momentum=momenta, ttc=st.integers(1, 4000))
def test_no_jump_between_seconds(
    conn: Connection, built: Expected, momentum: float | None, ttc: int
) -> None:
    seconds, moves, up, down = grids(built, momentum)
    now, then = (column(strike_rows(conn, momentum, t), "prob_above") for t in (ttc, ttc + 1))
    if ttc >= seconds[0]:
        slopes = (np.abs(np.diff(g, axis=0)) / np.diff(seconds)[:, None] for g in (up, down))
        bound = np.full(len(STRIKES), max(slope.max() for slope in slopes))
    else:
        steepest = max(np.abs(np.diff(grid[0]) / np.diff(moves)).max() for grid in (up, down))
        at = 100 * np.abs(STRIKES - PRICE) / PRICE
        bound = steepest * at * (np.sqrt(seconds[0] / ttc) - np.sqrt(seconds[0] / (ttc + 1)))
    assert np.all(np.abs(then - now) <= bound + 1e-9)


def test_level_beyond_the_grid(conn: Connection) -> None:
    far = np.array([PRICE * 1.0295, PRICE * 1.031, PRICE * 1.5, PRICE * 40])
    assert len({row["positive_prob"] for row in strike_rows(conn, 0, 3600, far)}) == 1
    longer = [column(strike_rows(conn, 0, ttc), "prob_above") for ttc in (3600, 3601, 10**9)]
    np.testing.assert_array_equal(longer[0], longer[1])
    np.testing.assert_array_equal(longer[0], longer[2])
