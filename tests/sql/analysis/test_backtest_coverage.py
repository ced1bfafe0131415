"""Coverage of a backtest, worked out in numpy from its counts and the sizes of its curves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.support.engine import Connection, open_db, put, scalar
from tests.support.readings import Floats, Row, table
from tests.support.volatile_candles import volatile_candles

Z2 = 1.959963984540054**2
BASELINE = 99
MINUTES = (2, 15)
CANDLES = volatile_candles(145, "2025-12-26", 10 * 1440)


@pytest.fixture(scope="module")
def tested(module_dsn: str) -> Iterator[tuple[Connection, int]]:
    """A backtest that was trained in two months, and tested for three days."""
    with open_db(module_dsn) as conn:
        put(conn, "BTC", CANDLES)
        number = scalar(
            conn,
            "SELECT upc.begin_backtest('BTC', '2025-12-26', '2026-01-02', '2026-01-02', "
            "'2026-01-05', '{momentum:linear, volatility:linear}', %s)",
            list(MINUTES),
        )
        for (step,) in conn.execute(
            "SELECT step FROM upc.backtest_steps('BTC', %s) ORDER BY step", (number,)
        ).fetchall():
            conn.execute("SELECT upc.run_backtest_step('BTC', %s, %s)", (number, step))
        yield conn, number


def curves(conn: Connection, number: int, moves: str, weight: str, stride: int) -> list[Row]:
    """Curves of counts, with their sizes, whose formulas have tests of their own."""
    text = scalar(
        conn,
        "SELECT upc._curve_query(%s, %s)",
        "SELECT h.symbol, h.year, h.bucket, h.minutes, h.pairs, h.positive, h.negative, "
        f"{weight} AS weight FROM upc_data.backtest_histogram AS h "
        f"WHERE h.backtest_id = {number} AND h.moves = '{moves}' AND h.pairs > 0",
        stride,
    )
    return table(conn, text.replace("%", "%%"))


def sampling(percent: Floats, effective: float, weighted: float) -> Floats:
    apart = Z2 * (1 / effective - 1 / weighted)
    scaled = 0.02 * (percent - 50) / (1 + Z2 / effective)
    return np.asarray(Z2 / weighted + apart * (1 - scaled**2) ** (1 / 6))


def covered(percent: Floats, spread: Floats, came: Floats) -> tuple[int, float]:
    middle = (percent + 50 * spread) / (1 + spread)
    half = np.sqrt(spread * percent * (100 - percent) + 2500 * spread**2) / (1 + spread)
    return int(np.sum(np.abs(came - middle) <= half)), float(np.sum(2 * half))


def drift(conn: Connection, number: int, minutes: int, side: str) -> Floats:
    months = table(
        conn,
        f"SELECT extract(year FROM month)::int AS year, pairs, {side} AS counts "
        "FROM upc_data.backtest_month WHERE backtest_id = %s AND minutes = %s ORDER BY month",
        number,
        minutes,
    )
    assert [row["year"] for row in months] == [2025, 2026]
    weights = np.array([4 * months[0]["pairs"], 5 * months[1]["pairs"]])
    weights = weights / weights.sum()
    count = 1 / np.sum(weights**2)
    shares = np.array([np.array(row["counts"]) / row["pairs"] for row in months])
    mean = weights @ shares
    variance = weights @ (shares - mean) ** 2 * count / (count - 1)
    ahead = 3 / (365.25 / 12)
    found: list[float] = []
    for p, v in zip(mean, variance, strict=True):
        known = Z2 * (v * (1 / count + 1 / ahead) / (p * (1 - p)) + 0.0009) if 0 < p < 1 else None
        found.append(known if known is not None else found[-1])
    return np.array(found)


def reported(conn: Connection, number: int, moves: str) -> Row:
    [row] = table(
        conn,
        "SELECT * FROM upc.backtest_coverage('BTC', %s) WHERE moves = %s",
        number,
        moves,
    )
    return row


def assert_reported(row: Row, judged: list[tuple[Floats, Floats, Floats]]) -> None:
    cells = sum(len(percent) for percent, _, _ in judged)
    results = [covered(*one) for one in judged]
    assert (row["cells"], row["covered"]) == (cells, sum(held for held, _ in results))
    assert 0 < row["covered"] < cells
    assert row["coverage"] == pytest.approx(100 * row["covered"] / cells)
    assert row["mean_width"] == pytest.approx(sum(width for _, width in results) / cells)


def test_standardised_moves(tested: tuple[Connection, int]) -> None:
    conn, number = tested
    rows = curves(conn, number, "standardised", "CASE h.year WHEN 2025 THEN 4 ELSE 5 END", 2)
    ahead = curves(conn, number, "tested standardised", "1", 2)
    judged = []
    for row in rows:
        [base] = [
            one for one in rows if (one["bucket"], one["minutes"]) == (BASELINE, row["minutes"])
        ]
        came = [
            one
            for one in ahead
            if (one["bucket"], one["minutes"]) == (row["bucket"], row["minutes"])
        ]
        if not came:
            continue
        own = row["shrinkage"]
        effective, weighted = (
            1 / (own / row[size] + (1 - own) ** 2 / base[size])
            for size in ("effective_size", "weighted_size")
        )
        for side in ("positive", "negative"):
            said = np.array(base[side]) + own * (np.array(row[side]) - np.array(base[side]))
            spread = sampling(said, effective, weighted)
            spread = spread + drift(conn, number, row["minutes"], side)
            if row["bucket"] != BASELINE:
                spread = spread + sampling(
                    said, came[0]["effective_size"], came[0]["weighted_size"]
                )
            chosen = (said >= 0.2) & (said <= 99.8)
            judged.append((said[chosen], spread[chosen], np.array(came[0][side])[chosen]))
    assert_reported(reported(conn, number, "standardised"), judged)


def test_plain_moves(tested: tuple[Connection, int]) -> None:
    conn, number = tested
    rows = curves(conn, number, "plain", "CASE h.year WHEN 2025 THEN 4 ELSE 5 END", 1)
    ahead = {
        (row["bucket"], row["minutes"]): row for row in curves(conn, number, "tested plain", "1", 1)
    }
    judged = []
    for row in rows:
        came = ahead.get((row["bucket"], row["minutes"]))
        if came is None:
            continue
        for side in ("positive", "negative"):
            said = np.array(row[side])
            spread = sampling(said, row["effective_size"], row["weighted_size"])
            chosen = np.minimum(said, 100 - said) * row["effective_size"] >= 500
            judged.append((said[chosen], spread[chosen], np.array(came[side])[chosen]))
    assert_reported(reported(conn, number, "plain"), judged)
