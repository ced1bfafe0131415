"""Days of standardised moves keep their forecasts, instead of the ranges behind them."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

# Days that were counted before have no forecasts: the next build forgets them, since their formulas
# are others, and counts all again, in pieces.
FORECASTS = """
ALTER TABLE upc_data.volatility_fit DROP CONSTRAINT volatility_fit_coefficients_check;
ALTER TABLE upc_data.volatility_fit
    ADD CONSTRAINT volatility_fit_coefficients_check
        CHECK (cardinality(coefficients) IN (176, 360));
COMMENT ON COLUMN upc_data.volatility_fit.coefficients IS
    'a constant and the coefficients of upc.volatility_features for 1, 2, 3, 5, 10, 15, 30 and 60 '
    'minutes; of older fits, which have 360, six for each of 1 to 60 minutes';

ALTER TABLE upc_data.volatility_day
    DROP COLUMN ranges,
    ADD COLUMN forecasts smallint[],
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    ADD CONSTRAINT volatility_day_forecasts_check CHECK (cardinality(forecasts) = 5760);
ALTER TABLE upc_data.volatility_day
    ALTER COLUMN version DROP DEFAULT,
    ALTER COLUMN forecasts SET STORAGE EXTERNAL;
COMMENT ON TABLE upc_data.volatility_day IS
    'what a day''s standardised moves were counted from, so that the counts can be taken back '
    'exactly';
COMMENT ON COLUMN upc_data.volatility_day.forecasts IS
    'of every other starting minute, from the first on, the forecast for 1, 2, 3, 5, 10, 15, 30 '
    'and 60 minutes: thousandths of the logarithm of the variance, in that of average minutes; '
    '-32768 where nothing can be forecast; NULL where older formulas have counted';
COMMENT ON COLUMN upc_data.volatility_day.version IS
    'rises each time that the day is counted anew for the fit in use; the same for another fit '
    'that is counted beside it';
COMMENT ON CONSTRAINT volatility_day_forecasts_check ON upc_data.volatility_day IS
    'eight forecasts for each of 720 minutes';
"""

# All is fitted and counted again by the formulas before.
RANGES = """
INSERT INTO upc_data.volatility_change (symbol, day)
SELECT DISTINCT d.symbol, d.day FROM upc_data.volatility_day AS d;
DELETE FROM upc_data.volatility_histogram;
DELETE FROM upc_data.volatility_day;
DELETE FROM upc_data.volatility_fit;
DELETE FROM upc_data.volatility_state;
DELETE FROM upc_data.volatility_curve;
ALTER TABLE upc_data.volatility_fit DROP CONSTRAINT volatility_fit_coefficients_check;
ALTER TABLE upc_data.volatility_fit
    ADD CONSTRAINT volatility_fit_coefficients_check CHECK (cardinality(coefficients) = 360);
ALTER TABLE upc_data.volatility_day
    DROP COLUMN forecasts,
    DROP COLUMN version,
    ADD COLUMN ranges integer[] NOT NULL,
    ADD CONSTRAINT volatility_day_ranges_check CHECK (cardinality(ranges) = 2880);
ALTER TABLE upc_data.volatility_day ALTER COLUMN ranges SET STORAGE EXTERNAL;
COMMENT ON COLUMN upc_data.volatility_fit.coefficients IS
    'six coefficients for each of 1 to 60 minutes, of the constant and the five features';
COMMENT ON TABLE upc_data.volatility_day IS
    'the candles that a day''s standardised moves were counted from, so that the counts can be '
    'taken back exactly';
COMMENT ON COLUMN upc_data.volatility_day.ranges IS
    'ln(high / low) in units of 1e-8 from a day before the day to its end, -1 where there is no '
    'candle';
"""


def upgrade() -> None:
    run_sql(FORECASTS)


def downgrade() -> None:
    run_sql(RANGES)
