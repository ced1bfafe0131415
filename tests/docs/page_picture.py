"""The picture of the page: `PYUPC_DSN=… python -m tests.docs.page_picture` makes it anew.

The database is a scratch copy of what `pyupc demo` has made: it gets prices, an event and a trade.
Prices are the simulation's; asks lie around what the tick answers, a little nearer to even.
"""

from __future__ import annotations

import json
import math
import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import psycopg
from PIL import Image

from pyupc.database.connect import connect
from tests.docs.pictures import IMAGES
from tests.support.market import going, pyupc, read, until
from tests.support.price_feed import CANDLES, RECORD, event, next_close
from tests.web.browser import browsing, visiting
from tests.web.serving import serving

SYMBOL, EXCHANGE = "BTC", "simulated"
SIZE = {"width": 1360, "height": 900}

# Of the odds that the tick gives, an ask has as much; a market that knew as much had all.
KNOWN = 0.82


def quotes(folder: Path, around: float, at: datetime) -> dict[str, Any]:
    """The event with a bid and an ask a cent or two around the tick's probability."""
    document = event(SYMBOL, next_close(at, 0), around)
    document["event"]["title"] = "Bitcoin price (simulated)"
    try:
        table = read(folder, SYMBOL, "strike_table")
    except FileNotFoundError:
        return document
    above = {row["strike"]: row["prob_above"] for row in table["strikes"]}
    dice = random.Random(4)
    for place, market in enumerate(document["markets"]):
        bias = dice.choice((-1.5, -1, 0, 0, 1, 1.5))
        probability = above.get(round(market["floor_strike"] + 0.01))
        if probability is None:
            continue
        share = min(max(probability, 0.7), 99.3) / 100
        yes = 100 / (1 + ((1 - share) / share) ** KNOWN) + bias
        bid, ask = max(math.floor(yes - 1), 0) / 100, min(math.ceil(yes + 1), 100) / 100
        market.update(
            yes_bid_dollars=f"{bid:.4f}",
            yes_ask_dollars=f"{ask:.4f}",
            no_bid_dollars=f"{1 - ask:.4f}",
            no_ask_dollars=f"{1 - bid:.4f}",
            volume_fp=f"{round(120 + 9000 * math.exp(-(((place - 10) / 4) ** 2)))}.00",
        )
    return document


@contextmanager
def fed(dsn: str, folder: Path) -> Iterator[None]:
    """Prices and quotes while it lasts."""
    ended = threading.Event()

    def feed() -> None:
        with psycopg.connect(dsn, autocommit=True) as conn:
            query = "SELECT upc.simulated_price(%s, %s::timestamptz)"
            [(around,)] = conn.execute(query, (SYMBOL, datetime.now(UTC))).fetchall()
            minute = None
            while not ended.wait(0.2):
                at = datetime.now(UTC)
                values = {"symbol": SYMBOL, "exchange": EXCHANGE, "at": at}
                conn.execute(RECORD, values)
                if minute != at.minute:
                    conn.execute(CANDLES, values)
                    minute = at.minute
                conn.execute(
                    "SELECT upc.load_market(document => %s::jsonb, symbol => %s, read_at => %s)",
                    (json.dumps(quotes(folder, around, at)), SYMBOL, at),
                )

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def buy(dsn: str, folder: Path) -> None:
    """Ten contracts of the best edge on yes."""
    rows = read(folder, SYMBOL, "strike_table")["strikes"]
    best = max(rows, key=lambda row: row["yes_edge"] or -math.inf)
    price = f"{best['yes_ask'] / 100:.2f}"
    bought = ("--ticker", best["ticker"], "--side", "yes", "--price", price, "--count", "10")
    assert pyupc(dsn, "trades", "open", *bought).returncode == 0


def taken(dsn: str, folder: Path) -> bytes:
    with (
        fed(dsn, folder),
        going(dsn, "tick", "--feed", "database", "--symbol", SYMBOL, "--out", folder),
        serving(dsn) as served,
        browsing() as browser,
        visiting(browser, served.address, viewport=SIZE) as visit,
    ):
        until(lambda: visit.freshness() == "fresh")
        # Asks follow the tick, and edges the asks.
        time.sleep(5)
        buy(dsn, folder)
        time.sleep(5)
        return bytes(visit.page.screenshot())


def main() -> None:
    dsn = os.environ["PYUPC_DSN"]
    with connect(dsn) as conn:
        conn.execute("SELECT upc.require_symbol(%s)", (SYMBOL,))
    with tempfile.TemporaryDirectory() as folder:
        picture = Image.open(BytesIO(taken(dsn, Path(folder)))).convert("RGB")
    # A palette is a third of the bytes; this one keeps the few greens.
    small = picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(IMAGES / "page.png", optimize=True)


if __name__ == "__main__":
    main()
