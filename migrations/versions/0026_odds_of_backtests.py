"""Scores of backtests by tenths of the log-odds."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

DIMENSIONS = """
ALTER TABLE upc_data.backtest_score
    DROP CONSTRAINT backtest_score_dimension_check,
    ADD CONSTRAINT backtest_score_dimension_check
        CHECK (dimension IN ('all', 'minutes', 'distance', 'hour', 'regime'{more}));
"""


def upgrade() -> None:
    run_sql(DIMENSIONS.format(more=", 'odds'"))
    run_sql(
        """
        COMMENT ON COLUMN upc_data.backtest_score.dimension IS
            'what the questions are divided by: all (not at all), minutes to the close, distance '
            'of the strike, hour of the day (UTC) of the close, regime of volatility, odds: of the '
            'probability, those from 0.2 to 99.8 percent';
        COMMENT ON COLUMN upc_data.backtest_score.part IS
            'of the dimension: 0 for all; minutes; distance from the price in steps of strikes, '
            'rounded; hour 0 to 23; regime 1 (calm) to 4; tenth 0 to 9 of the log-odds';
        """
    )


def downgrade() -> None:
    run_sql(
        """
        DELETE FROM upc_data.backtest_score WHERE dimension = 'odds';
        COMMENT ON COLUMN upc_data.backtest_score.dimension IS
            'what the questions are divided by: all (not at all), minutes to the close, distance '
            'of the strike, hour of the day (UTC) of the close, regime of volatility';
        COMMENT ON COLUMN upc_data.backtest_score.part IS
            'of the dimension: 0 for all; minutes; distance from the price in steps of strikes, '
            'rounded; hour 0 to 23; regime 1 (calm) to 4';
        """
    )
    run_sql(DIMENSIONS.format(more=""))
