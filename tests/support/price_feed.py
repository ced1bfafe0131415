"""A feed for tests: a process that writes made-up prices and notes what was acknowledged.

Run as a module: DSN, file, symbols separated by commas, seconds between prices, and for Kalshi-like
events too the minute of the hour at which they close. A line of the file is a symbol and the time
of a price that is committed, on the clock of this process. It says nothing about failures: it tries
again.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from pyupc.errors import PyupcError
from tests.support.times_of_day import next_hour
from tests.support.warm_process import REPOSITORY

EXCHANGE = "made_up"
SERIES = {"BTC": ("KXBTCD", 250, 97_000), "ETH": ("KXETHD", 20, 3_500)}
MARKETS = 21
HOUR = timedelta(hours=1)

# The price of the simulation, so that it follows from the candles before it.
RECORD = """
    SELECT upc.record_price(
        symbol => %(symbol)s::text,
        exchange => %(exchange)s::text,
        price => upc.simulated_price(%(symbol)s::text, %(at)s::timestamptz),
        received_at => %(at)s::timestamptz
    )
"""

CANDLES = """
    SELECT upc.record_candles(
        %(symbol)s::text, array_agg(c.opened_at ORDER BY c.opened_at),
        array_agg(c.open ORDER BY c.opened_at), array_agg(c.high ORDER BY c.opened_at),
        array_agg(c.low ORDER BY c.opened_at), array_agg(c.close ORDER BY c.opened_at),
        array_agg(c.volume ORDER BY c.opened_at)
    )
    FROM upc.simulated_candles(
        %(symbol)s::text,
        date_trunc('minute', %(at)s::timestamptz) - interval '1 hour',
        date_trunc('minute', %(at)s::timestamptz)
    ) AS c
"""


def event(symbol: str, closes_at: datetime, around: float | None = None) -> dict[str, Any]:
    """An hourly event as Kalshi's API shows it, with quotes that leave a cent to either side."""
    series, step, usual = SERIES[symbol]
    ticker = f"{series}-{closes_at:%y%b%d%H}".upper()
    middle = step * round((around or usual) / step)
    markets = []
    for k in range(-(MARKETS // 2), MARKETS // 2 + 1):
        strike = middle + step * k
        yes = min(max(50 - 4 * k, 2), 97)
        markets.append(
            {
                "ticker": f"{ticker}-T{strike - 0.01:.2f}",
                "close_time": f"{closes_at:%Y-%m-%dT%H:%M:%SZ}",
                "status": "active",
                "strike_type": "greater",
                "floor_strike": strike - 0.01,
                "yes_bid_dollars": f"{yes / 100 - 0.01:.4f}",
                "yes_ask_dollars": f"{yes / 100 + 0.01:.4f}",
                "no_bid_dollars": f"{1 - yes / 100 - 0.01:.4f}",
                "no_ask_dollars": f"{1 - yes / 100 + 0.01:.4f}",
                "volume_fp": "1000.00",
            }
        )
    return {
        "event": {"event_ticker": ticker, "series_ticker": series, "title": f"{symbol} price?"},
        "markets": markets,
    }


def next_close(at: datetime, minute: int) -> datetime:
    """The first time after that one at this minute of an hour."""
    closes_at = at.replace(minute=minute, second=0, microsecond=0)
    return closes_at if closes_at > at else closes_at + HOUR


def record_event(conn: psycopg.Connection[Any], symbol: str, minute: int) -> None:
    at = datetime.now(UTC)
    closes_at = next_close(at, minute)
    # Strikes stay where they are for the hour.
    query = "SELECT upc.simulated_price(%s, %s::timestamptz)"
    [(price,)] = conn.execute(query, (symbol, closes_at - HOUR)).fetchall()
    document = json.dumps(event(symbol, closes_at, price))
    conn.execute(
        "SELECT upc.load_market(document => %s::jsonb, symbol => %s, read_at => %s)",
        (document, symbol, at),
    )


def _sleep(seconds: float) -> None:
    """Sleep in a way that libfaketime's clock does not affect."""
    select.select([], [], [], seconds)


@dataclass
class _Writer:
    dsn: str
    path: Path
    symbols: list[str]
    every: float
    closes: int | None = None
    """The minute of the hour; without one there are no events."""

    def run(self) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            while True:
                with suppress(psycopg.Error, PyupcError):
                    self._write(file)
                _sleep(0.05)

    def _write(self, file: Any) -> None:
        with psycopg.connect(self.dsn, autocommit=True, connect_timeout=2) as conn:
            minute, second = None, -1.0
            while True:
                at = datetime.now(UTC)
                for symbol in self.symbols:
                    values = {"symbol": symbol, "exchange": EXCHANGE, "at": at}
                    [(is_logged,)] = conn.execute(RECORD, values).fetchall()
                    if is_logged:
                        file.write(f"{symbol}\t{at.isoformat()}\n")
                        file.flush()
                if self.closes is not None and time.monotonic() > second + 1:
                    second = time.monotonic()
                    for symbol in self.symbols:
                        record_event(conn, symbol, self.closes)
                if minute != at.minute:
                    minute = at.minute
                    for symbol in self.symbols:
                        conn.execute(CANDLES, {"symbol": symbol, "at": at})
                _sleep(self.every)


@dataclass
class Feed:
    """The process; `path` holds what was acknowledged, over all of its lives."""

    command: list[str]
    path: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, env=self.environment)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def acknowledged(self) -> list[tuple[str, str]]:
        """Symbol and time. The last line may be torn by a kill."""
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        pairs = [line.rstrip("\n").split("\t") for line in lines if line.endswith("\n")]
        return [(symbol, at) for symbol, at in pairs]


def lost(dsn: str, acknowledged: list[tuple[str, str]]) -> list[tuple[Any, ...]]:
    """Acknowledged prices that are missing in the database."""
    query = """
        SELECT n.symbol, n.at
        FROM unnest(%s::text[], %s::timestamptz[]) AS n (symbol, at)
        WHERE NOT EXISTS (
            SELECT FROM upc_data.price AS p
            WHERE p.symbol = n.symbol AND p.exchange = %s AND p.received_at = n.at
        )
    """
    symbols, times = [pair[0] for pair in acknowledged], [pair[1] for pair in acknowledged]
    with psycopg.connect(dsn) as conn:
        return conn.execute(query, (symbols, times, EXCHANGE)).fetchall()


@contextmanager
def feeding(
    dsn: str,
    path: Path,
    *symbols: str,
    every: float = 0.2,
    markets: bool = False,
    more: Mapping[str, str] | None = None,
) -> Iterator[Feed]:

    closes = [str(next_hour().minute)] if markets else []
    options = [dsn, str(path), ",".join(symbols), str(every), *closes]
    command = [sys.executable, "-m", "tests.support.price_feed", *options]
    feed = Feed(command, path, {"PYTHONPATH": str(REPOSITORY), "LC_ALL": "C", **(more or {})})
    feed.start()
    try:
        yield feed
    finally:
        feed.kill()


def main() -> None:
    dsn, path, symbols, every, *rest = sys.argv[1:]
    _Writer(dsn, Path(path), symbols.split(","), float(every), *map(int, rest)).run()


if __name__ == "__main__":
    main()
