"""The picture of the page: `PYUPC_DSN=… python -m tests.docs.page_picture` makes it anew.

The database is a scratch copy of what `pyupc demo` has made: it gets prices, an event and a trade.
Prices are the simulation's; asks lie around what the tick answers.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import psycopg
from PIL import Image

from pyupc.database.connect import connect
from tests.docs.page_market import events, quoted
from tests.docs.pictures import IMAGES
from tests.support.market import going, pyupc, read, until
from tests.support.price_feed import CANDLES, RECORD
from tests.web.browser import browsing, visiting
from tests.web.serving import serving

SYMBOL, EXCHANGE = "BTC", "simulated"
LOAD = "SELECT upc.load_market(document => %s::jsonb, symbol => %s, read_at => %s)"
SIZE = {"width": 1360, "height": 900}


@contextmanager
def fed(dsn: str, folder: Path) -> Iterator[None]:
    """Prices and quotes while it lasts."""
    ended = threading.Event()

    def feed() -> None:
        with psycopg.connect(dsn, autocommit=True) as conn:
            query = "SELECT upc.simulated_price(%s, %s::timestamptz)"
            [(around,)] = conn.execute(query, (SYMBOL, datetime.now(UTC))).fetchall()
            began, minute = datetime.now(UTC), None
            while not ended.wait(0.2):
                at = datetime.now(UTC)
                values = {"symbol": SYMBOL, "exchange": EXCHANGE, "at": at}
                conn.execute(RECORD, values)
                if minute != at.minute:
                    conn.execute(CANDLES, values)
                    minute = at.minute
                for event in events(around, began):
                    document = json.dumps(quoted(event, folder))
                    conn.execute(LOAD, (document, SYMBOL, at))

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
