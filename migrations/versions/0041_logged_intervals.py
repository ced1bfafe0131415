"""Intervals in the log of contracts, for the picture of how a chance came about."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(
        """
        ALTER TABLE upc_data.contract_log
            ADD COLUMN prob_lows double precision[],
            ADD COLUMN prob_highs double precision[];
        COMMENT ON COLUMN upc_data.contract_log.prob_lows IS
            'low ends of the intervals of the probabilities, percent; NULL in rows of before';
        COMMENT ON COLUMN upc_data.contract_log.prob_highs IS
            'high ends, like prob_lows';
        COMMENT ON COLUMN upc_data.contract_log_default.prob_lows IS
            'low ends of the intervals of the probabilities, percent; NULL in rows of before';
        COMMENT ON COLUMN upc_data.contract_log_default.prob_highs IS
            'high ends, like prob_lows';
        """
    )


def downgrade() -> None:
    run_sql("ALTER TABLE upc_data.contract_log DROP COLUMN prob_lows, DROP COLUMN prob_highs;")
