-- Coverage of a backtest: the intervals of its training that hold the shares of its test.

-- Query parts of upc.backtest_coverage: cell, with the share that was trained, the one that came, and the spread
-- of the interval. A query for each kind of moves; $1 and $2 are symbol and number of the backtest, $3 the number
-- of months in its test.
CREATE FUNCTION upc._plain_cells()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
    curve AS MATERIALIZED (%s),
    cell AS (
        SELECT
            s.trained,
            s.came,
            upc._interval_spread(s.trained, c.effective_size, c.weighted_size) AS spread
        FROM curve AS c
        JOIN came AS t USING (bucket, minutes)
        CROSS JOIN LATERAL (
            VALUES (c.positive[t.place], t.positive), (c.negative[t.place], t.negative)
        ) AS s (trained, came)
        WHERE c.symbol <> '*'
          AND least(s.trained, 100 - s.trained) * c.effective_size >= 500
    )
    $sql$,
    upc._curve_query(upc._backtest_counts('plain'))
);
COMMENT ON FUNCTION upc._plain_cells IS
    'query parts for the cells of plain moves whose intervals are judged';


-- The share of a bucket's test is a sample itself, which its interval allows for. That of the baseline varies
-- from month to month with what is sampled, which drift has.
CREATE FUNCTION upc._standardised_cells()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
    own AS MATERIALIZED (%1$s),
    ahead AS MATERIALIZED (
        SELECT c.bucket, c.minutes, c.effective_size, c.weighted_size
        FROM (%2$s) AS c
        WHERE c.bucket <> upc._baseline()
    ),
    drift AS MATERIALIZED (%3$s),
    curve AS MATERIALIZED (
        SELECT
            c.bucket,
            c.minutes,
            upc._blend(b.positive, c.positive, c.shrinkage) AS positive,
            upc._blend(b.negative, c.negative, c.shrinkage) AS negative,
            upc._mixed_size(c.effective_size, b.effective_size, c.shrinkage) AS effective_size,
            upc._mixed_size(c.weighted_size, b.weighted_size, c.shrinkage) AS weighted_size
        FROM own AS c
        JOIN own AS b ON b.symbol = c.symbol AND b.minutes = c.minutes AND b.bucket = upc._baseline()
        WHERE c.symbol <> '*'
    ),
    cell AS (
        SELECT
            s.trained,
            s.came,
            upc._interval_spread(s.trained, c.effective_size, c.weighted_size)
                + coalesce(s.drift, 0)
                + coalesce(
                    upc._interval_spread(s.trained, a.effective_size, a.weighted_size), 0
                ) AS spread
        FROM curve AS c
        JOIN came AS t USING (bucket, minutes)
        LEFT JOIN drift AS d USING (minutes)
        LEFT JOIN ahead AS a USING (bucket, minutes)
        CROSS JOIN LATERAL (
            VALUES
                (c.positive[t.place], t.positive, d.positive[t.place]),
                (c.negative[t.place], t.negative, d.negative[t.place])
        ) AS s (trained, came, drift)
        WHERE s.trained BETWEEN 0.2 AND 99.8
    )
    $sql$,
    upc._curve_query(upc._backtest_counts('standardised'), 2),
    upc._curve_query(
        $sql$
        SELECT
            h.symbol, h.year, h.bucket, h.minutes, h.pairs, h.positive, h.negative, 1 AS weight
        FROM upc_data.backtest_histogram AS h
        WHERE h.symbol = $1
          AND h.backtest_id = $2
          AND h.moves = 'tested standardised'
          AND h.pairs > 0
        $sql$,
        2
    ),
    upc._drift_query(
        $sql$
        SELECT m.symbol, m.month, m.minutes, m.pairs, m.positive, m.negative
        FROM upc_data.backtest_month AS m
        WHERE m.symbol = $1 AND m.backtest_id = $2 AND m.pairs > 0
        $sql$,
        '$3'
    )
);
COMMENT ON FUNCTION upc._standardised_cells IS
    'query parts for the cells of standardised moves whose intervals are judged';


-- Number of intervals of the trained curves that hold the shares of the test span.
--
-- A cell is a threshold, upward or downward, of a momentum bucket (or the baseline) and a time to the close. Of
-- plain moves those count of which at least five independent moves are expected on either side, and their
-- intervals are about sampling alone. Of standardised moves those of 0.2 to 99.8 percent count, as the model says
-- them; their intervals are about sampling, that of the test as well, and about drift in as many months as the
-- test has.
-- Returns a row for plain and for standardised moves: cells, the number of their intervals that hold the
-- share of the test span, that as a percentage, and the mean width of all of them, percentage points.
--
-- Example:
--   SELECT count(*) = 0 FROM backtest_coverage('BTC', 0);
CREATE FUNCTION upc.backtest_coverage(symbol text, backtest_id bigint)
RETURNS TABLE (
    moves text,
    cells bigint,
    covered bigint,
    coverage double precision,
    mean_width double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2
SET work_mem = '64MB'
SET jit = off
AS $fn$
DECLARE
    v_moves text;
    v_months double precision := (
        SELECT extract(epoch FROM b.test_to - b.test_from) / (86400 * 365.25 / 12)
        FROM upc_data.backtest AS b
        WHERE b.symbol = backtest_coverage.symbol AND b.backtest_id = backtest_coverage.backtest_id
    );
BEGIN
    FOREACH v_moves IN ARRAY '{plain, standardised}'::text[] LOOP
        FOR moves, cells, covered, coverage, mean_width IN EXECUTE format(
            $sql$
            WITH test AS (
                SELECT b.* FROM upc_data.backtest AS b WHERE b.symbol = $1 AND b.backtest_id = $2
            ),
            came AS (
                SELECT
                    h.bucket, h.minutes, k.place,
                    100 * sum(h.positive[k.place]) / sum(h.pairs)::double precision AS positive,
                    100 * sum(h.negative[k.place]) / sum(h.pairs)::double precision AS negative
                FROM upc_data.backtest_histogram AS h
                CROSS JOIN generate_series(1, 60) AS k (place)
                WHERE h.symbol = $1 AND h.backtest_id = $2 AND h.moves = 'tested ' || %1$L
                GROUP BY h.bucket, h.minutes, k.place
                HAVING sum(h.pairs) > 0
            ),
            %2$s
            SELECT
                %1$L, count(*), count(*) FILTER (WHERE j.came BETWEEN j.low AND j.high),
                100 * count(*) FILTER (WHERE j.came BETWEEN j.low AND j.high)
                    / nullif(count(*), 0)::double precision,
                avg(j.high - j.low)
            FROM (
                SELECT
                    c.came,
                    upc._interval_low(c.trained, c.spread) AS low,
                    upc._interval_high(c.trained, c.spread) AS high
                FROM cell AS c
                -- $3 is a number of months for standardised moves alone.
                WHERE $3 > 0
            ) AS j
            HAVING count(*) > 0
            $sql$,
            v_moves,
            CASE v_moves WHEN 'plain' THEN upc._plain_cells() ELSE upc._standardised_cells() END
        )
        USING symbol, backtest_id, v_months
        LOOP
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc.backtest_coverage IS
    'the number of 95 percent intervals of a backtest''s trained curves that hold the shares of the test span, and their mean width in percentage points';
