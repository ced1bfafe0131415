"""One-second prices in the forecast: variances with jumps cut, and the exchange they are of."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

VARIANCES = """
ALTER TABLE upc_data.minute_variance
    ADD COLUMN robust_variance double precision,
    ADD CONSTRAINT minute_variance_robust_variance_check
        CHECK (robust_variance >= 0 AND robust_variance < 'Infinity');
COMMENT ON COLUMN upc_data.minute_variance.robust_variance IS
    'like variance, but no square counts for more than 25 times the mean square of the minute and '
    'the 14 before; NULL where it was not noted';
COMMENT ON CONSTRAINT minute_variance_robust_variance_check ON upc_data.minute_variance IS
    'a sum of squares';
"""

# For most of the minutes that are noted the prices are gone: nothing is made up for them.
SOURCES = """
CREATE TABLE upc_data.second_source (
    symbol text COLLATE "C" NOT NULL,
    number integer NOT NULL,
    exchange text COLLATE "C" NOT NULL,
    CONSTRAINT second_source_pkey PRIMARY KEY (symbol, number),
    CONSTRAINT second_source_symbol_exchange_key UNIQUE (symbol, exchange)
);
COMMENT ON TABLE upc_data.second_source IS
    'exchanges whose one-second prices a forecast has been fitted on';
COMMENT ON COLUMN upc_data.second_source.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.second_source.number IS
    'number of the exchange in the coefficients of a fit, from 1';
COMMENT ON COLUMN upc_data.second_source.exchange IS 'ccxt id of the exchange';
COMMENT ON CONSTRAINT second_source_pkey ON upc_data.second_source IS
    'the exchange of a fit';
COMMENT ON CONSTRAINT second_source_symbol_exchange_key ON upc_data.second_source IS
    'an exchange has one number';

ALTER TABLE upc_data.volatility_fit DROP CONSTRAINT volatility_fit_coefficients_check;
ALTER TABLE upc_data.volatility_fit
    ADD CONSTRAINT volatility_fit_coefficients_check
        CHECK (cardinality(coefficients) IN (176, 213, 360));
COMMENT ON COLUMN upc_data.volatility_fit.coefficients IS
    'a constant and the coefficients of upc.volatility_features for 1, 2, 3, 5, 10, 15, 30 and 60 '
    'minutes, then, where one-second prices correct them, the number of their exchange in '
    'upc_data.second_source and six coefficients for 1, 2, 3, 5, 10 and 15 minutes; of older fits, '
    'which have 360, six for each of 1 to 60 minutes';
"""


def upgrade() -> None:
    run_sql(VARIANCES)
    run_sql(SOURCES)


# The days are counted again by what is left of the fit.
def downgrade() -> None:
    run_sql(
        """
        INSERT INTO upc_data.volatility_change (symbol, day)
        SELECT DISTINCT d.symbol, d.day
        FROM upc_data.volatility_day AS d
        JOIN upc_data.volatility_fit AS f USING (symbol)
        WHERE 213 IN (cardinality(f.coefficients), cardinality(f.used_coefficients))
        ON CONFLICT DO NOTHING;
        DELETE FROM upc_data.volatility_state;
        UPDATE upc_data.volatility_fit
        SET coefficients = coefficients[1:176]
        WHERE cardinality(coefficients) = 213;
        UPDATE upc_data.volatility_fit
        SET used_coefficients = used_coefficients[1:176]
        WHERE cardinality(used_coefficients) = 213;
        ALTER TABLE upc_data.volatility_fit DROP CONSTRAINT volatility_fit_coefficients_check;
        ALTER TABLE upc_data.volatility_fit
            ADD CONSTRAINT volatility_fit_coefficients_check
                CHECK (cardinality(coefficients) IN (176, 360));
        COMMENT ON COLUMN upc_data.volatility_fit.coefficients IS
            'a constant and the coefficients of upc.volatility_features for 1, 2, 3, 5, 10, 15, 30 '
            'and 60 minutes; of older fits, which have 360, six for each of 1 to 60 minutes';
        DROP TABLE upc_data.second_source;
        ALTER TABLE upc_data.minute_variance DROP COLUMN robust_variance;
        """
    )
