"""Ticks from a price log, with an event of 75 markets per symbol, as they run live."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pyupc.bench.figures import Row, interleaved, milliseconds
from pyupc.bench.scratch import Connection, Plan
from pyupc.database.connect import connect

MARKETS = 75
TRADES = 10
LOGGED_SECONDS = 3600

_SYMBOLS = {"BTC": ("KXBTCD", 97_250.0, 250), "ETH": ("KXETHD", 3_500.0, 20)}
_TICK = "SELECT * FROM upc.tick(%s, 'bench', holder => 'bench')"


def markets(plan: Plan) -> Iterator[Row]:
    """A round of both symbols, with the price and the quotes that come in before it."""
    dice = random.Random(1)
    with connect(plan.dsn) as conn:
        for symbol in _SYMBOLS:
            log_prices(conn, symbol, _SYMBOLS[symbol][1])

        def log(_: int) -> None:
            for symbol, (_series, price, step) in _SYMBOLS.items():
                now = round(price + step * dice.uniform(-1, 1), 2)
                conn.execute(
                    "SELECT upc.record_price(%s, 'bench', %s)", [symbol, now], prepare=True
                )

        def quotes(_: int) -> None:
            for symbol in _SYMBOLS:
                document = json.dumps(_event(symbol, dice))
                conn.execute("SELECT upc.load_market(%s::jsonb)", [document], prepare=True)

        quotes(0)
        for symbol in _SYMBOLS:
            _open_trades(conn, symbol)

        def tick(_: int) -> None:
            for symbol in _SYMBOLS:
                conn.execute(_TICK, [symbol], prepare=True).fetchall()

        times = interleaved({"price": log, "quotes": quotes, "tick": tick}, plan.rounds(500, 30))
        conn.execute("SELECT upc.release_lease(s.symbol, 'bench') FROM upc_data.symbol AS s")
    found = {name: milliseconds(own) for name, own in times.items()}
    for name, words in (
        ("tick", f"a round of ticks, two symbols with {MARKETS} markets each"),
        ("quotes", f"the quotes of both, {MARKETS} markets each, stored"),
    ):
        yield Row(
            f"market_{name}",
            words,
            found[name]["p50"],
            "ms",
            "its second",
            1000.0,
            f"p50; p99 {found[name]['p99']:.2f}; an hour of prices in the log; committed to disk",
            found[name],
        )


def log_prices(conn: Connection, symbol: str, price: float) -> None:
    """An hour of prices, one a second."""
    conn.execute(
        """
        INSERT INTO upc_data.price (symbol, exchange, received_at, price, exchange_at)
        SELECT %(symbol)s, 'bench', g.at, %(price)s::float8 * (1 + random() / 1000), g.at
        FROM generate_series(
            clock_timestamp() - make_interval(secs => %(seconds)s), clock_timestamp(),
            interval '1 second'
        ) AS g (at)
        """,
        {"symbol": symbol, "price": price, "seconds": LOGGED_SECONDS},
    )


def _open_trades(conn: Connection, symbol: str) -> None:
    conn.execute(
        """
        SELECT upc.open_trade(
            q.ticker, CASE WHEN mod(q.place, 2) = 0 THEN 'yes' ELSE 'no' END, 0.5, 10
        )
        FROM (
            SELECT m.ticker, row_number() OVER (ORDER BY abs(m.lower - %(price)s)) AS place
            FROM upc_data.market_quote AS m
            WHERE m.symbol = %(symbol)s
        ) AS q
        WHERE q.place <= %(count)s
        """,
        {"symbol": symbol, "price": _SYMBOLS[symbol][1], "count": TRADES},
    )


def _event(symbol: str, dice: random.Random) -> dict[str, object]:
    series, price, step = _SYMBOLS[symbol]
    closes_at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    lowest = round(price / step) * step - step * (MARKETS // 2)
    return {
        "event": {"event_ticker": f"{series}-BENCH", "series_ticker": series, "title": symbol},
        "markets": [
            {
                "ticker": f"{series}-BENCH-T{lowest + step * k - 0.01:.2f}",
                "status": "active",
                "strike_type": "greater",
                "floor_strike": lowest + step * k - 0.01,
                "close_time": closes_at.isoformat(),
                "yes_ask_dollars": f"{dice.randint(1, 99) / 100:.4f}",
                "no_ask_dollars": f"{dice.randint(1, 99) / 100:.4f}",
                "volume_fp": "1500.00",
                "rules_primary": "x" * 500,
            }
            for k in range(MARKETS)
        ],
    }
