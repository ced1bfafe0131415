"""compute_strikes: its columns, its laws, and what it refuses."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.support import brute_force
from tests.support.engine import Connection, build, open_db, put, scalar, walk

BTC = walk(70, "2026-01-05", 2000, price=97_000)
ETH = walk(71, "2026-01-05", 400, price=3400)
COLUMNS = [
    ("strike", "double precision"),
    ("buffer", "double precision"),
    ("move_percent", "double precision"),
    ("direction", "text"),
    ("prob_beyond", "double precision"),
    ("prob_within", "double precision"),
    ("positive_prob", "double precision"),
    ("negative_prob", "double precision"),
    ("prob_above", "double precision"),
    ("sample_size", "bigint"),
    ("fingerprint", "text"),
    ("prob_low", "double precision"),
    ("prob_high", "double precision"),
    ("deviation", "double precision"),
]
NAMES = [name for name, _ in COLUMNS[:11]]
PROPERTY = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

prices = st.floats(1, 1e7)
momenta = st.none() | st.floats(-100, 100)
times = st.integers(0, 4000)
steps = st.none() | st.floats(0.01, 5000)
numbers_of_levels = st.integers(0, 60)

Row = dict[str, Any]


@pytest.fixture(scope="module")
def built(module_dsn: str) -> dict[str, brute_force.Curves]:
    histories = {"BTC": BTC, "ETH": ETH}
    with open_db(module_dsn) as connection:
        for symbol, candles in histories.items():
            put(connection, symbol, candles)
            build(connection, symbol)
    return {
        symbol: brute_force.fingerprints(candles.minutes, candles.closes)
        for symbol, candles in histories.items()
    }


@pytest.fixture
def conn(conn: Connection, built: dict[str, brute_force.Curves]) -> Connection:
    return conn


def strikes(conn: Connection, price: float | None, **arguments: Any) -> list[Row]:
    named = "".join(f", {name} => %({name})s" for name in arguments)
    query = f"SELECT * FROM upc.compute_strikes(%(price)s{named})"
    rows = conn.execute(query.encode(), {"price": price, **arguments})
    return [dict(zip([name for name, _ in COLUMNS], row, strict=True)) for row in rows]


def test_columns(conn: Connection) -> None:
    rows = conn.execute("SELECT * FROM upc.compute_strikes(97250)")
    types = {
        oid: name for oid, name in conn.execute("SELECT oid, format_type(oid, NULL) FROM pg_type")
    }
    assert [(c.name, types[c.type_code]) for c in rows.description or []] == COLUMNS
    assert len(rows.fetchall()) == 21


def test_signature(conn: Connection) -> None:
    arguments = scalar(
        conn, "SELECT pg_get_function_arguments('upc.compute_strikes'::regproc)"
    ).replace("::text", "")
    assert arguments.startswith(
        "price double precision, momentum double precision DEFAULT NULL::double precision, "
        "symbol text DEFAULT 'BTC', ttc_seconds integer DEFAULT NULL::integer, "
        "step double precision DEFAULT NULL::double precision, levels integer DEFAULT 10, "
        "method text DEFAULT 'nearest'"
    )


@pytest.mark.parametrize("function", ["compute_strikes", "probability", "momentum"])
def test_volatility(conn: Connection, function: str) -> None:
    query = "SELECT provolatile, proparallel FROM pg_proc WHERE oid = %s::regproc"
    assert conn.execute(query, (f"upc.{function}",)).fetchall() == [("s", "s")]


@pytest.mark.parametrize(
    ("price", "arguments", "base"),
    [
        (97_250, {}, 97_250),
        (97_374.99, {}, 97_250),
        (97_125, {}, 97_000),  # 388.5 steps
        (97_375, {}, 97_500),  # 389.5 steps
        (97_375.01, {}, 97_500),
        (3410, {"symbol": "ETH"}, 3400),  # 170.5 steps
        (3430, {"symbol": "ETH"}, 3440),  # 171.5 steps
        (3431.2, {"symbol": "ETH"}, 3440),
        (97_050, {"step": 100}, 97_000),
        (97_150, {"step": 100}, 97_200),
        (97_150.3, {"step": 0.5}, 97_150.5),
    ],
)
def test_strikes_around_the_base(
    conn: Connection, price: float, arguments: Row, base: float
) -> None:
    """The nearest multiple of the step; half to even."""
    step = arguments.get("step") or {"ETH": 20}.get(arguments.get("symbol", "BTC"), 250)
    found = [row["strike"] for row in strikes(conn, price, **arguments)]
    assert found == [base + k * step for k in range(-10, 11)]


def test_strikes_at_or_below_zero_are_left_out(conn: Connection) -> None:
    assert [r["strike"] for r in strikes(conn, 600)] == [250.0 * k for k in range(1, 13)]
    assert [r["strike"] for r in strikes(conn, 100)] == [250.0 * k for k in range(1, 11)]
    assert [r["strike"] for r in strikes(conn, 0.5, levels=1)] == [250.0]
    assert strikes(conn, 100, levels=0) == []


@pytest.mark.parametrize("levels", [0, 1, 10, 500])
def test_levels(conn: Connection, levels: int) -> None:
    found = [row["strike"] for row in strikes(conn, 200_000, levels=levels)]
    assert found == [200_000 + 250.0 * k for k in range(-levels, levels + 1)]


def test_by_hand(conn: Connection, built: dict[str, brute_force.Curves]) -> None:
    """15 minutes to close, a momentum of 0.4: bucket 0. 97,000 and one step on both sides."""
    curve = built["BTC"][0, 15]
    below, middle, above = strikes(
        conn, 97_010, momentum=0.4, ttc_seconds=900, levels=1, method="nearest"
    )
    name = "btc_fingerprint_directional_momentum_000"
    # 260 below is 0.268 %: 0.25 % is the nearest threshold. 10 is 0.0103 %: none at all. 240
    # above is 0.247 %: 0.25 %.
    for row, strike, buffer, column in (
        (below, 96_750, 260, 5),
        (middle, 97_000, 10, 0),
        (above, 97_250, 240, 5),
    ):
        is_above = strike > 97_010
        positive, negative = float(curve.positive[column]), float(curve.negative[column])
        assert row["prob_low"] <= row["prob_above"] <= row["prob_high"]
        assert {name: row[name] for name in NAMES} == {
            "strike": strike,
            "buffer": buffer,
            "move_percent": 100 * buffer / 97_010,
            "direction": "above" if is_above else "below",
            "prob_beyond": positive if is_above else negative,
            "prob_within": 100 - (positive if is_above else negative),
            "positive_prob": positive,
            "negative_prob": negative,
            "prob_above": positive if is_above else 100 - negative,
            "sample_size": curve.sample_size,
            "fingerprint": name,
        }


def test_a_strike_at_the_price_is_below(conn: Connection) -> None:
    [row] = strikes(conn, 97_250, levels=0)
    assert (row["direction"], row["buffer"], row["move_percent"]) == ("below", 0, 0)


@PROPERTY
@given(price=prices, momentum=momenta, ttc=times, step=steps, levels=numbers_of_levels)
def test_laws(
    conn: Connection,
    price: float,
    momentum: float | None,
    ttc: int,
    step: float | None,
    levels: int,
) -> None:
    rows = strikes(conn, price, momentum=momentum, ttc_seconds=ttc, step=step, levels=levels)
    width = step or 250
    found = [row["strike"] for row in rows]
    assert found == sorted(found)
    assert len(rows) <= 2 * levels + 1
    assert all(strike > 0 for strike in found)
    if price > (levels + 1) * width:
        assert len(rows) == 2 * levels + 1
        assert abs(found[levels] - price) <= width / 2 * (1 + 1e-9)
    for row in rows:
        assert row["buffer"] == abs(price - row["strike"])
        assert row["move_percent"] == 100 * row["buffer"] / price
        assert row["prob_within"] == 100 - row["prob_beyond"]
        is_above = row["direction"] == "above"
        assert is_above == (row["strike"] > price)
        assert row["prob_beyond"] == row["positive_prob" if is_above else "negative_prob"]
        assert row["prob_above"] == (row["prob_beyond"] if is_above else row["prob_within"])
        assert 0 <= row["prob_above"] <= 100
    assert len({(row["sample_size"], row["fingerprint"]) for row in rows}) <= 1


@PROPERTY
@given(price=prices, momentum=momenta, ttc=times, step=steps)
def test_a_higher_strike_is_not_more_probable(
    conn: Connection, price: float, momentum: float | None, ttc: int, step: float | None
) -> None:
    """On each side of the price; across it, where steps are wider than the thresholds.

    Within half a threshold of the price both sides read the column of no move, and minutes without
    any move count in both directions. Across the price one side is 100 minus a rounded percentage:
    a third from above and from below differ in the last digit of a double.
    """
    rows = strikes(conn, price, momentum=momentum, ttc_seconds=ttc, step=step, levels=30)
    sides = [[r for r in rows if r["direction"] == side] for side in ("below", "above")]
    if (step or 250) / price * 100 > 0.051:
        sides = [rows]
    for side in sides:
        probabilities = [row["prob_above"] for row in side]
        assert all(lower >= higher - 1e-13 for lower, higher in pairwise(probabilities))


@PROPERTY
@given(price=prices, ttc=times, step=st.floats(0.01, 5000), power=st.integers(-20, 20))
def test_only_proportions_matter(
    conn: Connection, price: float, ttc: int, step: float, power: int
) -> None:
    """Powers of two scale doubles without rounding."""
    factor = 2.0**power
    plain = strikes(conn, price, ttc_seconds=ttc, step=step)
    scaled = strikes(conn, price * factor, ttc_seconds=ttc, step=step * factor)
    for row in plain:
        row["strike"] *= factor
        row["buffer"] *= factor
    assert scaled == plain


@PROPERTY
@given(price=prices, momentum=momenta, ttc=times, step=st.floats(1, 5000))
def test_probability_agrees(
    conn: Connection, price: float, momentum: float | None, ttc: int, step: float
) -> None:
    rows = strikes(conn, price, momentum=momentum, ttc_seconds=ttc, step=step, levels=3)
    assume(rows)
    names = ("prob_above", "positive_prob", "negative_prob", "move_percent", "sample_size")
    for row in rows:
        [found] = conn.execute(
            f"SELECT {', '.join(names)}, fingerprint "
            "FROM upc.probability(%s, %s, %s, ttc_seconds => %s)".encode(),
            (price, row["strike"], momentum, ttc),
        ).fetchall()
        assert found == (*(row[name] for name in names), row["fingerprint"])


def test_time_to_close_defaults_to_the_next_full_hour(conn: Connection) -> None:
    """The baseline's sample sizes differ from minute to minute, so they identify the row."""
    [(seconds, known, default, given_)] = conn.execute(
        """
        SELECT
            t.seconds,
            upc._seconds_to_hour(statement_timestamp()),
            (SELECT sample_size FROM upc.compute_strikes(97250, levels => 0)),
            (SELECT sample_size
             FROM upc.compute_strikes(97250, ttc_seconds => t.seconds, levels => 0))
        FROM (
            SELECT floor(3600 - extract(epoch FROM statement_timestamp()) % 3600)::integer
        ) AS t (seconds)
        """
    ).fetchall()
    assert default == given_
    assert known == seconds


@pytest.mark.parametrize(
    ("at", "seconds"),
    [
        ("2026-01-01 00:00:00+00", 3600),
        ("2026-01-01 00:00:00.000001+00", 3599),
        ("2026-01-01 00:00:01+00", 3599),
        ("2026-01-01 00:59:59+00", 1),
        ("2026-01-01 00:59:59.000001+00", 0),
        ("2026-01-01 00:59:59.999999+00", 0),
        ("2026-01-01 05:30:00+05:30", 3600),
        ("1969-12-31 23:59:00+00", 60),
    ],
)
def test_seconds_to_the_hour(conn: Connection, at: str, seconds: int) -> None:
    """Rounded down; the hours are those of UTC."""
    assert scalar(conn, "SELECT upc._seconds_to_hour(%s::timestamptz)", at) == seconds
