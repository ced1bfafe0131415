-- Curves from counts: the query that volatility and fingerprints share, part by part.

-- The name of a fingerprint, which is also that of its view in analytics.
--
-- symbol: * is the pool of all symbols. bucket: momentum bucket in basis points, 99 for the baseline.
-- Returns the symbol in lower case, and the bucket as C's %03d.
-- Errors: none.
--
-- Example:
--   SELECT fingerprint_name('BTC', -7) = 'btc_fingerprint_directional_momentum_-07';
CREATE FUNCTION upc.fingerprint_name(symbol text, bucket integer)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE fingerprint_name.symbol WHEN '*' THEN 'pooled' ELSE lower(fingerprint_name.symbol) END
    || '_fingerprint_directional_'
    || CASE
        WHEN fingerprint_name.bucket = upc._baseline() THEN 'baseline'
        WHEN fingerprint_name.bucket < 0
            THEN 'momentum_-' || lpad((-fingerprint_name.bucket)::text, 2, '0')
        ELSE 'momentum_' || lpad(fingerprint_name.bucket::text, 3, '0')
    END;
COMMENT ON FUNCTION upc.fingerprint_name IS
    'the name of a fingerprint from its symbol (*: pooled) and momentum bucket (99: baseline)';


CREATE FUNCTION upc._compared_thresholds()
RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- The thresholds in between add nothing.
RETURN '{1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 30, 36, 43, 51}'::integer[];
COMMENT ON FUNCTION upc._compared_thresholds IS
    'the thresholds, counted from 1, at which a bucket is compared with the baseline';


-- A piece of a query, once for each threshold.
--
-- template: text in which %1$s is the threshold, counted from 1. thresholds: NULL for all 60.
--
-- Example:
--   SELECT _per_threshold('p%1$s', ' + ', '{1, 3}') = 'p1 + p3';
CREATE FUNCTION upc._per_threshold(
    template text,
    separator text DEFAULT ', ',
    thresholds integer[] DEFAULT NULL
)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT string_agg(format(_per_threshold.template, k), _per_threshold.separator ORDER BY k)
    FROM generate_series(1, 60) AS k
    WHERE _per_threshold.thresholds IS NULL OR k = ANY (_per_threshold.thresholds)
);
COMMENT ON FUNCTION upc._per_threshold IS
    'a piece of a query, once for each threshold: adding up each one in a column of its own is an order of magnitude faster than unnesting the arrays';


CREATE FUNCTION upc._threshold_sums()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN upc._per_threshold(
    'sum(w.weight * w.positive[%1$s]) AS p%1$s, sum(w.weight * w.negative[%1$s]) AS n%1$s'
);
COMMENT ON FUNCTION upc._threshold_sums IS
    'columns of the query that makes curves: weighted counts at each threshold, p1 … p60 upward, n1 … n60 downward';


CREATE FUNCTION upc._overlap_part(stride integer)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
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
        CROSS JOIN LATERAL generate_series(0, t, %s) AS k
        CROSS JOIN LATERAL (
            SELECT 2 / pi() * asin(1 - k::double precision / t) AS correlation
        ) AS c
        GROUP BY t
    )
    $sql$,
    stride
);
COMMENT ON FUNCTION upc._overlap_part IS
    'part of the query that makes curves: how correlated windows of t minutes are that overlap, by how far apart they start';


CREATE FUNCTION upc._neighbour_part()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
    start AS (
        SELECT
            w.symbol,
            w.year,
            w.bucket,
            (w.weight * w.weight * w.pairs)::double precision AS size,
            w.pairs::double precision / max(w.pairs) FILTER (WHERE w.bucket = upc._baseline()) OVER y AS share,
            greatest(w.pairs, max(w.pairs) FILTER (WHERE w.bucket = 0) OVER y)::double precision
                / max(w.pairs) FILTER (WHERE w.bucket = upc._baseline()) OVER y AS centre,
            abs(w.bucket) = 30 AS is_outer
        FROM weighted AS w
        -- Each start once: a backtest may not have counted the first minute, and there may be no
        -- two candles so close.
        JOIN (
            SELECT m.symbol, min(m.minutes) AS minutes
            FROM weighted AS m
            WHERE m.bucket = upc._baseline()
            GROUP BY m.symbol
        ) AS f USING (symbol, minutes)
        WINDOW y AS (PARTITION BY w.symbol, w.year)
    ),
    neighbour AS MATERIALIZED (
        SELECT s.symbol, s.bucket, %s
        FROM start AS s
        WHERE s.bucket <> upc._baseline()
        GROUP BY s.symbol, s.bucket
    )
    $sql$,
    (
        SELECT string_agg(
            format(
                'sum(s.size * upc._same_bucket_share(s.share, s.centre, %s, s.is_outer) ORDER BY s.year) '
                '/ sum(s.size) AS g%s',
                c.correlation, c.i
            ),
            ', ' ORDER BY c.i
        )
        FROM unnest(upc.momentum_correlations()) WITH ORDINALITY AS c (correlation, i)
    )
);
COMMENT ON FUNCTION upc._neighbour_part IS
    'part of the query that makes curves: the probability that neighbouring starts fall into the same bucket, by how far apart they are';


CREATE FUNCTION upc._summed_part()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
    summed AS (
        SELECT
            w.symbol,
            w.bucket,
            w.minutes,
            sum(w.pairs) AS pairs,
            sum(w.weight * w.pairs)::double precision AS weight,
            sum(w.weight * w.weight * w.pairs)::double precision AS squares,
            %1$s
        FROM weighted AS w
        GROUP BY w.symbol, w.bucket, w.minutes
    )
    $sql$,
    upc._threshold_sums()
);
COMMENT ON FUNCTION upc._summed_part IS
    'part of the query that makes curves: weighted counts of all years';


CREATE FUNCTION upc._baseline_part()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
    -- Each probability of a baseline as a fraction, and sums over them.
    baseline AS MATERIALIZED (
        SELECT
            s.symbol,
            s.minutes,
            v.variance,
            v.overlap_variance,
            %1$s
        FROM (
            SELECT
                w.symbol,
                w.minutes,
                sum(w.weight * w.pairs)::double precision AS weight,
                %2$s
            FROM weighted AS w
            WHERE w.bucket = upc._baseline()
            GROUP BY w.symbol, w.minutes
        ) AS s
        CROSS JOIN LATERAL (
            SELECT
                sum(p * (1 - p)) AS variance,
                sum(p * (1 - p) * (4 * p * (1 - p)) ^ (1.0::double precision / 6))
                    AS overlap_variance
            FROM unnest(ARRAY[%3$s]) AS p
        ) AS v
    )
    $sql$,
    upc._per_threshold(
        's.p%1$s / s.weight AS p%1$s, s.n%1$s / s.weight AS n%1$s',
        thresholds => upc._compared_thresholds()
    ),
    upc._threshold_sums(),
    upc._per_threshold(
        's.p%1$s / s.weight, s.n%1$s / s.weight', thresholds => upc._compared_thresholds()
    )
);
COMMENT ON FUNCTION upc._baseline_part IS
    'part of the query that makes curves: the probabilities of each baseline as fractions, and sums over them';


CREATE FUNCTION upc._curve_part()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
    curve AS MATERIALIZED (
        SELECT
            s.symbol,
            s.bucket,
            s.minutes,
            s.pairs AS sample_size,
            ARRAY[%1$s] AS positive,
            ARRAY[%2$s] AS negative,
            s.weight * s.weight / s.squares AS weighted_size,
            greatest(
                1,
                s.weight * s.weight / s.squares / (
                    1 + 2 * CASE
                        WHEN s.bucket = upc._baseline() THEN o.c1 + o.c2 + o.c3 + o.c4 + o.c5 + o.c6
                        ELSE coalesce(
                            o.c1 * g.g1 + o.c2 * g.g2 + o.c3 * g.g3
                                + o.c4 * g.g4 + o.c5 * g.g5 + o.c6 * g.g6,
                            0
                        )
                    END
                )
            ) AS effective_size,
            %3$s AS distance,
            b.variance,
            b.overlap_variance
        FROM summed AS s
        JOIN overlap AS o USING (minutes)
        LEFT JOIN neighbour AS g USING (symbol, bucket)
        LEFT JOIN baseline AS b USING (symbol, minutes)
    )
    $sql$,
    upc._per_threshold('(100 * s.p%s)::double precision / s.weight'),
    upc._per_threshold('(100 * s.n%s)::double precision / s.weight'),
    upc._per_threshold(
        '(s.p%1$s / s.weight - b.p%1$s) * (s.p%1$s / s.weight - b.p%1$s) '
        '+ (s.n%1$s / s.weight - b.n%1$s) * (s.n%1$s / s.weight - b.n%1$s)',
        ' + ',
        upc._compared_thresholds()
    )
);
COMMENT ON FUNCTION upc._curve_part IS
    'part of the query that makes curves: probabilities in percent, sizes, and the squared distance from the baseline';


CREATE FUNCTION upc._shrinkage_part()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN $sql$
    -- The squared distance of a bucket from the baseline, less what sampling explains. The
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
        WHERE e.bucket <> upc._baseline()
        WINDOW s AS (
            PARTITION BY e.symbol, e.minutes
            ORDER BY e.bucket
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        )
    ),
    fitted AS MATERIALIZED (
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
    $sql$;
COMMENT ON FUNCTION upc._shrinkage_part IS
    'part of the query that makes curves: how far the true probabilities of the buckets are spread around the baseline';


-- The query that makes curves from counts, as text: for an indexed view, or to be executed.
--
-- counts: a query for symbol, year, bucket, minutes, pairs, positive, negative as in
-- upc_data.fingerprint_histogram, and the weight of the year: a column, since an expression would be
-- computed again for every threshold. Counts of several symbols under one name are pooled. stride:
-- every how many minutes a start was counted. Returns a query for symbol, bucket, minutes, sample_size,
-- positive, negative, weighted_size, effective_size, shrinkage. The curves of a symbol depend on its
-- own counts alone, to the last bit.
--
-- Windows that overlap are not independent. n indicators with a mean p of 1/2 vary as much as
-- n / (1 + 2 sum(g[k] c[k])) independent ones, k = stride, 2 stride … below t, where c is the
-- correlation of two of them whose starts are k minutes apart, and g the probability that both
-- starts are counted: 1 in the baseline, same_bucket_share in a bucket. Years of unequal weight w count
-- as sum(w n)^2 / sum(w^2 n) starts of equal weight; symbols in the pool are taken to be independent.
--
-- The shrinkage of a bucket is n / (n + kappa), n its effective size and 1 / kappa the variance of
-- the buckets' true probabilities in units of p (1 - p), p being the baseline's. It is what the
-- squared distances from the baseline, added up over all thresholds, have in excess of sampling, on
-- average over the buckets: first with weights n, then with the better 1 / (1 / n + 1 / kappa). Where
-- there is no excess, it is zero, and so is every shrinkage: the baseline answers.
CREATE FUNCTION upc._curve_query(counts text, stride integer DEFAULT 1)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN concat_ws(
    ',',
    format('WITH weighted AS NOT MATERIALIZED (%s)', counts),
    upc._overlap_part(stride),
    upc._neighbour_part(),
    upc._summed_part(),
    upc._baseline_part(),
    upc._curve_part(),
    upc._shrinkage_part()
) || $sql$
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
            WHEN c.bucket = upc._baseline() THEN 1
            ELSE coalesce(c.effective_size * f.spread / (1 + c.effective_size * f.spread), 0)
        END AS shrinkage
    FROM curve AS c
    LEFT JOIN fitted AS f USING (symbol, minutes)
    $sql$;
COMMENT ON FUNCTION upc._curve_query IS
    'the query, as text, that makes curves with their effective sizes and shrinkage from a query for counts per symbol, year, bucket and minutes with the weight of the year';
