"""Documents of a tick as they have to be: live_probabilities, strike_table and watchlist."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from math import floor, log10
from typing import Any

import numpy as np

from tests.kalshi.day import money
from tests.kalshi.day.curves import Asked, Curves, sigma, without_coherence
from tests.kalshi.day.events import Look
from tests.kalshi.day.exchange import terms_of
from tests.kalshi.day.playing import Moment, Read, next_hour
from tests.kalshi.day.rows import (
    GONE,
    Asking,
    asking,
    expected_rows,
    kept,
    reason,
    seconds_left,
)
from tests.kalshi.day.schedule import Way
from tests.kalshi.day.tape import freshness

Expected = dict[str, Any]
LEVELS = 10


@dataclass(frozen=True)
class Rounded:
    """A number that is shown with so many decimals: `value` before that."""

    value: float
    decimals: int = 2


@dataclass(frozen=True)
class Scene:
    """The keys that all documents of a moment share. Without an event `read` is None."""

    moment: Moment
    read: Read | None
    ask: Asking
    step: Decimal
    strikes: list[Decimal]
    quote_state: str | None

    @property
    def price(self) -> float:
        return self.moment.seen.price


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def current(moment: Moment) -> Read | None:
    """The event above strikes that closes next, within the hour."""
    at = moment.instant.at
    found = [
        read
        for read in moment.reads.values()
        if read.event.kind == "above" and at < read.closes_at <= at + timedelta(hours=1)
    ]
    return min(found, key=lambda read: read.closes_at, default=None)


def scene_of(moment: Moment) -> Scene:
    read = current(moment)
    coin = next(iter(moment.reads.values())).event.coin
    at, way = moment.instant.at, moment.instant.way
    if read is None:
        ask = _without_event(moment, way, next_hour(at))
        step = _seen_step(moment) or STEPS[coin.symbol]
        return Scene(moment, None, ask, step, _grid(moment.seen.price, step), None)
    lowers = lowers_of(read)
    step = most_often([high - low for low, high in pairwise(lowers)])
    return Scene(
        moment,
        read,
        asking(moment, read, way),
        step,
        _nearest(lowers, moment.seen.price, step),
        freshness(at - read.read_at),
    )


# Steps that BTC and ETH are registered with, and the others by the test.
STEPS = {
    "BTC": Decimal(250),
    "ETH": Decimal(20),
    "SOL": Decimal("0.25"),
    "XRP": Decimal("0.01"),
    "DOGE": Decimal("0.0005"),
}


def lowers_of(read: Read) -> list[Decimal]:
    return sorted({look.lower for look in kept(read) if look.lower is not None})


def _seen_step(moment: Moment) -> Decimal | None:
    """That of the hourly event that closed last, unless somebody has chosen one for the symbol."""
    within = moment.instant.at + timedelta(hours=1)
    reads = [each for each in moment.reads.values() if each.event.kind == "above"]
    known = [each for each in reads if each.closes_at <= within]
    if moment.symbol not in ("BTC", "ETH") or not known:
        return None
    lowers = lowers_of(max(known, key=lambda each: each.closes_at))
    return Decimal(most_often([high - low for low, high in pairwise(lowers)]))


def _without_event(moment: Moment, way: Way, closes_at: datetime) -> Asking:
    left = seconds_left(closes_at, moment.instant.at)
    observed = moment.averages[closes_at] if left < 60 else None
    settlement = way.settlement or "average"
    if left < 60 and observed is None:
        settlement = "close"
    asked = Asked(
        moment.seen.price,
        moment.seen.momentum,
        left,
        way.model or "volatility",
        way.method or "linear",
        settlement,
        observed,
        moment.sigmas,
    )
    return Asking(asked, asked.model, left < 60 and settlement == "close")


def most_often(values: list[Any]) -> Any:
    """The first by value of those that are there most often."""
    counted = Counter(values)
    return min(counted, key=lambda value: (-counted[value], value))


def _grid(price: float, step: Decimal) -> list[Decimal]:
    middle = (Decimal(repr(price)) / step).to_integral_value(ROUND_HALF_EVEN)
    places = (middle + k for k in range(-LEVELS, LEVELS + 1))
    return [place * step for place in places if place > 0]


def _nearest(known: list[Decimal], price: float, step: Decimal) -> list[Decimal]:
    """The 21 of the event that are nearest to the price; the grid fills up what is missing."""
    exact = Decimal(repr(price))

    def far(strike: Decimal) -> tuple[Decimal, Decimal]:
        return abs(strike - exact), strike

    found = sorted(known, key=far)[: 2 * LEVELS + 1]
    more = sorted((each for each in _grid(price, step) if each not in known), key=far)
    return sorted([*found, *more[: 2 * LEVELS + 1 - len(found)]])


def decimals_of(price: float) -> int:
    """Two, and below a dollar as many as four digits of it take."""
    return 2 if price >= 1 else max(2, 3 - floor(log10(price)))


@dataclass(frozen=True)
class Numbers:
    """Of one strike, in percent; None where nothing is to be shown."""

    positive: float | None
    negative: float | None
    above: float | None
    low: float | None
    high: float | None


def numbers_of(scene: Scene, curves: Curves) -> dict[Decimal, Numbers]:
    if scene.moment.seen.state == "halted":
        return {strike: Numbers(None, None, None, None, None) for strike in scene.strikes}
    asked = without_coherence(scene.ask.asked)
    strikes = np.array([float(strike) for strike in scene.strikes])
    buffers = np.abs(scene.price - strikes)
    up = curves.above(asked, scene.price + buffers)
    down = 100 - curves.above(asked, scene.price - buffers)
    above = np.where(strikes > scene.price, up, 100 - down)
    low, high = curves.interval(asked, above)
    columns = (column.tolist() for column in (up, down, above, low, high))
    return {
        strike: Numbers(*each)
        for strike, each in zip(scene.strikes, zip(*columns, strict=True), strict=True)
    }


def _rounded(value: float | None, decimals: int = 2) -> Rounded | None:
    return None if value is None else Rounded(value, decimals)


def live_probabilities(scene: Scene, curves: Curves) -> Expected:
    moment, asked = scene.moment, scene.ask.asked
    found = numbers_of(scene, curves)
    name = curves.reading(without_coherence(asked)).name
    sigmas = moment.sigmas
    assert sigmas is not None
    middle = (Decimal(repr(scene.price)) / scene.step).to_integral_value(ROUND_HALF_EVEN)
    return {
        "timestamp": iso(moment.instant.at),
        "current_price": scene.price,
        "base_strike": middle * scene.step,
        "ttc_seconds": asked.ttc,
        "momentum_score": _hundredth(moment.seen.momentum),
        "strikes": scene.strikes,
        "probabilities": [_answer(scene, strike, found[strike]) for strike in scene.strikes],
        "fingerprint_csv": f"{name}.csv",
        "symbol": moment.symbol,
        "momentum_bps": moment.seen.momentum,
        "fingerprint": name,
        "method": asked.method,
        "model": asked.model,
        "settlement": asked.settlement,
        "volatility": sigma(sigmas, asked.ttc),
        **_common(scene),
    }


def _event_status(scene: Scene) -> str | None:
    """That of most of its markets; of an active event paused where the exchange is."""
    if scene.read is None:
        return None
    found = str(most_often([look.status for look in kept(scene.read)]))
    return "paused" if scene.moment.is_paused and found == "active" else found


def _hundredth(value: float | None) -> float | None:
    return None if value is None else value / 100


def _common(scene: Scene) -> Expected:
    moment = scene.moment
    return {
        "state": moment.seen.state,
        "feed": "database",
        "market_at": iso(moment.instant.at),
        "valid_until": iso(moment.instant.at + timedelta(seconds=15)),
        "tick_id": moment.tick["tick_id"],
        # Nothing settles here within a bp of what was logged, nor is learned of it.
        "basis_bps": None,
        "basis_settlements": None,
    }


def _buffer(scene: Scene, strike: Decimal) -> float:
    return abs(scene.price - float(strike))


def _answer(scene: Scene, strike: Decimal, numbers: Numbers) -> Expected:
    is_above = float(strike) > scene.price
    beyond = numbers.positive if is_above else numbers.negative
    buffer = _buffer(scene, strike)
    return {
        "strike": strike,
        "buffer": Rounded(buffer, decimals_of(scene.price)),
        "move_percent": Rounded(100 * buffer / scene.price),
        "prob_beyond": _rounded(beyond),
        "prob_within": _complement_of_rounded(beyond),
        "direction": "above" if is_above else "below",
        "positive_prob": _rounded(numbers.positive),
        "negative_prob": _rounded(numbers.negative),
    }


def _complement_of_rounded(beyond: float | None) -> Rounded | None:
    return None if beyond is None else Rounded(100 - beyond)


def strike_table(scene: Scene, curves: Curves) -> Expected:
    rows = table_rows(scene, curves)
    return {**_header(scene, curves, rows), "strikes": rows}


def watchlist(scene: Scene, curves: Curves) -> Expected:
    rows = table_rows(scene, curves)
    watched = sorted((row for row in rows if _is_watched(row)), key=_by_probability)
    return {**_header(scene, curves, rows), "strikes": watched}


def _by_probability(row: Expected) -> Decimal:
    return -money.hundredths(row["probability"].value)


def _is_watched(row: Expected) -> bool:
    if row["edge_reason"] is not None or row["volume"] < 1000:
        return False
    if row["yes_ask"] is None or row["no_ask"] is None:
        return False
    diffs = (money.hundredths(row[name].value) for name in ("yes_diff", "no_diff"))
    return (
        money.hundredths(row["probability"].value) > 90
        and max(row["yes_ask"], row["no_ask"]) <= 98
        and max(diffs) >= -3
    )


def _header(scene: Scene, curves: Curves, rows: list[Expected]) -> Expected:
    moment, read = scene.moment, scene.read
    seen = moment.seen
    return {
        "symbol": moment.symbol,
        "current_price": scene.price,
        "ttc": scene.ask.asked.ttc,
        "broker": "Kalshi",
        "event_ticker": None if read is None else read.event.ticker,
        "market_title": None if read is None else read.event.title,
        "strike_tier": scene.step,
        "market_status": _event_status(scene),
        "last_updated": iso(moment.instant.at),
        "momentum": {
            "weighted_score": _hundredth(seen.momentum),
            "deltas": {f"delta_{lag}m": delta for lag, delta in seen.deltas.items()},
        },
        "fingerprint": curves.reading(without_coherence(scene.ask.asked)).name,
        "quote_state": scene.quote_state,
        "quotes_read_at": None if read is None else iso(read.read_at),
        "edge_reason": _best_reason([row["edge_reason"] for row in rows]),
        **_common(scene),
    }


REASONS = (
    *("closed", "paused", "price_stale", "source_left_out", "quotes_stale", "awaiting_strike"),
    *("rules_unclear", "no_model", "last_minute", "no_offer"),
)


def _best_reason(reasons: list[str | None]) -> str | None:
    """None where one has an edge; else of the row that is short of least."""
    known = [each for each in reasons if each is not None]
    return None if len(known) < len(reasons) else max(known, key=REASONS.index)


def table_rows(scene: Scene, curves: Curves) -> list[Expected]:
    numbers = numbers_of(scene, curves)
    asked = without_coherence(scene.ask.asked)
    size = curves.reading(asked).row.size
    ordered = sorted(scene.strikes, key=lambda strike: (_buffer(scene, strike), strike))
    return [_table_row(scene, strike, numbers[strike], size) for strike in ordered]


def _looks_of(scene: Scene, strike: Decimal) -> list[Look]:
    """The markets of a strike, by their tickers."""
    if scene.read is None:
        return []
    found = [look for look in kept(scene.read) if look.lower == strike]
    return sorted(found, key=lambda look: look.contract.ticker)


def _table_row(scene: Scene, strike: Decimal, numbers: Numbers, size: int) -> Expected:
    looks = _looks_of(scene, strike)
    active = next((look for look in looks if look.status == "active"), None)
    is_hidden = scene.quote_state in (None, "halted") or scene.moment.is_paused
    quotes = _quotes(None if is_hidden else active)
    status = None
    if scene.read is not None:
        event_status = _event_status(scene)
        status = active.status if active else looks[-1].status if looks else event_status
        if scene.moment.is_paused and status not in ("closed", *GONE):
            status = "paused"
    why = _why(scene, quotes, numbers, status)
    is_above = float(strike) > scene.price
    beyond = numbers.positive if is_above else numbers.negative
    row = {
        "strike": strike,
        "buffer": Rounded(_buffer(scene, strike), decimals_of(scene.price)),
        "buffer_pct": Rounded(_buffer(scene, strike) / float(scene.step)),
        "probability": _complement_of_rounded(beyond),
        "yes_ask": _cents(quotes["yes_ask"]),
        "no_ask": _cents(quotes["no_ask"]),
        "volume": quotes["volume"],
        "ticker": quotes["ticker"],
        "active_side": "no" if is_above else "yes",
        **_texts(quotes, active),
        "prob_above": _rounded(numbers.above),
        "sample_size": size,
        "prob_low": _rounded(numbers.low),
        "prob_high": _rounded(numbers.high),
        "edge_reason": why,
    }
    return {**row, **_differences(scene, row, quotes, numbers)}


def _quotes(look: Look | None) -> Expected:
    if look is None or look.book is None:
        ticker = None if look is None else look.contract.ticker
        return {
            **{name: None for name in ("yes_ask", "no_ask", "yes_bid", "no_bid", "volume")},
            "ticker": ticker,
        }
    book = look.book
    return {
        "ticker": look.contract.ticker,
        "volume": book.volume,
        "yes_bid": book.yes_bid,
        "no_bid": book.no_bid,
        "yes_ask": book.yes_ask if book.no_bid else None,
        "no_ask": book.no_ask if book.yes_bid else None,
    }


def _why(scene: Scene, quotes: Expected, numbers: Numbers, status: str | None) -> str | None:
    state = "active" if status in (None, "active") else "paused"
    row = {
        "state": "closed" if status in ("closed", *GONE) else state,
        "lower": 0,
        "upper": None,
        "probability": numbers.above,
        "yes_ask": quotes["yes_ask"],
        "no_ask": quotes["no_ask"],
    }
    coin = next(iter(scene.moment.reads.values())).event.coin
    quote_state = scene.quote_state or "fresh"
    terms = terms_of(coin.above_series)
    return reason(row, scene.moment.seen.state, quote_state, terms, scene.ask)


def _cents(ask: Decimal | None) -> int | None:
    return None if ask is None else int((100 * ask).to_integral_value(ROUND_CEILING))


def _texts(quotes: Expected, look: Look | None) -> Expected:
    """Exact, as Kalshi wrote them."""
    decimals = 6 if look is not None and look.contract.structure == "finest" else 4
    names = ("yes_ask", "no_ask", "yes_bid", "no_bid")
    return {
        f"{name}_dollars": None if quotes[name] is None else f"{quotes[name]:.{decimals}f}"
        for name in names
    }


def _differences(scene: Scene, row: Expected, quotes: Expected, numbers: Numbers) -> Expected:
    names = ("yes_diff", "no_diff", "yes_edge", "no_edge")
    if row["edge_reason"] is not None or numbers.above is None:
        return dict.fromkeys(names)
    beyond = 100 - row["probability"].value
    shown = float(money.hundredths(beyond))
    yes_side = shown if row["active_side"] == "no" else 100 - shown
    coin = next(iter(scene.moment.reads.values())).event.coin
    multiplier = terms_of(coin.above_series).multiplier

    def edge(mean: float, side: str) -> Rounded | None:
        return _rounded(money.edge(mean, money.cost(quotes[side], multiplier)))

    return {
        "yes_diff": None if row["yes_ask"] is None else Rounded(yes_side - row["yes_ask"]),
        "no_diff": None if row["no_ask"] is None else Rounded(100 - yes_side - row["no_ask"]),
        "yes_edge": edge(numbers.above, "yes_ask"),
        "no_edge": edge(100 - numbers.above, "no_ask"),
    }


def contracts(scene: Scene, curves: Curves) -> Expected:
    moment = scene.moment
    rows = expected_rows(moment, curves, moment.instant.way)
    shown = [_shown_contract(row) for row in rows if _is_shown(row)]
    return {
        "symbol": moment.symbol,
        "timestamp": iso(moment.instant.at),
        "current_price": scene.price,
        "momentum_bps": moment.seen.momentum,
        "model": scene.ask.asked.model,
        "count": len(shown),
        "open_count": len(rows),
        "contracts": shown,
        **_common(scene),
    }


def _is_shown(row: Expected) -> bool:
    """One with a quote, or that is not as good as decided."""
    quotes = (row[name] for name in ("yes_bid", "yes_ask", "no_bid", "no_ask"))
    percent = row["probability"]
    return any(quote is not None for quote in quotes) or (
        percent is not None and 0.5 <= percent <= 99.5
    )


def logged(moment: Moment, curves: Curves) -> dict[str, Expected]:
    """The log of the contracts with a quote, a row for each event, by its ticker."""
    found: dict[str, Expected] = {}
    for row in expected_rows(moment, curves, moment.instant.way):
        if all(row[name] is None for name in ("yes_bid", "yes_ask", "no_bid", "no_ask")):
            continue
        into = found.setdefault(
            row["event_ticker"],
            {
                "symbol": moment.symbol,
                "logged_at": moment.instant.at,
                "tick_id": moment.tick["tick_id"],
                "event_ticker": row["event_ticker"],
                "is_minute": True,
                "price": moment.seen.price,
                "model": row["model"],
                **{name: [] for name in LOGGED},
            },
        )
        for name, column in LOGGED.items():
            into[name].append(row[column])
    return found


LOGGED = {
    "tickers": "ticker",
    "probabilities": "probability",
    **{"prob_lows": "prob_low", "prob_highs": "prob_high"},
    **{f"{side}_{kind}s": f"{side}_{kind}" for side in ("yes", "no") for kind in ("bid", "ask")},
    **{
        f"{side}_{kind}_sizes": f"{side}_{kind}_size"
        for side in ("yes", "no")
        for kind in ("bid", "ask")
    },
}


def _shown_contract(row: Expected) -> Expected:
    percents = ("probability", "prob_low", "prob_high")
    edges = ("yes_edge", "no_edge", "yes_edge_low", "no_edge_low")
    rounded = {name: _rounded(row[name]) for name in (*percents, *edges)}
    return {**row, "closes_at": iso(row["closes_at"]), **rounded}
