-- Curves: histograms and imported sets as probabilities. Indexed views, refreshed while readers read.

DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE MATERIALIZED VIEW upc.fingerprint_curve AS
        SELECT
            s.symbol COLLATE "C" AS symbol,
            'built'::text COLLATE "C" AS origin,
            s.bucket,
            s.minutes,
            s.sample_size,
            s.positive,
            s.negative,
            s.weighted_size,
            s.effective_size,
            s.shrinkage
        FROM (%s) AS s
        UNION ALL
        SELECT
            i.symbol,
            'imported',
            i.bucket,
            i.minutes,
            NULL,
            i.positive::double precision[],
            i.negative::double precision[],
            NULL,
            NULL,
            NULL
        FROM upc_data.imported_curve AS i
        $sql$,
        upc._curve_query(
            $counts$
            SELECT
                h.symbol,
                h.year,
                h.bucket,
                h.minutes,
                h.pairs,
                h.positive,
                h.negative,
                y.weight
            FROM upc_data.fingerprint_histogram AS h
            JOIN (
                SELECT
                    d.symbol,
                    d.year,
                    greatest(1, 5 - (max(d.year) OVER (PARTITION BY d.symbol) - d.year)) AS weight
                FROM (
                    SELECT DISTINCT c.symbol, extract(year FROM c.day)::integer AS year
                    FROM upc_data.counted_day AS c
                ) AS d
            ) AS y USING (symbol, year)
            JOIN upc_data.fingerprint_build AS b USING (symbol)
            WHERE b.completed_at IS NOT NULL
            $counts$
        )
    );
END
$do$;
CREATE UNIQUE INDEX fingerprint_curve_symbol_origin_bucket_minutes_key
    ON upc.fingerprint_curve (symbol, origin, bucket, minutes);
COMMENT ON MATERIALIZED VIEW upc.fingerprint_curve IS
    'the fingerprints: one row per symbol, origin, momentum bucket and distance in minutes';
COMMENT ON COLUMN upc.fingerprint_curve.symbol IS 'symbol; * is the pool of all symbols';
COMMENT ON COLUMN upc.fingerprint_curve.origin IS
    'where the numbers come from: built from candles, or imported';
COMMENT ON COLUMN upc.fingerprint_curve.bucket IS
    'momentum bucket, basis points; 99 is the baseline';
COMMENT ON COLUMN upc.fingerprint_curve.minutes IS 'minutes from now to the later close';
COMMENT ON COLUMN upc.fingerprint_curve.sample_size IS
    'starting minutes behind the row, unweighted; NULL where it is imported';
COMMENT ON COLUMN upc.fingerprint_curve.positive IS
    'element k: probability in percent of a move of at least the set''s k-th threshold';
COMMENT ON COLUMN upc.fingerprint_curve.negative IS
    'element k: probability in percent of a move of at most minus the set''s k-th threshold';
COMMENT ON COLUMN upc.fingerprint_curve.weighted_size IS
    'as how many starting minutes of equal weight these of unequal years count; NULL where it is imported';
COMMENT ON COLUMN upc.fingerprint_curve.effective_size IS
    'as how many independent starting minutes these count for a probability of 50 percent, since overlapping windows are not independent; NULL where it is imported';
COMMENT ON COLUMN upc.fingerprint_curve.shrinkage IS
    'the weight of the row beside the baseline, 0 (none) to 1; NULL where it is imported';
COMMENT ON INDEX upc.fingerprint_curve_symbol_origin_bucket_minutes_key IS
    'the one probe of compute_strikes; also what lets the view be refreshed while it is read';


CREATE VIEW upc.fingerprint_set AS
SELECT
    c.symbol,
    c.origin,
    CASE c.origin WHEN 'built' THEN built.thresholds ELSE i.thresholds::double precision[] END
        AS thresholds,
    CASE
        WHEN c.origin = 'imported' THEN i.imported_at
        WHEN c.symbol = '*' THEN (SELECT max(p.completed_at) FROM upc_data.fingerprint_build AS p)
        ELSE b.completed_at
    END AS made_at,
    CASE c.origin WHEN 'built' THEN 'candles' ELSE i.source END AS source,
    row_number() OVER (
        PARTITION BY c.symbol ORDER BY (c.origin = 'imported') = coalesce(i.is_preferred, false) DESC
    ) = 1 AS is_in_use
FROM (SELECT DISTINCT k.symbol, k.origin FROM upc.fingerprint_curve AS k) AS c
CROSS JOIN (
    SELECT array_agg(k::double precision / 20 ORDER BY k) FROM generate_series(0, 59) AS k
) AS built (thresholds)
LEFT JOIN upc_data.fingerprint_import AS i ON i.symbol = c.symbol
LEFT JOIN upc_data.fingerprint_build AS b ON b.symbol = c.symbol;
COMMENT ON VIEW upc.fingerprint_set IS
    'the sets of fingerprints: per symbol at most one built from candles and one imported';
COMMENT ON COLUMN upc.fingerprint_set.symbol IS 'symbol; * is the pool of all symbols';
COMMENT ON COLUMN upc.fingerprint_set.origin IS 'built from candles, or imported';
COMMENT ON COLUMN upc.fingerprint_set.thresholds IS 'thresholds of all its curves, percent, ascending';
COMMENT ON COLUMN upc.fingerprint_set.made_at IS 'when the build was completed, or the set imported';
COMMENT ON COLUMN upc.fingerprint_set.source IS 'what the set was made from';
COMMENT ON COLUMN upc.fingerprint_set.is_in_use IS
    'true where compute_strikes answers from it: the set that use_fingerprints chose, built by default; the other one where that does not exist';


CREATE MATERIALIZED VIEW upc.fingerprint_grid
-- A row of 60 minutes and 60 thresholds just fits into what PostgreSQL keeps in one piece by default.
WITH (toast_tuple_target = 8160) AS
WITH used AS (
    SELECT f.symbol, f.origin, f.thresholds FROM upc.fingerprint_set AS f WHERE f.is_in_use
),
curve AS (
    SELECT
        c.symbol,
        c.origin,
        c.bucket,
        array_agg(c.minutes ORDER BY c.minutes) AS minutes,
        lead(c.bucket) OVER (
            PARTITION BY c.symbol, c.bucket = upc._baseline() ORDER BY c.bucket
        ) AS next_bucket
    FROM upc.fingerprint_curve AS c
    JOIN used AS u USING (symbol, origin)
    GROUP BY c.symbol, c.origin, c.bucket
),
answer AS (
    -- A bucket answers up to the middle between it and the next one. The middle itself goes to the
    -- one that is nearer to zero.
    SELECT
        c.symbol,
        CASE
            WHEN c.next_bucket IS NULL THEN 98
            WHEN (c.bucket + c.next_bucket) % 2 <> 0 THEN (c.bucket + c.next_bucket - 1) / 2
            ELSE (c.bucket + c.next_bucket) / 2 - (abs(c.bucket) > abs(c.next_bucket))::integer
        END AS bucket,
        c.symbol AS curve_symbol,
        c.bucket AS curve_bucket
    FROM curve AS c
    WHERE c.bucket <> upc._baseline() AND c.symbol <> '*'
    UNION ALL
    -- The baseline answers where no momentum is given or no bucket exists; where there is no
    -- baseline, the pool does.
    SELECT s.symbol, a.bucket, p.symbol, upc._baseline()
    FROM upc_data.symbol AS s
    CROSS JOIN LATERAL (
        SELECT c.symbol
        FROM curve AS c
        WHERE c.symbol IN (s.symbol, '*') AND c.bucket = upc._baseline()
        ORDER BY c.symbol = '*'
        LIMIT 1
    ) AS p
    CROSS JOIN (VALUES (98), (upc._baseline())) AS a (bucket)
    WHERE a.bucket = upc._baseline()
       OR NOT EXISTS (SELECT FROM curve AS c WHERE c.symbol = s.symbol AND c.bucket <> upc._baseline())
)
SELECT
    a.symbol,
    a.bucket::smallint AS bucket,
    s.strike_step,
    a.curve_symbol,
    c.origin AS curve_origin,
    a.curve_bucket::smallint AS curve_bucket,
    upc.fingerprint_name(a.curve_symbol, a.curve_bucket) AS fingerprint,
    c.minutes,
    -- width_bucket counts the edges up to and including its operand. An edge lies a hair above the
    -- midpoint, so that a tie goes to the shorter time and to the smaller move.
    ARRAY(
        SELECT 30 * (c.minutes[i] + c.minutes[i + 1]) + 1e-9::double precision
        FROM generate_series(1, cardinality(c.minutes) - 1) AS i
        ORDER BY i
    ) AS ttc_edges,
    u.thresholds,
    ARRAY(
        SELECT (u.thresholds[i] + u.thresholds[i + 1]) / 2 + 1e-9::double precision
        FROM generate_series(1, cardinality(u.thresholds) - 1) AS i
        ORDER BY i
    ) AS move_edges,
    ARRAY(
        SELECT array_position(u.thresholds, k::double precision / 20)::smallint
        FROM generate_series(0, 59) AS k
        ORDER BY k
    ) AS named_places
FROM answer AS a
JOIN upc_data.symbol AS s USING (symbol)
JOIN curve AS c ON c.symbol = a.curve_symbol AND c.bucket = a.curve_bucket
JOIN used AS u ON u.symbol = a.curve_symbol
ORDER BY a.symbol, a.bucket;
CREATE UNIQUE INDEX fingerprint_grid_symbol_bucket_key ON upc.fingerprint_grid (symbol, bucket);
COMMENT ON MATERIALIZED VIEW upc.fingerprint_grid IS
    'which fingerprint answers for a symbol and a momentum bucket, and the grid on which it is read; the first row at or above the bucket answers';
COMMENT ON COLUMN upc.fingerprint_grid.symbol IS 'symbol asked for';
COMMENT ON COLUMN upc.fingerprint_grid.bucket IS
    'the highest momentum bucket that the row answers for, basis points; 98 where there is no end, 99 asks for the baseline';
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
COMMENT ON COLUMN upc.fingerprint_grid.named_places IS
    'element k: the place of 0.05 (k - 1) percent among the thresholds; NULL where the set lacks it';
COMMENT ON INDEX upc.fingerprint_grid_symbol_bucket_key IS
    'how compute_strikes finds the curve to read; also what lets the view be refreshed while it is read';


CREATE FUNCTION upc._await_refresh()
RETURNS void
LANGUAGE sql VOLATILE
-- A refresh reads as of its own beginning. Waiting for another one before it begins makes sure that
-- it sees what that one published.
RETURN pg_advisory_xact_lock(hashtextextended('pyupc refresh of fingerprints', 0));
COMMENT ON FUNCTION upc._await_refresh IS
    'waits for the refresh of another transaction, and keeps others waiting until this one ends';


CREATE FUNCTION upc._refresh_view(name text)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    -- The first time, and without its unique index, it cannot be done while others read.
    EXECUTE format(
        'REFRESH MATERIALIZED VIEW %s upc.%I',
        CASE WHEN EXISTS (
            SELECT
            FROM pg_catalog.pg_class AS c
            JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid AND i.indisunique AND i.indisvalid
            WHERE c.relnamespace = 'upc'::regnamespace
              AND c.relname = _refresh_view.name
              AND c.relispopulated
        ) THEN 'CONCURRENTLY' ELSE '' END,
        name
    );
END
$fn$;
COMMENT ON FUNCTION upc._refresh_view IS
    'refreshes an indexed view while others read it, if it can be read at all';


CREATE FUNCTION upc._refresh_grid()
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    PERFORM upc._await_refresh();
    PERFORM upc._refresh_view('fingerprint_grid');
END
$fn$;
COMMENT ON FUNCTION upc._refresh_grid IS
    'publishes the symbols and which of their sets answer: grids and named views change together at commit';


-- Publish the counts of all complete builds, and what was imported.
--
-- Curves, grids and named views change together when the transaction commits; readers never wait.
-- Errors: none.
--
-- Example:
--   SELECT refresh_fingerprints();
CREATE FUNCTION upc.refresh_fingerprints()
RETURNS void
LANGUAGE plpgsql VOLATILE
-- All curves pass through memory at once; workers would take longer to start than to help.
SET work_mem = '64MB'
SET max_parallel_workers_per_gather = 0
SET jit = off
AS $fn$
BEGIN
    PERFORM upc._await_refresh();
    PERFORM upc._refresh_view('fingerprint_curve');
    PERFORM upc._refresh_view('volatility_curve');
    PERFORM upc._refresh_grid();
END
$fn$;
COMMENT ON FUNCTION upc.refresh_fingerprints IS
    'publishes the counts of all complete builds, and what was imported: curves, grids and named views change together at commit';
