"""Kalshi's fees for a fill and an order, against its documentation of fee rounding."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.engine import Connection, scalar
from tests.support.trading import refused, set_to, table

CENT = Decimal("0.01")
DIRECT = Decimal("0.0001")

D = Decimal


def trade_fee(conn: Connection, **arguments: Any) -> Decimal:
    named = ", ".join(f"{name} => %({name})s" for name in arguments)
    [row] = table(conn, f"SELECT upc.trade_fee({named}) AS fee", arguments)
    fee: Decimal = row["fee"]
    return fee


@pytest.mark.parametrize(
    ("price", "each", "direct"),
    [
        # Cents of each of ten contracts: 0.70 · P · (1 - P) dollars of all, rounded up.
        *[("0.97", "0.30", "0.204"), ("0.83", "1.00", "0.988"), ("0.50", "1.80", "1.75")],
        *[("0.03", "0.30", "0.204"), ("0.01", "0.10", "0.07"), ("0.99", "0.10", "0.07")],
        *[("0", "0", "0"), ("1", "0", "0")],
    ],
)
def test_the_fee_of_ten(conn: Connection, price: str, each: str, direct: str) -> None:
    for precision, cents in ((None, each), (CENT, each), (DIRECT, direct)):
        fee = trade_fee(conn, price=D(price), count=10, account_precision=precision)
        assert 10 * fee == D(cents)
    set_to(conn, account_precision="0.0001")
    assert 10 * trade_fee(conn, price=D(price), count=10) == D(direct)


@pytest.mark.parametrize(
    ("arguments", "fee"),
    [
        # 0.0175 is rounded up to a cent that can be paid; a maker pays a quarter of it, 0.004375.
        ({"price": D("0.5")}, "0.02"),
        ({"price": D("0.5"), "is_maker": True}, "0.01"),
        ({"price": D("0.5"), "is_maker": True, "account_precision": DIRECT}, "0.0044"),
        ({"price": D("0.5"), "multiplier": 0}, "0"),
        ({"price": D("0.5"), "multiplier": D("0.5"), "account_precision": DIRECT}, "0.0088"),
        # 7 · 0.055 · 0.945 is 0.363825 cents, 0.0037 dollars: 0.0587 becomes 0.06 paid …
        ({"price": D("0.055")}, "0.005"),
        # … or 0.0513 becomes 0.05 received. Of a sale at 0.006 nothing is received.
        ({"price": D("0.055"), "is_sale": True}, "0.005"),
        ({"price": D("0.006"), "is_sale": True}, "0.006"),
        ({"price": D("0.006")}, "0.004"),
        ({"price": D("0.3301"), "count": D("0.03")}, "0.010097"),
        ({"price": D("0.3301"), "count": D("0.03"), "is_sale": True}, "0.009903"),
        ({"price": None}, None),
    ],
)
def test_the_fee_of_a_fill(conn: Connection, arguments: dict[str, Any], fee: str | None) -> None:
    found = trade_fee(conn, **arguments)
    assert found == (None if fee is None else D(fee))


@pytest.mark.parametrize(
    "arguments",
    [
        *["1.01", "-0.01", "'NaN'", "0.5, -1", "0.5, 'NaN'", "0.5, 'Infinity'"],
        *["0.5, 1, false, -1", "0.5, 1, false, 'NaN'", "0.5, 1, false, 1, 0"],
        *["0.5, 1, false, 1, -0.01", "0.5, 1, false, 1, 1.01", "0.5, 1, false, 1, 'NaN'"],
    ],
)
def test_what_cannot_be_traded_has_no_fee(conn: Connection, arguments: str) -> None:
    assert refused(conn, f"SELECT upc.trade_fee({arguments})") == "UP026"
    assert refused(conn, "SELECT upc.order_fees('{0.5}', '{1, 2}')") == "UP026"
    assert refused(conn, "SELECT upc.order_fees('{0.5}', '{1}', '{true, false}')") == "UP026"


# The tables of the documentation: model fee, rounding, accumulated, rebate, fee. The multiplier is
# the one with which 0.07 gives the model fee that they start from.
TABLES = [
    (
        *("0.055", "1", "2.33"),
        [
            ("0.0085", "0.0065", "0.0065", "0", "0.0150"),
            ("0.0085", "0.0065", "0.0130", "0.01", "0.0050"),
            ("0.0085", "0.0065", "0.0095", "0", "0.0150"),
        ],
    ),
    (
        *("0.50", "0.30", "0.78"),
        [
            ("0.0041", "0.0059", "0.0059", "0", "0.0100"),
            ("0.0041", "0.0059", "0.0118", "0.01", "0"),
            ("0.0041", "0.0059", "0.0077", "0", "0.0100"),
        ],
    ),
    (
        *("0.3301", "0.03", "1"),
        [
            ("0.0005", "0.009597", "0.009597", "0", "0.010097"),
            ("0.0005", "0.009597", "0.019194", "0.01", "0.000097"),
            ("0.0005", "0.009597", "0.018791", "0.01", "0.000097"),
        ],
    ),
]


@pytest.mark.parametrize(("price", "count", "multiplier", "expected"), TABLES)
def test_the_tables_of_the_documentation(
    conn: Connection, price: str, count: str, multiplier: str, expected: list[tuple[str, ...]]
) -> None:
    rows = table(
        conn,
        "SELECT * FROM upc.order_fees(%s::numeric[], %s::numeric[], multiplier => %s)",
        ([D(price)] * 3, [D(count)] * 3, D(multiplier)),
    )
    assert [row.pop("fill") for row in rows] == [1, 2, 3]
    assert [tuple(row.values()) for row in rows] == [tuple(map(D, each)) for each in expected]


def test_an_order_without_fills(conn: Connection) -> None:
    assert scalar(conn, "SELECT count(*) FROM upc.order_fees('{}', '{}')") == 0


EXAMPLES = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

FILL = st.tuples(
    st.decimals("0.0010", "0.9990", places=4),
    st.decimals("0.01", "40", places=2) | st.integers(1, 40).map(D),
    st.booleans(),
)


@EXAMPLES
@given(
    st.lists(FILL, min_size=1, max_size=12),
    st.sampled_from([D("0.5"), D(1), D("1.5")]),
    st.sampled_from([CENT, DIRECT]),
    st.booleans(),
)
def test_an_order_costs_as_the_documentation_says(
    conn: Connection,
    fills: list[tuple[Decimal, Decimal, bool]],
    multiplier: Decimal,
    precision: Decimal,
    is_sale: bool,
) -> None:
    rows = table(
        conn,
        """
        WITH o (p, c, m, x, a, s) AS (
            SELECT %s::numeric[], %s::numeric[], %s::boolean[], %s::numeric, %s::numeric, %s
        )
        SELECT f.*, upc.trade_fee(p[f.fill], c[f.fill], m[f.fill], x, a, s) AS alone
        FROM o, upc.order_fees(p, c, m, x, a, s) AS f
        """,
        (*map(list, zip(*fills, strict=True)), multiplier, precision, is_sale),
    )
    kept = D(0)
    for (price, count, is_maker), row in zip(fills, rows, strict=True):
        rate = D("0.0175") if is_maker else D("0.07")
        model = (multiplier * rate * count * price * (1 - price)).quantize(DIRECT, ROUND_CEILING)
        change = (1 if is_sale else -1) * price * count - model
        settled = change.quantize(precision, ROUND_FLOOR)
        kept += change - settled
        assert (row["model_fee"], row["rounding"]) == (model, change - settled)
        assert row["accumulated"] == kept
        # Whole cents, once more than one has added up, and no fee below nothing.
        rebate = row["rebate"]
        assert rebate % CENT == 0
        assert rebate >= 0
        assert row["fee"] == model + change - settled - rebate >= 0
        kept -= rebate
        assert kept >= 0
        assert kept <= CENT or row["fee"] < CENT
        assert row["fee"] + rebate == row["alone"]


@EXAMPLES
@given(
    st.integers(1, 99).map(lambda cents: D(cents) / 100),
    st.lists(st.integers(1, 40), min_size=1, max_size=12),
    st.booleans(),
)
def test_many_fills_cost_as_one(
    conn: Connection, price: Decimal, counts: list[int], is_sale: bool
) -> None:
    """At whole cents: to a cent of rounding, and a ten-thousandth of a dollar for each fill."""
    rows = table(
        conn,
        "SELECT fee FROM upc.order_fees(%s::numeric[], %s::numeric[], is_sale => %s)",
        ([price] * len(counts), counts, is_sale),
    )
    exact = D("0.07") * sum(counts) * price * (1 - price)
    total = sum(row["fee"] for row in rows)
    assert exact <= total <= exact + CENT + len(counts) * DIRECT
