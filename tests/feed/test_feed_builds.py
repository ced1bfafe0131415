"""Fingerprints that count the feed's candles, once an hour."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from datetime import datetime

import pytest

pytest.importorskip("ccxt", reason="needs the extra feeds")

from pyupc.database.connect import connect
from pyupc.errors import PyupcError
from pyupc.feed.builds import build_once, next_build
from pyupc.runtime.outage import Outages
from tests.support.candle_changes import write_candles
from tests.support.feed_parts import (
    run,
)
from tests.support.market import fill, rows


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("12:00:00", "12:01"),
        ("12:00:59.999999", "12:01"),
        ("12:01:00", "13:01"),
        ("12:59:00", "13:01"),
    ],
)
def test_a_build_a_minute_after_each_hour(now: str, expected: str) -> None:
    day = "2026-03-05T"
    found = next_build(datetime.fromisoformat(f"{day}{now}+00:00"))
    assert found == datetime.fromisoformat(f"{day}{expected}+00:00")


def test_a_build_counts_what_is_new(fresh_db: str, caplog: pytest.LogCaptureFixture) -> None:
    fill(fresh_db, ("BTC",))
    with connect(fresh_db) as conn:
        write_candles(
            conn,
            "INSERT INTO upc_data.candle SELECT * FROM upc.simulated_candles("
            "'BTC', '2026-03-06 00:00+00', '2026-03-06 03:00+00')",
        )
    pending = "SELECT sum(days_pending), sum(days_counted) FROM upc.fingerprint_state"
    [(before, counted)] = rows(fresh_db, pending)
    assert before > 0

    async def main() -> list[str]:
        report = Outages("pyupc.feed", time.monotonic)
        await build_once(fresh_db, ["BTC"], report, asyncio.Event())
        assert rows(fresh_db, pending) == [(0, counted + 1)]
        # Another session is building: logged, and no reason to end.
        with connect(fresh_db) as conn:
            conn.execute("SELECT pg_advisory_lock(upc.build_lock_key('BTC'))")
            write_candles(
                conn, "DELETE FROM upc_data.candle WHERE opened_at > '2026-03-06 01:00+00'"
            )
            await build_once(fresh_db, ["BTC"], report, asyncio.Event())
        assert list(report.failing()) == ["fingerprints"]
        await build_once(fresh_db, ["BTC"], report, asyncio.Event())
        return list(report.failing())

    with caplog.at_level(logging.INFO, "pyupc.feed"):
        assert run(main()) == []


def test_a_build_ends_when_the_feed_does(fresh_db: str) -> None:
    with connect(fresh_db) as conn:
        write_candles(
            conn,
            "INSERT INTO upc_data.candle SELECT * FROM upc.simulated_candles("
            "'BTC', '2024-01-01 00:00+00', '2024-02-01 00:00+00')",
        )

    async def main() -> dict[str, str]:
        report = Outages("pyupc.feed", time.monotonic)
        stop = asyncio.Event()
        stop.set()
        await build_once(fresh_db, ["BTC"], report, stop)
        return report.failing()

    with suppress(PyupcError):
        assert run(main()) == {}
