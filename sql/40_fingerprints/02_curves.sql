-- Curves: histograms and imported sets as probabilities. They are kept in tables, a symbol at a time
-- (03_refresh.sql): each holds the rows of one query, whose text is here.

-- Counts of plain moves with the weights of their years, as a query for upc._curve_query.
--
-- is_one: of the symbol $1 alone. is_pool: the baselines of all symbols under the name *.
CREATE FUNCTION upc._fingerprint_counts(is_one boolean, is_pool boolean DEFAULT false)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
    SELECT
        %1$s AS symbol,
        h.year,
        h.bucket,
        h.minutes,
        h.pairs,
        h.positive,
        h.negative,
        y.weight
    FROM (
        SELECT
            d.symbol,
            d.year,
            greatest(1, 5 - (max(d.year) OVER (PARTITION BY d.symbol) - d.year)) AS weight
        FROM (
            SELECT DISTINCT c.symbol, extract(year FROM c.day)::integer AS year
            FROM upc_data.counted_day AS c
            WHERE %2$s
        ) AS d
    ) AS y
    JOIN upc_data.fingerprint_build AS b ON b.symbol = y.symbol AND b.completed_at IS NOT NULL
    CROSS JOIN LATERAL (
        SELECT f.*
        FROM upc_data.fingerprint_histogram AS f
        WHERE f.symbol = y.symbol AND f.year = y.year %3$s
    ) AS h
    $sql$,
    CASE WHEN _fingerprint_counts.is_pool THEN '''*''::text' ELSE 'y.symbol' END,
    CASE WHEN _fingerprint_counts.is_one THEN 'c.symbol = $1' ELSE 'true' END,
    CASE
        WHEN _fingerprint_counts.is_one THEN 'AND f.symbol = $1'
        -- OFFSET 0 makes it look for a year at a time by the table's key: the pool needs one row in 62.
        WHEN _fingerprint_counts.is_pool THEN 'AND f.bucket = upc._baseline() OFFSET 0'
    END
);
COMMENT ON FUNCTION upc._fingerprint_counts IS
    'the query, as text, for counts of plain moves with the weights of their years: of the symbol $1, of all, or pooled';


-- The query that makes curves from histograms and imported sets, as text.
--
-- is_one: of the symbol $1 alone. Returns a query for the columns of upc_data.fingerprint_curve. The
-- pool has a query of its own.
CREATE FUNCTION upc._fingerprint_curve_query(is_one boolean)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
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
    FROM (%1$s) AS s
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
    WHERE %2$s
    $sql$,
    upc._curve_query(upc._fingerprint_counts(_fingerprint_curve_query.is_one)),
    CASE WHEN _fingerprint_curve_query.is_one THEN 'i.symbol = $1' ELSE 'true' END
);
COMMENT ON FUNCTION upc._fingerprint_curve_query IS
    'the query, as text, that makes curves from histograms and imported sets: of the symbol $1, or of all';


-- An upgrade leaves it without rows, so that it takes no longer with more symbols: readers read the
-- curves of upc_data.fingerprint_curve, where the last refresh_pool() has put them.
DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE MATERIALIZED VIEW upc.pooled_curve AS
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
        WITH NO DATA
        $sql$,
        upc._curve_query(upc._fingerprint_counts(false, is_pool => true))
    );
END
$do$;
CREATE UNIQUE INDEX pooled_curve_minutes_key ON upc.pooled_curve (minutes);
COMMENT ON MATERIALIZED VIEW upc.pooled_curve IS
    'the pooled baseline as the last refresh_pool() computed it, empty after an upgrade: read upc.fingerprint_curve, where the symbol is *';
COMMENT ON COLUMN upc.pooled_curve.symbol IS '*: the pool of all symbols';
COMMENT ON COLUMN upc.pooled_curve.origin IS
    'where the numbers come from: built from candles';
COMMENT ON COLUMN upc.pooled_curve.bucket IS
    '99: the baseline';
COMMENT ON COLUMN upc.pooled_curve.minutes IS 'minutes from now to the later close';
COMMENT ON COLUMN upc.pooled_curve.sample_size IS
    'starting minutes behind the row, unweighted';
COMMENT ON COLUMN upc.pooled_curve.positive IS
    'element k: probability in percent of a move of at least 0.05 (k - 1) percent';
COMMENT ON COLUMN upc.pooled_curve.negative IS
    'element k: probability in percent of a move of at most minus 0.05 (k - 1) percent';
COMMENT ON COLUMN upc.pooled_curve.weighted_size IS
    'as how many starting minutes of equal weight these of unequal years count';
COMMENT ON COLUMN upc.pooled_curve.effective_size IS
    'as how many independent starting minutes these count for a probability of 50 percent, since overlapping windows are not independent';
COMMENT ON COLUMN upc.pooled_curve.shrinkage IS
    '1: it is a baseline';
COMMENT ON INDEX upc.pooled_curve_minutes_key IS 'lets the view be refreshed while it is read';


CREATE VIEW upc.fingerprint_curve AS
SELECT
    c.symbol,
    c.origin,
    c.bucket,
    c.minutes,
    c.sample_size,
    c.positive,
    c.negative,
    c.weighted_size,
    c.effective_size,
    c.shrinkage
FROM upc_data.fingerprint_curve AS c;
COMMENT ON VIEW upc.fingerprint_curve IS
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
FROM (
    SELECT s.symbol, o.origin
    FROM (SELECT r.symbol FROM upc_data.symbol AS r UNION ALL SELECT '*') AS s
    CROSS JOIN (VALUES ('built'), ('imported')) AS o (origin)
    -- A probe for each set. An EXISTS would be planned as a join with the sets of all curves, which
    -- reads every one of them.
    CROSS JOIN LATERAL (
        SELECT
        FROM upc_data.fingerprint_curve AS p
        WHERE p.symbol = s.symbol AND p.origin = o.origin
        LIMIT 1
    ) AS k
) AS c
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


-- The query that says which fingerprint answers for a symbol and a momentum bucket, as text.
--
-- is_one: for the symbol $1 alone. Returns a query for the columns of upc_data.fingerprint_grid. It reads
-- the curves that are published.
CREATE FUNCTION upc._fingerprint_grid_query(is_one boolean)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
    WITH used AS (
        SELECT f.symbol, f.origin, f.thresholds
        FROM upc.fingerprint_set AS f
        WHERE f.is_in_use AND %1$s
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
        FROM upc_data.fingerprint_curve AS c
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
                WHEN (c.bucket + c.next_bucket) %% 2 <> 0 THEN (c.bucket + c.next_bucket - 1) / 2
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
        WHERE %2$s AND (
            a.bucket = upc._baseline()
            OR NOT EXISTS (
                SELECT FROM curve AS c WHERE c.symbol = s.symbol AND c.bucket <> upc._baseline()
            )
        )
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
    $sql$,
    CASE WHEN _fingerprint_grid_query.is_one THEN 'f.symbol IN ($1, ''*'')' ELSE 'true' END,
    CASE WHEN _fingerprint_grid_query.is_one THEN 's.symbol = $1' ELSE 'true' END
);
COMMENT ON FUNCTION upc._fingerprint_grid_query IS
    'the query, as text, that says which fingerprint answers for a momentum bucket: of the symbol $1, or of all';


CREATE VIEW upc.fingerprint_grid AS
SELECT
    g.symbol,
    g.bucket,
    g.strike_step,
    g.curve_symbol,
    g.curve_origin,
    g.curve_bucket,
    g.fingerprint,
    g.minutes,
    g.ttc_edges,
    g.thresholds,
    g.move_edges,
    g.named_places
FROM upc_data.fingerprint_grid AS g;
COMMENT ON VIEW upc.fingerprint_grid IS
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
