"""The formulas and constants that counts were made by."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("")


def downgrade() -> None:
    run_sql("")
