"""Trades of the day: what they are worth while they are held, and how they are settled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np

from tests.kalshi.day import money
from tests.kalshi.day.curves import Curves, of_pairs, without_coherence
from tests.kalshi.day.documents import Expected, Rounded, current, decimals_of, iso, scene_of
from tests.kalshi.day.events import Look
from tests.kalshi.day.exchange import terms_of
from tests.kalshi.day.playing import Bought, Day, Moment, Read
from tests.kalshi.day.rows import asking, seconds_left
from tests.kalshi.day.tape import freshness

MICRO = Decimal("0.000001")


@dataclass
class Held:
    """A trade as it is to be: `fills` are kind, price and count; `end` its result and payment."""

    bought: Bought
    fills: list[tuple[str, Decimal, Decimal]] = field(default_factory=list)
    end: tuple[str, Decimal] | None = None
    is_provisional: bool = False

    def __post_init__(self) -> None:
        self.fills.append(("buy", self.bought.price, self.bought.count))

    @property
    def fee(self) -> Decimal:
        """Of the purchase, its rounding in it."""
        price, count = self.bought.price, self.bought.count
        return money.paid(price, count, self.multiplier) - price * count

    @property
    def multiplier(self) -> Decimal:
        return terms_of(self.bought.event.series).multiplier

    def settle(self, look: Look, is_closed: bool) -> None:
        """What a tick makes of its market: nothing without a result, or while it is disputed."""
        paid = payout(self.bought.side, look)
        if paid is None or look.status == "disputed":
            return
        is_final = look.status == "finalized"
        if self.end is None:
            if is_closed or look.status in ("determined", "amended", "finalized"):
                self.end, self.is_provisional = (look.result, paid), not is_final
                self.fills.append(("settlement", paid, self.bought.count))
        elif self.is_provisional:
            if self.end != (look.result, paid):
                self.fills.append(("correction", paid, self.bought.count))
            self.end, self.is_provisional = (look.result, paid), not is_final


def payout(side: str, look: Look) -> Decimal | None:
    if look.settlement is None:
        return None
    return look.settlement if side == "yes" else 1 - look.settlement


def look_of(bought: Bought, read: Read) -> Look:
    return next(look for look in read.looks if look.contract.ticker == bought.ticker)


def trades_of(day: Day) -> list[Held]:
    return [Held(bought) for bought in day.bought]


def played(day: Day, trades: list[Held]) -> Iterator[tuple[Moment, list[Held]]]:
    """Each moment with the trades that are held after its tick; the trades change as it goes."""
    for moment in day.moments:
        own = [
            each
            for each in trades
            if each.bought.event.coin.symbol == moment.symbol
            and each.bought.opened_at <= moment.instant.at
        ]
        for each in own:
            read = moment.reads[each.bought.event.ticker]
            each.settle(look_of(each.bought, read), read.closes_at <= moment.instant.at)
        yield moment, [each for each in own if each.end is None]


def active_trades(moment: Moment, held: list[Held], curves: Curves) -> Expected:
    read = current(moment)
    return {
        "symbol": moment.symbol,
        "timestamp": iso(moment.instant.at),
        "active_trades": [entry(moment, each, curves) for each in held],
        "count": len(held),
        "current_price": moment.seen.price,
        "state": moment.seen.state,
        "quote_state": None if read is None else freshness(moment.instant.at - read.read_at),
        "feed": "database",
        "market_at": iso(moment.instant.at),
        "valid_until": iso(moment.instant.at + timedelta(seconds=15)),
        "tick_id": moment.tick["tick_id"],
    }


def probability(moment: Moment, held: Held, look: Look, curves: Curves) -> float | None:
    """Of the side that is held, percent."""
    bought = held.bought
    read = moment.reads[bought.event.ticker]
    has_bounds = look.lower is not None or look.upper is not None
    if moment.seen.state == "halted" or read.closes_at <= moment.instant.at or not has_bounds:
        return None
    if current(moment) == read:
        # That of the strike table.
        asked = without_coherence(scene_of(moment).ask.asked)
        assert look.lower is not None
        percent = float(curves.above(asked, np.array([float(look.lower)]))[0])
    else:
        ask = asking(moment, read, moment.instant.way)
        if ask.used is None:
            return None
        bounds = (np.array([np.nan if b is None else float(b)]) for b in (look.lower, look.upper))
        lowers, uppers = bounds
        percent = float(of_pairs(curves, ask.asked, lowers, uppers)[0][0])
    return percent if bought.side == "yes" else 100 - percent


def yes_buffer(price: float, look: Look) -> float | None:
    """To the nearer bound, below zero where it does not pay."""
    found = []
    if look.lower is not None:
        found.append(price - float(look.lower))
    if look.upper is not None:
        found.append(float(look.upper) - price)
    return min(found, default=None)


def close_price(moment: Moment, held: Held, look: Look) -> Decimal | None:
    """The best bid for its side, where somebody bids and it is traded."""
    read = moment.reads[held.bought.event.ticker]
    at = moment.instant.at
    is_traded = look.status == "active" and read.closes_at > at and not moment.is_paused
    if look.book is None or not is_traded or freshness(at - read.read_at) == "halted":
        return None
    book = look.book
    return (book.yes_bid if held.bought.side == "yes" else book.no_bid) or None


def entry(moment: Moment, held: Held, curves: Curves) -> dict[str, Any]:
    bought = held.bought
    read = moment.reads[bought.event.ticker]
    look = look_of(bought, read)
    percent = probability(moment, held, look, curves)
    buffer = yes_buffer(moment.seen.price, look)
    if buffer is not None and bought.side == "no":
        buffer = -buffer
    at = moment.instant.at
    return {
        "id": bought.trade_id,
        "trade_id": bought.trade_id,
        "ticket_id": f"TICKET-{bought.trade_id}",
        "ticker": bought.ticker,
        "symbol": moment.symbol,
        "side": "Y" if bought.side == "yes" else "N",
        "strike": strike_text(bought.event.kind, look),
        "buy_price": bought.price,
        "position": bought.count,
        "current_symbol_price": moment.seen.price,
        "current_probability": None if percent is None else Rounded(percent),
        "buffer_from_entry": None
        if buffer is None
        else Rounded(buffer, decimals_of(moment.seen.price)),
        "time_since_entry": seconds_left(at, bought.opened_at),
        "status": "active",
        "stop_reason": None,
        "stopped_at": None,
        "ttc_seconds": max(0, seconds_left(read.closes_at, at)),
        "event_ticker": bought.event.ticker,
        "opened_at": iso(bought.opened_at),
        "state": "open",
        "contract_side": bought.side,
        "strike_price": look.lower if look.upper is None else None,
        "sold_count": 0,
        "realised_pnl": 0,
        "lower": look.lower,
        "upper": look.upper,
        "kind": bought.event.kind,
        **_worth(held, close_price(moment, held, look)),
    }


def _worth(held: Held, close: Decimal | None) -> dict[str, Any]:
    names = ("pnl", "pnl_per_contract", "pnl_after_fees", "pnl_per_contract_after_fees")
    if close is None:
        nothing = ("current_close_price", "current_pnl", "close_value", *names)
        return dict.fromkeys(nothing)
    price, count = held.bought.price, held.bought.count
    pnl = count * (close - price)
    after = money.received(close, count, held.multiplier) - count * price - held.fee
    each = (value.quantize(MICRO, ROUND_HALF_UP) for value in (pnl / count, after / count))
    return {
        "current_close_price": 1 - close,
        # There is no cent below zero that is none.
        "current_pnl": f"{(close - price).quantize(money.CENT, ROUND_HALF_UP) + 0:.2f}",
        "close_value": close,
        **dict(zip(names, (pnl, next(each), after, next(each)), strict=True)),
    }


def strike_text(kind: str, look: Look) -> str | None:
    """$118,750, $86,000 to $86,100, below $53,200, $90,000 or above."""
    if look.upper is None:
        if look.lower is None:
            return None
        return _usd(look.lower) + (" or above" if kind == "range" else "")
    if look.lower is None:
        return f"below {_usd(look.upper)}"
    return f"{_usd(look.lower)} to {_usd(look.upper)}"


def _usd(value: Decimal) -> str:
    """Cents only if there are any, and then both of them."""
    text = f"{value.normalize():,f}"
    whole, _, rest = text.partition(".")
    return f"${whole}" + (f".{rest:0<2}" if rest else "")
