"""Upgrades to and downgrades from the revision of the log of contracts."""

from __future__ import annotations

import pytest

from pyupc.database.migrate import downgrade, upgrade
from pyupc.errors import PyupcError
from tests.support.engine import open_db, scalar
from tests.support.trading import EVENT, FINE, NOW, load_event, prepare, put_price, seconds, tick

OLD = "0030"


@pytest.fixture
def logged(fresh_db: str) -> str:
    with open_db(fresh_db) as conn:
        prepare(conn)
        load_event(conn, status="active")
        put_price(conn, FINE)
        tick(conn)
        query = "SELECT array_agg(event_ticker) FROM upc_data.contract_log"
        assert scalar(conn, query) == [EVENT]
    return fresh_db


def test_a_downgrade_that_drops_the_log_is_refused_on_request(logged: str) -> None:
    with pytest.raises(PyupcError):
        downgrade(logged, OLD, keep_data=True)
    with open_db(logged) as conn:
        assert scalar(conn, "SELECT count(*) FROM upc_data.contract_log") == 1


def test_down_and_up(logged: str) -> None:
    """The ticks go on with their counts, and the log begins anew."""
    downgrade(logged, OLD)
    upgrade(logged)
    with open_db(logged) as conn:
        assert scalar(conn, "SELECT done FROM upc_data.tick_count") == 1
        assert scalar(conn, "SELECT count(*) FROM upc_data.contract_log") == 0
        put_price(conn, FINE + 1, NOW + seconds(1))
        tick(conn, NOW + seconds(1))
        assert scalar(conn, "SELECT done FROM upc_data.tick_count") == 2
        assert scalar(conn, "SELECT count(*) FROM upc_data.contract_log") == 1


def test_an_empty_log_is_no_data(fresh_db: str) -> None:
    downgrade(fresh_db, OLD, keep_data=True)
    upgrade(fresh_db)


def test_intervals_are_what_a_log_of_before_does_not_have(logged: str) -> None:
    downgrade(logged, "0040")
    upgrade(logged)
    with open_db(logged) as conn:
        query = "SELECT probability > 0, prob_low FROM upc.logged_contracts('BTC', %s, %s) LIMIT 1"
        assert conn.execute(query, (NOW, NOW + seconds(1))).fetchall() == [(True, None)]
