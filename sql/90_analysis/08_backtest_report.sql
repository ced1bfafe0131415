-- What a backtest found: scores, reliability, the verdict, and the list of all.

-- The scores of a backtest, a row a model and part, with 95 % intervals.
--
-- dimension: all, minutes (to the close), distance (of the strike), hour (of the close, UTC) or
-- regime (of volatility). resamples, seed: of the intervals. Whole days are drawn with
-- replacement, the same ones for all models; without resamples the intervals are NULL.
-- base_rate: share of questions that came true, percent. brier: mean squared error. log_loss:
-- natural logarithm. calibration_error: how far the 20 bins are from what came true, percentage
-- points, weighted by questions. resolution: of Murphy's decomposition over the bins, how far what
-- came true in the bins is from the base rate. sharpness: the variance of the probabilities; of a
-- calibrated model it is the resolution.
-- A resample errs by chance as the days have before, which adds to the calibration error: its
-- interval is the spread of the resamples around their median, laid around the error itself.
-- Errors: UP002 symbol, UP022 no such backtest, dimension, resamples or seed.
--
-- Example: SELECT model, log_loss, log_loss_low, log_loss_high FROM backtest_scores('BTC', 1);
CREATE FUNCTION upc.backtest_scores(
    symbol text,
    backtest_id bigint,
    dimension text DEFAULT 'all',
    resamples integer DEFAULT 1000,
    seed bigint DEFAULT 1
)
RETURNS TABLE (
    model text,
    part smallint,
    questions bigint,
    base_rate double precision,
    brier double precision,
    brier_low double precision,
    brier_high double precision,
    log_loss double precision,
    log_loss_low double precision,
    log_loss_high double precision,
    calibration_error double precision,
    calibration_error_low double precision,
    calibration_error_high double precision,
    resolution double precision,
    sharpness double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET work_mem = '64MB'
SET max_parallel_workers_per_gather = 0
AS $fn$
BEGIN
    PERFORM upc.require_backtest(symbol, backtest_id);
    PERFORM upc._require_resampling(dimension, resamples, seed);
    RETURN QUERY
    WITH bin AS (
        SELECT
            s.model,
            s.part,
            sum(s.questions) AS questions,
            sum(s.outcomes)::double precision AS outcomes,
            sum(s.probability) AS probability,
            sum(s.squared_probability) AS squared_probability,
            sum(s.squared_error) AS squared_error,
            sum(s.log_loss) AS log_loss
        FROM upc_data.backtest_score AS s
        WHERE s.symbol = backtest_scores.symbol
          AND s.backtest_id = backtest_scores.backtest_id
          AND s.dimension = backtest_scores.dimension
        GROUP BY s.model, s.part, s.bin
    ),
    score AS (
        SELECT
            b.model,
            b.part,
            sum(b.questions)::bigint AS questions,
            sum(b.outcomes) / sum(b.questions) AS base_rate,
            sum(b.squared_error) / sum(b.questions) AS brier,
            sum(b.log_loss) / sum(b.questions) AS log_loss,
            100 * sum(abs(b.probability - b.outcomes)) / sum(b.questions) AS calibration_error,
            -- The mean square of the shares less the square of their mean.
            sum(b.outcomes ^ 2 / b.questions) / sum(b.questions)
                - (sum(b.outcomes) / sum(b.questions)) ^ 2 AS resolution,
            sum(b.squared_probability) / sum(b.questions)
                - (sum(b.probability) / sum(b.questions)) ^ 2 AS sharpness
        FROM bin AS b
        GROUP BY b.model, b.part
    ),
    spread AS (
        SELECT
            r.model,
            r.part,
            percentile_cont(ARRAY[0.025, 0.975]) WITHIN GROUP (ORDER BY r.brier) AS brier,
            percentile_cont(ARRAY[0.025, 0.975]) WITHIN GROUP (ORDER BY r.log_loss) AS log_loss,
            percentile_cont(ARRAY[0.025, 0.5, 0.975])
                WITHIN GROUP (ORDER BY r.calibration_error) AS calibration_error
        FROM upc._backtest_resampled(symbol, backtest_id, dimension, resamples, seed, true) AS r
        GROUP BY r.model, r.part
    )
    SELECT
        s.model,
        s.part,
        s.questions,
        100 * s.base_rate,
        s.brier,
        d.brier[1],
        d.brier[2],
        s.log_loss,
        d.log_loss[1],
        d.log_loss[2],
        s.calibration_error,
        CASE WHEN d.calibration_error IS NOT NULL THEN
            greatest(0, s.calibration_error + d.calibration_error[1] - d.calibration_error[2])
        END,
        s.calibration_error + d.calibration_error[3] - d.calibration_error[2],
        greatest(0, s.resolution),
        greatest(0, s.sharpness)
    FROM score AS s
    LEFT JOIN spread AS d ON d.model = s.model AND d.part = s.part
    JOIN upc_data.backtest AS b
        ON b.symbol = backtest_scores.symbol AND b.backtest_id = backtest_scores.backtest_id
    ORDER BY array_position(b.models, s.model), s.part;
END
$fn$;
COMMENT ON FUNCTION upc.backtest_scores IS
    'the scores of a backtest, a row a model and part, with 95 % intervals';


-- The reliability of a backtest: a row a model and bin of probability, with 95 % intervals.
--
-- probability: the mean of those in the bin, percent. observed: share that came true, percent.
-- resamples, seed: as in backtest_scores. Bins without a question are left out.
-- Errors: UP002 symbol, UP022 no such backtest, resamples or seed.
--
-- Example: SELECT model, probability, observed FROM backtest_reliability('BTC', 1);
CREATE FUNCTION upc.backtest_reliability(
    symbol text,
    backtest_id bigint,
    resamples integer DEFAULT 1000,
    seed bigint DEFAULT 1
)
RETURNS TABLE (
    model text,
    bin smallint,
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
    v_daily double precision[];
BEGIN
    PERFORM upc.require_backtest(symbol, backtest_id);
    PERFORM upc._require_resampling('all', resamples, seed);
    SELECT b.models
    INTO v_models
    FROM upc_data.backtest AS b
    WHERE b.symbol = backtest_reliability.symbol
      AND b.backtest_id = backtest_reliability.backtest_id;

    WITH score AS (
        SELECT s.day, s.model, s.bin, s.questions, s.outcomes
        FROM upc_data.backtest_score AS s
        WHERE s.symbol = backtest_reliability.symbol
          AND s.backtest_id = backtest_reliability.backtest_id
          AND s.dimension = 'all'
    ),
    row_of_day AS (
        SELECT
            d.day,
            array_agg(
                ARRAY[s.questions, s.outcomes]::double precision[] ORDER BY m.place, b.bin
            ) AS sums
        FROM (SELECT DISTINCT s.day FROM score AS s) AS d
        CROSS JOIN unnest(v_models) WITH ORDINALITY AS m(model, place)
        CROSS JOIN generate_series(0, 19) AS b(bin)
        LEFT JOIN score AS s ON s.day = d.day AND s.model = m.model AND s.bin = b.bin
        GROUP BY d.day
    )
    SELECT array_agg(r.sums ORDER BY r.day)
    INTO v_daily
    FROM row_of_day AS r;

    RETURN QUERY
    WITH spread AS (
        SELECT
            r.block,
            percentile_cont(ARRAY[0.025, 0.975])
                WITHIN GROUP (ORDER BY r.sums[2] / nullif(round(r.sums[1]), 0)) AS observed
        FROM upc._resampled_sums(v_daily, resamples, seed) AS r
        GROUP BY r.block
    ),
    score AS (
        SELECT
            s.model,
            s.bin,
            sum(s.questions)::bigint AS questions,
            100 * sum(s.probability) / sum(s.questions) AS probability,
            100.0::double precision * sum(s.outcomes) / sum(s.questions) AS observed
        FROM upc_data.backtest_score AS s
        WHERE s.symbol = backtest_reliability.symbol
          AND s.backtest_id = backtest_reliability.backtest_id
          AND s.dimension = 'all'
        GROUP BY s.model, s.bin
    )
    SELECT
        s.model,
        s.bin,
        s.questions,
        s.probability,
        s.observed,
        -- Of digits that were rounded.
        CASE WHEN d.observed IS NOT NULL THEN greatest(0, 100 * d.observed[1]) END,
        CASE WHEN d.observed IS NOT NULL THEN least(100, 100 * d.observed[2]) END
    FROM score AS s
    LEFT JOIN spread AS d ON d.block = 20 * array_position(v_models, s.model) - 19 + s.bin
    ORDER BY array_position(v_models, s.model), s.bin;
END
$fn$;
COMMENT ON FUNCTION upc.backtest_reliability IS
    'the reliability of a backtest: a row a model and bin of probability, with 95 % intervals';


-- The verdict of a backtest: the model with the lowest log loss of all questions against each other
-- one, overall and by the minutes to the close.
--
-- minutes: NULL is overall. difference: of the log losses, the model's less the opponent's; below
-- zero the model is better. Its 95 % interval is that of the differences on the same days.
-- resamples, seed: as in backtest_scores. Of a single model there is no verdict and no row.
-- Errors: UP002 symbol, UP022 no such backtest, resamples or seed.
--
-- Example:
--   SELECT model, opponent, difference, difference_low, difference_high
--   FROM backtest_verdict('BTC', 1) WHERE minutes IS NULL;
CREATE FUNCTION upc.backtest_verdict(
    symbol text,
    backtest_id bigint,
    resamples integer DEFAULT 1000,
    seed bigint DEFAULT 1
)
RETURNS TABLE (
    model text,
    opponent text,
    minutes smallint,
    log_loss double precision,
    opponent_log_loss double precision,
    difference double precision,
    difference_low double precision,
    difference_high double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET work_mem = '64MB'
SET max_parallel_workers_per_gather = 0
AS $fn$
BEGIN
    PERFORM upc.require_backtest(symbol, backtest_id);
    PERFORM upc._require_resampling('all', resamples, seed);
    RETURN QUERY
    WITH score AS (
        SELECT
            s.model,
            CASE s.dimension WHEN 'minutes' THEN s.part END AS minutes,
            sum(s.log_loss) / sum(s.questions) AS log_loss
        FROM upc_data.backtest_score AS s
        WHERE s.symbol = backtest_verdict.symbol
          AND s.backtest_id = backtest_verdict.backtest_id
          AND s.dimension IN ('all', 'minutes')
        GROUP BY s.model, s.dimension, s.part
    ),
    best AS (
        SELECT s.model
        FROM score AS s
        JOIN upc_data.backtest AS b
            ON b.symbol = backtest_verdict.symbol
            AND b.backtest_id = backtest_verdict.backtest_id
        WHERE s.minutes IS NULL
        ORDER BY s.log_loss, array_position(b.models, s.model)
        LIMIT 1
    ),
    resampled AS MATERIALIZED (
        SELECT r.resample, r.model, NULL::smallint AS minutes, r.log_loss
        FROM upc._backtest_resampled(symbol, backtest_id, 'all', resamples, seed, false) AS r
        UNION ALL
        SELECT r.resample, r.model, r.part, r.log_loss
        FROM upc._backtest_resampled(symbol, backtest_id, 'minutes', resamples, seed, false) AS r
    ),
    spread AS (
        SELECT
            o.model AS opponent,
            coalesce(o.minutes, 0) AS minutes,
            percentile_cont(ARRAY[0.025, 0.975])
                WITHIN GROUP (ORDER BY m.log_loss - o.log_loss) AS difference
        FROM best AS b
        JOIN resampled AS m ON m.model = b.model
        JOIN resampled AS o
            ON o.resample = m.resample
            AND coalesce(o.minutes, 0) = coalesce(m.minutes, 0)
            AND o.model <> m.model
        GROUP BY o.model, coalesce(o.minutes, 0)
    )
    SELECT
        b.model,
        o.model,
        o.minutes,
        m.log_loss,
        o.log_loss,
        m.log_loss - o.log_loss,
        s.difference[1],
        s.difference[2]
    FROM best AS b
    JOIN score AS m ON m.model = b.model
    JOIN score AS o
        ON o.minutes IS NOT DISTINCT FROM m.minutes AND o.model <> b.model
    LEFT JOIN spread AS s ON s.opponent = o.model AND s.minutes = coalesce(o.minutes, 0)
    JOIN score AS overall ON overall.model = o.model AND overall.minutes IS NULL
    ORDER BY overall.log_loss, o.model, o.minutes NULLS FIRST;
END
$fn$;
COMMENT ON FUNCTION upc.backtest_verdict IS
    'the verdict of a backtest: the model with the lowest log loss against each other one';


-- Delete a backtest with all that it was trained on and all its scores, complete or not.
--
-- Errors: UP002 symbol, UP022 no such backtest.
--
-- Example: SELECT delete_backtest('BTC', 1);
CREATE FUNCTION upc.delete_backtest(symbol text, backtest_id bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    DELETE FROM upc_data.backtest AS b
    WHERE b.symbol = delete_backtest.symbol AND b.backtest_id = delete_backtest.backtest_id;
    IF NOT FOUND THEN
        PERFORM upc.require_backtest(symbol, backtest_id);
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.delete_backtest IS
    'deletes a backtest with all that it was trained on and all its scores';


CREATE VIEW upc.backtest_list AS
SELECT
    b.symbol,
    b.backtest_id,
    b.train_from,
    b.train_to,
    b.test_from,
    b.test_to,
    b.models,
    b.minutes,
    b.step,
    b.levels,
    b.settlement,
    b.close_minute,
    b.version,
    b.started_at,
    b.completed_at,
    s.days,
    s.questions,
    s.model AS best_model,
    s.log_loss AS best_log_loss
FROM upc_data.backtest AS b
LEFT JOIN LATERAL (
    SELECT
        c.model,
        count(DISTINCT c.day) AS days,
        sum(c.questions)::bigint AS questions,
        sum(c.log_loss) / sum(c.questions) AS log_loss
    FROM upc_data.backtest_score AS c
    WHERE c.symbol = b.symbol
      AND c.backtest_id = b.backtest_id
      AND c.model = ANY (b.models)
      AND c.dimension = 'all'
      AND b.completed_at IS NOT NULL
    GROUP BY c.model
    ORDER BY sum(c.log_loss) / sum(c.questions), array_position(b.models, c.model)
    LIMIT 1
) AS s ON true;
COMMENT ON VIEW upc.backtest_list IS 'backtests, and the model with the lowest log loss of each';
COMMENT ON COLUMN upc.backtest_list.symbol IS 'symbol';
COMMENT ON COLUMN upc.backtest_list.backtest_id IS 'ascending number';
COMMENT ON COLUMN upc.backtest_list.train_from IS 'the first opening time that is trained on';
COMMENT ON COLUMN upc.backtest_list.train_to IS
    'candles that opened at it or later are not trained on';
COMMENT ON COLUMN upc.backtest_list.test_from IS 'contracts that close before it are not tested';
COMMENT ON COLUMN upc.backtest_list.test_to IS
    'contracts that close at it or later are not tested';
COMMENT ON COLUMN upc.backtest_list.models IS 'what was tested: model:method, or gaussian';
COMMENT ON COLUMN upc.backtest_list.minutes IS
    'times to the close at which was asked, minutes';
COMMENT ON COLUMN upc.backtest_list.step IS 'USD between two strikes';
COMMENT ON COLUMN upc.backtest_list.levels IS
    'strikes below and above the one nearest to the price';
COMMENT ON COLUMN upc.backtest_list.settlement IS
    'what decides: close, the last price; average, the mean of the last minute';
COMMENT ON COLUMN upc.backtest_list.close_minute IS
    'minute of the hour at which contracts close';
COMMENT ON COLUMN upc.backtest_list.version IS 'version of pyupc that computed it';
COMMENT ON COLUMN upc.backtest_list.started_at IS 'when it was begun';
COMMENT ON COLUMN upc.backtest_list.completed_at IS
    'when its last score was stored; NULL while it is not complete';
COMMENT ON COLUMN upc.backtest_list.days IS 'UTC days with a question; NULL until it is complete';
COMMENT ON COLUMN upc.backtest_list.questions IS
    'questions that each model answered; NULL until it is complete';
COMMENT ON COLUMN upc.backtest_list.best_model IS
    'the model with the lowest log loss of all questions';
COMMENT ON COLUMN upc.backtest_list.best_log_loss IS 'its log loss';
