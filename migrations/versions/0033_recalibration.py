"""Recalibration: what the model said, beside what came, and the correction that follows from it."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

BACKTEST = """
ALTER TABLE upc_data.backtest ADD COLUMN is_recalibrated boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN upc_data.backtest.is_recalibrated IS
    'true where answers of the volatility model are corrected by those before them';
"""

CURVES = """
ALTER TABLE upc_data.volatility_curve
    ADD COLUMN recalibrated_positive double precision[],
    ADD COLUMN recalibrated_negative double precision[];
COMMENT ON COLUMN upc_data.volatility_curve.recalibrated_positive IS
    'positive, corrected by what came of earlier answers; NULL where there is no correction';
COMMENT ON COLUMN upc_data.volatility_curve.recalibrated_negative IS
    'negative, corrected like positive';
"""

# The same columns for answers of a backtest and of the live model.
COUNTED = """
    questions integer[] NOT NULL,
    outcomes integer[] NOT NULL,
    log_odds double precision[] NOT NULL,
"""
FITTED = """
    lifts double precision[] NOT NULL,
    stretches double precision[] NOT NULL,
    bends double precision[] NOT NULL,
"""
COUNTED_COMMENTS = """
COMMENT ON COLUMN upc_data.{table}.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.{table}.week IS
    'the UTC Monday that the week begins on in which the contracts closed';
COMMENT ON COLUMN upc_data.{table}.minutes IS 'minutes to the close when was asked';
COMMENT ON COLUMN upc_data.{table}.questions IS
    'number of answers by tenths of log-odds, from 0.2 to 99.8 percent';
COMMENT ON COLUMN upc_data.{table}.outcomes IS 'how many of them came true';
COMMENT ON COLUMN upc_data.{table}.log_odds IS 'sum of their log-odds';
"""
FITTED_COMMENTS = """
COMMENT ON COLUMN upc_data.{table}.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.{table}.week IS
    'the UTC Monday from which on it answers: it is fitted on the 26 weeks before';
COMMENT ON COLUMN upc_data.{table}.lifts IS
    'what is added to log-odds, at 3, 12 and 45 minutes to the close';
COMMENT ON COLUMN upc_data.{table}.stretches IS 'what they are multiplied by, like lifts';
COMMENT ON COLUMN upc_data.{table}.bends IS
    'what a twentieth of their cube is multiplied by, like lifts';
"""

TABLES = f"""
CREATE TABLE upc_data.backtest_answer (
    symbol text COLLATE "C" NOT NULL,
    backtest_id bigint NOT NULL,
    week date NOT NULL,
    minutes smallint NOT NULL,
    {COUNTED}
    CONSTRAINT backtest_answer_pkey PRIMARY KEY (symbol, backtest_id, week, minutes),
    CONSTRAINT backtest_answer_symbol_backtest_id_fkey
        FOREIGN KEY (symbol, backtest_id)
        REFERENCES upc_data.backtest (symbol, backtest_id) ON DELETE CASCADE
);
COMMENT ON TABLE upc_data.backtest_answer IS
    'answers of a backtest''s volatility model before they are corrected, counted by log-odds';
COMMENT ON COLUMN upc_data.backtest_answer.backtest_id IS 'the backtest';
{COUNTED_COMMENTS.format(table="backtest_answer")}
CREATE TABLE upc_data.backtest_recalibration (
    symbol text COLLATE "C" NOT NULL,
    backtest_id bigint NOT NULL,
    week date NOT NULL,
    {FITTED}
    CONSTRAINT backtest_recalibration_pkey PRIMARY KEY (symbol, backtest_id, week),
    CONSTRAINT backtest_recalibration_symbol_backtest_id_fkey
        FOREIGN KEY (symbol, backtest_id)
        REFERENCES upc_data.backtest (symbol, backtest_id) ON DELETE CASCADE
);
COMMENT ON TABLE upc_data.backtest_recalibration IS
    'corrections of a backtest''s volatility model, week by week';
COMMENT ON COLUMN upc_data.backtest_recalibration.backtest_id IS 'the backtest';
{FITTED_COMMENTS.format(table="backtest_recalibration")}
CREATE TABLE upc_data.live_answer (
    symbol text COLLATE "C" NOT NULL,
    week date NOT NULL,
    minutes smallint NOT NULL,
    generation integer NOT NULL,
    versions numeric NOT NULL,
    {COUNTED}
    CONSTRAINT live_answer_pkey PRIMARY KEY (symbol, week, minutes)
);
COMMENT ON TABLE upc_data.live_answer IS
    'what the volatility model would have said by the years before, counted by log-odds';
COMMENT ON COLUMN upc_data.live_answer.generation IS 'the fit whose forecasts it was asked by';
COMMENT ON COLUMN upc_data.live_answer.versions IS
    'sum of the versions of the counted days that it stands on: another one where one is counted '
    'again';
{COUNTED_COMMENTS.format(table="live_answer")}
CREATE TABLE upc_data.recalibration (
    symbol text COLLATE "C" NOT NULL,
    week date NOT NULL,
    {FITTED}
    weeks integer NOT NULL,
    answers bigint NOT NULL,
    CONSTRAINT recalibration_pkey PRIMARY KEY (symbol, week)
);
COMMENT ON TABLE upc_data.recalibration IS
    'corrections of the volatility model, week by week; the last one by an instant answers';
{FITTED_COMMENTS.format(table="recalibration")}
COMMENT ON COLUMN upc_data.recalibration.weeks IS 'weeks of answers that it is fitted on';
COMMENT ON COLUMN upc_data.recalibration.answers IS 'number of answers that it is fitted on';
"""


def upgrade() -> None:
    run_sql(BACKTEST)
    run_sql(CURVES)
    run_sql(TABLES)


def downgrade() -> None:
    run_sql(
        """
        DROP TABLE upc_data.recalibration;
        DROP TABLE upc_data.live_answer;
        DROP TABLE upc_data.backtest_recalibration;
        DROP TABLE upc_data.backtest_answer;
        ALTER TABLE upc_data.volatility_curve
            DROP COLUMN recalibrated_positive,
            DROP COLUMN recalibrated_negative;
        ALTER TABLE upc_data.backtest DROP COLUMN is_recalibrated;
        """
    )
