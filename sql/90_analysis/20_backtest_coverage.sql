-- Coverage of a backtest: the intervals of its training that hold in its test. They are for a
-- probability of the training span, and another year is another year.

-- Number of intervals of the trained curves that hold the shares of the test span.
--
-- A cell is a threshold, upward or downward, of a momentum bucket (or the baseline) and a time to
-- the close, if at least five independent moves are expected on either side of it.
-- Returns a row for plain and for standardised moves: cells, the number of their intervals that hold the
-- share of the test span, and that as a percentage.
--
-- Example:
--   SELECT count(*) = 0 FROM backtest_coverage('BTC', 0);
CREATE FUNCTION upc.backtest_coverage(symbol text, backtest_id bigint)
RETURNS TABLE (moves text, cells bigint, covered bigint, coverage double precision)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2
SET work_mem = '64MB'
SET jit = off
AS $fn$
DECLARE
    v_moves text;
BEGIN
    FOREACH v_moves IN ARRAY '{plain, standardised}'::text[] LOOP
        FOR moves, cells, covered, coverage IN EXECUTE format(
            $sql$
            WITH test AS (
                SELECT b.* FROM upc_data.backtest AS b WHERE b.symbol = $1 AND b.backtest_id = $2
            ),
            curve AS MATERIALIZED (%1$s),
            tested AS (
                SELECT
                    h.bucket, h.minutes, k.place,
                    sum(h.pairs) AS pairs,
                    sum(h.positive[k.place]) AS positive,
                    sum(h.negative[k.place]) AS negative
                FROM upc_data.backtest_histogram AS h
                CROSS JOIN generate_series(1, 60) AS k (place)
                WHERE h.symbol = $1 AND h.backtest_id = $2 AND h.moves = 'tested ' || %2$L
                GROUP BY h.bucket, h.minutes, k.place
                HAVING sum(h.pairs) > 0
            ),
            cell AS (
                SELECT
                    c.effective_size, c.weighted_size, s.trained,
                    100 * s.moved / t.pairs::double precision AS came
                FROM curve AS c
                JOIN tested AS t USING (bucket, minutes)
                CROSS JOIN LATERAL (
                    VALUES (c.positive[t.place], t.positive), (c.negative[t.place], t.negative)
                ) AS s (trained, moved)
                WHERE c.symbol <> '*'
                  AND least(s.trained, 100 - s.trained) * c.effective_size >= 500
            ),
            judged AS (
                SELECT
                    c.came BETWEEN upc._interval_low(c.trained, i.spread)
                        AND upc._interval_high(c.trained, i.spread) AS is_covered
                FROM cell AS c
                CROSS JOIN LATERAL (
                    SELECT upc._interval_spread(c.trained, c.effective_size, c.weighted_size) AS spread
                ) AS i
            )
            SELECT
                %2$L, count(*), count(*) FILTER (WHERE j.is_covered),
                100 * count(*) FILTER (WHERE j.is_covered)
                    / nullif(count(*), 0)::double precision
            FROM judged AS j
            HAVING count(*) > 0
            $sql$,
            upc._curve_query(upc._backtest_counts(v_moves)), v_moves
        )
        USING symbol, backtest_id
        LOOP
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc.backtest_coverage IS
    'the number of 95 percent intervals of a backtest''s trained curves that hold the shares of the test span';
