-- Correlations of the momentum of neighbouring minutes, which follow from its weights.

-- Probability that a start a little later falls into the same momentum bucket.
--
-- share: of all starting minutes in the bucket; centre: in bucket 0; correlation: of the momentum of
-- the two; is_outer: true for an open-ended bucket. For normal momentum and a narrow bucket, the
-- density of both, divided by that of one, is a product of powers of the shares: the volatility need
-- not be known. For an open-ended bucket the power approximates the tail of the bivariate normal
-- distribution.
CREATE FUNCTION upc._same_bucket_share(
    share double precision,
    centre double precision,
    correlation double precision,
    is_outer boolean
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _same_bucket_share.is_outer THEN
        _same_bucket_share.share
            ^ (((1 - _same_bucket_share.correlation) / (1 + _same_bucket_share.correlation))
                ^ 0.7::double precision)
    ELSE least(
        1,
        _same_bucket_share.share ^ ((1 - _same_bucket_share.correlation) / (1 + _same_bucket_share.correlation))
            * _same_bucket_share.centre
                ^ (2 * _same_bucket_share.correlation / (1 + _same_bucket_share.correlation))
            / sqrt(1 - _same_bucket_share.correlation * _same_bucket_share.correlation)
    )
END;
COMMENT ON FUNCTION upc._same_bucket_share IS
    'the probability that a start is in the same momentum bucket as an earlier one, from the bucket''s share of all starts, that of bucket 0, and the correlation of both momenta';


-- Correlations of the momentum of two minutes that are 1, 2, 3, and on average 4 to 14, 15 to 29 and
-- 30 to 59 minutes apart.
--
-- Momentum is a sum of the last 30 moves of a minute, each weighed by the weights of all distances
-- that reach as far: a = 1, .7, .45, .25, 11 times .1, 15 times .05. Between two minutes of a random
-- walk that are k apart its correlation is sum(a[j] a[j + k]) / sum(a[j]^2).
--
-- Example:
--   SELECT upc.momentum_correlations() = '{0.679369, 0.434954, 0.270696, 0.164019, 0.070521, 0}';
CREATE FUNCTION upc.momentum_correlations()
RETURNS numeric[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH move AS (
        SELECT j, sum(w.weight::numeric) AS a
        FROM generate_series(1, 30) AS j
        JOIN unnest(upc._momentum_lags(), upc._momentum_weights()) AS w (lag, weight) ON w.lag >= j
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
