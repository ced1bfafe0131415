"""`pyupc candles backfill`: fetch missing candles from an exchange."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import click

from pyupc.cli.common.options import examples, symbols
from pyupc.cli.common.output import Output, output_options, print_rows
from pyupc.cli.common.span import bounds, refuse_reversed
from pyupc.errors import PyupcError
from pyupc.exchange.names import DEFAULT_EXCHANGE
from pyupc.runtime.progress import Progress, progress

if TYPE_CHECKING:
    from pyupc.candles.backfill import Summary, Tally
    from pyupc.candles.load import Connection
    from pyupc.exchange.history import Exchange

# Refused candles that are shown; the rest is only counted.
SHOWN_PROBLEMS = 20

# Smaller differences between the clocks do no harm.
SKEW_SECONDS = 2.0


@click.command(
    epilog=examples(
        "# pyupc candles backfill --exchange coinbase --symbol BTC --since 2022-01-01",
        "# pyupc candles backfill --exchange kraken --symbol BTC --symbol ETH --json",
        "# pyupc candles backfill --since 2024-03-01 --until 2024-03-02T12:00Z --retry-holes",
        "pyupc candles backfill --help",
    )
)
@click.option(
    "--exchange",
    default=DEFAULT_EXCHANGE,
    show_default=True,
    metavar="ID",
    help="ccxt id of the exchange.",
)
@symbols
@bounds("the symbol's first stored candle", "the last full minute")
@click.option("--retry-holes", is_flag=True, help="Ask again for candles the exchange lacked.")
@output_options
def backfill(
    exchange: str,
    symbols: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    retry_holes: bool,
    output: Output,
) -> None:
    """Fetch missing candles from an exchange.

    Asks only for minutes without a candle, the newest first. Each page is stored as it arrives, so
    an interrupted run goes on where it stopped. Minutes that the exchange has no candle of are
    remembered, and asked for again only with --retry-holes.

    A failed request is tried again, up to 8 times, with pauses of 0.5 s to 30 s. A symbol that the
    exchange does not list is skipped, and the exit code is 1.
    """
    refuse_reversed(since, until)

    from pyupc.candles.backfill import Job, Tally
    from pyupc.candles.backfill import backfill as fill
    from pyupc.database import schema
    from pyupc.database.connect import connect
    from pyupc.exchange.history import Exchange

    tallies: dict[str, Tally] = {}
    summaries: list[Summary] = []
    with connect() as conn:
        schema.check(conn)
        pairs = _pairs(conn, symbols)
        try:
            with _watching() as watcher, Exchange(exchange, watcher.say) as source:
                chosen, unlisted = _listed(source, pairs, watcher)
                for symbol, pair in chosen.items():
                    job = Job(symbol, pair, since, until, retry_holes)
                    tally = tallies[symbol] = Tally()
                    summaries.append(fill(conn, source, job, tally, watcher))
        except BaseException:
            for symbol, tally in tallies.items():
                if tally.pages:
                    click.echo(_interrupted(symbol, tally), err=True)
            raise
    rows = [summary.as_json() for summary in summaries]
    print_rows(rows, output, human=lambda: _print_summaries(summaries))
    if unlisted:
        raise SystemExit(PyupcError.exit_code)


def _pairs(conn: Connection, symbols: Sequence[str]) -> dict[str, str | None]:
    """Registered pair of each symbol; all symbols if none is named."""
    for symbol in symbols:
        conn.execute("SELECT upc.require_symbol(%s)", [symbol])
    rows = conn.execute(
        "SELECT s.symbol, s.exchange_pair FROM upc_data.symbol AS s ORDER BY s.symbol"
    ).fetchall()
    registered: dict[str, str | None] = dict(rows)
    return {symbol: registered[symbol] for symbol in symbols or registered}


def _listed(
    source: Exchange, wanted: Mapping[str, str | None], watcher: _Watcher
) -> tuple[dict[str, str], list[str]]:
    """Pair of each symbol that the exchange lists, and the symbols that it does not.

    Raises Unlisted if it lists none of them.
    """
    from pyupc.exchange.history import Unlisted

    chosen: dict[str, str] = {}
    unlisted: dict[str, Unlisted] = {}
    for symbol, pair in wanted.items():
        try:
            chosen[symbol] = _pair(source, symbol, pair, watcher)
        except Unlisted as problem:
            unlisted[symbol] = problem
    if unlisted and not chosen:
        raise next(iter(unlisted.values()))
    for symbol, reason in unlisted.items():
        watcher.say(f"{symbol} is skipped: {reason.message}")
    return chosen, list(unlisted)


def _pair(source: Exchange, symbol: str, wanted: str | None, watcher: _Watcher) -> str:
    pair = source.pair(symbol, wanted)
    if wanted is not None and pair != wanted:
        watcher.say(f"{source.name} has no {wanted}: using {pair}")
    return pair


def _interrupted(symbol: str, tally: Tally) -> str:
    from pyupc.runtime.text import count_of

    stored = count_of(tally.new + tally.changed, "candle")
    return f"{symbol}: {stored} stored; run the same command again to go on"


def _print_summaries(summaries: Sequence[Summary]) -> None:
    for summary in summaries:
        click.echo(_as_text(summary))


def _as_text(summary: Summary) -> str:
    from pyupc.runtime.text import as_text, count_of

    tally = summary.tally
    lines = [
        f"{summary.symbol}: {tally.new:,} new, {tally.changed:,} changed,"
        f" {tally.refused:,} refused; {count_of(tally.pages, 'page')} of {summary.pair}"
        f" from {summary.exchange};"
        f" {as_text(summary.since)} to {as_text(summary.until)},"
        f" {count_of(tally.holes, 'minute')} found to be holes,"
        f" {summary.still_missing:,} still missing"
    ]
    if tally.passed_over:
        lines.append(
            f"{summary.symbol}: {count_of(tally.passed_over, 'minute')} not asked for:"
            f" {summary.exchange} has no candle for days after them, so its history seems to begin"
            " later"
        )
    skew = summary.clock_skew
    if skew is not None and abs(skew) > SKEW_SECONDS:
        direction = "behind" if skew > 0 else "ahead of"
        lines.append(
            f"this machine's clock is {abs(skew):,.0f} s {direction} that of {summary.exchange}:"
            " set it"
        )
    return "\n".join(lines)


class _Watcher:
    """Progress of a backfill: a bar that moves by minutes, and lines above it."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._problems = 0
        self.say = bar.say

    def on_plan(self, symbol: str, minutes: int) -> None:
        self._bar.start(minutes, symbol)

    def on_minutes(self, count: int) -> None:
        self._bar.advance(count)

    def on_problems(self, problems: Sequence[str]) -> None:
        for problem in problems:
            self._problems += 1
            if self._problems <= SHOWN_PROBLEMS:
                self.say(f"refused: {problem}")
            elif self._problems == SHOWN_PROBLEMS + 1:
                self.say("further refused candles are only counted")


@contextmanager
def _watching() -> Iterator[_Watcher]:
    """Show a bar on a terminal; elsewhere only the lines."""

    def rate(candles: float) -> str:
        return f"at {candles:,.0f}/s"

    with progress("asking", "candles", rate=rate, has_end=True) as bar:
        yield _Watcher(bar)
