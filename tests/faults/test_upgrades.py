"""Rights that are revoked and schemas that change under a running `pyupc tick`."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg import sql

from pyupc.database.connect import connect
from pyupc.database.migrate import upgrade
from tests.support.cluster import Server
from tests.support.market import rows
from tests.support.processes import until
from tests.support.running_tick import running_tick

pytestmark = pytest.mark.slow

ROLE = "ticker"

GRANTS = """
    CREATE ROLE ticker LOGIN PASSWORD {password};
    GRANT upc_operator TO ticker;
"""


def run(server: Server, statement: str) -> None:
    with connect(server.dsn()) as conn:
        conn.execute(statement.encode())


def test_a_right_that_is_revoked(server: Server, tmp_path: Path) -> None:
    with connect(server.dsn()) as conn:
        conn.execute(sql.SQL(GRANTS).format(password=sql.Literal(server.template.password)))
    with running_tick(server, tmp_path, dsn=server.dsn(user=ROLE)) as running:
        run(server, "REVOKE INSERT ON upc_data.tick FROM upc_operator")
        shown = running.shows("42501", "permission")
        assert shown.exit_code == 1
        run(server, "GRANT INSERT ON upc_data.tick TO upc_operator")
        running.heals()


def outdate(server: Server, revision: str) -> None:
    """Mark the functions as built from another text, for tables of that revision."""
    for schema in ("upc", "analytics"):
        run(server, f"COMMENT ON SCHEMA {schema} IS 'Other [pyupc {revision} {'0' * 64}]'")


def test_functions_that_are_built_again(server: Server, tmp_path: Path) -> None:
    function = "SELECT 'upc.tick'::regproc::oid"
    with running_tick(server, tmp_path) as running:
        before = rows(server.dsn(), function)
        outdate(server, "0001")
        upgrade(server.dsn())
        assert rows(server.dsn(), function) != before
        running.heals()
        until(lambda: any("rebuilt" in text for text in running.tick.problems), 20)
        # Beside that it has waited for the upgrade, at most.
        assert len(running.tick.problems) <= 2


def test_a_newer_revision_ends_it(server: Server, tmp_path: Path) -> None:
    with running_tick(server, tmp_path) as running:
        # State left by a newer pyupc: other tables, and functions for them.
        outdate(server, "0001")
        upgrade(server.dsn())
        outdate(server, "9999")
        run(server, "UPDATE upc_data.alembic_version SET version_num = '9999'")
        assert running.tick.ended(20) == 4
        problems = [
            text
            for text in running.tick.problems
            if not text.startswith("hint: ") and "rebuilt" not in text
        ]
        assert len(problems) == 1
        assert "9999" in problems[0]
