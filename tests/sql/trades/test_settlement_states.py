"""Settlement as results come: provisional, disputed, amended, final, neither yes nor no."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.support.engine import Connection, scalar
from tests.support.trading import (
    CLOSE,
    FINE,
    NO,
    NOW,
    YES,
    event_document,
    open_trade,
    put_price,
    seconds,
    table,
    taker_fee,
    tick,
    ticker_of,
)

D = Decimal
FEE = taker_fee(D("0.35"), D(20))


@pytest.fixture(scope="module")
def module_dsn(trading_dsn: str) -> str:
    return trading_dsn


class Ledger:
    """A trade of 20 contracts at 0.35, and readings of its market that a tick follows each."""

    def __init__(self, conn: Connection, side: str = YES) -> None:
        self.conn = conn
        self.trade_id = open_trade(conn, side, price="0.35", count=20)
        self.at = CLOSE

    def read(self, status: str, result: str = "", at: datetime | None = None, **fields: Any) -> Any:
        """Settlements that the tick announces."""
        self.at = at or self.at + seconds(1)
        document = event_document(status=status, result=result, **fields)
        self.conn.execute(
            "SELECT upc.load_market(%s, read_at => %s)", (Jsonb(document), max(self.at, CLOSE))
        )
        put_price(self.conn, FINE + (self.at - CLOSE).total_seconds() / 100, self.at)
        announced = json.loads(tick(self.conn, self.at)["announced"] or "[]")
        return [each for each in announced if each["kind"] == "settled"]

    def state(self) -> tuple[Any, ...]:
        [row] = table(
            self.conn, "SELECT * FROM upc_data.trade WHERE trade_id = %s", (self.trade_id,)
        )
        return row["status"], row["result"], row["end_price"], row["is_provisional"]

    @property
    def fills(self) -> list[tuple[Any, ...]]:
        query = (
            "SELECT kind, price, count, note FROM upc_data.fill WHERE trade_id = %s ORDER BY fill"
        )
        return self.conn.execute(query.encode(), (self.trade_id,)).fetchall()

    @property
    def profit(self) -> Decimal:
        query = (
            "SELECT pnl_after_fees FROM upc.trade_list(has_ended => true, at => %s)"
            " WHERE trade_id = %s"
        )
        return D(scalar(self.conn, query, self.at, self.trade_id))


BUY = ("buy", D("0.35"), 20, None)


def test_provisional_then_final(conn: Connection) -> None:
    ledger = Ledger(conn)
    assert ledger.read("closed") == []
    assert ledger.state() == ("open", None, None, False)
    [news] = ledger.read("determined", YES)
    assert (news["document"]["is_provisional"], news["document"]["note"]) == (True, None)
    assert ledger.state() == ("settled", YES, 1, True)
    assert ledger.read("determined", YES) == []
    # What stays as it is is final without another word.
    assert ledger.read("finalized", YES) == []
    assert ledger.state() == ("settled", YES, 1, False)
    assert ledger.fills == [BUY, ("settlement", 1, 20, None)]
    # And what is final stays.
    assert ledger.read("finalized", NO) == []
    assert ledger.state() == ("settled", YES, 1, False)
    assert ledger.profit == 20 * D("0.65") - FEE


def test_an_amended_result_corrects_the_ledger(conn: Connection) -> None:
    ledger = Ledger(conn)
    ledger.read("determined", YES)
    assert ledger.read("disputed", YES) == []
    assert ledger.read("disputed", NO) == []
    assert ledger.state() == ("settled", YES, 1, True)
    [news] = ledger.read("amended", NO)
    assert (news["subject"], news["document"]["result"]) == ("trade", NO)
    assert news["document"]["note"] == "amended from yes (1 USD)"
    assert news["document"]["pnl_after_fees"] == float(-20 * D("0.35") - FEE)
    assert "amended" in news["message"]
    assert ledger.state() == ("settled", NO, 0, True)
    assert ledger.fills == [
        BUY,
        ("settlement", 1, 20, None),
        ("correction", 0, 20, "amended from yes (1 USD)"),
    ]
    assert ledger.profit == -20 * D("0.35") - FEE
    # Amended once more, in the same reading that is final.
    [news] = ledger.read("finalized", "scalar", settlement_value_dollars="0.4210")
    assert news["document"]["note"] == "amended from no (0 USD)"
    assert ledger.state() == ("settled", "scalar", D("0.4210"), False)
    assert ledger.profit == 20 * (D("0.4210") - D("0.35")) - FEE
    assert [kind for kind, *_ in ledger.fills] == ["buy", "settlement", *["correction"] * 2]


@pytest.mark.parametrize("result", ["scalar", "void"])
@pytest.mark.parametrize(("side", "pays"), [(YES, "0.4210"), (NO, "0.5790")])
def test_neither_yes_nor_no_pays_the_settlement_value(
    conn: Connection, result: str, side: str, pays: str
) -> None:
    ledger = Ledger(conn, side)
    assert ledger.read("determined", result) == []
    [news] = ledger.read("finalized", result, settlement_value_dollars="0.4210")
    assert news["document"]["end_price"] == float(pays)
    assert ledger.state() == ("settled", result, D(pays), False)
    assert ledger.profit == 20 * (D(pays) - D("0.35")) - FEE


def test_a_disputed_result_settles_nothing_yet(conn: Connection) -> None:
    ledger = Ledger(conn)
    assert ledger.read("disputed", YES) == []
    assert ledger.state()[0] == "open"
    assert len(ledger.read("amended", NO)) == 1
    assert ledger.state() == ("settled", NO, 0, True)


def test_a_market_that_is_closed_early_settles_early(conn: Connection) -> None:
    ledger = Ledger(conn)
    early = CLOSE - seconds(600)
    # Closed, and open again.
    assert ledger.read("closed", at=early) == []
    assert ledger.read("active", at=early + seconds(1)) == []
    assert ledger.state()[0] == "open"
    assert len(ledger.read("determined", YES, at=early + seconds(2))) == 1
    assert ledger.state() == ("settled", YES, 1, True)


def test_events_are_read_until_their_results_are_final(conn: Connection) -> None:
    query = "SELECT event_ticker FROM upc.unsettled_events('BTC', %s)"
    ledger = Ledger(conn)
    ages = (CLOSE + seconds(3600), CLOSE + seconds(90 * 86400))
    for status, result, is_awaited in (
        ("determined", YES, True),
        ("amended", NO, True),
        ("finalized", NO, False),
    ):
        ledger.read(status, result)
        # However long ago it was, since a trade was settled by it.
        for at in ages:
            assert (table(conn, query, (at,)) != []) is is_awaited
    conn.execute("UPDATE upc_data.market_quote SET status = 'determined'")
    assert [len(table(conn, query, (at,))) for at in ages] == [1, 0]


def test_a_list_of_trades_says_what_is_provisional(conn: Connection) -> None:
    ledger = Ledger(conn)
    query = "SELECT is_provisional FROM upc.trade_list(has_ended => true, at => %s)"
    assert scalar(conn, query, NOW) is False
    ledger.read("determined", YES)
    assert scalar(conn, query, ledger.at) is True


def test_a_result_that_does_not_come_is_named_by_the_status(conn: Connection) -> None:
    ledger = Ledger(conn)
    query = "SELECT light, problems FROM upc.status('BTC', %s)"

    def problems(hours: float) -> tuple[str, list[str]]:
        [row] = table(conn, query, (CLOSE + seconds(3600 * hours),))
        return row["light"], [each for each in row["problems"] if "result" in each]

    assert problems(0.99)[1] == []
    light, [problem] = problems(2.5)
    assert ticker_of() in problem
    assert light != "green"
    ledger.read("determined", YES)
    assert problems(2.5)[1] == []
