"""Settlement under any sequence of readings, ticks and sales, beside a second ledger in Decimal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from tests.support.engine import Connection, scalar
from tests.support.trading import (
    CLOSE,
    FINE,
    NO,
    YES,
    event_document,
    open_trade,
    put_price,
    seconds,
    table,
    taker_fee,
    tick,
)

D = Decimal

STATUSES = [
    *("initialized", "inactive", "active", "closed", "determined", "disputed", "amended"),
    *("finalized", "settled", "unheard of"),
]
FINAL = ("finalized", "settled")
SETTLES = ("determined", "amended", *FINAL)
BOUGHT = D(20)
PRICE = D("0.35")


@pytest.fixture(scope="module")
def module_dsn(trading_dsn: str) -> str:
    return trading_dsn


@dataclass(frozen=True)
class Read:
    """A reading of the market. `close`: the close that it names, in seconds after the first one."""

    status: str
    result: str
    value: Decimal | None
    close: int


@dataclass(frozen=True)
class Sell:
    count: Decimal
    price: Decimal


@dataclass(frozen=True)
class Wait:
    seconds: int


READ = st.builds(
    Read,
    st.sampled_from(STATUSES),
    st.sampled_from(["", YES, NO, "scalar", "void"]),
    st.none() | st.integers(0, 10_000).map(lambda units: D(units) / 10_000),
    st.sampled_from([0, 0, 0, -3, 30]),
)
SELL = st.builds(
    Sell,
    st.integers(1, 4000).map(lambda hundredths: D(hundredths) / 100),
    st.integers(0, 10_000).map(lambda units: D(units) / 10_000),
)
STEPS = st.lists(
    st.one_of(READ, READ, READ, SELL, st.builds(Wait, st.sampled_from([1, 40, 900]))),
    min_size=1,
    max_size=12,
)


@dataclass
class Ledger:
    """What a trade is and brings, by the rules: provisional from determined on, or once the close
    is over, unless it is disputed; amended until it is final; final for good."""

    side: str
    held: Decimal = BOUGHT
    cash: Decimal = field(default_factory=lambda: -BOUGHT * PRICE - taker_fee(PRICE, BOUGHT))
    state: str = "open"
    result: str | None = None
    payout: Decimal | None = None
    is_provisional: bool = False
    fills: list[str] = field(default_factory=lambda: ["buy"])

    def sell(self, sale: Sell) -> bool:
        if self.state not in ("open", "stopped") or sale.count > self.held:
            return False
        self.cash += sale.count * sale.price - taker_fee(sale.price, sale.count, is_sale=True)
        self.held -= sale.count
        self.fills.append("sale")
        if self.held == 0:
            self.state = "closed"
        return True

    def look(self, read: Read, is_over: bool) -> int:
        """How many settlements are announced."""
        payout = self.pays(read)
        if payout is None or read.status == "disputed" or self.state == "closed":
            return 0
        if not is_over and read.status not in SETTLES:
            return 0
        if self.state != "settled":
            self.state = "settled"
            self.fills.append("settlement")
        elif not self.is_provisional:
            return 0
        elif (payout, read.result) != (self.payout, self.result):
            self.fills.append("correction")
        else:
            self.is_provisional = read.status not in FINAL
            return 0
        self.payout, self.result = payout, read.result
        self.is_provisional = read.status not in FINAL
        return 1

    def pays(self, read: Read) -> Decimal | None:
        if read.result in (YES, NO):
            return D(read.result == self.side)
        if read.result in ("scalar", "void") and read.value is not None:
            return read.value if self.side == YES else 1 - read.value
        return None

    @property
    def profit(self) -> Decimal | None:
        if self.state == "closed":
            return self.cash
        return None if self.payout is None else self.cash + self.held * self.payout


@dataclass
class Scene:
    conn: Connection
    side: str
    at: datetime = CLOSE - timedelta(seconds=5)
    closes_at: datetime = CLOSE
    read: Read = Read("active", "", None, 0)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.side)
        self.trade_id = open_trade(self.conn, self.side, price=str(PRICE), count=BOUGHT, at=self.at)

    def take(self, step: Read | Sell | Wait) -> None:
        if isinstance(step, Wait):
            self.at += seconds(step.seconds)
        else:
            self.at += seconds(1)
        if isinstance(step, Sell):
            self.sell(step)
        if isinstance(step, Read):
            self.read, self.closes_at = step, CLOSE + seconds(step.close)
            document = event_document(
                closes_at=self.closes_at,
                status=step.status,
                result=step.result,
                settlement_value_dollars=None if step.value is None else str(step.value),
            )
            self.conn.execute(
                "SELECT upc.load_market(%s, read_at => %s)", (Jsonb(document), self.at)
            )
        put_price(self.conn, FINE + (self.at - CLOSE).total_seconds() / 1000, self.at)
        row = tick(self.conn, self.at)
        news = [each for each in self.news(row) if each["kind"] == "settled"]
        expected = self.ledger.look(self.read, self.closes_at <= self.at)
        assert len(news) == expected
        self.check()

    def news(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield from json.loads(row["announced"] or "[]")

    def sell(self, sale: Sell) -> None:
        query = "SELECT upc.close_trade(%s, %s, at => %s, count => %s)"
        if self.ledger.sell(sale):
            self.conn.execute(query, (self.trade_id, sale.price, self.at, sale.count))

    def check(self) -> None:
        ledger = self.ledger
        [row] = table(
            self.conn, "SELECT * FROM upc_data.trade WHERE trade_id = %s", (self.trade_id,)
        )
        state = "open" if row["status"] == "stopped" else row["status"]
        assert state == ledger.state
        assert row["result"] == ledger.result
        assert row["is_provisional"] is ledger.is_provisional
        kinds = self.conn.execute(
            "SELECT kind FROM upc_data.fill WHERE trade_id = %s ORDER BY fill", (self.trade_id,)
        )
        assert [kind for (kind,) in kinds] == ledger.fills
        profit = (
            scalar(
                self.conn,
                "SELECT pnl_after_fees FROM upc.trade_list(has_ended => true, at => %s)"
                " WHERE trade_id = %s",
                *(self.at, self.trade_id),
            )
            if ledger.profit is not None
            else None
        )
        assert profit == ledger.profit


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS, side=st.sampled_from([YES, NO]))
def test_any_sequence(conn: Connection, steps: list[Read | Sell | Wait], side: str) -> None:
    with conn.transaction(force_rollback=True):
        scene = Scene(conn, side)
        for step in steps:
            scene.take(step)
