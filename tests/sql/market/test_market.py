"""Markets: what is taken from Kalshi's JSON, which event answers, and what its contracts cost."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.engine import Connection, instant, scalar, walk
from tests.support.trading import refused, set_to, taker_fee

Row = dict[str, Any]

CLOSE = instant("2026-06-01T15:00")
NOW = instant("2026-06-01T14:20")
EVENT = "KXBTCD-26JUN0111"
QUOTES = ("yes_bid", "yes_ask", "no_bid", "no_ask")

# In the middle of the strikes 97,000, 97,250, …, 98,000.
PRICE = 97_562.5
STRIKES = range(97_000, 98_001, 250)


BUILT = {"BTC": walk(170, "2026-03-02", 600, price=97_000)}


def table(conn: Connection, query: str, parameters: Any = None) -> list[Row]:
    rows = conn.execute(query.encode(), parameters)
    names = [column.name for column in rows.description or []]
    return [dict(zip(names, row, strict=True)) for row in rows]


def market(strike: Any = 97_500, event: Any = EVENT, **fields: Any) -> Row:
    """A market with nothing but its identity."""
    return {
        "ticker": f"{event}-T{strike - 0.01:.2f}",
        "close_time": "2026-06-01T15:00:00Z",
        "status": "active",
        "strike_type": "greater",
        "floor_strike": strike - 0.01,
        **fields,
    }


def quoted(strike: float, yes_ask: str, no_ask: str, volume: str = "1000.00", **more: Any) -> Row:
    fields = {"yes_ask_dollars": yes_ask, "no_ask_dollars": no_ask, "volume_fp": volume}
    return market(strike, **{**fields, **more})


def event(*markets: Any, ticker: str = EVENT, **fields: Any) -> Row:
    its = {"event_ticker": ticker, "series_ticker": "KXBTCD", "title": "Bitcoin?", **fields}
    return {"event": {**its, "markets": list(markets)}}


def load(
    conn: Connection, document: Any, symbol: str | None = None, read_at: datetime | None = NOW
) -> Row:
    query = "SELECT * FROM upc.load_market(%s, %s, %s)"
    [row] = table(conn, query, (Jsonb(document), symbol, read_at))
    return row


def quotes(conn: Connection, ticker: str = EVENT) -> list[Row]:
    query = "SELECT * FROM upc_data.market_quote WHERE event_ticker = %s ORDER BY lower, ticker"
    return table(conn, query, (ticker,))


def only(conn: Connection, document: Any) -> Row:
    load(conn, document)
    [row] = quotes(conn)
    return row


def contents(conn: Connection) -> list[list[Row]]:
    names = ("market_event", "market_quote")
    return [table(conn, f"SELECT * FROM upc_data.{name} ORDER BY 1, 2, 3") for name in names]


# Stored fields


def test_fields_of_an_event(conn: Connection) -> None:
    row = load(conn, event(market(97_500), market(97_750)))
    assert row == {
        "event_symbol": "BTC",
        "event_ticker": EVENT,
        "closes_at": CLOSE,
        "markets": 2,
        "is_stored": True,
        "left_out": [],
        "unknown_status": None,
    }
    assert table(conn, "SELECT * FROM upc_data.market_event") == [
        {
            "symbol": "BTC",
            "event_ticker": EVENT,
            "series_ticker": "KXBTCD",
            "title": "Bitcoin?",
            "closes_at": CLOSE,
            "read_at": NOW,
            "status": "active",
            "strike_step": 250.0,
            "expiration_value": None,
            "strikes": [97_500.0, 97_750.0],
            "exchange_index": None,
            "has_rules": False,
            "settlement": None,
            "unknown_status": None,
        }
    ]


def test_old_and_new_names_say_the_same(conn: Connection) -> None:
    """Whole cents and contracts of 2025, dollars and fractions of 2026."""
    old = {"yes_bid": 3, "yes_ask": 98, "no_bid": 2, "no_ask": 97, "volume": 12}
    new = {f"{name}_dollars": f"{old[name] / 100:.4f}" for name in QUOTES} | {"volume_fp": "12.00"}
    assert only(conn, event(market(**old))) == only(conn, event(market(**new)))
    # Dollar fields have fractions and win over cents.
    both = {**old, **new, "yes_ask_dollars": "0.9755", "volume_fp": "12.34"}
    row = only(conn, event(market(**both)))
    assert (row["yes_ask"], row["volume"]) == (Decimal("0.9755"), Decimal("12.34"))


@pytest.mark.parametrize(
    ("fields", "asks"),
    [
        # Kalshi's notation of an empty side: nobody bids for the other one.
        ({"yes_ask_dollars": "1.0000", "no_bid_dollars": "0.0000"}, (None, None)),
        ({"no_ask_dollars": "1.0000", "yes_bid_dollars": "0.0000"}, (None, None)),
        ({"yes_ask": 100, "no_bid": 0, "no_ask": 83, "yes_bid": 17}, (None, "0.83")),
        ({"yes_ask": 17, "no_bid": 83, "no_ask": 100, "yes_bid": 0}, ("0.17", None)),
        ({"yes_ask_dollars": "1.0000"}, (None, None)),
        ({"yes_ask_dollars": "0.9999", "no_bid_dollars": "0.0000"}, ("0.9999", None)),
        ({"yes_ask_dollars": "1.0000", "no_bid_dollars": "0.0001"}, ("1", None)),
        ({"yes_ask": 0, "no_ask": 0}, (None, None)),
    ],
)
def test_no_offer_is_no_ask(
    conn: Connection, fields: Row, asks: tuple[str | None, str | None]
) -> None:
    row = only(conn, event(market(**fields)))
    expected = tuple(None if each is None else Decimal(each) for each in asks)
    assert (row["yes_ask"], row["no_ask"]) == expected
    # Nor is one that an older version has stored.
    raw = [
        Decimal(fields.get(name, 0)) / 100 or Decimal(fields.get(f"{name}_dollars", 0)) or None
        for name in ("yes_ask", "no_ask")
    ]
    conn.execute("UPDATE upc_data.market_quote SET yes_ask = %s, no_ask = %s", raw)
    shown = strike_table(conn)[97_500]
    assert (shown["yes_ask_dollars"], shown["no_ask_dollars"]) == expected
    assert (shown["yes_edge"] is None, shown["no_edge"] is None) == tuple(
        each is None for each in asks
    )
    assert shown["edge_reason"] == ("no_offer" if asks == (None, None) else None)


def test_where_the_markets_are(conn: Connection) -> None:
    """Markets inside the event, beside it, or in a snapshot with the time of its reading."""
    inside = event(market(yes_ask_dollars="0.5000"))
    beside = {"event": {**inside["event"]}, "markets": inside["event"]["markets"]}
    del beside["event"]["markets"]
    snapshot = {"cloud_timestamp": "2026-06-01T10:30:00.5-04:00", "data": beside}
    assert only(conn, inside) == only(conn, beside)
    load(conn, snapshot, read_at=None)
    read_at = scalar(conn, "SELECT read_at FROM upc_data.market_event")
    assert read_at == NOW + timedelta(minutes=10, seconds=0.5)
    assert len(quotes(conn)) == 1


def test_every_digit_is_kept(conn: Connection) -> None:
    given = {
        "yes_bid_dollars": "0.0150",
        "yes_ask_dollars": "0.0155",
        "no_bid_dollars": "0.9845",
        "no_ask_dollars": "0.985000",
        "volume_fp": "123456789.07",
    }
    row = only(conn, event(market(**given)))
    stored = [str(row[name.rpartition("_")[0]]) for name in given]
    assert stored == list(given.values())
    assert only(conn, event(market(volume=7)))["volume"] == 7


@pytest.mark.parametrize("nothing", [None, ""])
@pytest.mark.parametrize("suffixes", [("_dollars", "_fp"), ("", "")])
def test_missing_fields_are_null(
    conn: Connection, nothing: str | None, suffixes: tuple[str, str]
) -> None:
    names = {f"{name}{suffixes[0]}": nothing for name in QUOTES} | {f"volume{suffixes[1]}": nothing}
    for fields in ({}, names, {**names, "result": nothing, "title": nothing}):
        row = only(conn, event(market(**fields)))
        assert [row[name] for name in (*QUOTES, "volume", "result")] == [None] * 6


@pytest.mark.parametrize("zero", [{"_dollars": "0.0000"}, {"_dollars": "0"}, {"": 0}])
def test_an_ask_of_zero_is_none(conn: Connection, zero: dict[str, Any]) -> None:
    """A bid of zero stays what it is."""
    [(suffix, value)] = zero.items()
    row = only(conn, event(market(**{name + suffix: value for name in QUOTES})))
    assert [row[name] for name in QUOTES] == [0, None, 0, None]


def test_limits_of_prices(conn: Connection) -> None:
    bids = {"yes_bid": 1, "no_bid_dollars": "0.0001"}
    row = only(conn, event(market(yes_ask_dollars="1.0000", no_ask=100, volume=0, **bids)))
    assert (row["yes_ask"], row["no_ask"], row["volume"]) == (1, 1, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"yes_ask_dollars": "nan"},
        {"yes_ask_dollars": "NaN"},
        {"yes_bid_dollars": "Infinity"},
        {"no_bid_dollars": "-0.0100"},
        {"no_ask_dollars": "1.0001"},
        {"no_ask_dollars": 1.5},
        {"yes_ask_dollars": "0,56"},
        {"yes_ask_dollars": " 0.56"},
        {"yes_ask_dollars": "0.56\n"},
        {"yes_ask_dollars": "5e-1"},
        {"yes_ask_dollars": ".56"},
        {"yes_ask_dollars": "0.00000000001"},
        {"yes_ask_dollars": "\N{ARABIC-INDIC DIGIT ONE}"},
        {"yes_ask_dollars": "1" * 200_000},
        {"yes_ask_dollars": True},
        {"yes_ask_dollars": {"amount": "0.56"}},
        {"yes_ask_dollars": ["0.56"]},
        {"yes_ask": -1},
        {"yes_ask": 101},
        {"yes_ask": 100.5},
        {"yes_ask": 1e300},
        {"yes_ask": "x"},
        {"volume": -1},
        {"volume_fp": "-0.01"},
        {"volume_fp": "many"},
        {"volume_fp": "1" * 16},
        {"volume": False},
        {"floor_strike": "ninety"},
        {"floor_strike": -1},
        {"floor_strike": 1e16},
        {"close_time": "soon"},
        {"close_time": "2026-13-01T00:00:00Z"},
        {"close_time": 1780000000},
        {"close_time": "infinity"},
        {"close_time": {}},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_what_is_no_number_is_refused_and_nothing_stored(conn: Connection, wrong: Row) -> None:
    load(conn, event(market(97_500, yes_ask_dollars="0.5000")))
    before = contents(conn)
    document = event(market(97_250), market(97_750, **wrong), market(98_000))
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        load(conn, document, read_at=NOW + timedelta(seconds=1))
    assert caught.value.sqlstate == "UP014"
    assert caught.value.diag.message_detail
    assert caught.value.diag.message_hint
    assert len(caught.value.diag.message_primary or "") < 200
    assert contents(conn) == before


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        None,
        7,
        "event",
        {"event": None},
        {"event": "E", "markets": []},
        {"event": {"event_ticker": EVENT}},
        {"event": {"event_ticker": EVENT}, "markets": None},
        {"event": {"event_ticker": EVENT}, "markets": {}},
        {"event": {"event_ticker": EVENT, "markets": "none"}},
        {"event": {"event_ticker": None, "markets": []}},
        {"events": [{"event_ticker": EVENT}], "cursor": ""},
        {"data": {"event": {"event_ticker": EVENT}}},
        {"data": None},
        {"event": {"event_ticker": EVENT, "series_ticker": "KXBTCD", "markets": []}},
        {"event": {"event_ticker": EVENT, "markets": [{"ticker": "A"}], "strike_date": ""}},
        {"event": {"event_ticker": EVENT, "markets": [], "strike_date": "noonish"}},
        {"event": {"event_ticker": EVENT, "markets": [market()]}, "cloud_timestamp": "x"},
        {"event": {"event_ticker": EVENT, "markets": [market()]}, "cloud_timestamp": "infinity"},
    ],
)
def test_what_is_no_event_is_refused(conn: Connection, document: Any) -> None:
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        load(conn, document, symbol="BTC", read_at=None)
    assert caught.value.sqlstate == "UP014"
    assert contents(conn) == [[], []]


def test_no_document_is_refused(conn: Connection) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT upc.load_market(NULL)")
    assert caught.value.sqlstate == "UP014"


def test_whose_event_it_is(conn: Connection) -> None:
    """The symbol follows from the series, the beginning of the event's name, or the caller."""
    assert load(conn, event(market()))["event_symbol"] == "BTC"
    short = event(market(event="KXETHD-X"), ticker="KXETHD-X")
    del short["event"]["series_ticker"]
    assert load(conn, short)["event_symbol"] == "ETH"
    other = event(market(), ticker="OTHER-1", series_ticker="OTHER")
    for document, symbol in ((other, None), (event(market()), "XYZ"), (event(market()), "btc")):
        with pytest.raises(psycopg.Error) as caught, conn.transaction():
            load(conn, document, symbol=symbol)
        assert caught.value.sqlstate == "UP002"
    for document, symbol in ((other, "ETH"), (event(market()), "ETH"), (short, "BTC")):
        with pytest.raises(psycopg.Error) as caught, conn.transaction():
            load(conn, document, symbol=symbol)
        assert caught.value.sqlstate == "UP014"


def test_without_times_of_markets_the_event_says_when_it_closes(conn: Connection) -> None:
    document = event(market(close_time=None), strike_date="2026-06-01T11:00:00-04:00")
    assert load(conn, document)["closes_at"] == CLOSE


def test_the_last_market_closes_the_event(conn: Connection) -> None:
    early = market(97_250, close_time="2026-06-01T14:30:00Z")
    assert load(conn, event(early, market()))["closes_at"] == CLOSE


def test_only_markets_above_a_strike_are_taken(conn: Connection) -> None:
    document = event(
        market(97_000),
        market(97_250, strike_type="between", cap_strike=97_499.99),
        market(97_500, strike_type="less"),
        market(97_750, strike_type="greater_or_equal", floor_strike=97_750),
        market(98_000, floor_strike=None),
        market(98_125, floor_strike=""),
        {**market(98_250), "ticker": None},
        market(98_500, strike_type=None, cap_strike=98_749.99),
        market(98_750, strike_type=None),
        "a text",
        7,
        None,
        [],
    )
    assert load(conn, document)["markets"] == 3
    assert [row["lower"] for row in quotes(conn)] == [97_000, 97_750, 98_750]


def test_the_strike_is_exact(conn: Connection) -> None:
    """The unit of the event is that of the strike in it with the most digits."""
    load(conn, event(market(floor_strike=117_999.99)))
    assert [str(row["lower"]) for row in quotes(conn)] == ["118000.00"]
    document = event(market(floor_strike=117_999.99), market(1, floor_strike="0.010000001"))
    load(conn, document)
    assert [str(row["lower"]) for row in quotes(conn)] == ["0.010000002", "117999.990000001"]


def test_a_repeated_market_is_stored_once(conn: Connection) -> None:
    assert load(conn, event(market(), market()))["markets"] == 1
    assert len(quotes(conn)) == 1


# Later readings


def test_a_market_that_disappears_is_deleted(conn: Connection) -> None:
    other = event(market(event="KXBTCD-OTHER"), ticker="KXBTCD-OTHER")
    load(conn, other)
    load(conn, event(market(97_250), market(97_500)))
    load(conn, event(market(97_500), market(97_750)), read_at=NOW + timedelta(seconds=1))
    assert [row["lower"] for row in quotes(conn)] == [97_500, 97_750]
    assert len(quotes(conn, "KXBTCD-OTHER")) == 1
    load(conn, event(strike_date="2026-06-01T15:00:00Z"), read_at=NOW + timedelta(seconds=2))
    assert quotes(conn) == []


@pytest.mark.parametrize(("later", "is_stored"), [(-1e-6, False), (0, True), (1, True)])
def test_an_older_reading_changes_nothing(conn: Connection, later: float, is_stored: bool) -> None:
    load(conn, event(market(97_500, yes_ask_dollars="0.5000", volume_fp="1.00")))
    before = contents(conn)
    changed = event(market(97_750, status="closed", result="yes"), title="Another")
    row = load(conn, changed, read_at=NOW + timedelta(seconds=later))
    assert (row["is_stored"], row["markets"]) == (is_stored, int(is_stored))
    assert (contents(conn) == before) is not is_stored


def test_a_reading_replaces_every_column(conn: Connection) -> None:
    first = {"yes_bid": 1, "yes_ask": 2, "no_bid": 3, "no_ask": 4, "volume": 5}
    load(conn, event(market(**first)))
    again = {"yes_bid": 6, "yes_ask": 7, "no_bid": 8, "no_ask": 9, "volume": 10}
    settled = market(**again, status="finalized", result="no")
    settled["floor_strike"] = 97_749.99
    row = only(conn, event(settled))
    assert [int(100 * row[name]) for name in QUOTES] == [6, 7, 8, 9]
    assert (row["volume"], row["status"], row["result"]) == (10, "finalized", "no")
    assert row["lower"] == 97_750
    row = only(conn, event(market()))
    assert [row[name] for name in (*QUOTES, "volume", "result")] == [None] * 6


# The event that answers


def current(conn: Connection, at: datetime, symbol: str = "BTC") -> Row:
    [row] = table(conn, "SELECT * FROM upc.current_event(%s, %s)", (symbol, at))
    return row


def test_the_current_event_around_its_close(conn: Connection) -> None:
    following = [{**market(event="NEXT"), "close_time": "2026-06-01T16:00:00Z"}]
    load(conn, event(*following, ticker="NEXT"))
    load(conn, event(market()))
    moment = timedelta(microseconds=1)
    expected = {
        CLOSE - timedelta(hours=1) - moment: None,
        CLOSE - timedelta(hours=1): EVENT,
        CLOSE - moment: EVENT,
        CLOSE: "NEXT",
        CLOSE + timedelta(hours=1) - moment: "NEXT",
        CLOSE + timedelta(hours=1): None,
    }
    found = {at: current(conn, at)["event_ticker"] for at in expected}
    assert found == expected
    assert current(conn, NOW, "ETH")["event_ticker"] is None


def test_fields_of_the_current_event(conn: Connection) -> None:
    """Step and status are those that most of its markets have."""
    strikes = [90_000, *STRIKES, 99_000]
    statuses = ["finalized", "finalized", *["active"] * 4, "closed"]
    markets = [market(k, status=s) for k, s in zip(strikes, statuses, strict=True)]
    load(conn, event(*markets))
    assert current(conn, NOW) == {
        "event_ticker": EVENT,
        "title": "Bitcoin?",
        "closes_at": CLOSE,
        "status": "active",
        "step": 250.0,
        "read_at": NOW,
        "series": "KXBTCD",
        "settlement": "average",
        "is_unclear": False,
        "strikes": strikes,
        "is_paused": False,
    }
    load(conn, event(market(), title=None), read_at=NOW + timedelta(seconds=1))
    row = current(conn, NOW)
    assert (row["status"], row["step"], row["title"]) == ("active", None, None)


# Costs and edges


def fee(price: Decimal, multiplier: Decimal = Decimal(1)) -> Decimal:
    """Fee for each of ten contracts, in cents."""
    return 10 * taker_fee(price, Decimal(10), multiplier)


LADDER = [
    quoted(97_000, "0.9600", "0.0500", "2500.00"),
    quoted(97_250, "0.8150", "0.1900", "1000.50", yes_bid_dollars="0.8100", no_bid_dollars="0.18"),
    quoted(97_500, "0.5600", "0.4500", "10.00"),
    quoted(97_750, "0.0000", "0.8755", "1000.00"),
    market(98_000, no_bid_dollars="0.9000"),
]


def strike_table(conn: Connection, **arguments: Any) -> dict[float, Row]:
    given = {"price": PRICE, "at": NOW, **arguments}
    named = ", ".join(f"{name} => %({name})s" for name in given)
    rows = table(conn, f"SELECT * FROM upc.strike_table({named})", given)
    distances = [abs(row["strike"] - given["price"]) for row in rows]
    assert distances == sorted(distances)
    return {row["strike"]: row for row in rows}


def test_quotes_stand_beside_their_strikes(conn: Connection) -> None:
    load(conn, event(*LADDER))
    rows = strike_table(conn)
    assert len(rows) == 21
    shown = {
        strike: (row["yes_ask"], row["no_ask"], row["volume"], row["ticker"])
        for strike, row in rows.items()
        if row["ticker"] is not None
    }
    # Cents are rounded up: a buyer pays no less.
    assert shown == {
        97_000: (96, 5, 2500, f"{EVENT}-T96999.99"),
        97_250: (82, 19, Decimal("1000.5"), f"{EVENT}-T97249.99"),
        97_500: (56, 45, 10, f"{EVENT}-T97499.99"),
        97_750: (None, 88, 1000, f"{EVENT}-T97749.99"),
        98_000: (None, None, None, f"{EVENT}-T97999.99"),
    }
    row = rows[97_250]
    exact = [str(row[f"{name}_dollars"]) for name in ("yes_ask", "no_ask", "yes_bid", "no_bid")]
    assert exact == ["0.8150", "0.1900", "0.8100", "0.18"]
    for strike, row in rows.items():
        assert row["active_side"] == ("no" if strike > PRICE else "yes")
        assert row["buffer"] == abs(strike - PRICE)
        assert row["buffer_pct"] == abs(strike - PRICE) / 250


@pytest.mark.parametrize("multiplier", ["1", "0", "0.5", "2"])
def test_edges(conn: Connection, multiplier: str) -> None:
    """An edge is a contract's mean payout less its cost."""
    conn.execute("UPDATE upc_data.series SET fee_multiplier = %s", (multiplier,))
    load(conn, event(*LADDER))
    rows = strike_table(conn, momentum=0)
    asks = {
        strike: (Decimal(each.get("yes_ask_dollars", 0)), Decimal(each.get("no_ask_dollars", 0)))
        for strike, each in zip(STRIKES, LADDER, strict=True)
    }
    for strike, row in rows.items():
        yes_ask, no_ask = asks.get(int(strike), (Decimal(0), Decimal(0)))
        pays = row["prob_above"]
        for ask, chance, edge in (
            (yes_ask, pays, row["yes_edge"]),
            (no_ask, 100 - pays, row["no_edge"]),
        ):
            if not ask:
                assert edge is None
                continue
            cost = 100 * ask + fee(ask, Decimal(multiplier))
            assert edge == pytest.approx(chance - float(cost), abs=1e-9)


@pytest.mark.parametrize(
    ("settings", "cost"),
    [
        # 0.97 and what is paid with it for each: of one contract a whole cent, of ten 0.3 cents …
        ({"edge_contracts": "1"}, "98"),
        ({}, "97.3"),
        ({"edge_contracts": "100"}, "97.21"),
        # … and of a direct member 0.0204 dollars for ten, 0.0021 for one.
        ({"account_precision": "0.0001"}, "97.204"),
        ({"account_precision": "0.0001", "edge_contracts": "1"}, "97.21"),
        ({"edge_contracts": "0.5"}, "98"),
    ],
)
def test_edges_are_those_of_an_order(conn: Connection, settings: Row, cost: str) -> None:
    load(conn, event(quoted(97_500, "0.9700", "0.0500")))
    set_to(conn, **settings)
    row = strike_table(conn)[97_500]
    assert row["prob_above"] - row["yes_edge"] == pytest.approx(float(cost), abs=1e-9)


@pytest.mark.parametrize(
    ("name", "value", "sqlstate"),
    [
        *[("edge_contracts", each, "22023") for each in ("0", "-1", "NaN", "Infinity")],
        *[("account_precision", each, "22023") for each in ("0", "-0.01", "NaN", "1.1")],
        *[("edge_contracts", "ten", "22P02"), ("account_precision", "1 cent", "22P02")],
    ],
)
def test_orders_that_make_no_sense(conn: Connection, name: str, value: str, sqlstate: str) -> None:
    set_to(conn, **{name: value})
    assert refused(conn, f"SELECT upc.strike_table({PRICE})") == sqlstate


def test_an_edge_by_hand(conn: Connection) -> None:
    """Ten at 0.30: a fee of 0.1470, so 3.15 are paid, and 7.64 for ten at 0.75 (0.13125)."""
    load(conn, event(quoted(97_500, "0.3000", "0.7500")))
    conn.execute(
        "CREATE TEMPORARY TABLE seen AS SELECT * FROM upc.strike_table(97562.5, at => %s)", (NOW,)
    )
    [(above, yes_edge, no_edge)] = conn.execute(
        "SELECT prob_above, yes_edge, no_edge FROM seen WHERE strike = 97500"
    ).fetchall()
    assert yes_edge - above == pytest.approx(-31.5)
    assert no_edge + above == pytest.approx(100 - 76.4)


@pytest.mark.parametrize(
    ("age", "is_quoted", "has_edge"),
    [
        *[(0, True, True), (15.5, True, True), (30, True, True), (30.5, True, False)],
        *[(60, True, False), (60.5, False, False), (1200, False, False)],
    ],
)
def test_old_quotes(conn: Connection, age: float, is_quoted: bool, has_edge: bool) -> None:
    load(conn, event(*LADDER), read_at=NOW - timedelta(seconds=age))
    row = strike_table(conn)[97_500]
    for name in ("yes_ask", "no_ask", "volume", "ticker", "yes_ask_dollars"):
        assert (row[name] is not None) is is_quoted
    assert (row["yes_edge"] is not None) is has_edge
    assert (row["no_edge"] is not None) is has_edge
    assert row["probability"] is not None


@pytest.mark.parametrize(
    ("state", "is_known", "has_edge"),
    [("fresh", True, True), ("warn", True, True), ("stale", True, False), ("halted", False, False)],
)
def test_an_old_price(conn: Connection, state: str, is_known: bool, has_edge: bool) -> None:
    load(conn, event(*LADDER))
    row = strike_table(conn, price_state=state)[97_500]
    for name in ("probability", "prob_above", "prob_beyond", "positive_prob", "negative_prob"):
        assert (row[name] is not None) is is_known
    assert (row["yes_edge"] is not None) is has_edge
    assert (row["no_edge"] is not None) is has_edge
    assert row["yes_ask"] == 56


@pytest.mark.parametrize("status", ["inactive", "closed", "determined", "finalized", None, "x"])
def test_a_market_that_is_not_traded_has_no_quotes(conn: Connection, status: str | None) -> None:
    load(conn, event(*LADDER[:2], {**LADDER[2], "status": status}))
    rows = strike_table(conn)
    assert rows[97_500]["yes_ask"] is rows[97_500]["ticker"] is None
    assert rows[97_250]["yes_ask"] == 82


def test_the_step_is_that_of_the_event(conn: Connection) -> None:
    load(conn, event(*(market(97_000 + 100 * k) for k in range(12))))
    strikes = sorted(strike_table(conn))
    assert [b - a for a, b in pairwise(strikes)] == [100.0] * 20
    strikes = sorted(strike_table(conn, step=50))
    assert strikes[1] - strikes[0] == 50
    # Events that were seen say how wide the grid is.
    strikes = sorted(strike_table(conn, has_market=False))
    assert strikes[1] - strikes[0] == 100


# Markets in a tick


def tick(conn: Connection, at: Any = NOW, price: Any = PRICE, **arguments: Any) -> Row:
    conn.execute("SELECT upc.record_price('BTC', 'coinbase', %s, %s, %s)", (price, at, at))
    given = {"symbol": "BTC", "feed": "database", "at": at, **arguments}
    named = ", ".join(f"{name} => %({name})s" for name in given)
    [row] = table(conn, f"SELECT * FROM upc.tick({named})", given)
    for name in ("strike_table", "watchlist"):
        row[name] = json.loads(row[name], parse_float=Decimal)
    return row


def test_the_header_of_a_tick(conn: Connection) -> None:
    load(conn, event(*LADDER), read_at=NOW - timedelta(seconds=20))
    row = tick(conn, NOW + timedelta(seconds=0.75))
    found = row["strike_table"]
    assert row["ttc_seconds"] == found["ttc"] == 40 * 60 - 1
    assert (found["event_ticker"], found["market_title"]) == (EVENT, "Bitcoin?")
    assert (found["market_status"], found["strike_tier"]) == ("active", 250)
    assert (found["quote_state"], found["state"]) == ("warn", "fresh")
    assert found["quotes_read_at"] == "2026-06-01T14:19:40.000000+00:00"
    assert scalar(conn, "SELECT event_ticker FROM upc_data.tick") == EVENT
    assert {k: v for k, v in row["watchlist"].items() if k != "strikes"} == {
        k: v for k, v in found.items() if k != "strikes"
    }


def test_an_event_further_away_is_not_used(conn: Connection) -> None:
    """Nor one that has closed: the time goes to the next full hour."""
    load(conn, event(*LADDER), read_at=NOW - timedelta(hours=1))
    for at in (CLOSE - timedelta(hours=1, seconds=90), CLOSE, CLOSE + timedelta(seconds=1)):
        row = tick(conn, at)
        found = row["strike_table"]
        assert found["event_ticker"] is found["market_title"] is found["quote_state"] is None
        assert {each["yes_ask"] for each in found["strikes"]} == {None}
        whole = at.replace(minute=0, second=0)
        expected = 3600 - (at - whole).seconds
        assert found["ttc"] == expected


@pytest.mark.parametrize("feed", ["replay", "simulated"])
def test_other_feeds_see_no_market(conn: Connection, feed: str) -> None:
    at = instant("2026-03-02T09:10")
    near = [{**each, "close_time": "2026-03-02T10:00:00Z"} for each in LADDER]
    load(conn, event(*near), read_at=at)
    row = tick(conn, at, feed=feed)
    assert row["strike_table"]["event_ticker"] is None
    assert {each["ticker"] for each in row["strike_table"]["strikes"]} == {None}


def test_old_quotes_leave_no_difference_to_act_on(conn: Connection) -> None:
    load(conn, event(*LADDER), read_at=NOW - timedelta(seconds=45))
    row = tick(conn, min_probability=0, min_differential=-200)
    assert row["strike_table"]["quote_state"] == "stale"
    assert any(each["yes_ask"] for each in row["strike_table"]["strikes"])
    for each in row["strike_table"]["strikes"]:
        assert each["yes_diff"] is each["no_diff"] is each["yes_edge"] is each["no_edge"] is None
    assert row["watchlist"]["strikes"] == []


def test_a_halted_tick(conn: Connection) -> None:
    load(conn, event(*LADDER), read_at=NOW + timedelta(seconds=61))
    tick(conn)
    given = (NOW + timedelta(seconds=61),)
    [row] = table(conn, "SELECT * FROM upc.tick('BTC', 'database', at => %s)", given)
    assert row["state"] == "halted"
    found = json.loads(row["strike_table"])
    assert found["quote_state"] == "fresh"
    assert len(found["strikes"]) == 21
    for each in found["strikes"]:
        for name in ("probability", "prob_above", "yes_diff", "no_diff", "yes_edge", "no_edge"):
            assert each[name] is None
    assert json.loads(row["watchlist"])["strikes"] == []


def random_ladder(dice: random.Random) -> list[Row]:
    """Markets of all kinds around the price, with prices in tenths of a cent."""

    def some_price() -> str | None:
        some = f"{dice.randrange(1, 1001) / 1000:.4f}"
        return dice.choice([None, "0.0000", "1.0000", *(some,) * 6])

    def some_volume() -> str | None:
        return dice.choice([None, "0.00", "999.99", "1000.00", "1000.01", "25000.00"])

    return [
        market(
            strike,
            yes_ask_dollars=some_price(),
            no_ask_dollars=some_price(),
            no_bid_dollars=dice.choice([None, "0.0000", "0.0010"]),
            volume_fp=some_volume(),
            status=dice.choice(["active"] * 9 + ["closed", "inactive"]),
        )
        for strike in range(95_000, 100_001, 250)
    ]


def is_watched(row: Row, min_probability: Decimal, min_differential: Decimal) -> bool:
    if None in (row["volume"], row["probability"], row["yes_ask"], row["no_ask"]):
        return False
    differences = [row["yes_diff"], row["no_diff"]]
    return bool(
        row["volume"] >= 1000
        and row["probability"] > min_probability - 5
        and max(row["yes_ask"], row["no_ask"]) <= 98
        and any(each is not None and each >= min_differential - 3 for each in differences)
    )


@pytest.mark.parametrize("seed", range(12))
def test_rows_and_watchlist_follow_their_rules(conn: Connection, seed: int) -> None:
    """Of the documents alone: differences from the row's own probability, and who is listed."""
    dice = random.Random(seed)
    ladder = random_ladder(dice)
    load(conn, event(*ladder))
    # Without a choice it is 95 and 0; with these, something is usually listed.
    minima = {"min_probability": 95, "min_differential": 0}
    if seed:
        minima = {
            "min_probability": dice.choice([40, 70, 90]),
            "min_differential": dice.choice([-60, -20, 0]),
        }
    price = dice.choice([PRICE, 97_500, 97_499.99, 97_500.01, 97_625])
    row = tick(conn, price=price, **(minima if seed else {}))
    active = {f"{strike_of(each):.0f}": each for each in ladder if each["status"] == "active"}
    rows = row["strike_table"]["strikes"]
    assert len(rows) == 21
    for each in rows:
        its = active.get(str(each["strike"]), {})
        for side in ("yes", "no"):
            ask = Decimal(its.get(f"{side}_ask_dollars") or 0)
            # A dollar is what an empty side of the book looks like, unless somebody bids for no.
            is_bid = side == "yes" and its.get("no_bid_dollars") == "0.0010"
            is_offer = 0 < ask < 1 or (ask == 1 and is_bid)
            cents = int((100 * ask).to_integral_value(ROUND_CEILING)) if is_offer else None
            assert each[f"{side}_ask"] == cents
        volume = its.get("volume_fp")
        assert each["volume"] == (None if volume is None else Decimal(volume))
        p = each["probability"]
        assert p == round(p, 2)
        yes, no = (p, 100 - p) if each["strike"] <= price else (100 - p, p)
        for diff, chance, name in (("yes_diff", yes, "yes_ask"), ("no_diff", no, "no_ask")):
            assert each[diff] == (None if each[name] is None else chance - each[name])
            assert (each[f"{name[:-4]}_edge"] is None) is (each[name] is None)
        its_status = {f"{strike_of(m):.0f}": m["status"] for m in ladder}.get(str(each["strike"]))
        words: dict[Any, str | None] = {"closed": "closed", "inactive": "paused"}
        offer = "no_offer" if each["yes_ask"] is each["no_ask"] is None else None
        assert each["edge_reason"] == words.get(its_status, offer)
    assert row["strike_table"]["edge_reason"] is None
    minimum = [Decimal(number) for number in minima.values()]
    expected = [each for each in rows if is_watched(each, *minimum)]
    expected.sort(key=lambda each: (-each["probability"], each["buffer"]))
    assert row["watchlist"]["strikes"] == expected


def strike_of(market: Row) -> float:
    return float(market["floor_strike"]) + 0.01


def test_the_watchlist_at_its_limits(conn: Connection) -> None:
    """Each limit with the last value that is listed and the first that is not."""
    price_rows = strike_table(conn, has_market=False)
    probability = {strike: round(row["probability"], 2) for strike, row in price_rows.items()}
    strike = min(probability, key=lambda k: abs(probability[k] - 80))
    p = Decimal(str(probability[strike]))

    def listed(
        volume: str = "1000.00",
        asks: tuple[str, str] = ("0.5000", "0.5000"),
        min_probability: Decimal = Decimal(0),
        min_differential: Decimal = Decimal(-200),
    ) -> bool:
        load(conn, event(quoted(strike, *asks, volume)))
        minima = {"min_probability": min_probability, "min_differential": min_differential}
        row = tick(conn, **{name: float(value) for name, value in minima.items()})
        return [each["strike"] for each in row["watchlist"]["strikes"]] == [strike]

    assert listed()
    assert not listed(volume="999.99")
    assert listed(asks=("0.9800", "0.9800"))
    assert not listed(asks=("0.9801", "0.5000"))
    assert not listed(asks=("0.5000", "0.9801"))
    assert not listed(asks=("0.5000", "0.0000"))
    assert listed(min_probability=p + 4)
    assert not listed(min_probability=p + 5)
    best = max(p, 100 - p) - 50
    assert listed(min_differential=best + 3)
    assert not listed(min_differential=best + Decimal("3.01"))


def test_the_limits_of_the_watchlist_are_settings(conn: Connection) -> None:
    load(conn, event(quoted(97_250, "0.5000", "0.5000", "1000.00")))
    watched = {}
    for probability, differential in ((0, -200), (106, -200), (0, 104)):
        conn.execute(
            "SELECT set_config('upc.min_probability', %s, true), "
            "set_config('upc.min_differential', %s, true)",
            (str(probability), str(differential)),
        )
        watched[probability, differential] = len(tick(conn)["watchlist"]["strikes"])
    assert watched == {(0, -200): 1, (106, -200): 0, (0, 104): 0}
