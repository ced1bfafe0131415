"""Fills of a trade: what was bought and sold, and the fee that was charged."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("")


def downgrade() -> None:
    run_sql("")
