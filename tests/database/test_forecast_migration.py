"""Upgrades to and downgrades from the revision in which a forecast became a standard deviation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyupc.database.migrate import downgrade, upgrade
from tests.support.engine import Connection, build, instant, open_db, put, scalar
from tests.support.volatile_candles import everything, volatile_candles

HISTORY = volatile_candles(120, "2026-03-02T18:00", 3 * 1440)
AT = instant("2026-03-05T12:00")

# As a fit of the version before has it: five ranges, six coefficients for each of 60 minutes.
OLD_FIT = """
UPDATE upc_data.volatility_fit
SET
    counted_by = repeat('0', 64),
    factors = array_fill(100::smallint, '{10080}'),
    used_factors = array_fill(100::smallint, '{10080}'),
    coefficients = %(coefficients)s,
    used_coefficients = %(coefficients)s;
UPDATE upc_data.volatility_day SET forecasts = NULL;
DELETE FROM upc_data.volatility_state
"""


def counted(conn: Connection) -> list[Any]:
    query = "SELECT generation, count(*) FROM upc_data.volatility_day GROUP BY 1"
    return conn.execute(query.encode()).fetchall()


def as_before(conn: Connection) -> list[float]:
    """The fit of an older version: the mean range of an hour is all that counts."""
    row = [-14.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    for statement in OLD_FIT.split(";"):
        conn.execute(statement.encode(), {"coefficients": row * 60})
    return row


def test_what_was_fitted_before_answers_until_all_is_counted_again(fresh_db: str) -> None:
    with open_db(fresh_db) as conn:
        put(conn, "BTC", HISTORY)
        build(conn)
        wanted = everything(conn)
        as_before(conn)
        # exp(-14 + 14 + 2 ln R) for each minute, R the mean range of the last hour.
        last = (AT - instant("2026-03-02T18:00")).total_seconds() / 60
        ranges = np.log(HISTORY.highs / HISTORY.lows)[int(last) - 60 : int(last)]
        expected = ranges.mean() ** 2 * np.arange(1, 61)
        known = "SELECT upc._known_variances('BTC', %s)"
        np.testing.assert_allclose(scalar(conn, known, AT), expected, rtol=1e-4)
        assert scalar(conn, "SELECT count(*) > 0 FROM upc.volatility_curve")
        # A new candle cannot be counted by the old fit, and is not forgotten either.
        put(conn, "BTC", volatile_candles(121, "2026-03-05T18:00", 30))
        assert scalar(conn, "SELECT upc.build_fingerprints('BTC', refits => false)") > 0
        np.testing.assert_allclose(scalar(conn, known, AT), expected, rtol=1e-4)
        assert scalar(conn, "SELECT upc.volatility_pending('BTC')") > 0
        build(conn)
        assert scalar(conn, "SELECT upc.volatility_pending('BTC')") == 0
        assert not np.allclose(scalar(conn, known, AT)[:60], expected, rtol=1e-4)
        found = everything(conn)
        assert found != wanted
        conn.execute("SELECT upc.reset_fingerprints('BTC')")
        build(conn)
        assert everything(conn) == found


@pytest.mark.parametrize("keep_data", [False, True])
def test_down_and_up_again(fresh_db: str, keep_data: bool) -> None:
    """Counts are derived from candles: they go, and a build makes them anew."""
    with open_db(fresh_db) as conn:
        put(conn, "BTC", HISTORY)
        build(conn)
        wanted = everything(conn)
    downgrade(fresh_db, "0031", keep_data=keep_data)
    with open_db(fresh_db) as conn:
        assert counted(conn) == []
    upgrade(fresh_db)
    with open_db(fresh_db) as conn:
        assert scalar(conn, "SELECT count(*) FROM upc_data.candle") == len(HISTORY.minutes)
        build(conn)
        assert everything(conn) == wanted
