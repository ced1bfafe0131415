"""Backfill: the missing candles, asked of an exchange a page at a time; each page is committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol

import psycopg

from pyupc.candles.gaps import EPOCH, MINUTE, Span, close_gaps, find_gaps, spans_of
from pyupc.candles.load import Connection
from pyupc.candles.pages import Page, lacking, plan
from pyupc.errors import UsageProblem
from pyupc.exchange.history import Exchange
from pyupc.runtime.text import as_text

# A minute that has only just ended may still be counted together.
CLOSING_SECONDS = 5

# A candle this young may be late; without an older one after it, it is asked for another time.
SETTLED_MINUTES = 10

# After so long without a single candle it looks as if the exchange's history begins here.
SILENCE_MINUTES = 3 * 1440


@dataclass(frozen=True)
class Job:
    """The span to fill. `since` None: from the first stored candle; `until` None: to the present.

    With `retry_holes` minutes are asked for even if the exchange is known not to have them.
    """

    symbol: str
    pair: str
    since: datetime | None
    until: datetime | None
    retry_holes: bool = False


@dataclass
class Tally:
    """Counts of what was committed so far; `holes` and `passed_over` are minutes."""

    pages: int = 0
    new: int = 0
    changed: int = 0
    refused: int = 0
    holes: int = 0
    passed_over: int = 0


@dataclass(frozen=True)
class Summary:
    """`still_missing` are minutes without a candle that are no known holes of the exchange."""

    symbol: str
    exchange: str
    pair: str
    since: datetime
    until: datetime
    tally: Tally
    still_missing: int
    clock_skew: float | None

    def as_json(self) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "exchange": self.exchange,
            "pair": self.pair,
            "since": as_text(self.since),
            "until": as_text(self.until),
            **asdict(self.tally),
            "still_missing": self.still_missing,
            "clock_skew_seconds": None if self.clock_skew is None else round(self.clock_skew, 1),
        }


class Watcher(Protocol):
    """The progress of a backfill while it is going on."""

    def on_plan(self, symbol: str, minutes: int) -> None:
        """Number of missing minutes that will be requested."""

    def on_minutes(self, count: int) -> None:
        """Number of further minutes that are done."""

    def on_problems(self, problems: Sequence[str]) -> None:
        """Rows of an answer that were refused."""


def backfill(
    conn: Connection, exchange: Exchange, job: Job, tally: Tally, watcher: Watcher
) -> Summary:
    """Ask the exchange for what is missing; `tally` is kept up to date for when that ends early.

    Raises UsageProblem if there is no full minute in between, and what the exchange raises.
    """
    # Each statement has to see what other sessions have committed.
    conn.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    # An upgrade may replace the functions meanwhile.
    conn.prepare_threshold = None
    since, until = _bounds(conn, job, exchange.now())
    gaps = find_gaps(conn, job.symbol, since, until)
    missing = [gap.span for gap in gaps if job.retry_holes or gap.is_open_to(exchange.name)]
    watcher.on_plan(job.symbol, sum(span.minutes for span in missing))
    _Run(conn, exchange, job, tally, watcher).all(plan(missing, exchange.page_size))
    left = find_gaps(conn, job.symbol, since, until)
    return Summary(
        job.symbol,
        exchange.name,
        job.pair,
        since,
        until,
        tally,
        sum(gap.minutes for gap in left if gap.is_open_to(exchange.name)),
        exchange.clock_skew,
    )


class _Run:
    def __init__(
        self, conn: Connection, exchange: Exchange, job: Job, tally: Tally, watcher: Watcher
    ) -> None:
        self._conn = conn
        self._exchange = exchange
        self._job = job
        self._tally = tally
        self._watcher = watcher

    def all(self, pages: Sequence[Page]) -> None:
        silence = Span(0, 0)
        for page in pages:
            if page.after != silence.first:
                silence = Span(page.after, page.after)
            if silence.minutes >= SILENCE_MINUTES:
                silence = Span(page.first, silence.after)
                self._tally.passed_over += len(page.minutes)
            else:
                is_silent = self._page(page)
                silence = Span(page.first, silence.after if is_silent else page.first)
            self._watcher.on_minutes(len(page.minutes))

    def _page(self, page: Page) -> bool:
        """Ask until every settled minute has come or is a hole; True if nothing came at all."""
        is_silent = True
        waiting = [page]
        while waiting:
            asked = waiting.pop()
            answer = self._exchange.candles(self._job.pair, asked.first, asked.after)
            is_silent = is_silent and not (answer.candles or answer.refused)
            holes, again = lacking(asked, answer, self._settled_before())
            missing = asked.minutes
            found = [candle for candle in answer.candles if candle.minute in missing]
            new, changed = close_gaps(
                self._conn, self._job.symbol, self._exchange.name, found, spans_of(holes)
            )
            self._tally.pages += 1
            self._tally.new += new
            self._tally.changed += changed
            self._tally.refused += len(answer.problems)
            self._tally.holes += len(holes)
            self._watcher.on_problems(answer.problems)
            waiting.extend(again)
        return is_silent

    def _settled_before(self) -> int:
        return int(self._exchange.now() // 60) - SETTLED_MINUTES


def _bounds(conn: Connection, job: Job, now: float) -> tuple[datetime, datetime]:
    """On the minute. The minute that is running, or has only just ended, is left out."""
    since = job.since
    if since is None:
        query = "SELECT min(c.opened_at) FROM upc_data.candle AS c WHERE c.symbol = %s"
        row = conn.execute(query, [job.symbol]).fetchone()
        since = row[0] if row else None
    if since is None:
        raise UsageProblem(
            f"{job.symbol} has no candles, so that it is not clear from when to ask",
            "add --since, for example --since 2022-01-01",
        )
    end = EPOCH + MINUTE * int((now - CLOSING_SECONDS) // 60)
    if job.until is not None:
        end = min(end, EPOCH + MINUTE * ((job.until - EPOCH) // MINUTE))
    start = EPOCH - MINUTE * ((EPOCH - since) // MINUTE)
    if start >= end:
        raise UsageProblem(
            f"no full minute lies between {as_text(start)} and {as_text(end)}",
            "give --since an earlier time or --until a later one",
        )
    return start, end
