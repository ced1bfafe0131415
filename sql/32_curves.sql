-- Curves: the histogram as probabilities. An indexed view, refreshed while readers read.

CREATE FUNCTION upc.fingerprint_name(symbol text, bucket integer)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE fingerprint_name.symbol WHEN '*' THEN 'pooled' ELSE lower(fingerprint_name.symbol) END
    || '_fingerprint_directional_'
    || CASE
        WHEN fingerprint_name.bucket = 99 THEN 'baseline'
        WHEN fingerprint_name.bucket < 0 THEN 'momentum_-' || lpad((-fingerprint_name.bucket)::text, 2, '0')
        ELSE 'momentum_' || lpad(fingerprint_name.bucket::text, 3, '0')
    END;
COMMENT ON FUNCTION upc.fingerprint_name IS
    'the name of a fingerprint from its symbol (*: pooled) and momentum bucket (99: baseline)';


-- Adding up each threshold in a column of its own is an order of magnitude faster than unnesting
-- the arrays; the 120 columns are written by the loop.
DO $do$
DECLARE
    v_sums text;
    v_positive text;
    v_negative text;
BEGIN
    SELECT
        string_agg(
            format(
                'sum(w.weight * w.positive[%1$s]) AS p%1$s, sum(w.weight * w.negative[%1$s]) AS n%1$s',
                k
            ),
            ', ' ORDER BY k
        ),
        string_agg(format('(100 * s.p%s)::double precision / s.weight', k), ', ' ORDER BY k),
        string_agg(format('(100 * s.n%s)::double precision / s.weight', k), ', ' ORDER BY k)
    INTO v_sums, v_positive, v_negative
    FROM generate_series(1, 60) AS k;

    EXECUTE format(
        $sql$
        CREATE MATERIALIZED VIEW upc.fingerprint_curve AS
        WITH newest AS (
            SELECT d.symbol, extract(year FROM max(d.day))::integer AS year
            FROM upc_data.counted_day AS d
            GROUP BY d.symbol
        ),
        weighted AS (
            SELECT
                h.symbol,
                h.bucket,
                h.minutes,
                h.pairs,
                h.positive,
                h.negative,
                greatest(1, 5 - (y.year - h.year)) AS weight
            FROM upc_data.fingerprint_histogram AS h
            JOIN newest AS y USING (symbol)
            JOIN upc_data.fingerprint_build AS b USING (symbol)
            WHERE b.completed_at IS NOT NULL
        ),
        summed AS (
            SELECT
                w.symbol,
                w.bucket,
                w.minutes,
                sum(w.pairs) AS pairs,
                sum(w.weight * w.pairs)::double precision AS weight,
                %1$s
            FROM weighted AS w
            GROUP BY w.symbol, w.bucket, w.minutes
            UNION ALL
            SELECT
                '*',
                w.bucket,
                w.minutes,
                sum(w.pairs),
                sum(w.weight * w.pairs)::double precision,
                %1$s
            FROM weighted AS w
            WHERE w.bucket = 99
            GROUP BY w.bucket, w.minutes
        )
        SELECT
            s.symbol COLLATE "C" AS symbol,
            'built'::text COLLATE "C" AS origin,
            s.bucket,
            s.minutes,
            s.pairs AS sample_size,
            ARRAY[%2$s] AS positive,
            ARRAY[%3$s] AS negative
        FROM summed AS s
        $sql$,
        v_sums, v_positive, v_negative
    );
END
$do$;
CREATE UNIQUE INDEX fingerprint_curve_symbol_origin_bucket_minutes_key
    ON upc.fingerprint_curve (symbol, origin, bucket, minutes);
COMMENT ON MATERIALIZED VIEW upc.fingerprint_curve IS
    'the fingerprints: one row per symbol, origin, momentum bucket and distance in minutes';
COMMENT ON COLUMN upc.fingerprint_curve.symbol IS 'symbol; * is the pool of all symbols';
COMMENT ON COLUMN upc.fingerprint_curve.origin IS 'where the numbers come from: built from candles';
COMMENT ON COLUMN upc.fingerprint_curve.bucket IS
    'momentum bucket, basis points, -30 to 30; 99 is the baseline';
COMMENT ON COLUMN upc.fingerprint_curve.minutes IS 'minutes from now to the later close, 1 to 60';
COMMENT ON COLUMN upc.fingerprint_curve.sample_size IS 'starting minutes behind the row, unweighted';
COMMENT ON COLUMN upc.fingerprint_curve.positive IS
    'element k: probability in percent of a move of at least the k-th threshold';
COMMENT ON COLUMN upc.fingerprint_curve.negative IS
    'element k: probability in percent of a move of at most minus the k-th threshold';
COMMENT ON INDEX upc.fingerprint_curve_symbol_origin_bucket_minutes_key IS
    'the one probe of compute_strikes; also what lets the view be refreshed while it is read';


CREATE MATERIALIZED VIEW upc.fingerprint_grid AS
WITH curve AS (
    SELECT
        c.symbol,
        c.origin,
        c.bucket,
        array_agg(c.minutes ORDER BY c.minutes) AS minutes
    FROM upc.fingerprint_curve AS c
    GROUP BY c.symbol, c.origin, c.bucket
),
asked AS (
    SELECT s.symbol, s.strike_step, b.bucket
    FROM upc_data.symbol AS s
    CROSS JOIN (SELECT generate_series(-31, 31) UNION ALL SELECT 99) AS b (bucket)
),
answer AS (
    -- The nearest bucket (of two the one nearer to zero), else the baseline, else the pool.
    SELECT DISTINCT ON (a.symbol, a.bucket)
        a.symbol,
        a.bucket,
        a.strike_step,
        c.symbol AS curve_symbol,
        c.origin AS curve_origin,
        c.bucket AS curve_bucket,
        c.minutes
    FROM asked AS a
    JOIN curve AS c
        ON (c.symbol = a.symbol AND (c.bucket = 99 OR a.bucket <> 99))
        OR (c.symbol = '*' AND c.bucket = 99)
    ORDER BY
        a.symbol,
        a.bucket,
        c.symbol = '*',
        c.bucket = 99,
        abs(c.bucket - a.bucket),
        abs(c.bucket)
)
SELECT
    a.symbol,
    a.bucket::smallint AS bucket,
    a.strike_step,
    a.curve_symbol,
    a.curve_origin,
    a.curve_bucket,
    upc.fingerprint_name(a.curve_symbol, a.curve_bucket) AS fingerprint,
    a.minutes,
    -- width_bucket counts the edges up to and including its operand. An edge lies a hair above the
    -- midpoint, so that a tie goes to the shorter time and to the smaller move.
    ARRAY(
        SELECT 30 * (a.minutes[i] + a.minutes[i + 1]) + 1e-9::double precision
        FROM generate_series(1, cardinality(a.minutes) - 1) AS i
        ORDER BY i
    ) AS ttc_edges,
    t.thresholds,
    ARRAY(
        SELECT (t.thresholds[i] + t.thresholds[i + 1]) / 2 + 1e-9::double precision
        FROM generate_series(1, cardinality(t.thresholds) - 1) AS i
        ORDER BY i
    ) AS move_edges
FROM answer AS a
CROSS JOIN (
    SELECT array_agg(k::double precision / 20 ORDER BY k) FROM generate_series(0, 59) AS k
) AS t (thresholds)
ORDER BY a.symbol, a.bucket;
CREATE UNIQUE INDEX fingerprint_grid_symbol_bucket_key ON upc.fingerprint_grid (symbol, bucket);
COMMENT ON MATERIALIZED VIEW upc.fingerprint_grid IS
    'which fingerprint answers for a symbol and a momentum bucket, and the grid on which it is read';
COMMENT ON COLUMN upc.fingerprint_grid.symbol IS 'symbol asked for';
COMMENT ON COLUMN upc.fingerprint_grid.bucket IS
    'momentum bucket asked for, basis points; 99 asks for the baseline';
COMMENT ON COLUMN upc.fingerprint_grid.strike_step IS 'the symbol''s distance between strikes, USD';
COMMENT ON COLUMN upc.fingerprint_grid.curve_symbol IS 'symbol of the curve that answers; * is the pool';
COMMENT ON COLUMN upc.fingerprint_grid.curve_origin IS 'origin of the curve that answers';
COMMENT ON COLUMN upc.fingerprint_grid.curve_bucket IS 'bucket of the curve that answers';
COMMENT ON COLUMN upc.fingerprint_grid.fingerprint IS 'name of the fingerprint that answers';
COMMENT ON COLUMN upc.fingerprint_grid.minutes IS 'the curve''s distances in minutes, ascending';
COMMENT ON COLUMN upc.fingerprint_grid.ttc_edges IS
    'midpoints between neighbouring distances, seconds, each a hair up';
COMMENT ON COLUMN upc.fingerprint_grid.thresholds IS 'the curve''s thresholds, percent, ascending';
COMMENT ON COLUMN upc.fingerprint_grid.move_edges IS
    'midpoints between neighbouring thresholds, percent, each a hair up';
COMMENT ON INDEX upc.fingerprint_grid_symbol_bucket_key IS
    'how compute_strikes finds the curve to read; also what lets the view be refreshed while it is read';


CREATE FUNCTION upc.await_refresh()
RETURNS void
LANGUAGE sql VOLATILE
-- A refresh reads as of its own beginning. Waiting for another one before it begins makes sure that
-- it sees what that one published.
RETURN pg_advisory_xact_lock(hashtextextended('pyupc refresh of fingerprints', 0));
COMMENT ON FUNCTION upc.await_refresh IS
    'waits for the refresh of another transaction, and keeps others waiting until this one ends';


CREATE FUNCTION upc.refresh_fingerprints()
RETURNS void
LANGUAGE plpgsql VOLATILE
-- All curves pass through memory at once; workers would take longer to start than to help.
SET work_mem = '64MB'
SET max_parallel_workers_per_gather = 0
SET jit = off
AS $fn$
BEGIN
    PERFORM upc.await_refresh();
    REFRESH MATERIALIZED VIEW CONCURRENTLY upc.fingerprint_curve;
    REFRESH MATERIALIZED VIEW CONCURRENTLY upc.fingerprint_grid;
END
$fn$;
COMMENT ON FUNCTION upc.refresh_fingerprints IS
    'publishes the histograms of all complete builds: curves, grids and named views change together at commit';
