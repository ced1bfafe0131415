"""Run backtests against the market: store the quotes of files, train, answer, score."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pyupc import __version__
from pyupc.analysis.backtest.run import CONNECTIONS, connection, delete_unfinished, description
from pyupc.analysis.backtest.steps import Connection, run_steps, steps_of
from pyupc.analysis.market.lines import Values
from pyupc.analysis.market.quotes import (
    BATCH,
    QuoteFiles,
    Stored,
    store,
    store_events,
    symbols_by_series,
)
from pyupc.errors import PyupcError
from pyupc.runtime.progress import Progress


@dataclass(frozen=True)
class MarketSettings:
    """Spans and prices of a backtest against the market; None: the default for its quotes."""

    train_from: datetime | None
    train_to: datetime | None
    test_from: datetime | None
    test_to: datetime | None
    prices: str


@dataclass(frozen=True)
class Found:
    """A backtest that is complete; `stored` is empty where the quotes were stored before."""

    symbol: str
    backtest_id: int
    asked: int
    answered: int
    scored: int
    stored: Stored


def run(
    dsn: str,
    symbols: Sequence[str],
    files: Sequence[Path],
    settings: MarketSettings,
    progress: Progress,
) -> list[Found]:
    """A new backtest for each of the symbols: of the quotes in the files, or without files of those
    that are stored.

    No symbols: all that have quotes. An error or Ctrl-C deletes those that are not complete.
    """
    with ExitStack() as stack:
        control, *workers = (stack.enter_context(connection(dsn)) for _ in range(1 + CONNECTIONS))
        begun: dict[str, int] = {}
        stored: dict[str, Stored] = {}
        try:
            if files:
                progress.describe("reading quotes")
                _store_files(control, files, symbols, settings, begun, stored)
            for symbol in [] if files else symbols or _with_quotes(control):
                begun[symbol] = _begin(control, symbol, settings)
            asked = {
                symbol: _plan(control, symbol, backtest_id, settings)
                for symbol, backtest_id in begun.items()
            }
            steps = {symbol: steps_of(control, symbol, each) for symbol, each in begun.items()}
            progress.start(sum(step.days for each in steps.values() for step in each))
            scores: dict[str, tuple[int, int]] = {}
            for symbol, each in steps.items():
                run_steps(
                    workers,
                    each,
                    begun=lambda step: progress.describe(description(step)),
                    done=lambda step: progress.advance(step.days),
                )
                progress.describe(f"testing {symbol}")
                scores[symbol] = _score(control, symbol, begun[symbol])
        except BaseException:
            delete_unfinished(dsn, list(begun.items()))
            raise
    return [
        Found(symbol, begun[symbol], asked[symbol], *scores[symbol], stored.get(symbol, Stored()))
        for symbol in begun
    ]


def _store_files(
    control: Connection,
    files: Sequence[Path],
    symbols: Sequence[str],
    settings: MarketSettings,
    begun: dict[str, int],
    stored: dict[str, Stored],
) -> None:
    for symbol in symbols:
        control.execute("SELECT upc.require_symbol(%s)", [symbol])
    read = QuoteFiles(files, symbols_by_series(control), symbols)
    waiting: dict[str, list[Values]] = {}

    def flush(symbol: str) -> None:
        if symbol not in begun:
            begun[symbol] = _begin(control, symbol, settings)
            stored[symbol] = Stored()
        store(control, symbol, begun[symbol], waiting.pop(symbol), stored[symbol])

    for symbol, quote in read.quotes():
        waiting.setdefault(symbol, []).append(quote)
        if len(waiting[symbol]) == BATCH:
            flush(symbol)
    for symbol in list(waiting):
        flush(symbol)
    if not begun:
        raise PyupcError(
            "none of the quotes is of a series of these symbols",
            "see which there are: pyupc symbols list --json",
        )
    for symbol, backtest_id in begun.items():
        events = [event for name, event in read.events() if name == symbol]
        store_events(control, symbol, backtest_id, events)


def _with_quotes(control: Connection) -> list[str]:
    rows = control.execute(
        """
        SELECT s.symbol
        FROM upc_data.symbol AS s
        WHERE EXISTS (
            SELECT FROM upc_data.market_observation AS o
            WHERE o.symbol = s.symbol AND o.backtest_id = 0
        )
        ORDER BY s.symbol
        """
    ).fetchall()
    if not rows:
        raise PyupcError(
            "there are no quotes to test against",
            "read some: pyupc market history --series KXBTCD, or name files: --quotes FILE",
        )
    return [symbol for (symbol,) in rows]


def _begin(control: Connection, symbol: str, settings: MarketSettings) -> int:
    row = control.execute(
        "SELECT upc.begin_market_backtest(%s, %s, %s)", [symbol, settings.prices, __version__]
    ).fetchone()
    assert row is not None
    return int(row[0])


def _plan(control: Connection, symbol: str, backtest_id: int, settings: MarketSettings) -> int:
    row = control.execute(
        "SELECT upc.plan_market_backtest(%s, %s, %s, %s, %s, %s)",
        [
            symbol,
            backtest_id,
            settings.train_from,
            settings.train_to,
            settings.test_from,
            settings.test_to,
        ],
    ).fetchone()
    assert row is not None
    return int(row[0])


def _score(control: Connection, symbol: str, backtest_id: int) -> tuple[int, int]:
    row = control.execute(
        "SELECT s.answered, s.scored FROM upc.score_market(%s, %s) AS s", [symbol, backtest_id]
    ).fetchone()
    assert row is not None
    return row[0], row[1]
