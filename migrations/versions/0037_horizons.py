"""Horizons beyond an hour: what the volatility model says up to a day ahead."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

FIT = """
ALTER TABLE upc_data.volatility_fit DROP CONSTRAINT volatility_fit_coefficients_check;
ALTER TABLE upc_data.volatility_fit
    ADD CONSTRAINT volatility_fit_coefficients_check
        CHECK (cardinality(coefficients) IN (176, 213, 360, 374, 411));
COMMENT ON COLUMN upc_data.volatility_fit.coefficients IS
    'a constant and the coefficients of upc.volatility_features for 1, 2, 3, 5, 10, 15, 30 and 60 '
    'minutes, then, where one-second prices correct them, the number of their exchange in '
    'upc_data.second_source and six coefficients for 1, 2, 3, 5, 10 and 15 minutes, and last, '
    'where there are days enough, those for 75, 90, 120, 180, 240, 360, 480, 720 and 1440 minutes; '
    'of older fits, which have 360, six for each of 1 to 60 minutes';
ALTER TABLE upc_data.volatility_state DROP CONSTRAINT volatility_state_variances_check;
ALTER TABLE upc_data.volatility_state
    ADD CONSTRAINT volatility_state_variances_check CHECK (cardinality(variances) IN (60, 69));
COMMENT ON COLUMN upc_data.volatility_state.variances IS
    'element t: variance of the move of the next t minutes, the move as a share of the price; then '
    'those of 75, 90, 120, 180, 240, 360, 480, 720 and 1440 minutes, where they are fitted';
"""

TABLES = """
CREATE TABLE upc_data.horizon_day (
    symbol text COLLATE "C" NOT NULL,
    generation integer NOT NULL,
    day date NOT NULL,
    counters numeric[] NOT NULL,
    CONSTRAINT horizon_day_symbol_generation_day_pkey PRIMARY KEY (symbol, generation, day),
    CONSTRAINT horizon_day_counters_check CHECK (cardinality(counters) = 9)
);
COMMENT ON TABLE upc_data.horizon_day IS
    'counts of standardised moves beyond an hour, day by day; adding them up makes the curves';
COMMENT ON COLUMN upc_data.horizon_day.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.horizon_day.generation IS
    'the fit that they stand on, as in upc_data.volatility_fit';
COMMENT ON COLUMN upc_data.horizon_day.day IS
    'UTC day of the starting minutes, one every quarter of an hour';
COMMENT ON COLUMN upc_data.horizon_day.counters IS
    'for 75, 90, 120, 180, 240, 360, 480, 720 and 1440 minutes 121 counters, eight decimal digits '
    'each: number 60 of all pairs, 61 + k of those at or above the k-th threshold from 0, 59 - k '
    'of those at or below minus that';
CREATE TABLE upc_data.horizon_curve (
    symbol text COLLATE "C" NOT NULL,
    minutes smallint NOT NULL,
    sample_size bigint NOT NULL,
    positive double precision[] NOT NULL,
    negative double precision[] NOT NULL,
    effective_size double precision NOT NULL,
    weighted_size double precision NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    CONSTRAINT horizon_curve_symbol_minutes_pkey PRIMARY KEY (symbol, minutes)
);
COMMENT ON TABLE upc_data.horizon_curve IS
    'curves of standardised moves beyond an hour, as the last refresh made them';
COMMENT ON COLUMN upc_data.horizon_curve.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.horizon_curve.minutes IS 'minutes from now to the later close';
COMMENT ON COLUMN upc_data.horizon_curve.sample_size IS
    'starting minutes behind the row, unweighted';
COMMENT ON COLUMN upc_data.horizon_curve.positive IS
    'element k: probability in percent of a move of at least the k-th of '
    'upc.volatility_thresholds() standard deviations';
COMMENT ON COLUMN upc_data.horizon_curve.negative IS
    'element k: probability in percent of a move of at most minus the k-th threshold';
COMMENT ON COLUMN upc_data.horizon_curve.effective_size IS
    'starting minutes behind a probability of 1/2, were they independent';
COMMENT ON COLUMN upc_data.horizon_curve.weighted_size IS
    'starting minutes behind the row, were the years of equal weight';
COMMENT ON COLUMN upc_data.horizon_curve.fingerprint IS 'name of the fingerprint';
"""

# Fits go on with what they have up to an hour, and the next build makes them anew.
BEFORE = """
DROP TABLE upc_data.horizon_curve;
DROP TABLE upc_data.horizon_day;
UPDATE upc_data.volatility_fit AS f
SET
    counted_by = repeat('0', 64),
    coefficients = CASE WHEN cardinality(f.coefficients) IN (374, 411)
        THEN f.coefficients[:cardinality(f.coefficients) - 198] ELSE f.coefficients END,
    used_coefficients = CASE WHEN cardinality(f.used_coefficients) IN (374, 411)
        THEN f.used_coefficients[:cardinality(f.used_coefficients) - 198]
        ELSE f.used_coefficients END
WHERE cardinality(f.coefficients) IN (374, 411) OR cardinality(f.used_coefficients) IN (374, 411);
UPDATE upc_data.volatility_state SET variances = variances[1:60];
ALTER TABLE upc_data.volatility_state DROP CONSTRAINT volatility_state_variances_check;
ALTER TABLE upc_data.volatility_state
    ADD CONSTRAINT volatility_state_variances_check CHECK (cardinality(variances) = 60);
ALTER TABLE upc_data.volatility_fit DROP CONSTRAINT volatility_fit_coefficients_check;
ALTER TABLE upc_data.volatility_fit
    ADD CONSTRAINT volatility_fit_coefficients_check
        CHECK (cardinality(coefficients) IN (176, 213, 360));
COMMENT ON COLUMN upc_data.volatility_fit.coefficients IS
    'a constant and the coefficients of upc.volatility_features for 1, 2, 3, 5, 10, 15, 30 and 60 '
    'minutes, then, where one-second prices correct them, the number of their exchange in '
    'upc_data.second_source and six coefficients for 1, 2, 3, 5, 10 and 15 minutes; of older fits, '
    'which have 360, six for each of 1 to 60 minutes';
COMMENT ON COLUMN upc_data.volatility_state.variances IS
    'element t: variance of the move of the next t minutes, the move as a share of the price';
"""


def upgrade() -> None:
    run_sql(FIT)
    run_sql(TABLES)


def downgrade() -> None:
    run_sql(BEFORE)
