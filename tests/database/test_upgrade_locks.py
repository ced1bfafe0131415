"""Upgrades beside transactions that hold tables which a migration alters."""

from __future__ import annotations

from threading import Thread

import psycopg
import pytest

from pyupc.database.migrate import upgrade
from tests.database.test_symbol_views import make_older
from tests.support.engine import open_db, scalar
from tests.support.waiting import until

WAITED_FOR = """
SELECT EXISTS (
    SELECT FROM pg_locks AS l
    WHERE NOT l.granted AND l.relation = to_regclass(%s)
      AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
)
"""


@pytest.mark.parametrize("table", ["upc_data.tick", "upc_data.price", "upc_data.symbol"])
def test_who_has_read_a_table_reads_the_views_while_an_upgrade_waits(
    fresh_db: str, table: str
) -> None:
    """As a tick does. If the upgrade held the views, each would wait for the other."""
    make_older(fresh_db)
    with open_db(fresh_db) as watch, psycopg.connect(fresh_db) as reader:
        reader.execute("SET statement_timeout = '1s'")
        reader.execute(f"SELECT count(*) FROM {table}".encode())
        upgrading = Thread(target=upgrade, args=(fresh_db,))
        upgrading.start()
        try:
            for _ in range(3):
                until(lambda: scalar(watch, WAITED_FOR, table))
                reader.execute("SELECT count(*) FROM upc.fingerprint_curve")
                # The attempt that was seen is over: it had 0.1 s.
                until(lambda: not scalar(watch, WAITED_FOR, table))
        finally:
            reader.rollback()
            upgrading.join()
        assert scalar(watch, "SELECT count(*) FROM upc.fingerprint_curve") == 0
