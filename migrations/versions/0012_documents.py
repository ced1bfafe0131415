"""What documents need to grow old by themselves."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("")


def downgrade() -> None:
    run_sql("")
