"""Kalshi on the day, at the instant of a clock: what it answers over HTTP."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

from tests.kalshi.day.contracts import number, usd
from tests.kalshi.day.events import MAINTENANCE, PAUSE, Event, Look
from tests.support.kalshi_server import Reply, Request

Document = dict[str, Any]

AVERAGE = (
    "If the simple average of the sixty seconds of CF Benchmarks' index before the close is above "
    "the strike, then the market resolves to Yes. At the last minute before expiration, 60 RTI "
    "prices are collected. The official and final value is the average of these prices."
)
TRIMMED = (
    "At the last minute before expiration, 60 prices are collected; the top and the bottom 20% are "
    "left out. The value is the mean of the rest."
)
UNCLEAR = "The market resolves to Yes if the price is within the range, as Kalshi sees it."


@dataclass(frozen=True)
class Terms:
    """Terms of a series: its fees, and what settles it by its rules (None: not clear)."""

    fee_type: str = "quadratic_with_maker_fees"
    multiplier: Decimal = Decimal(1)
    settlement: str | None = "average"

    @property
    def rules(self) -> str:
        texts = {"average": AVERAGE, "trimmed": TRIMMED, None: UNCLEAR}
        return texts[self.settlement]

    @property
    def is_unclear(self) -> bool:
        return self.settlement is None or not self.fee_type.startswith("quadratic")


TERMS = {
    "KXBTC": Terms("quadratic"),
    "KXETH15M": Terms(multiplier=Decimal("0.5")),
    "KXSOLD": Terms(multiplier=Decimal("1.25")),
    "KXSOLE": Terms(settlement=None),
    "KXXRP": Terms(settlement="trimmed"),
    "KXDOGE15M": Terms("flat", Decimal("0.35")),
    "KXDOGED": Terms("quadratic", Decimal("0.123")),
}


def terms_of(series: str) -> Terms:
    return TERMS.get(series, Terms())


def iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def market_document(event: Event, look: Look) -> Document:
    """As of 2026: prices in dollars and counts with two decimals, both as texts."""
    found: Document = {
        "ticker": look.contract.ticker,
        "event_ticker": event.ticker,
        "title": event.title,
        "open_time": iso(event.opens_at),
        "close_time": iso(look.closes_at),
        "status": look.status,
        "can_close_early": True,
        "exchange_index": event.coin.shard,
        "expiration_value": "" if look.value is None else f"{look.value}",
        "result": look.result,
        "rules_primary": terms_of(event.series).rules,
        "price_level_structure": look.contract.structure,
        **look.contract.fields,
        **_prices(look),
    }
    if event.kind == "updown":
        found.update(_updown(event, look))
    if look.settlement is not None:
        found["settlement_value_dollars"] = f"{look.settlement:.4f}"
    return found


def _prices(look: Look) -> Document:
    book = look.book
    names = ("yes_bid", "yes_ask", "no_bid", "no_ask")
    if book is None:
        return {f"{name}_dollars": None for name in names}
    return {
        **{f"{name}_dollars": f"{getattr(book, name):.4f}" for name in names},
        **(_finest(look) if look.contract.structure == "finest" else {}),
        "yes_bid_size_fp": f"{book.bid_size:.2f}",
        "yes_ask_size_fp": f"{book.ask_size:.2f}",
        "volume_fp": f"{book.volume:.2f}",
    }


def _finest(look: Look) -> Document:
    names = ("yes_bid", "yes_ask", "no_bid", "no_ask")
    return {f"{name}_dollars": f"{getattr(look.book, name):.6f}" for name in names}


def _updown(event: Event, look: Look) -> Document:
    found: Document = {
        "strike_type": "greater_or_equal",
        "price_level_structure": "tapered_deci_cent",
    }
    if event.story.round_digits:
        found["custom_strike"] = {"round_digits": f"{event.coin.digits}"}
    if look.lower is None:
        return {**found, "floor_strike": None, "yes_sub_title": "Target price: TBD"}
    shown = look.lower + event.story.title_off * event.coin.unit
    floor = look.lower
    if event.story.cut:
        # 67628.899999 for 67628.90.
        floor -= event.coin.unit / 10_000
    return {
        **found,
        "floor_strike": number(floor),
        "yes_sub_title": f"Target Price: {usd(shown)}",
    }


def flags_at(at: datetime) -> dict[int, tuple[bool, bool]]:
    """Whether a shard is down, and whether its trading is paused, by its number."""
    is_paused = PAUSE[0] <= at < PAUSE[1]
    is_down = is_paused and at >= PAUSE[1] - timedelta(minutes=20)
    is_maintained = MAINTENANCE[0] <= at < MAINTENANCE[1]
    return {0: (is_down, is_paused and not is_down), 2: (False, is_maintained)}


@dataclass
class Exchange:
    """Answers of the day's Kalshi; `now` is its clock. `replaced` changes documents of events."""

    events: list[Event]
    now: Callable[[], datetime]
    replaced: dict[str, Callable[[Document], Document]] = field(default_factory=dict)
    page: int = 15

    def __call__(self, request: Request) -> Reply:
        found = self._answer(request)
        headers = {"Date": format_datetime(self.now().astimezone(UTC), usegmt=True)}
        body = json.dumps(found or {"error": {"code": "not_found"}}).encode()
        if "gzip" in request.headers.get("accept-encoding", ""):
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        return Reply(body, status=200 if found else 404, headers=headers)

    def _answer(self, request: Request) -> Document | None:
        if request.path == "/events":
            open_now = list(self._open(request.query["series_ticker"]))
            return self._paged("events", open_now, request)
        if request.path == "/markets":
            return self._paged("markets", list(self._markets(request)), request)
        if request.path == "/exchange/status":
            return self.status()
        kind, _, name = request.path.removeprefix("/").partition("/")
        return self.event(name) if kind == "events" else self.series(name)

    def status(self) -> Document:
        """Of the default shard and of one more; others are not listed."""
        flags = {
            shard: {"exchange_active": not is_down, "trading_active": not is_paused}
            for shard, (is_down, is_paused) in flags_at(self.now()).items()
        }
        listed = [{"exchange_index": shard, **found} for shard, found in flags.items()]
        return {**flags[0], "exchange_index_statuses": listed}

    def event(self, name: str) -> Document | None:
        for event in self.events:
            if event.ticker == name:
                at = self.now()
                markets = [
                    market_document(event, event.look(contract, at)) for contract in event.contracts
                ]
                found = {"event": {**_header(event), "markets": markets}}
                return self.replaced[name](found) if name in self.replaced else found
        return None

    def series(self, name: str) -> Document:
        terms = terms_of(name)
        return {
            "series": {
                "ticker": name,
                "fee_type": terms.fee_type,
                "fee_multiplier": float(terms.multiplier),
            }
        }

    def _open(self, series: str) -> Iterator[Document]:
        at = self.now()
        for event in self.events:
            if event.series == series and event.opens_at <= at < event.close(at):
                yield _header(event)

    def _markets(self, request: Request) -> Iterator[Document]:
        at, query = self.now(), request.query
        low = datetime.fromtimestamp(int(query.get("min_close_ts", 0)), UTC)
        high = datetime.fromtimestamp(int(query.get("max_close_ts", 2**33)), UTC)
        for event in self.events:
            is_asked = query.get("series_ticker", event.series) == event.series
            if is_asked and query.get("event_ticker", event.ticker) == event.ticker:
                for contract in event.contracts:
                    look = event.look(contract, at)
                    if low < look.closes_at < high:
                        yield market_document(event, look)

    def _paged(self, name: str, items: list[Document], request: Request) -> Document:
        size = min(self.page, int(request.query["limit"]))
        start = int(request.query.get("cursor", "0"))
        more = str(start + size) if start + size < len(items) else ""
        return {name: items[start : start + size], "cursor": more}


def _header(event: Event) -> Document:
    return {
        "event_ticker": event.ticker,
        "series_ticker": event.series,
        "title": event.title,
        "strike_date": iso(event.closes_at),
        "mutually_exclusive": event.kind == "range",
        "exchange_index": event.coin.shard,
    }
