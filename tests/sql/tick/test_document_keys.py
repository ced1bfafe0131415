"""The register of document keys: every key of every document is in it, and SQL keeps to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.engine import Candles, Connection, build, open_db, put, scalar, walk

CLOSES = walk(110, "2026-11-22", 16 * 60 + 21)
NOW = datetime.fromisoformat("2026-11-22T16:20:50+00:00")
STATES = ("fresh", "warn", "stale", "halted")
AGES = dict(zip(STATES, (1, 20, 40, 90), strict=True))
OF_A_TICK = ("live_probabilities", "strike_table", "watchlist", "active_trades", "contracts")
READINGS = ("price", "ttc", "momentum")

# Kinds, and the states of price and quotes from which on they are left out, written by hand.
ENDS = {
    "probability": ("halted", None),
    "quote": (None, "halted"),
    "difference": ("stale", "stale"),
    "reading": ("halted", None),
}


@pytest.fixture(scope="module")
def market(module_dsn: str) -> str:
    with open_db(module_dsn) as conn:
        put(
            conn,
            "BTC",
            Candles(CLOSES.minutes, *(CLOSES.closes + k for k in (3, 5, -7, 0))),
        )
        build(conn)
        conn.execute(
            "INSERT INTO upc_data.market_event"
            " (symbol, event_ticker, series_ticker, title, status, closes_at, read_at)"
            " VALUES ('BTC', 'E', 'KXBTCD', 'T', 'active', %s, %s)",
            (NOW + timedelta(minutes=30), NOW),
        )
        price = float(CLOSES.closes[-1])
        conn.execute(
            "INSERT INTO upc_data.market_quote (symbol, event_ticker, ticker, lower, status,"
            " yes_bid, yes_ask, no_bid, no_ask, volume, yes_bid_size, yes_ask_size, no_bid_size,"
            " no_ask_size)"
            " SELECT 'BTC', 'E', 'E-' || k, round(%s::numeric / 250) * 250 + 250 * k, 'active',"
            " 0.4, 0.42, 0.58, 0.6, 5000, 7, 8, 8, 7 FROM generate_series(-4, 4) AS k",
            (price,),
        )
        conn.execute("SELECT upc.open_trade('E-1', 'yes', 0.41, 10, at => %s)", (NOW,))
    return module_dsn


@pytest.fixture
def conn(conn: Connection, market: str) -> Connection:
    return conn


def tick(conn: Connection, price_age: float = 1, quote_age: float = 1) -> dict[str, Any]:
    """The documents of a tick with price and quotes of that age, by name."""
    priced_at = NOW - timedelta(seconds=price_age)
    conn.execute("DELETE FROM upc_data.price")
    conn.execute(
        "SELECT upc.record_price('BTC', 'made up', %s, %s, %s)",
        (float(CLOSES.closes[-1]), priced_at, priced_at),
    )
    conn.execute(
        "UPDATE upc_data.market_event SET read_at = %s", (NOW - timedelta(seconds=quote_age),)
    )
    row = conn.execute(
        "SELECT live_probabilities, strike_table, watchlist, active_trades, contracts"
        " FROM upc.tick('BTC', 'made up', %s, min_probability => 0, min_differential => -100)",
        (NOW,),
    ).fetchone()
    assert row is not None
    return {name: json.loads(text) for name, text in zip(OF_A_TICK, row, strict=True)}


def keys(conn: Connection) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for document, path, kind in conn.execute("SELECT document, path, kind FROM document_keys()"):
        assert path not in found.setdefault(document, {}), (document, path)
        found[document][path] = kind
    return found


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Paths and values, also of lists and of what is in their rows."""
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from leaves(each, f"{path}.{key}" if path else key)
        return
    yield path, value
    if isinstance(value, list):
        for row in value:
            if isinstance(row, dict):
                yield from leaves(row, f"{path}[]")


def test_every_key_is_registered(conn: Connection) -> None:
    registered = keys(conn)
    found = tick(conn)
    for name in READINGS:
        found[name] = json.loads(scalar(conn, f"SELECT upc.{name}_document('BTC', %s)", NOW))
    found["bets"] = json.loads(scalar(conn, "SELECT upc.bets_document('BTC', at => %s)", NOW))
    for name in ("contracts", "bets"):
        assert found[name]["bets"]
        found[name]["best_of_rest"] = found[name]["bets"][0]
    found["status"] = json.loads(scalar(conn, "SELECT upc.status_document(at => %s)", NOW))
    found["market_snapshot"] = json.loads(
        scalar(conn, "SELECT upc.market_snapshot('BTC', %s)", NOW)
    )
    assert found.keys() == registered.keys()
    # Of upc_status.json; the process adds it.
    ours = {"valid_for_seconds", "problem"}
    for name, document in found.items():
        paths = {path for path, _ in leaves(document)}
        assert paths <= registered[name].keys(), name
        assert registered[name].keys() - paths <= ours | {"deltas", "best_of_rest"}, name
        assert list(registered[name].values()).count("instant") == (name not in READINGS), name


def take_bets(document: dict[str, Any], is_traded: bool) -> None:
    """Take the bets out; they are there while there is something to trade on."""
    assert bool(document.pop("bets")) is is_traded
    assert document.pop("best_of_rest") is None or is_traded


@pytest.mark.parametrize("price", STATES)
@pytest.mark.parametrize("quotes", STATES)
def test_documents_of_a_tick_in_each_state(conn: Connection, price: str, quotes: str) -> None:
    registered = keys(conn)
    fresh, found = tick(conn), tick(conn, AGES[price], AGES[quotes])
    assert fresh["watchlist"]["strikes"]
    assert fresh["active_trades"]["count"] == 1
    assert found["strike_table"]["state"] == price
    assert found["strike_table"]["quote_state"] == quotes
    for name, document in found.items():
        if name == "watchlist" and {price, quotes} & {"stale", "halted"}:
            assert document["strikes"] == []
            continue
        if name == "contracts":
            # Without a quote only what is not as good as decided is left, by a price that is known.
            left = {row["ticker"] for row in document["contracts"]}
            assert (len(left) == 9) == (quotes != "halted"), left
            assert (len(left) > 0) == (quotes != "halted" or price != "halted")
            rows = [row for row in fresh[name]["contracts"] if row["ticker"] in left]
            fresh[name]["contracts"] = rows
            fresh[name]["count"] = len(left)
            if not left:
                assert document["contracts"] == []
                continue
        if name == "contracts":
            take_bets(fresh[name], True)
            take_bets(document, not {price, quotes} & {"stale", "halted"})
        before, after = list(leaves(fresh[name])), list(leaves(document))
        assert [path for path, _ in before] == [path for path, _ in after]
        filled = set()
        for (path, was), (_, value) in zip(before, after, strict=True):
            kind = registered[name][path]
            is_over = any(
                end is not None and STATES.index(state) >= STATES.index(end)
                for state, end in zip((price, quotes), ENDS.get(kind, (None, None)), strict=True)
            )
            if is_over:
                assert value is None, (name, path)
            elif kind in ENDS:
                assert value == was, (name, path)
            if was is not None:
                filled.add(path)
        # There was something to lose of every kind.
        ours = {p for p, kind in registered[name].items() if kind in ENDS and "bets" not in p}
        assert {p for p in ours if not p.startswith("best_of_rest")} <= filled


@pytest.mark.parametrize("state", STATES)
def test_what_is_read_of_a_tick(conn: Connection, state: str) -> None:
    registered = keys(conn)
    tick(conn)
    at = NOW + timedelta(seconds=AGES[state])
    for name in READINGS:
        document = json.loads(scalar(conn, f"SELECT upc.{name}_document('BTC', %s)", at))
        assert document["state"] == state
        until = datetime.fromisoformat(document["valid_until"])
        assert until == NOW + timedelta(seconds=15)
        readings = [v for path, v in leaves(document) if registered[name][path] == "reading"]
        assert [v is None for v in readings] == [state == "halted"] * len(readings)


def test_every_document_has_an_expiry(conn: Connection) -> None:
    for limit in (15, 4):
        conn.execute("SELECT set_config('upc.fresh_for', %s, true)", (f"{limit} s",))
        found = tick(conn)
        found["status"] = json.loads(scalar(conn, "SELECT upc.status_document(at => %s)", NOW))
        for name, document in found.items():
            until = datetime.fromisoformat(document["valid_until"])
            assert until == NOW + timedelta(seconds=limit), name
        numbers = {found[name]["tick_id"] for name in OF_A_TICK}
        assert numbers == {scalar(conn, "SELECT max(tick_id) FROM upc_data.tick")}


def test_the_rules_say_the_limits_in_force(conn: Connection) -> None:
    rules = json.loads(scalar(conn, "SELECT upc.document_rules()"))
    assert rules["states"] == list(STATES)
    assert rules["limits"] == [15, 30, 60]
    assert rules["documents"] == keys(conn)
    assert {kind: rule.get("null_from") for kind, rule in rules["kinds"].items()} == {
        **dict.fromkeys(rules["kinds"]),
        "probability": "halted",
        "reading": "halted",
        "quote": "halted",
        "difference": "stale",
    }
    conn.execute("SET LOCAL upc.fresh_for = '2 s'; SET LOCAL upc.stale_for = '2 min'")
    assert json.loads(scalar(conn, "SELECT upc.document_rules()"))["limits"] == [2, 30, 120]
