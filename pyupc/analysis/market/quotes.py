"""Files of recorded quotes, put together with what is known of their contracts beside them.

A file holds quotes, prices, or facts about events and contracts: their close, bounds, settlement
value and result. Facts go with the quotes of their ticker or event, and a price with those of its
event (or of the one symbol) that were recorded up to five seconds after it.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg

from pyupc.analysis.market.columns import BOUNDS, HINT, Shape
from pyupc.analysis.market.lines import Line, Values, read_lines, shape_of
from pyupc.candles.compression import shown
from pyupc.errors import PyupcError

BATCH = 5000

# A price that is older is not the one beside the quotes.
PRICE_SECONDS = 5.0

_OF_CONTRACT = ("closes_at", "strike_type", *BOUNDS, "value", "result")
_OF_QUOTE = ("observed_at", "yes_bid", "yes_ask", "later_yes_ask", "later_no_ask", "price")

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass
class Stored:
    """Counts of a symbol's quotes; of those left out by reason, with a ticker of each."""

    stored: int = 0
    repeated: int = 0
    left_out: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, reason: str | None, count: int, example: str) -> None:
        if reason is None:
            self.stored += count
        elif reason == "repeated":
            self.repeated += count
        else:
            before, first = self.left_out.get(reason, (0, example))
            self.left_out[reason] = (before + count, first)


class _Prices:
    """Prices in order of time."""

    def __init__(self) -> None:
        self._pairs: tuple[array[float], array[float]] = (array("d"), array("d"))
        self._is_sorted = True

    def add(self, at: float, price: float) -> None:
        instants, prices = self._pairs
        self._is_sorted = self._is_sorted and (not instants or instants[-1] <= at)
        instants.append(at)
        prices.append(price)

    def by(self, at: float) -> float | None:
        """The last price by then, unless it is too old."""
        instants, prices = self._pairs
        if not self._is_sorted:
            order = sorted(range(len(instants)), key=instants.__getitem__)
            instants = array("d", (instants[k] for k in order))
            prices = array("d", (prices[k] for k in order))
            self._pairs, self._is_sorted = (instants, prices), True
        place = bisect_right(instants, at)
        if place == 0 or at - instants[place - 1] > PRICE_SECONDS:
            return None
        return prices[place - 1]


class QuoteFiles:
    """Files of quotes; what lies beside the quotes is in memory, the quotes are not."""

    def __init__(self, paths: Sequence[Path], series: Mapping[str, str], symbols: Sequence[str]):
        """`series`: symbol by series; `symbols`: the only ones that are wanted, if any."""
        self._series = series
        self._symbols = symbols
        self._files = [(path, shape_of(path)) for path in paths]
        if not any(shape.has_quotes for _, shape in self._files):
            raise PyupcError("there are no quotes in these files", HINT)
        self._facts: dict[str, Values] = {}
        self._prices: dict[str, _Prices] = {}
        self._events: dict[str, Values] = {}
        for path, shape in self._files:
            if not shape.has_quotes:
                self._read_facts(path, shape)

    def quotes(self) -> Iterator[tuple[str, Values]]:
        """Quotes of the wanted symbols, with symbol and all that is known of their contracts."""
        for path, shape in self._files:
            if not shape.has_quotes:
                continue
            for line in read_lines(path, shape):
                _require(line, ("observed_at", "ticker"))
                found = self._complete(line.values)
                if found is not None:
                    self._note_event(found[1])
                    yield found

    def events(self) -> Iterator[tuple[str, Values]]:
        """Events of the wanted symbols that have a close and a settlement value.

        Those of quotes are among them when the quotes have been read.
        """
        for known in self._events.values():
            yield self._series[known["series"]], known
        for name, facts in self._facts.items():
            symbol = self._symbol_of(name)
            event = facts.get("event", _event_of(name) if "ticker" in facts else name)
            closes_at = facts.get("closes_at") or self._facts.get(event, {}).get("closes_at")
            value = facts.get("value")
            if symbol and closes_at and value:
                yield (
                    symbol,
                    {
                        "series": _series_of(name),
                        "event": event,
                        "closes_at": closes_at,
                        "value": value,
                    },
                )

    def _note_event(self, quote: Values) -> None:
        names = ("series", "event", "closes_at", "value")
        if quote["event"] not in self._events and quote.keys() >= set(names):
            self._events[quote["event"]] = {name: quote[name] for name in names}

    def _symbol_of(self, ticker: str) -> str | None:
        symbol = self._series.get(_series_of(ticker))
        return symbol if symbol and (not self._symbols or symbol in self._symbols) else None

    def _complete(self, quote: Values) -> tuple[str, Values] | None:
        ticker = quote["ticker"]
        symbol = self._symbol_of(ticker)
        if symbol is None:
            return None
        event = quote.get("event") or _event_of(ticker)
        known = [quote, self._facts.get(ticker, {}), self._facts.get(event, {})]
        values = {name: quote[name] for name in _OF_QUOTE if name in quote}
        for name in _OF_CONTRACT:
            for source in known:
                if name in source and not (source is known[2] and name == "result"):
                    values[name] = source[name]
                    break
        if "price" not in values and (price := self._price(event, quote["observed_at"])):
            values["price"] = repr(price)
        values |= {"series": _series_of(ticker), "event": event, "ticker": ticker}
        _buy_at_once(values)
        return symbol, values

    def _price(self, event: str, observed_at: str) -> float | None:
        at = datetime.fromisoformat(observed_at).timestamp()
        for key in (event, ""):
            if (prices := self._prices.get(key)) and (price := prices.by(at)) is not None:
                return price
        return None

    def _read_facts(self, path: Path, shape: Shape) -> None:
        if shape.has_prices and "event" not in shape.places and len(self._symbols) != 1:
            wanted = self._symbols or sorted(set(self._series.values()))
            if len(wanted) != 1:
                raise PyupcError(
                    f"{shown(path)}: it does not say which symbol its prices are of",
                    "name one: --symbol BTC",
                )
        for line in read_lines(path, shape):
            values = line.values
            name = values.get("ticker") or values.get("event")
            if shape.has_prices and {"observed_at", "price"} <= values.keys():
                at = datetime.fromisoformat(values["observed_at"]).timestamp()
                # Recorders cut their instants to milliseconds in one file and not in another.
                at = int(at * 1000) / 1000
                key = values.get("event", "")
                self._prices.setdefault(key, _Prices()).add(at, float(values["price"]))
            if name and shape.has_facts:
                facts = self._facts.setdefault(name, {})
                for key, value in values.items():
                    if key not in ("observed_at", "price"):
                        facts[key] = value


def _buy_at_once(values: Values) -> None:
    """Without asks of later on, what is decided on quotes is bought at them."""
    if "later_yes_ask" in values or "later_no_ask" in values:
        return
    if "yes_ask" in values:
        values["later_yes_ask"] = values["yes_ask"]
    if "yes_bid" in values:
        values["later_no_ask"] = str(1 - Decimal(values["yes_bid"]))


def _require(line: Line, names: Iterable[str]) -> None:
    for name in names:
        if name not in line.values:
            raise PyupcError(
                f"{shown(line.path)}:{line.number}: {name} is empty",
                "correct the line, or leave it out",
            )


def _series_of(ticker: str) -> str:
    return ticker.partition("-")[0]


def _event_of(ticker: str) -> str:
    """Event of a market: its ticker without what comes behind the last hyphen."""
    return ticker.rpartition("-")[0] or ticker


def store(
    conn: Connection, symbol: str, backtest_id: int, quotes: Iterable[Values], into: Stored
) -> None:
    """Store a batch of quotes of a symbol for a backtest, or with 0 for all of them."""
    rows = iter(quotes)
    while batch := list(islice(rows, BATCH)):
        found = conn.execute(
            "SELECT s.reason, s.count, s.example FROM upc.store_quotes(%s, %s, %s::jsonb) AS s",
            [symbol, backtest_id, json.dumps(batch)],
        )
        for reason, count, example in found.fetchall():
            into.add(reason, count, example)


def store_events(
    conn: Connection, symbol: str, backtest_id: int, events: Sequence[Mapping[str, Any]]
) -> None:
    conn.execute(
        "SELECT upc.store_events(%s, %s, %s::jsonb)", [symbol, backtest_id, json.dumps(events)]
    )


def symbols_by_series(conn: Connection) -> dict[str, str]:
    """Symbol of each series that is stored."""
    rows = conn.execute("SELECT s.series, s.symbol FROM upc_data.series AS s").fetchall()
    return {str(series): str(symbol) for series, symbol in rows}
