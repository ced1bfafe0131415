"""Backtests that ask more than an hour before the close."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(
        """
        ALTER TABLE upc_data.backtest DROP CONSTRAINT backtest_minutes_check;
        ALTER TABLE upc_data.backtest ADD CONSTRAINT backtest_minutes_check CHECK (
            cardinality(minutes) > 0 AND 1 <= ALL (minutes) AND 1440 >= ALL (minutes)
        );
        """
    )


# What was tested stays; it cannot go on.
def downgrade() -> None:
    run_sql(
        """
        ALTER TABLE upc_data.backtest DROP CONSTRAINT backtest_minutes_check;
        ALTER TABLE upc_data.backtest ADD CONSTRAINT backtest_minutes_check CHECK (
            cardinality(minutes) > 0 AND 1 <= ALL (minutes) AND 60 >= ALL (minutes)
        ) NOT VALID;
        """
    )
