"""`pyupc market history`: the past in Kalshi's documented shapes, over HTTP on loopback."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pyupc.cli import main
from tests.support.engine import open_db
from tests.support.kalshi_server import Document, Reply, Request, Server, json_reply

CUTOFF = datetime(2026, 3, 1, tzinfo=UTC)
SERIES = "KXBTCD"


def iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def prices(ticker: str, minutes: int) -> tuple[str, str]:
    """Bid and ask of a market so many minutes before its close: no two alike."""
    bid = 10 + (sum(map(ord, ticker)) + 7 * minutes) % 80
    return f"{bid / 100:.4f}", f"{(bid + 2) / 100:.4f}"


@dataclass
class Past:
    """Settled events, `of` so many markets each; `before` may answer in its place."""

    closes: list[datetime]
    of: int = 3
    page: int = 4
    before: Callable[[Request], Reply | None] = lambda request: None
    missing: set[tuple[str, int]] = field(default_factory=set)

    def markets(self, *, is_historical: bool) -> list[Document]:
        return [
            self._market(closes_at, k)
            for closes_at in self.closes
            if (closes_at < CUTOFF) == is_historical
            for k in range(self.of)
        ]

    def _market(self, closes_at: datetime, k: int) -> Document:
        event = f"{SERIES}-{closes_at:%y%b%d%H}".upper()
        floor = Decimal("100000") + 100 * k - Decimal("0.01")
        return {
            "ticker": f"{event}-T{floor}",
            "event_ticker": event,
            "close_time": iso(closes_at),
            "status": "finalized",
            "strike_type": "greater",
            "floor_strike": float(floor),
            "yes_sub_title": f"${floor + Decimal('0.01'):,} or above",
            "result": "yes" if k == 0 else "no",
            "expiration_value": "100050.25",
            # Nothing was traded in the last one.
            "volume_fp": "0.00" if k == self.of - 1 else "12.00",
        }

    def candles(self, ticker: str, query: dict[str, str], *, is_historical: bool) -> Document:
        market = next(m for m in self.markets(is_historical=is_historical) if m["ticker"] == ticker)
        assert query["period_interval"] == "1"
        end = int(datetime.fromisoformat(market["close_time"]).timestamp())
        name = "close" if is_historical else "close_dollars"
        found = []
        for minutes in range(90, -1, -1):
            at = end - 60 * minutes
            if not int(query["start_ts"]) <= at <= int(query["end_ts"]):
                continue
            if (ticker, minutes) in self.missing:
                continue
            bid, ask = prices(ticker, minutes)
            found.append({"end_period_ts": at, "yes_bid": {name: bid}, "yes_ask": {name: ask}})
        return {"ticker": ticker, "candlesticks": found}

    def __call__(self, request: Request) -> Reply:
        return self.before(request) or self._reply(request)

    def _reply(self, request: Request) -> Reply:
        path, query = request.path, request.query
        if path == "/historical/cutoff":
            return json_reply({"market_settled_ts": iso(CUTOFF)})
        if path == "/historical/markets":
            assert query.keys() <= {"series_ticker", "limit", "cursor"}
            return json_reply(self._page(self.markets(is_historical=True), query))
        if path == "/markets":
            assert "status" not in query
            low, high = int(query["min_close_ts"]), int(query["max_close_ts"])
            found = [
                m
                for m in self.markets(is_historical=False)
                if low <= datetime.fromisoformat(m["close_time"]).timestamp() <= high
            ]
            return json_reply(self._page(found, query))
        if path == "/markets/candlesticks":
            tickers = query["market_tickers"].split(",")
            assert len(tickers) <= 100
            answers = [self.candles(each, query, is_historical=False) for each in tickers]
            return json_reply(
                {
                    "markets": [
                        {"market_ticker": a["ticker"], "candlesticks": a["candlesticks"]}
                        for a in answers
                    ]
                }
            )
        parts = path.strip("/").split("/")
        if parts[-1] == "candlesticks":
            return json_reply(
                self.candles(parts[-2], query, is_historical=parts[0] == "historical")
            )
        return json_reply({"error": {"code": "not_found"}}, status=404)

    def _page(self, items: list[Document], query: dict[str, str]) -> Document:
        start = int(query.get("cursor", "0"))
        more = str(start + self.page) if start + self.page < len(items) else ""
        return {"markets": items[start : start + self.page], "cursor": more}


@contextmanager
def serving(past: Past) -> Iterator[Server]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = Server(past)

    def call(work: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(10)

    try:
        call(server.__aenter__())
        yield server
        call(server.__aexit__())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def history(dsn: str, server: Server, *arguments: str) -> Result:
    return CliRunner().invoke(
        main,
        ["market", "history", "--series", SERIES, "--rate", "20", "--since", "2026-02-01",
         *("--until", "2026-04-01"), *arguments],
        env={"PYUPC_DSN": dsn, "PYUPC_KALSHI_URL": server.url, "NO_PROXY": "*"},
    )  # fmt: skip


def succeed(dsn: str, server: Server, *arguments: str) -> dict[str, Any]:
    result = history(dsn, server, "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    [row] = json.loads(result.stdout)
    return dict(row)


def stored(dsn: str) -> dict[tuple[str, int], tuple[Any, ...]]:
    """By ticker and minutes before the close."""
    with open_db(dsn) as conn:
        rows = conn.execute(
            "SELECT ticker, (extract(epoch FROM closes_at - observed_at) / 60)::integer, lower,"
            " upper, yes_bid, yes_ask, later_yes_ask, later_no_ask, outcome, price, backtest_id"
            " FROM upc_data.market_observation"
        ).fetchall()
    return {row[:2]: row[2:] for row in rows}


HOURS = [
    datetime(2026, 2, 27, 15, tzinfo=UTC),
    datetime(2026, 2, 28, 16, tzinfo=UTC),
    datetime(2026, 3, 5, 17, tzinfo=UTC),
    datetime(2026, 3, 6, 18, tzinfo=UTC),
    datetime(2026, 5, 6, 18, tzinfo=UTC),
]


def test_both_parts_of_the_past_are_stored(fresh_db: str) -> None:
    past = Past(HOURS)
    with serving(past) as server:
        row = succeed(fresh_db, server, "--ttc", "5", "--ttc", "30", "--ttc", "60")
    assert row == {
        **{"series": SERIES, "symbol": "BTC", "events": 4, "known_events": 0, "markets": 12},
        **{"quotes": 4 * 2 * 3, "left_out": {}},
    }
    expected = {}
    for market in past.markets(is_historical=True) + past.markets(is_historical=False):
        if market["volume_fp"] == "0.00" or market["close_time"] > "2026-04":
            continue
        for minutes in (5, 30, 60):
            bid, ask = map(Decimal, prices(market["ticker"], minutes))
            later_bid, later_ask = map(Decimal, prices(market["ticker"], minutes - 1))
            lower = Decimal(str(market["floor_strike"])) + Decimal("0.01")
            outcome = lower <= Decimal("100050.25")
            assert outcome == (market["result"] == "yes")
            values = (lower, None, bid, ask, later_ask, 1 - later_bid, outcome, None, 0)
            expected[market["ticker"], minutes] = values
    assert stored(fresh_db) == expected
    with open_db(fresh_db) as conn:
        rows = conn.execute(
            "SELECT closes_at, value, markets FROM upc_data.observed_event ORDER BY 1"
        ).fetchall()
    assert rows == [(at, Decimal("100050.25"), 3) for at in HOURS[:4]]


def test_an_event_that_is_stored_is_not_read_again(fresh_db: str) -> None:
    with serving(Past(HOURS)) as server:
        succeed(fresh_db, server)
        before = stored(fresh_db)
        server.requests.clear()
        row = succeed(fresh_db, server)
        assert (row["events"], row["known_events"], row["quotes"]) == (0, 4, 0)
        assert not [path for path in server.paths() if path.endswith("candlesticks")]
    assert stored(fresh_db) == before


def test_it_goes_on_after_a_failure(fresh_db: str) -> None:
    """What was stored stays; the next run reads the rest, and ends with the same rows."""
    failing = {"KXBTCD-26FEB2816-T99999.99"}

    def fail(request: Request) -> Reply | None:
        if any(ticker in request.path for ticker in failing):
            return json_reply({}, status=503)
        return None

    with serving(Past(HOURS, before=fail)) as server:
        result = history(fresh_db, server)
        assert result.exit_code == 1
        assert "503" in result.stderr
        assert "Traceback" not in result.stderr
        with open_db(fresh_db) as conn:
            [(events,)] = conn.execute("SELECT count(*) FROM upc_data.observed_event").fetchall()
        assert events == 1
        failing.clear()
        row = succeed(fresh_db, server)
        assert (row["events"], row["known_events"]) == (3, 1)
    assert len(stored(fresh_db)) == 4 * 2 * 9


def test_too_many_requests_are_waited_for(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyupc.kalshi.history.PATIENCE_SECONDS", (0.01, 0.01))
    refused: list[str] = []

    def slow_down(request: Request) -> Reply | None:
        if refused.count(request.path) < 2:
            refused.append(request.path)
            return json_reply({}, status=429)
        return None

    with serving(Past(HOURS[:1], before=slow_down)) as server:
        assert succeed(fresh_db, server)["events"] == 1
    assert refused.count("/historical/cutoff") == 2
    with serving(Past(HOURS, before=lambda _: json_reply({}, status=429))) as server:
        assert history(fresh_db, server).exit_code == 1


def test_a_server_without_several_at_once(fresh_db: str) -> None:
    def without(request: Request) -> Reply | None:
        return json_reply({}, status=404) if request.path == "/markets/candlesticks" else None

    with serving(Past(HOURS[2:4], before=without)) as server:
        assert succeed(fresh_db, server, "--ttc", "5")["quotes"] == 4
        assert any(path.startswith("/series/KXBTCD/markets/") for path in server.paths())


def test_minutes_that_are_missing(fresh_db: str) -> None:
    """Without the minute there is no quote; without the one after it nothing can be bought."""
    past = Past(HOURS[:1])
    first, second = (m["ticker"] for m in past.markets(is_historical=True)[:2])
    past.missing = {(first, 5), (second, 4)}
    with serving(past) as server:
        succeed(fresh_db, server, "--ttc", "5")
    assert set(stored(fresh_db)) == {(second, 5)}
    assert stored(fresh_db)[second, 5][4:6] == (None, None)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"no json",
        b'{"markets": 1, "market_settled_ts": "2026-03-01T00:00:00Z"}',
        b'{"market_settled_ts": "yesterday"}',
        b'{"market_settled_ts": "2026-03-01T00:00:00Z", "markets": [], "cursor": "x"}',
    ],
)
def test_answers_that_are_none(fresh_db: str, body: bytes) -> None:
    with serving(Past(HOURS, before=lambda _: Reply(body))) as server:
        result = history(fresh_db, server)
    assert result.exit_code == 1
    assert "Traceback" not in result.stderr
    assert stored(fresh_db) == {}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--series", "KXNONE"), 1),
        (("--since", "2026-05-01"), 2),
        (("--since", "soon"), 2),
        (("--ttc", "61"), 2),
        (("--rate", "0"), 2),
    ],
)
def test_arguments(fresh_db: str, arguments: tuple[str, ...], code: int) -> None:
    with serving(Past(HOURS)) as server:
        assert history(fresh_db, server, *arguments).exit_code == code
    result = CliRunner().invoke(main, ["market", "history", "--since", "2026-01-01"])
    assert result.exit_code == 2


def test_no_more_requests_than_allowed() -> None:
    """Turns are given out by the clock: so many requests take their time."""
    import time

    from pyupc.kalshi.history import History

    async def ask(url: str) -> float:
        async with History(url, rate=20) as client:
            start = time.monotonic()
            for _ in range(5):
                await client.cutoff()
            return time.monotonic() - start

    with serving(Past(HOURS)) as server:
        assert asyncio.run(ask(server.url)) >= 4 / 20


def test_a_backtest_asks_about_what_is_stored(fresh_db: str) -> None:
    """End to end: candles, quotes of the past, scores; a second run asks about the same rows."""
    from tests.support.engine import Candles, put
    from tests.support.volatile_candles import volatile_candles

    wild = volatile_candles(3, "2026-03-01", 5 * 1440, price=100_000)
    # All settle at 100,050.25: what is further away than a percent is no basis.
    opens, highs, lows, ends = (
        1e5 * (each / 1e5) ** 0.05 for each in (wild.opens, wild.highs, wild.lows, wild.closes)
    )
    calm = Candles(wild.minutes, opens, highs, lows, ends, wild.volumes)
    closes = [datetime(2026, 3, 5, 1, tzinfo=UTC) + timedelta(hours=k) for k in range(14)]
    with open_db(fresh_db) as conn:
        put(conn, "BTC", calm)
    with serving(Past(closes, of=5)) as server:
        succeed(fresh_db, server, "--ttc", "5", "--ttc", "30")
    for _ in range(2):
        result = CliRunner().invoke(
            main, ["backtest", "--against", "market", "--json"], env={"PYUPC_DSN": fresh_db}
        )
        assert result.exit_code == 0, result.stderr
        [report] = json.loads(result.stdout)["backtests"]
        # Without recorded prices it takes 12 settlements: of 14 hours two are left.
        assert report["questions"] == 2 * 4 * 2
        assert {row["model"] for row in report["scores"]["all"]} == {
            *("volatility:linear", "market", "blend", "gaussian")
        }
    assert len(stored(fresh_db)) == 14 * 4 * 2
