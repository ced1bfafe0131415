"""Bets beside a ranking of the same document in Decimal."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.between_reference import stepwise_candles
from tests.support.contract_rows import Contract, Event
from tests.support.engine import Connection, instant
from tests.support.readings import PRICE, Row, table

BUILT = {"BTC": stepwise_candles(190)}
AT = instant("2026-03-06T00:00") + timedelta(seconds=20)
READ = AT - timedelta(seconds=1)
HOUR, QUARTER = instant("2026-03-06T01:00"), instant("2026-03-06T00:15")
DAILY = instant("2026-03-06T22:00")
NEW_YORK = ZoneInfo("America/New_York")
COLUMNS = [
    *("rank", "side", "contract", "series", "kind", "event_ticker", "closes_at", "ttc_seconds"),
    *("ticker", "lower", "upper", "probability", "prob_low", "prob_high", "ask", "offered", "fee"),
    *("edge", "edge_low", "edge_high", "volume", "count", "cost", "limited_by", "news", "command"),
]
BASE = Decimal(int(PRICE))


def contract(name: str, lower: Decimal | None, upper: Decimal | None, yes: str) -> Contract:
    ask = Decimal(yes)
    return Contract(
        name, lower, upper, yes_ask=ask, yes_bid=ask - Decimal("0.03"), ask_size=Decimal("7.5")
    )


# Asks that suit neither model nor each other: some too low, some too high, some the same.
ABOVE = Event(
    *("KXBTCD-A", "KXBTCD", HOUR, READ),
    tuple(
        contract(f"A{k:02}", BASE + 100 * k, None, f"0.{cents}")
        for k, cents in zip(range(-4, 5), (90, 88, 80, 66, 40, 41, 30, 19, 12), strict=True)
    ),
)
RANGES = Event(
    *("KXBTC-R", "KXBTC", HOUR, READ),
    (
        contract("R0", None, BASE - 300, "0.30"),
        contract("R1", BASE - 300, BASE + 300, "0.30"),
        contract("R2", BASE + 300, None, "0.6"),
    ),
)
UP = Event(*("KXBTC15M-U", "KXBTC15M", QUARTER, READ), (contract("U", BASE + 10, None, "0.625"),))
DAY = Event(
    *("KXBTCD-D", "KXBTCD", DAILY, READ),
    tuple(contract(f"D{k}", BASE + 5000 * k, None, "0.45") for k in range(-2, 3)),
)
ALL = (ABOVE, RANGES, UP, DAY)
# No ask leaves anything.
FAIR = replace(
    ABOVE,
    contracts=(Contract("F", BASE - 5000, yes_ask=Decimal("0.99"), yes_bid=Decimal("0.98")),),
)


def put(conn: Connection, *events: Event) -> None:
    for event in events:
        event.put(conn)


def tick(conn: Connection, *, age: float = 0) -> dict[str, Any]:
    """The document of a live tick by the default model, its numbers exact."""
    at = AT - timedelta(seconds=age)
    conn.execute("SELECT upc.record_price('BTC', 'one', %s, %s, %s)", (PRICE, at, at))
    [row] = table(
        conn,
        "SELECT contracts FROM upc.tick('BTC', 'database', %s, model => 'volatility', "
        "method => 'linear', settlement => NULL)",
        AT,
    )
    found: dict[str, Any] = json.loads(row["contracts"], parse_float=Decimal)
    return found


def best_bets(conn: Connection, most: int = 100, seconds: float = 1) -> list[Row]:
    at = AT + timedelta(seconds=seconds)
    return table(conn, "SELECT * FROM upc.best_bets('BTC', most => %s, at => %s)", most, at)


def rules(conn: Connection, **values: object) -> None:
    for name, value in values.items():
        conn.execute("SELECT set_config(%s, %s, true)", (f"upc.{name}", str(value)))


def candidates(document: dict[str, Any]) -> list[Row]:
    """The best contract of each event and side, ranked."""
    found: dict[tuple[str, str], Row] = {}
    for place, row in enumerate(document["contracts"]):
        for side in ("yes", "no"):
            if row[f"{side}_edge"] is None:
                continue
            low, high = row["prob_low"], row["prob_high"]
            if side == "no":
                low, high = 100 - high, 100 - low
            bet = {
                **{name: row[name] for name in ("ticker", "event_ticker", "closes_at", "volume")},
                **{"side": side, "prob_low": low, "prob_high": high, "place": place},
                **{"ask": row[f"{side}_ask"], "fee": row[f"{side}_fee"]},
                **{"offered": row[f"{side}_ask_size"], "edge": row[f"{side}_edge"]},
                "edge_low": row[f"{side}_edge_low"],
            }
            best = found.get(key := (row["event_ticker"], side))
            if best is None or worth(bet) > worth(best):
                found[key] = bet
    events = list(dict.fromkeys(row["event_ticker"] for row in document["contracts"]))
    return sorted(
        found.values(),
        key=lambda b: (
            *(-number for number in worth(b)),
            events.index(b["event_ticker"]),
            b["side"] == "no",
        ),
    )


def worth(bet: Row) -> tuple[Decimal, Decimal]:
    return bet["edge_low"], bet["edge"]


def test_the_ranking_is_that_of_the_document(conn: Connection) -> None:
    put(conn, *ALL)
    document = tick(conn)
    wanted = candidates(document)
    worth_it = [bet for bet in wanted if bet["edge_low"] > 0]
    assert 4 <= len(worth_it) < len(wanted)
    rows = best_bets(conn)
    assert list(rows[0]) == COLUMNS
    assert [list(bet) for bet in document["bets"]] == [COLUMNS] * len(rows)
    assert [row["rank"] for row in rows] == list(range(1, len(worth_it) + 1))
    for row, bet, stored in zip(rows, worth_it, document["bets"], strict=True):
        for name in bet.keys() - {"place", "closes_at"}:
            assert row[name] == stored[name] == bet[name], name
        assert row["edge_high"] == round(bet["prob_high"] - 100 * bet["ask"] - bet["fee"], 2)
        assert row["closes_at"].isoformat(timespec="microseconds") == bet["closes_at"]
        assert (row["count"], row["cost"], row["limited_by"], row["news"]) == (None,) * 4
        # What is offered is less than the ten that the edge is for.
        count = 10 if bet["offered"] > 10 else int(bet["offered"])
        assert row["command"] == (
            f"pyupc trades open --ticker {bet['ticker']} --side {bet['side']}"
            f" --price {bet['ask'].normalize()} --count {count}"
        )
    rest = document["best_of_rest"]
    assert (rest["ticker"], rest["side"]) == tuple(
        wanted[len(worth_it)][name] for name in ("ticker", "side")
    )
    assert (rest["rank"], rest["count"], rest["command"]) == (None, None, None)
    sides = [(row["event_ticker"], row["side"]) for row in rows]
    assert len(set(sides)) == len(sides)
    assert best_bets(conn, most=2) == rows[:2]
    assert best_bets(conn, most=0) == []


def test_over_an_hour(conn: Connection) -> None:
    """As the price moves and the closes come nearer."""
    put(conn, *ALL)
    leaders = set()
    for minute in range(0, 60, 4):
        at = AT + timedelta(minutes=minute)
        price = PRICE + 400 * (minute % 12 - 4) / 4
        conn.execute("SELECT upc.record_price('BTC', 'one', %s, %s, %s)", (price, at, at))
        conn.execute("UPDATE upc_data.market_event SET read_at = %s", (at,))
        [row] = table(
            conn,
            "SELECT contracts FROM upc.tick('BTC', 'database', %s, model => 'volatility', "
            "method => 'linear', settlement => NULL)",
            at,
        )
        document = json.loads(row["contracts"], parse_float=Decimal)
        wanted = [bet for bet in candidates(document) if bet["edge_low"] > 0]
        named = [(bet["ticker"], bet["side"]) for bet in document["bets"]]
        assert named == [(bet["ticker"], bet["side"]) for bet in wanted]
        assert named
        leaders.add(named[0])
    assert len(leaders) > 2


def test_in_words(conn: Connection) -> None:
    put(conn, *ALL)
    tick(conn)
    words = {row["ticker"]: row["contract"] for row in best_bets(conn)}
    for event in ALL:
        for each in event.contracts:
            if each.lower is None:
                text = f"below ${each.upper:,}"
            elif each.upper is None:
                text = f"${each.lower:,} or above"
            else:
                text = f"${each.lower:,} to ${each.upper:,}"
            assert words.get(each.ticker, text) == text


def sizes(document: dict[str, Any], share: Decimal, limits: Limits) -> list[tuple[int, str | None]]:
    """Counts and what limits them, by the formulas of the manual."""
    found = []
    for bet in candidates(document):
        if bet["edge_low"] <= 0:
            break
        cost = bet["ask"] + bet["fee"] / 100
        p = bet["prob_low"] / 100
        f = (p - cost) / (1 - cost)
        day = instant(bet["closes_at"]).astimezone(NEW_YORK).date()
        most = {
            None: share * f * limits.bankroll / cost if f > 0 else Decimal(0),
            "offered": bet["offered"],
            "event": limits.left(bet["event_ticker"]) / cost,
            "day": limits.left(day) / cost,
        }
        count = max(int(min(most.values())), 0)
        by = next(name for name, each in most.items() if int(each) == int(min(most.values())))
        limits.spend(count * cost, bet["event_ticker"], day)
        found.append((count, by))
    return found


class Limits:
    def __init__(self, bankroll: int, event: int, day: int) -> None:
        self.bankroll = Decimal(bankroll)
        self._event, self._day = event, day
        self._spent: dict[object, Decimal] = {}

    def left(self, of: object) -> Decimal:
        share = self._event if isinstance(of, str) else self._day
        return self.bankroll * share / 100 - self._spent.get(of, Decimal(0))

    def spend(self, money: Decimal, *of: object) -> None:
        for each in of:
            self._spent[each] = self._spent.get(each, Decimal(0)) + money


@pytest.mark.parametrize(
    ("bankroll", "share", "event", "day"),
    [(50, "0.25", 10, 30), (1000, "0.25", 10, 30), (40, "1", 100, 20), (25, "0.5", 6, 100)],
)
def test_sizes(conn: Connection, bankroll: int, share: str, event: int, day: int) -> None:
    put(conn, *ALL)
    rules(conn, bankroll=bankroll, kelly_share=share, event_exposure=event, day_exposure=day)
    wanted = sizes(tick(conn), Decimal(share), Limits(bankroll, event, day))
    rows = best_bets(conn)
    assert [(row["count"], row["limited_by"]) for row in rows] == wanted
    for row in rows:
        assert row["cost"] == row["count"] * (row["ask"] + row["fee"] / 100)
        is_bought = row["count"] > 0
        assert (row["command"] is not None) is is_bought
        if is_bought:
            assert row["command"].endswith(f" --count {row['count']}")


def test_every_limit_is_met_somewhere(conn: Connection) -> None:
    """Of the bankrolls above: what limits is tested, and not only what is large."""
    put(conn, *ALL)
    document = tick(conn)
    met = set()
    for bankroll, share, event, day in (
        *((50, "0.25", 10, 30), (1000, "0.25", 10, 30)),
        *((40, "1", 100, 20), (25, "0.5", 6, 100)),
    ):
        met |= {by for _, by in sizes(document, Decimal(share), Limits(bankroll, event, day))}
    assert met == {None, "offered", "event", "day"}


def test_open_trades_count(conn: Connection) -> None:
    """Those of the event, and those of events of the same day in New York: 5 March, that is."""
    put(conn, *ALL)
    rules(conn, bankroll=100, event_exposure=20, day_exposure=40)
    for ticker, price, count in (("A00", "0.40", 20), ("D0", "0.5", 60), ("R1", "0.30", 10)):
        query = "SELECT upc.open_trade(%s, 'yes', %s, %s, at => %s)"
        last = conn.execute(query, (ticker, Decimal(price), count, READ)).fetchone()
    conn.execute("SELECT upc.close_trade(%s, 0.35, %s, 4)", (*(last or ()), READ))
    document = tick(conn)
    spent: list[tuple[str, Any, Decimal]] = []
    for row in table(conn, "SELECT * FROM upc_data.trade WHERE ended_at IS NULL ORDER BY trade_id"):
        held = row["position"]
        fee = row["buy_fee"] * held / (held + row["sold_count"])
        spent.append((row["event_ticker"], row["closes_at"], held * row["buy_price"] + fee))
    assert [round(money, 2) for _, _, money in spent] == [
        Decimal(each) for each in ("8.34", "31.05", "1.89")
    ]
    limits = Limits(100, 20, 40)
    for ticker, closes_at, money in spent:
        limits.spend(money, ticker, closes_at.astimezone(NEW_YORK).date())
    wanted = sizes(document, Decimal("0.25"), limits)
    assert [(row["count"], row["limited_by"]) for row in best_bets(conn)] == wanted
    # The day's event is full: its contracts close on the 6th, on which nothing else is held.
    held = {row["event_ticker"]: row for row in best_bets(conn)}
    assert (held["KXBTCD-D"]["count"], held["KXBTCD-D"]["command"]) == (0, None)


@pytest.mark.parametrize(
    ("share", "bankroll", "probability", "cost", "count"),
    [
        # f = (0.87 - 0.84) / 0.16 = 3/16; a quarter of 1000 USD of that is 46.875, at 0.84 each.
        ("0.25", 1000, 87, "0.84", 55),
        # f = 1/2 · 100 = 50 USD at 0.5: exactly a hundred.
        (1, 100, 75, "0.5", 100),
        (1, 100, "74.9999", "0.5", 99),
        (1, 100, 50, "0.5", 0),
        (1, 100, 40, "0.5", 0),
        (1, 100, 100, "1.01", 0),
        (1, None, 75, "0.5", None),
    ],
)
def test_kelly(
    conn: Connection, share: Any, bankroll: Any, probability: Any, cost: Any, count: Any
) -> None:
    query = "SELECT upc.kelly_count(%s::numeric, %s::numeric, %s::numeric, %s::numeric)"
    row = conn.execute(query, (share, bankroll, probability, cost)).fetchone()
    assert row == (count,)


def test_nothing_that_is_worth_buying(conn: Connection) -> None:
    put(conn, FAIR)
    document = tick(conn)
    assert document["bets"] == best_bets(conn) == []
    rest = document["best_of_rest"]
    assert (rest["ticker"], rest["side"]) == ("F", "yes")
    assert rest["edge_low"] <= 0


def silence(conn: Connection) -> None:
    rules(conn, suggest_bets="off")


def pause(conn: Connection) -> None:
    status = Jsonb({"exchange_active": True, "trading_active": False})
    conn.execute("SELECT upc.load_exchange_status(%s, %s)", (status, AT))


def withdraw(conn: Connection) -> None:
    conn.execute(
        "UPDATE upc_data.market_quote SET yes_ask = 1, no_ask = 1, yes_bid = 0, no_bid = 0"
    )


def age(conn: Connection) -> None:
    conn.execute("UPDATE upc_data.market_event SET read_at = %s", (AT - timedelta(seconds=40),))


@pytest.mark.parametrize("spoil", [silence, pause, withdraw, age])
def test_no_bets(conn: Connection, spoil: Callable[[Connection], None]) -> None:
    put(conn, *ALL)
    assert tick(conn)["bets"]
    spoil(conn)
    document = tick(conn)
    assert (document["bets"], document["best_of_rest"], best_bets(conn)) == ([], None, [])
    assert document["suggest_bets"] is (spoil is not silence)
    assert document["contracts"]


@pytest.mark.parametrize(("seconds", "state"), [(14, "fresh"), (29, "warn"), (40, "stale")])
def test_they_end_with_the_tick(conn: Connection, seconds: float, state: str) -> None:
    put(conn, *ALL)
    tick(conn)
    at = AT + timedelta(seconds=seconds)
    row = conn.execute("SELECT upc.bets_document('BTC', 2, %s)", (at,)).fetchone()
    assert row is not None
    found = json.loads(row[0])
    assert found["state"] == state
    is_shown = state != "stale"
    assert bool(found["bets"]) is bool(found["count"]) is is_shown
    assert (found["best_of_rest"] is not None) is is_shown
    assert len(best_bets(conn, 2, seconds)) == len(found["bets"]) == (2 if is_shown else 0)


def test_an_old_price_has_none(conn: Connection) -> None:
    put(conn, *ALL)
    document = tick(conn, age=40)
    assert (document["state"], document["bets"], document["best_of_rest"]) == ("stale", [], None)


def test_replayed_prices_have_none(conn: Connection) -> None:
    put(conn, *ALL)
    [row] = table(conn, "SELECT contracts FROM upc.tick('BTC', 'replay', %s)", AT)
    found = json.loads(row["contracts"])
    assert (found["bets"], found["best_of_rest"], found["suggest_bets"]) == ([], None, True)


def test_scheduled_news(conn: Connection) -> None:
    """Marked is what lives through a part of it: from now to the close, neither end counting."""
    put(conn, *ALL)
    for since, until, title in (
        (AT - timedelta(hours=1), AT, "over"),
        (QUARTER, QUARTER + timedelta(minutes=5), "Jobs"),
        (HOUR, HOUR + timedelta(hours=1), "Rates"),
        (READ, QUARTER, "Now"),
    ):
        conn.execute(
            "INSERT INTO upc_data.scheduled_news VALUES (%s, %s, %s)", (since, until, title)
        )
    tick(conn)
    found = {row["event_ticker"]: row["news"] for row in best_bets(conn)}
    wanted = {UP.ticker: "Now", ABOVE.ticker: "Now, Jobs", RANGES.ticker: "Now, Jobs"}
    wanted[DAY.ticker] = "Now, Jobs, Rates"
    assert found == {ticker: wanted[ticker] for ticker in found}
    assert len(found) >= 3


def test_a_name_that_no_shell_should_see_has_no_line(conn: Connection) -> None:
    event = replace(ABOVE, contracts=(replace(ABOVE.contracts[4], ticker="A; rm -rf ~"),))
    put(conn, event)
    tick(conn)
    [*rows] = best_bets(conn)
    assert rows
    assert {row["command"] for row in rows} == {None}


def test_a_symbol_that_nothing_ticks(conn: Connection) -> None:
    with pytest.raises(psycopg.Error) as error:
        conn.execute("SELECT upc.best_bets('BTC')")
    assert error.value.sqlstate == "UP023"
