-- Reliability of a backtest where people trade: most questions are near 0 or 100 percent, and hide in a mean
-- over all what is wrong between.

-- Reliability of a backtest between 0.2 and 99.8 percent: a row per model and tenth of the log-odds in
-- between, with 95 % intervals.
--
-- prob_from, prob_to: the ends of the tenth, percent. probability: the mean of the predictions in it,
-- percent. observed: share that came true, percent. Whole weeks are drawn with replacement for the
-- intervals, since what is wrong for an hour may be wrong for days. resamples, seed: as in backtest_scores.
-- Tenths without a question are left out, and so are all of a backtest that was run before they were kept.
-- Errors: UP002 symbol, UP022 no such backtest, resamples or seed.
--
-- Example:
--   SELECT model, probability, observed, probability BETWEEN observed_low AND observed_high
--   FROM backtest_odds('BTC', 1);
CREATE FUNCTION upc.backtest_odds(
    symbol text,
    backtest_id bigint,
    resamples integer DEFAULT 1000,
    seed bigint DEFAULT 1
)
RETURNS TABLE (
    model text,
    bin smallint,
    prob_from double precision,
    prob_to double precision,
    questions bigint,
    probability double precision,
    observed double precision,
    observed_low double precision,
    observed_high double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET work_mem = '64MB'
SET max_parallel_workers_per_gather = 0
AS $fn$
DECLARE
    v_models text[];
    v_weekly double precision[];
BEGIN
    PERFORM upc.require_backtest(symbol, backtest_id);
    PERFORM upc._require_resampling('all', resamples, seed);
    SELECT b.models
    INTO v_models
    FROM upc_data.backtest AS b
    WHERE b.symbol = backtest_odds.symbol AND b.backtest_id = backtest_odds.backtest_id;

    WITH score AS (
        SELECT
            date_trunc('week', s.day::timestamp) AS week, s.model, s.part,
            sum(s.questions) AS questions, sum(s.outcomes) AS outcomes
        FROM upc_data.backtest_score AS s
        WHERE s.symbol = backtest_odds.symbol
          AND s.backtest_id = backtest_odds.backtest_id
          AND s.dimension = 'odds'
        GROUP BY week, s.model, s.part
    ),
    row_of_week AS (
        SELECT
            w.week,
            array_agg(
                ARRAY[s.questions, s.outcomes]::double precision[] ORDER BY m.place, b.bin
            ) AS sums
        FROM (SELECT DISTINCT s.week FROM score AS s) AS w
        CROSS JOIN unnest(v_models) WITH ORDINALITY AS m(model, place)
        CROSS JOIN generate_series(0, 9) AS b(bin)
        LEFT JOIN score AS s ON s.week = w.week AND s.model = m.model AND s.part = b.bin
        GROUP BY w.week
    )
    SELECT array_agg(r.sums ORDER BY r.week)
    INTO v_weekly
    FROM row_of_week AS r;
    IF v_weekly IS NULL THEN
        RETURN;
    END IF;

    RETURN QUERY
    WITH spread AS (
        SELECT
            r.block,
            percentile_cont(ARRAY[0.025, 0.975])
                WITHIN GROUP (ORDER BY r.sums[2] / nullif(round(r.sums[1]), 0)) AS observed
        FROM upc._resampled_sums(v_weekly, resamples, seed) AS r
        GROUP BY r.block
    ),
    score AS (
        SELECT
            s.model,
            s.part AS bin,
            sum(s.questions)::bigint AS questions,
            100 * sum(s.probability) / sum(s.questions) AS probability,
            100.0::double precision * sum(s.outcomes) / sum(s.questions) AS observed
        FROM upc_data.backtest_score AS s
        WHERE s.symbol = backtest_odds.symbol
          AND s.backtest_id = backtest_odds.backtest_id
          AND s.dimension = 'odds'
        GROUP BY s.model, s.part
    )
    SELECT
        s.model,
        s.bin,
        upc._odds_edge(s.bin),
        upc._odds_edge(s.bin + 1),
        s.questions,
        s.probability,
        s.observed,
        -- Of digits that were rounded.
        CASE WHEN d.observed IS NOT NULL THEN greatest(0, 100 * d.observed[1]) END,
        CASE WHEN d.observed IS NOT NULL THEN least(100, 100 * d.observed[2]) END
    FROM score AS s
    LEFT JOIN spread AS d ON d.block = 10 * array_position(v_models, s.model) - 9 + s.bin
    ORDER BY array_position(v_models, s.model), s.bin;
END
$fn$;
COMMENT ON FUNCTION upc.backtest_odds IS
    'the reliability of a backtest between 0.2 and 99.8 percent: a row per model and tenth of the log-odds, with 95 % intervals over weeks';
