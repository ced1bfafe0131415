"""Events of the day: when they open, pause, close, and what becomes of their contracts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from itertools import pairwise

from tests.kalshi.day import contracts
from tests.kalshi.day.books import Book, book, dice_of
from tests.kalshi.day.coins import DAY, Coin
from tests.kalshi.day.contracts import Bound, Contract
from tests.kalshi.day.prices import Market

HOUR = timedelta(hours=1)
QUARTER = timedelta(minutes=15)
SECOND = timedelta(seconds=1)
# 5 pm in New York.
DAILY = DAY + 22 * HOUR
# Nobody trades from 3 to 5 am in New York on a Thursday.
PAUSE = (DAY + 8 * HOUR, DAY + 10 * HOUR)
# One shard has a pause of its own.
MAINTENANCE = (DAY + 12 * HOUR + 170 * SECOND, DAY + 12 * HOUR + 300 * SECOND)


@dataclass(frozen=True)
class Story:
    """The course of an event. `paused`: when its markets are inactive, or in a status yet unknown.

    `early`: when the whole event is closed before its time; `early_market`: when its first market
    is. `known_after`: the price to beat. `cut`: its floor is a float that lost its end.
    `title_off`: of the sub title of a 15-minute market, in units. `ends`: plain, amended, scalar
    or void; `disputed` for a while before it is amended or final.
    """

    paused: tuple[tuple[datetime, datetime, str], ...] = ()
    early: datetime | None = None
    early_market: datetime | None = None
    known_after: timedelta = 20 * SECOND
    changes_after: timedelta | None = None
    cut: bool = False
    title_off: int = 0
    round_digits: bool = True
    ends: str = "plain"
    disputed: bool = False
    timer: timedelta = 300 * SECOND


@dataclass(frozen=True)
class Look:
    """A contract at an instant. Without a book Kalshi has no prices of it yet."""

    contract: Contract
    status: str
    closes_at: datetime
    lower: Bound
    upper: Bound
    book: Book | None
    result: str = ""
    settlement: Decimal | None = None
    value: Decimal | None = None


@dataclass(frozen=True)
class Event:
    market: Market
    series: str
    kind: str
    ticker: str
    title: str
    opens_at: datetime
    closes_at: datetime
    contracts: tuple[Contract, ...]
    story: Story = field(default_factory=Story)

    @property
    def coin(self) -> Coin:
        return self.market.coin

    def close(self, at: datetime) -> datetime:
        """The close of its markets as it is known at an instant."""
        early = self.story.early
        return self.closes_at if early is None or at < early else early

    def look(self, contract: Contract, at: datetime) -> Look:
        lower, upper = contract.lower, contract.upper
        if self.kind == "updown" and contract.flaw is None:
            lower = self.price_to_beat(at)
        status = self._status(contract, at)
        found = Look(contract, status, self.close(at), lower, upper, self._book(contract, at))
        if status in ("determined", "disputed", "amended", "finalized"):
            return self._settled(found, at)
        return found

    def price_to_beat(self, at: datetime) -> Bound:
        """The average of the minute before it opened; a little late, and it may be corrected."""
        known_at = self.opens_at + self.story.known_after
        if at < known_at:
            return None
        found = self.market.settlement(self.opens_at)
        if self.story.changes_after and at >= known_at + self.story.changes_after:
            return found + 3 * self.coin.unit
        return found

    def _ended(self, contract: Contract) -> datetime:
        if self.story.early_market and contract == self.contracts[0]:
            return self.story.early_market
        return self.story.early or self.closes_at

    def _status(self, contract: Contract, at: datetime) -> str:
        if at < self.opens_at:
            return "initialized"
        ended = self._ended(contract)
        if at < ended:
            paused = (word for since, until, word in self.story.paused if since <= at < until)
            return next(paused, "active")
        return self._status_after(at - ended)

    def _status_after(self, passed: timedelta) -> str:
        if passed < 7 * SECOND:
            return "closed"
        if passed >= self.story.timer:
            return "finalized"
        third = self.story.timer / 3
        if self.story.disputed and third <= passed < 2 * third:
            return "disputed"
        if self.story.ends == "amended" and passed >= 2 * third:
            return "amended"
        return "determined"

    def _settled(self, look: Look, at: datetime) -> Look:
        value = self.market.settlement(min(self._ended(look.contract), at))
        dice = dice_of(look.contract.ticker, "settled")
        if self.story.ends in ("scalar", "void"):
            paid = Decimal(int(dice.integers(0, 10_001))) / 10_000
            return replace(look, result=self.story.ends, settlement=paid, value=value)
        is_yes = (look.lower is None or value >= look.lower) and (
            look.upper is None or value < look.upper
        )
        if self.story.ends == "amended" and look.status in ("determined", "disputed"):
            is_yes = not is_yes
        return replace(
            look, result="yes" if is_yes else "no", settlement=Decimal(is_yes), value=value
        )

    def _book(self, contract: Contract, at: datetime) -> Book | None:
        if at < self.opens_at:
            return None
        lower = contract.lower if self.kind != "updown" else self.market.settlement(self.opens_at)
        left = (self.closes_at - at).total_seconds()
        price = self.market.at(min(at, self.closes_at))
        structure = "tapered_deci_cent" if self.kind == "updown" else contract.structure
        return book(contract.ticker, at, price, lower, contract.upper, left, structure)


def stamp(closes_at: datetime) -> str:
    """yy MMM dd HH of New York, as in tickers."""
    return (closes_at - 5 * HOUR).strftime("%y%b%d%H").upper()


def around(market: Market, at: datetime, step: Decimal, offset: Decimal) -> Decimal:
    """A strike of the grid next to the price of an instant."""
    price = Decimal(repr(market.at(max(DAY, at))))
    return ((price - offset) / step).to_integral_value(ROUND_FLOOR) * step + offset


def above_contracts(
    coin: Coin, event: str, middle: Decimal, count: int, step: Decimal
) -> Iterator[Contract]:
    strikes = [middle + (k - count // 2) * step for k in range(count)]
    for place, strike in enumerate(strikes):
        if coin.symbol == "DOGE":
            yield contracts.custom(event, strike, coin.below)
        elif place == 3:
            yield contracts.at_least(event, strike)
        else:
            found = contracts.greater(event, strike, coin.below)
            yield replace(found, structure="finest") if place % 7 == 5 else found


def above_event(market: Market, closes_at: datetime, story: Story, *, count: int = 26) -> Event:
    coin = market.coin
    is_daily = closes_at == DAILY
    opens_at = closes_at - (24 * HOUR if is_daily else HOUR)
    step = 4 * coin.step if is_daily else coin.step
    ticker = f"{coin.above_series}-{stamp(closes_at)}"
    middle = around(market, opens_at, step, Decimal(0))
    found = list(above_contracts(coin, ticker, middle, 9 if coin.symbol == "DOGE" else count, step))
    if coin.symbol == "BTC":
        found += contracts.left_out(ticker, coin.below, step, found[4])
    title = f"{coin.name} price at {closes_at:%H:%M}?"
    kind = "above"
    return Event(
        market, coin.above_series, kind, ticker, title, opens_at, closes_at, tuple(found), story
    )


def range_event(market: Market, closes_at: datetime, story: Story, *, count: int = 12) -> Event:
    coin = market.coin
    opens_at = closes_at - HOUR
    ticker = f"{coin.range_series}-{stamp(closes_at)}"
    middle = around(market, opens_at, coin.width, coin.offset)
    edges = [middle + (k - count // 2) * coin.width for k in range(count + 1)]
    # One more decimal than its series: the event's unit has it, too.
    unit = coin.unit / 10 if closes_at.hour % 2 else coin.unit
    found = [contracts.between(ticker, lower, upper, unit) for lower, upper in pairwise(edges)]
    first = contracts.less if closes_at.hour % 3 else contracts.at_most
    found = [
        first(ticker, edges[0], unit),
        *found,
        contracts.greater(ticker, edges[-1], unit),
    ]
    title = f"{coin.name} price range at {closes_at:%H:%M}?"
    return Event(
        market, coin.range_series, "range", ticker, title, opens_at, closes_at, tuple(found), story
    )


def updown_event(market: Market, closes_at: datetime, story: Story) -> Event:
    coin = market.coin
    ticker = f"{coin.updown_series}-{stamp(closes_at)}{closes_at:%M}"
    only = Contract(f"{ticker}-{closes_at:%M}", None, None)
    title = f"{coin.symbol} price up in next 15 mins?"
    opens_at = closes_at - QUARTER
    return Event(
        market, coin.updown_series, "updown", ticker, title, opens_at, closes_at, (only,), story
    )
