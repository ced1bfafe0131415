"""Settings that live in a table, with who set them and when."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("")


def downgrade() -> None:
    run_sql("")
