"""The feed's writer, with a real PostgreSQL that it may lose."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest
from psycopg.conninfo import make_conninfo

pytest.importorskip("ccxt", reason="needs the extra feeds")

from pyupc.database.connect import connect
from pyupc.errors import DatabaseUnreachable, PyupcError, SchemaOutOfDate
from pyupc.exchange.answer import Candle
from pyupc.feed.run import Job, _Run
from pyupc.feed.store import Store
from pyupc.runtime.connection import ConnectionLost
from pyupc.runtime.outage import Outages
from tests.support.feed_parts import (
    NOON,
    PAIR,
    cut,
    minute_of,
    run,
    storing,
    until,
)
from tests.support.market import rows


def test_what_is_stored(fresh_db: str) -> None:
    at = NOON - timedelta(seconds=1)

    async def main() -> None:
        async with storing(fresh_db) as store:
            assert await store.symbols() == {
                "BTC": (PAIR, ("KXBTCD", "KXBTC", "KXBTC15M")),
                "ETH": ("ETH/USD", ("KXETHD", "KXETH", "KXETH15M")),
            }
            assert await store.price("BTC", 97_000.5, at, NOON)
            assert not await store.price("BTC", 1, at - timedelta(seconds=1), NOON)
            assert await store.last_candle("BTC") is None
            candles = [Candle(minute_of(NOON) + k, 2, 4, 1, 3, 0.5) for k in (0, 1)]
            assert await store.candles("BTC", candles) == 2
            assert await store.candles("BTC", candles) == 0
            assert await store.candles("BTC", []) == 0
            assert await store.last_candle("BTC") == NOON.replace(minute=1, second=0)
            document = (
                '{"event": {"event_ticker": "E", "series_ticker": "KXBTCD", "markets": ['
                '{"ticker": "T", "close_time": "2024-03-05T13:00:00Z", "strike_type": "greater",'
                ' "floor_strike": 96999.99, "yes_ask_dollars": "0.5600"}]}}'
            )
            assert await store.market("BTC", document, NOON)
            for wrong in (
                store.price("BTC", -1, None, NOON),
                store.candles("BTC", [Candle(5, 1, 1, 2, 1, 1)]),
                store.market("BTC", "{}", NOON),
            ):
                with pytest.raises(PyupcError):
                    await wrong
            assert await store.price("BTC", 97_001, None, NOON + timedelta(seconds=1))

    run(main())
    assert rows(fresh_db, "SELECT * FROM upc_data.price ORDER BY received_at") == [
        ("BTC", "coinbase", NOON, 97_000.5, at),
        ("BTC", "coinbase", NOON + timedelta(seconds=1), 97_001.0, None),
    ]


def test_a_lost_connection_is_made_again(fresh_db: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with storing(fresh_db) as store:
            cut(fresh_db)
            # A price that cannot be written now is dropped; a candle is not forgotten.
            assert not await store.price("BTC", 1, None, NOON)
            with pytest.raises(ConnectionLost):
                await store.candles("BTC", [Candle(5, 1, 1, 1, 1, 1)])
            await until(lambda: is_fed(fresh_db) and store._connection.is_up.is_set())
            assert await store.price("BTC", 2, None, NOON)

    run(main())
    assert len([r for r in caplog.records if r.message.startswith("database: ")]) == 2
    assert not is_fed(fresh_db)


def test_a_lock_is_waited_out(fresh_db: str, caplog: pytest.LogCaptureFixture) -> None:
    hasty = make_conninfo(fresh_db, options="-c lock_timeout=50ms")
    candles = [Candle(minute_of(NOON), 1, 1, 1, 1, 1)]

    async def main() -> None:
        async with storing(hasty) as store:
            with connect(fresh_db, autocommit=False) as conn:
                conn.execute("LOCK TABLE upc_data.price, upc_data.candle")
                for _ in range(3):
                    assert not await store.price("BTC", 1, None, NOON)
                with pytest.raises(ConnectionLost):
                    await store.candles("BTC", candles)
                # It is the same session, which goes on having the right to feed.
                assert is_fed(fresh_db)
                assert await store.unsettled("BTC", NOON) == []
            assert await store.price("BTC", 2, None, NOON)
            assert await store.candles("BTC", candles) == 1

    run(main())
    lines = [r for r in caplog.records if r.message.startswith("database: ")]
    assert [r.levelname for r in lines] == ["ERROR", "WARNING"]


def test_a_feed_that_begins_waits_out_a_lock(fresh_db: str) -> None:
    hasty = make_conninfo(fresh_db, options="-c lock_timeout=50ms")

    async def main() -> None:
        store = Store(hasty, "coinbase", Outages("pyupc.feed", time.monotonic))
        with connect(fresh_db, autocommit=False) as conn:
            conn.execute("LOCK TABLE upc_data.symbol")
            beginning = asyncio.create_task(_Run(Job(hasty, symbols=("ETH",)))._begin(store))
            seen: set[object] = set()
            query = (
                "SELECT query_start FROM pg_stat_activity WHERE application_name = 'pyupc feed'"
                " AND datname = current_database() AND wait_event_type = 'Lock'"
            )

            def has_tried_again() -> bool:
                seen.update(rows(fresh_db, query))
                return len(seen) > 1

            await until(has_tried_again)
            assert not beginning.done()
        begun = await beginning
        assert begun is not None
        assert begun[1] == ["ETH"]
        await store.close()

    run(main())


def is_fed(dsn: str) -> bool:
    return bool(rows(dsn, "SELECT upc.is_fed('BTC', 'coinbase')")[0][0])


def test_a_second_feed_is_refused(fresh_db: str) -> None:
    async def main() -> None:
        async with storing(fresh_db):
            with pytest.raises(PyupcError):
                async with storing(fresh_db):
                    pytest.fail("it may not begin")

    run(main())


def test_a_database_of_another_schema_ends_it(fresh_db: str, empty_db: str) -> None:
    async def main() -> None:
        async with storing(fresh_db) as store:
            with connect(fresh_db) as conn:
                conn.execute("UPDATE upc_data.alembic_version SET version_num = '0001'")
            cut(fresh_db)
            assert not await store.price("BTC", 1, None, NOON)
            with pytest.raises(SchemaOutOfDate):
                await asyncio.wait_for(store.keep(), 10)

    run(main())
    for dsn, error in ((empty_db, SchemaOutOfDate), ("host=/nowhere", DatabaseUnreachable)):
        with pytest.raises(error):
            run(Store(dsn, "coinbase", Outages("pyupc.feed", time.monotonic)).open())


def test_a_server_that_hangs_is_given_up(fresh_db: str) -> None:
    async def main() -> None:
        report = Outages("pyupc.feed", time.monotonic)
        store = Store(fresh_db, "coinbase", report, limit=0.2)
        await store.open()
        with connect(fresh_db, autocommit=False) as conn:
            conn.execute("LOCK TABLE upc_data.price")
            began = time.monotonic()
            assert not await store.price("BTC", 1, None, NOON)
            assert time.monotonic() - began < 2
        assert await store.price("BTC", 1, None, NOON)
        # Without the server's own limit, as if it did not answer at all.
        await store._ask("SELECT set_config('statement_timeout', '0', false)")
        store._connection._inner.patience = 0.2
        with pytest.raises(ConnectionLost):
            await store._ask("SELECT pg_sleep(20)")
        await store.close()

    run(main())
