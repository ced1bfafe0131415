"""The day played: Kalshi's events over HTTP into a database, prices, ticks, and what they said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pyupc.exchange.answer import Candle
from pyupc.feed.store import Store
from pyupc.kalshi.api import HOUR, Kalshi, Upcoming
from tests.kalshi.day import plot, prices, schedule
from tests.kalshi.day.books import dice_of
from tests.kalshi.day.coins import COINS, DAY
from tests.kalshi.day.curves import Curves, ladder
from tests.kalshi.day.events import Event, Look
from tests.kalshi.day.exchange import Exchange, flags_at
from tests.kalshi.day.prices import Market
from tests.kalshi.day.schedule import Instant
from tests.kalshi.day.tape import Price, Seen, Tape
from tests.support import feed_parts
from tests.support.engine import Connection, build, open_db, put
from tests.support.kalshi_server import Server
from tests.support.readings import Floats, Row, table

Document = dict[str, Any]
DOCUMENTS = ("live_probabilities", "strike_table", "watchlist", "active_trades", "contracts")


@dataclass(frozen=True)
class Read:
    """An event as it was read last."""

    event: Event
    read_at: datetime
    looks: tuple[Look, ...]

    @property
    def closes_at(self) -> datetime:
        return max(look.closes_at for look in self.looks)


@dataclass(frozen=True)
class Moment:
    """One coin at one instant: what was known by then, and what the database said of it."""

    symbol: str
    instant: Instant
    seen: Seen
    reads: dict[str, Read]
    averages: dict[datetime, float | None]
    is_paused: bool
    sigmas: Floats | None
    rows: list[Row]
    tick: Row
    documents: dict[str, Document]

    def __str__(self) -> str:
        return f"{self.symbol} at {self.instant.at:%H:%M:%S.%f}"


@dataclass(frozen=True)
class Bought:
    """A trade as it was made. `price`: USD per contract."""

    trade_id: int
    event: Event
    ticker: str
    side: str
    price: Decimal
    count: Decimal
    opened_at: datetime


@dataclass
class Day:
    """`sent`: how many answers of Kalshi were read; `trades`, `fills`: the ledger at its end;
    `log`: of the contracts."""

    curves: dict[str, Curves]
    tapes: dict[str, Tape]
    moments: list[Moment] = field(default_factory=list)
    bought: list[Bought] = field(default_factory=list)
    trades: list[Row] = field(default_factory=list)
    fills: list[Row] = field(default_factory=list)
    log: list[Row] = field(default_factory=list)
    sent: int = 0


def exact(text: str) -> Document:
    """JSON with its numbers as they are written."""
    found: Document = json.loads(text, parse_float=Decimal)
    return found


def prepare(conn: Connection) -> dict[str, Market]:
    """The coins with their candles of the days before, and curves of them."""
    found = {}
    for coin in COINS:
        market = found[coin.symbol] = prices.make(coin)
        if coin.symbol not in ("BTC", "ETH"):
            conn.execute("SELECT upc.add_symbol(%s, step => %s)", (coin.symbol, float(coin.step)))
        put(conn, coin.symbol, market.before)
        build(conn, coin.symbol)
    return found


@dataclass
class _Player:
    """A coin's part of the feed, at a clock that stands still in between."""

    tape: Tape
    client: Kalshi
    store: Store
    events: dict[str, Event]
    chosen: list[Instant]
    reads: dict[str, Read] = field(default_factory=dict)
    followed: dict[str, Upcoming] = field(default_factory=dict)
    candles_until: datetime = DAY

    def __post_init__(self) -> None:
        self.symbol = self.tape.market.coin.symbol
        self.ahead = list(schedule.logged(self.symbol, self.chosen))

    async def read(self, at: datetime) -> None:
        """As the feed does: what closes next of each series, later events, and results."""
        coin = self.tape.market.coin
        for series in (coin.above_series, coin.range_series, coin.updown_series):
            followed = self.followed.get(series)
            if followed is None or followed.closes_at <= at:
                found = await self.client.next_event(series, at)
                if found is None or found == followed:
                    continue
                followed = found
            self.followed[series] = await self._take(followed, at)
        later = await self.client.later_events(coin.above_series, at + HOUR, at + 24 * HOUR)
        for event in later[:2]:
            await self._take(event, at)
        for ticker, closes_at in await self.store.unsettled(self.symbol, at):
            await self._take(Upcoming(ticker, closes_at), at)

    async def look_ahead(self, at: datetime) -> None:
        """Events that open within the hour, as somebody may load them by hand."""
        for event in self.events.values():
            if event.coin == self.tape.market.coin and at < event.opens_at <= at + HOUR / 2:
                await self._take(Upcoming(event.ticker, event.closes_at), at)

    async def _take(self, upcoming: Upcoming, at: datetime) -> Upcoming:
        reading = await self.client.event(upcoming.ticker)
        assert reading.received_at == at
        assert await self.store.market(self.symbol, reading.text, at)
        event = self.events[upcoming.ticker]
        looks = tuple(event.look(contract, at) for contract in event.contracts)
        self.reads[upcoming.ticker] = Read(event, at, looks)
        return Upcoming(upcoming.ticker, reading.closes_at or upcoming.closes_at)

    async def live(self, until: datetime) -> None:
        """Prices and candles that came in by then."""
        market = self.tape.market
        while self.ahead and self.ahead[0][1] <= until:
            exchange_at, received_at, second = self.ahead.pop(0)
            price = market.at(DAY + timedelta(seconds=second))
            assert await self.store.price(self.symbol, price, exchange_at, received_at)
            self.tape.prices.append(Price(received_at, exchange_at, price))
        ends_at = until.replace(second=0, microsecond=0)
        if ends_at > self.candles_until:
            await self.store.candles(
                self.symbol, list(_candles(market, self.candles_until, ends_at))
            )
            self.candles_until = ends_at


def _candles(market: Market, since: datetime, until: datetime) -> Iterator[Candle]:
    found = market.candles(since, until)
    columns = (found.minutes, found.opens, found.highs, found.lows, found.closes)
    for opened, first, high, low, last in zip(*(each.tolist() for each in columns), strict=True):
        yield Candle(opened, first, high, low, last, 1.0)


def play(dsn: str, chosen: list[Instant]) -> Day:
    with open_db(dsn) as conn:
        markets = prepare(conn)
        day = Day(
            {symbol: Curves.read(conn, symbol) for symbol in markets},
            {symbol: Tape(market) for symbol, market in markets.items()},
        )
        # Stops have tests of their own: here all trades are held to the end.
        for rule in ("stop_on_probability", "stop_on_momentum"):
            conn.execute("SELECT upc.set_rule(%s, 'off')", (rule,))
        feed_parts.run(_play(dsn, conn, day, chosen))
        day.trades = table(conn, "SELECT * FROM upc_data.trade ORDER BY symbol, trade_id")
        day.fills = table(conn, "SELECT * FROM upc_data.fill ORDER BY symbol, trade_id, fill")
        day.log = table(conn, "SELECT * FROM upc_data.contract_log")
    return day


def next_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0) + HOUR


async def _play(dsn: str, conn: Connection, day: Day, chosen: list[Instant]) -> None:
    now = [DAY]
    events = [event for tape in day.tapes.values() for event in plot.events_of(tape.market)]
    exchange = Exchange(events, lambda: now[0])
    by_ticker = {event.ticker: event for event in events}
    async with (
        Server(exchange) as server,
        Kalshi(server.url, now=lambda: now[0]) as client,
        feed_parts.storing(dsn) as store,
    ):
        players = [_Player(tape, client, store, by_ticker, chosen) for tape in day.tapes.values()]
        for player in players:
            for series in _series_of(player):
                await store.series(await client.series(series))
        for instant in chosen:
            now[0] = instant.at - timedelta(seconds=instant.quote_age)
            # A status of more than a minute ago says nothing.
            is_read = instant.reads_status and instant.quote_age <= 60
            paused = await _status(client, store, now[0]) if is_read else {}
            for player in players:
                now[0] = instant.at - timedelta(seconds=instant.quote_age)
                await player.read(now[0])
                if instant.looks_ahead:
                    await player.look_ahead(now[0])
                now[0] = instant.at
                await player.live(instant.at)
                if instant.trades:
                    day.bought += buy(conn, player, instant.at)
                shard = player.tape.market.coin.shard
                is_paused = paused.get(shard or 0, paused.get(0, False))
                day.moments.append(look(conn, player, instant, is_paused))
        day.sent = len(server.requests)


async def _status(client: Kalshi, store: Store, at: datetime) -> dict[int, bool]:
    """Whether each shard that is listed is paused, once the database has it, too."""
    text, read_at = await client.exchange_status()
    assert read_at == at
    await store.exchange_status(text, at)
    return {shard: any(flags) for shard, flags in flags_at(at).items()}


def _series_of(player: _Player) -> list[str]:
    coin = player.tape.market.coin
    return [coin.above_series, coin.range_series, coin.updown_series]


def buy(conn: Connection, player: _Player, at: datetime) -> Iterator[Bought]:
    """A contract of either side of each event that is open."""
    for ticker, read in player.reads.items():
        active = [look for look in read.looks if look.status == "active" and not look.contract.flaw]
        if read.closes_at <= at or not active:
            continue
        dice = dice_of(ticker, "trades", at)
        for side in ("yes", "no"):
            contract = active[int(dice.integers(0, len(active)))].contract
            price = Decimal(int(dice.integers(1, 1000))) / 1000
            count = Decimal(int(dice.integers(1, 10_000))) / 100
            [(trade_id,)] = conn.execute(
                "SELECT upc.open_trade(%s, %s, %s, %s, symbol => %s, at => %s)",
                (contract.ticker, side, price, count, player.symbol, at),
            ).fetchall()
            yield Bought(trade_id, read.event, contract.ticker, side, price, count, at)


def look(conn: Connection, player: _Player, instant: Instant, is_paused: bool) -> Moment:
    """The tick of an instant and the contract table, beside what they are worked out from."""
    at, way = instant.at, instant.way
    [tick] = table(
        conn,
        "SELECT * FROM upc.tick(%s, 'database', at => %s, model => %s, method => %s, "
        "settlement => %s)",
        *(player.symbol, at, way.model, way.method, way.settlement),
    )
    rows = table(
        conn,
        "SELECT * FROM upc.contract_table(%s, %s, model => %s, method => %s, settlement => %s)",
        *(player.symbol, at, way.model, way.method, way.settlement),
    )
    closes = {next_hour(at), *(read.closes_at for read in player.reads.values())}
    return Moment(
        player.symbol,
        instant,
        player.tape.seen(at),
        dict(player.reads),
        {close: player.tape.average(close, at) for close in closes if close > at},
        is_paused,
        ladder(conn, player.symbol, at),
        rows,
        tick,
        {name: exact(tick[name]) for name in DOCUMENTS if tick.get(name)},
    )
