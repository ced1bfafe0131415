"""Traffic of a feed of five coins with four events each, against a server that answers as Kalshi.

    PYUPC_DSN=… python -m tests.feed.traffic [SECONDS] [RATE]

Events are as large as real ones: 188 markets above strikes at the hour and at the end of the day,
188 ranges, one market up or down. One quote in ten moves from one second to the next. Prints
requests and kilobytes a second, and processor time of the feed and of its connection, with answers
compressed and plain. The database is one that it may fill.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from pyupc.database.connect import connect
from pyupc.database.migrate import upgrade
from tests.support.feed_servers import Exchange, serving
from tests.support.kalshi_server import Document, Reply, Request, Server, json_reply

DATA = Path(os.environ.get("PYUPC_SHARED", "../shared")) / "data" / "kalshi"
COINS = {
    "BTC": (63_000, 100, ("KXBTCD", "KXBTC", "KXBTC15M")),
    "ETH": (1_800, 5, ("KXETHD", "KXETH", "KXETH15M")),
    "SOL": (150, 0.5, ("KXSOLD", "KXSOLE", "KXSOL15M")),
    "XRP": (2.2, 0.01, ("KXXRPD", "KXXRP", "KXXRP15M")),
    "DOGE": (0.2, 0.001, ("KXDOGED", "KXDOGE", "KXDOGE15M")),
}
VARIANTS = 10


def real(name: str) -> Document:
    found = json.loads((DATA / name).read_text())
    market: Document = found.get("market") or found["markets"][1]
    return market


def event(series: str, closes_at: datetime, markets: list[Document]) -> Document:
    ticker = f"{series}-{closes_at:%y%b%d%H%M}".upper()
    close = closes_at.isoformat().replace("+00:00", "Z")
    for place, each in enumerate(markets):
        each.update(
            ticker=f"{ticker}-{place}", event_ticker=ticker, close_time=close, status="active"
        )
    fields = {"event_ticker": ticker, "series_ticker": series, "title": "Price?"}
    return {"event": {**fields, "strike_date": close, "markets": markets}}


def events(now: datetime) -> list[Document]:
    hour = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    quarter = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)
    quarter += timedelta(minutes=15)
    above, within, up = (
        real(f"{name}.json")
        for name in ("KXBTCD_market_active", "KXBTC_hourly_range_active", "KXBTC15M_market_active")
    )
    found = []
    for price, step, (daily, ranges, quarters) in COINS.values():
        strikes = [round(price + step * (k - 94), 6) for k in range(188)]
        texts = {"yes_sub_title": "", "subtitle": ""}
        for closes_at in (hour, hour + timedelta(hours=6)):
            markets = [{**above, **texts, "floor_strike": each} for each in strikes]
            found.append(event(daily, closes_at, markets))
        bounds = [
            {**within, **texts, "strike_type": "between", "floor_strike": a, "cap_strike": b}
            for a, b in pairwise(strikes)
        ]
        found.append(event(ranges, hour, bounds))
        market = {**up, **texts, "floor_strike": price, "custom_strike": None}
        found.append(event(quarters, quarter, [market]))
    return found


def variants(document: Document) -> list[bytes]:
    """The event as it is read one time after the other."""
    texts = []
    for k in range(VARIANTS):
        for place, market in enumerate(document["event"]["markets"]):
            if place % VARIANTS == k:
                cents = int(100 * float(market["yes_ask_dollars"]))
                market["yes_ask_dollars"] = f"{(cents % 98 + 1) / 100:.4f}"
        texts.append(json.dumps(document).encode())
    return texts


class Kalshi:
    """Answers that are made beforehand: a server on the same machine must not be in the way."""

    def __init__(self, now: datetime, packs: bool) -> None:
        self.events = events(now)
        bodies = {each["event"]["event_ticker"]: variants(each) for each in self.events}
        self.sizes = {ticker: len(each[0]) for ticker, each in bodies.items()}
        self.bodies = {
            ticker: [gzip.compress(text) if packs else text for text in each]
            for ticker, each in bodies.items()
        }
        self.headers = {"Content-Encoding": "gzip"} if packs else {}
        self.reads: Counter[str] = Counter()
        self.times: list[float] = []
        self.bytes = 0

    def __call__(self, request: Request) -> Reply:
        self.times.append(time.monotonic())
        kind, _, name = request.path.strip("/").partition("/")
        if kind == "events" and name:
            self.reads[name] += 1
            body = self.bodies[name][self.reads[name] % VARIANTS]
            self.bytes += len(body)
            return Reply(body, headers=self.headers)
        if kind == "events":
            series = request.query["series_ticker"]
            found = [
                {k: v for k, v in each["event"].items() if k != "markets"}
                for each in self.events
                if each["event"]["series_ticker"] == series
            ]
            return json_reply({"events": found, "cursor": ""})
        if kind == "markets":
            return json_reply({"markets": [], "cursor": ""})
        if kind == "series":
            fees = {"ticker": name, "fee_type": "quadratic", "fee_multiplier": 1}
            return json_reply({"series": fees})
        return json_reply({"exchange_active": True, "trading_active": True})


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def backend(dsn: str) -> int:
    with connect(dsn) as conn:
        [(pid,)] = conn.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'pyupc feed'"
            " AND datname = current_database()"
        ).fetchall()
    return int(pid)


def measure(dsn: str, seconds: float, packs: bool, exchange_url: str) -> dict[str, Any]:
    kalshi = Kalshi(datetime.now(UTC), packs)
    server = Server(kalshi)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
    command = [sys.executable, "-m", "pyupc", "feed", "--no-build", "--kalshi", server.url]
    environment = {**os.environ, "PYUPC_DSN": dsn, "PYUPC_EXCHANGE_URL": exchange_url}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while len(kalshi.reads) < 20 and time.monotonic() < until:
            time.sleep(0.2)
        assert len(kalshi.reads) == 20, kalshi.reads
        pids = (process.pid, backend(dsn))
        begun, at = [processor_seconds(pid) for pid in pids], time.monotonic()
        count, sent, reads = len(kalshi.times), kalshi.bytes, Counter(kalshi.reads)
        time.sleep(seconds)
        passed = time.monotonic() - at
        spent = [processor_seconds(pid) - b for pid, b in zip(pids, begun, strict=True)]
        done = kalshi.reads - reads
        times = kalshi.times[count:]
        window = max(sum(a <= b < a + 1 for b in times) for a in times)
        unpacked = sum(kalshi.sizes[ticker] * number for ticker, number in done.items())
        by_kind: Counter[str] = Counter()
        for each in kalshi.events:
            ticker = each["event"]["event_ticker"]
            late = each["event"]["strike_date"] != kalshi.events[0]["event"]["strike_date"]
            name = each["event"]["series_ticker"]
            kind = "15 minutes" if name.endswith("15M") else "range" if name[-1] != "D" else "above"
            by_kind["daily" if kind == "above" and late else kind] += done[ticker]
        return {
            "compressed": packs,
            "requests/s": round(len(times) / passed, 1),
            "most in a second": window,
            "kB/s": round((kalshi.bytes - sent) / passed / 1e3),
            "kB/s of JSON": round(unpacked / passed / 1e3),
            "seconds between reads": {
                kind: round(5 * passed / number, 1) for kind, number in sorted(by_kind.items())
            },
            "feed, ms of processor time per s": round(1e3 * spent[0] / passed),
            "its connection, ms per s": round(1e3 * spent[1] / passed),
        }
    finally:
        process.terminate()
        process.wait(20)
        asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def main() -> None:
    dsn = os.environ["PYUPC_DSN"]
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    upgrade(dsn)
    with connect(dsn) as conn:
        known = {symbol for (symbol,) in conn.execute("SELECT symbol FROM upc_data.symbol")}
        for symbol, (_, step, _series) in COINS.items():
            if symbol not in known:
                conn.execute("SELECT upc.add_symbol(%s, %s)", (symbol, step))
        if len(sys.argv) > 2:
            conn.execute("SELECT upc.set_rule('kalshi_rate', %s)", (sys.argv[2],))
    os.environ["NO_PROXY"] = "*"
    with serving(Exchange()) as exchange:
        for packs in (True, False):
            print(json.dumps(measure(dsn, seconds, packs, exchange.url)), flush=True)


if __name__ == "__main__":
    main()
