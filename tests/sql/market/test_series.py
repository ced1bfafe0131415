"""Series: what settles them by their rules, their fees, and what has no edge for want of either."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.contracts import CLOSE, NOW, load, market, markets_of, rows
from tests.support.engine import Connection, scalar, walk

BUILT = {"BTC": walk(170, "2026-03-02", 600, price=97_000)}

AVERAGE = (
    "If the simple average of the sixty seconds of CF Benchmarks' Bitcoin Real-Time Index (BRTI)"
    " before 9 AM EDT is above 53200 at 9 AM EDT on Jul 10, 2026, then the market resolves to Yes."
)
TRIMMED = (
    "If the average of the sixty seconds before 9 AM EDT, of which the top and bottom 20% are left"
    " out, is above 53200, then the market resolves to Yes."
)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (AVERAGE, "average"),
        (AVERAGE.replace("sixty seconds", "60 seconds"), "average"),
        (AVERAGE.replace("the sixty seconds", "the last 60 one-second values"), "average"),
        (TRIMMED, "trimmed"),
        ("The trimmed mean of sixty values decides.", "trimmed"),
        ("The highest 12 and the lowest 12 of the prices are left out.", "trimmed"),
        ("The closing price at 5 PM decides.", "close"),
        ("The last traded price decides.", "close"),
        ("The average of closing prices decides.", None),
        (AVERAGE + " Else the closing price.", None),
        (AVERAGE.replace("sixty seconds", "fifteen minutes"), None),
        ("If Bitcoin is above 53200, then the market resolves to Yes.", None),
        ("", None),
        (None, None),
        ("average of the sixty " * 100_000, None),
    ],
)
def test_what_rules_say(conn: Connection, rules: str | None, expected: str | None) -> None:
    assert scalar(conn, "SELECT upc._rules_settlement(%s)", rules) == expected


def test_rules_of_real_contracts(conn: Connection, shared_data: Path) -> None:
    files = [*(shared_data / "kalshi").glob("*_active.json")]
    assert len(files) == 5
    conn.execute("UPDATE upc_data.series SET settlement = NULL")
    for path in files:
        load(conn, json.loads(path.read_text()))
    known = rows(
        conn,
        "SELECT DISTINCT settlement FROM upc_data.series WHERE series <> 'KXETHD'"
        " AND series <> 'KXETH15M'",
    )
    assert known == [{"settlement": "average"}]


def loaded(conn: Connection, *rules: str | None, at: Any = NOW) -> str | None:
    """Settlement of the series once an event with these rules is loaded, one per market."""
    markets = [
        market(
            str(k),
            strike_type="greater",
            floor_strike=96_999.99 + 250 * k,
            rules_primary=text,
            yes_ask_dollars="0.1000",
            no_ask_dollars="0.9000",
        )
        for k, text in enumerate(rules)
    ]
    load(conn, markets_of("KXBTCD", *markets), at)
    query = "SELECT settlement FROM upc_data.series WHERE series = 'KXBTCD'"
    found: str | None = scalar(conn, query)
    return found


def test_the_rules_of_an_event_correct_its_series(conn: Connection) -> None:
    assert loaded(conn, None, "") == "average"
    assert loaded(conn, TRIMMED, TRIMMED) == "trimmed"
    assert loaded(conn, None) == "trimmed"
    assert loaded(conn, AVERAGE, TRIMMED) is None
    assert loaded(conn, AVERAGE) == "average"
    others = "SELECT DISTINCT settlement FROM upc_data.series WHERE series <> 'KXBTCD'"
    loaded(conn, "Somebody decides.")
    assert rows(conn, others) == [{"settlement": "average"}]


def reasons(conn: Connection, seconds: int = 1200) -> tuple[set[str | None], bool]:
    """Why there is no edge, and whether there is a probability."""
    found = rows(
        conn,
        "SELECT edge_reason, prob_above, yes_edge, no_edge FROM upc.strike_table(97100, at => %s,"
        " ttc_seconds => %s, settlement => 'average', observed => 97100) WHERE ticker IS NOT NULL",
        *(NOW, seconds),
    )
    assert found
    for row in found:
        assert (row["edge_reason"] is None) is (row["yes_edge"] is not None)
    return {row["edge_reason"] for row in found}, all(
        row["prob_above"] is not None for row in found
    )


def ticked(conn: Connection) -> set[str | None]:
    conn.execute("SELECT upc.record_price('BTC', 'coinbase', 97100, %s, %s)", (NOW, NOW))
    [row] = rows(conn, "SELECT strike_table FROM upc.tick('BTC', 'database', at => %s)", NOW)
    found = json.loads(row["strike_table"])["strikes"]
    return {each["edge_reason"] for each in found if each["ticker"] is not None}


def test_unclear_rules_have_no_edge(conn: Connection) -> None:
    loaded(conn, AVERAGE, AVERAGE)
    assert (reasons(conn), ticked(conn)) == (({None}, True), {None})
    loaded(conn, "Somebody decides.", "Somebody decides.")
    assert (reasons(conn), ticked(conn)) == (({"rules_unclear"}, True), {"rules_unclear"})
    [row] = rows(conn, "SELECT yes_ask FROM upc_data.tick ORDER BY tick_id DESC LIMIT 1")
    assert row["yes_ask"] is None
    # A trimmed average is answered as the average until its minute begins.
    loaded(conn, TRIMMED, TRIMMED)
    assert (reasons(conn), ticked(conn)) == (({None}, True), {None})
    assert reasons(conn, 59) == ({"last_minute"}, True)
    loaded(conn, AVERAGE, AVERAGE)
    assert reasons(conn, 59) == ({None}, True)


def test_the_close_settles_where_the_rules_say_so(conn: Connection) -> None:
    query = "SELECT used_settlement FROM upc.complete_question('BTC', 1200)"
    assert scalar(conn, query) == "average"
    loaded(conn, "The closing price decides.")
    assert scalar(conn, query) == "close"
    loaded(conn, TRIMMED)
    assert scalar(conn, query) == "average"


def series(conn: Connection, **fields: Any) -> dict[str, Any]:
    document = {"series": {"ticker": "KXBTCD", "fee_type": "quadratic", **fields}}
    [row] = rows(conn, "SELECT * FROM upc.load_series(%s)", Jsonb(document))
    return row


def test_kalshis_series_corrects_the_fees(conn: Connection) -> None:
    assert series(conn, fee_multiplier=0.5)["is_changed"] is True
    assert series(conn, fee_multiplier="0.5") == {
        "symbol": "BTC",
        "series": "KXBTCD",
        "is_changed": False,
    }
    query = "SELECT fee_type, fee_multiplier, settlement FROM upc_data.series WHERE series = %s"
    [row] = rows(conn, query, "KXBTCD")
    assert row == {
        "fee_type": "quadratic",
        "fee_multiplier": Decimal("0.5"),
        "settlement": "average",
    }
    [other] = rows(conn, query, "KXBTC")
    assert other["fee_multiplier"] == 1


def test_fees_are_those_of_the_series(conn: Connection) -> None:
    """Makers pay where the series has maker fees, and a series is not charged as another."""
    loaded(conn, AVERAGE)
    fee = "SELECT upc._dollars_fee('BTC', 'E', 0.5, 100, false, %s)"
    # 7 and 1.75 percent of 100 · 0.5 · 0.5.
    assert [scalar(conn, fee, is_maker) for is_maker in (False, True)] == [
        Decimal("1.75"),
        Decimal("0.44"),
    ]
    series(conn, fee_multiplier=2)
    assert [scalar(conn, fee, is_maker) for is_maker in (False, True)] == [Decimal("3.5"), 0]
    conn.execute("UPDATE upc_data.series SET fee_multiplier = 3 WHERE series = 'KXBTC15M'")
    fifteen = market("A", "F", strike_type="greater_or_equal", floor_strike=97_000)
    load(conn, markets_of("KXBTC15M", fifteen, event="F"))
    fee = "SELECT upc._dollars_fee('BTC', 'F', 0.5, 100, false, false)"
    assert scalar(conn, fee) == Decimal("5.25")
    trade_id = scalar(conn, "SELECT upc.open_trade('F-A', 'yes', 0.5, 100, at => %s)", NOW)
    query = "SELECT buy_fee FROM upc_data.trade WHERE trade_id = %s"
    assert scalar(conn, query, trade_id) == Decimal("5.25")


@pytest.mark.parametrize("fee_type", ["flat", "cubic"])
def test_fees_without_a_formula_have_no_edge(conn: Connection, fee_type: str) -> None:
    loaded(conn, AVERAGE)
    series(conn, fee_type=fee_type)
    assert reasons(conn) == ({"rules_unclear"}, True)
    series(conn, fee_type="quadratic_with_maker_fees")
    assert reasons(conn) == ({None}, True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ticker": None},
        {"fee_type": None},
        {"fee_type": ""},
        {"fee_type": "x" * 1_000_000},
        {"fee_multiplier": -1},
        {"fee_multiplier": 101},
        {"fee_multiplier": "NaN"},
        {"fee_multiplier": []},
    ],
)
def test_what_is_no_series(conn: Connection, wrong: dict[str, Any]) -> None:
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        series(conn, **wrong)
    assert caught.value.sqlstate == "UP014"
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        series(conn, ticker="KXOTHER")
    assert caught.value.sqlstate == "UP002"
    assert CLOSE > NOW
