"""Sub titles: the bounds that they name, and what is none."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.contracts import rows
from tests.support.engine import Connection

D = Decimal


def read(conn: Connection, title: str | None, unit: str = "0.01") -> tuple[Any, ...]:
    query = "SELECT * FROM upc._title_bounds(%s, %s)"
    [row] = rows(conn, query, title, D(unit))
    return row["lower"], row["upper"], row["is_read"]


@pytest.mark.parametrize(
    ("title", "lower", "upper"),
    [
        ("$118,500 or above", "118500", None),
        ("118500.5 or above", "118500.5", None),
        ("$1,234,567.891 Or Above", "1234567.891", None),
        ("$53,199.99 or below", None, "53200"),
        ("$53,200 to 53,299.99", "53200", "53300"),
        ("$53,200 to $53,299.99", "53200", "53300"),
        ("Above $100", "100.01", None),
        ("Below $100", None, "100"),
        ("Target Price: $67,628.90", "67628.90", None),
        ("Target price: $67,628.90", "67628.90", None),
        ("Price to beat: $67,628.90", "67628.90", None),
        ("Target price: TBD", None, None),
    ],
)
def test_what_is_read(conn: Connection, title: str, lower: str | None, upper: str | None) -> None:
    expected = [None if each is None else D(each) for each in (lower, upper)]
    assert read(conn, title) == (*expected, True)


def test_the_unit_is_that_of_the_event(conn: Connection) -> None:
    assert read(conn, "$0.3999999 or below", "0.0000001")[1] == D("0.4")
    assert read(conn, "$0.40 to 0.4099999", "0.0000001")[:2] == (D("0.40"), D("0.41"))


@pytest.mark.parametrize(
    "title",
    [
        *("", " ", "TBD", "Yes", "Up", "$", "$100", "100", "or above", " or above", "$ or above"),
        *("$$5 or above", "5$ or above", "1.2.3 or above", ",5 or above", "-5 or above"),
        *("5 or above or above", "above 5 or above", "above", "below ", "NaN or above"),
        *("1e5 or above", "Infinity or above", "\u0661 or above", "5 or above\n", "5\n or above"),
        *("5 to", " to 5", "5 to 6 to 7", "5 to x", "x to 5", "Target Price: ", "Target Price: x"),
        *("Target price: 5 or above", "x" * 1_000_000, "9" * 1_000_000 + " or above"),
        f"${'9' * 95} or above",
    ],
    ids=lambda title: repr(title)[:20],
)
def test_what_is_not_read(conn: Connection, title: str) -> None:
    assert read(conn, title)[2] is False


def test_without_a_title(conn: Connection) -> None:
    assert read(conn, None) == (None, None, False)
