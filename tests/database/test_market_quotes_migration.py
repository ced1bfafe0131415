"""Upgrades to and downgrades from the revision of recorded quotes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pyupc.database.migrate import downgrade, upgrade
from pyupc.errors import PyupcError
from tests.support.backtesting import questions, store
from tests.support.engine import open_db, scalar

OLD = "0029"
TABLES = ("observed_event", "market_observation", "market_answer", "backtest_profit")
SAMPLE = questions(1, 3, models=("gaussian",), hours=2)


def test_backtests_of_before_stay(fresh_db: str) -> None:
    downgrade(fresh_db, OLD)
    with open_db(fresh_db) as conn:
        backtest_id = store(conn, SAMPLE)
        scores = conn.execute("SELECT s::text FROM upc_data.backtest_score AS s ORDER BY 1")
        before = scores.fetchall()
    upgrade(fresh_db)
    with open_db(fresh_db) as conn:
        scores = conn.execute("SELECT s::text FROM upc_data.backtest_score AS s ORDER BY 1")
        assert scores.fetchall() == before
        query = "SELECT kind FROM upc.backtest_list WHERE backtest_id = %s AND prices IS NULL"
        assert scalar(conn, query, backtest_id) == "above"


def test_a_downgrade_keeps_other_backtests(fresh_db: str) -> None:
    """Data that is lost is named before; then it is gone, and the rest is there."""
    with open_db(fresh_db) as conn:
        store(conn, SAMPLE)
        conn.execute("SELECT upc.begin_market_backtest('BTC')")
        closes_at = datetime(2026, 5, 1, 1, tzinfo=UTC)
        conn.execute(
            "INSERT INTO upc_data.market_observation (symbol, closes_at, event_ticker, ticker,"
            " observed_at, lower, outcome) VALUES ('BTC', %s, 'E', 'T', %s, 1, true)",
            [closes_at, datetime(2026, 5, 1, tzinfo=UTC)],
        )
    with pytest.raises(PyupcError):
        downgrade(fresh_db, OLD, keep_data=True)
    downgrade(fresh_db, OLD)
    with open_db(fresh_db) as conn:
        assert scalar(conn, "SELECT array_agg(kind) FROM upc_data.backtest") == ["above"]
        for table in TABLES:
            assert scalar(conn, "SELECT to_regclass(%s)", f"upc_data.{table}") is None
    upgrade(fresh_db)
    with open_db(fresh_db) as conn:
        assert scalar(conn, "SELECT count(*) FROM upc_data.market_observation") == 0
