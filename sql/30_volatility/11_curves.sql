-- Curves of standardised moves: like the fingerprints, one row per symbol, bucket and minute, and
-- refreshed together with them. Momentum adds little once volatility is taken out, so each bucket is
-- shrunk towards the baseline as far as it is not backed.

CREATE FUNCTION upc._blend_any(
    curve double precision[],
    other double precision[],
    share double precision
)
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT b.c + _blend_any.share * (b.o - b.c)
    FROM unnest(_blend_any.curve, _blend_any.other) WITH ORDINALITY AS b (c, o, i)
    ORDER BY b.i
);
COMMENT ON FUNCTION upc._blend_any IS 'upc._blend for curves of any length';


-- Without a query in it PL/pgSQL evaluates it on the spot, in a tenth of the time.
DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._blend(
            curve double precision[],
            other double precision[],
            share double precision
        )
        RETURNS double precision[]
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN CASE
            WHEN _blend.share = 0 THEN _blend.curve
            WHEN cardinality(_blend.curve) = 60 THEN ARRAY[%s]
            ELSE upc._blend_any(_blend.curve, _blend.other, _blend.share)
        END
        $sql$,
        (
            SELECT string_agg(
                format('_blend.curve[%1$s] + _blend.share * (_blend.other[%1$s] - _blend.curve[%1$s])', k),
                ', ' ORDER BY k
            )
            FROM generate_series(1, 60) AS k
        )
    );
END
$do$;
COMMENT ON FUNCTION upc._blend IS
    'a curve between two others, element by element: the first at a share of 0, the other at 1';


CREATE FUNCTION upc._volatility_name(symbol text, bucket integer)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN replace(
    upc.fingerprint_name(_volatility_name.symbol, _volatility_name.bucket),
    '_fingerprint_directional_', '_volatility_'
);
COMMENT ON FUNCTION upc._volatility_name IS
    'the name of a fingerprint of standardised moves from its symbol and momentum bucket (99: baseline)';


CREATE FUNCTION upc._long_name(symbol text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN lower(_long_name.symbol) || '_volatility_beyond_hour';
COMMENT ON FUNCTION upc._long_name IS
    'the name of the fingerprint of standardised moves beyond an hour';


CREATE FUNCTION upc._mixed_size(
    size double precision,
    baseline_size double precision,
    shrinkage double precision
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 1 / (
    _mixed_size.shrinkage / _mixed_size.size
    + (1 - _mixed_size.shrinkage) ^ 2 / _mixed_size.baseline_size
);
COMMENT ON FUNCTION upc._mixed_size IS
    'the number of independent starting minutes behind a bucket that is shrunk towards the baseline, a shrinkage of 1 being none';


-- The query that makes curves of standardised moves from their counts, as text.
--
-- is_one: of the symbol $1 alone. Returns a query for the columns of upc_data.volatility_curve.
CREATE FUNCTION upc._volatility_curve_query(is_one boolean)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
    WITH curve AS MATERIALIZED (%s)
    SELECT
        c.symbol COLLATE "C" AS symbol,
        c.bucket,
        c.minutes,
        c.sample_size,
        upc._blend(b.positive, c.positive, coalesce(c.shrinkage, 1)) AS positive,
        upc._blend(b.negative, c.negative, coalesce(c.shrinkage, 1)) AS negative,
        upc._mixed_size(c.effective_size, b.effective_size, coalesce(c.shrinkage, 1))
            AS effective_size,
        upc._mixed_size(c.weighted_size, b.weighted_size, coalesce(c.shrinkage, 1))
            AS weighted_size,
        c.shrinkage,
        upc._volatility_name(c.symbol, c.bucket) AS fingerprint
    FROM curve AS c
    JOIN curve AS b ON b.symbol = c.symbol AND b.minutes = c.minutes AND b.bucket = upc._baseline()
    $sql$,
    upc._curve_query(
        format(
            $sql$
            SELECT
                h.symbol, h.year, h.bucket, h.minutes, h.pairs, h.positive, h.negative,
                y.weight
            FROM upc_data.volatility_histogram AS h
            JOIN (
                SELECT
                    k.symbol,
                    k.year,
                    greatest(1, 5 - (max(k.year) OVER (PARTITION BY k.symbol) - k.year)) AS weight
                FROM (
                    SELECT DISTINCT d.symbol, extract(year FROM d.day)::integer AS year
                    FROM upc_data.volatility_day AS d
                    WHERE %1$s
                ) AS k
            ) AS y USING (symbol, year)
            JOIN upc_data.volatility_fit AS f USING (symbol)
            -- As a plain comparison it would be taken to hold for hardly any row, whenever a generation
            -- is newer than the statistics, and the joins would be nested loops.
            WHERE CASE WHEN h.generation = f.used_generation THEN true ELSE false END AND %2$s
            $sql$,
            CASE
                WHEN _volatility_curve_query.is_one
                THEN 'd.symbol = $1 AND d.generation = (SELECT k.used_generation '
                    'FROM upc_data.volatility_fit AS k WHERE k.symbol = $1)'
                ELSE '(d.symbol, d.generation) IN (SELECT k.symbol, k.used_generation '
                    'FROM upc_data.volatility_fit AS k)'
            END,
            CASE WHEN _volatility_curve_query.is_one THEN 'h.symbol = $1' ELSE 'true' END
        ),
        2
    )
);
COMMENT ON FUNCTION upc._volatility_curve_query IS
    'the query, as text, that makes the curves of standardised moves from their counts: of the symbol $1, or of all';


-- Query part for curves beyond an hour, as text: long_curve, by minutes, from weighted counters.
--
-- counters: a query for minutes, counters and the weight of their year; of counters see 25_histograms.
-- Windows overlap as upc._curve_query says, of starts every quarter of an hour.
CREATE FUNCTION upc._long_curve_part(counters text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
    long_packed AS (
        SELECT
            c.minutes,
            upc._packed(sum(c.counters)) AS plain,
            upc._packed(sum(c.weight * c.counters)) AS packed,
            upc._packed(sum(c.weight * c.weight * c.counters)) AS squares
        FROM (%1$s) AS c
        WHERE c.counters <> 0
        GROUP BY c.minutes
    ),
    long_curve AS MATERIALIZED (
        SELECT
            s.minutes,
            s.pairs::bigint AS sample_size,
            ARRAY(SELECT 100 * n / s.weight FROM unnest(s.positive) WITH ORDINALITY AS p (n, i) ORDER BY i)
                AS positive,
            ARRAY(SELECT 100 * n / s.weight FROM unnest(s.negative) WITH ORDINALITY AS p (n, i) ORDER BY i)
                AS negative,
            s.weight * s.weight / s.squares AS weighted_size,
            greatest(1, s.weight * s.weight / s.squares / (
                1 + 2 * (
                    SELECT coalesce(sum(2 / pi() * asin(1 - k::double precision / s.minutes)), 0)
                    FROM generate_series(15, s.minutes - 1, 15) AS k
                )
            )) AS effective_size
        FROM (
            SELECT
                p.minutes,
                %2$s AS pairs,
                (%3$s)::double precision AS weight,
                (%4$s)::double precision AS squares,
                ARRAY[%5$s]::double precision[] AS positive,
                ARRAY[%6$s]::double precision[] AS negative
            FROM long_packed AS p
            OFFSET 0
        ) AS s
    )
    $sql$,
    _long_curve_part.counters,
    replace(upc._unpacked(60), 'p.packed', 'p.plain'),
    upc._unpacked(60),
    replace(upc._unpacked(60), 'p.packed', 'p.squares'),
    (SELECT string_agg(upc._unpacked(61 + k), ', ' ORDER BY k) FROM generate_series(0, 59) AS k),
    (SELECT string_agg(upc._unpacked(59 - k), ', ' ORDER BY k) FROM generate_series(0, 59) AS k)
);
COMMENT ON FUNCTION upc._long_curve_part IS
    'part of a query: curves of standardised moves beyond an hour, by minutes, from packed counters with the weights of their years';


CREATE FUNCTION upc._long_curve_query()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
    WITH %s
    SELECT
        $1 COLLATE "C" AS symbol,
        c.minutes,
        c.sample_size,
        c.positive,
        c.negative,
        c.effective_size,
        c.weighted_size,
        upc._long_name($1) AS fingerprint
    FROM long_curve AS c
    $sql$,
    upc._long_curve_part(
        $sql$
        SELECT h.minutes, k.counters, y.weight
        FROM upc_data.volatility_fit AS f
        JOIN upc_data.horizon_day AS d ON d.symbol = $1 AND d.generation = f.used_generation
        -- Weighed as the curves up to an hour are.
        JOIN (
            SELECT
                extract(year FROM v.day) AS year,
                greatest(1, 5 - (max(extract(year FROM v.day)) OVER () - extract(year FROM v.day)))
                    AS weight
            FROM upc_data.volatility_day AS v
            JOIN upc_data.volatility_fit AS u ON u.symbol = $1 AND v.generation = u.used_generation
            WHERE v.symbol = $1
            GROUP BY 1
        ) AS y ON y.year = extract(year FROM d.day)
        CROSS JOIN LATERAL unnest(d.counters, upc._long_horizons()) AS k (counters, minutes)
        CROSS JOIN LATERAL (SELECT k.minutes::smallint AS minutes) AS h
        WHERE f.symbol = $1
        $sql$
    )
);
COMMENT ON FUNCTION upc._long_curve_query IS
    'the query, as text, that makes the curves of the symbol $1 beyond an hour from their counts';


CREATE VIEW upc.volatility_curve AS
SELECT
    c.symbol,
    c.bucket,
    c.minutes,
    c.sample_size,
    c.positive,
    c.negative,
    c.effective_size,
    c.weighted_size,
    c.shrinkage,
    c.fingerprint,
    c.recalibrated_positive,
    c.recalibrated_negative
FROM upc_data.volatility_curve AS c;
COMMENT ON VIEW upc.volatility_curve IS
    'the fingerprints of standardised moves: one row per symbol, momentum bucket and distance in minutes';
COMMENT ON COLUMN upc.volatility_curve.symbol IS 'symbol';
COMMENT ON COLUMN upc.volatility_curve.bucket IS 'momentum bucket, basis points; 99 is the baseline';
COMMENT ON COLUMN upc.volatility_curve.minutes IS 'minutes from now to the later close';
COMMENT ON COLUMN upc.volatility_curve.sample_size IS
    'starting minutes behind the row, every other one, unweighted';
COMMENT ON COLUMN upc.volatility_curve.positive IS
    'element k: probability in percent of a move of at least the k-th of upc.volatility_thresholds() standard deviations, shrunk towards the baseline''s';
COMMENT ON COLUMN upc.volatility_curve.negative IS
    'element k: probability in percent of a move of at most minus the k-th threshold, shrunk like positive';
COMMENT ON COLUMN upc.volatility_curve.effective_size IS
    'starting minutes behind a probability of 1/2, were they independent';
COMMENT ON COLUMN upc.volatility_curve.weighted_size IS
    'starting minutes behind the row, were the years of equal weight';
COMMENT ON COLUMN upc.volatility_curve.shrinkage IS
    'the share of the bucket''s own numbers, 0 to 1; the rest is the baseline''s';
COMMENT ON COLUMN upc.volatility_curve.fingerprint IS 'name; also of its view in analytics, where its symbol has them';
COMMENT ON COLUMN upc.volatility_curve.recalibrated_positive IS
    'positive, corrected by what came of earlier answers; NULL where there is no correction';
COMMENT ON COLUMN upc.volatility_curve.recalibrated_negative IS 'negative, corrected like positive';


CREATE VIEW upc.horizon_curve AS
SELECT
    c.symbol,
    c.minutes,
    c.sample_size,
    c.positive,
    c.negative,
    c.effective_size,
    c.weighted_size,
    c.fingerprint,
    c.recalibrated_positive,
    c.recalibrated_negative
FROM upc_data.horizon_curve AS c;
COMMENT ON VIEW upc.horizon_curve IS
    'the fingerprints of standardised moves beyond an hour: one row per symbol and distance of 75 to 1440 minutes';
COMMENT ON COLUMN upc.horizon_curve.symbol IS 'symbol';
COMMENT ON COLUMN upc.horizon_curve.minutes IS 'minutes from now to the later close';
COMMENT ON COLUMN upc.horizon_curve.sample_size IS
    'starting minutes behind the row, one every quarter of an hour, unweighted';
COMMENT ON COLUMN upc.horizon_curve.positive IS
    'element k: probability in percent of a move of at least the k-th of upc.volatility_thresholds() standard deviations';
COMMENT ON COLUMN upc.horizon_curve.negative IS
    'element k: probability in percent of a move of at most minus the k-th threshold';
COMMENT ON COLUMN upc.horizon_curve.effective_size IS
    'starting minutes behind a probability of 1/2, were they independent';
COMMENT ON COLUMN upc.horizon_curve.weighted_size IS
    'starting minutes behind the row, were the years of equal weight';
COMMENT ON COLUMN upc.horizon_curve.fingerprint IS 'name of the fingerprint';
COMMENT ON COLUMN upc.horizon_curve.recalibrated_positive IS
    'positive, corrected as that of 60 minutes is; NULL where there is no correction';
COMMENT ON COLUMN upc.horizon_curve.recalibrated_negative IS 'negative, corrected like positive';
