"""Tables of curves, kept per symbol, in place of materialized views of all symbols."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# Hash of the formulas that made the curves of the revision before: upc.curve_hash().
MADE_BY = "7198ec0fa7f640b523daede322f0bc458a30f2d5e3c9dde70e4c6aabf5454004"

FINGERPRINT_CURVE = """
CREATE TABLE IF NOT EXISTS upc_data.fingerprint_curve (
    symbol text COLLATE "C" NOT NULL,
    origin text COLLATE "C" NOT NULL,
    bucket smallint NOT NULL,
    minutes smallint NOT NULL,
    sample_size bigint,
    positive double precision[] NOT NULL,
    negative double precision[] NOT NULL,
    weighted_size double precision,
    effective_size double precision,
    shrinkage double precision,
    CONSTRAINT fingerprint_curve_symbol_origin_bucket_minutes_pkey
        PRIMARY KEY (symbol, origin, bucket, minutes),
    CONSTRAINT fingerprint_curve_origin_check CHECK (origin IN ('built', 'imported'))
) WITH (fillfactor = 50);
COMMENT ON TABLE upc_data.fingerprint_curve IS
    'the fingerprints as they answer: one row per symbol, origin, momentum bucket and distance in '
    'minutes. Read it through upc.fingerprint_curve';
COMMENT ON COLUMN upc_data.fingerprint_curve.symbol IS 'symbol; * is the pool of all symbols';
COMMENT ON COLUMN upc_data.fingerprint_curve.origin IS
    'where the numbers come from: built from candles, or imported';
COMMENT ON COLUMN upc_data.fingerprint_curve.bucket IS
    'momentum bucket, basis points; 99 is the baseline';
COMMENT ON COLUMN upc_data.fingerprint_curve.minutes IS 'minutes from now to the later close';
COMMENT ON COLUMN upc_data.fingerprint_curve.sample_size IS
    'starting minutes behind the row, unweighted; NULL where it is imported';
COMMENT ON COLUMN upc_data.fingerprint_curve.positive IS
    'element k: probability in percent of a move of at least the set''s k-th threshold';
COMMENT ON COLUMN upc_data.fingerprint_curve.negative IS
    'element k: probability in percent of a move of at most minus the set''s k-th threshold';
COMMENT ON COLUMN upc_data.fingerprint_curve.weighted_size IS
    'as how many starting minutes of equal weight these of unequal years count; NULL where it is '
    'imported';
COMMENT ON COLUMN upc_data.fingerprint_curve.effective_size IS
    'as how many independent starting minutes these count for a probability of 50 percent, since '
    'overlapping windows are not independent; NULL where it is imported';
COMMENT ON COLUMN upc_data.fingerprint_curve.shrinkage IS
    'the weight of the row beside the baseline, 0 (none) to 1; NULL where it is imported';
COMMENT ON CONSTRAINT fingerprint_curve_symbol_origin_bucket_minutes_pkey
    ON upc_data.fingerprint_curve IS 'the one probe of compute_strikes';
"""

VOLATILITY_CURVE = """
CREATE TABLE IF NOT EXISTS upc_data.volatility_curve (
    symbol text COLLATE "C" NOT NULL,
    bucket smallint NOT NULL,
    minutes smallint NOT NULL,
    sample_size bigint NOT NULL,
    positive double precision[] NOT NULL,
    negative double precision[] NOT NULL,
    effective_size double precision,
    weighted_size double precision,
    shrinkage double precision,
    fingerprint text NOT NULL,
    CONSTRAINT volatility_curve_symbol_bucket_minutes_pkey PRIMARY KEY (symbol, bucket, minutes)
) WITH (fillfactor = 50);
COMMENT ON TABLE upc_data.volatility_curve IS
    'the fingerprints of standardised moves as they answer: one row per symbol, momentum bucket '
    'and distance in minutes. Read it through upc.volatility_curve';
COMMENT ON COLUMN upc_data.volatility_curve.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.volatility_curve.bucket IS
    'momentum bucket, basis points; 99 is the baseline';
COMMENT ON COLUMN upc_data.volatility_curve.minutes IS 'minutes from now to the later close';
COMMENT ON COLUMN upc_data.volatility_curve.sample_size IS
    'starting minutes behind the row, every other one, unweighted';
COMMENT ON COLUMN upc_data.volatility_curve.positive IS
    'element k: probability in percent of a move of at least the k-th of '
    'upc.volatility_thresholds() standard deviations, shrunk towards the baseline''s';
COMMENT ON COLUMN upc_data.volatility_curve.negative IS
    'element k: probability in percent of a move of at most minus the k-th threshold, shrunk like '
    'positive';
COMMENT ON COLUMN upc_data.volatility_curve.effective_size IS
    'starting minutes behind a probability of 1/2, were they independent';
COMMENT ON COLUMN upc_data.volatility_curve.weighted_size IS
    'starting minutes behind the row, were the years of equal weight';
COMMENT ON COLUMN upc_data.volatility_curve.shrinkage IS
    'the share of the bucket''s own numbers, 0 to 1; the rest is the baseline''s';
COMMENT ON COLUMN upc_data.volatility_curve.fingerprint IS 'name';
COMMENT ON CONSTRAINT volatility_curve_symbol_bucket_minutes_pkey ON upc_data.volatility_curve IS
    'the probe of compute_strikes';
"""

# A row of 60 minutes and 60 thresholds just fits into what PostgreSQL keeps in one piece by
# default.
FINGERPRINT_GRID = """
CREATE TABLE IF NOT EXISTS upc_data.fingerprint_grid (
    symbol text COLLATE "C" NOT NULL,
    bucket smallint NOT NULL,
    strike_step double precision NOT NULL,
    curve_symbol text COLLATE "C" NOT NULL,
    curve_origin text COLLATE "C" NOT NULL,
    curve_bucket smallint NOT NULL,
    fingerprint text NOT NULL,
    minutes smallint[] NOT NULL,
    ttc_edges double precision[] NOT NULL,
    thresholds double precision[] NOT NULL,
    move_edges double precision[] NOT NULL,
    named_places smallint[] NOT NULL,
    CONSTRAINT fingerprint_grid_symbol_bucket_pkey PRIMARY KEY (symbol, bucket)
) WITH (toast_tuple_target = 8160);
COMMENT ON TABLE upc_data.fingerprint_grid IS
    'which fingerprint answers for a symbol and a momentum bucket, and the grid on which it is '
    'read; the first row at or above the bucket answers. Read it through upc.fingerprint_grid';
COMMENT ON COLUMN upc_data.fingerprint_grid.symbol IS 'symbol asked for';
COMMENT ON COLUMN upc_data.fingerprint_grid.bucket IS
    'the highest momentum bucket that the row answers for, basis points; 98 where there is no '
    'end, 99 asks for the baseline';
COMMENT ON COLUMN upc_data.fingerprint_grid.strike_step IS
    'the symbol''s distance between strikes, USD';
COMMENT ON COLUMN upc_data.fingerprint_grid.curve_symbol IS
    'symbol of the curve that answers; * is the pool';
COMMENT ON COLUMN upc_data.fingerprint_grid.curve_origin IS 'origin of the curve that answers';
COMMENT ON COLUMN upc_data.fingerprint_grid.curve_bucket IS 'bucket of the curve that answers';
COMMENT ON COLUMN upc_data.fingerprint_grid.fingerprint IS
    'name of the fingerprint that answers';
COMMENT ON COLUMN upc_data.fingerprint_grid.minutes IS
    'the curve''s distances in minutes, ascending';
COMMENT ON COLUMN upc_data.fingerprint_grid.ttc_edges IS
    'midpoints between neighbouring distances, seconds, each a hair up';
COMMENT ON COLUMN upc_data.fingerprint_grid.thresholds IS
    'the curve''s thresholds, percent, ascending';
COMMENT ON COLUMN upc_data.fingerprint_grid.move_edges IS
    'midpoints between neighbouring thresholds, percent, each a hair up';
COMMENT ON COLUMN upc_data.fingerprint_grid.named_places IS
    'element k: the place of 0.05 (k - 1) percent among the thresholds; NULL where the set lacks '
    'it';
COMMENT ON CONSTRAINT fingerprint_grid_symbol_bucket_pkey ON upc_data.fingerprint_grid IS
    'how compute_strikes finds the curve to read';
"""

CURVE_REFRESH = """
CREATE TABLE IF NOT EXISTS upc_data.curve_refresh (
    symbol text COLLATE "C" NOT NULL,
    made_by text,
    refreshed_at timestamptz,
    CONSTRAINT curve_refresh_symbol_pkey PRIMARY KEY (symbol)
) WITH (fillfactor = 50);
COMMENT ON TABLE upc_data.curve_refresh IS
    'the refreshes of the curves of each symbol, which lock its row';
COMMENT ON COLUMN upc_data.curve_refresh.symbol IS 'symbol; * is the pool of all symbols';
COMMENT ON COLUMN upc_data.curve_refresh.made_by IS
    'names the formulas that made the curves: upc.curve_hash() of then; NULL before the first '
    'refresh';
COMMENT ON COLUMN upc_data.curve_refresh.refreshed_at IS
    'when the last refresh ran; NULL before the first';
"""

# The rows that answer now, where they are those of the revision before: neither a long computation
# under locks, nor another answer. Every refresh of that revision takes the lock.
KEEP_ROWS = """
DO $do$
DECLARE
    v_name text;
    v_is_kept boolean;
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock(
        pg_catalog.hashtextextended('pyupc refresh of fingerprints', 0)
    );
    FOREACH v_name IN ARRAY '{fingerprint_curve, volatility_curve, fingerprint_grid}'::text[] LOOP
        SELECT
            pg_catalog.array_agg(a.attname::text || ' ' || a.atttypid ORDER BY a.attnum)
                = (
                    SELECT pg_catalog.array_agg(
                        t.attname::text || ' ' || t.atttypid ORDER BY t.attnum
                    )
                    FROM pg_catalog.pg_attribute AS t
                    WHERE t.attrelid = pg_catalog.format('upc_data.%I', v_name)::pg_catalog.regclass
                        AND t.attnum > 0
                )
        INTO v_is_kept
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
        WHERE c.oid = pg_catalog.to_regclass('upc.' || v_name)
            AND c.relkind = 'm'
            AND c.relispopulated;
        IF v_is_kept THEN
            EXECUTE pg_catalog.format(
                'INSERT INTO upc_data.%1$I SELECT * FROM upc.%1$I', v_name
            );
        END IF;
    END LOOP;
END;
$do$;
"""

REFRESHES = f"""
INSERT INTO upc_data.curve_refresh (symbol, made_by, refreshed_at)
SELECT c.symbol, '{MADE_BY}', pg_catalog.clock_timestamp()
FROM (
    SELECT g.symbol FROM upc_data.fingerprint_grid AS g
    UNION
    SELECT '*' WHERE EXISTS (SELECT FROM upc_data.fingerprint_curve AS f WHERE f.symbol = '*')
) AS c;
"""

GRID_OF_SYMBOL = """
DELETE FROM upc_data.fingerprint_grid AS g
WHERE NOT EXISTS (SELECT FROM upc_data.symbol AS s WHERE s.symbol = g.symbol);
ALTER TABLE upc_data.fingerprint_grid
    ADD CONSTRAINT fingerprint_grid_symbol_fkey
        FOREIGN KEY (symbol) REFERENCES upc_data.symbol (symbol) ON DELETE CASCADE;
COMMENT ON CONSTRAINT fingerprint_grid_symbol_fkey ON upc_data.fingerprint_grid IS
    'a symbol that is gone does not answer';
"""


HAS_VIEWS = """
ALTER TABLE upc_data.symbol ADD COLUMN has_views boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN upc_data.symbol.has_views IS
    'true where analytics has named views of the symbol''s fingerprints: create_named_views and '
    'drop_named_views';
-- All had them. Each view is work for every upgrade: few symbols keep theirs.
UPDATE upc_data.symbol AS s
SET has_views = true
WHERE s.symbol IN ('BTC', 'ETH') OR (SELECT count(*) FROM upc_data.symbol) <= 10;
"""


def prepare() -> None:
    """Keep the curves that answer, before the views that hold them are dropped."""
    run_sql(FINGERPRINT_CURVE)
    run_sql(VOLATILITY_CURVE)
    run_sql(FINGERPRINT_GRID)
    run_sql(KEEP_ROWS)


def upgrade() -> None:
    run_sql(HAS_VIEWS)
    run_sql(GRID_OF_SYMBOL)
    run_sql(CURVE_REFRESH)
    run_sql(REFRESHES)


def downgrade() -> None:
    run_sql("""
    ALTER TABLE upc_data.symbol DROP COLUMN has_views;
    DROP TABLE upc_data.curve_refresh;
    DROP TABLE upc_data.fingerprint_grid;
    DROP TABLE upc_data.volatility_curve;
    DROP TABLE upc_data.fingerprint_curve;
    """)
