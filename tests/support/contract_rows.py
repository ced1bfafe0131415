"""Contracts put straight into the tables, and what the contract table has to say of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any

import numpy as np

from tests.support.between_reference import Question, above, interval
from tests.support.engine import Connection
from tests.support.readings import Row, table

CENT = Decimal("0.01")
EDGE_CONTRACTS = 10


@dataclass(frozen=True)
class Contract:
    """A market with one side of its book; the other side follows, as at Kalshi."""

    ticker: str
    lower: Decimal | None
    upper: Decimal | None = None
    status: str | None = "active"
    yes_bid: Decimal | None = Decimal("0.41")
    yes_ask: Decimal | None = Decimal("0.4275")
    bid_size: Decimal = Decimal("12.50")
    ask_size: Decimal = Decimal("3.00")

    @property
    def no_ask(self) -> Decimal | None:
        return None if self.yes_bid is None else 1 - self.yes_bid

    @property
    def no_bid(self) -> Decimal | None:
        return None if self.yes_ask is None else 1 - self.yes_ask


@dataclass(frozen=True)
class Event:
    ticker: str
    series: str
    closes_at: datetime
    read_at: datetime
    contracts: tuple[Contract, ...] = field(default=())

    def put(self, conn: Connection, symbol: str = "BTC") -> None:
        conn.execute(
            "INSERT INTO upc_data.market_event "
            "(symbol, event_ticker, series_ticker, title, closes_at, read_at) "
            "VALUES (%s, %s, %s, 'A title', %s, %s)",
            (symbol, self.ticker, self.series, self.closes_at, self.read_at),
        )
        for each in self.contracts:
            conn.execute(
                "INSERT INTO upc_data.market_quote (symbol, event_ticker, ticker, lower, upper, "
                "status, yes_bid, yes_ask, no_bid, no_ask, volume, yes_bid_size, yes_ask_size, "
                "no_bid_size, no_ask_size) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 100, %s, %s, %s, %s)",
                (
                    *(symbol, self.ticker, each.ticker, each.lower, each.upper, each.status),
                    *(each.yes_bid, each.yes_ask, each.no_bid, each.no_ask),
                    *(each.bid_size, each.ask_size, each.ask_size, each.bid_size),
                ),
            )


def contract_rows(conn: Connection, at: datetime, **arguments: Any) -> list[Row]:
    """The rows of contract_table of BTC, unless another symbol is named."""
    named = "".join(f", {name} => %s" for name in arguments)
    return table(
        conn, f"SELECT * FROM upc.contract_table(at => %s{named})", at, *arguments.values()
    )


def by_ticker(rows: Iterable[Row]) -> dict[str, Row]:
    found = {row["ticker"]: row for row in rows}
    assert len(found) == len(list(rows))
    return found


def fee(ask: Decimal | None, multiplier: Decimal = Decimal(1)) -> Decimal | None:
    """Cents per contract: the taker fee of ten, up to 0.0001 dollars, what is paid up to a cent."""
    if ask is None:
        return None
    model = multiplier * Decimal("0.07") * EDGE_CONTRACTS * ask * (1 - ask)
    model = model.quantize(Decimal("0.0001"), ROUND_CEILING)
    paid = (ask * EDGE_CONTRACTS + model).quantize(CENT, ROUND_CEILING)
    return 100 * (paid - ask * EDGE_CONTRACTS) / EDGE_CONTRACTS


def edge(percent: float, ask: Decimal | None, cents: Decimal | None) -> float | None:
    if ask is None or cents is None:
        return None
    return percent - float(100 * ask + cents)


def expected(
    conn: Connection, event: Event, question: Question, multiplier: Decimal = Decimal(1)
) -> dict[str, Row]:
    """Rows that fresh, active contracts of the event have to have, by ticker."""
    found: dict[str, Row] = {}
    for each in event.contracts:
        percent = 100.0
        effective = weighted = np.inf
        for bound, sign in ((each.lower, -1), (each.upper, 1)):
            if bound is not None:
                [value], effective, weighted = above(conn, question, np.array([float(bound)]))
                percent += (value - 100) if sign < 0 else -value
        low = high = percent
        if np.isfinite(effective):
            [low], [high] = interval(np.array([percent]), effective, weighted)
        yes_fee, no_fee = fee(each.yes_ask, multiplier), fee(each.no_ask, multiplier)
        found[each.ticker] = {
            "probability": percent,
            "prob_low": low,
            "prob_high": high,
            "yes_fee": None if yes_fee is None else float(yes_fee),
            "no_fee": None if no_fee is None else float(no_fee),
            "yes_edge": edge(percent, each.yes_ask, yes_fee),
            "no_edge": edge(100 - percent, each.no_ask, no_fee),
            "yes_edge_low": edge(low, each.yes_ask, yes_fee),
            "no_edge_low": edge(100 - high, each.no_ask, no_fee),
        }
    return found
