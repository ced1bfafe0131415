"""Upgrades to and downgrades from the revision that has one-second prices in the forecast."""

from __future__ import annotations

import numpy as np

from pyupc.database.migrate import downgrade, upgrade
from tests.support.engine import build, instant, open_db, put, scalar
from tests.support.volatile_candles import EVERYTHING, everything, volatile_candles

HISTORY = volatile_candles(410, "2026-03-02T18:00", 3 * 1440)
AT = instant("2026-03-05T12:00")
BEFORE = "0034"

# As a fit has it that stands on seconds: e times the variance of each horizon, for an exchange.
SECONDS = """
INSERT INTO upc_data.second_source VALUES ('BTC', 1, 'x');
UPDATE upc_data.volatility_fit SET
    coefficients = coefficients || 1::float8 || array_fill(0.5::float8, '{36}'),
    used_coefficients = used_coefficients || 1::float8 || array_fill(0.5::float8, '{36}')
"""


def test_variances_that_were_noted_are_not_cut(empty_db: str) -> None:
    """Nothing is made up for them; downwards, nothing else is lost."""
    upgrade(empty_db, BEFORE)
    with open_db(empty_db) as conn:
        conn.execute(
            "INSERT INTO upc_data.minute_variance VALUES ('BTC', 'x', '2026-03-02Z', 1e-6, 60)"
        )
    rows = "SELECT m::text FROM upc_data.minute_variance AS m"
    upgrade(empty_db)
    with open_db(empty_db) as conn:
        assert scalar(conn, rows) == '(BTC,x,"2026-03-02 00:00:00+00",1e-06,60,)'
    downgrade(empty_db, BEFORE)
    with open_db(empty_db) as conn:
        assert scalar(conn, rows) == '(BTC,x,"2026-03-02 00:00:00+00",1e-06,60)'


def test_a_fit_on_seconds_goes_on_without_them(fresh_db: str) -> None:
    """Its days are counted again by what is left of it."""
    known = "SELECT upc._known_variances('BTC', %s)"
    with open_db(fresh_db) as conn:
        put(conn, "BTC", HISTORY)
        build(conn)
        wanted = everything(conn)
        variances = scalar(conn, known, AT)
        for statement in SECONDS.split(";"):
            conn.execute(statement.encode())
        # Half of what was known of a day was forecast otherwise.
        conn.execute(
            "SELECT upc._replace_volatility_days('BTC', f.used_generation, f.used_factors, "
            "ARRAY(SELECT c + 0.1 FROM unnest(f.used_coefficients[1:176]) AS c), '{2026-03-04}') "
            "FROM upc_data.volatility_fit AS f"
        )
        assert everything(conn) != wanted
    downgrade(fresh_db, BEFORE)
    with open_db(fresh_db) as conn:
        fit = "SELECT cardinality(coefficients) + cardinality(used_coefficients) FROM {}"
        assert scalar(conn, fit.format("upc_data.volatility_fit")) == 2 * 176
    upgrade(fresh_db)
    with open_db(fresh_db) as conn:
        np.testing.assert_array_equal(scalar(conn, known, AT), variances[:60])
        build(conn)
        for query, found, expected in zip(EVERYTHING, everything(conn), wanted, strict=True):
            # Months go with a revision in between, until a build counts anew.
            assert found == expected or "month" in query or "drift" in query
