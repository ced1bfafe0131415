"""Bounds of contracts: of every type of strike, and of whatever else Kalshi's JSON may hold."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from tests.support.contracts import NOW, load, market, markets_of, stored
from tests.support.engine import Connection, scalar

D = Decimal


def loaded(conn: Connection, series: str, *markets: dict[str, Any]) -> dict[str, Any]:
    return load(conn, markets_of(series, *markets))


def bounds(conn: Connection, series: str, *markets: dict[str, Any]) -> list[Any]:
    """The stored quotes of an event of these markets, in the order of the markets."""
    loaded(conn, series, *markets)
    by_ticker = {row["ticker"]: (row["lower"], row["upper"]) for row in stored(conn)}
    return [by_ticker.get(each["ticker"]) for each in markets]


def symbol(conn: Connection, name: str) -> None:
    conn.execute("SELECT upc.add_symbol(%s, 1)", (name,))


@pytest.mark.parametrize(
    ("series", "fields", "expected"),
    [
        ("KXBTCD", {"strike_type": "greater", "floor_strike": 118499.99}, ("118500", None)),
        ("KXBTCD", {"strike_type": "greater", "floor_strike": 118500}, ("118500.01", None)),
        ("KXBTCD", {"strike_type": "greater_or_equal", "floor_strike": 118500}, ("118500", None)),
        ("KXSOLD", {"strike_type": "greater", "floor_strike": 139.9999}, ("140", None)),
        ("KXXRPD", {"strike_type": "greater", "floor_strike": 1.3799}, ("1.38", None)),
        ("KXBTC", {"strike_type": "less", "cap_strike": 53200}, (None, "53200")),
        ("KXBTC", {"strike_type": "less_or_equal", "cap_strike": 53199.99}, (None, "53200")),
        (
            "KXBTC",
            {"strike_type": "between", "floor_strike": 53200, "cap_strike": 53299.99},
            ("53200", "53300"),
        ),
        (
            "KXSOLE",
            {"strike_type": "between", "floor_strike": 99.5, "cap_strike": 99.7499},
            ("99.5", "99.75"),
        ),
        ("KXBTC15M", {"strike_type": "greater_or_equal", "floor_strike": 63441.03}, ("63441.03",)),
        # A cut float, with the digits that it is to be rounded to and without.
        (
            "KXBTC15M",
            {"strike_type": "greater_or_equal", "floor_strike": 67628.899999},
            ("67628.90",),
        ),
        (
            "KXBTC15M",
            {"floor_strike": "67628.899999", "custom_strike": {"round_digits": "4"}},
            ("67628.9",),
        ),
        (
            "KXXRP15M",
            {"floor_strike": 2.139949, "custom_strike": {"round_digits": "5"}},
            ("2.13995",),
        ),
        ("KXBTC15M", {"floor_strike": None, "yes_sub_title": "Target price: TBD"}, (None,)),
        ("KXBTC15M", {"strike_type": "greater_or_equal"}, (None,)),
    ],
)
def test_bounds(
    conn: Connection, series: str, fields: dict[str, Any], expected: tuple[str | None, ...]
) -> None:
    for name in ("SOL", "XRP", "DOGE"):
        symbol(conn, name)
    lower, upper = (None if each is None else D(each) for each in (*expected, None)[:2])
    assert bounds(conn, series, market("A", **fields)) == [(lower, upper)]


def test_exact_texts(conn: Connection) -> None:
    loaded(conn, "KXBTCD", market("A", strike_type="greater", floor_strike=117999.99))
    [row] = stored(conn)
    assert str(row["lower"]) == "118000.00"


def test_the_unit_is_that_of_the_whole_event(conn: Connection) -> None:
    symbol(conn, "SOL")
    first = market("A", strike_type="greater", floor_strike=139.99999)
    other = market("B", strike_type="greater", floor_strike=141.99)
    assert bounds(conn, "KXSOLD", first, other) == [(D(140), None), (D("141.99001"), None)]
    assert bounds(conn, "KXSOLD", other) == [(D("141.9901"), None)]


@pytest.mark.parametrize(
    ("ticker", "title", "expected"),
    [
        ("E-T0.4049999", "$0.405 or above", ("0.405", None)),
        ("E-T0.0949999", "$0.095 or above", ("0.095", None)),
        ("E-T0.405", "$0.405 or above", ("0.405", None)),
        ("E-T0.4049999", "$0.41 or above", "different strikes"),
        ("E-T0.41", "$0.405 or above", "different strikes"),
        ("E-T0.4049999", None, "sub title"),
        ("E-T0.4049999", "soon", "sub title"),
        ("E-DOGE", "$0.405 or above", "ticker"),
        ("E-T0.405", "$0.40499 or below", "not above a strike"),
    ],
)
def test_strikes_in_texts_alone(
    conn: Connection, ticker: str, title: str | None, expected: Any
) -> None:
    symbol(conn, "DOGE")
    fields: dict[str, Any] = {"floor_strike": None, "yes_sub_title": title, "strike_type": "custom"}
    row = loaded(conn, "KXDOGED", {**market("A", **fields), "ticker": ticker})
    if isinstance(expected, str):
        [reason] = row["left_out"]
        assert reason.startswith(f"{ticker}: ")
        assert expected in reason
        assert stored(conn) == []
    else:
        [found] = stored(conn)
        lower, upper = (None if each is None else D(each) for each in expected)
        assert (found["lower"], found["upper"]) == (lower, upper)
        assert row["left_out"] == []


def test_ranges_in_texts_alone(conn: Connection) -> None:
    symbol(conn, "DOGE")
    fields = {"strike_type": "custom", "yes_ask_dollars": "0.5"}
    row = loaded(
        conn,
        "KXDOGE",
        {**market("A", yes_sub_title="$0.40 to 0.4099999", **fields), "ticker": "E-B0.405"},
        {**market("A", yes_sub_title="$0.41 to 0.4199999", **fields), "ticker": "E-B0.425"},
        {**market("A", yes_sub_title="$0.3999999 or below", **fields), "ticker": "E-T0.4"},
        {**market("A", yes_sub_title="$0.42 or above", **fields), "ticker": "E-T0.4199999"},
    )
    assert [each.split(":")[0] for each in row["left_out"]] == ["E-B0.425"]
    found = {each["ticker"]: (each["lower"], each["upper"]) for each in stored(conn)}
    assert found == {
        "E-B0.405": (D("0.40"), D("0.41")),
        "E-T0.4": (None, D("0.4")),
        "E-T0.4199999": (D("0.42"), None),
    }


GOOD: dict[str, Any] = {"strike_type": "between", "floor_strike": 100, "cap_strike": 199.99}


@pytest.mark.parametrize(
    ("series", "fields"),
    [
        ("KXBTC", {"yes_sub_title": "$100 to 199.98"}),
        ("KXBTC", {"yes_sub_title": "$101 to 199.99"}),
        ("KXBTC", {"yes_sub_title": "$100 or above"}),
        ("KXBTC", {"yes_sub_title": "$1,000 to 199.99"}),
        ("KXBTC", {"yes_sub_title": "no number"}),
        ("KXBTC", {"yes_sub_title": "above $100 or above"}),
        ("KXBTC", {"yes_sub_title": "x" * 1_000_000}),
        ("KXBTC", {"yes_sub_title": "1" * 1_000_000}),
        ("KXBTC", {"cap_strike": None}),
        ("KXBTC", {"cap_strike": ""}),
        ("KXBTC", {"floor_strike": None}),
        ("KXBTC", {"floor_strike": None, "cap_strike": None}),
        ("KXBTC", {"cap_strike": 99.99}),
        ("KXBTC", {"cap_strike": 50}),
        ("KXBTC", {"strike_type": "greater", "floor_strike": None}),
        ("KXBTC", {"strike_type": "less", "cap_strike": None}),
        ("KXBTC", {"strike_type": "less_or_equal", "cap_strike": None}),
        ("KXBTC", {"strike_type": "functional"}),
        ("KXBTC", {"strike_type": "structured"}),
        ("KXBTC", {"strike_type": "x" * 1_000_000}),
        ("KXBTC", {"event_ticker": "ANOTHER"}),
        ("KXBTC", {"ticker": None}),
        ("KXBTC", {"ticker": ""}),
        ("KXBTC", {"ticker": "T" * 1_000_000}),
        ("KXBTCD", {}),
        ("KXBTCD", {"strike_type": "less", "floor_strike": None}),
        ("KXBTC15M", {}),
        ("KXBTC15M", {"strike_type": "less"}),
        ("KXBTC15M", {"strike_type": "custom"}),
        *(
            ("KXBTC15M", {"strike_type": "greater_or_equal", "yes_sub_title": title})
            for title in ("Target Price: $100.02", "Target Price: $99.98", "soon", "$100 to 200")
        ),
    ],
)
def test_what_is_left_out_is_counted_and_named(
    conn: Connection, series: str, fields: dict[str, Any]
) -> None:
    kinds: dict[str, Any] = {"KXBTC": GOOD, "KXBTCD": {}, "KXBTC15M": {}}
    good = market(
        "GOOD", **{"floor_strike": 200, "strike_type": "greater_or_equal"} | kinds[series]
    )
    row = loaded(conn, series, good, market("BAD", **{**GOOD, "floor_strike": 100, **fields}))
    assert row["markets"] == 1
    [reason] = row["left_out"]
    name = fields.get("ticker", "E-BAD")
    assert reason.startswith(f"{(name or '')[:100]}: " if name else ("a market: ", ": "))
    assert len(reason) < 200
    assert [each["ticker"] for each in stored(conn)] == ["E-GOOD"]


def test_a_sub_title_of_a_cent_less_is_the_same_price_to_beat(conn: Connection) -> None:
    for title in ("$100.01", "$99.99", "$100", "$100.00"):
        fields: dict[str, Any] = {"floor_strike": 100, "yes_sub_title": f"Target Price: {title}"}
        [found] = bounds(conn, "KXBTC15M", market("A", strike_type="greater_or_equal", **fields))
        assert found == (100, None)


def test_a_market_that_is_not_open_has_a_row_once_it_has_bounds(conn: Connection) -> None:
    waiting = market("A", status="initialized", strike_type="greater_or_equal", floor_strike=None)
    row = loaded(conn, "KXBTC15M", waiting)
    assert (row["markets"], row["left_out"], row["is_stored"]) == (0, [], True)
    row = loaded(conn, "KXBTC15M", {**waiting, "floor_strike": 100})
    assert row["markets"] == 1
    # Once it is open it has one whether the price to beat is there or not.
    assert bounds(conn, "KXBTC15M", {**waiting, "status": "active"}) == [(None, None)]


def test_a_strike_in_texts_is_known_before_the_market_opens(conn: Connection) -> None:
    """Kalshi writes those of DOGE so: it has bounds, although it has neither floor nor cap."""
    symbol(conn, "DOGE")
    texts: dict[str, Any] = {"strike_type": "custom", "floor_strike": None, "status": "initialized"}
    known = market("KXDOGED-T0.0949999", yes_sub_title="$0.095 or above", **texts)
    waiting = market("KXDOGED-T", yes_sub_title="TBD", **texts)
    other = market("KXDOGED-T0.2949999", yes_sub_title="$0.395 or above", **texts)
    [row] = loaded(conn, "KXDOGED", known, waiting, other)["left_out"]
    assert row == "E-KXDOGED-T0.2949999: a ticker and a sub title of different strikes"
    assert [(each["ticker"], each["lower"]) for each in stored(conn)] == [
        ("E-KXDOGED-T0.0949999", D("0.095"))
    ]


def test_the_price_to_beat_comes_late_and_changes(conn: Connection) -> None:
    for floor in (None, 63441.03, 63441.04):
        [found] = bounds(
            conn, "KXBTC15M", market("A", strike_type="greater_or_equal", floor_strike=floor)
        )
        assert found == (None if floor is None else D(str(floor)), None)


def test_a_market_that_changes_its_strike(conn: Connection) -> None:
    """The newest reading counts; a trade keeps its strike until a tick sees it."""
    loaded(conn, "KXBTCD", market("A", strike_type="greater", floor_strike=99.99))
    query = "SELECT upc.open_trade('E-A', 'yes', 0.5, 1, at => %s)"
    trade_id = scalar(conn, query, NOW)
    changed = market("A", strike_type="greater", floor_strike=119.99)
    assert bounds(conn, "KXBTCD", changed) == [(D(120), None)]
    query = "SELECT lower FROM upc_data.trade WHERE trade_id = %s"
    assert scalar(conn, query, trade_id) == 100


def test_of_two_contracts_with_the_same_bounds_the_first_is_taken(conn: Connection) -> None:
    same: dict[str, Any] = {"strike_type": "between", "floor_strike": 100, "cap_strike": 199.99}
    row = loaded(conn, "KXBTC", market("B", **same), market("A", **same), market("B", **same))
    assert row["markets"] == 1
    assert row["left_out"] == ["E-B: the bounds of another"]
    # One that is not traded any more stands beside the one that is.
    row = loaded(conn, "KXBTC", market("B", **same), market("A", **same, status="closed"))
    assert (row["markets"], row["left_out"]) == (2, [])


def test_names_with_quotes(conn: Connection) -> None:
    names = ["E-'; DROP TABLE x; --", 'E-"a"', "E-\\", "E-{}", "E-\N{SNOWMAN}%s", "E-$1"]
    markets = [
        {**market("A", strike_type="greater", floor_strike=100 + k), "ticker": name}
        for k, name in enumerate(names)
    ]
    row = loaded(conn, "KXBTCD", *markets)
    assert (row["markets"], row["left_out"]) == (len(names), [])
    assert {each["ticker"] for each in stored(conn)} == set(names)
    query = "SELECT upc.open_trade(%s, 'yes', 0.5, 1, at => %s)"
    assert all(scalar(conn, query, name, NOW) > 0 for name in names)


def test_sizes_are_exact(conn: Connection) -> None:
    """Who bids for yes offers no: Kalshi sends the sizes of yes alone."""
    fields = {"yes_bid_size_fp": "8.01", "yes_ask_size_fp": "813.449999", "volume_fp": "0.1"}
    loaded(conn, "KXBTCD", market("A", strike_type="greater", floor_strike=100, **fields))
    [row] = stored(conn)
    sizes = [str(row[f"{side}_size"]) for side in ("yes_bid", "yes_ask", "no_bid", "no_ask")]
    assert sizes == ["8.01", "813.449999", "813.449999", "8.01"]


def test_the_result_and_what_it_pays(conn: Connection) -> None:
    fields = {"result": "scalar", "settlement_value_dollars": "0.4210", "status": "finalized"}
    its = market("A", strike_type="greater", floor_strike=100, expiration_value="61387.31")
    loaded(conn, "KXBTCD", {**its, **fields})
    [row] = stored(conn)
    assert (row["result"], row["settlement_value"]) == ("scalar", D("0.421"))
    value = "SELECT expiration_value FROM upc_data.market_event WHERE event_ticker = 'E'"
    assert scalar(conn, value) == D("61387.31")
    loaded(conn, "KXBTCD", {**its, "expiration_value": "soon"})
    assert scalar(conn, value) == D("61387.31")


def test_two_thousand_markets_are_taken_quickly_and_one_more_refused(conn: Connection) -> None:
    many = [
        market(str(k), strike_type="greater", floor_strike=100 + k, yes_sub_title=None)
        for k in range(2001)
    ]
    begun = time.process_time()
    assert loaded(conn, "KXBTCD", *many[:2000])["markets"] == 2000
    assert time.process_time() - begun < 10
    with pytest.raises(Exception) as caught, conn.transaction():  # noqa: PT011
        loaded(conn, "KXBTCD", *many)
    assert getattr(caught.value, "sqlstate", None) == "UP014"
    assert len(stored(conn)) == 2000


def test_a_title_of_a_megabyte_is_cut(conn: Connection) -> None:
    document = markets_of("KXBTCD", market("A", strike_type="greater", floor_strike=100))
    document["event"]["title"] = "x" * 1_000_000
    load(conn, document)
    query = "SELECT length(title) FROM upc_data.market_event WHERE event_ticker = 'E'"
    assert scalar(conn, query) == 300
    for name in ("E" * 101, "E" * 1_000_000, ""):
        document["event"]["event_ticker"] = name
        with pytest.raises(Exception) as caught, conn.transaction():  # noqa: PT011
            load(conn, document)
        assert getattr(caught.value, "sqlstate", None) == "UP014"


def test_another_kind_is_never_the_hourly_event(conn: Connection) -> None:
    current = "SELECT event_ticker FROM upc.current_event('BTC', %s)"
    loaded(conn, "KXBTC", market("A", **GOOD))
    assert scalar(conn, current, NOW) is None
    fifteen: dict[str, Any] = {"strike_type": "greater_or_equal", "floor_strike": 100}
    load(conn, markets_of("KXBTC15M", market("A", "F", **fifteen), event="F"))
    assert scalar(conn, current, NOW) is None
    hourly: dict[str, Any] = {"strike_type": "greater", "floor_strike": 100}
    load(conn, markets_of("KXBTCD", market("A", "H", **hourly), event="H"))
    assert scalar(conn, current, NOW) == "H"
