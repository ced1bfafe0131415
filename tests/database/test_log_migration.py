"""Logs of before there were partitions: nothing of them is lost, upwards and downwards."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pyupc.database import logs
from pyupc.database.connect import connect
from pyupc.database.migrate import downgrade, upgrade
from pyupc.errors import PyupcError
from tests.support.running_log import BEFORE, fill_logs, summaries

DAY = timedelta(days=1)


def run(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with connect(dsn) as conn:
        cursor = conn.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def partitions(dsn: str, log: str) -> dict[str, int]:
    """Rows by partition."""
    rows = run(
        dsn, f"SELECT tableoid::regclass::text, count(*) FROM upc_data.{log} GROUP BY tableoid"
    )
    return {name.removeprefix("upc_data."): count for name, count in rows}


def work(dsn: str) -> None:
    """Retention until nothing is left to do."""
    for _ in range(200):
        [row] = run(dsn, "SELECT * FROM upc.delete_expired(2000)")
        if not any(row):
            return
    raise AssertionError("there is always something left")


@pytest.fixture
def filled(empty_db: str) -> str:
    """A month of prices and three days of ticks, of a moment ago and back."""
    upgrade(empty_db, BEFORE)
    with connect(empty_db) as conn:
        fill_logs(conn, prices=3000, ticks=500)
    return empty_db


def test_nothing_is_lost(filled: str) -> None:
    before = summaries(filled)
    upgrade(filled)
    assert summaries(filled) == before
    assert partitions(filled, "price") == {"price_default": 6000}
    run(filled, "SELECT upc.make_partitions()")
    assert summaries(filled) == before
    downgrade(filled, BEFORE, keep_data=True)
    assert summaries(filled) == before
    upgrade(filled)
    assert summaries(filled) == before


def test_what_has_been_thinned_comes_back_too(filled: str) -> None:
    upgrade(filled)
    run(filled, "SELECT upc.make_partitions()")
    work(filled)
    ticks = "SELECT symbol, tick_id, ticked_at, strikes, prob_above FROM {} ORDER BY 1, 2"
    minutes = run(filled, "SELECT count(*) FROM upc_data.tick_minute")[0][0]
    assert minutes > 0
    kept = run(filled, ticks.format("analytics.logged_tick"))
    prices = summaries(filled)["price"]
    # Variances are not to be had in the older one.
    with pytest.raises(PyupcError, match="minute_variance"):
        downgrade(filled, BEFORE, keep_data=True)
    assert run(filled, ticks.format("analytics.logged_tick")) == kept
    downgrade(filled, BEFORE)
    assert run(filled, ticks.format("upc_data.tick")) == kept
    assert summaries(filled)["price"] == prices


def test_bids_are_not_dropped_silently(filled: str) -> None:
    upgrade(filled)
    downgrade(filled, BEFORE, keep_data=True)
    upgrade(filled)
    run(filled, "UPDATE upc_data.tick SET yes_bid = '{0.5}' WHERE tick_id = 7")
    with pytest.raises(PyupcError, match=r"upc_data\.tick"):
        downgrade(filled, BEFORE, keep_data=True)


def test_a_large_log_is_set_aside(filled: str) -> None:
    """By the upgrade itself, with the key made beforehand; it is thinned out bit by bit."""
    with connect(filled) as conn:
        fill_logs(conn, prices=100_000, ticks=12_000, ahead=DAY / 2)
    before = summaries(filled)
    upgrade(filled)
    assert summaries(filled) == before
    [price] = [name for name in partitions(filled, "price") if name.startswith("price_to_")]
    [tick] = [name for name in partitions(filled, "tick") if name.startswith("tick_to_")]
    assert partitions(filled, "price") == {price: 206_000}
    assert partitions(filled, "tick") == {tick: 25_000}
    checks = "SELECT count(*) FROM pg_constraint WHERE conname ~ 'to_[0-9]{8}_check'"
    assert run(filled, checks) == [(0,)]
    expected = run(
        filled,
        "SELECT count(DISTINCT (symbol, date_trunc('minute', ticked_at))) FROM upc_data.tick"
        " WHERE ticked_at < now() - interval '2 days 1 hour'",
    )[0][0]
    work(filled)
    got = run(
        filled,
        "SELECT count(*) FROM upc_data.tick_minute"
        " WHERE ticked_at < now() - interval '2 days 1 hour'",
    )[0][0]
    assert got == expected > 0
    assert run(filled, "SELECT count(*) FROM upc_data.tick_minute_default") == [(0,)]
    assert summaries(filled)["price"] == before["price"]


def test_the_key_is_made_beforehand_and_used(filled: str) -> None:
    with connect(filled) as conn:
        fill_logs(conn, prices=0, ticks=12_000, ahead=DAY / 2)
    logs.prepare_key(filled)
    index = "SELECT to_regclass('upc_data.{}')::oid"
    [(made,)] = run(filled, index.format("tick_symbol_tick_id_ticked_at_idx"))
    logs.prepare_key(filled)
    assert run(filled, index.format("tick_symbol_tick_id_ticked_at_idx")) == [(made,)]
    upgrade(filled)
    assert made in {
        oid
        for (oid,) in run(
            filled, "SELECT indexrelid FROM pg_index WHERE indisprimary AND indisvalid"
        )
    }


def test_a_session_that_would_be_waited_for(
    filled: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The upgrade makes the key itself."""
    monkeypatch.setattr(logs, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(logs, "SMALL_BYTES", 1000)
    with connect(filled, autocommit=False) as writer:
        writer.execute(
            "INSERT INTO upc_data.write_probe SELECT * FROM upc_data.write_probe LIMIT 0"
        )
        writer.execute("LOCK TABLE upc_data.tick IN ROW EXCLUSIVE MODE")
        logs.prepare_key(filled)
        assert "key" in caplog.text
        valid = (
            "SELECT count(*) FROM pg_index WHERE indisvalid"
            " AND indexrelid = to_regclass('upc_data.tick_symbol_tick_id_ticked_at_idx')"
        )
        assert run(filled, valid) == [(0,)]
        writer.rollback()
    before = summaries(filled)
    upgrade(filled)
    assert summaries(filled) == before


@pytest.mark.parametrize("log", ["price", "tick"])
def test_a_view_on_a_log_is_named(filled: str, log: str) -> None:
    """It would go on reading a part of it."""
    run(filled, f"CREATE VIEW public.mine AS SELECT symbol FROM upc_data.{log}")
    before = summaries(filled)
    with pytest.raises(PyupcError) as refusal:
        upgrade(filled)
    assert "mine" in refusal.value.message
    assert summaries(filled) == before
    run(filled, "DROP VIEW public.mine")
    upgrade(filled)
    assert summaries(filled) == before


def test_the_log_has_the_same_columns_as_that_of_minutes(fresh_db: str) -> None:
    columns = (
        "SELECT attname, atttypid FROM pg_attribute WHERE attrelid = 'upc_data.{}'::regclass"
        " AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    [first, *others] = run(fresh_db, columns.format("tick_minute"))
    assert first[0] == "minute_at"
    assert others == run(fresh_db, columns.format("tick"))


def test_no_id_of_a_symbol_twice_in_a_day(fresh_db: str) -> None:
    with connect(fresh_db) as conn:
        fill_logs(conn, prices=0, ticks=3)
        with pytest.raises(psycopg.errors.UniqueViolation):
            conn.execute("INSERT INTO upc_data.tick SELECT * FROM upc_data.tick LIMIT 1")
