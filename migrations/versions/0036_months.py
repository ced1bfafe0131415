"""Months of standardised moves: how far the model drifts from one to the next."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

COUNTS = """
    month date NOT NULL,
    minutes smallint NOT NULL,
    pairs integer NOT NULL,
    positive integer[] NOT NULL,
    negative integer[] NOT NULL,
"""
COMMENTS = """
COMMENT ON COLUMN upc_data.{table}.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.{table}.month IS 'first UTC day of the month of the starting minutes';
COMMENT ON COLUMN upc_data.{table}.minutes IS 'minutes from the earlier to the later close';
COMMENT ON COLUMN upc_data.{table}.pairs IS 'number of pairs of closes';
COMMENT ON COLUMN upc_data.{table}.positive IS
    'element k: pairs with a move of at least the k-th threshold of standardised moves';
COMMENT ON COLUMN upc_data.{table}.negative IS
    'element k: pairs with a move of at most minus the k-th threshold';
"""

TABLES = f"""
CREATE TABLE upc_data.volatility_month (
    symbol text COLLATE "C" NOT NULL,
    generation integer NOT NULL,
    {COUNTS}
    CONSTRAINT volatility_month_pkey PRIMARY KEY (symbol, generation, month, minutes)
);
COMMENT ON TABLE upc_data.volatility_month IS
    'standardised moves of each month, whatever the momentum, counted beside volatility_histogram';
COMMENT ON COLUMN upc_data.volatility_month.generation IS
    'generation of the fit that they were counted by';
{COMMENTS.format(table="volatility_month")}
CREATE TABLE upc_data.volatility_drift (
    symbol text COLLATE "C" NOT NULL,
    minutes smallint NOT NULL,
    months double precision NOT NULL,
    positive double precision[],
    negative double precision[],
    CONSTRAINT volatility_drift_pkey PRIMARY KEY (symbol, minutes)
);
COMMENT ON TABLE upc_data.volatility_drift IS
    'how far standardised moves of the next month may be from those counted; refreshed with curves';
COMMENT ON COLUMN upc_data.volatility_drift.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.volatility_drift.minutes IS 'minutes from now to the later close';
COMMENT ON COLUMN upc_data.volatility_drift.months IS
    'number of months behind the row, as how many of equal weight they count';
COMMENT ON COLUMN upc_data.volatility_drift.positive IS
    'element k: what drift adds to the spread of the interval of volatility_curve.positive, '
    'z squared divided by a number of starting minutes; NULL where there is but one month';
COMMENT ON COLUMN upc_data.volatility_drift.negative IS
    'of volatility_curve.negative, like positive';
CREATE TABLE upc_data.backtest_month (
    symbol text COLLATE "C" NOT NULL,
    backtest_id bigint NOT NULL,
    {COUNTS}
    CONSTRAINT backtest_month_pkey PRIMARY KEY (symbol, backtest_id, month, minutes),
    CONSTRAINT backtest_month_symbol_backtest_id_fkey
        FOREIGN KEY (symbol, backtest_id)
        REFERENCES upc_data.backtest (symbol, backtest_id) ON DELETE CASCADE
);
COMMENT ON TABLE upc_data.backtest_month IS
    'standardised moves of each month that a backtest is trained on, whatever the momentum';
COMMENT ON COLUMN upc_data.backtest_month.backtest_id IS 'the backtest';
{COMMENTS.format(table="backtest_month")}
"""


def upgrade() -> None:
    run_sql(TABLES)


def downgrade() -> None:
    run_sql(
        """
        DROP TABLE upc_data.backtest_month;
        DROP TABLE upc_data.volatility_drift;
        DROP TABLE upc_data.volatility_month;
        """
    )
