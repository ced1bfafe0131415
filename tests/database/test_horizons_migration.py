"""Upgrades to and downgrades from the revisions that brought times beyond an hour."""

from __future__ import annotations

import pytest

from pyupc.database.migrate import downgrade, upgrade
from tests.support.engine import build, open_db, put, scalar
from tests.support.volatile_candles import everything, volatile_candles

HISTORY = volatile_candles(310, "2026-03-02T18:00", 3 * 1440)
BEFORE = "0036"


@pytest.mark.parametrize("keep_data", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_down_and_up_again(fresh_db: str, keep_data: bool) -> None:
    """Up to an hour the same answers; beyond it all is made anew."""
    known = "SELECT variances FROM upc_data.volatility_state"
    curve = "SELECT array_agg(c.positive ORDER BY c.minutes) FROM upc.volatility_curve AS c"
    with open_db(fresh_db) as conn:
        put(conn, "BTC", HISTORY)
        build(conn)
        wanted = everything(conn)
        variances, curves = scalar(conn, known), scalar(conn, curve)
        assert len(variances) == 69
    downgrade(fresh_db, BEFORE, keep_data=keep_data)
    with open_db(fresh_db) as conn:
        assert scalar(conn, known) == variances[:60]
        assert scalar(conn, "SELECT cardinality(coefficients) FROM upc_data.volatility_fit") == 176
    upgrade(fresh_db)
    with open_db(fresh_db) as conn:
        assert scalar(conn, curve) == curves
        answer = (
            "SELECT used_model FROM upc.probability_between(40000, 40100, NULL, "
            "ttc_seconds => 7200, model => 'volatility')"
        )
        assert scalar(conn, answer) == "volatility_60m"
        build(conn)
        assert everything(conn) == wanted
        assert scalar(conn, answer) == "volatility"
