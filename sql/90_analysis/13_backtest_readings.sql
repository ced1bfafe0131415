-- Curves of a backtest, as its models read them.

-- Share of the variance of the last minute that the mean of its 60 prices has, one per second: what
-- is open of a contract that settles by the average, a minute before its close.
CREATE FUNCTION upc._average_share()
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 61 * 121 / 21600.0::double precision;
COMMENT ON FUNCTION upc._average_share IS
    'the share of the variance of the last minute that the mean of its 60 prices has, one per second';


CREATE FUNCTION upc._backtest_counts(moves text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- The newest year of the training weighs most, as in the fingerprints.
RETURN format(
    $sql$
    SELECT
        h.symbol, h.year, h.bucket, h.minutes, h.pairs, h.positive, h.negative,
        greatest(1, 5 - (
            extract(year FROM (t.train_to - interval '1 minute') AT TIME ZONE 'UTC')::integer - h.year
        )) AS weight
    FROM upc_data.backtest_histogram AS h
    JOIN test AS t USING (symbol, backtest_id)
    WHERE h.moves = %L AND h.pairs > 0
    $sql$,
    _backtest_counts.moves
);
COMMENT ON FUNCTION upc._backtest_counts IS
    'the query for the counts of a backtest that upc._curve_query takes';


-- Query parts for the curves of a backtest: test, its row; curve, the curves by moves, bucket and
-- minutes; bucket_curve, those that answer for each bucket; model_curve, those that each model reads there.
-- $1 and $2 are symbol and number of the backtest.
CREATE FUNCTION upc._backtest_curves()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
    test AS (
        SELECT b.* FROM upc_data.backtest AS b WHERE b.symbol = $1 AND b.backtest_id = $2
    ),
    plain AS MATERIALIZED (%1$s),
    standardised AS MATERIALIZED (%2$s),
    long_curve AS MATERIALIZED (
        SELECT
            s.minutes::integer AS minutes,
            array_agg((100 * s.up)::double precision / s.weight ORDER BY s.k) AS positive,
            array_agg((100 * s.down)::double precision / s.weight ORDER BY s.k) AS negative
        FROM (
            SELECT
                h.minutes, k, sum(h.weight * h.positive[k]) AS up, sum(h.weight * h.negative[k]) AS down,
                sum(h.weight * h.pairs)::double precision AS weight
            FROM (%3$s) AS h
            CROSS JOIN generate_series(1, 60) AS k
            WHERE h.minutes > 60
            GROUP BY h.minutes, k
        ) AS s
        GROUP BY s.minutes
    ),
    curve AS MATERIALIZED (
        SELECT 'plain' AS moves, p.bucket::integer AS bucket, p.minutes::integer AS minutes,
            p.positive, p.negative, p.shrinkage
        FROM plain AS p WHERE p.symbol <> '*'
        UNION ALL
        SELECT 'standardised', s.bucket, s.minutes, s.positive, s.negative, s.shrinkage
        FROM standardised AS s WHERE s.symbol <> '*'
    ),
    -- The nearest bucket that there is, the one nearer to zero on a tie, as in the grid. A
    -- bucket of standardised moves that nothing was seen of is as the baseline.
    bucket_key AS MATERIALIZED (
        SELECT DISTINCT ON (m.moves, m.minutes, b.bucket)
            m.moves, m.minutes, b.bucket AS asked, m.bucket
        FROM (SELECT generate_series(-30, 30) UNION ALL SELECT upc._baseline()) AS b (bucket)
        CROSS JOIN (SELECT c.moves, c.minutes, c.bucket FROM curve AS c) AS m
        ORDER BY m.moves, m.minutes, b.bucket,
            CASE m.moves
                WHEN 'standardised' THEN m.bucket NOT IN (b.bucket, upc._baseline())
                ELSE (b.bucket = upc._baseline()) <> (m.bucket = upc._baseline())
            END,
            abs(m.bucket - b.bucket), abs(m.bucket)
    ),
    bucket_curve AS (
        SELECT k.asked, c.*
        FROM bucket_key AS k
        JOIN curve AS c USING (moves, minutes, bucket)
    ),
    asked AS (
        SELECT
            m AS model,
            split_part(m, ':', 1) AS kind,
            split_part(m, ':', 2) = 'linear' AS is_linear
        FROM test, unnest(test.models) AS m
        -- The others read no curve.
        WHERE m LIKE '%%:%%'
    ),
    model_curve AS (
        SELECT
            a.model,
            a.kind = 'volatility' AS is_standardised,
            a.is_linear,
            c.asked AS bucket,
            c.minutes,
            CASE a.kind
                WHEN 'momentum' THEN c.positive
                WHEN 'baseline' THEN b.positive
                ELSE upc._blend(b.positive, c.positive, coalesce(c.shrinkage, 1))
            END AS positive,
            CASE a.kind
                WHEN 'momentum' THEN c.negative
                WHEN 'baseline' THEN b.negative
                ELSE upc._blend(b.negative, c.negative, coalesce(c.shrinkage, 1))
            END AS negative
        FROM asked AS a
        JOIN bucket_curve AS c
            ON c.moves = CASE a.kind WHEN 'volatility' THEN 'standardised' ELSE 'plain' END
        JOIN curve AS b
            ON b.moves = c.moves AND b.minutes = c.minutes AND b.bucket = upc._baseline()
        UNION ALL
        -- Beyond an hour there is one for all.
        SELECT a.model, true, a.is_linear, b.bucket, l.minutes, l.positive, l.negative
        FROM asked AS a
        CROSS JOIN long_curve AS l
        CROSS JOIN (SELECT generate_series(-30, 30) UNION ALL SELECT upc._baseline()) AS b (bucket)
        WHERE a.kind = 'volatility'
    )
    $sql$,
    upc._curve_query(upc._backtest_counts('plain')),
    upc._curve_query(upc._backtest_counts('standardised'), 2),
    upc._backtest_counts('standardised')
);
COMMENT ON FUNCTION upc._backtest_curves IS
    'query parts for the curves of a backtest, by model and the bucket that is asked for';


-- Query part for the curves of a backtest as they are corrected in each of the weeks $5, by the newest correction
-- of a Monday up to then: corrected, from those of upc._backtest_curves.
CREATE FUNCTION upc._corrected_part()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN $sql$
    recalibration AS MATERIALIZED (
        SELECT w.week, h.minutes, k.lift, k.stretch, k.bend
        FROM unnest($5) AS w (week)
        CROSS JOIN (SELECT DISTINCT c.minutes FROM model_curve AS c) AS h
        LEFT JOIN LATERAL (
            SELECT b.lifts, b.stretches, b.bends
            FROM upc_data.backtest_recalibration AS b
            WHERE b.symbol = $1 AND b.backtest_id = $2 AND b.week <= w.week
            ORDER BY b.week DESC
            LIMIT 1
        ) AS r ON true
        CROSS JOIN LATERAL upc._recalibration_at(r.lifts, r.stretches, r.bends, h.minutes) AS k
    ),
    corrected AS MATERIALIZED (
        SELECT
            s.model, s.is_standardised, s.is_linear, s.bucket, s.minutes, k.week,
            CASE WHEN s.is_standardised
                THEN upc._recalibrated_curve(s.positive, k.lift, k.stretch, k.bend)
                ELSE s.positive
            END AS positive,
            CASE WHEN s.is_standardised
                THEN upc._recalibrated_curve(s.negative, -k.lift, k.stretch, k.bend)
                ELSE s.negative
            END AS negative
        FROM model_curve AS s
        JOIN recalibration AS k ON k.minutes = s.minutes
    )
    $sql$;
COMMENT ON FUNCTION upc._corrected_part IS
    'query part for the curves of a backtest as they are corrected in some weeks';


-- Query part for the curves that lie before and after the times beyond an hour that a backtest asks about, and how
-- far it has got from the one to the other: long_place.
CREATE FUNCTION upc._long_place_part()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN $sql$
    long_place AS (
        SELECT
            t.kind, t.minutes, l.listed[t.place] AS near, l.listed[t.place + 1] AS far,
            (t.time - l.listed[t.place]) / (l.listed[t.place + 1] - l.listed[t.place]) AS share
        FROM (SELECT 60 || upc._long_horizons() AS listed) AS l
        CROSS JOIN LATERAL (
            SELECT
                x.kind, x.minutes, x.time,
                least(
                    width_bucket(x.time, l.listed::double precision[]), cardinality(l.listed) - 1
                ) AS place
            FROM (
                SELECT test.kind, m AS minutes, m - CASE WHEN test.settlement = 'average'
                    THEN 1 - upc._average_share() ELSE 0 END AS time
                FROM test
                CROSS JOIN unnest(test.minutes::integer[]) AS m
                WHERE m > 60
            ) AS x
        ) AS t
    )
    $sql$;
COMMENT ON FUNCTION upc._long_place_part IS
    'query part for the curves between which a backtest reads beyond an hour';


CREATE TYPE upc._backtest_reading AS (
    week date,
    model text,
    bucket integer,
    minutes integer,
    positive double precision[],
    negative double precision[],
    thresholds double precision[],
    edges double precision[],
    is_linear boolean,
    is_standardised boolean
);
COMMENT ON TYPE upc._backtest_reading IS
    'the curve that a model of a backtest reads in a week, by momentum bucket (99: baseline) and minutes to the close';


-- weeks: Mondays; the curves of standardised moves are those of each week, corrected as they were known by
-- then; '-infinity' has them as they were counted.
CREATE FUNCTION upc._backtest_readings(symbol text, backtest_id bigint, weeks date[])
RETURNS SETOF upc._backtest_reading
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2000
SET work_mem = '64MB'
SET jit = off
AS $fn$
DECLARE
    v_plain double precision[] := ARRAY(
        SELECT k::double precision / 20 FROM generate_series(0, 59) AS k ORDER BY k
    );
BEGIN
    RETURN QUERY EXECUTE format(
        $sql$
        WITH %1$s,
        %2$s,
        %3$s,
        -- Of the average of the last minute 39.5 seconds less are open than until its end.
        timed AS (
            SELECT
                test.kind, s.week, s.model, s.is_standardised, s.is_linear, s.bucket, t.minutes,
                CASE WHEN test.settlement = 'average' AND s.is_linear AND t.minutes > 1
                    THEN upc._blend(e.positive, s.positive, upc._average_share())
                    WHEN test.settlement = 'average' THEN e.positive
                    ELSE s.positive
                END AS positive,
                CASE WHEN test.settlement = 'average' AND s.is_linear AND t.minutes > 1
                    THEN upc._blend(e.negative, s.negative, upc._average_share())
                    WHEN test.settlement = 'average' THEN e.negative
                    ELSE s.negative
                END AS negative
            FROM test
            CROSS JOIN unnest(test.minutes::integer[]) AS t (minutes)
            JOIN corrected AS s ON s.minutes = t.minutes
            JOIN corrected AS e
                ON e.model = s.model AND e.bucket = s.bucket AND e.week = s.week
                AND e.minutes = CASE WHEN test.settlement = 'average'
                    THEN greatest(1, t.minutes - 1) ELSE t.minutes END
            WHERE t.minutes <= 60
            UNION ALL
            SELECT
                p.kind, s.week, s.model, s.is_standardised, s.is_linear, s.bucket, p.minutes,
                upc._blend(s.positive, e.positive,
                    CASE WHEN s.is_linear THEN p.share ELSE (p.share > 0.5)::integer END),
                upc._blend(s.negative, e.negative,
                    CASE WHEN s.is_linear THEN p.share ELSE (p.share > 0.5)::integer END)
            FROM long_place AS p
            JOIN corrected AS s ON s.minutes = p.near
            JOIN corrected AS e
                ON e.model = s.model AND e.bucket = s.bucket AND e.week = s.week AND e.minutes = p.far
        )
        SELECT
            t.week,
            t.model,
            t.bucket,
            t.minutes,
            CASE WHEN w.is_met
                THEN ARRAY[(t.positive[1] + 100 - t.negative[1]) / 2] || t.positive[2:60]
                ELSE t.positive
            END,
            CASE WHEN w.is_met
                THEN ARRAY[100 - (t.positive[1] + 100 - t.negative[1]) / 2] || t.negative[2:60]
                ELSE t.negative
            END,
            CASE WHEN t.is_standardised THEN upc.volatility_thresholds() ELSE $3 END,
            CASE WHEN t.is_standardised THEN upc._volatility_edges() ELSE $4 END,
            t.is_linear,
            t.is_standardised
        FROM timed AS t
        CROSS JOIN LATERAL (
            -- The bounds of a range are on either side of the price: both sides have to meet there.
            SELECT t.is_linear OR t.is_standardised OR t.kind <> 'above' AS is_met
        ) AS w
        $sql$,
        upc._backtest_curves(),
        upc._corrected_part(),
        upc._long_place_part()
    )
    USING symbol, backtest_id, v_plain,
        ARRAY(
            -- A hair up, as in the grid.
            SELECT (v_plain[k] + v_plain[k + 1]) / 2 + 1e-9 FROM generate_series(1, 59) AS k ORDER BY k
        ),
        weeks;
END
$fn$;
COMMENT ON FUNCTION upc._backtest_readings IS
    'the curves that a backtest''s models read, by momentum bucket (99: baseline) and minutes to the close, as compute_strikes would read them';
