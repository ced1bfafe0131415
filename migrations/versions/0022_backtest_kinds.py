"""Backtests of ranges and of up or down."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

BACKTEST = """
ALTER TABLE upc_data.backtest
    ADD COLUMN kind text COLLATE "C" NOT NULL DEFAULT 'above',
    ADD CONSTRAINT backtest_kind_check CHECK (kind IN ('above', 'range', 'updown'));
COMMENT ON COLUMN upc_data.backtest.kind IS
    'what its contracts ask: above a strike, a range, or updown: not below the average of the '
    'minute before the quarter of an hour began';
"""


def upgrade() -> None:
    run_sql(BACKTEST)


def downgrade() -> None:
    run_sql(
        """
        DELETE FROM upc_data.backtest WHERE kind <> 'above';
        ALTER TABLE upc_data.backtest DROP COLUMN kind;
        """
    )
