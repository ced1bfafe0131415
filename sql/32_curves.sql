-- Curves: histograms and imported sets as probabilities. Indexed views, refreshed while readers read.

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


-- How probable it is that a start a little later falls into the same momentum bucket.
--
-- share: of all starting minutes in the bucket; centre: in bucket 0; correlation: of the momentum of
-- the two; is_outer: whether the bucket is open-ended. For normal momentum and a narrow bucket, the
-- density of both, divided by that of one, is a product of powers of the shares: the volatility need
-- not be known. For an open-ended bucket the power approximates the tail of the bivariate normal
-- distribution.
CREATE FUNCTION upc.company_share(
    share double precision,
    centre double precision,
    correlation double precision,
    is_outer boolean
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN company_share.is_outer THEN
        company_share.share
            ^ (((1 - company_share.correlation) / (1 + company_share.correlation))
                ^ 0.7::double precision)
    ELSE least(
        1,
        company_share.share ^ ((1 - company_share.correlation) / (1 + company_share.correlation))
            * company_share.centre
                ^ (2 * company_share.correlation / (1 + company_share.correlation))
            / sqrt(1 - company_share.correlation * company_share.correlation)
    )
END;
COMMENT ON FUNCTION upc.company_share IS
    'the probability that a start is in the same momentum bucket as an earlier one, from the bucket''s share of all starts, that of bucket 0, and the correlation of both momenta';


-- How alike the momentum of two minutes is that are 1, 2, 3, and on average 4 to 14, 15 to 29 and 30
-- to 59 minutes apart.
--
-- Momentum is a sum of the last 30 moves of a minute, each weighed by the weights of all distances
-- that reach as far: a = 1, .7, .45, .25, 11 times .1, 15 times .05. Between two minutes of a random
-- walk that are k apart its correlation is sum(a[j] a[j + k]) / sum(a[j]^2).
-- Example:
--   SELECT upc.momentum_correlations() = '{0.679369, 0.434954, 0.270696, 0.164019, 0.070521, 0}';
CREATE FUNCTION upc.momentum_correlations()
RETURNS numeric[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH move AS (
        SELECT j, sum(w.weight::numeric) AS a
        FROM generate_series(1, 30) AS j
        JOIN unnest(upc.momentum_lags(), upc.momentum_weights()) AS w (lag, weight) ON w.lag >= j
        GROUP BY j
    ),
    correlation AS (
        SELECT
            k,
            (
                SELECT coalesce(sum(m.a * o.a), 0)
                FROM move AS m
                JOIN move AS o ON o.j = m.j + k
            ) / (SELECT sum(m.a * m.a) FROM move AS m) AS value
        FROM generate_series(1, 59) AS k
    )
    SELECT array_agg(g.value ORDER BY g.place)
    FROM (
        SELECT
            width_bucket(c.k, '{1, 2, 3, 4, 15, 30}'::integer[]) AS place,
            round(avg(c.value), 6) AS value
        FROM correlation AS c
        GROUP BY 1
    ) AS g;
END;
COMMENT ON FUNCTION upc.momentum_correlations IS
    'the correlations of the momentum of two minutes that are 1, 2, 3 and on average 4 to 14, 15 to 29 and 30 to 59 minutes apart, from weights and distances';


-- The query that makes curves from counts, as text: for an indexed view, or to be executed.
--
-- counts: a query for symbol, year, bucket, minutes, pairs, positive, negative as in
-- upc_data.fingerprint_histogram, and the weight of the year: a column, since an expression would be
-- computed again for every threshold. stride: every how many minutes a start was counted. Returns a
-- query for symbol (* is the pool), bucket, minutes, sample_size, positive, negative, weighted_size,
-- effective_size, shrinkage.
--
-- Windows that overlap are not independent. n indicators with a mean p of 1/2 vary as much as
-- n / (1 + 2 sum(g[k] c[k])) independent ones, k = stride, 2 stride … below t, where c is the
-- correlation of two of them whose starts are k minutes apart, and g the probability that both
-- starts are counted: 1 in the baseline, company_share in a bucket. Years of unequal weight w count
-- as sum(w n)^2 / sum(w^2 n) starts of equal weight; symbols in the pool are taken to be independent.
--
-- The shrinkage of a bucket is n / (n + kappa), n its effective size and 1 / kappa the variance of
-- the buckets' true probabilities in units of p (1 - p), p being the baseline's. It is what the
-- squared distances from the baseline, added up over all thresholds, have in excess of sampling, on
-- average over the buckets: first with weights n, then with the better 1 / (1 / n + 1 / kappa). Where
-- there is no excess, it is zero, and so is every shrinkage: the baseline answers.
--
-- Adding up each threshold in a column of its own is an order of magnitude faster than unnesting
-- the arrays; the 120 columns are written by the function.
CREATE FUNCTION upc.curve_query(counts text, stride integer DEFAULT 1)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    -- The thresholds between them tell the same again.
    v_compared integer[] := '{1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 30, 36, 43, 51}'::integer[];
    v_correlations numeric[] := upc.momentum_correlations();
    v_companies text;
    v_sums text;
    v_positive text;
    v_negative text;
    v_distance text;
    v_rates text;
    v_fractions text;
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
        string_agg(format('(100 * s.n%s)::double precision / s.weight', k), ', ' ORDER BY k),
        string_agg(
            format(
                '(s.p%1$s / s.weight - b.p%1$s) * (s.p%1$s / s.weight - b.p%1$s) '
                '+ (s.n%1$s / s.weight - b.n%1$s) * (s.n%1$s / s.weight - b.n%1$s)',
                k
            ),
            ' + ' ORDER BY k
        ) FILTER (WHERE k = ANY (v_compared)),
        string_agg(
            format('s.p%1$s / s.weight, s.n%1$s / s.weight', k), ', ' ORDER BY k
        ) FILTER (WHERE k = ANY (v_compared)),
        string_agg(
            format('s.p%1$s / s.weight AS p%1$s, s.n%1$s / s.weight AS n%1$s', k), ', ' ORDER BY k
        ) FILTER (WHERE k = ANY (v_compared))
    INTO v_sums, v_positive, v_negative, v_distance, v_fractions, v_rates
    FROM generate_series(1, 60) AS k;

    SELECT string_agg(
        format(
            'sum(s.size * upc.company_share(s.share, s.centre, %s, s.is_outer) ORDER BY s.year) '
            '/ sum(s.size) AS g%s',
            c.correlation, c.i
        ),
        ', ' ORDER BY c.i
    )
    INTO v_companies
    FROM unnest(v_correlations) WITH ORDINALITY AS c (correlation, i);

    RETURN format(
        $sql$
        WITH weighted AS NOT MATERIALIZED (%1$s),
        -- Windows over t minutes that start k minutes apart have t - k minutes in common: their moves'
        -- correlation is 1 - k / t, and that of the signs follows.
        overlap AS MATERIALIZED (
            SELECT
                t AS minutes,
                coalesce(sum(c.correlation) FILTER (WHERE k = 1), 0) AS c1,
                coalesce(sum(c.correlation) FILTER (WHERE k = 2), 0) AS c2,
                coalesce(sum(c.correlation) FILTER (WHERE k = 3), 0) AS c3,
                coalesce(sum(c.correlation) FILTER (WHERE k BETWEEN 4 AND 14), 0) AS c4,
                coalesce(sum(c.correlation) FILTER (WHERE k BETWEEN 15 AND 29), 0) AS c5,
                coalesce(sum(c.correlation) FILTER (WHERE k BETWEEN 30 AND 59), 0) AS c6
            FROM generate_series(1, 60) AS t
            CROSS JOIN LATERAL generate_series(0, t, %9$s) AS k
            CROSS JOIN LATERAL (
                SELECT 2 / pi() * asin(1 - k::double precision / t) AS correlation
            ) AS c
            GROUP BY t
        ),
        start AS (
            SELECT
                w.symbol,
                w.year,
                w.bucket,
                (w.weight * w.weight * w.pairs)::double precision AS size,
                w.pairs::double precision / max(w.pairs) FILTER (WHERE w.bucket = 99) OVER y AS share,
                greatest(w.pairs, max(w.pairs) FILTER (WHERE w.bucket = 0) OVER y)::double precision
                    / max(w.pairs) FILTER (WHERE w.bucket = 99) OVER y AS centre,
                abs(w.bucket) = 30 AS is_outer
            FROM weighted AS w
            -- Each start once: a backtest may not have counted the first minute.
            WHERE w.minutes = (SELECT min(m.minutes) FROM weighted AS m)
            WINDOW y AS (PARTITION BY w.symbol, w.year)
        ),
        neighbour AS (
            SELECT s.symbol, s.bucket, %8$s
            FROM start AS s
            WHERE s.bucket <> 99
            GROUP BY s.symbol, s.bucket
        ),
        summed AS (
            SELECT
                w.symbol,
                w.bucket,
                w.minutes,
                sum(w.pairs) AS pairs,
                sum(w.weight * w.pairs)::double precision AS weight,
                sum(w.weight * w.weight * w.pairs)::double precision AS squares,
                %2$s
            FROM weighted AS w
            GROUP BY w.symbol, w.bucket, w.minutes
            UNION ALL
            SELECT
                '*',
                w.bucket,
                w.minutes,
                sum(w.pairs),
                sum(w.weight * w.pairs)::double precision,
                sum(w.weight * w.weight * w.pairs)::double precision,
                %2$s
            FROM weighted AS w
            WHERE w.bucket = 99
            GROUP BY w.bucket, w.minutes
        ),
        -- Each probability of a baseline as a fraction, and sums over them.
        baseline AS MATERIALIZED (
            SELECT
                s.symbol,
                s.minutes,
                v.variance,
                v.overlap_variance,
                %7$s
            FROM (
                SELECT
                    w.symbol,
                    w.minutes,
                    sum(w.weight * w.pairs)::double precision AS weight,
                    %2$s
                FROM weighted AS w
                WHERE w.bucket = 99
                GROUP BY w.symbol, w.minutes
            ) AS s
            CROSS JOIN LATERAL (
                SELECT
                    sum(p * (1 - p)) AS variance,
                    sum(p * (1 - p) * (4 * p * (1 - p)) ^ (1.0::double precision / 6))
                        AS overlap_variance
                FROM unnest(ARRAY[%6$s]) AS p
            ) AS v
        ),
        curve AS MATERIALIZED (
            SELECT
                s.symbol,
                s.bucket,
                s.minutes,
                s.pairs AS sample_size,
                ARRAY[%3$s] AS positive,
                ARRAY[%4$s] AS negative,
                s.weight * s.weight / s.squares AS weighted_size,
                greatest(
                    1,
                    s.weight * s.weight / s.squares / (
                        1 + 2 * CASE
                            WHEN s.bucket = 99 THEN o.c1 + o.c2 + o.c3 + o.c4 + o.c5 + o.c6
                            ELSE coalesce(
                                o.c1 * g.g1 + o.c2 * g.g2 + o.c3 * g.g3
                                    + o.c4 * g.g4 + o.c5 * g.g5 + o.c6 * g.g6,
                                0
                            )
                        END
                    )
                ) AS effective_size,
                %5$s AS distance,
                b.variance,
                b.overlap_variance
            FROM summed AS s
            JOIN overlap AS o USING (minutes)
            LEFT JOIN neighbour AS g USING (symbol, bucket)
            LEFT JOIN baseline AS b USING (symbol, minutes)
        ),
        -- What a bucket is away from the baseline, squared, without what sampling explains. The
        -- baseline's own sampling is in both.
        excess AS (
            SELECT
                c.symbol,
                c.bucket,
                c.minutes,
                c.effective_size AS size,
                c.variance,
                c.distance
                    - c.variance * (1 / c.weighted_size - last_value(1 / c.weighted_size) OVER s)
                    - c.overlap_variance * (
                        1 / c.effective_size - 1 / c.weighted_size
                        - last_value(1 / c.effective_size - 1 / c.weighted_size) OVER s
                    ) AS excess
            FROM curve AS c
            WHERE c.symbol <> '*'
            WINDOW s AS (
                PARTITION BY c.symbol, c.minutes
                ORDER BY c.bucket
                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            )
        ),
        first_guess AS (
            SELECT
                e.*,
                greatest(
                    0,
                    sum(e.size * e.excess) OVER s / nullif(sum(e.size * e.variance) OVER s, 0)
                ) AS spread
            FROM excess AS e
            WHERE e.bucket <> 99
            WINDOW s AS (
                PARTITION BY e.symbol, e.minutes
                ORDER BY e.bucket
                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            )
        ),
        fitted AS (
            SELECT
                e.symbol,
                e.minutes,
                greatest(
                    0,
                    sum(e.excess / (1 / e.size + e.spread) ORDER BY e.bucket)
                        / nullif(sum(e.variance / (1 / e.size + e.spread) ORDER BY e.bucket), 0)
                ) AS spread
            FROM first_guess AS e
            GROUP BY e.symbol, e.minutes
        )
        SELECT
            c.symbol,
            c.bucket,
            c.minutes,
            c.sample_size,
            c.positive,
            c.negative,
            c.weighted_size,
            c.effective_size,
            CASE
                WHEN c.bucket = 99 THEN 1
                ELSE coalesce(c.effective_size * f.spread / (1 + c.effective_size * f.spread), 0)
            END AS shrinkage
        FROM curve AS c
        LEFT JOIN fitted AS f USING (symbol, minutes)
        $sql$,
        curve_query.counts, v_sums, v_positive, v_negative, v_distance, v_fractions, v_rates,
        v_companies, stride
    );
END
$fn$;
COMMENT ON FUNCTION upc.curve_query IS
    'the query, as text, that makes curves with their effective sizes and shrinkage from a query for counts per symbol, year, bucket and minutes with the weight of the year';


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
        upc.curve_query(
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
    'how many starting minutes of equal weight tell as much as these of unequal years; NULL where it is imported';
COMMENT ON COLUMN upc.fingerprint_curve.effective_size IS
    'how many independent starting minutes tell as much about a probability of 50 percent: overlapping windows are not independent; NULL where it is imported';
COMMENT ON COLUMN upc.fingerprint_curve.shrinkage IS
    'how far the row is to be trusted beside the baseline, 0 (not at all) to 1; NULL where it is imported';
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
    'whether compute_strikes answers from it: the one that was asked for if it exists (built, unless told otherwise), else the other one';


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
            PARTITION BY c.symbol, c.bucket = 99 ORDER BY c.bucket
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
    WHERE c.bucket <> 99 AND c.symbol <> '*'
    UNION ALL
    -- The baseline answers where no momentum is given or no bucket exists; where there is no
    -- baseline, the pool does.
    SELECT s.symbol, a.bucket, p.symbol, 99
    FROM upc_data.symbol AS s
    CROSS JOIN LATERAL (
        SELECT c.symbol
        FROM curve AS c
        WHERE c.symbol IN (s.symbol, '*') AND c.bucket = 99
        ORDER BY c.symbol = '*'
        LIMIT 1
    ) AS p
    CROSS JOIN (VALUES (98), (99)) AS a (bucket)
    WHERE a.bucket = 99
       OR NOT EXISTS (SELECT FROM curve AS c WHERE c.symbol = s.symbol AND c.bucket <> 99)
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


CREATE FUNCTION upc.await_refresh()
RETURNS void
LANGUAGE sql VOLATILE
-- A refresh reads as of its own beginning. Waiting for another one before it begins makes sure that
-- it sees what that one published.
RETURN pg_advisory_xact_lock(hashtextextended('pyupc refresh of fingerprints', 0));
COMMENT ON FUNCTION upc.await_refresh IS
    'waits for the refresh of another transaction, and keeps others waiting until this one ends';


CREATE FUNCTION upc.refresh_view(name text)
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
              AND c.relname = refresh_view.name
              AND c.relispopulated
        ) THEN 'CONCURRENTLY' ELSE '' END,
        name
    );
END
$fn$;
COMMENT ON FUNCTION upc.refresh_view IS
    'refreshes an indexed view while others read it, if it can be read at all';


CREATE FUNCTION upc.refresh_grid()
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    PERFORM upc.await_refresh();
    PERFORM upc.refresh_view('fingerprint_grid');
END
$fn$;
COMMENT ON FUNCTION upc.refresh_grid IS
    'publishes the symbols and which of their sets answer: grids and named views change together at commit';


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
    PERFORM upc.refresh_view('fingerprint_curve');
    PERFORM upc.refresh_view('volatility_curve');
    PERFORM upc.refresh_grid();
END
$fn$;
COMMENT ON FUNCTION upc.refresh_fingerprints IS
    'publishes the histograms of all complete builds and what was imported: curves, grids and named views change together at commit';
