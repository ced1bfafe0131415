"""Upgrades to and downgrades from the revision of the exchange's status, with rows in tables."""

from __future__ import annotations

from psycopg.types.json import Jsonb

from pyupc.database.migrate import downgrade, upgrade
from tests.support.engine import open_db, scalar
from tests.support.trading import NOW, event_document, load_event, open_trade

OLD = "0026"
PAUSED = {"exchange_active": True, "trading_active": False}
RULES = "The closing price decides."


def test_what_is_stored_stays(fresh_db: str) -> None:
    """Announcements of pauses are all that a downgrade drops, and conditions that wait for news."""
    with open_db(fresh_db) as conn:
        load_event(conn, rules_primary=RULES, status="hibernating")
        open_trade(conn)
        conn.execute("SELECT upc.load_exchange_status(%s, %s)", (Jsonb(PAUSED), NOW))
        conn.execute("SELECT upc._note_pause('BTC', %s)", (NOW,))
        conn.execute("SELECT upc._announce('BTC', 'halted', 'price', 'm', '{}', %s)", (NOW,))
        assert scalar(conn, "SELECT count(*) FROM upc_data.condition") == 1
    downgrade(fresh_db, OLD, keep_data=True)
    with open_db(fresh_db) as conn:
        assert scalar(conn, "SELECT count(*) FROM upc_data.condition") == 0
        assert conn.execute("SELECT kind FROM upc_data.announcement").fetchall() == [("halted",)]
        assert (
            scalar(conn, "SELECT settlement FROM upc_data.series WHERE series = 'KXBTCD'")
            == "close"
        )
    upgrade(fresh_db)
    with open_db(fresh_db) as conn:
        query = "SELECT settlement, is_paused FROM upc.current_event('BTC', %s)"
        assert conn.execute(query, (NOW,)).fetchall() == [("close", False)]
        assert scalar(conn, "SELECT bool_or(has_rules) FROM upc_data.market_event") is False
        assert scalar(conn, "SELECT count(*) FROM upc_data.trade") == 1
        conn.execute(
            "SELECT upc.load_market(%s, read_at => %s)",
            (Jsonb(event_document(rules_primary=RULES)), NOW),
        )
        assert scalar(conn, "SELECT bool_and(has_rules) FROM upc_data.market_event") is True
        conn.execute("SELECT upc.load_exchange_status(%s, %s)", (Jsonb(PAUSED), NOW))
        conn.execute("SELECT upc._note_pause('BTC', %s)", (NOW,))
        assert scalar(conn, "SELECT count(*) FROM upc_data.announcement") == 2
