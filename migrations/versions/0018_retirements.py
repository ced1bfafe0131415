"""Transactions that a retirement has to wait for."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

READERS = """
ALTER TABLE upc_data.retirement ADD COLUMN readers text[];
COMMENT ON COLUMN upc_data.retirement.readers IS
    'transactions that may have seen the symbol, as pg_locks names them: they may write until they '
    'end; NULL before they are looked for';
"""


def upgrade() -> None:
    run_sql(READERS)


def downgrade() -> None:
    run_sql("ALTER TABLE upc_data.retirement DROP COLUMN readers;")
