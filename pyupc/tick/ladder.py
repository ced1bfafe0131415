"""The live ladder on a terminal, drawn from the JSON texts that a tick returns."""

from __future__ import annotations

import json
import logging
from collections import deque
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pyupc.price_text import grouped_price
from pyupc.tick.statements import Tick

FEEDS = {"replay": "REPLAY", "simulated": "SIMULATED", "database": "DATABASE"}
STYLES = {"fresh": "green", "warn": "yellow", "stale": "red", "halted": "bold red"}

_PANEL_WIDTH = 44
# Borders, two lines above the strikes, their heading, and the price among them.
_PANEL_FRAME = 6
_EVENTS = 3


class Ladder:
    """A panel per symbol. Live, it takes the whole screen and gives it back at the end.

    `notice` stands on the screen all the time, below the panels.
    """

    def __init__(
        self,
        feed: str,
        *,
        is_live: bool,
        console: Console | None = None,
        notice: str | None = None,
    ) -> None:
        self._feed = feed
        self._notice = notice
        self._console = console or Console()
        self._is_live = is_live
        self._live: Live | None = None
        self._events: deque[str] = deque(maxlen=_EVENTS)
        self._ticks: dict[str, Tick] = {}
        self._status = ""
        self._stack = ExitStack()

    def __enter__(self) -> Ladder:
        if self._is_live:
            # Nothing draws but `show`: a thread that refreshes would cost more than the ticks.
            self._live = self._stack.enter_context(
                Live(console=self._console, screen=True, auto_refresh=False)
            )
            self._stack.enter_context(_Collecting(self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
        if self._is_live and self._ticks:
            self._console.print(self._status, highlight=False, markup=False)

    def show(self, ticks: dict[str, Tick], status: str) -> None:
        """The newest ticks; what is drawn here stays until the next call."""
        self._ticks, self._status = ticks, status
        self._draw()

    def note(self, event: str) -> None:
        """A line at the foot."""
        self._events.append(event)
        self._draw()

    def _draw(self) -> None:
        if self._live is not None:
            self._live.update(self._screen(self._console.height), refresh=True)
        else:
            self._console.print(self._screen(None))

    def _screen(self, height: int | None) -> RenderableType:
        count = max(1, len(self._ticks))
        beside = self._console.width >= _PANEL_WIDTH * count
        foot = [Text(line, "dim", no_wrap=True, overflow="ellipsis") for line in self._foot()]
        strikes = None
        if height is not None:
            room = height - len(foot)
            strikes = max(1, (room if beside else room // count) - _PANEL_FRAME)
        panels = [panel(symbol, tick, self._feed, strikes) for symbol, tick in self._ticks.items()]
        if beside and panels:
            row = Table.grid(expand=True)
            for _ in panels:
                row.add_column(ratio=1)
            row.add_row(*panels)
            return Group(row, *foot)
        return Group(*panels, *foot)

    def _foot(self) -> list[str]:
        notice = [] if self._notice is None else [self._notice]
        return [*notice, self._status, *self._events] if self._is_live else []


def panel(symbol: str, tick: Tick, feed: str, strikes: int | None = None) -> Panel:
    """One symbol: its tick, and so many strikes around the price, all of them if None."""
    document = json.loads(tick.live_probabilities)
    minutes, seconds = divmod(document["ttc_seconds"], 60)
    momentum = document["momentum_bps"]
    head = Text(no_wrap=True, overflow="ellipsis")
    head.append(grouped_price(document["current_price"]), "bold")
    head.append(f"  momentum {'?' if momentum is None else format(momentum, '+.2f')} bp")
    head.append(f"  TTC {minutes:02}:{seconds:02}")
    source = Text(no_wrap=True, overflow="ellipsis")
    source.append(document["state"].upper(), STYLES.get(document["state"], ""))
    source.append(f"  {document['market_at'][:19]}Z", "dim")
    source.append(f"  {document['fingerprint']}", "dim")
    return Panel(
        Group(head, source, _table(document, json.loads(tick.strike_table), strikes)),
        title=f"{symbol} · {FEEDS.get(feed, f'{feed} LIVE')}",
        height=None if strikes is None else strikes + _PANEL_FRAME,
    )


def _table(document: dict[str, Any], market: dict[str, Any], strikes: int | None) -> Table:
    asks = {row["strike"]: row for row in market["strikes"]}
    has_market = any(row["yes_ask"] is not None for row in asks.values())
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim")
    quotes = ["yes", "no"] if has_market else []
    for title in ("strike", "move %", "above %", "within %", *quotes):
        table.add_column(title, justify="right", no_wrap=True)
    price = document["current_price"]
    is_price_shown = False
    for row in _nearest(document["probabilities"], price, strikes):
        if row["direction"] == "below" and not is_price_shown:
            table.add_row(Text(grouped_price(price), "bold reverse"))
            is_price_shown = True
        cells = [
            f"{row['strike']:,.10g}",
            f"{row['move_percent']:.2f}",
            _percent(row["positive_prob"] if row["direction"] == "above" else row["prob_within"]),
            _percent(row["prob_within"]),
        ]
        if has_market:
            quote = asks.get(row["strike"], {})
            cells += [_cents(quote.get("yes_ask")), _cents(quote.get("no_ask"))]
        table.add_row(*cells)
    if not is_price_shown:
        table.add_row(Text(grouped_price(price), "bold reverse"))
    return table


def _nearest(rows: list[dict[str, Any]], price: float, count: int | None) -> list[dict[str, Any]]:
    """The strikes nearest to the price, the highest first as in an order book."""
    if count is not None:
        rows = sorted(rows, key=lambda row: abs(row["strike"] - price))[:count]
    return sorted(rows, key=lambda row: -row["strike"])


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _cents(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


class _Collecting(logging.Handler):
    """While the screen is taken, log lines go to its foot, unless stderr goes elsewhere."""

    def __init__(self, ladder: Ladder) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        self._ladder = ladder
        self._logger = logging.getLogger("pyupc")
        self._others: list[logging.Handler] = []

    def __enter__(self) -> _Collecting:
        if Console(stderr=True).is_terminal:
            self._others = self._logger.handlers[:]
            self._logger.handlers[:] = [self]
        return self

    def __exit__(self, *details: object) -> None:
        if self in self._logger.handlers:
            self._logger.handlers[:] = self._others

    def emit(self, record: logging.LogRecord) -> None:
        self._ladder.note(self.format(record))
