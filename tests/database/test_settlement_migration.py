"""Upgrades to and downgrades from the revision of provisional settlements."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from pyupc.database.migrate import downgrade, upgrade
from pyupc.errors import PyupcError
from tests.support.engine import open_db, scalar
from tests.support.trading import CLOSE, YES, event_document, load_event, open_trade

OLD = "0022"


def settle(dsn: str, result: str, **fields: Any) -> None:
    document = event_document(result=result, **fields)
    with open_db(dsn) as conn:
        conn.execute("SELECT upc.load_market(%s, read_at => %s)", (Jsonb(document), CLOSE))
        conn.execute("SELECT upc._correct_trades('BTC', %s)", (CLOSE,))
        conn.execute("SELECT upc._settle_trades('BTC', %s)", (CLOSE,))


def test_what_is_settled_stays(fresh_db: str) -> None:
    with open_db(fresh_db) as conn:
        load_event(conn)
        open_trade(conn, YES)
    settle(fresh_db, "yes", status="finalized")
    downgrade(fresh_db, OLD, keep_data=True)
    upgrade(fresh_db)
    with open_db(fresh_db) as conn:
        found = conn.execute("SELECT status, result, is_provisional FROM upc_data.trade").fetchall()
        assert found == [("settled", "yes", False)]


def test_a_downgrade_that_drops_corrections_is_refused_on_request(fresh_db: str) -> None:
    with open_db(fresh_db) as conn:
        load_event(conn)
        open_trade(conn, YES)
    settle(fresh_db, "yes", status="determined")
    settle(fresh_db, "scalar", status="finalized", settlement_value_dollars="0.4210")
    with pytest.raises(PyupcError):
        downgrade(fresh_db, OLD, keep_data=True)
    downgrade(fresh_db, OLD)
    upgrade(fresh_db)
    with open_db(fresh_db) as conn:
        found = conn.execute("SELECT status, end_price::float8 FROM upc_data.trade").fetchall()
        assert found == [("closed", 0.421)]
        assert scalar(conn, "SELECT count(*) FROM upc_data.fill") == 2
