"""The contract table as it has to be at an instant, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from tests.kalshi.day import money
from tests.kalshi.day.curves import Asked, Curves, of_pairs
from tests.kalshi.day.events import Look
from tests.kalshi.day.exchange import Terms, terms_of
from tests.kalshi.day.playing import Moment, Read
from tests.kalshi.day.schedule import Way
from tests.kalshi.day.tape import freshness
from tests.support.readings import Floats

Expected = dict[str, Any]

GONE = ("determined", "disputed", "amended", "finalized")
SHOWN = ("initialized", "active", "closed")
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Asking:
    """An event's question. `used`: the model that answers; `is_unseen`: of the last minute."""

    asked: Asked
    used: str | None
    is_unseen: bool


def seconds_left(closes_at: datetime, at: datetime) -> int:
    return (closes_at - at) // timedelta(seconds=1)


def asking(moment: Moment, read: Read, way: Way) -> Asking:
    terms = terms_of(read.event.series)
    model = way.model or "volatility"
    settlement = way.settlement or terms.settlement
    settlement = "close" if settlement == "close" else "average"
    left = seconds_left(read.closes_at, moment.instant.at)
    observed = moment.averages[read.closes_at] if left < 60 else None
    if settlement == "average" and left < 60 and observed is None:
        settlement = "close"
    is_unseen = left < 60 and (settlement == "close" or terms.settlement == "trimmed")
    used: str | None = model
    if left > 3600:
        used = "volatility" if model == "volatility" and left <= DAY_SECONDS else None
    asked = Asked(
        moment.seen.price,
        moment.seen.momentum,
        left,
        model,
        way.method or "linear",
        settlement,
        observed,
        moment.sigmas,
    )
    return Asking(asked, used, is_unseen)


def kept(read: Read) -> Iterator[Look]:
    """The contracts that are stored of an event."""
    for look in read.looks:
        flaw = look.contract.flaw
        if flaw == "the bounds of another" and look.status != "active":
            flaw = None
        if flaw is None and not (
            look.status == "initialized" and look.lower is None and look.upper is None
        ):
            yield look


def expected_rows(moment: Moment, curves: Curves, way: Way) -> list[Expected]:
    found: list[tuple[tuple[Any, ...], Expected]] = []
    for read in moment.reads.values():
        if read.closes_at <= moment.instant.at:
            continue
        looks = [look for look in kept(read) if look.status not in GONE]
        if looks:
            found += _of_event(moment, read, looks, asking(moment, read, way), curves)
    return [row for _, row in sorted(found, key=lambda each: each[0])]


def _order(read: Read, look: Look) -> tuple[Any, ...]:
    """By close, series, event and bounds: open below first, open above last."""
    return (
        read.closes_at,
        read.event.series,
        read.event.ticker,
        look.lower is not None,
        look.lower or 0,
        look.upper is None,
        look.upper or 0,
        look.contract.ticker,
    )


def _of_event(
    moment: Moment, read: Read, looks: list[Look], ask: Asking, curves: Curves
) -> Iterator[tuple[tuple[Any, ...], Expected]]:
    is_shown = moment.seen.state != "halted" and ask.used is not None
    numbers = np.full((3, len(looks)), np.nan)
    if is_shown:
        lowers, uppers = _floats(looks, "lower"), _floats(looks, "upper")
        numbers = np.array(of_pairs(curves, ask.asked, lowers, uppers))
        numbers[:, np.isnan(lowers) & np.isnan(uppers)] = np.nan
    quote_state = freshness(moment.instant.at - read.read_at)
    for look, (percent, low, high) in zip(looks, numbers.T.tolist(), strict=True):
        row = {
            "series": read.event.series,
            "kind": read.event.kind,
            "event_ticker": read.event.ticker,
            "closes_at": read.closes_at,
            "ttc_seconds": ask.asked.ttc,
            "ticker": look.contract.ticker,
            "lower": look.lower,
            "upper": look.upper,
            "state": state_of(look, moment.is_paused),
            "probability": _known(percent),
            "prob_low": _known(low),
            "prob_high": _known(high),
            **_quotes(look, "halted" if moment.is_paused else quote_state),
            "model": ask.used,
        }
        terms = terms_of(read.event.series)
        row["edge_reason"] = reason(row, moment.seen.state, quote_state, terms, ask)
        row.update(_edges(row, terms))
        yield _order(read, look), row


def state_of(look: Look, is_paused: bool) -> str:
    if is_paused and look.status != "closed":
        return "paused"
    return look.status if look.status in SHOWN else "paused"


def _floats(looks: list[Look], bound: str) -> Floats:
    values = [getattr(look, bound) for look in looks]
    return np.array([np.nan if value is None else float(value) for value in values])


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _quotes(look: Look, quote_state: str) -> Expected:
    book = look.book
    names = ("yes_bid", "yes_ask", "no_bid", "no_ask")
    if book is None or look.status != "active" or quote_state == "halted":
        return {"volume": None} | {name: None for each in names for name in (each, f"{each}_size")}
    # A bid of nothing is none, and what is left as the other side's ask is no offer.
    sides = {
        "yes_bid": (book.yes_bid or None, book.bid_size),
        "yes_ask": (book.yes_ask if book.no_bid else None, book.ask_size),
        "no_bid": (book.no_bid or None, book.ask_size),
        "no_ask": (book.no_ask if book.yes_bid else None, book.bid_size),
    }
    found: Expected = {"volume": book.volume}
    for name, (price, size) in sides.items():
        found[name] = price
        found[f"{name}_size"] = None if price is None else size
    return found


def reason(
    row: Expected, price_state: str, quote_state: str, terms: Terms, ask: Asking
) -> str | None:
    """The first that holds."""
    reasons = {
        "closed": row["state"] == "closed",
        "paused": row["state"] != "active",
        "price_stale": price_state in ("stale", "halted"),
        "quotes_stale": quote_state in ("stale", "halted"),
        "awaiting_strike": row["lower"] is None and row["upper"] is None,
        "rules_unclear": terms.is_unclear,
        "no_model": row["probability"] is None,
        "last_minute": ask.is_unseen,
        "no_offer": row["yes_ask"] is None and row["no_ask"] is None,
    }
    return next((name for name, holds in reasons.items() if holds), None)


def _edges(row: Expected, terms: Terms) -> Expected:
    found: Expected = {}
    for side, mean, worst in (
        ("yes", row["probability"], row["prob_low"]),
        ("no", _complement(row["probability"]), _complement(row["prob_high"])),
    ):
        ask: Decimal | None = row[f"{side}_ask"]
        cents = money.cost(ask, terms.multiplier)
        # What is not clear costs nobody knows what.
        fee = None if terms.is_unclear else money.fee(ask, terms.multiplier)
        has_edge = row["edge_reason"] is None
        found[f"{side}_fee"] = None if fee is None else float(fee)
        found[f"{side}_edge"] = money.edge(mean, cents) if has_edge else None
        found[f"{side}_edge_low"] = money.edge(worst, cents) if has_edge else None
    return found


def _complement(percent: float | None) -> float | None:
    return None if percent is None else 100 - percent
