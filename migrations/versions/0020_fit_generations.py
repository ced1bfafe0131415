"""Generations of counts of standardised moves: a fit answers until the next one is counted."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

FIT = """
ALTER TABLE upc_data.volatility_fit
    ADD COLUMN generation integer NOT NULL DEFAULT 1,
    ADD COLUMN used_generation integer;
ALTER TABLE upc_data.volatility_fit ALTER COLUMN generation DROP DEFAULT;
UPDATE upc_data.volatility_fit SET used_generation = generation WHERE completed_at IS NOT NULL;
COMMENT ON COLUMN upc_data.volatility_fit.generation IS
    'number of the counts that stand on factors and coefficients';
COMMENT ON COLUMN upc_data.volatility_fit.used_generation IS
    'number of the counts that answer, which stand on used_factors and used_coefficients; NULL '
    'until all is counted for the first time. While it is another one than generation, that one is '
    'being counted';
COMMENT ON COLUMN upc_data.volatility_fit.completed_at IS
    'when the counts that answer were whole; NULL until all is counted for the first time';
"""

TABLES = """
ALTER TABLE upc_data.volatility_day ADD COLUMN generation integer NOT NULL DEFAULT 1;
ALTER TABLE upc_data.volatility_day
    ALTER COLUMN generation DROP DEFAULT,
    DROP CONSTRAINT volatility_day_symbol_day_pkey,
    ADD CONSTRAINT volatility_day_symbol_generation_day_pkey
        PRIMARY KEY (symbol, generation, day);
COMMENT ON COLUMN upc_data.volatility_day.generation IS
    'number of the counts, as in upc_data.volatility_fit';
ALTER TABLE upc_data.volatility_histogram ADD COLUMN generation integer NOT NULL DEFAULT 1;
ALTER TABLE upc_data.volatility_histogram
    ALTER COLUMN generation DROP DEFAULT,
    DROP CONSTRAINT volatility_histogram_symbol_year_bucket_minutes_pkey,
    ADD CONSTRAINT volatility_histogram_symbol_generation_year_bucket_minutes_pkey
        PRIMARY KEY (symbol, generation, year, bucket, minutes);
COMMENT ON COLUMN upc_data.volatility_histogram.generation IS
    'number of the counts, as in upc_data.volatility_fit';
"""

# The counts that answer stay; those of a fit that is not whole yet are made again.
ONE_GENERATION = """
DELETE FROM upc_data.volatility_day AS d
USING upc_data.volatility_fit AS f
WHERE f.symbol = d.symbol AND d.generation <> coalesce(f.used_generation, f.generation);
DELETE FROM upc_data.volatility_histogram AS h
USING upc_data.volatility_fit AS f
WHERE f.symbol = h.symbol AND h.generation <> coalesce(f.used_generation, f.generation);
UPDATE upc_data.volatility_fit
SET factors = used_factors, coefficients = used_coefficients, fitted_until = '-infinity'
WHERE used_generation <> generation;
ALTER TABLE upc_data.volatility_histogram
    DROP CONSTRAINT volatility_histogram_symbol_generation_year_bucket_minutes_pkey,
    DROP COLUMN generation,
    ADD CONSTRAINT volatility_histogram_symbol_year_bucket_minutes_pkey
        PRIMARY KEY (symbol, year, bucket, minutes);
ALTER TABLE upc_data.volatility_day
    DROP CONSTRAINT volatility_day_symbol_generation_day_pkey,
    DROP COLUMN generation,
    ADD CONSTRAINT volatility_day_symbol_day_pkey PRIMARY KEY (symbol, day);
ALTER TABLE upc_data.volatility_fit DROP COLUMN used_generation, DROP COLUMN generation;
COMMENT ON COLUMN upc_data.volatility_fit.completed_at IS
    'when the last piece of the last build was committed; NULL while pieces are missing';
"""


def upgrade() -> None:
    run_sql(FIT)
    run_sql(TABLES)


def downgrade() -> None:
    run_sql(ONE_GENERATION)
