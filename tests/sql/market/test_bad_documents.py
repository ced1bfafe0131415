"""Documents that are wrong in any way: refused by name, or taken as far as they are right."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from tests.support.contracts import NOW, Row, load_all, market, rows
from tests.support.engine import Connection, scalar, walk

BUILT = {"BTC": walk(170, "2026-03-02", 600, price=97_000)}


def above(event: str = "KXBTCD-A", strike: float = 96_999.99, **fields: Any) -> Row:
    name = fields.pop("name", f"T{strike}")
    return market(
        name, event, event_ticker=event, strike_type="greater", floor_strike=strike, **fields
    )


def within(event: str = "KXBTC-A", low: float = 97_000, **fields: Any) -> Row:
    bounds = {"strike_type": "between", "floor_strike": low, "cap_strike": low + 99.99, **fields}
    return market(f"B{low + 50:.0f}", event, event_ticker=event, **bounds)


def up(**fields: Any) -> Row:
    event = "KXBTC15M-A"
    named = {"strike_type": "greater_or_equal", "floor_strike": 97_512.34, **fields}
    return market("00", event, event_ticker=event, **named)


def refused(conn: Connection, document: Any, symbol: str | None = None) -> str | None:
    """The SQLSTATE; and nothing was taken."""
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        conn.execute("SELECT * FROM upc.load_market(%s, %s)", (Jsonb(document), symbol))
    assert scalar(conn, "SELECT count(*) FROM upc_data.market_event") == 0
    assert caught.value.diag.message_hint
    return caught.value.sqlstate


def stored(conn: Connection) -> list[tuple[Any, ...]]:
    found = rows(
        conn,
        "SELECT symbol, event_ticker, ticker, lower, upper FROM upc_data.market_quote"
        " ORDER BY event_ticker, lower NULLS FIRST, ticker",
    )
    return [tuple(row.values()) for row in found]


def test_series_of_all_kinds_in_one_list(conn: Connection) -> None:
    found = load_all(conn, {"markets": [within(), above(), up(), above("KXETHD-A", 1999.99)]})
    assert [(row["event_symbol"], row["event_ticker"]) for row in found] == [
        ("BTC", "KXBTC-A"),
        ("BTC", "KXBTC15M-A"),
        ("BTC", "KXBTCD-A"),
        ("ETH", "KXETHD-A"),
    ]
    series = rows(conn, "SELECT series_ticker FROM upc_data.market_event ORDER BY event_ticker")
    assert [row["series_ticker"] for row in series] == ["KXBTC", "KXBTC15M", "KXBTCD", "KXETHD"]


def test_a_list_with_one_series_of_another_symbol_is_refused(conn: Connection) -> None:
    document = {"markets": [above(), above("KXETHD-A", 1999.99)]}
    assert refused(conn, document, "BTC") == "UP014"
    assert refused(conn, {"markets": [above(), above("KXNOBODY-A")]}) == "UP002"
    assert refused(conn, {"market": above("KXETHD-A")}, "BTC") == "UP014"


@pytest.mark.parametrize(
    "event_ticker", [None, "", "x" * 101, "KXBTCD-" + "x" * 1_000_000, 5, [], {}, True]
)
def test_a_market_of_no_event(conn: Connection, event_ticker: Any) -> None:
    wrong = {**above(), "event_ticker": event_ticker}
    for document in ({"markets": [above(), wrong]}, {"market": wrong}):
        assert refused(conn, document) in ("UP014", "UP002")
    del wrong["event_ticker"]
    assert refused(conn, {"markets": [wrong]}) == "UP014"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1", "1e5", "0x10", -1, "1,000", True, []])
@pytest.mark.parametrize("field", ["floor_strike", "yes_ask_dollars", "volume_fp"])
def test_numbers_that_are_none(conn: Connection, field: str, number: Any) -> None:
    assert refused(conn, {"markets": [above(), {**above(strike=1.0), field: number}]}) == "UP014"


@pytest.mark.parametrize(
    "time", ["infinity", "-infinity", "soon", "2026-02-31T00:00:00Z", 5, [], {}]
)
def test_times_that_are_none(conn: Connection, time: Any) -> None:
    assert refused(conn, {"markets": [{**above(), "close_time": time}]}) == "UP014"


def test_too_many(conn: Connection) -> None:
    """Of one event; a list may have as many of several."""
    many = [above(strike=k + 0.99) for k in range(2001)]
    assert refused(conn, {"markets": many}) == "UP014"
    halves = [*many[:1000], *(above("KXBTCD-B", k + 0.99) for k in range(1001))]
    assert [row["markets"] for row in load_all(conn, {"markets": halves})] == [1000, 1001]


def test_a_list_names_what_it_leaves_out(conn: Connection) -> None:
    quoted = """T1'; DROP TABLE upc_data.trade; --"$fn$"""
    [row] = load_all(
        conn,
        {
            "markets": [
                within(low=97_000),
                within(low=97_100, cap_strike=97_050),
                within(low=97_200, cap_strike=None),
                {**within(low=97_300), "title": "x" * 1_000_000},
                {**within(low=97_300), "ticker": f"KXBTC-A-{quoted}"},
                {**within(low=97_400), "strike_type": "quantum"},
            ]
        },
    )
    reasons = sorted(each.partition(": ")[2] for each in row["left_out"])
    assert reasons == [
        "bounds that cross",
        "no cap_strike",
        "strike_type quantum",
        "the bounds of another",
    ]
    assert [each[3] for each in stored(conn)] == [97_000, 97_300]
    assert scalar(conn, "SELECT length(title) FROM upc_data.market_event") == 300


def test_a_ticker_with_quotes_is_a_name(conn: Connection) -> None:
    name = """'"\\ $fn$ %s {}"""
    load_all(conn, {"market": above(name=name)})
    assert stored(conn)[0][2] == f"KXBTCD-A-{name}"
    query = "SELECT upc.open_trade(%s, 'yes', 0.5, 1, at => %s)"
    assert scalar(conn, query, f"KXBTCD-A-{name}", NOW) is not None


def test_a_strike_that_changes_replaces_the_old_one(conn: Connection) -> None:
    load_all(conn, {"markets": [above(strike=96_999.99, name="X"), above(strike=97_249.99)]})
    load_all(conn, {"market": above(strike=97_499.99, name="X")})
    assert [each[3] for each in stored(conn)] == [97_250, 97_500]
    strikes = scalar(conn, "SELECT strikes FROM upc_data.market_event")
    assert strikes == [97_250, 97_500]
    # Another one has it already: of the two the first name stays, the other one is named.
    [row] = load_all(
        conn, {"markets": [above(strike=97_249.99, name="X"), above(strike=97_249.99)]}
    )
    assert len(row["left_out"]) == 1
    assert [each[3] for each in stored(conn)] == [97_250]


def test_a_price_to_beat_that_comes_late_and_changes(conn: Connection) -> None:
    """In the shape of GET /markets/{ticker}, too."""
    waiting = up(floor_strike=None, status="initialized", yes_sub_title="Target price: TBD")
    for document, bound in (
        (waiting, []),
        ({**waiting, "status": "active"}, [None]),
        (up(yes_sub_title="Target Price: $97,512.34"), [Decimal("97512.34")]),
        (
            up(floor_strike=97_512.35, yes_sub_title="Target Price: $97,512.34"),
            [Decimal("97512.35")],
        ),
        (up(floor_strike=97_600, yes_sub_title="Target Price: $97,512.34"), []),
        (up(floor_strike=97_600), [Decimal(97_600)]),
    ):
        load_all(conn, {"market": document})
        assert [each[3] for each in stored(conn)] == bound


@pytest.mark.parametrize(
    "document",
    [
        *(None, 1, "text", True, [], {}, [above()], {"market": []}, {"market": None}),
        *({"markets": []}, {"markets": {}}, {"markets": "x"}, {"markets": [None]}),
        *({"markets": [[]]}, {"markets": [1, "a"]}, {"data": {"markets": []}}, {"event": {}}),
        *({"event": None, "markets": [above()]}, {"event": [], "markets": [above()]}),
        {"event": {"event_ticker": "KXBTCD-A"}, "markets": [None]},
        {"event": {"event_ticker": "KXBTCD-A"}, "markets": []},
    ],
)
def test_what_is_no_document(conn: Connection, document: Any) -> None:
    assert refused(conn, document) == "UP014"


# Anything at all in the place of anything.

TEXTS = st.sampled_from(
    ["", "NaN", "-1", "1e9", "0.5", "99999999999999999999", "active", "yes", "2026-06-01T15:00:00Z"]
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)
FULL: Row = {
    "event": {
        "event_ticker": "KXBTC-A",
        "series_ticker": "KXBTC",
        "title": "Price?",
        "strike_date": "2026-06-01T15:00:00Z",
        "exchange_index": 2,
        "markets": [
            {
                **within(),
                "yes_bid_dollars": "0.10",
                "yes_ask_dollars": "0.12",
                "no_bid_dollars": "0.88",
                "no_ask_dollars": "0.90",
                "yes_bid_size_fp": "3.00",
                "yes_ask_size_fp": "4.50",
                "volume_fp": "10.00",
                "result": "",
                "expiration_value": "",
                "custom_strike": {"round_digits": "2"},
                "settlement_value_dollars": None,
                "rules_primary": "The average of the sixty seconds decides.",
                "yes_sub_title": "$97,000 to 97,099.99",
            },
            within(low=97_100),
        ],
    }
}
PLACES = st.sampled_from(
    [
        *((("event", key)) for key in FULL["event"]),
        *(("event", "markets", 0, key) for key in FULL["event"]["markets"][0]),
        ("event", "markets", 1),
        ("event",),
    ]
)


@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=st.lists(st.tuples(PLACES, VALUES), min_size=1, max_size=3), is_list=st.booleans())
def test_anything_in_the_place_of_anything(
    conn: Connection, changes: list[tuple[tuple[Any, ...], Any]], is_list: bool
) -> None:
    """It is refused by name, or what is stored is sound; a tick and the tables go on."""
    document = copy.deepcopy(FULL)
    for place, value in changes:
        at: Any = document
        for step in place[:-1]:
            at = at[step] if isinstance(at, (dict, list)) and _has(at, step) else None
        if isinstance(at, dict) or (isinstance(at, list) and place[-1] in range(len(at))):
            at[place[-1]] = value
    if is_list and isinstance(document["event"], dict):
        document = {"markets": document["event"].get("markets")}
    with conn.transaction(force_rollback=True):
        refusal = None
        try:
            with conn.transaction():
                load_all(conn, document)
        except psycopg.Error as error:
            refusal = error
        if refusal is not None:
            assert refusal.sqlstate in ("UP002", "UP014"), refusal
            assert scalar(conn, "SELECT count(*) FROM upc_data.market_event") == 0
            return
        for row in rows(conn, "SELECT * FROM upc_data.market_quote"):
            assert row["symbol"] == "BTC"
            for name in ("yes_bid", "yes_ask", "no_bid", "no_ask", "settlement_value"):
                assert row[name] is None or 0 <= row[name] <= 1
            if row["lower"] is not None and row["upper"] is not None:
                assert row["lower"] < row["upper"]
        [event] = rows(conn, "SELECT * FROM upc_data.market_event")
        assert event["settlement"] in (None, "average", "trimmed", "close")
        conn.execute(
            "SELECT * FROM upc.contract_table('BTC', '2026-06-01T14:30Z', price => 97000,"
            " model => 'baseline')"
        ).fetchall()


def _has(container: Any, step: Any) -> bool:
    if isinstance(container, dict):
        return step in container
    return isinstance(step, int) and step < len(container)
