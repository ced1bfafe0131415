"""The length of leases: rounds of many symbols take longer than an interval and a little."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

TICK_LEASE = """
ALTER TABLE upc_data.tick_lease ADD COLUMN lease interval;
COMMENT ON COLUMN upc_data.tick_lease.lease IS
    'how long the right lasts without a tick; NULL for one taken before this was noted';
"""


def upgrade() -> None:
    run_sql(TICK_LEASE)


def downgrade() -> None:
    run_sql("ALTER TABLE upc_data.tick_lease DROP COLUMN lease;")
